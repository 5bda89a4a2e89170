// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - What the verifier asks about a program
 */

#include <linux/bpf_lsm.h>
#include <linux/bpf_verifier.h>

#include "helpers.h"
#include "hooks.h"

/**
 * bpf_lsm_verify_prog - Check that a program may be loaded for its hook
 * @log: gets one line that says what is wrong
 * @prog: program whose attach target has been found in BTF
 *
 * Return: 0, or -EINVAL.
 */
int bpf_lsm_verify_prog(struct bpf_verifier_log *log,
			const struct bpf_prog *prog)
{
	const char *func_name = prog->aux->attach_func_name;
	u32 btf_id = prog->aux->attach_btf_id;
	const char *refusal;
	int id;

	if (!prog->gpl_compatible) {
		bpf_log(log,
			"LSM programs must have a GPL compatible license\n");
		return -EINVAL;
	}

	id = bpf_lsm_hook_find(btf_id);
	if (id < 0) {
		bpf_log(log, "attach_btf_id %u points to wrong type name %s\n",
			btf_id, func_name);
		return -EINVAL;
	}

	refusal = bpf_lsm_hook_refusal(id);
	if (refusal) {
		bpf_log(log,
			"attach_btf_id %u points to disabled hook %s: %s\n",
			btf_id, func_name, refusal);
		return -EINVAL;
	}

	switch (prog->expected_attach_type) {
	case BPF_LSM_MAC:
	case BPF_LSM_CGROUP:
		return 0;
	default:
		bpf_log(log, "expected_attach_type %u is not one of LSM programs\n",
			prog->expected_attach_type);
		return -EINVAL;
	}
}

/**
 * bpf_lsm_is_trusted - Whether a program gets trusted pointers as arguments
 * @prog: a verified LSM program, or one that is being verified
 *
 * Return: true if its hook's objects are fully alive.
 */
bool bpf_lsm_is_trusted(const struct bpf_prog *prog)
{
	return bpf_lsm_hook_is_trusted(bpf_lsm_hook_find(prog->aux->attach_btf_id));
}

/**
 * bpf_lsm_may_sleep - Whether a sleepable program can be attached to a hook
 * @btf_id: id of the hook's function, or of another one, in the kernel's BTF
 *
 * Return: true if the function is a hook's and that hook's callers may sleep.
 */
bool bpf_lsm_may_sleep(u32 btf_id)
{
	return bpf_lsm_hook_is_sleepable(bpf_lsm_hook_find(btf_id));
}

/**
 * bpf_lsm_get_retval_range - What the programs of a hook may make it return
 * @prog: LSM program that is being verified
 * @range: filled in on success
 *
 * Return: 0, or -EINVAL if the hook returns nothing.
 */
int bpf_lsm_get_retval_range(const struct bpf_prog *prog,
			     struct bpf_retval_range *range)
{
	if (!prog->aux->attach_func_proto->type)
		return -EINVAL;

	/*
	 * Hooks that know more answers than zero and an error, such as
	 * task_prctl, do not know them from a program.
	 */
	if (bpf_lsm_hook_is_bool(bpf_lsm_hook_find(prog->aux->attach_btf_id))) {
		range->minval = 0;
		range->maxval = 1;
	} else {
		range->minval = -MAX_ERRNO;
		range->maxval = 0;
	}
	return 0;
}

/* Programs run from hooks only, there is no test run. */
const struct bpf_prog_ops lsm_prog_ops = {
};

const struct bpf_verifier_ops lsm_verifier_ops = {
	.get_func_proto = bpf_lsm_func_proto,
	/*
	 * Arguments are typed by BTF: no made-up offsets. And no writes, as the
	 * context is what all programs of a hook have in common.
	 */
	.is_valid_access = bpf_tracing_btf_ctx_access,
};
