// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - Chains of programs
 *
 * A chain is the set of programs that a hook runs. It is a function of the
 * hook's type, made by the JIT, that the hook's slot calls directly: it saves
 * the arguments, runs the programs in order and returns what the first one said
 * that was not zero. Nothing in here knows of links, FDs or slots.
 */

#include <linux/bpf.h>
#include <linux/cfi.h>
#include <linux/filter.h>
#include <linux/kallsyms.h>
#include <linux/rcupdate.h>
#include <linux/rcupdate_trace.h>
#include <linux/slab.h>
#include <kunit/static_stub.h>

#include "chain.h"

/* More than the programs of a hook take on any architecture. */
#define IMAGE_SIZE_MAX	PAGE_SIZE

static bool returns_void(const struct bpf_lsm_target *target)
{
	return target->model.ret_size == 0;
}

/* Nothing that a program returns matters. */
static bool runs_all(const struct bpf_lsm_target *target)
{
	return returns_void(target) || !IS_ENABLED(CONFIG_BPF_LSM_ENFORCE);
}

static notrace void enter_sleepable(void)
{
	rcu_read_lock_trace();
	migrate_disable();
	might_fault();
}

static notrace u32 leave_sleepable(u32 verdict)
{
	migrate_enable();
	rcu_read_unlock_trace();
	return bpf_chain_verdict(verdict);
}

static const struct bpf_chain_section plain_section = {
	.enter = bpf_chain_enter,
	.leave = bpf_chain_leave,
};

static const struct bpf_chain_section sleepable_section = {
	.enter = enter_sleepable,
	.leave = leave_sleepable,
};

/*
 * What the image does, in C, and with run time measured if anybody asks for it.
 * The image comes here for that, or in any case if the JIT knows no better.
 */
static u32 notrace chain_run(const void *arg, u64 *ctx)
{
	const struct bpf_lsm_chain *chain = arg;
	const struct bpf_chain_section *section = NULL;
	const struct bpf_prog *prog;
	u32 i = 0, verdict;

	do {
		prog = chain->progs[i].prog;
		if (section != &plain_section || prog->sleepable) {
			if (section)
				section->leave(0);
			section = prog->sleepable ? &sleepable_section :
						    &plain_section;
			section->enter();
		}
		ctx[BPF_CHAIN_CTX_COOKIE] = chain->progs[i].cookie;
		verdict = bpf_prog_run(prog, ctx);
		if (chain->run_all)
			verdict = 0;
	} while (!verdict && ++i < chain->nr_progs);

	return section->leave(verdict);
}

/* Sorts @members into the list that the JIT takes. */
static int collect_links(const struct list_head *members,
			 struct bpf_tramp_links *links)
{
	struct bpf_lsm_member *member;

	list_for_each_entry(member, members, node) {
		if (links->nr_links == BPF_MAX_TRAMP_LINKS)
			return -E2BIG;
		links->links[links->nr_links++] = &member->tramp;
	}
	return links->nr_links;
}

static void chain_free(struct bpf_lsm_chain *chain)
{
	u32 i;

	if (chain->image) {
		bpf_image_ksym_del(&chain->ksym);
		arch_free_bpf_trampoline(chain->image, chain->size);
	}
	if (chain->charged)
		bpf_jit_uncharge_modmem(chain->charged);
	for (i = 0; i < chain->nr_progs; i++)
		bpf_prog_put(chain->progs[i].prog);
	/* Stack traces look up @ksym under RCU. */
	kfree_rcu(chain, rcu);
}

static void chain_free_work(struct work_struct *work)
{
	chain_free(container_of(work, struct bpf_lsm_chain, work));
}

/*
 * A task in a chain that nothing enters any more is in one of its sleepable
 * programs, hence a reader of RCU-trace, or in a gap: before the first of them,
 * between two, or after the last one. Plain programs belong to the gap around
 * them, as no task can sleep there.
 *
 * RCU-tasks sees each task out of the gap it is in, for a task can sleep no
 * earlier than in the next sleepable program. RCU-trace sees each task out of
 * the sleepable program it is in. Taken in turns, no task is in or before the
 * n-th sleepable program after n turns, and one last RCU-tasks grace period
 * takes care of the last gap. One grace period for each of the two would not
 * do: a task can leave a program, let the RCU-trace one pass in the gap, and
 * let the RCU-tasks one pass when it sleeps in the next program.
 *
 * RCU-tasks waits for RCU as well, so interrupts are seen out, too.
 *
 * With PREEMPT_RT a plain program can block on a spinlock, which RCU-tasks takes
 * for sleep. But as it waits for RCU, the task is out of the plain programs of
 * its gap after a first grace period, and out of the gap after a second one.
 */
static void chain_gap_passed(struct rcu_head *rcu);

static void chain_plain_passed(struct rcu_head *rcu)
{
	call_rcu_tasks(rcu, chain_gap_passed);
}

static void chain_pass_gap(struct rcu_head *rcu)
{
	call_rcu_tasks(rcu, IS_ENABLED(CONFIG_PREEMPT_RT) ?
			    chain_plain_passed : chain_gap_passed);
}

static void chain_gap_passed(struct rcu_head *rcu)
{
	struct bpf_lsm_chain *chain = container_of(rcu, struct bpf_lsm_chain, rcu);

	if (chain->nr_sleepable) {
		chain->nr_sleepable--;
		call_rcu_tasks_trace(rcu, chain_pass_gap);
		return;
	}

	/* Freeing text sleeps. */
	INIT_WORK(&chain->work, chain_free_work);
	schedule_work(&chain->work);
}

static int chain_emit(struct bpf_lsm_chain *chain,
		      const struct bpf_lsm_target *target,
		      const struct bpf_tramp_links *links)
{
	struct bpf_chain_code code = {
		.model = &target->model,
		.func = target->stub,
		.links = links,
		.run_all = chain->run_all,
		.plain = plain_section,
		.sleepable = sleepable_section,
		.run = chain_run,
		.chain = chain,
	};
	int size;

	size = arch_prepare_bpf_chain(&code, NULL, 0);
	if (size < 0)
		return size;
	if (size > IMAGE_SIZE_MAX)
		return -E2BIG;

	chain->image = arch_alloc_bpf_trampoline(size);
	if (!chain->image)
		return -ENOMEM;
	chain->size = size;

	INIT_LIST_HEAD_RCU(&chain->ksym.lnode);
	snprintf(chain->ksym.name, sizeof(chain->ksym.name),
		 "bpf_lsm_chain_%s", target->name);
	bpf_image_ksym_init(chain->image, size, &chain->ksym);
	bpf_image_ksym_add(&chain->ksym);

	size = arch_prepare_bpf_chain(&code, chain->image, size);
	if (size < 0)
		return size;
	if (code.toggle) {
		chain->toggle = chain->image + code.toggle;
		chain->measured = chain->image + code.measured;
	}
	return arch_protect_bpf_trampoline(chain->image, chain->size);
}

/**
 * bpf_lsm_chain_build - Make a chain that runs a list of programs
 * @target: the hook
 * @members: the programs, in run order, at least one
 *
 * The memory is on nobody's account, so that a chain can be built on behalf of
 * whoever happens to close the last FD of a link. The new chain has one
 * reference, which is the caller's.
 *
 * Context: May sleep. The caller keeps @members from changing.
 * Return: the chain, or ERR_PTR: -ENOMEM, -E2BIG if that many programs do not
 * fit, or what the JIT says.
 */
struct bpf_lsm_chain *bpf_lsm_chain_build(const struct bpf_lsm_target *target,
					  const struct list_head *members)
{
	struct bpf_lsm_member *member;
	struct bpf_tramp_links *links;
	struct bpf_lsm_chain *chain;
	int nr, err;

	KUNIT_STATIC_STUB_REDIRECT(bpf_lsm_chain_build, target, members);

	links = kzalloc(sizeof(*links), GFP_KERNEL);
	if (!links)
		return ERR_PTR(-ENOMEM);

	nr = collect_links(members, links);
	if (nr < 0) {
		chain = ERR_PTR(nr);
		goto out;
	}

	chain = kzalloc(struct_size(chain, progs, nr), GFP_KERNEL);
	if (!chain) {
		chain = ERR_PTR(-ENOMEM);
		goto out;
	}

	refcount_set(&chain->usage, 1);
	chain->run_all = runs_all(target);
	chain->nr_progs = nr;
	nr = 0;
	list_for_each_entry(member, members, node) {
		bpf_prog_inc(member->tramp.link.prog);
		chain->progs[nr].prog = member->tramp.link.prog;
		chain->progs[nr++].cookie = member->tramp.cookie;
		chain->nr_sleepable += member->tramp.link.prog->sleepable;
	}

	err = chain_emit(chain, target, links);
	if (err) {
		/* Nobody has seen the image: no grace period. */
		chain_free(chain);
		chain = ERR_PTR(err);
	}
out:
	kfree(links);
	return chain;
}

/**
 * bpf_lsm_chain_reserve - Count the largest image against the JIT limit
 *
 * Beyond the limit this asks for a capability, which is a hook, and may be
 * audited. So it comes before the locks, while no chain has been built.
 *
 * Return: 0, or -EPERM if the limit does not allow @current another image.
 */
int bpf_lsm_chain_reserve(void)
{
	return bpf_jit_charge_modmem(IMAGE_SIZE_MAX);
}

/**
 * bpf_lsm_chain_unreserve - Give back what bpf_lsm_chain_reserve() has counted
 */
void bpf_lsm_chain_unreserve(void)
{
	bpf_jit_uncharge_modmem(IMAGE_SIZE_MAX);
}

/**
 * bpf_lsm_chain_charge - Pay for a chain with what was reserved
 * @chain: a chain that has not been charged for
 *
 * What is more than the chain needs is given back.
 */
void bpf_lsm_chain_charge(struct bpf_lsm_chain *chain)
{
	chain->charged = chain->size;
	bpf_jit_uncharge_modmem(IMAGE_SIZE_MAX - chain->size);
}

/**
 * bpf_lsm_chain_inherit_charge - Pay for a chain with what another one paid
 * @chain: a chain that has not been charged for
 * @old: the chain whose place @chain takes
 *
 * A detach must not fail, nor depend on the limits or privileges of the task
 * that happens to cause it.
 */
void bpf_lsm_chain_inherit_charge(struct bpf_lsm_chain *chain,
				  struct bpf_lsm_chain *old)
{
	chain->charged = min(chain->size, old->charged);
	old->charged -= chain->charged;
}

/**
 * bpf_lsm_chain_entry - The function that runs a chain
 * @chain: a chain
 *
 * Return: a function of the hook's type, valid until the grace period after the
 * last reference to @chain.
 */
void *bpf_lsm_chain_entry(const struct bpf_lsm_chain *chain)
{
	return chain->image + cfi_get_offset();
}

/**
 * bpf_lsm_chain_measure - Measure the run time of programs, or do not
 * @chain: a chain
 * @on: whether to
 *
 * Does nothing if that is what the chain does already.
 *
 * Context: May sleep. Takes text_mutex. The caller keeps others out.
 */
void bpf_lsm_chain_measure(struct bpf_lsm_chain *chain, bool on)
{
	void *from = on ? NULL : chain->measured;
	void *to = on ? chain->measured : NULL;

	if (!chain->toggle || chain->is_measured == on)
		return;
	if (!WARN_ON_ONCE(bpf_arch_text_poke(chain->toggle, BPF_MOD_JUMP, from,
					     to)))
		chain->is_measured = on;
}

/**
 * bpf_lsm_chain_put - Drop a reference to a chain
 * @chain: a chain, or NULL
 *
 * The last reference retires the chain: nothing can enter it any more, and it
 * is freed when nothing is inside any more.
 *
 * Context: Any. Does not wait.
 */
void bpf_lsm_chain_put(struct bpf_lsm_chain *chain)
{
	if (chain && refcount_dec_and_test(&chain->usage))
		chain_pass_gap(&chain->rcu);
}
