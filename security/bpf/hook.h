/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF LSM - What is attached to which hook
 */

#ifndef _SECURITY_BPF_HOOK_H
#define _SECURITY_BPF_HOOK_H

#include "chain.h"

/**
 * struct bpf_lsm_roster - What is attached to a hook at one moment
 * @revision: how often that has changed, counted from 1
 * @nr: number of programs
 * @prog_ids: the programs, in run order; 0 for one that has no id
 * @link_ids: what keeps each of them attached; 0 for a link that has no id, or
 *	not yet
 */
struct bpf_lsm_roster {
	u64 revision;
	u32 nr;
	u32 prog_ids[BPF_MAX_TRAMP_LINKS];
	u32 link_ids[BPF_MAX_TRAMP_LINKS];
};

int bpf_lsm_hook_attach(int id, const struct btf_func_model *model,
			struct bpf_lsm_member *member);
int bpf_lsm_hook_replace(int id, struct bpf_lsm_member *member,
			 struct bpf_prog *prog, const struct bpf_prog *expected);
void bpf_lsm_hook_detach(int id, struct bpf_lsm_member *member);
void bpf_lsm_hook_list(int id, struct bpf_lsm_roster *roster);

#endif /* _SECURITY_BPF_HOOK_H */
