// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - KUnit tests of chains
 *
 * They would catch programs that run in another order, after a denial, or with
 * other arguments than the hook has got, verdicts that are compared in the wrong
 * width, and chains that go while somebody is in them.
 */

#include <linux/bpf_lsm.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/mm_types.h>
#include <linux/rcupdate.h>

#include "kunit_prog.h"

typedef int (*mprotect_fn)(struct vm_area_struct *vma, unsigned long reqprot,
			   unsigned long prot);

/* What each test has: a hook of three arguments, programs, and what they write. */
struct chain_test {
	struct bpf_lsm_target target;
	struct list_head members;
	struct kunit_prog_log log;
};

static int chain_test_init(struct kunit *test)
{
	struct chain_test *ct = kunit_kzalloc(test, sizeof(*ct), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ct);
	ct->target.name = "file_mprotect";
	ct->target.stub = bpf_lsm_file_mprotect;
	ct->target.model = (struct btf_func_model) {
		.ret_size = 4,
		.ret_flags = BTF_FMODEL_SIGNED_ARG,
		.nr_args = 3,
		.arg_size = { 8, 8, 8 },
	};
	INIT_LIST_HEAD(&ct->members);
	test->priv = ct;
	return 0;
}

static struct bpf_prog *add(struct kunit *test, struct kunit_prog_spec spec)
{
	struct chain_test *ct = test->priv;
	struct bpf_prog *prog = kunit_prog(test, &ct->log, &spec);

	list_add_tail(&kunit_prog_member(test, prog)->node, &ct->members);
	return prog;
}

/* Program number @number says @verdict. */
static struct bpf_prog *add_numbered(struct kunit *test, int number, u64 verdict)
{
	return add(test, (struct kunit_prog_spec) {
		.writes = KUNIT_PROG_NUMBER + number,
		.verdict = verdict,
	});
}

static struct bpf_prog *add_sleepable(struct kunit *test, int number, u64 verdict)
{
	return add(test, (struct kunit_prog_spec) {
		.writes = KUNIT_PROG_NUMBER + number,
		.verdict = verdict,
		.sleepable = true,
	});
}

static struct bpf_lsm_chain *build(struct kunit *test)
{
	struct chain_test *ct = test->priv;
	struct bpf_lsm_chain *chain;

	chain = bpf_lsm_chain_build(&ct->target, &ct->members);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, chain);
	return chain;
}

static int run(const struct bpf_lsm_chain *chain)
{
	mprotect_fn entry = bpf_lsm_chain_entry(chain);

	return entry((void *)0x1122334455667788, 0x99, 0xaabbccdd00000000);
}

/* Its programs go when the test ends, so it has to go before. */
static void retire(struct kunit *test, struct bpf_lsm_chain *chain)
{
	struct bpf_prog *last = chain->progs[chain->nr_progs - 1].prog;

	bpf_lsm_chain_put(chain);
	KUNIT_EXPECT_TRUE(test, kunit_prog_goes(last));
}

static void runs_in_order(struct kunit *test)
{
	struct chain_test *ct = test->priv;
	struct bpf_lsm_chain *chain;

	add_numbered(test, 1, 0);
	add_numbered(test, 2, 0);
	add_numbered(test, 3, 0);
	chain = build(test);
	KUNIT_EXPECT_EQ(test, run(chain), 0);
	KUNIT_PROG_EXPECT_LOG(test, &ct->log, 1, 2, 3);
	retire(test, chain);
}

static void first_verdict_wins(struct kunit *test)
{
	struct chain_test *ct = test->priv;
	struct bpf_lsm_chain *chain;

	add_numbered(test, 1, 0);
	add_numbered(test, 2, -EACCES);
	add_numbered(test, 3, -EPERM);
	chain = build(test);
	if (IS_ENABLED(CONFIG_BPF_LSM_ENFORCE)) {
		KUNIT_EXPECT_EQ(test, run(chain), -EACCES);
		KUNIT_PROG_EXPECT_LOG(test, &ct->log, 1, 2);
	} else {
		KUNIT_EXPECT_EQ(test, run(chain), 0);
		KUNIT_PROG_EXPECT_LOG(test, &ct->log, 1, 2, 3);
	}
	retire(test, chain);
}

/* The verifier bounds the lower half only: the other one must not matter. */
static void high_bits(struct kunit *test)
{
	struct chain_test *ct = test->priv;
	struct bpf_lsm_chain *chain;

	if (!IS_ENABLED(CONFIG_BPF_LSM_ENFORCE))
		kunit_skip(test, "CONFIG_BPF_LSM_ENFORCE=n");

	add_numbered(test, 1, 1ULL << 32);
	add_sleepable(test, 2, 1ULL << 63);
	add_numbered(test, 3, 1ULL << 32);
	add_numbered(test, 4, (5ULL << 32) | (u32)-EROFS);
	add_numbered(test, 5, 0);
	chain = build(test);
	KUNIT_EXPECT_EQ(test, run(chain), -EROFS);
	KUNIT_PROG_EXPECT_LOG(test, &ct->log, 1, 2, 3, 4);
	retire(test, chain);
}

static void void_hooks_run_all(struct kunit *test)
{
	struct chain_test *ct = test->priv;
	struct bpf_lsm_chain *chain;

	ct->target.model.ret_size = 0;
	ct->target.model.ret_flags = 0;
	add_numbered(test, 1, -EPERM);
	add_sleepable(test, 2, -EPERM);
	add_numbered(test, 3, -EPERM);
	chain = build(test);
	run(chain);
	KUNIT_PROG_EXPECT_LOG(test, &ct->log, 1, 2, 3);

	bpf_lsm_chain_measure(chain, true);
	run(chain);
	KUNIT_PROG_EXPECT_LOG(test, &ct->log, 1, 2, 3);
	retire(test, chain);
}

static void sees_arguments(struct kunit *test)
{
	struct chain_test *ct = test->priv;
	struct bpf_lsm_chain *chain;
	int i;

	for (i = 0; i < 3; i++)
		add(test, (struct kunit_prog_spec) { .writes = KUNIT_PROG_ARG(i) });
	add(test, (struct kunit_prog_spec) { .writes = KUNIT_PROG_NR_ARGS });
	/* The return value so far, behind the arguments. */
	add(test, (struct kunit_prog_spec) { .writes = KUNIT_PROG_ARG(3) });
	for (i = 0; i < 3; i++)
		add(test, (struct kunit_prog_spec) {
			.writes = KUNIT_PROG_ARG(i),
			.sleepable = true,
		});
	chain = build(test);
	KUNIT_EXPECT_EQ(test, run(chain), 0);
	KUNIT_PROG_EXPECT_LOG(test, &ct->log,
			      0x1122334455667788, 0x99, 0xaabbccdd00000000, 3, 0,
			      0x1122334455667788, 0x99, 0xaabbccdd00000000);
	retire(test, chain);
}

static void sees_own_cookie(struct kunit *test)
{
	const u64 cookies[] = { 7, 0, 0x8000000000000001, 0xffffffff };
	struct chain_test *ct = test->priv;
	struct bpf_lsm_member *member;
	struct bpf_lsm_chain *chain;
	int i = 0;

	add(test, (struct kunit_prog_spec) { .writes = KUNIT_PROG_COOKIE });
	add(test, (struct kunit_prog_spec) {
		.writes = KUNIT_PROG_COOKIE,
		.sleepable = true,
	});
	add(test, (struct kunit_prog_spec) { .writes = KUNIT_PROG_COOKIE });
	add(test, (struct kunit_prog_spec) { .writes = KUNIT_PROG_COOKIE });
	list_for_each_entry(member, &ct->members, node)
		member->tramp.cookie = cookies[i++];
	chain = build(test);
	KUNIT_EXPECT_EQ(test, run(chain), 0);
	kunit_prog_expect_log(test, &ct->log, cookies, ARRAY_SIZE(cookies));

	bpf_lsm_chain_measure(chain, true);
	KUNIT_EXPECT_EQ(test, run(chain), 0);
	kunit_prog_expect_log(test, &ct->log, cookies, ARRAY_SIZE(cookies));
	retire(test, chain);
}

static void mixes_sleepable_programs(struct kunit *test)
{
	struct chain_test *ct = test->priv;
	struct bpf_lsm_chain *chain;

	add_numbered(test, 1, 0);
	add_sleepable(test, 2, 0);
	add_sleepable(test, 3, 0);
	add_numbered(test, 4, 0);
	add_sleepable(test, 5, -EPERM);
	chain = build(test);
	KUNIT_EXPECT_EQ(test, chain->nr_sleepable, 3U);
	KUNIT_EXPECT_EQ(test, run(chain),
			IS_ENABLED(CONFIG_BPF_LSM_ENFORCE) ? -EPERM : 0);
	KUNIT_PROG_EXPECT_LOG(test, &ct->log, 1, 2, 3, 4, 5);
	retire(test, chain);
}

/* With one CPU there is nowhere to migrate to. */
static int migration_disabled(void)
{
#ifdef CONFIG_SMP
	return current->migration_disabled;
#else
	return 0;
#endif
}

/* What is around the programs has to be left again, whoever decides. */
static void leaves_no_trace(struct kunit *test)
{
	int preempt = preempt_count(), migration = migration_disabled();
	int trace = current->trc_reader_nesting;
	struct chain_test *ct = test->priv;
	struct bpf_lsm_chain *chain;

	add_numbered(test, 1, 0);
	add_sleepable(test, 2, 0);
	add_numbered(test, 3, -EPERM);
	add_sleepable(test, 4, 0);
	chain = build(test);
	KUNIT_EXPECT_EQ(test, run(chain),
			IS_ENABLED(CONFIG_BPF_LSM_ENFORCE) ? -EPERM : 0);
	if (IS_ENABLED(CONFIG_BPF_LSM_ENFORCE))
		KUNIT_PROG_EXPECT_LOG(test, &ct->log, 1, 2, 3);
	else
		KUNIT_PROG_EXPECT_LOG(test, &ct->log, 1, 2, 3, 4);
	KUNIT_EXPECT_EQ(test, preempt_count(), preempt);
	KUNIT_EXPECT_EQ(test, migration_disabled(), migration);
	KUNIT_EXPECT_EQ(test, current->trc_reader_nesting, trace);
	KUNIT_EXPECT_NULL(test, current->bpf_ctx);
	KUNIT_EXPECT_FALSE(test, rcu_preempt_depth());
	retire(test, chain);
}

/* Run time is measured by other code, which has to do the same. */
static void does_the_same_measured(struct kunit *test)
{
	struct chain_test *ct = test->priv;
	struct bpf_lsm_chain *chain;
	int round;

	add_numbered(test, 1, 1ULL << 32);
	add_sleepable(test, 2, 0);
	add(test, (struct kunit_prog_spec) { .writes = KUNIT_PROG_ARG(1) });
	add_numbered(test, 4, -EPERM);
	chain = build(test);
	for (round = 0; round < 6; round++) {
		bpf_lsm_chain_measure(chain, round & 1);
		KUNIT_EXPECT_EQ(test, run(chain),
				IS_ENABLED(CONFIG_BPF_LSM_ENFORCE) ? -EPERM : 0);
		KUNIT_PROG_EXPECT_LOG(test, &ct->log, 1, 2, 0x99, 4);
	}
	retire(test, chain);
}

static void holds_as_many_as_fit(struct kunit *test)
{
	struct chain_test *ct = test->priv;
	struct bpf_lsm_chain *chain;
	int i;

	for (i = 0; i < BPF_MAX_TRAMP_LINKS; i++)
		add_numbered(test, i, 0);
	chain = build(test);
	KUNIT_EXPECT_EQ(test, run(chain), 0);
	KUNIT_EXPECT_EQ(test, ct->log.nr, (u64)BPF_MAX_TRAMP_LINKS);
	for (i = 0; i < BPF_MAX_TRAMP_LINKS; i++)
		KUNIT_EXPECT_EQ(test, ct->log.entries[i], (u64)i);
	retire(test, chain);

	add_numbered(test, i, 0);
	chain = bpf_lsm_chain_build(&ct->target, &ct->members);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(chain), -E2BIG);
}

/* A chain that takes another one's place pays with what that has paid. */
static void inherits_charge(struct kunit *test)
{
	struct chain_test *ct = test->priv;
	struct bpf_lsm_chain *large, *small, *larger;

	add_numbered(test, 1, 0);
	add_numbered(test, 2, 0);
	large = build(test);
	KUNIT_ASSERT_EQ(test, bpf_lsm_chain_reserve(), 0);
	bpf_lsm_chain_charge(large);
	KUNIT_EXPECT_EQ(test, large->charged, large->size);

	list_del(ct->members.prev);
	small = build(test);
	KUNIT_EXPECT_EQ(test, small->charged, 0U);
	bpf_lsm_chain_inherit_charge(small, large);
	KUNIT_EXPECT_EQ(test, small->charged, small->size);
	KUNIT_EXPECT_EQ(test, small->charged + large->charged, large->size);

	/* There is no more to inherit than what has been paid. */
	add_numbered(test, 3, 0);
	larger = build(test);
	bpf_lsm_chain_inherit_charge(larger, small);
	KUNIT_EXPECT_GT(test, larger->size, small->size);
	KUNIT_EXPECT_EQ(test, larger->charged, small->size);
	KUNIT_EXPECT_EQ(test, small->charged, 0U);
	retire(test, large);
	retire(test, larger);
	retire(test, small);
}

/* One task in a program: it has entered it, and may leave it. */
static DECLARE_COMPLETION(entered);
static DECLARE_COMPLETION(may_leave);

static u64 sleep_inside(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	complete(&entered);
	wait_for_completion(&may_leave);
	return 0;
}

static u64 spin_inside(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	complete(&entered);
	while (!completion_done(&may_leave))
		cpu_relax();
	return 0;
}

static int run_thread(void *chain)
{
	return run(chain);
}

/*
 * While a task is in its last but one program, a chain is retired. Nothing of
 * it may go before the task is out, and all of it has to go then.
 */
static void outlives_whoever_is_inside(struct kunit *test, bool sleepable)
{
	struct chain_test *ct = test->priv;
	struct task_struct *task;
	struct bpf_lsm_chain *chain;
	struct bpf_prog *last;
	int i;

	reinit_completion(&entered);
	reinit_completion(&may_leave);
	add_sleepable(test, 1, 0);
	add(test, (struct kunit_prog_spec) {
		.writes = KUNIT_PROG_NUMBER + 2,
		.sleepable = sleepable,
		.calls = sleepable ? sleep_inside : spin_inside,
	});
	last = add_numbered(test, 3, -EPERM);
	chain = build(test);

	task = kthread_create(run_thread, chain, "bpf_lsm_inside");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	get_task_struct(task);
	wake_up_process(task);
	wait_for_completion(&entered);

	bpf_lsm_chain_put(chain);
	/* Enough for a chain that waits five times for the wrong kind of readers. */
	for (i = 0; i < 10 && sleepable; i++) {
		synchronize_rcu_tasks();
		synchronize_rcu();
	}
	msleep(100);
	KUNIT_EXPECT_EQ(test, atomic64_read(&last->aux->refcnt), 2LL);

	complete_all(&may_leave);
	KUNIT_EXPECT_EQ(test, kthread_stop_put(task),
			IS_ENABLED(CONFIG_BPF_LSM_ENFORCE) ? -EPERM : 0);
	KUNIT_PROG_EXPECT_LOG(test, &ct->log, 1, 2, 3);
	KUNIT_EXPECT_TRUE(test, kunit_prog_goes(last));
}

static void outlives_a_sleeper(struct kunit *test)
{
	outlives_whoever_is_inside(test, true);
}

static void outlives_a_runner(struct kunit *test)
{
	if (num_online_cpus() < 2 && !preempt_model_preemptible())
		kunit_skip(test, "the runner would have the only CPU");
	outlives_whoever_is_inside(test, false);
}

static void goes_with_last_reference(struct kunit *test)
{
	struct bpf_lsm_chain *chain;
	struct bpf_prog *prog;

	prog = add_numbered(test, 1, 0);
	chain = build(test);
	refcount_inc(&chain->usage);
	bpf_lsm_chain_put(chain);
	synchronize_rcu_tasks();
	msleep(20);
	KUNIT_ASSERT_EQ(test, atomic64_read(&prog->aux->refcnt), 2LL);
	KUNIT_EXPECT_EQ(test, run(chain), 0);
	retire(test, chain);
}

static struct kunit_case chain_test_cases[] = {
	KUNIT_CASE(runs_in_order),
	KUNIT_CASE(first_verdict_wins),
	KUNIT_CASE(high_bits),
	KUNIT_CASE(void_hooks_run_all),
	KUNIT_CASE(sees_arguments),
	KUNIT_CASE(sees_own_cookie),
	KUNIT_CASE(mixes_sleepable_programs),
	KUNIT_CASE(leaves_no_trace),
	KUNIT_CASE(does_the_same_measured),
	KUNIT_CASE(holds_as_many_as_fit),
	KUNIT_CASE(inherits_charge),
	KUNIT_CASE(goes_with_last_reference),
	KUNIT_CASE(outlives_a_sleeper),
	KUNIT_CASE(outlives_a_runner),
	{}
};

static struct kunit_suite chain_test_suite = {
	.name = "bpf_lsm_chain",
	.init = chain_test_init,
	.test_cases = chain_test_cases,
};

kunit_test_suite(chain_test_suite);
