/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF LSM - What is special about which hook
 */

#ifndef _SECURITY_BPF_HOOKS_H
#define _SECURITY_BPF_HOOKS_H

#include <linux/lsm_hooks.h>
#include <linux/lsm_slot.h>
#include <linux/types.h>

extern u32 bpf_lsm_btf_ids[];

int bpf_lsm_hook_find(u32 btf_id);
const char *bpf_lsm_hook_refusal(int id);
bool bpf_lsm_hook_is_bool(int id);
bool bpf_lsm_hook_is_trusted(int id);
bool bpf_lsm_hook_outlives_inode(int id);
bool bpf_lsm_hook_is_sleepable(int id);
bool bpf_lsm_hook_has_locked_sock(int id);
bool bpf_lsm_hook_has_new_sock(int id);

#endif /* _SECURITY_BPF_HOOKS_H */
