// SPDX-License-Identifier: GPL-2.0

/* As many programs in one hook as fit, one program in each hook there is, and
 * programs that come and go for a long time.
 *
 * This would catch: a program among many that does not run, or runs twice; a
 * wrong limit; a hook that cannot be attached to, or that breaks the system
 * when it is; attaching that takes longer the more hooks are in use; chains,
 * programs, links, memory or the accounting of JIT memory leaking away.
 *
 * LSM_TEST_ROUNDS in the environment says how often programs come and go.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <uapi/linux/filter.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "cap_helpers.h"
#include "lsm_helpers.h"
#include "lsm_scale.skel.h"

#define MAX_PROGS	38
#define MAX_HOOKS	512
#define DEFAULT_ROUNDS	500
/* A generous multiple of what it takes, on a machine that has other things to do. */
#define ATTACH_ALL_NS	10000000000ULL
/* How long memory may take to come back after all is gone. */
#define SETTLE_NS	20000000000ULL
/* What is left of the caches of the allocator, not of a leak. */
#define SLAB_NOISE_KIB	2048
#define KMEMLEAK	"/sys/kernel/debug/kmemleak"

static struct lsm_scale *skel;

static bool setup(void)
{
	skel = lsm_scale__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	skel->bss->monitored_pid = getpid();
	return true;
}

static void teardown(void)
{
	lsm_scale__destroy(skel);
	skel = NULL;
}

static void close_all(const int *fds, int nr)
{
	while (nr > 0)
		if (fds[--nr] >= 0)
			close(fds[nr]);
}

/* Another program with the instructions and the counters of count(). */
static int load_count(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_MAC);

	opts.attach_btf_id = libbpf_find_vmlinux_btf_id("task_getpgid", BPF_LSM_MAC);
	return bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_count", "GPL",
			     bpf_program__insns(skel->progs.count),
			     bpf_program__insn_cnt(skel->progs.count), &opts);
}

static int attach_as(int prog_fd, int number)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .tracing.cookie = number);

	return bpf_link_create(prog_fd, 0, BPF_LSM_MAC, &opts);
}

/* Run the hook once. How many of the programs from @first on up to @end ran,
 * given that each has to run once and nobody else?
 */
static int run_once(int first, int end)
{
	int i, ran = 0;

	memset(skel->bss->calls, 0, sizeof(skel->bss->calls));
	syscall(__NR_getpgid, getpid());
	for (i = 0; i < ARRAY_SIZE(skel->bss->calls); i++) {
		if (skel->bss->calls[i] != (i >= first && i < end))
			return -1;
		ran += skel->bss->calls[i];
	}
	return ran;
}

static void full_hook(void)
{
	int progs[MAX_PROGS + 1], links[MAX_PROGS], nr_progs = 0, nr_links = 0, i;

	if (!setup())
		goto out;
	for (; nr_progs < ARRAY_SIZE(progs); nr_progs++) {
		progs[nr_progs] = load_count();
		if (!ASSERT_OK_FD(progs[nr_progs], "load"))
			goto out;
	}
	for (; nr_links < MAX_PROGS; nr_links++) {
		links[nr_links] = attach_as(progs[nr_links], nr_links);
		if (!ASSERT_OK_FD(links[nr_links], "attach"))
			goto out;
		ASSERT_EQ(run_once(0, nr_links + 1), nr_links + 1, "programs that run");
	}
	ASSERT_EQ(attach_as(progs[MAX_PROGS], MAX_PROGS), -E2BIG, "one more");
	ASSERT_EQ(run_once(0, MAX_PROGS), MAX_PROGS, "programs that run after the refusal");
	for (i = 0; i < MAX_PROGS; i++) {
		close(links[i]);
		links[i] = -1;
		ASSERT_EQ(run_once(i + 1, MAX_PROGS), MAX_PROGS - i - 1, "programs that are left");
	}
out:
	close_all(links, nr_links);
	close_all(progs, nr_progs);
	teardown();
}

/* Load "return 0" for each hook that takes a program. Returns how many. */
static int load_all(int *progs, int max, int *nr_refused)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_MAC,
		    .log_level = 1);
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	static char log[4096];
	struct btf *btf = btf__load_vmlinux_btf();
	int id, nr = 0, nr_types, fd;
	const struct btf_type *type;

	opts.log_buf = log;
	opts.log_size = sizeof(log);
	*nr_refused = 0;
	if (!ASSERT_OK_PTR(btf, "vmlinux BTF"))
		return 0;
	nr_types = btf__type_cnt(btf);
	for (id = 1; id < nr_types && nr < max; id++) {
		type = btf__type_by_id(btf, id);
		if (!btf_is_func(type) ||
		    strncmp(btf__name_by_offset(btf, type->name_off), "bpf_lsm_", 8))
			continue;
		log[0] = '\0';
		opts.attach_btf_id = id;
		fd = bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_return_0", "GPL", insns,
				   ARRAY_SIZE(insns), &opts);
		if (fd >= 0)
			progs[nr++] = fd;
		else if (strstr(log, "points to disabled hook"))
			(*nr_refused)++;
	}
	btf__free(btf);
	return nr;
}

/* Some of what hooks are called for. */
static void live_a_little(void)
{
	int fds[2], status, fd;
	pid_t pid;

	pid = fork();
	if (!pid) {
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid, "waitpid");
	ASSERT_EQ(status, 0, "exec");
	fd = open("/proc/self/status", O_RDONLY);
	ASSERT_OK_FD(fd, "open");
	close(fd);
	if (ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "socketpair")) {
		ASSERT_EQ(write(fds[0], "x", 1), 1, "send");
		close(fds[0]);
		close(fds[1]);
	}
}

static void every_hook(void)
{
	static int progs[MAX_HOOKS], links[MAX_HOOKS];
	int nr_progs, nr_links, nr_refused;
	__u64 start, attached, detached;

	nr_progs = load_all(progs, MAX_HOOKS, &nr_refused);
	if (!ASSERT_GT(nr_progs, 100, "hooks that take a program"))
		goto out;

	start = get_time_ns();
	for (nr_links = 0; nr_links < nr_progs; nr_links++) {
		links[nr_links] = lsm_raw_tp_open(progs[nr_links]);
		if (!ASSERT_OK_FD(links[nr_links], "attach"))
			goto out_close;
	}
	attached = get_time_ns() - start;
	live_a_little();

	start = get_time_ns();
	close_all(links, nr_links);
	detached = get_time_ns() - start;
	nr_links = 0;
	live_a_little();

	printf("note: %d hooks attached in %llu ms, detached in %llu ms; %d take no program\n",
	       nr_progs, attached / 1000000, detached / 1000000, nr_refused);
	ASSERT_LT(attached, ATTACH_ALL_NS, "time to attach");
out_close:
	close_all(links, nr_links);
out:
	close_all(progs, nr_progs);
}

static int read_number(const char *path, long *value)
{
	FILE *file = fopen(path, "r");
	int err;

	if (!file)
		return -errno;
	err = fscanf(file, "%ld", value) == 1 ? 0 : -EINVAL;
	fclose(file);
	return err;
}

static int write_number(const char *path, long value)
{
	FILE *file = fopen(path, "w");

	if (!file)
		return -errno;
	fprintf(file, "%ld", value);
	return fclose(file) ? -errno : 0;
}

/* Is there memory for a socket filter of somebody without capabilities? */
static bool jit_has_room(void)
{
	static struct sock_filter insns[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog filter = { .len = 1, .filter = insns };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), err;

	err = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
	close(fd);
	return fd >= 0 && !err;
}

/* The lowest limit of JIT memory that leaves room, or -1. */
static long find_jit_limit(void)
{
	static const char path[] = "/proc/sys/net/core/bpf_jit_limit";
	long limit, low = 0, high;
	__u64 caps;

	if (read_number(path, &limit))
		return -1;
	high = limit;
	while (low + 1 < high) {
		long middle = low + (high - low) / 2;
		bool room;

		if (write_number(path, middle))
			return -1;
		cap_disable_effective(~0ULL >> 23, &caps);
		room = jit_has_room();
		cap_enable_effective(caps, NULL);
		if (room) {
			high = middle;
			/* The filter has to be gone before the next one is tried. */
			usleep(20 * 1000);
		} else {
			low = middle;
		}
	}
	write_number(path, limit);
	return high;
}

/* How much JIT memory is charged, in bytes, give or take a constant? The kernel
 * does not say, but the limit is compared with it for those who may not exceed
 * it. Asked until it says the same twice, as memory is given back late.
 */
static long jit_charged(void)
{
	long charged = find_jit_limit(), before;
	int tries = 0;

	do {
		before = charged;
		charged = find_jit_limit();
	} while (charged != before && ++tries < 20);
	return charged;
}

/* What the kernel's slab allocator has given out and cannot take back, in KiB. */
static long slab_used(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	long used = -1;
	char line[128];

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "SUnreclaim: %ld", &used) == 1)
			break;
	fclose(file);
	return used;
}

/* Each program comes and goes once, alone or beside the other one. */
static bool come_and_go(const int *progs)
{
	int a = lsm_raw_tp_open(progs[0]);
	int b = lsm_raw_tp_open(progs[1]);

	if (a >= 0)
		close(a);
	if (b >= 0)
		close(b);
	return a >= 0 && b >= 0;
}

/* Chains hold their programs. Once those are gone, so is every chain. */
static bool run_rounds(long rounds)
{
	struct bpf_prog_info info[2] = {};
	long failed = 0, i;
	int progs[2], nr;
	__u32 len;

	for (nr = 0; nr < 2; nr++) {
		progs[nr] = load_count();
		if (!ASSERT_OK_FD(progs[nr], "load"))
			break;
		len = sizeof(info[0]);
		ASSERT_OK(bpf_prog_get_info_by_fd(progs[nr], &info[nr], &len), "prog info");
	}
	for (i = 0; nr == 2 && i < rounds; i++)
		failed += !come_and_go(progs);
	close_all(progs, nr);
	return ASSERT_EQ(nr, 2, "programs") &&
	       ASSERT_EQ(failed, 0, "rounds that failed") &&
	       ASSERT_TRUE(lsm_prog_goes(info[0].id), "first program is freed") &&
	       ASSERT_TRUE(lsm_prog_goes(info[1].id), "second program is freed");
}

/* What is charged when no more is given back, as that takes grace periods. */
static long jit_settled(void)
{
	long now = jit_charged(), before;
	int same = 0;

	while (same < 10) {
		before = now;
		usleep(100 * 1000);
		now = jit_charged();
		same = now == before ? same + 1 : 0;
	}
	return now;
}

static void nothing_leaks(void)
{
	long rounds = lsm_test_rounds("LSM_TEST_ROUNDS", DEFAULT_ROUNDS);
	long jit_before, jit_after, slab_before, grown;
	__u64 start, took, end;

	/* The kernel's caches fill in the first rounds. */
	if (!setup() || !run_rounds(100))
		goto out;
	jit_before = jit_settled();
	slab_before = slab_used();
	start = get_time_ns();
	if (!run_rounds(rounds))
		goto out;
	took = get_time_ns() - start;

	/* Memory is given back later than the program's ID. */
	end = get_time_ns() + SETTLE_NS;
	do {
		usleep(100 * 1000);
		jit_after = jit_charged();
		grown = slab_used() - slab_before;
	} while ((jit_after != jit_before || grown >= SLAB_NOISE_KIB) && get_time_ns() < end);

	printf("note: %ld rounds in %llu ms\n", rounds, took / 1000000);
	printf("note: JIT memory: %ld bytes before, %ld after\n", jit_before, jit_after);
	printf("note: slabs: %ld KiB before, %ld more after\n", slab_before, grown);
	ASSERT_GT(jit_before, 0, "JIT memory that is charged");
	ASSERT_EQ(jit_after, jit_before, "JIT memory that is charged after all rounds");
	ASSERT_GT(slab_before, 0, "memory in slabs");
	/* Where kmemleak looks, memory that is freed is kept for a while, too. */
	if (access(KMEMLEAK, F_OK))
		ASSERT_LT(grown, SLAB_NOISE_KIB, "growth of slabs in KiB");
out:
	teardown();
}

void test_lsm_scale(void)
{
	if (test__start_subtest("full_hook"))
		full_hook();
	if (test__start_subtest("every_hook"))
		every_hook();
	if (test__start_subtest("nothing_leaks"))
		nothing_leaks();
}
