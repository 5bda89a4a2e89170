// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - Programs for KUnit tests
 */

#include <linux/delay.h>
#include <linux/filter.h>
#include <linux/rcupdate.h>

#include "kunit_prog.h"

/* How long to wait for grace periods, in tries of 20 ms. */
#define TRIES 1500

static void put_prog(void *data)
{
	struct bpf_prog *prog = data;

	/* A chain that a failed test left behind still needs it. */
	if (atomic64_read(&prog->aux->refcnt) == 1)
		bpf_prog_free(prog);
}

/**
 * kunit_prog - Make a program
 * @test: what it belongs to, it goes when the test ends
 * @log: where it writes
 * @spec: what it does
 *
 * Return: the program, which has one reference that stays until the end.
 */
struct bpf_prog *kunit_prog(struct kunit *test, struct kunit_prog_log *log,
			    const struct kunit_prog_spec *spec)
{
	const struct bpf_insn write[] = {
		spec->writes >= KUNIT_PROG_NUMBER ?
			BPF_MOV64_IMM(BPF_REG_5, spec->writes - KUNIT_PROG_NUMBER) :
			BPF_LDX_MEM(BPF_DW, BPF_REG_5, BPF_REG_1, spec->writes * 8),
		BPF_LD_IMM64(BPF_REG_2, (unsigned long)log),
		BPF_LDX_MEM(BPF_DW, BPF_REG_3, BPF_REG_2, 0),
		BPF_MOV64_REG(BPF_REG_4, BPF_REG_3),
		BPF_ALU64_IMM(BPF_LSH, BPF_REG_4, 3),
		BPF_ALU64_REG(BPF_ADD, BPF_REG_4, BPF_REG_2),
		BPF_STX_MEM(BPF_DW, BPF_REG_4, BPF_REG_5,
			    offsetof(struct kunit_prog_log, entries)),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, 1),
		BPF_STX_MEM(BPF_DW, BPF_REG_2, BPF_REG_3, 0),
		spec->calls ? BPF_EMIT_CALL(spec->calls) :
			      BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_LD_IMM64(BPF_REG_0, spec->verdict),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog;
	int err;

	prog = bpf_prog_alloc(bpf_prog_size(ARRAY_SIZE(write)), 0);
	KUNIT_ASSERT_NOT_NULL(test, prog);

	memcpy(prog->insnsi, write, sizeof(write));
	prog->len = ARRAY_SIZE(write);
	prog->type = BPF_PROG_TYPE_LSM;
	prog->expected_attach_type = BPF_LSM_MAC;
	prog->sleepable = spec->sleepable;
	atomic64_set(&prog->aux->refcnt, 1);

	prog = bpf_prog_select_runtime(prog, &err);
	KUNIT_ASSERT_EQ(test, err, 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, put_prog, prog), 0);
	return prog;
}

/**
 * kunit_prog_member - Make what a program is attached by
 * @test: what it belongs to
 * @prog: the program
 *
 * Return: the member, with a reference to @prog that replacing it would drop.
 */
struct bpf_lsm_member *kunit_prog_member(struct kunit *test,
					 struct bpf_prog *prog)
{
	struct bpf_lsm_member *member;

	member = kunit_kzalloc(test, sizeof(*member), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, member);
	INIT_LIST_HEAD(&member->node);
	member->tramp.link.prog = prog;
	return member;
}

/**
 * kunit_prog_goes - Whether the last chain with a program goes
 * @prog: the program, which nobody else holds
 *
 * Context: May sleep, for as long as grace periods take.
 * Return: true if it went before this was tired of waiting.
 */
bool kunit_prog_goes(const struct bpf_prog *prog)
{
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		if (atomic64_read(&prog->aux->refcnt) == 1)
			return true;
		msleep(20);
	}
	return false;
}

/**
 * kunit_prog_expect_log - Compare what programs have written, and begin anew
 * @test: fails if it is something else
 * @log: what they have written
 * @entries: what they should have written
 * @nr: how many entries that are
 */
void kunit_prog_expect_log(struct kunit *test, struct kunit_prog_log *log,
			   const u64 *entries, u64 nr)
{
	u64 i;

	KUNIT_EXPECT_EQ(test, log->nr, nr);
	for (i = 0; i < min(nr, log->nr); i++)
		KUNIT_EXPECT_EQ_MSG(test, log->entries[i], entries[i],
				    "entry %llu", i);
	log->nr = 0;
}
