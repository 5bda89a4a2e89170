// SPDX-License-Identifier: GPL-2.0
/*
 * Attaching a program, replacing it and detaching it: how long the caller is
 * held up ("ns", virtual time, waiting included), and for how much of that it
 * executes instructions ("executed").
 *
 *   links/N              the Nth program of file_mprotect
 *   links/N-populated    the same, while every other hook has one program, too
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define HOOK "file_mprotect"
#define MAX_HOOKS 512
#define MAX_PROGRAMS 38
#define ROUNDS 9

struct timing {
	uint64_t ns[ROUNDS];
	uint64_t executed[ROUNDS];
	unsigned int nr;
	int error;
};

static int progs[MAX_PROGRAMS + 1], links[MAX_PROGRAMS];
static int others[MAX_HOOKS], nr_others;

static void begin(struct timing *timing)
{
	clock_settle();
	timing->executed[timing->nr] = clock_executed();
	timing->ns[timing->nr] = clock_read();
}

/* What asking for the time takes: the two clocks are asked one after the other. */
static uint64_t asking;

static void end(struct timing *timing)
{
	timing->ns[timing->nr] = clock_read() - timing->ns[timing->nr];
	timing->executed[timing->nr] = clock_executed() - timing->executed[timing->nr] - asking;
	timing->nr++;
}

static void time_asking(void)
{
	struct timing timing = {};

	while (timing.nr < ROUNDS) {
		begin(&timing);
		end(&timing);
	}
	asking = clock_median(timing.executed, ROUNDS);
}

static void report(const char *name, const char *what, struct timing *timing)
{
	uint64_t median;

	report_case("%s/%s", name, what);
	if (timing->error) {
		report_unavailable(strerror(timing->error));
		return;
	}
	median = clock_median(timing->ns, timing->nr);
	report_value("ns", median);
	report_value("ns_min", timing->ns[0]);
	report_value("ns_max", timing->ns[timing->nr - 1]);
	median = clock_median(timing->executed, timing->nr);
	report_value("executed", timing->executed[0]);
	report_value("executed_median", median);
	report_value("executed_max", timing->executed[timing->nr - 1]);
	report_end_case();
}

static void rounds(const char *name, unsigned int number)
{
	struct timing attached = {}, updated = {}, detached = {};
	unsigned int i;

	for (i = 0; i + 1 < number; i++) {
		links[i] = attach(progs[i], 0);
		if (links[i] < 0)
			die("attaching program %u: %s", i, strerror(-links[i]));
	}
	while (attached.nr < ROUNDS) {
		int err;

		begin(&attached);
		links[i] = attach(progs[i], 0);
		end(&attached);
		if (links[i] < 0)
			die("attaching program %u: %s", i, strerror(-links[i]));
		begin(&updated);
		err = bpf_link_update(links[i], progs[MAX_PROGRAMS], NULL);
		end(&updated);
		if (err)
			updated.error = -err;
		begin(&detached);
		close(links[i]);
		end(&detached);
	}
	while (i--)
		close(links[i]);
	report(name, "attach", &attached);
	report(name, "update", &updated);
	report(name, "detach", &detached);
}

static void populate(void)
{
	static const char *names[MAX_HOOKS];
	static int ids[MAX_HOOKS];
	int nr = hooks_all(names, ids, MAX_HOOKS), i;

	for (i = 0; i < nr; i++) {
		int prog = strcmp(names[i], HOOK) ? load_noop(ids[i]) : -1;

		if (prog < 0)
			continue;
		others[nr_others] = attach(prog, 0);
		if (others[nr_others] >= 0)
			nr_others++;
		close(prog);
	}
	report_case("links/populated");
	report_value("hooks", nr_others);
	report_end_case();
}

static void unavailable(const char *name)
{
	static const char *const whats[] = { "attach", "update", "detach" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(whats); i++) {
		report_case("links/%s/%s", name, whats[i]);
		report_unavailable("this kernel has no hooks for programs");
	}
}

void measure_links(int nr, char **names)
{
	int id = hook_btf_id(HOOK), i;

	time_asking();
	for (i = 0; id && i <= MAX_PROGRAMS; i++) {
		progs[i] = load_noop(id);
		if (progs[i] < 0)
			die("a program for %s: %s", HOOK, program_refusal());
	}
	for (i = 0; i < nr; i++) {
		char title[64];

		if (!id) {
			unavailable(names[i]);
			continue;
		}
		if (strstr(names[i], "-populated") && !nr_others)
			populate();
		snprintf(title, sizeof(title), "links/%s", names[i]);
		rounds(title, atoi(names[i]));
	}
}
