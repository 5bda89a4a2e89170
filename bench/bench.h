/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's half of "make bench": one static program, which is all of the
 * user space there is. What it does in one boot stands on its command line;
 * harness/bench/plan.py writes that, and knows what has to be reported.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* main.c: the end of everything, said on the console. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* report.c: a line of JSON for each case, kept in memory until the end. */
void report_open(void);
void report_value(const char *name, int64_t value);
void report_text(const char *name, const char *text);
void report_case(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_end_case(void);
void report_unavailable(const char *why);
void report_flush(void);

/* clock.c: what is counted, and how. */
struct figure {
	uint64_t calls;		/* in one batch */
	uint64_t min;		/* over all batches, without what an empty batch takes */
	uint64_t median;
	uint64_t max;
};

void clock_init(bool nanoseconds);
uint64_t clock_read(void);
uint64_t clock_executed(void);
void clock_settle(void);
struct call;
void clock_figure(struct figure *figure, const struct call *call);
uint64_t clock_median(uint64_t *values, size_t nr);
void report_figure(const struct figure *figure);

/* calls.c: the system calls that are measured. */
struct call {
	const char *name;
	const char *hook;	/* that the programs are attached to; NULL for the control */
	bool heavy;		/* makes processes: see clock_figure() */
	long result;		/* that run() returns when nobody denies */
	void (*prepare)(void);
	long (*run)(void);	/* negative errno, the first time that something fails */
};

extern const struct call calls[];
extern const size_t nr_calls;
const struct call *call_named(const char *name);

/* hooks.c: the hooks of this kernel. */
void hooks_init(void);
int hook_btf_id(const char *hook);	/* 0 where there is none */
int hooks_all(const char **names, int *ids, int max);
int function_btf_id(const char *function);

/* programs.c: programs, by the instruction. Return an FD or a negative errno. */
int load_noop(int btf_id);
int load_sleepable(int btf_id);
int load_deny(int btf_id);
int load_cgroup(int btf_id);
int load_counter(int btf_id, int map, unsigned int slot);
int load_tracing(int btf_id, int attach_type);
int attach(int prog, uint64_t cookie);
int attach_cgroup(int prog, int cgroup);
int attach_tracing(int prog, int attach_type);
const char *program_refusal(void);	/* what the verifier said last */

/* scatter.c: allocators that have enough of everything. */
void scatter(void);

/* cgroup.c */
int cgroup_move(pid_t pid, unsigned int depth);

/* worker.c: the process that makes the calls. */
void worker_start(const struct call *call);
pid_t worker_pid(void);
long worker_call(const struct call *call);
void worker_measure(long expected, struct figure *figure);

/* One file for each kind of question. */
void measure_call(const struct call *call, int nr_states, char **states);
void trace_call(const struct call *call, const char *state);
void count_hooks(int nr, char **names);
void measure_links(int nr, char **names);
void measure_trampolines(int nr, char **names);
void measure_memory(void);
void measure_boot(uint64_t started);

#endif
