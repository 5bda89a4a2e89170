// SPDX-License-Identifier: GPL-2.0
/*
 * What a program costs in memory, loaded and attached, in bytes. The kernel
 * counts in pages, so there are many programs: 38 on each of a few hooks.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PER_HOOK 38
#define JIT_LIMIT "/proc/sys/net/core/bpf_jit_limit"
#define NOBODY 65534

static const char *const hooks[] = {
	"file_mprotect", "file_open", "inode_getattr", "file_permission",
	"socket_sendmsg", "socket_create", "task_alloc", "task_kill",
};

static int progs[ARRAY_SIZE(hooks) * PER_HOOK], nr_progs;
static int links[ARRAY_SIZE(hooks) * PER_HOOK];

struct usage {
	int64_t slab;
	int64_t percpu;
	int64_t vmalloc;
	int64_t jit;
	int64_t available;
};

static uint64_t meminfo(const char *name)
{
	FILE *info = fopen("/proc/meminfo", "r");
	unsigned long long value;
	char line[128], format[64];

	snprintf(format, sizeof(format), "%s: %%llu", name);
	while (info && fgets(line, sizeof(line), info)) {
		if (sscanf(line, format, &value) == 1) {
			fclose(info);
			return value * 1024;
		}
	}
	die("/proc/meminfo does not tell %s", name);
}

static void limit_jit(uint64_t bytes)
{
	char text[32];
	int fd = open(JIT_LIMIT, O_WRONLY);
	int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);

	if (fd < 0 || write(fd, text, length) != length)
		die("%s: %m", JIT_LIMIT);
	close(fd);
}

/* Whether somebody who may not exceed the limit gets a filter compiled. */
static bool jit_has_room(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct sock_filter insns[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
		struct sock_fprog filter = { .len = 1, .filter = insns };
		int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

		_exit(setresuid(NOBODY, NOBODY, NOBODY) ||
		      setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die("a child: %m");
	usleep(20 * 1000);
	return !status;
}

/* The kernel charges JIT memory, and does not tell how much: find the limit at
 * which there is none left. A constant too high, which differences do not show.
 */
static uint64_t jit_charged(void)
{
	uint64_t low = 0, high = 1 << 28;

	while (low + 1 < high) {
		uint64_t middle = low + (high - low) / 2;

		limit_jit(middle);
		if (jit_has_room())
			high = middle;
		else
			low = middle;
	}
	limit_jit(1 << 28);
	return high;
}

static struct usage usage(void)
{
	struct usage now;

	sleep(2);
	now.jit = jit_charged();
	sleep(2);
	now.slab = meminfo("SUnreclaim");
	now.percpu = meminfo("Percpu");
	now.vmalloc = meminfo("VmallocUsed");
	now.available = meminfo("MemFree");
	return now;
}

static void report(const char *what, const struct usage *before, const struct usage *after)
{
	report_case("memory/%s", what);
	report_value("programs", nr_progs);
	report_value("slab", after->slab - before->slab);
	report_value("percpu", after->percpu - before->percpu);
	report_value("vmalloc", after->vmalloc - before->vmalloc);
	report_value("jit", after->jit - before->jit);
	report_value("all", before->available - after->available);
	report_end_case();
}

static int load_some(int first, size_t hook, int nr)
{
	while (nr--) {
		progs[first] = load_noop(hook_btf_id(hooks[hook]));
		if (progs[first++] < 0)
			die("a program for %s: %s", hooks[hook], program_refusal());
	}
	return first;
}

/* The first rounds fill the caches; they are as many as are measured. */
static void once(bool is_reported)
{
	struct usage none, loaded, attached;
	size_t hook;
	int i;

	none = usage();
	for (hook = 0, nr_progs = 0; hook < ARRAY_SIZE(hooks); hook++)
		nr_progs = load_some(nr_progs, hook, PER_HOOK);
	loaded = usage();
	for (i = 0; i < nr_progs; i++) {
		links[i] = attach(progs[i], 0);
		if (links[i] < 0)
			die("attaching program %d: %s", i, strerror(-links[i]));
	}
	attached = usage();
	if (is_reported) {
		report("loaded", &none, &loaded);
		report("attached", &loaded, &attached);
	}
	for (i = 0; i < nr_progs; i++) {
		close(links[i]);
		close(progs[i]);
	}
}

void measure_memory(void)
{
	static const char *const whats[] = { "loaded", "attached" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(whats) && !hook_btf_id(hooks[0]); i++) {
		report_case("memory/%s", whats[i]);
		report_unavailable("this kernel has no hooks for programs");
	}
	if (i)
		return;
	once(false);
	once(true);
}
