// SPDX-License-Identifier: GPL-2.0
/*
 * Which hooks a call crosses, and how often: a program that counts is on each
 * hook that takes one. Other things happen in the kernel, too, so the least of
 * several calls is reported.
 */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define MAX_HOOKS 512
#define TRIES 8

static const char *names[MAX_HOOKS];
static int ids[MAX_HOOKS], nr_hooks;
static bool counted[MAX_HOOKS], refused[MAX_HOOKS];
static volatile uint64_t *counts;

static int make_map(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bench", sizeof(uint32_t),
				 MAX_HOOKS * sizeof(uint64_t), 1, &opts);

	if (map < 0)
		die("a map: %m");
	counts = mmap(NULL, MAX_HOOKS * sizeof(uint64_t), PROT_READ, MAP_SHARED | MAP_POPULATE,
		      map, 0);
	if (counts == MAP_FAILED)
		die("a map: %m");
	return map;
}

static void attach_all(int map)
{
	int progs[MAX_HOOKS], i;

	nr_hooks = hooks_all(names, ids, MAX_HOOKS);
	for (i = 0; i < nr_hooks; i++) {
		progs[i] = load_counter(ids[i], map, i);
		/* Not all that is called bpf_lsm_... is a hook. */
		refused[i] = progs[i] < 0 && strstr(program_refusal(), "disabled hook");
	}
	for (i = 0; i < nr_hooks; i++) {
		counted[i] = progs[i] >= 0 && attach(progs[i], 0) >= 0;
		if (progs[i] >= 0)
			close(progs[i]);
	}
}

static void count(const struct call *call)
{
	uint64_t least[MAX_HOOKS], before[MAX_HOOKS];
	int try, i;

	memset(least, 0xff, sizeof(least));
	for (try = 0; try < TRIES; try++) {
		clock_settle();
		for (i = 0; i < nr_hooks; i++)
			before[i] = counts[i];
		call->run();
		for (i = 0; i < nr_hooks; i++)
			if (counts[i] - before[i] < least[i])
				least[i] = counts[i] - before[i];
	}
	for (i = 0; i < nr_hooks; i++)
		if (counted[i] && least[i])
			report_value(names[i], least[i]);
}

void count_hooks(int nr, char **call_names)
{
	int i;

	for (i = 0; i < nr; i++) {
		const struct call *call = call_named(call_names[i]);

		if (!nr_hooks)
			attach_all(make_map());
		report_case("crossed/%s", call->name);
		if (!nr_hooks) {
			report_unavailable("this kernel has no hooks for programs");
			continue;
		}
		if (call->prepare)
			call->prepare();
		count(call);
		report_end_case();
	}
	report_case("crossed/refused");
	for (i = 0; i < nr_hooks; i++)
		if (refused[i])
			report_value(names[i], 0);
	report_end_case();
}
