// SPDX-License-Identifier: GPL-2.0

/* Programs are attached, replaced and detached while tasks are in the hook:
 * running, preempted at any instruction, asleep.
 *
 * This would catch: a call that is allowed while a program which denies it is
 * attached; a chain or a program that is freed under a task which is in it, or
 * never; a program that gets lost among many that come and go, or stays; code
 * that is patched from two sides at once, or stops working for that; values of
 * tasks and inodes that turn up with others.
 *
 * LSM_TEST_ROUNDS in the environment says how often, LSM_TEST_SEED replays what
 * was chosen at random.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "lsm_load.h"
#include "lsm_fork_storm.skel.h"
#include "lsm_race.skel.h"

#define HOOK		"file_ioctl"
#define CHAIN		"bpf_lsm_chain_" HOOK
#define NR_CHURNERS	3

static struct lsm_race *skel;
/* Copies of the program that counts. */
static int progs[LSM_RACE_PROGS];
static __u32 ids[LSM_RACE_PROGS];
static int nr_progs;

static long rounds(long otherwise)
{
	return lsm_test_rounds("LSM_TEST_ROUNDS", otherwise);
}

static bool setup(int nr)
{
	nr_progs = 0;
	skel = lsm_race__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	for (; nr_progs < nr; nr_progs++) {
		progs[nr_progs] = lsm_load_copy(skel->progs.count, HOOK, false);
		if (!ASSERT_OK_FD(progs[nr_progs], "load"))
			return false;
		ids[nr_progs] = lsm_prog_id(progs[nr_progs]);
	}
	return true;
}

static void teardown(void)
{
	int i;

	for (i = 0; i < nr_progs; i++)
		close(progs[i]);
	lsm_race__destroy(skel);
	skel = NULL;
}

/* Nothing is attached, and what was is on its way. */
static void check_all_gone(int nr, __u32 deny)
{
	int i, left = 0;

	if (lsm_has_chains())
		ASSERT_EQ(lsm_load_attached(), 0, "programs in the hook");
	for (i = 0; i < nr; i++)
		left += !lsm_prog_goes(ids[i]);
	left += deny && !lsm_prog_goes(deny);
	ASSERT_EQ(left, 0, "programs that are left");
}

/* One that denies stays, whatever comes and goes. Returns its ID, or 0. */
static __u32 attach_deny(int *link)
{
	int fd = bpf_program__fd(skel->progs.deny);

	*link = lsm_load_attach(fd, 0);
	return ASSERT_OK_FD(*link, "attach the program that denies") ? lsm_prog_id(fd) : 0;
}

/* As many programs as there can be come and go, and one that denies stays. */
static void detach_race(void)
{
	struct lsm_churner churners[NR_CHURNERS];
	const int nr = LSM_RACE_PROGS - 1;
	int links[LSM_RACE_PROGS], i, fd, link = -1, ran = 0;
	__u64 before[LSM_RACE_PROGS];
	__u32 deny = 0;

	for (i = 0; i < nr; i++)
		links[i] = -1;
	if (!setup(nr))
		goto out;
	deny = attach_deny(&link);
	if (!deny)
		goto out;
	if (lsm_load_start()) {
		lsm_churn_start(churners, NR_CHURNERS, progs, nr, rounds(30));
		lsm_churn_end(churners, NR_CHURNERS);
	}
	lsm_load_stop();
	if (lsm_has_chains())
		ASSERT_EQ(lsm_load_attached(), 1, "the program that denies is left");

	/* The hook is as good as new. */
	for (i = 0; i < nr; i++) {
		links[i] = lsm_load_attach(progs[i], i);
		if (!ASSERT_OK_FD(links[i], "attach"))
			goto out;
	}
	memcpy(before, skel->bss->calls, sizeof(before));
	fd = eventfd(0, EFD_CLOEXEC);
	ASSERT_EQ(lsm_load_call(fd, LSM_RACE_CALL, 0), ENOTTY, "one more call");
	close(fd);
	for (i = 0; i < nr; i++) {
		ran += before[i] > 0;
		ASSERT_EQ(skel->bss->calls[i] - before[i], 1, "calls");
	}
	printf("note: %d programs ran under load\n", ran);
	ASSERT_GT(ran, nr / 4, "programs that ran under load");
out:
	for (i = 0; i < nr; i++)
		lsm_close_fd(&links[i]);
	lsm_close_fd(&link);
	teardown();
	check_all_gone(nr, deny);
}

/* Where is the hook's chain, or 0? How many are there, in use or not? */
static unsigned long find_chain(int *nr)
{
	unsigned long address = 0;
	char line[256];
	FILE *file;

	*nr = 0;
	file = fopen("/proc/kallsyms", "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (!strstr(line, " " CHAIN))
			continue;
		address = strtoul(line, NULL, 16);
		++*nr;
	}
	fclose(file);
	return address;
}

static bool prog_is_there(__u32 id)
{
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

enum change { DETACH_SECOND, DETACH_BOTH, REPLACE_SECOND, REPLACE_BOTH, NR_CHANGES };

/* A task sleeps in the second of two sleepable programs. Both are changed, and
 * all that user space has of them is closed: the task alone has them.
 */
static void change_under_sleeper(enum change change)
{
	int first = -1, second = -1, uffd = -1, spares[2], i;
	size_t size = sysconf(_SC_PAGESIZE);
	struct uffdio_copy copy = {};
	struct lsm_reader reader = {};
	struct pollfd pollfd = {};
	__u32 prog_ids[2];
	pthread_t thread;
	long *word;

	if (!setup(2))
		goto out;
	prog_ids[0] = lsm_prog_id(bpf_program__fd(skel->progs.count_reads));
	prog_ids[1] = lsm_prog_id(bpf_program__fd(skel->progs.deny_by_word));
	first = lsm_load_attach(bpf_program__fd(skel->progs.count_reads), 0);
	second = lsm_load_attach(bpf_program__fd(skel->progs.deny_by_word), 0);
	reader.fd = eventfd(0, EFD_CLOEXEC);
	reader.page = lsm_blocking_page(&uffd, size);
	if (!ASSERT_OK_FD(first, "attach the first") ||
	    !ASSERT_OK_FD(second, "attach the second") ||
	    !ASSERT_OK_PTR(reader.page, "page that blocks"))
		goto out;
	if (!ASSERT_OK(pthread_create(&thread, NULL, lsm_read_in_hook, &reader), "pthread_create"))
		goto out;
	pollfd.fd = uffd;
	pollfd.events = POLLIN;
	ASSERT_EQ(poll(&pollfd, 1, 30 * 1000), 1, "a program waits for memory");
	ASSERT_EQ(skel->bss->reads, 1, "the first program has run");

	if (change == REPLACE_SECOND || change == REPLACE_BOTH)
		ASSERT_OK(bpf_link_update(second, progs[0], NULL), "replace the second");
	else
		lsm_close_fd(&second);
	if (change == REPLACE_BOTH)
		ASSERT_OK(bpf_link_update(first, progs[1], NULL), "replace the first");
	if (change == DETACH_BOTH)
		lsm_close_fd(&first);
	for (i = 0; i < ARRAY_SIZE(spares); i++)
		spares[i] = lsm_load_copy(skel->progs.other_task, "task_getpgid", false);
	teardown();

	/* Several grace periods, each proven by a program that goes. It is on a
	 * hook without sleepable programs, as all of those wait for the sleeper.
	 */
	for (i = 0; i < ARRAY_SIZE(spares); i++) {
		__u32 id = lsm_prog_id(spares[i]);
		int link = lsm_load_attach(spares[i], 0);

		close(spares[i]);
		if (ASSERT_OK_FD(link, "attach another"))
			close(link);
		ASSERT_TRUE(lsm_prog_goes(id), "another program goes");
	}
	ASSERT_TRUE(prog_is_there(prog_ids[0]), "the first program is there");
	ASSERT_TRUE(prog_is_there(prog_ids[1]), "the second program is there");

	/* The word is what the second program reads when it wakes up. */
	word = aligned_alloc(size, size);
	memset(word, 0, size);
	*word = LSM_RACE_DENIED;
	copy.dst = (unsigned long)reader.page;
	copy.src = (unsigned long)word;
	copy.len = size;
	ASSERT_OK(ioctl(uffd, UFFDIO_COPY, &copy), "UFFDIO_COPY");
	free(word);
	pthread_join(thread, NULL);
	ASSERT_EQ(reader.result, lsm_enforcing() ? EACCES : ENOTTY, "verdict");
	ASSERT_TRUE(lsm_prog_goes(prog_ids[1]), "the second program goes");
	if (change == DETACH_BOTH || change == REPLACE_BOTH)
		ASSERT_TRUE(lsm_prog_goes(prog_ids[0]), "the first program goes");
	lsm_close_fd(&first);
	lsm_close_fd(&second);
	ASSERT_TRUE(lsm_prog_goes(prog_ids[0]), "the first program goes in the end");
out:
	lsm_close_fd(&first);
	lsm_close_fd(&second);
	lsm_close_fd(&uffd);
	if (reader.page)
		munmap(reader.page, size);
	lsm_close_fd(&reader.fd);
	if (skel)
		teardown();
	check_all_gone(2, 0);
}

static void sleepable_uffd(void)
{
	enum change change;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel's links cannot be updated");
		return;
	}
	for (change = 0; change < NR_CHANGES; change++)
		change_under_sleeper(change);
}

/* Two threads on one CPU. A breakpoint in the chain of the hook wakes up the
 * holder when the victim gets there. The holder has the higher priority and does
 * not let go of the CPU: the victim is preempted, at that instruction of the
 * chain, until the holder is told to release it. Both are real-time tasks, for
 * others are let run every second.
 */
struct preempted {
	pthread_t victim;
	pthread_t holder;
	sem_t call;
	sem_t hold;
	int fd;
	int perf_fd;
	pid_t victim_tid;
	int result;
	bool called;
	bool held;
	bool release;
	bool cancel;
	bool held_before_done;
	bool stop;
	int err;
};

static struct preempted preempted;

#define GET(what)	__atomic_load_n(&preempted.what, __ATOMIC_ACQUIRE)
#define SET(what, to)	__atomic_store_n(&preempted.what, to, __ATOMIC_RELEASE)

static bool schedule_as(int policy, int priority)
{
	struct sched_param param = { .sched_priority = priority };

	return !sched_setscheduler(0, policy, &param);
}

static void *preempted_victim(void *unused)
{
	if (!schedule_as(SCHED_FIFO, 1))
		SET(err, errno);
	SET(victim_tid, syscall(__NR_gettid));
	for (;;) {
		sem_wait(&preempted.call);
		if (GET(stop))
			return NULL;
		SET(result, lsm_load_call(preempted.fd, LSM_RACE_CALL, LSM_RACE_DENIED));
		SET(called, true);
	}
}

static void *preempted_holder(void *unused)
{
	struct pollfd pollfd = { .events = POLLIN };

	if (!schedule_as(SCHED_FIFO, 50))
		SET(err, errno);
	for (;;) {
		sem_wait(&preempted.hold);
		if (GET(stop))
			return NULL;
		pollfd.fd = GET(perf_fd);
		pollfd.revents = 0;
		while (!GET(cancel) && poll(&pollfd, 1, 10) == 0)
			;
		if (pollfd.revents & POLLIN) {
			SET(held_before_done, !GET(called));
			SET(held, true);
			while (!GET(release))
				;
		}
		SET(held, false);
		SET(cancel, false);
		SET(perf_fd, -1);
	}
}

static bool preempted_start(void)
{
	memset(&preempted, 0, sizeof(preempted));
	sem_init(&preempted.call, 0, 0);
	sem_init(&preempted.hold, 0, 0);
	preempted.fd = eventfd(0, EFD_CLOEXEC);
	if (!ASSERT_OK(pthread_create(&preempted.victim, NULL, preempted_victim, NULL),
		       "pthread_create"))
		return false;
	if (!ASSERT_OK(pthread_create(&preempted.holder, NULL, preempted_holder, NULL),
		       "pthread_create"))
		return false;
	while (!GET(victim_tid))
		usleep(1000);
	usleep(10 * 1000);
	return ASSERT_TRUE(lsm_load_pin(preempted.victim, 1), "pin") &&
	       ASSERT_TRUE(lsm_load_pin(preempted.holder, 1), "pin") &&
	       ASSERT_TRUE(lsm_load_pin(pthread_self(), 0), "pin") &&
	       ASSERT_OK(GET(err), "scheduling policy");
}

static void preempted_stop(void)
{
	cpu_set_t cpus;
	int cpu;

	SET(stop, true);
	sem_post(&preempted.call);
	sem_post(&preempted.hold);
	if (preempted.victim)
		pthread_join(preempted.victim, NULL);
	if (preempted.holder)
		pthread_join(preempted.holder, NULL);
	lsm_close_fd(&preempted.fd);
	sem_destroy(&preempted.call);
	sem_destroy(&preempted.hold);
	CPU_ZERO(&cpus);
	for (cpu = 0; cpu < get_nprocs_conf(); cpu++)
		CPU_SET(cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

/* Have the victim call. Returns whether it is held at @address by now. */
static bool preempt_at(unsigned long address, int *perf_fd, void **ring)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_X,
		.bp_addr = address,
		.bp_len = sizeof(long),
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_IP,
		.wakeup_events = 1,
	};
	size_t size = 2 * sysconf(_SC_PAGESIZE);

	*ring = MAP_FAILED;
	*perf_fd = syscall(__NR_perf_event_open, &attr, GET(victim_tid), -1, -1,
			   PERF_FLAG_FD_CLOEXEC);
	if (*perf_fd < 0)
		return false;
	*ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *perf_fd, 0);
	if (*ring == MAP_FAILED)
		return false;

	SET(called, false);
	SET(release, false);
	SET(perf_fd, *perf_fd);
	sem_post(&preempted.hold);
	sem_post(&preempted.call);
	while (!GET(called) && !GET(held))
		usleep(1000);
	if (!GET(held))
		SET(cancel, true);
	/* Between the two: it was held all the same. */
	while (GET(perf_fd) >= 0 && !GET(held))
		usleep(1000);
	return GET(held);
}

static void release(int perf_fd, void *ring)
{
	SET(release, true);
	while (GET(perf_fd) >= 0 || !GET(called))
		usleep(1000);
	if (ring != MAP_FAILED)
		munmap(ring, 2 * sysconf(_SC_PAGESIZE));
	if (perf_fd >= 0)
		close(perf_fd);
}

enum { CLOSE, UPDATE, ATTACH, NR_PREEMPT_CHANGES };

/* Have it called, with the breakpoint at @offset or, if that is not the
 * beginning of an instruction, somewhere else. Returns where it was held, or -1.
 */
static int preempt_somewhere(unsigned long chain, int offset, unsigned int *seed, int *perf_fd,
			     void **ring)
{
	int tries;

	for (tries = 0; tries < 200; tries++) {
		if (preempt_at(chain + offset, perf_fd, ring))
			return offset;
		if (!ASSERT_OK_FD(*perf_fd, "breakpoint") ||
		    !ASSERT_NEQ(*ring, MAP_FAILED, "map samples"))
			break;
		munmap(*ring, 2 * sysconf(_SC_PAGESIZE));
		close(*perf_fd);
		offset = rand_r(seed) % 160;
	}
	return -1;
}

static void preempt_round(int change, int offset, unsigned int *seed)
{
	int deny, first, link = -1, other = -1, perf_fd = -1, nr, i;
	__u32 id, first_id;
	unsigned long chain;
	void *ring;

	deny = lsm_load_copy(skel->progs.deny, HOOK, false);
	first = lsm_load_copy(skel->progs.count, HOOK, false);
	id = lsm_prog_id(deny);
	first_id = lsm_prog_id(first);
	other = lsm_load_attach(first, 0);
	link = lsm_load_attach(deny, 0);
	close(deny);
	close(first);
	if (!ASSERT_OK_FD(link, "attach") || !ASSERT_OK_FD(other, "attach the other"))
		goto out;
	/* With this program go the chains that were only made on the way. */
	if (!ASSERT_OK(bpf_link_update(other, progs[0], NULL), "update the other") ||
	    !ASSERT_TRUE(lsm_prog_goes(first_id), "the first program goes"))
		goto out;
	chain = find_chain(&nr);
	if (!ASSERT_EQ(nr, 1, "chains") || !ASSERT_NEQ(chain, 0, "its address"))
		goto out;
	offset = preempt_somewhere(chain, offset, seed, &perf_fd, &ring);
	if (!ASSERT_GE(offset, 0, "a breakpoint in the chain"))
		goto out;
	ASSERT_TRUE(GET(held_before_done), "preempted, not past the call");

	if (change == CLOSE) {
		lsm_close_fd(&link);
		lsm_close_fd(&other);
	} else if (change == UPDATE) {
		ASSERT_OK(bpf_link_update(link, progs[1], NULL), "update");
	} else {
		i = lsm_load_attach(progs[1], 1);
		if (ASSERT_OK_FD(i, "attach one more"))
			close(i);
		lsm_close_fd(&link);
	}
	/* As long as it takes to get it wrong. */
	for (i = 0; i < 10; i++)
		usleep(10 * 1000);
	ASSERT_TRUE(prog_is_there(id), "the program it will run");
	ASSERT_FALSE(GET(called), "still in the call");
	release(perf_fd, ring);
	ASSERT_EQ(GET(result), lsm_enforcing() ? EACCES : ENOTTY, "verdict");
	printf("note: preempted at byte %d of the chain\n", offset);
out:
	lsm_close_fd(&link);
	lsm_close_fd(&other);
	ASSERT_TRUE(lsm_prog_goes(id), "the program goes");
}

static void prologue_preempt(void)
{
	long nr = rounds(2 * NR_PREEMPT_CHANGES), i;
	unsigned int seed;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel has no chain that can be looked for");
		return;
	}
	if (get_nprocs() < 2) {
		lsm_skip("this machine has one CPU");
		return;
	}
	seed = lsm_test_count("LSM_TEST_SEED", get_time_ns() % 1000000 + 1);
	printf("note: LSM_TEST_SEED=%u\n", seed);
	if (!setup(2))
		goto out;
	if (preempted_start())
		/* At the very first instruction, and anywhere. */
		for (i = 0; i < nr; i++)
			preempt_round(i % NR_PREEMPT_CHANGES,
				      i < NR_PREEMPT_CHANGES ? 0 : rand_r(&seed) % 160, &seed);
	preempted_stop();
out:
	teardown();
	check_all_gone(2, 0);
}

/* Fork children that open files, and have children of their own, until told. */
static void fork_and_open(int dir, int number, const bool *stop)
{
	char name[32];
	int round, i, fd;

	for (round = 0; !__atomic_load_n(stop, __ATOMIC_RELAXED); round++) {
		for (i = 0; i < 3; i++) {
			if (fork())
				continue;
			snprintf(name, sizeof(name), "%d-%d-%d", number, round, i);
			fd = openat(dir, name, O_RDWR | O_CREAT, 0600);
			close(fd);
			fd = openat(dir, name, O_RDWR);
			if (!i && !fork())
				_exit(0);
			unlinkat(dir, name, 0);
			waitpid(-1, NULL, 0);
			_exit(0);
		}
		while (waitpid(-1, NULL, 0) > 0)
			;
	}
}

static int map_id(const struct bpf_map *map)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	return bpf_map_get_info_by_fd(bpf_map__fd(map), &info, &len) ? -1 : info.id;
}

/* Tasks and files come and go, with values that programs keep for them, while
 * the programs do the same.
 */
static void fork_storm(void)
{
	struct lsm_fork_storm *storm = NULL;
	int dir, started = 0, map_ids[2], i;
	pid_t workers[3];
	bool *stop;
	struct stat st;
	long round;

	stop = mmap(NULL, sizeof(*stop), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	dir = lsm_mount("tmpfs");
	if (!ASSERT_NEQ(stop, MAP_FAILED, "mmap") || !ASSERT_OK_FD(dir, "mount tmpfs") ||
	    !ASSERT_OK(fstat(dir, &st), "stat"))
		goto out;
	for (; started < ARRAY_SIZE(workers); started++) {
		workers[started] = fork();
		if (!workers[started]) {
			fork_and_open(dir, started, stop);
			_exit(0);
		}
		if (!ASSERT_GT(workers[started], 0, "fork"))
			goto out;
	}
	storm = lsm_fork_storm__open_and_load();
	if (!ASSERT_OK_PTR(storm, "open_and_load"))
		goto out;
	storm->bss->monitored_dev = major(st.st_dev) << 20 | minor(st.st_dev);
	map_ids[0] = map_id(storm->maps.tasks);
	map_ids[1] = map_id(storm->maps.inodes);
	for (round = 0; round < rounds(20); round++) {
		if (!ASSERT_OK(lsm_fork_storm__attach(storm), "attach"))
			break;
		usleep(20 * 1000);
		lsm_fork_storm__detach(storm);
	}
	ASSERT_GT(storm->bss->inherited, 0, "children with a value");
	ASSERT_GT(storm->bss->opened, 0, "files that were opened");
	ASSERT_GT(storm->bss->freed, 0, "tasks that went");
	ASSERT_EQ(storm->bss->wrong, 0, "values of something else");
	printf("note: %llu children had a value, %llu files opened, %llu tasks freed\n",
	       storm->bss->inherited, storm->bss->opened, storm->bss->freed);
	lsm_fork_storm__destroy(storm);
	/* With tasks and files that have values still around. */
	for (i = 0; i < ARRAY_SIZE(map_ids); i++)
		ASSERT_TRUE(lsm_id_goes(bpf_map_get_fd_by_id, map_ids[i]), "map and programs go");
out:
	if (stop != MAP_FAILED)
		__atomic_store_n(stop, true, __ATOMIC_RELAXED);
	while (started--)
		if (workers[started] > 0)
			waitpid(workers[started], NULL, 0);
	if (stop != MAP_FAILED)
		munmap(stop, sizeof(*stop));
	lsm_close_fd(&dir);
}

static int trace_fs = -1;

static bool trace_write(const char *file, const char *text)
{
	int fd = openat(trace_fs, file, O_WRONLY | O_APPEND | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == strlen(text);

	if (fd >= 0)
		close(fd);
	return written;
}

/* Have as much code patched as root can, in the hook's way and elsewhere. */
static void flip_all(void)
{
	struct bpf_link *links[4] = {};
	struct bpf_program *others[] = {
		skel->progs.trace, skel->progs.other_task, skel->progs.other_mmap,
		skel->progs.other_inode,
	};
	int stats, i;

	ASSERT_TRUE(trace_write("kprobe_events", "p:lsm_race/hook security_file_ioctl"), "kprobe");
	ASSERT_TRUE(trace_write("kprobe_events", "p:lsm_race/call vfs_ioctl"), "kprobe");
	ASSERT_TRUE(trace_write("events/lsm_race/enable", "1"), "enable kprobes");
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		links[i] = bpf_program__attach(others[i]);
		ASSERT_OK_PTR(links[i], bpf_program__name(others[i]));
	}
	ASSERT_TRUE(trace_write("events/syscalls/sys_enter_ioctl/enable", "1"), "tracepoint");
	stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	ASSERT_OK_FD(stats, "statistics");
	usleep(5 * 1000);
	ASSERT_TRUE(trace_write("events/lsm_race/enable", "0"), "disable kprobes");
	close(stats);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		bpf_link__destroy(links[i]);
	ASSERT_TRUE(trace_write("events/syscalls/sys_enter_ioctl/enable", "0"), "no tracepoint");
	ASSERT_TRUE(trace_write("kprobe_events", "-:lsm_race/hook"), "no kprobe");
	ASSERT_TRUE(trace_write("kprobe_events", "-:lsm_race/call"), "no kprobe");
}

/* All of the kernel's ways to patch code, beside those of the hook. */
static void text_poke(void)
{
	struct lsm_churner churners[2];
	const int nr = 8;
	__u32 deny = 0;
	int link = -1;
	long round;

	trace_fs = lsm_mount("tracefs");
	if (trace_fs < 0 || faccessat(trace_fs, "kprobe_events", W_OK, 0)) {
		lsm_skip("this kernel has no kprobe events");
		goto close;
	}
	if (!setup(nr))
		goto out;
	deny = attach_deny(&link);
	if (!deny)
		goto out;
	if (lsm_load_start()) {
		lsm_churn_start(churners, ARRAY_SIZE(churners), progs, nr, rounds(40));
		for (round = 0; round < rounds(40) / 20; round++)
			flip_all();
		lsm_churn_end(churners, ARRAY_SIZE(churners));
	}
	lsm_load_stop();
out:
	lsm_close_fd(&link);
	teardown();
	check_all_gone(nr, deny);
close:
	lsm_close_fd(&trace_fs);
}

void serial_test_lsm_race(void)
{
	if (test__start_subtest("detach_race"))
		detach_race();
	if (test__start_subtest("sleepable_uffd"))
		sleepable_uffd();
	if (test__start_subtest("prologue_preempt"))
		prologue_preempt();
	if (test__start_subtest("fork_storm"))
		fork_storm();
	if (test__start_subtest("text_poke"))
		text_poke();
}
