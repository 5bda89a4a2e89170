// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - What is attached to which hook
 *
 * Every change is the same: build the chain that shall run from now on, make
 * the hook's slot call it, retire the one that ran before. The slot is changed
 * in one go, so there is no call that meets half a policy.
 *
 * Lock order: hook->lock, cpus_read_lock(), then the mutexes of static calls,
 * jump labels and text patching. Nothing that calls an LSM hook which asks for
 * a capability may be called with hook->lock held.
 */

#include <linux/bpf_lsm.h>
#include <linux/filter.h>
#include <linux/lsm_hooks.h>
#include <linux/lsm_slot.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "hook.h"

/* How long to wait for memory before a detach is tried again, in jiffies. */
#define RETRY_DELAY (HZ / 10)

/**
 * struct bpf_lsm_hook - Programs of one hook
 * @lock: protects everything in here and the hook's slot
 * @members: what is attached, in run order
 * @chain: what runs, NULL while the slot is closed
 * @model: arguments and return value, set by the first attach
 * @revision: how often @members or @chain have changed, counted from 1
 * @stale: @chain runs programs that are no longer in @members, because there
 *	was no memory for another chain
 */
struct bpf_lsm_hook {
	struct mutex lock; /* protects all members and the slot */
	struct list_head members;
	struct bpf_lsm_chain *chain;
	struct btf_func_model model;
	u64 revision;
	bool stale;
};

static struct bpf_lsm_hook hooks[LSM_SLOT_COUNT] = {
#define LSM_HOOK(RET, DEFAULT, NAME, ...)				\
	[LSM_SLOT_##NAME] = {						\
		.lock = __MUTEX_INITIALIZER(hooks[LSM_SLOT_##NAME].lock), \
		.members = LIST_HEAD_INIT(hooks[LSM_SLOT_##NAME].members), \
		.revision = 1,						\
	},
#include <linux/lsm_hook_defs.h>
#undef LSM_HOOK
};

static void retry_stale(struct work_struct *work);
static DECLARE_DELAYED_WORK(retry_work, retry_stale);

/* A chain that is not published yet, or a hook's, with its lock held. */
static void measure(struct bpf_lsm_chain *chain)
{
	bpf_lsm_chain_measure(chain,
			      static_key_enabled(&bpf_stats_enabled_key.key));
}

static struct bpf_lsm_chain *build(int id)
{
	struct bpf_lsm_hook *hook = &hooks[id];
	struct bpf_lsm_target target = {
		.name = lsm_slots[id].name,
		.stub = lsm_slots[id].idle,
		.model = hook->model,
	};
	struct bpf_lsm_chain *chain;

	chain = bpf_lsm_chain_build(&target, &hook->members);
	if (!IS_ERR(chain))
		measure(chain);
	return chain;
}

/* Make @chain what runs, which can be NULL for nothing, and retire the old. */
static void publish(int id, struct bpf_lsm_chain *chain)
{
	const struct lsm_slot *slot = &lsm_slots[id];
	struct bpf_lsm_hook *hook = &hooks[id];
	struct bpf_lsm_chain *old = hook->chain;

	lockdep_assert_held(&hook->lock);

	if (!chain)
		lsm_slot_close(slot);
	else if (!old)
		lsm_slot_open(slot, bpf_lsm_chain_entry(chain));
	else
		lsm_slot_redirect(slot, bpf_lsm_chain_entry(chain));

	hook->chain = chain;
	hook->revision++;
	hook->stale = false;
	bpf_lsm_chain_put(old);
}

/*
 * Stop running programs that are no longer attached. Without memory for that
 * they go on running, so that nothing is allowed which they deny, and the hook
 * is left stale.
 */
static void drop_detached(int id)
{
	struct bpf_lsm_hook *hook = &hooks[id];
	struct bpf_lsm_chain *chain = NULL;

	lockdep_assert_held(&hook->lock);

	if (!list_empty(&hook->members)) {
		chain = build(id);
		if (IS_ERR(chain)) {
			hook->stale = true;
			schedule_delayed_work(&retry_work, RETRY_DELAY);
			return;
		}
		bpf_lsm_chain_inherit_charge(chain, hook->chain);
	}
	publish(id, chain);
}

static void retry_stale(struct work_struct *work)
{
	int id;

	for (id = 0; id < LSM_SLOT_COUNT; id++) {
		guard(mutex)(&hooks[id].lock);
		if (hooks[id].stale)
			drop_detached(id);
	}
}

/**
 * bpf_lsm_stats_changed - Heed that run time shall be measured, or no longer
 *
 * Called after bpf_stats_enabled_key has changed. Chains that are built at the
 * same time have seen the change, or are published before their hook is
 * visited here.
 *
 * Context: May sleep. Takes the lock of each hook in turn.
 */
void bpf_lsm_stats_changed(void)
{
	int id;

	for (id = 0; id < LSM_SLOT_COUNT; id++) {
		guard(mutex)(&hooks[id].lock);
		if (hooks[id].chain)
			measure(hooks[id].chain);
	}
}

static bool is_attached(const struct bpf_lsm_hook *hook,
			const struct bpf_prog *prog)
{
	const struct bpf_lsm_member *member;

	list_for_each_entry(member, &hook->members, node)
		if (member->tramp.link.prog == prog)
			return true;
	return false;
}

static int attach(int id, const struct btf_func_model *model,
		  struct bpf_lsm_member *member)
{
	struct bpf_lsm_hook *hook = &hooks[id];
	struct bpf_lsm_chain *chain;

	guard(mutex)(&hook->lock);

	if (is_attached(hook, member->tramp.link.prog))
		return -EBUSY;

	hook->model = *model;
	list_add_tail(&member->node, &hook->members);

	chain = build(id);
	if (IS_ERR(chain)) {
		list_del_init(&member->node);
		return PTR_ERR(chain);
	}

	bpf_lsm_chain_charge(chain);
	publish(id, chain);
	return 0;
}

/**
 * bpf_lsm_hook_attach - Run one more program in a hook
 * @id: slot id of the hook
 * @model: arguments and return value of the hook
 * @member: the program and its cookie, comes last in run order
 *
 * On success @member belongs to the hook until bpf_lsm_hook_detach().
 *
 * Context: May sleep. Takes the hook's lock.
 * Return: 0, -EBUSY if the program is attached to the hook already, -E2BIG if
 * the hook has as many programs as fit, -EPERM if the JIT limit is reached,
 * -ENOMEM, or what the JIT says. Unless it is 0, nothing has changed.
 */
int bpf_lsm_hook_attach(int id, const struct btf_func_model *model,
			struct bpf_lsm_member *member)
{
	int err;

	err = bpf_lsm_chain_reserve();
	if (err)
		return err;

	err = attach(id, model, member);
	if (err)
		bpf_lsm_chain_unreserve();
	return err;
}

/**
 * bpf_lsm_hook_replace - Run another program in place of one that is attached
 * @id: slot id of the hook
 * @member: what was given to bpf_lsm_hook_attach()
 * @prog: program for the same hook, its reference goes to @member on success
 * @expected: the program that is to be replaced, NULL if any may be
 *
 * Each call of the hook runs either the old program or the new one, in the
 * same place among the others and with the same cookie. Nothing is charged for:
 * the hook has as many programs as before.
 *
 * Context: May sleep. Takes the hook's lock.
 * Return: 0, -ENOLINK if @member is not attached any more, -EPERM if it is not
 * @expected that is attached, -EBUSY if @prog is attached to the hook already,
 * by another link, -ENOMEM, or what the JIT says. Unless it is 0, nothing has
 * changed.
 */
int bpf_lsm_hook_replace(int id, struct bpf_lsm_member *member,
			 struct bpf_prog *prog, const struct bpf_prog *expected)
{
	struct bpf_lsm_hook *hook = &hooks[id];
	struct bpf_link *link = &member->tramp.link;
	struct bpf_lsm_member next = {
		.tramp.link.prog = prog,
		.tramp.cookie = member->tramp.cookie,
	};
	struct bpf_lsm_chain *chain;

	guard(mutex)(&hook->lock);

	if (list_empty(&member->node))
		return -ENOLINK;
	if (expected && link->prog != expected)
		return -EPERM;
	if (link->prog == prog) {
		bpf_prog_put(prog);
		return 0;
	}
	if (is_attached(hook, prog))
		return -EBUSY;

	/* Whoever looks at @member shall not see @prog before it runs. */
	list_replace(&member->node, &next.node);
	chain = build(id);
	list_replace(&next.node, &member->node);
	if (IS_ERR(chain))
		return PTR_ERR(chain);

	bpf_lsm_chain_inherit_charge(chain, hook->chain);
	publish(id, chain);

	/* Link info and fdinfo read it under RCU, without the lock. */
	bpf_prog_put(xchg(&link->prog, prog));
	return 0;
}

/**
 * bpf_lsm_hook_detach - Stop running a program in a hook
 * @id: slot id of the hook
 * @member: what was given to bpf_lsm_hook_attach()
 *
 * Cannot fail. If there is no memory for a chain without the program, the old
 * chain stays in force until there is. @member is the caller's again at once,
 * and detaching it once more does nothing.
 *
 * Context: May sleep. Takes the hook's lock.
 */
void bpf_lsm_hook_detach(int id, struct bpf_lsm_member *member)
{
	struct bpf_lsm_hook *hook = &hooks[id];

	guard(mutex)(&hook->lock);
	if (list_empty(&member->node))
		return;
	list_del_init(&member->node);
	drop_detached(id);
	/* Otherwise the new chain counts. */
	if (hook->stale)
		hook->revision++;
}

/**
 * bpf_lsm_hook_list - Tell what is attached to a hook
 * @id: slot id of the hook
 * @roster: is filled
 *
 * All of it is from one moment: nothing was attached or detached in between.
 *
 * Context: May sleep. Takes the hook's lock.
 */
void bpf_lsm_hook_list(int id, struct bpf_lsm_roster *roster)
{
	struct bpf_lsm_hook *hook = &hooks[id];
	const struct bpf_lsm_member *member;
	u32 nr = 0;

	guard(mutex)(&hook->lock);

	list_for_each_entry(member, &hook->members, node) {
		const struct bpf_link *link = &member->tramp.link;

		roster->prog_ids[nr] = link->prog->aux->id;
		/* Not protected by the lock: a link is attached, then settled. */
		roster->link_ids[nr] = READ_ONCE(link->id);
		nr++;
	}
	roster->nr = nr;
	roster->revision = hook->revision;
}
