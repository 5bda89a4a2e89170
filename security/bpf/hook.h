/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF LSM - What is attached to which hook
 */

#ifndef _SECURITY_BPF_HOOK_H
#define _SECURITY_BPF_HOOK_H

#include "chain.h"

int bpf_lsm_hook_attach(int id, const struct btf_func_model *model,
			struct bpf_lsm_member *member);
void bpf_lsm_hook_detach(int id, struct bpf_lsm_member *member);

#endif /* _SECURITY_BPF_HOOK_H */
