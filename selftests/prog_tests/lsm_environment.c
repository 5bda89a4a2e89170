// SPDX-License-Identifier: GPL-2.0

/* LSM programs do what they are there for whatever root does to the machine:
 * takes CPUs away and gives them back, measures programs, hardens their code,
 * switches tracing off. The same load as in lsm_race.c goes on all the while.
 *
 * This would catch: a call that is allowed while CPUs come and go, or while the
 * chain is switched to the code that measures; code that an offline CPU has
 * missed a change of; a program that is not freed for the lack of a CPU; runs
 * that are counted twice, or for nobody; a verdict or a cookie that is another
 * one with blinded constants, or constants that are not blinded; a hook that
 * needs ftrace to be changed; a program that attaches another one while a CPU
 * that goes offline waits for it.
 *
 * LSM_TEST_ROUNDS in the environment says how often.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <fcntl.h>

#include "lsm_load.h"
#include "progs/lsm_environment.h"
#include "lsm_environment.skel.h"
#include "lsm_race.skel.h"

#define HOOK		"file_ioctl"
#define CPU_ONLINE	"/sys/devices/system/cpu/cpu1/online"
#define FTRACE_ENABLED	"/proc/sys/kernel/ftrace_enabled"
#define JIT_HARDEN	"/proc/sys/net/core/bpf_jit_harden"
#define NR_PROGS	8
#define NR_CHURNERS	2
#define COOKIE		0x1b873593cafef00dULL

static struct lsm_race *skel;
static struct lsm_churner churners[NR_CHURNERS];
static int progs[NR_PROGS];
static int nr_progs;
static __u32 deny_id;
static int deny = -1;

static long rounds(long otherwise)
{
	return lsm_test_rounds("LSM_TEST_ROUNDS", otherwise);
}

/* One program denies, and callers make the call. */
static bool setup(void)
{
	nr_progs = 0;
	deny = -1;
	skel = lsm_race__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	for (; nr_progs < NR_PROGS; nr_progs++) {
		progs[nr_progs] = lsm_load_copy(skel->progs.count, HOOK, false);
		if (!ASSERT_OK_FD(progs[nr_progs], "load"))
			return false;
	}
	deny_id = lsm_prog_id(bpf_program__fd(skel->progs.deny));
	deny = lsm_load_attach(bpf_program__fd(skel->progs.deny), 0);
	return ASSERT_OK_FD(deny, "attach the program that denies");
}

static void teardown(void)
{
	__u32 ids[NR_PROGS];
	int i, left = 0;

	if (deny >= 0)
		close(deny);
	for (i = 0; i < nr_progs; i++) {
		ids[i] = lsm_prog_id(progs[i]);
		close(progs[i]);
	}
	lsm_race__destroy(skel);
	skel = NULL;
	if (lsm_has_chains())
		ASSERT_EQ(lsm_load_attached(), 0, "programs in the hook");
	for (i = 0; i < nr_progs; i++)
		left += !lsm_prog_goes(ids[i]);
	ASSERT_EQ(left, 0, "programs that are left");
	if (deny >= 0)
		ASSERT_TRUE(lsm_prog_goes(deny_id), "the program that denies goes");
}

static bool write_cpu(const char *value)
{
	int fd = open(CPU_ONLINE, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, value, 1) == 1;

	if (fd >= 0)
		close(fd);
	return written;
}

/* All that is done to a hook, one after the other. The program is of no use to
 * anybody else and goes in the end.
 */
static void change_hook(const struct bpf_program *program, bool sleepable)
{
	int prog = lsm_load_copy(program, HOOK, sleepable), link;
	__u32 id = lsm_prog_id(prog);
	__u64 before;
	int fd;

	link = lsm_load_attach(prog, 1);
	close(prog);
	if (!ASSERT_OK_FD(link, "attach"))
		return;
	fd = eventfd(0, EFD_CLOEXEC);
	before = sleepable ? skel->bss->reads : skel->bss->calls[1];
	lsm_load_call(fd, sleepable ? LSM_RACE_READ : LSM_RACE_CALL, 0);
	ASSERT_GT(sleepable ? skel->bss->reads : skel->bss->calls[1], before, "calls");
	close(fd);
	if (lsm_has_chains()) {
		ASSERT_OK(bpf_link_update(link, progs[NR_PROGS - 1], NULL), "update");
		ASSERT_TRUE(lsm_prog_goes(id), "the program that was replaced goes");
		ASSERT_OK(bpf_link_detach(link), "detach");
	}
	close(link);
	ASSERT_TRUE(lsm_prog_goes(id), "the program goes");
}

static void hotplug(void)
{
	long nr = rounds(2), i;

	if (access(CPU_ONLINE, W_OK)) {
		lsm_skip("no CPU can be taken away (one CPU, or CONFIG_HOTPLUG_CPU=n)");
		return;
	}
	if (!setup())
		goto out;
	if (!lsm_load_start())
		goto stop;
	lsm_churn_start(churners, NR_CHURNERS, progs, NR_PROGS - 1, 40 * nr);
	for (i = 0; i < nr; i++) {
		if (!ASSERT_TRUE(write_cpu("0"), "take CPU 1 away"))
			break;
		change_hook(skel->progs.count, false);
		change_hook(skel->progs.count_reads, true);
		if (!ASSERT_TRUE(write_cpu("1"), "give it back"))
			break;
		/* It has no memory of what it was pinned to. */
		ASSERT_TRUE(lsm_load_pin(lsm_load.callers[1].thread, 1), "pin to CPU 1");
		change_hook(skel->progs.count, false);
	}
	lsm_churn_end(churners, NR_CHURNERS);
stop:
	lsm_load_stop();
out:
	teardown();
}

/* What is measured of the program that denies. */
static struct bpf_prog_info deny_info(void)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(skel->progs.deny), &info, &len),
		  "prog info");
	return info;
}

static void stats_flip(void)
{
	long nr = rounds(50), i, calls;
	struct bpf_prog_info info;
	int stats, fd;
	__u64 before;

	if (!setup())
		goto out;
	if (!lsm_load_start())
		goto stop;
	lsm_churn_start(churners, NR_CHURNERS, progs, NR_PROGS, nr);
	for (i = 0; i < nr; i++) {
		stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
		if (!ASSERT_OK_FD(stats, "measure"))
			break;
		usleep(1000);
		close(stats);
		usleep(1000);
	}
	lsm_churn_end(churners, NR_CHURNERS);
stop:
	calls = lsm_load_stop();
	if (deny < 0)
		goto out;
	info = deny_info();
	printf("note: %llu of %ld calls were measured\n", info.run_cnt, calls);
	ASSERT_GT(info.run_cnt, 0, "runs while measured");
	ASSERT_GT(info.run_time_ns, 0, "their time");
	ASSERT_LE(info.run_cnt, calls, "no more runs than calls");
	ASSERT_EQ(info.recursion_misses, 0, "no run is missed");

	/* As exact as ever after all that. */
	fd = eventfd(0, EFD_CLOEXEC);
	stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	before = info.run_cnt;
	for (i = 0; i < 100; i++)
		lsm_load_call(fd, LSM_RACE_CALL, 0);
	info = deny_info();
	close(stats);
	ASSERT_EQ(info.run_cnt - before, 100, "runs while measured again");
	lsm_load_call(fd, LSM_RACE_CALL, 0);
	ASSERT_EQ(deny_info().run_cnt - before, 100, "runs when no longer measured");
	close(fd);
out:
	teardown();
}

static bool code_has_constant(int prog_fd)
{
	const __u32 constant = LSM_ENVIRONMENT_CONST;
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info), size;
	static char code[4096];

	info.jited_prog_len = sizeof(code);
	info.jited_prog_insns = (unsigned long)code;
	if (!ASSERT_OK(bpf_prog_get_info_by_fd(prog_fd, &info, &len), "prog info") ||
	    !ASSERT_GT(info.jited_prog_len, 0, "size of the code") ||
	    !ASSERT_LE(info.jited_prog_len, sizeof(code), "size of the code"))
		return false;
	size = info.jited_prog_len;
	return memmem(code, size, &constant, sizeof(constant));
}

static void check_mix(struct lsm_environment *env)
{
	int fd = eventfd(0, EFD_CLOEXEC), i, expected;
	bool enforcing = lsm_enforcing();
	unsigned long arg;
	__u64 mixed;

	for (i = 0; i < 64; i++) {
		arg = 1UL << i;
		mixed = lsm_environment_mix(arg);
		expected = mixed & 1 ? EACCES : mixed & 2 ? EBUSY : ENOTTY;
		env->bss->mixed = 0;
		env->bss->cookie = 0;
		ASSERT_EQ(lsm_load_call(fd, LSM_ENVIRONMENT_MIX, arg),
			  enforcing ? expected : ENOTTY, "verdict");
		ASSERT_EQ(env->bss->mixed, mixed, "what the program computes");
		ASSERT_EQ(env->bss->cookie, COOKIE, "cookie");
	}
	close(fd);
}

static int attach_with_cookie(const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .tracing.cookie = COOKIE);

	return bpf_link_create(bpf_program__fd(prog), 0, BPF_LSM_MAC, &opts);
}

/* The program as it is compiled with each setting. */
static void jit_harden(void)
{
	static const char *const settings[] = { "2", "0", "1", "2", "0" };
	struct lsm_environment *env = NULL, *next;
	int i, link = -1, old, saved;
	char text[16] = {};

	old = open(JIT_HARDEN, O_RDONLY | O_CLOEXEC);
	saved = old < 0 ? -1 : read(old, text, sizeof(text) - 1);
	if (old >= 0)
		close(old);
	if (saved <= 0) {
		lsm_skip("this kernel does not harden programs");
		return;
	}
	if (!setup())
		goto out;
	if (!lsm_load_start())
		goto stop;
	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		if (!ASSERT_OK(write_sysctl(JIT_HARDEN, settings[i]), "set " JIT_HARDEN))
			break;
		next = lsm_environment__open_and_load();
		if (!ASSERT_OK_PTR(next, "open_and_load"))
			break;
		/* Root's programs are hardened by 2 alone. */
		ASSERT_EQ(code_has_constant(bpf_program__fd(next->progs.mix)),
			  strcmp(settings[i], "2") != 0, "constant in the code");
		if (link >= 0 && lsm_has_chains()) {
			ASSERT_OK(bpf_link_update(link, bpf_program__fd(next->progs.mix), NULL),
				  "update");
		} else {
			if (link >= 0)
				close(link);
			link = attach_with_cookie(next->progs.mix);
		}
		lsm_environment__destroy(env);
		env = next;
		if (!ASSERT_OK_FD(link, "attach"))
			break;
		check_mix(env);
	}
stop:
	lsm_load_stop();
out:
	if (link >= 0)
		close(link);
	lsm_environment__destroy(env);
	ASSERT_OK(write_sysctl(JIT_HARDEN, text), "restore " JIT_HARDEN);
	teardown();
}

/* Hooks are changed without ftrace, which root may switch off at any time. */
static void ftrace_off(void)
{
	if (!lsm_has_chains()) {
		lsm_skip("this kernel's hooks depend on ftrace");
		return;
	}
	if (!setup())
		goto out;
	if (!lsm_load_start())
		goto stop;
	if (!ASSERT_OK(write_sysctl(FTRACE_ENABLED, "0"), "switch ftrace off"))
		goto stop;
	change_hook(skel->progs.count, false);
	change_hook(skel->progs.count_reads, true);
	/* And while it is switched. */
	lsm_churn_start(churners, NR_CHURNERS, progs, NR_PROGS, rounds(40));
	ASSERT_OK(write_sysctl(FTRACE_ENABLED, "1"), "switch ftrace on");
	ASSERT_OK(write_sysctl(FTRACE_ENABLED, "0"), "switch ftrace off");
	lsm_churn_end(churners, NR_CHURNERS);
	/* The last program goes, and the first one comes. */
	lsm_load_stop();
	close(deny);
	ASSERT_EQ(lsm_load_attached(), 0, "programs in the hook");
	deny = lsm_load_attach(bpf_program__fd(skel->progs.deny), 0);
	if (ASSERT_OK_FD(deny, "attach again"))
		lsm_load_start();
stop:
	lsm_load_stop();
	write_sysctl(FTRACE_ENABLED, "1");
out:
	teardown();
}

/* A program stays on its CPU. If that goes offline, who changes a hook waits for
 * it to be gone, and it waits for the program.
 */
static void from_program(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	struct lsm_environment *env;
	int link;

	if (!lsm_has_chains() || access(CPU_ONLINE, W_OK)) {
		lsm_skip("this kernel changes hooks while CPUs go offline, or none can");
		return;
	}
	env = lsm_environment__open_and_load();
	if (!ASSERT_OK_PTR(env, "open_and_load"))
		return;
	env->bss->prog_fd = bpf_program__fd(env->progs.mix);
	ASSERT_OK(bpf_prog_test_run_opts(bpf_program__fd(env->progs.attach), &opts), "run");
	ASSERT_EQ((int)opts.retval, -EDEADLK, "attach from a program");
	ASSERT_EQ(lsm_load_attached(), 0, "programs in the hook");
	link = attach_with_cookie(env->progs.mix);
	if (ASSERT_OK_FD(link, "attach from user space")) {
		check_mix(env);
		close(link);
	}
	lsm_environment__destroy(env);
}

void serial_test_lsm_environment(void)
{
	if (test__start_subtest("hotplug"))
		hotplug();
	if (test__start_subtest("from_program"))
		from_program();
	if (test__start_subtest("stats_flip"))
		stats_flip();
	if (test__start_subtest("jit_harden"))
		jit_harden();
	if (test__start_subtest("ftrace_off"))
		ftrace_off();
}
