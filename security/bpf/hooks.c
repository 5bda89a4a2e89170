// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - What is special about which hook
 */

#include <linux/btf_ids.h>

#include "hooks.h"

/* In the order of enum lsm_slot_id. */
BTF_ID_LIST(bpf_lsm_btf_ids)
#define LSM_HOOK(RET, DEFAULT, NAME, ...) BTF_ID(func, bpf_lsm_##NAME)
#include <linux/lsm_hook_defs.h>
#undef LSM_HOOK

/**
 * bpf_lsm_hook_find - Hook whose function a BTF id stands for
 * @btf_id: id of a type in the kernel's BTF
 *
 * Return: the hook's slot id, or -ENOENT if @btf_id is no hook's function.
 */
int bpf_lsm_hook_find(u32 btf_id)
{
	int id;

	for (id = 0; id < LSM_SLOT_COUNT; id++)
		if (bpf_lsm_btf_ids[id] == btf_id)
			return id;
	return -ENOENT;
}

/**
 * bpf_lsm_hook_refusal - Why no program may be attached to a hook
 * @id: slot id of the hook
 *
 * Return: half a sentence for the verifier log, NULL if programs may attach.
 */
const char *bpf_lsm_hook_refusal(int id)
{
	switch (id) {
	case LSM_SLOT_vm_enough_memory:
		return "it votes on a privilege, it cannot deny";
	case LSM_SLOT_inode_need_killpriv:
		return "a positive value is an answer, not an error";
	case LSM_SLOT_inode_getsecurity:
	case LSM_SLOT_inode_listsecurity:
	case LSM_SLOT_getselfattr:
	case LSM_SLOT_getprocattr:
	case LSM_SLOT_setprocattr:
#ifdef CONFIG_KEYS
	case LSM_SLOT_key_getsecurity:
#endif
		return "it returns a length and fills a buffer";
	case LSM_SLOT_inode_copy_up_xattr:
		return "a positive value discards the attribute";
#ifdef CONFIG_AUDIT
	case LSM_SLOT_audit_rule_match:
		return "a positive value is a match";
#endif
#ifdef CONFIG_SECURITY_NETWORK_XFRM
	case LSM_SLOT_xfrm_decode_session:
		return "one of its callers takes any error for a kernel bug";
#endif
	case LSM_SLOT_ismaclabel:
		return "it names the xattrs that an LSM owns";
	default:
		return NULL;
	}
}

/**
 * bpf_lsm_hook_is_bool - Whether a hook returns true or false, not an error
 * @id: slot id of the hook
 */
bool bpf_lsm_hook_is_bool(int id)
{
	switch (id) {
	case LSM_SLOT_inode_xattr_skipcap:
#ifdef CONFIG_AUDIT
	case LSM_SLOT_audit_rule_known:
#endif
#ifdef CONFIG_SECURITY_NETWORK_XFRM
	case LSM_SLOT_xfrm_state_pol_flow_match:
#endif
		return true;
	default:
		return false;
	}
}

/**
 * bpf_lsm_hook_is_trusted - Whether the objects a hook gets are fully alive
 * @id: slot id of the hook
 *
 * An object that is still being made, or is on its way out, has no reference
 * count that a program could take a reference on.
 */
bool bpf_lsm_hook_is_trusted(int id)
{
	switch (id) {
	case LSM_SLOT_backing_file_alloc:
	case LSM_SLOT_backing_file_free:
	case LSM_SLOT_file_alloc_security:
	case LSM_SLOT_file_free_security:
	case LSM_SLOT_task_free:
	case LSM_SLOT_bpf_map_free:
	case LSM_SLOT_bpf_prog_free:
#ifdef CONFIG_SECURITY_NETWORK
	case LSM_SLOT_sk_alloc_security:
	case LSM_SLOT_sk_free_security:
#endif
		return false;
	default:
		return true;
	}
}
