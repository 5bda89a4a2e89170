// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - Programs of cgroups
 *
 * A program of a cgroup is kept where the programs of all other cgroup hooks
 * are: in the arrays of the cgroup and of those below it. In the chain of its
 * LSM hook there is one member for all of them, the shim. That is a program
 * whose code is a C function: it finds the cgroup that a call is about and runs
 * its array. The shim takes its place in the chain when the first program is
 * attached to any cgroup, as every member does, and gives it up with the last.
 *
 * The arrays of a cgroup are numbered. A hook has a number only as long as it
 * has programs, because there are more hooks than numbers.
 *
 * Lock order: cgroup_mutex, which protects everything in here, is outside the
 * locks of hook.c.
 */

#include <linux/bpf-cgroup.h>
#include <linux/bpf_lsm.h>
#include <linux/bpf_verifier.h>
#include <linux/cgroup.h>
#include <linux/filter.h>
#include <linux/net.h>
#include <linux/rcupdate.h>
#include <net/sock.h>

#include "hook.h"
#include "hooks.h"

/**
 * struct bpf_lsm_shim - Stand-in for a hook's programs of cgroups
 * @hook: slot id of the hook that has the number, or that had it last, or -1
 * @users: how many programs are attached to cgroups
 * @left: RCU grace period after which no call uses the number for @hook,
 *	once @users is 0
 * @member: the shim's place in the hook while there are @users
 */
struct bpf_lsm_shim {
	int hook;
	unsigned int users;
	unsigned long left;
	struct bpf_lsm_member member;
};

/* The array of shims[i] is the one numbered CGROUP_LSM_START + i. */
static struct bpf_lsm_shim shims[CGROUP_LSM_NUM] = {
	[0 ... CGROUP_LSM_NUM - 1] = { .hook = -1 },
};

/*
 * Which number a hook has. Calls read it under RCU, and a shim that has left
 * its chain can still be called for a while: it always looks here.
 */
static int atypes[LSM_SLOT_COUNT] = {
	[0 ... LSM_SLOT_COUNT - 1] = CGROUP_BPF_ATTACH_TYPE_INVALID,
};

static unsigned int run_shim(struct sock *sk, const void *ctx,
			     const struct bpf_insn *insn)
{
	struct cgroup *cgrp = NULL;
	int atype;

	guard(rcu)();

	atype = READ_ONCE(atypes[insn->imm]);
	if (atype == CGROUP_BPF_ATTACH_TYPE_INVALID)
		return 0;

	/* There are sockets without sock, and hooks get a NULL now and then. */
	if (sk)
		cgrp = sock_cgroup_ptr(&sk->sk_cgrp_data);
	if (!cgrp)
		cgrp = task_dfl_cgroup(current);

	return __cgroup_bpf_run_lsm(cgrp, atype, ctx);
}

static unsigned int run_for_current(const void *ctx,
				    const struct bpf_insn *insn)
{
	return run_shim(NULL, ctx, insn);
}

static unsigned int run_for_sock(const void *ctx, const struct bpf_insn *insn)
{
	const u64 *args = ctx;

	return run_shim((void *)(unsigned long)args[0], ctx, insn);
}

static unsigned int run_for_socket(const void *ctx, const struct bpf_insn *insn)
{
	const u64 *args = ctx;
	const struct socket *sock = (void *)(unsigned long)args[0];

	return run_shim(sock ? sock->sk : NULL, ctx, insn);
}

/* Is TYPE the type of the first of these arguments? */
#define FIRST_IS(type, ...) __FIRST_IS(type, __VA_ARGS__)
#define __FIRST_IS(type, arg, ...)					\
	__builtin_types_compatible_p(void (type), void (arg))

/* Which function makes the shim of a hook, by the hook's first argument. */
static const bpf_func_t run_funcs[LSM_SLOT_COUNT] = {
#define LSM_HOOK(RET, DEFAULT, NAME, ...)				\
	[LSM_SLOT_##NAME] =						\
		FIRST_IS(struct socket *, __VA_ARGS__) ? run_for_socket : \
		FIRST_IS(struct sock *, __VA_ARGS__) ||			\
		FIRST_IS(const struct sock *, __VA_ARGS__) ? run_for_sock : \
							     run_for_current,
#include <linux/lsm_hook_defs.h>
#undef LSM_HOOK
};

static bpf_func_t shim_func(int hook)
{
	switch (hook) {
#ifdef CONFIG_SECURITY_NETWORK
	case LSM_SLOT_sk_alloc_security:
	case LSM_SLOT_sk_free_security:
		/* The sock is not in a cgroup yet, or no longer. */
		return run_for_current;
#endif
	default:
		return run_funcs[hook];
	}
}

/*
 * The program of a hook's shim. Only bpf_func is ever called, and finds the
 * hook in the instruction. Made once and kept: freeing it would be news to
 * audit, perf and LSMs of a program that nobody has loaded.
 */
static struct bpf_prog *shim_prog(int hook)
{
	static struct bpf_prog *progs[LSM_SLOT_COUNT];
	struct bpf_prog *prog = progs[hook];

	if (prog)
		return prog;

	prog = bpf_prog_alloc(bpf_prog_size(1), 0);
	if (!prog)
		return NULL;

	atomic64_set(&prog->aux->refcnt, 1);
	prog->type = BPF_PROG_TYPE_LSM;
	prog->expected_attach_type = BPF_LSM_MAC;
	prog->bpf_func = shim_func(hook);
	prog->len = 1;
	prog->insnsi[0] = BPF_EXIT_INSN();
	prog->insnsi[0].imm = hook;
	progs[hook] = prog;
	return prog;
}

static int enter_chain(struct bpf_lsm_shim *shim, int hook,
		       const struct bpf_prog *prog)
{
	struct bpf_attach_target_info target = {};
	int err;

	err = bpf_check_attach_target(NULL, prog, NULL,
				      prog->aux->attach_btf_id, &target);
	if (err)
		return err;

	shim->member.tramp.link.prog = shim_prog(hook);
	if (!shim->member.tramp.link.prog)
		return -ENOMEM;

	return bpf_lsm_hook_attach(hook, &target.fmodel, &shim->member);
}

/* Give a hook the number of @shim. */
static void assign(struct bpf_lsm_shim *shim, int hook)
{
	/* Nobody may run the new hook's programs in calls of the old one. */
	if (shim->hook >= 0 && shim->hook != hook)
		cond_synchronize_rcu(shim->left);

	shim->hook = hook;
	WRITE_ONCE(atypes[hook], CGROUP_LSM_START + (shim - shims));
}

static void unassign(struct bpf_lsm_shim *shim)
{
	WRITE_ONCE(atypes[shim->hook], CGROUP_BPF_ATTACH_TYPE_INVALID);
	shim->left = get_state_synchronize_rcu();
}

/**
 * bpf_lsm_cgroup_atype - Which array of a cgroup a program belongs to
 * @prog: a program
 *
 * Context: Caller holds cgroup_mutex.
 * Return: the number of the hook's array, or one that is free if the hook has
 * none: that is an empty array in all cgroups until bpf_lsm_cgroup_get() makes
 * it the hook's. -EINVAL if @prog is no LSM program of a cgroup, or if all
 * numbers are taken by other hooks.
 */
int bpf_lsm_cgroup_atype(const struct bpf_prog *prog)
{
	int hook, i, free = -EINVAL;

	lockdep_assert_held(&cgroup_mutex);

	if (prog->type != BPF_PROG_TYPE_LSM ||
	    prog->expected_attach_type != BPF_LSM_CGROUP)
		return -EINVAL;

	hook = bpf_lsm_hook_find(prog->aux->attach_btf_id);
	for (i = 0; i < CGROUP_LSM_NUM; i++) {
		if (shims[i].hook == hook)
			return CGROUP_LSM_START + i;
		if (!shims[i].users && free < 0)
			free = CGROUP_LSM_START + i;
	}
	return free;
}

/**
 * bpf_lsm_cgroup_get - Have a hook run the programs of cgroups
 * @prog: program that is about to be attached to a cgroup
 * @atype: what bpf_lsm_cgroup_atype() says about @prog
 *
 * The hook runs what is in the arrays numbered @atype until there has been a
 * bpf_lsm_cgroup_put() for each successful call.
 *
 * Context: May sleep. Caller holds cgroup_mutex.
 * Return: 0, -ENOMEM, or what bpf_lsm_hook_attach() says.
 */
int bpf_lsm_cgroup_get(const struct bpf_prog *prog, int atype)
{
	struct bpf_lsm_shim *shim = &shims[atype - CGROUP_LSM_START];
	int hook, err;

	lockdep_assert_held(&cgroup_mutex);

	if (!shim->users) {
		hook = bpf_lsm_hook_find(prog->aux->attach_btf_id);
		assign(shim, hook);
		err = enter_chain(shim, hook, prog);
		if (err) {
			unassign(shim);
			return err;
		}
	}
	shim->users++;
	return 0;
}

/**
 * bpf_lsm_cgroup_put - A program of a cgroup is no longer attached
 * @atype: what was given to bpf_lsm_cgroup_get()
 *
 * Cannot fail. Comes after the program has left the arrays of all cgroups.
 *
 * Context: May sleep. Caller holds cgroup_mutex.
 */
void bpf_lsm_cgroup_put(int atype)
{
	struct bpf_lsm_shim *shim = &shims[atype - CGROUP_LSM_START];

	lockdep_assert_held(&cgroup_mutex);

	if (--shim->users)
		return;
	bpf_lsm_hook_detach(shim->hook, &shim->member);
	unassign(shim);
}
