// SPDX-License-Identifier: GPL-2.0

/* While a link is updated between two programs that deny, every CPU makes the
 * call that is denied: not one may succeed.
 *
 * This would catch: an update that detaches first, or closes the slot of the
 * hook for a moment; a program that is freed, or an image that is overwritten,
 * while a call is in it; a call that meets half of two chains and is answered
 * with neither program's error.
 *
 * LSM_TEST_UPDATES in the environment says how many updates there are.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "lsm_helpers.h"
#include "lsm_update_no_window.skel.h"

#define DEFAULT_UPDATES	1000
#define MAX_CPUS	64

/* What one thread has seen. */
struct caller {
	pthread_t thread;
	int cpu;
	void *page;
	long eacces;
	long ebusy;
	long allowed;
	long other;
};

static bool stop;

static void *call(void *arg)
{
	struct caller *caller = arg;
	long size = sysconf(_SC_PAGESIZE);
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(caller->cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		return (void *)(long)errno;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (!mprotect(caller->page, size, PROT_READ | PROT_WRITE | PROT_EXEC))
			caller->allowed++;
		else if (errno == EACCES)
			caller->eacces++;
		else if (errno == EBUSY)
			caller->ebusy++;
		else
			caller->other++;
	}
	return NULL;
}

/* Has every thread begun? */
static bool all_are_denied(struct caller *callers, int nr)
{
	int cpu, tries;

	for (cpu = 0; cpu < nr; cpu++) {
		for (tries = 0; !__atomic_load_n(&callers[cpu].eacces, __ATOMIC_RELAXED); tries++) {
			if (tries == 1000)
				return false;
			usleep(10 * 1000);
		}
	}
	return true;
}

static void check_callers(struct caller *callers, int nr)
{
	long eacces = 0, ebusy = 0;
	int cpu;

	for (cpu = 0; cpu < nr; cpu++) {
		ASSERT_EQ(callers[cpu].allowed, 0, "calls that were allowed");
		ASSERT_EQ(callers[cpu].other, 0, "calls with another error");
		ASSERT_GT(callers[cpu].eacces + callers[cpu].ebusy, 0, "calls");
		eacces += callers[cpu].eacces;
		ebusy += callers[cpu].ebusy;
	}
	/* Updates do reach those who call. */
	ASSERT_GT(eacces, 0, "calls that the first program denied");
	ASSERT_GT(ebusy, 0, "calls that the second program denied");
	printf("note: denied on %d CPUs: %ld calls with EACCES, %ld with EBUSY\n",
	       nr, eacces, ebusy);
}

void test_lsm_update_no_window(void)
{
	long updates = lsm_test_rounds("LSM_TEST_UPDATES", DEFAULT_UPDATES), done, failed = 0;
	int nr_cpus = get_nprocs(), nr = 0, cpu, fds[2];
	long size = sysconf(_SC_PAGESIZE);
	struct lsm_update_no_window *skel;
	struct caller callers[MAX_CPUS];
	struct bpf_link *link;
	__u64 start, took;
	void *ret;

	if (!lsm_has_chains()) {
		lsm_skip("links of this kernel's LSM programs cannot be updated");
		return;
	}
	if (lsm_skip_unless_enforcing())
		return;

	if (nr_cpus > MAX_CPUS)
		nr_cpus = MAX_CPUS;
	memset(callers, 0, sizeof(callers));
	skel = lsm_update_no_window__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return;
	fds[0] = bpf_program__fd(skel->progs.deny_eacces);
	fds[1] = bpf_program__fd(skel->progs.deny_ebusy);
	link = bpf_program__attach_lsm(skel->progs.deny_eacces);
	if (!ASSERT_OK_PTR(link, "attach"))
		goto out;
	for (cpu = 0; cpu < nr_cpus; cpu++) {
		callers[cpu].cpu = cpu;
		callers[cpu].page = mmap(NULL, size, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (!ASSERT_NEQ(callers[cpu].page, MAP_FAILED, "mmap"))
			goto out;
	}

	stop = false;
	skel->bss->monitored_pid = getpid();
	for (nr = 0; nr < nr_cpus; nr++)
		if (!ASSERT_OK(pthread_create(&callers[nr].thread, NULL, call, &callers[nr]),
			       "pthread_create"))
			goto join;

	if (!ASSERT_TRUE(all_are_denied(callers, nr), "everybody calls"))
		goto join;

	start = get_time_ns();
	for (done = 0; done < updates; done++)
		if (bpf_link_update(bpf_link__fd(link), fds[!(done & 1)], NULL))
			failed++;
	took = get_time_ns() - start;
	printf("note: %ld updates in %llu ms\n", updates, took / 1000000);
	ASSERT_EQ(failed, 0, "updates that failed");
join:
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (cpu = 0; cpu < nr; cpu++) {
		pthread_join(callers[cpu].thread, &ret);
		ASSERT_OK((long)ret, "pin to a CPU");
	}
	skel->bss->monitored_pid = 0;
	if (nr == nr_cpus)
		check_callers(callers, nr);
	ASSERT_OK(mprotect(callers[0].page, size, PROT_READ | PROT_WRITE | PROT_EXEC),
		  "allowed when nobody denies");
out:
	for (cpu = 0; cpu < nr_cpus; cpu++)
		if (callers[cpu].page && callers[cpu].page != MAP_FAILED)
			munmap(callers[cpu].page, size);
	bpf_link__destroy(link);
	lsm_update_no_window__destroy(skel);
}
