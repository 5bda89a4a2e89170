/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF LSM - Chains of programs
 *
 *	mutex_lock(&hook->lock);
 *	chain = bpf_lsm_chain_build(...);	what shall run from now on
 *	lsm_slot_redirect(slot, entry(chain));	publish
 *	bpf_lsm_chain_put(old);			retire
 *	mutex_unlock(&hook->lock);
 */

#ifndef _SECURITY_BPF_CHAIN_H
#define _SECURITY_BPF_CHAIN_H

#include <linux/bpf.h>
#include <linux/bpf_chain.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>

/**
 * struct bpf_lsm_member - A program's place in a hook
 * @tramp: program and cookie, as the JIT wants to have them
 * @node: entry in the hook's list, which is in run order
 */
struct bpf_lsm_member {
	struct bpf_tramp_link tramp;
	struct list_head node;
};

/**
 * struct bpf_lsm_target - What chains of one hook are built for
 * @name: name of the hook
 * @stub: bpf_lsm_<hook>(), whose type the chain's entry has
 * @model: arguments and return value of the hook
 */
struct bpf_lsm_target {
	const char *name;
	void *stub;
	struct btf_func_model model;
};

/**
 * struct bpf_lsm_chain - Programs that run one after the other in a hook
 * @usage: references: the hook's while the chain is published
 * @image: machine code that calls the programs
 * @size: size of @image in bytes
 * @charged: how much of @size is charged to the JIT limit
 * @toggle: where in @image run time measurement is switched, or NULL
 * @measured: what @toggle jumps to while it is on
 * @is_measured: whether it is on
 * @run_all: run all programs whatever they return
 * @ksym: makes @image known to kallsyms and to stack traces
 * @nr_sleepable: number of sleepable programs, counts down as the chain is seen
 *	out of use
 * @rcu: grace periods after the last reference
 * @work: frees the chain after the last grace period
 * @nr_progs: number of programs
 * @progs: the programs, in run order, with a reference on each, and the cookies
 *
 * A chain never changes. Another set of programs, or another order, is another
 * chain. The programs and the image go together, after grace periods that have
 * seen every task out of both: a task that was preempted in the image may still
 * be about to call a program.
 */
struct bpf_lsm_chain {
	refcount_t usage;
	void *image;
	u32 size;
	u32 charged;
	void *toggle;
	void *measured;
	bool is_measured;
	bool run_all;
	struct bpf_ksym ksym;
	u32 nr_sleepable;
	union {
		struct rcu_head rcu;
		struct work_struct work;
	};
	u32 nr_progs;
	struct {
		struct bpf_prog *prog;
		u64 cookie;
	} progs[] __counted_by(nr_progs);
};

struct bpf_lsm_chain *bpf_lsm_chain_build(const struct bpf_lsm_target *target,
					  const struct list_head *members);
int bpf_lsm_chain_reserve(void);
void bpf_lsm_chain_unreserve(void);
void bpf_lsm_chain_charge(struct bpf_lsm_chain *chain);
void bpf_lsm_chain_inherit_charge(struct bpf_lsm_chain *chain,
				  struct bpf_lsm_chain *old);
void *bpf_lsm_chain_entry(const struct bpf_lsm_chain *chain);
void bpf_lsm_chain_measure(struct bpf_lsm_chain *chain, bool on);
void bpf_lsm_chain_put(struct bpf_lsm_chain *chain);

#endif /* _SECURITY_BPF_CHAIN_H */
