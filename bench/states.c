// SPDX-License-Identifier: GPL-2.0
/*
 * One call, with other things on its hook each time:
 *
 *   idle          nothing was loaded yet; must come first
 *   loaded        all programs are loaded, none is attached
 *   noop-N        N programs that do nothing
 *   stats-N       the same, and run statistics are kept
 *   sleepable     one that may sleep
 *   deny          one that denies
 *   cookie        one that was given a cookie
 *   inside-D      none, but the caller is in a control group at depth D
 *   cgroup-D      the same, with a program on the topmost of these groups
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define MAX_PROGRAMS 38
#define COOKIE 0x1234

static int noops[MAX_PROGRAMS], sleepable, deny, in_cgroup;
static char why_not[5][256];
enum { NO_NOOP, NO_SLEEPABLE, NO_DENY, NO_CGROUP, NO_ATTACH };
static int links[MAX_PROGRAMS], nr_links;

static int keep(int fd, int reason)
{
	if (fd < 0)
		snprintf(why_not[reason], sizeof(why_not[reason]), "%s", program_refusal());
	return fd;
}

static void load_all(const struct call *call)
{
	int id = call->hook ? hook_btf_id(call->hook) : 0, i;

	if (!id) {
		const char *none = call->hook ? "this kernel has no such hook for programs"
					      : "this call crosses no hook";
		for (i = 0; i < (int)ARRAY_SIZE(why_not); i++)
			strcpy(why_not[i], none);
		noops[0] = sleepable = deny = in_cgroup = -1;
		return;
	}
	for (i = 0; i < MAX_PROGRAMS; i++)
		noops[i] = keep(load_noop(id), NO_NOOP);
	sleepable = keep(load_sleepable(id), NO_SLEEPABLE);
	deny = keep(load_deny(id), NO_DENY);
	in_cgroup = keep(load_cgroup(id), NO_CGROUP);
}

/* Returns a reason why there is no figure, or NULL. */
static const char *add_link(int fd)
{
	if (fd < 0) {
		snprintf(why_not[NO_ATTACH], sizeof(why_not[NO_ATTACH]), "attaching: %s",
			 strerror(-fd));
		return why_not[NO_ATTACH];
	}
	links[nr_links++] = fd;
	return NULL;
}

static const char *attach_one(int prog, int reason, uint64_t cookie)
{
	return prog < 0 ? why_not[reason] : add_link(attach(prog, cookie));
}

static const char *attach_noops(unsigned int nr)
{
	const char *why = NULL;
	unsigned int i;

	if (nr > MAX_PROGRAMS)
		die("%u programs are too many", nr);
	for (i = 0; i < nr && !why; i++)
		why = attach_one(noops[i], NO_NOOP, 0);
	return why;
}

static const char *attach_above(unsigned int depth)
{
	int group = cgroup_move(worker_pid(), depth);
	const char *why = in_cgroup < 0 ? why_not[NO_CGROUP]
					: add_link(attach_cgroup(in_cgroup, group));

	close(group);
	return why;
}

static bool numbered(const char *state, const char *kind, unsigned int *number)
{
	size_t length = strlen(kind);

	if (strncmp(state, kind, length) || state[length] != '-')
		return false;
	*number = atoi(state + length + 1);
	return true;
}

/* Bring about what @state says. Returns a reason why that cannot be, or NULL. */
static const char *enter(const char *state, long *expected, int *stats)
{
	unsigned int number;

	if (!strcmp(state, "idle") || !strcmp(state, "loaded"))
		return NULL;
	if (numbered(state, "noop", &number))
		return attach_noops(number);
	if (numbered(state, "stats", &number)) {
		*stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
		if (*stats < 0)
			die("run statistics: %s", strerror(-*stats));
		return attach_noops(number);
	}
	if (numbered(state, "inside", &number)) {
		close(cgroup_move(worker_pid(), number));
		return NULL;
	}
	if (numbered(state, "cgroup", &number))
		return attach_above(number);
	if (!strcmp(state, "sleepable"))
		return attach_one(sleepable, NO_SLEEPABLE, 0);
	if (!strcmp(state, "cookie"))
		return attach_one(noops[0], NO_NOOP, COOKIE);
	if (!strcmp(state, "deny")) {
		*expected = -EPERM;
		return attach_one(deny, NO_DENY, 0);
	}
	die("there is no state '%s'", state);
}

static void leave(int stats)
{
	while (nr_links)
		close(links[--nr_links]);
	if (stats >= 0)
		close(stats);
	cgroup_move(worker_pid(), 0);
}

void measure_call(const struct call *call, int nr_states, char **states)
{
	bool loaded = false;
	int i;

	worker_start(call);
	for (i = 0; i < nr_states; i++) {
		long expected = call->result;
		struct figure figure;
		int stats = -1;
		const char *why;

		if (!loaded && strcmp(states[i], "idle")) {
			load_all(call);
			loaded = true;
		}
		report_case("%s/%s", call->name, states[i]);
		why = enter(states[i], &expected, &stats);
		if (why) {
			report_unavailable(why);
		} else {
			clock_settle();
			worker_measure(expected, &figure);
			report_figure(&figure);
		}
		leave(stats);
	}
}

/* Where the kernel has put compiled programs, and what it calls them by. */
static void report_compiled(void)
{
	FILE *symbols = fopen("/proc/kallsyms", "r");
	unsigned long long address;
	char line[512], name[256], unique[300];
	int nr = 0;

	report_case("symbols");
	while (symbols && fgets(line, sizeof(line), symbols)) {
		if (!strstr(line, "[bpf]") || sscanf(line, "%llx %*c %255s", &address, name) != 2)
			continue;
		snprintf(unique, sizeof(unique), "%s#%d", name, nr++);
		report_value(unique, address);
	}
	report_end_case();
	if (symbols)
		fclose(symbols);
}

/* The last of these is the one that is followed; it finds all caches filled. */
void trace_call(const struct call *call, const char *state)
{
	long expected = call->result;
	struct figure figure;
	int i, stats = -1;
	const char *why;

	worker_start(call);
	if (strcmp(state, "idle"))
		load_all(call);
	why = enter(state, &expected, &stats);
	if (why)
		die("%s: %s", state, why);
	clock_settle();
	report_compiled();
	for (i = 0; i < 3; i++)
		worker_measure(expected, &figure);
	leave(stats);
}
