// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - KUnit tests of what is attached to a hook
 *
 * They would catch a program that runs although it is detached, does not run
 * although it is attached, loses its place, and a policy that is lost where
 * there is no memory for the next one. The hook is syslog: nobody but a test
 * asks it while the kernel boots.
 */

#include <linux/bpf_lsm.h>
#include <linux/lsm_slot.h>
#include <linux/security.h>
#include <kunit/static_stub.h>

#include "hook.h"
#include "kunit_prog.h"

#define HOOK LSM_SLOT_syslog

static const struct btf_func_model model = {
	.ret_size = 4,
	.ret_flags = BTF_FMODEL_SIGNED_ARG,
	.nr_args = 1,
	.arg_size = { 4 },
	.arg_flags = { BTF_FMODEL_SIGNED_ARG },
};

/* What each test has: what programs write, and what it has to detach. */
struct hook_test {
	struct kunit_prog_log log;
	struct bpf_lsm_member *members[BPF_MAX_TRAMP_LINKS + 1];
	int nr_members;
	u64 revision;
};

static struct bpf_lsm_roster *roster(struct kunit *test)
{
	struct bpf_lsm_roster *roster;

	roster = kunit_kzalloc(test, sizeof(*roster), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, roster);
	bpf_lsm_hook_list(HOOK, roster);
	return roster;
}

/* How often has the hook changed since this was asked last? */
static u64 changes(struct kunit *test)
{
	struct hook_test *ht = test->priv;
	u64 before = ht->revision;

	ht->revision = roster(test)->revision;
	return ht->revision - before;
}

static int hook_test_init(struct kunit *test)
{
	struct hook_test *ht = kunit_kzalloc(test, sizeof(*ht), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ht);
	test->priv = ht;
	KUNIT_ASSERT_EQ(test, roster(test)->nr, 0U);
	changes(test);
	return 0;
}

/* Programs go when the test ends, so the chains have to go before. */
static void hook_test_exit(struct kunit *test)
{
	struct hook_test *ht = test->priv;
	int i;

	for (i = 0; i < ht->nr_members; i++)
		bpf_lsm_hook_detach(HOOK, ht->members[i]);
	for (i = 0; i < ht->nr_members; i++)
		KUNIT_EXPECT_TRUE(test, kunit_prog_goes(ht->members[i]->tramp.link.prog));
}

/* A program that writes @number and says @verdict, not attached. */
static struct bpf_lsm_member *member(struct kunit *test, int number, int verdict)
{
	struct hook_test *ht = test->priv;
	struct kunit_prog_spec spec = {
		.writes = KUNIT_PROG_NUMBER + number,
		.verdict = (s64)verdict,
	};
	struct bpf_lsm_member *member;

	member = kunit_prog_member(test, kunit_prog(test, &ht->log, &spec));
	KUNIT_ASSERT_LT(test, ht->nr_members, (int)ARRAY_SIZE(ht->members));
	ht->members[ht->nr_members++] = member;
	return member;
}

static struct bpf_lsm_member *attach(struct kunit *test, int number, int verdict)
{
	struct bpf_lsm_member *added = member(test, number, verdict);

	KUNIT_ASSERT_EQ(test, bpf_lsm_hook_attach(HOOK, &model, added), 0);
	return added;
}

/* Replacing drops the reference to the program that was attached. */
static int replace(struct bpf_lsm_member *member, struct bpf_prog *prog,
		   const struct bpf_prog *expected)
{
	struct bpf_prog *old = member->tramp.link.prog;
	int err;

	bpf_prog_inc(old);
	bpf_prog_inc(prog);
	err = bpf_lsm_hook_replace(HOOK, member, prog, expected);
	if (err)
		bpf_prog_put(prog);
	if (err || old == prog)
		bpf_prog_put(old);
	return err;
}

static void expect_verdict(struct kunit *test, int verdict)
{
	KUNIT_EXPECT_EQ(test, security_syslog(0),
			IS_ENABLED(CONFIG_BPF_LSM_ENFORCE) ? verdict : 0);
}

static void runs_while_attached(struct kunit *test)
{
	struct hook_test *ht = test->priv;
	struct bpf_lsm_member *member;

	expect_verdict(test, 0);
	KUNIT_PROG_EXPECT_LOG(test, &ht->log);

	member = attach(test, 1, -EROFS);
	expect_verdict(test, -EROFS);
	KUNIT_PROG_EXPECT_LOG(test, &ht->log, 1);

	bpf_lsm_hook_detach(HOOK, member);
	expect_verdict(test, 0);
	KUNIT_PROG_EXPECT_LOG(test, &ht->log);
}

static void runs_in_order_of_attach(struct kunit *test)
{
	struct hook_test *ht = test->priv;
	struct bpf_lsm_member *first, *second;

	first = attach(test, 1, 0);
	second = attach(test, 2, 0);
	attach(test, 3, 0);
	expect_verdict(test, 0);
	KUNIT_PROG_EXPECT_LOG(test, &ht->log, 1, 2, 3);

	bpf_lsm_hook_detach(HOOK, second);
	expect_verdict(test, 0);
	KUNIT_PROG_EXPECT_LOG(test, &ht->log, 1, 3);

	bpf_lsm_hook_detach(HOOK, first);
	KUNIT_EXPECT_EQ(test, bpf_lsm_hook_attach(HOOK, &model, first), 0);
	expect_verdict(test, 0);
	KUNIT_PROG_EXPECT_LOG(test, &ht->log, 3, 1);
}

static void replaces_in_place(struct kunit *test)
{
	struct hook_test *ht = test->priv;
	struct bpf_lsm_member *middle, *spare;

	attach(test, 1, 0);
	middle = attach(test, 2, -EPERM);
	attach(test, 3, 0);
	spare = member(test, 4, 0);
	changes(test);

	KUNIT_EXPECT_EQ(test, replace(middle, spare->tramp.link.prog, NULL), 0);
	KUNIT_EXPECT_PTR_EQ(test, middle->tramp.link.prog, spare->tramp.link.prog);
	KUNIT_EXPECT_EQ(test, changes(test), 1ULL);
	expect_verdict(test, 0);
	KUNIT_PROG_EXPECT_LOG(test, &ht->log, 1, 4, 3);

	/* It holds the new program now, which the log's owner has once more. */
	bpf_lsm_hook_detach(HOOK, middle);
	bpf_prog_put(middle->tramp.link.prog);
}

static void refuses_to_replace(struct kunit *test)
{
	struct hook_test *ht = test->priv;
	struct bpf_lsm_member *one, *two, *spare;
	struct bpf_prog *prog;

	one = attach(test, 1, 0);
	two = attach(test, 2, 0);
	spare = member(test, 3, -EPERM);
	prog = spare->tramp.link.prog;
	changes(test);

	KUNIT_EXPECT_EQ(test, replace(one, prog, two->tramp.link.prog), -EPERM);
	KUNIT_EXPECT_EQ(test, replace(one, two->tramp.link.prog, NULL), -EBUSY);
	KUNIT_EXPECT_EQ(test, replace(spare, prog, NULL), -ENOLINK);
	KUNIT_EXPECT_EQ(test, replace(one, one->tramp.link.prog, NULL), 0);
	KUNIT_EXPECT_EQ(test, changes(test), 0ULL);
	expect_verdict(test, 0);
	KUNIT_PROG_EXPECT_LOG(test, &ht->log, 1, 2);
}

static void attaches_a_program_once(struct kunit *test)
{
	struct hook_test *ht = test->priv;
	struct bpf_lsm_member *one, *twin;
	int err;

	one = attach(test, 1, 0);
	twin = kunit_prog_member(test, one->tramp.link.prog);
	err = bpf_lsm_hook_attach(HOOK, &model, twin);
	KUNIT_EXPECT_EQ(test, err, -EBUSY);
	expect_verdict(test, 0);
	KUNIT_PROG_EXPECT_LOG(test, &ht->log, 1);
	if (!err)
		bpf_lsm_hook_detach(HOOK, twin);
}

static void detaches_once(struct kunit *test)
{
	struct bpf_lsm_member *one = attach(test, 1, -EPERM);

	attach(test, 2, -EROFS);
	bpf_lsm_hook_detach(HOOK, one);
	changes(test);
	bpf_lsm_hook_detach(HOOK, one);
	KUNIT_EXPECT_EQ(test, changes(test), 0ULL);
	expect_verdict(test, -EROFS);
}

static void takes_as_many_as_fit(struct kunit *test)
{
	struct hook_test *ht = test->priv;
	struct bpf_lsm_member *extra;
	int i;

	for (i = 0; i < BPF_MAX_TRAMP_LINKS; i++)
		attach(test, i, 0);
	changes(test);
	extra = member(test, i, -EPERM);
	KUNIT_EXPECT_EQ(test, bpf_lsm_hook_attach(HOOK, &model, extra), -E2BIG);
	KUNIT_EXPECT_TRUE(test, list_empty(&extra->node));
	KUNIT_EXPECT_EQ(test, changes(test), 0ULL);
	expect_verdict(test, 0);
	KUNIT_EXPECT_EQ(test, ht->log.nr, (u64)BPF_MAX_TRAMP_LINKS);
}

static void lists_in_run_order(struct kunit *test)
{
	struct bpf_lsm_roster *list;
	int i;

	for (i = 1; i <= 3; i++) {
		struct bpf_lsm_member *added = attach(test, i, 0);

		added->tramp.link.id = 10 * i;
		KUNIT_EXPECT_EQ(test, changes(test), 1ULL);
	}
	list = roster(test);
	KUNIT_ASSERT_EQ(test, list->nr, 3U);
	for (i = 1; i <= 3; i++)
		KUNIT_EXPECT_EQ(test, list->link_ids[i - 1], 10U * i);
}

static struct bpf_lsm_chain *no_memory(const struct bpf_lsm_target *target,
				       const struct list_head *members)
{
	return ERR_PTR(-ENOMEM);
}

static void changes_nothing_without_memory(struct kunit *test)
{
	struct hook_test *ht = test->priv;
	struct bpf_lsm_member *one, *spare;

	one = attach(test, 1, -EROFS);
	spare = member(test, 2, 0);
	changes(test);

	kunit_activate_static_stub(test, bpf_lsm_chain_build, no_memory);
	KUNIT_EXPECT_EQ(test, bpf_lsm_hook_attach(HOOK, &model, spare), -ENOMEM);
	KUNIT_EXPECT_TRUE(test, list_empty(&spare->node));
	KUNIT_EXPECT_EQ(test, replace(one, spare->tramp.link.prog, NULL), -ENOMEM);
	kunit_deactivate_static_stub(test, bpf_lsm_chain_build);

	KUNIT_EXPECT_EQ(test, changes(test), 0ULL);
	expect_verdict(test, -EROFS);
	KUNIT_PROG_EXPECT_LOG(test, &ht->log, 1);
}

/* What cannot be dropped goes on denying, and is dropped when that is possible. */
static void detaches_without_memory(struct kunit *test)
{
	struct bpf_lsm_member *one, *two;
	struct bpf_lsm_roster *list;

	one = attach(test, 1, -EROFS);
	two = attach(test, 2, -EPERM);
	changes(test);

	kunit_activate_static_stub(test, bpf_lsm_chain_build, no_memory);
	bpf_lsm_hook_detach(HOOK, one);
	kunit_deactivate_static_stub(test, bpf_lsm_chain_build);

	expect_verdict(test, -EROFS);
	list = roster(test);
	KUNIT_EXPECT_EQ(test, list->nr, 1U);

	/* The work that tries again is not in this test and gets its memory. */
	KUNIT_EXPECT_TRUE(test, kunit_prog_goes(one->tramp.link.prog));
	expect_verdict(test, -EPERM);

	/* The last one needs none. */
	kunit_activate_static_stub(test, bpf_lsm_chain_build, no_memory);
	bpf_lsm_hook_detach(HOOK, two);
	kunit_deactivate_static_stub(test, bpf_lsm_chain_build);
	expect_verdict(test, 0);

	/* Two detaches, and the chain of the retry. */
	KUNIT_EXPECT_EQ(test, changes(test), 3ULL);
}

static struct kunit_case hook_test_cases[] = {
	KUNIT_CASE(runs_while_attached),
	KUNIT_CASE(runs_in_order_of_attach),
	KUNIT_CASE(replaces_in_place),
	KUNIT_CASE(refuses_to_replace),
	KUNIT_CASE(attaches_a_program_once),
	KUNIT_CASE(detaches_once),
	KUNIT_CASE(takes_as_many_as_fit),
	KUNIT_CASE(lists_in_run_order),
	KUNIT_CASE(changes_nothing_without_memory),
	KUNIT_CASE(detaches_without_memory),
	{}
};

static struct kunit_suite hook_test_suite = {
	.name = "bpf_lsm_hook",
	.init = hook_test_init,
	.exit = hook_test_exit,
	.test_cases = hook_test_cases,
};

kunit_test_suite(hook_test_suite);
