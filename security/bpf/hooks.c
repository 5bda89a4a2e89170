// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - What is special about which hook
 */

#include <linux/btf_ids.h>

#include "hooks.h"

/* In the order of enum lsm_slot_id. */
BTF_ID_LIST_GLOBAL(bpf_lsm_btf_ids, LSM_SLOT_COUNT)
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

	/* Functions that are not in BTF have that id, which is all without BTF. */
	if (!btf_id)
		return -ENOENT;

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
 *
 * Return: true for bool hooks, and only for them.
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
 *
 * Return: true if the verifier may trust the arguments.
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

/**
 * bpf_lsm_hook_outlives_inode - Whether a hook gets files without their inode
 * @id: slot id of the hook
 *
 * A file that goes has dropped its reference, and points to where the inode was.
 *
 * Return: true if the inode may be gone.
 */
bool bpf_lsm_hook_outlives_inode(int id)
{
	switch (id) {
	case LSM_SLOT_backing_file_free:
	case LSM_SLOT_file_free_security:
		return true;
	default:
		return false;
	}
}

/**
 * bpf_lsm_hook_is_sleepable - Whether programs of a hook may fault and sleep
 * @id: slot id of the hook
 *
 * Every caller of such a hook is in process context and holds nothing that a
 * page fault would need. Not in the list, though most of their callers may
 * sleep: capget, which asks about another task under RCU; current_getsecid_subj
 * and task_getsecid_obj, which audit calls for a signal under RCU;
 * release_secctx, which netfilter queues call in softirq; inode_free_security,
 * which runs in memory reclaim, possibly with mmap_lock held.
 *
 * Return: true if sleepable programs may be attached.
 */
bool bpf_lsm_hook_is_sleepable(int id)
{
	switch (id) {
	case LSM_SLOT_capset:
	case LSM_SLOT_syslog:
	case LSM_SLOT_settime:
	case LSM_SLOT_bprm_creds_for_exec:
	case LSM_SLOT_bprm_creds_from_file:
	case LSM_SLOT_bprm_check_security:
	case LSM_SLOT_bprm_committing_creds:
	case LSM_SLOT_bprm_committed_creds:
	case LSM_SLOT_sb_alloc_security:
	case LSM_SLOT_sb_eat_lsm_opts:
	case LSM_SLOT_sb_remount:
	case LSM_SLOT_sb_kern_mount:
	case LSM_SLOT_sb_show_options:
	case LSM_SLOT_sb_statfs:
	case LSM_SLOT_sb_mount:
	case LSM_SLOT_sb_umount:
	case LSM_SLOT_sb_pivotroot:
	case LSM_SLOT_sb_set_mnt_opts:
	case LSM_SLOT_move_mount:
#ifdef CONFIG_SECURITY_PATH
	case LSM_SLOT_path_unlink:
	case LSM_SLOT_path_mkdir:
	case LSM_SLOT_path_rmdir:
	case LSM_SLOT_path_mknod:
	case LSM_SLOT_path_truncate:
	case LSM_SLOT_path_symlink:
	case LSM_SLOT_path_link:
	case LSM_SLOT_path_rename:
	case LSM_SLOT_path_chmod:
	case LSM_SLOT_path_chown:
	case LSM_SLOT_path_chroot:
#endif
	case LSM_SLOT_path_notify:
	case LSM_SLOT_inode_create:
	case LSM_SLOT_inode_link:
	case LSM_SLOT_inode_unlink:
	case LSM_SLOT_inode_symlink:
	case LSM_SLOT_inode_mkdir:
	case LSM_SLOT_inode_rmdir:
	case LSM_SLOT_inode_mknod:
	case LSM_SLOT_inode_rename:
	case LSM_SLOT_inode_readlink:
	case LSM_SLOT_inode_setattr:
	case LSM_SLOT_inode_getattr:
	case LSM_SLOT_inode_setxattr:
	case LSM_SLOT_inode_post_setxattr:
	case LSM_SLOT_inode_getxattr:
	case LSM_SLOT_inode_listxattr:
	case LSM_SLOT_inode_removexattr:
	case LSM_SLOT_inode_set_acl:
	case LSM_SLOT_kernfs_init_security:
	case LSM_SLOT_file_ioctl:
	case LSM_SLOT_file_ioctl_compat:
	case LSM_SLOT_mmap_file:
	case LSM_SLOT_file_lock:
	case LSM_SLOT_file_receive:
	case LSM_SLOT_file_open:
	case LSM_SLOT_file_post_open:
	case LSM_SLOT_file_truncate:
	case LSM_SLOT_task_alloc:
	case LSM_SLOT_cred_prepare:
	case LSM_SLOT_kernel_module_request:
	case LSM_SLOT_kernel_load_data:
	case LSM_SLOT_kernel_post_load_data:
	case LSM_SLOT_kernel_read_file:
	case LSM_SLOT_kernel_post_read_file:
	case LSM_SLOT_task_setscheduler:
	case LSM_SLOT_task_prctl:
	case LSM_SLOT_userns_create:
	case LSM_SLOT_netlink_send:
#ifdef CONFIG_SECURITY_NETWORK
	case LSM_SLOT_socket_create:
	case LSM_SLOT_socket_post_create:
	case LSM_SLOT_socket_socketpair:
	case LSM_SLOT_socket_bind:
	case LSM_SLOT_socket_connect:
	case LSM_SLOT_socket_listen:
	case LSM_SLOT_socket_accept:
	case LSM_SLOT_socket_sendmsg:
	case LSM_SLOT_socket_recvmsg:
	case LSM_SLOT_socket_getsockname:
	case LSM_SLOT_socket_getpeername:
	case LSM_SLOT_socket_getsockopt:
	case LSM_SLOT_socket_setsockopt:
	case LSM_SLOT_socket_shutdown:
	case LSM_SLOT_socket_getpeersec_dgram:
#endif
	case LSM_SLOT_bpf:
	case LSM_SLOT_bpf_map:
	case LSM_SLOT_bpf_prog:
	case LSM_SLOT_bpf_map_create:
	case LSM_SLOT_bpf_map_free:
	case LSM_SLOT_bpf_prog_load:
	case LSM_SLOT_bpf_token_create:
	case LSM_SLOT_bpf_token_free:
	case LSM_SLOT_bpf_token_cmd:
	case LSM_SLOT_bpf_token_capable:
		return true;
	default:
		return false;
	}
}

/**
 * bpf_lsm_hook_has_locked_sock - Whether a hook's caller holds the socket lock
 * @id: slot id of the hook
 *
 * Return: true if every caller does.
 */
bool bpf_lsm_hook_has_locked_sock(int id)
{
	switch (id) {
#ifdef CONFIG_SECURITY_NETWORK
	case LSM_SLOT_sock_graft:
	case LSM_SLOT_inet_csk_clone:
	case LSM_SLOT_inet_conn_established:
		return true;
#endif
	default:
		return false;
	}
}

/**
 * bpf_lsm_hook_has_new_sock - Whether a hook is about a socket that is so new
 * that nobody else can use it
 * @id: slot id of the hook
 *
 * Return: true if no lock is needed to look at the socket.
 */
bool bpf_lsm_hook_has_new_sock(int id)
{
	switch (id) {
#ifdef CONFIG_SECURITY_NETWORK
	case LSM_SLOT_socket_post_create:
	case LSM_SLOT_socket_socketpair:
		return true;
#endif
	default:
		return false;
	}
}
