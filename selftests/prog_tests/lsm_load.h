/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __LSM_LOAD_H
#define __LSM_LOAD_H

/* Load for a hook: one thread on each CPU that calls it all the time, and
 * threads that attach, replace and detach programs of it at random.
 */

#include <test_progs.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#include "lsm_helpers.h"
#include "progs/lsm_race.h"

#define LSM_LOAD_CPUS	64

/* What one caller has seen. Every other call is one that has to be denied. */
struct lsm_caller {
	pthread_t thread;
	int cpu;
	long denied;
	long allowed;
	long passed;
	long wrong;
};

struct lsm_load {
	struct lsm_caller callers[LSM_LOAD_CPUS];
	int nr_callers;
	int fd;
	bool enforcing;
	bool stop;
};

/* Programs that one thread, and nobody else, attaches and detaches. */
struct lsm_churner {
	pthread_t thread;
	unsigned int seed;
	int first;
	int nr;
	const int *progs;
	int links[LSM_RACE_PROGS];
	long rounds;
	bool update;
	long attached;
	long replaced;
	long detached;
	int err;
};

static inline void lsm_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Returns 0 or the errno. */
static inline int lsm_load_call(int fd, unsigned int cmd, unsigned long arg)
{
	return ioctl(fd, cmd, arg) ? errno : 0;
}

static inline bool lsm_load_pin(pthread_t thread, int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	return !pthread_setaffinity_np(thread, sizeof(cpus), &cpus);
}

static struct lsm_load lsm_load = { .fd = -1 };

static inline void *lsm_load_caller(void *arg)
{
	int denial = lsm_load.enforcing ? EACCES : ENOTTY, err;
	struct lsm_caller *caller = arg;
	unsigned int turn = 0;

	while (!__atomic_load_n(&lsm_load.stop, __ATOMIC_RELAXED)) {
		err = lsm_load_call(lsm_load.fd, LSM_RACE_CALL, LSM_RACE_DENIED);
		if (err == denial)
			__atomic_store_n(&caller->denied, caller->denied + 1, __ATOMIC_RELAXED);
		else if (err == ENOTTY)
			caller->allowed++;
		else
			caller->wrong++;
		err = lsm_load_call(lsm_load.fd, LSM_RACE_CALL, 0);
		if (err == ENOTTY)
			caller->passed++;
		else
			caller->wrong++;
		/* RCU-tasks sees that it is in no chain. Otherwise that
		 * waits long for the tick to meet it in user space.
		 */
		if (!(++turn % 256))
			sched_yield();
	}
	return NULL;
}

/* Start callers on all CPUs. The program that denies has to be attached. */
static inline bool lsm_load_start(void)
{
	int nr = get_nprocs() < LSM_LOAD_CPUS ? get_nprocs() : LSM_LOAD_CPUS, i, tries;

	memset(&lsm_load, 0, sizeof(lsm_load));
	lsm_load.enforcing = lsm_enforcing();
	lsm_load.fd = eventfd(0, EFD_CLOEXEC);
	if (!ASSERT_OK_FD(lsm_load.fd, "eventfd"))
		return false;
	for (i = 0; i < nr; i++) {
		struct lsm_caller *caller = &lsm_load.callers[i];

		caller->cpu = i;
		if (!ASSERT_OK(pthread_create(&caller->thread, NULL, lsm_load_caller, caller),
			       "pthread_create"))
			return false;
		lsm_load.nr_callers++;
		ASSERT_TRUE(lsm_load_pin(caller->thread, i), "pin to a CPU");
	}
	for (i = 0; i < nr; i++) {
		for (tries = 0; tries < 3000; tries++) {
			if (__atomic_load_n(&lsm_load.callers[i].denied, __ATOMIC_RELAXED))
				break;
			usleep(10 * 1000);
		}
		if (!ASSERT_LT(tries, 3000, "everybody calls"))
			return false;
	}
	return true;
}

/* Stop them, and see that no verdict was wrong. Returns the number of calls. */
static inline long lsm_load_stop(void)
{
	long denied = 0, passed = 0;
	int i;

	__atomic_store_n(&lsm_load.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < lsm_load.nr_callers; i++) {
		struct lsm_caller *caller = &lsm_load.callers[i];

		pthread_join(caller->thread, NULL);
		ASSERT_GT(caller->denied, 0, "calls that were denied");
		ASSERT_EQ(caller->allowed, 0, "calls that had to be denied and were allowed");
		ASSERT_EQ(caller->wrong, 0, "calls with another error");
		denied += caller->denied;
		passed += caller->passed;
	}
	if (lsm_load.fd >= 0)
		close(lsm_load.fd);
	lsm_load.fd = -1;
	printf("note: callers on %d CPUs: %ld calls denied, %ld passed\n",
	       lsm_load.nr_callers, denied, passed);
	lsm_load.nr_callers = 0;
	return denied + passed;
}

/* Another program with the instructions and the maps of @prog. */
static inline int lsm_load_copy(const struct bpf_program *prog, const char *hook,
				bool sleepable)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_MAC,
		    .prog_flags = sleepable ? BPF_F_SLEEPABLE : 0);

	opts.attach_btf_id = libbpf_find_vmlinux_btf_id(hook, BPF_LSM_MAC);
	return bpf_prog_load(BPF_PROG_TYPE_LSM, bpf_program__name(prog), "GPL",
			     bpf_program__insns(prog), bpf_program__insn_cnt(prog), &opts);
}

static inline int lsm_load_attach(int prog_fd, int number)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .tracing.cookie = number);

	return bpf_link_create(prog_fd, 0, BPF_LSM_MAC, &opts);
}

static inline __u32 lsm_prog_id(int fd)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	return bpf_prog_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

/* Have another program of this thread run by the link of program @i. Its
 * counter becomes that of the other one's, as the cookie is the link's.
 */
static inline int lsm_churn_replace(struct lsm_churner *churner, int i)
{
	int j = churner->first + rand_r(&churner->seed) % churner->nr;
	int err;

	if (churner->links[j] >= 0)
		return 0;
	err = bpf_link_update(churner->links[i], churner->progs[j], NULL);
	if (err)
		return err;
	churner->replaced++;
	/* And back, so that the program of each link is known. */
	return bpf_link_update(churner->links[i], churner->progs[i], NULL);
}

static inline int lsm_churn_once(struct lsm_churner *churner)
{
	int i = churner->first + rand_r(&churner->seed) % churner->nr;
	int what = rand_r(&churner->seed) % 8, err = 0;

	if (churner->links[i] < 0) {
		churner->links[i] = lsm_load_attach(churner->progs[i], i);
		if (churner->links[i] < 0)
			return churner->links[i];
		churner->attached++;
		return 0;
	}
	if (what < 3 && churner->update)
		return lsm_churn_replace(churner, i);
	if (what < 5 && churner->update)
		err = bpf_link_detach(churner->links[i]);
	close(churner->links[i]);
	churner->links[i] = -1;
	churner->detached++;
	return err;
}

static inline void *lsm_churn(void *arg)
{
	struct lsm_churner *churner = arg;
	long round;

	for (round = 0; round < churner->rounds && !churner->err; round++)
		churner->err = lsm_churn_once(churner);
	return NULL;
}

/* Give each of @nr threads its share of the @nr_progs programs, and start it. */
static inline bool lsm_churn_start(struct lsm_churner *churners, int nr, const int *progs,
				   int nr_progs, long rounds)
{
	long seed = lsm_test_count("LSM_TEST_SEED", get_time_ns() % 1000000 + 1);
	int i, j;

	printf("note: LSM_TEST_SEED=%ld\n", seed);
	memset(churners, 0, nr * sizeof(*churners));
	for (i = 0; i < nr; i++) {
		struct lsm_churner *churner = &churners[i];

		churner->seed = seed + i;
		churner->first = i * nr_progs / nr;
		churner->nr = (i + 1) * nr_progs / nr - churner->first;
		churner->progs = progs;
		churner->rounds = rounds;
		churner->update = lsm_has_chains();
		for (j = 0; j < LSM_RACE_PROGS; j++)
			churner->links[j] = -1;
	}
	for (i = 0; i < nr; i++)
		if (!ASSERT_OK(pthread_create(&churners[i].thread, NULL, lsm_churn, &churners[i]),
			       "pthread_create"))
			break;
	/* The rest has nothing to do. */
	for (j = i; j < nr; j++)
		churners[j].rounds = 0;
	return i == nr;
}

/* Wait for them, and have nothing attached. */
static inline void lsm_churn_end(struct lsm_churner *churners, int nr)
{
	long attached = 0, replaced = 0, detached = 0;
	int i, j;

	for (i = 0; i < nr; i++) {
		if (churners[i].rounds)
			pthread_join(churners[i].thread, NULL);
		ASSERT_OK(churners[i].err, "attach, replace and detach");
		attached += churners[i].attached;
		replaced += churners[i].replaced;
		detached += churners[i].detached;
		for (j = 0; j < LSM_RACE_PROGS; j++)
			if (churners[i].links[j] >= 0)
				close(churners[i].links[j]);
	}
	ASSERT_GT(attached, 0, "programs attached");
	printf("note: attached %ld times, replaced %ld, detached %ld\n",
	       attached, replaced, detached);
}

/* How many programs are attached to the hook? */
static inline int lsm_load_attached(void)
{
	LIBBPF_OPTS(bpf_prog_query_opts, opts);
	int id = libbpf_find_vmlinux_btf_id("file_ioctl", BPF_LSM_MAC);
	int err = bpf_prog_query_opts(id, BPF_LSM_MAC, &opts);

	return err ?: opts.count;
}

/* Memory whose first access waits until somebody fills it. Children can make
 * it, too: says nothing when it fails.
 */
static inline void *lsm_blocking_page(int *uffd, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *page;

	*uffd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (*uffd < 0)
		return NULL;
	page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (unsigned long)page;
	reg.range.len = size;
	if (page != MAP_FAILED && !ioctl(*uffd, UFFDIO_API, &api) &&
	    !ioctl(*uffd, UFFDIO_REGISTER, &reg))
		return page;
	if (page != MAP_FAILED)
		munmap(page, size);
	close(*uffd);
	*uffd = -1;
	return NULL;
}

/* Who makes the call that sleeps in a program. */
struct lsm_reader {
	int fd;
	void *page;
	int result;
};

static inline void *lsm_read_in_hook(void *arg)
{
	struct lsm_reader *reader = arg;

	reader->result = lsm_load_call(reader->fd, LSM_RACE_READ, (unsigned long)reader->page);
	return NULL;
}

#endif /* __LSM_LOAD_H */
