// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - Helpers that programs may call
 */

#include <linux/binfmts.h>
#include <linux/bpf.h>
#include <linux/btf_ids.h>
#include <linux/filter.h>
#include <net/bpf_sk_storage.h>

#include "helpers.h"

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
	switch (func_id) {
	case BPF_FUNC_bprm_opts_set:
		return &bpf_bprm_opts_set_proto;
	case BPF_FUNC_get_func_ret:
		/* A hook that returns nothing has no place for it either. */
		if (!prog->aux->attach_func_proto->type)
			return NULL;
		return tracing_prog_func_proto(func_id, prog);
	case BPF_FUNC_spin_lock:
		return &bpf_spin_lock_proto;
	case BPF_FUNC_spin_unlock:
		return &bpf_spin_unlock_proto;
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
