// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - Helpers that programs may call
 */

#include <linux/binfmts.h>
#include <linux/bpf-cgroup.h>
#include <linux/bpf.h>
#include <linux/btf_ids.h>
#include <linux/filter.h>
#include <linux/ima.h>
#include <net/bpf_sk_storage.h>

#include "helpers.h"
#include "hooks.h"
#include "storage.h"

BPF_CALL_2(bpf_bprm_opts_set, struct linux_binprm *, bprm, u64, flags)
{
	if (flags & ~BPF_F_BPRM_SECUREEXEC)
		return -EINVAL;

	bprm->secureexec = !!(flags & BPF_F_BPRM_SECUREEXEC);
	return 0;
}

BTF_ID_LIST_SINGLE(bpf_bprm_btf_ids, struct, linux_binprm)

static const struct bpf_func_proto bpf_bprm_opts_set_proto = {
	.func		= bpf_bprm_opts_set,
	.ret_type	= RET_INTEGER,
	.arg1_type	= ARG_PTR_TO_BTF_ID,
	.arg1_btf_id	= &bpf_bprm_btf_ids[0],
	.arg2_type	= ARG_ANYTHING,
};

#ifdef CONFIG_NET
/* For hooks in which nobody else can change the socket: either or neither. */
static const struct bpf_func_proto *
sockopt_proto(const struct bpf_prog *prog,
	      const struct bpf_func_proto *if_locked,
	      const struct bpf_func_proto *if_new)
{
	int hook;

	/* The target of an extension is a program, not a hook. */
	if (prog->type != BPF_PROG_TYPE_LSM)
		return NULL;

	hook = bpf_lsm_hook_find(prog->aux->attach_btf_id);
	if (bpf_lsm_hook_has_locked_sock(hook))
		return if_locked;
	if (bpf_lsm_hook_has_new_sock(hook))
		return if_new;
	return NULL;
}
#endif

/* Helpers that only programs of a cgroup have. */
static const struct bpf_func_proto *
cgroup_func_proto(enum bpf_func_id func_id, const struct bpf_prog *prog)
{
	switch (func_id) {
#ifdef CONFIG_NET
	case BPF_FUNC_setsockopt:
		return sockopt_proto(prog, &bpf_sk_setsockopt_proto,
				     &bpf_unlocked_sk_setsockopt_proto);
	case BPF_FUNC_getsockopt:
		return sockopt_proto(prog, &bpf_sk_getsockopt_proto,
				     &bpf_unlocked_sk_getsockopt_proto);
#endif
	default:
		return cgroup_common_func_proto(func_id, prog);
	}
}

/* For hooks whose objects have their inodes. */
static const struct bpf_func_proto *
inode_storage_proto(const struct bpf_prog *prog,
		    const struct bpf_func_proto *proto)
{
	int hook = bpf_lsm_hook_find(prog->aux->attach_btf_id);

	return bpf_lsm_hook_outlives_inode(hook) ? NULL : proto;
}

/*
 * IMA may have to read the whole file, hence sleeps. A program that may sleep is
 * one whose hook may, so there is no need to look at the hook as well.
 */

BPF_CALL_3(bpf_ima_inode_hash, struct inode *, inode, void *, dst, u32, size)
{
	return ima_inode_hash(inode, dst, size);
}

BTF_ID_LIST_SINGLE(bpf_ima_inode_btf_ids, struct, inode)

static const struct bpf_func_proto bpf_ima_inode_hash_proto = {
	.func		= bpf_ima_inode_hash,
	.might_sleep	= true,
	.ret_type	= RET_INTEGER,
	.arg1_type	= ARG_PTR_TO_BTF_ID,
	.arg1_btf_id	= &bpf_ima_inode_btf_ids[0],
	.arg2_type	= ARG_PTR_TO_UNINIT_MEM,
	.arg3_type	= ARG_CONST_SIZE,
};

BPF_CALL_3(bpf_ima_file_hash, struct file *, file, void *, dst, u32, size)
{
	return ima_file_hash(file, dst, size);
}

BTF_ID_LIST_SINGLE(bpf_ima_file_btf_ids, struct, file)

static const struct bpf_func_proto bpf_ima_file_hash_proto = {
	.func		= bpf_ima_file_hash,
	.might_sleep	= true,
	.ret_type	= RET_INTEGER,
	.arg1_type	= ARG_PTR_TO_BTF_ID,
	.arg1_btf_id	= &bpf_ima_file_btf_ids[0],
	.arg2_type	= ARG_PTR_TO_UNINIT_MEM,
	.arg3_type	= ARG_CONST_SIZE,
};

/**
 * bpf_lsm_func_proto - Prototype of a helper for LSM programs
 * @func_id: which helper
 * @prog: LSM program that is being verified
 *
 * Return: the prototype, NULL if the program may not call that helper.
 */
const struct bpf_func_proto *
bpf_lsm_func_proto(enum bpf_func_id func_id, const struct bpf_prog *prog)
{
	const struct bpf_func_proto *proto;

	if (prog->expected_attach_type == BPF_LSM_CGROUP) {
		proto = cgroup_func_proto(func_id, prog);
		if (proto)
			return proto;
	}

	switch (func_id) {
	case BPF_FUNC_bprm_opts_set:
		return &bpf_bprm_opts_set_proto;
	case BPF_FUNC_ima_inode_hash:
		return &bpf_ima_inode_hash_proto;
	case BPF_FUNC_ima_file_hash:
		return &bpf_ima_file_hash_proto;
	case BPF_FUNC_get_func_ret:
		/* A hook that returns nothing has no place for it either. */
		if (!prog->aux->attach_func_proto->type)
			return NULL;
		return tracing_prog_func_proto(func_id, prog);
	case BPF_FUNC_spin_lock:
		return &bpf_spin_lock_proto;
	case BPF_FUNC_spin_unlock:
		return &bpf_spin_unlock_proto;
	case BPF_FUNC_inode_storage_get:
		return inode_storage_proto(prog, &bpf_inode_storage_get_proto);
	case BPF_FUNC_inode_storage_delete:
		return inode_storage_proto(prog,
					   &bpf_inode_storage_delete_proto);
#ifdef CONFIG_NET
	case BPF_FUNC_sk_storage_get:
		return &bpf_sk_storage_get_proto;
	case BPF_FUNC_sk_storage_delete:
		return &bpf_sk_storage_delete_proto;
#endif
	default:
		return tracing_prog_func_proto(func_id, prog);
	}
}
