/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF LSM - Programs for KUnit tests
 *
 * They are made in the kernel, have seen no verifier, and write down that they
 * ran.
 */

#ifndef _SECURITY_BPF_KUNIT_PROG_H
#define _SECURITY_BPF_KUNIT_PROG_H

#include <linux/bpf.h>
#include <linux/bpf_chain.h>
#include <linux/list.h>
#include <kunit/test.h>

#include "chain.h"

/* What a program writes down: its context, counted in u64, or a number. */
#define KUNIT_PROG_ARG(n)	(n)
#define KUNIT_PROG_NR_ARGS	BPF_CHAIN_CTX_NR_ARGS
#define KUNIT_PROG_COOKIE	BPF_CHAIN_CTX_COOKIE
#define KUNIT_PROG_NUMBER	100

/**
 * struct kunit_prog_log - What programs have written down, in the order they ran
 * @nr: number of entries
 * @entries: one for each time that a program ran
 */
struct kunit_prog_log {
	u64 nr;
	u64 entries[2 * BPF_MAX_TRAMP_LINKS];
};

/**
 * struct kunit_prog_spec - What a program is to be like
 * @writes: KUNIT_PROG_ARG(n), KUNIT_PROG_NR_ARGS or KUNIT_PROG_COOKIE, or
 *	KUNIT_PROG_NUMBER plus the number that it writes down
 * @verdict: what it returns, all 64 bits
 * @sleepable: whether it may sleep
 * @calls: is called after the program has written, or NULL
 */
struct kunit_prog_spec {
	int writes;
	u64 verdict;
	bool sleepable;
	u64 (*calls)(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5);
};

struct bpf_prog *kunit_prog(struct kunit *test, struct kunit_prog_log *log,
			    const struct kunit_prog_spec *spec);
struct bpf_lsm_member *kunit_prog_member(struct kunit *test,
					 struct bpf_prog *prog);
bool kunit_prog_goes(const struct bpf_prog *prog);

#define KUNIT_PROG_EXPECT_LOG(test, log, ...)				\
	kunit_prog_expect_log(test, log, (const u64[]) { __VA_ARGS__ },	\
			      sizeof((const u64[]) { __VA_ARGS__ }) / 8)

void kunit_prog_expect_log(struct kunit *test, struct kunit_prog_log *log,
			   const u64 *entries, u64 nr);

#endif /* _SECURITY_BPF_KUNIT_PROG_H */
