// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - One function per hook
 *
 * bpf_lsm_<hook>() is how programs name a hook: its BTF says which arguments
 * they get. It is also what a hook's slot points to while nothing is attached,
 * hence never runs but in the moment in which a slot opens or closes.
 */

#include <linux/args.h>
#include <linux/bpf_lsm.h>
#include <linux/build_bug.h>
#include <linux/lsm_hooks.h>

/* Arguments beyond the sixth are passed on the stack, where no chain looks. */
#define LSM_HOOK(RET, DEFAULT, NAME, ...)				\
	static_assert(COUNT_ARGS(__VA_ARGS__) <= 6);			\
	noinline RET bpf_lsm_##NAME(__VA_ARGS__)			\
	{								\
		return DEFAULT;						\
	}
#include <linux/lsm_hook_defs.h>
#undef LSM_HOOK
