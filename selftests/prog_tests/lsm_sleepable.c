// SPDX-License-Identifier: GPL-2.0

/* Sleepable LSM programs wait for user memory, beside programs that must not,
 * and what they run in stays until they have woken up.
 *
 * This would catch: a sleepable program that cannot fault, or a plain one that
 * does; a chain that runs them in another order than they were attached in, or
 * on after a denial; a hook with a caller in atomic context that takes
 * sleepable programs; a chain that is freed under a program which sleeps, as
 * one grace period of either RCU-tasks or RCU-trace would have it, so that the
 * task wakes up in memory that is something else by now; a detach that waits
 * for the sleeper; a chain that is never freed.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lsm_helpers.h"
#include "progs/lsm_sleepable.h"
#include "lsm_sleepable.skel.h"

#define CHAIN "bpf_lsm_chain_task_prctl"

static struct lsm_sleepable *skel;
static size_t page_size;
/* The words for the programs A, and for the programs B. */
static long *word_a, *word_b;

static bool setup(void)
{
	page_size = getpagesize();
	skel = lsm_sleepable__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	skel->bss->monitored_pid = getpid();
	return true;
}

static void teardown(void)
{
	lsm_sleepable__destroy(skel);
	skel = NULL;
}

/* A page that nothing maps yet, with @word at its beginning. */
static long *absent_page(long word)
{
	long *page = MAP_FAILED;
	int fd;

	fd = memfd_create("lsm_sleepable", 0);
	if (!ASSERT_OK_FD(fd, "memfd_create"))
		return NULL;
	if (ASSERT_EQ(pwrite(fd, &word, sizeof(word), 0), sizeof(word), "write") &&
	    ASSERT_OK(ftruncate(fd, page_size), "ftruncate"))
		page = mmap(NULL, page_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return ASSERT_NEQ(page, MAP_FAILED, "mmap") ? page : NULL;
}

static void make_absent(long *page)
{
	ASSERT_OK(madvise(page, page_size, MADV_DONTNEED), "madvise");
}

static bool setup_words(long a, long b)
{
	word_a = absent_page(a);
	word_b = absent_page(b);
	return word_a && word_b;
}

static void free_words(void)
{
	if (word_a)
		munmap(word_a, page_size);
	if (word_b)
		munmap(word_b, page_size);
	word_a = NULL;
	word_b = NULL;
}

/* Run the hook once. Returns the errno of the system call. */
static int call_hook(void)
{
	errno = 0;
	prctl(LSM_SLEEPABLE_OPTION, word_a, word_b, 0, 0);
	return errno;
}

static void forget(void)
{
	memset(skel->bss->seen, 0, sizeof(skel->bss->seen));
	skel->bss->turns = 0;
}

static struct lsm_sleepable_seen *seen(int slot)
{
	return (struct lsm_sleepable_seen *)&skel->bss->seen[slot];
}

static bool attach(struct bpf_program *prog, struct bpf_link **link)
{
	*link = bpf_program__attach_lsm(prog);
	return ASSERT_OK_PTR(*link, bpf_program__name(prog));
}

/* Plain programs get -EFAULT for what sleepable ones read. */
static void faults(void)
{
	const long word = 42;

	if (!setup())
		return;
	if (!setup_words(word, word))
		goto out;

	if (!attach(skel->progs.plain_a, &skel->links.plain_a))
		goto out;
	ASSERT_EQ(call_hook(), EINVAL, "unknown option");
	ASSERT_EQ(seen(PLAIN_A)->calls, 1, "plain: calls");
	ASSERT_EQ(seen(PLAIN_A)->err, -EFAULT, "plain: error");

	if (!attach(skel->progs.sleepable_a, &skel->links.sleepable_a))
		goto out;
	ASSERT_EQ(call_hook(), EINVAL, "unknown option");
	ASSERT_EQ(seen(SLEEPABLE_A)->calls, 1, "sleepable: calls");
	ASSERT_EQ(seen(SLEEPABLE_A)->err, 0, "sleepable: error");
	ASSERT_EQ(seen(SLEEPABLE_A)->word, word, "sleepable: word");
out:
	free_words();
	teardown();
}

static void denies(void)
{
	if (lsm_skip_unless_enforcing())
		return;
	if (!setup())
		return;
	if (!setup_words(LSM_SLEEPABLE_DENY, 0))
		goto out;
	if (!attach(skel->progs.sleepable_a, &skel->links.sleepable_a))
		goto out;
	ASSERT_EQ(call_hook(), EACCES, "denied by what is in user memory");
	bpf_link__destroy(skel->links.sleepable_a);
	skel->links.sleepable_a = NULL;
	ASSERT_EQ(call_hook(), EINVAL, "after detach");
out:
	free_words();
	teardown();
}

static bool attach_mixed(void)
{
	return attach(skel->progs.sleepable_a, &skel->links.sleepable_a) &&
	       attach(skel->progs.plain_a, &skel->links.plain_a) &&
	       attach(skel->progs.sleepable_b, &skel->links.sleepable_b) &&
	       attach(skel->progs.plain_b, &skel->links.plain_b);
}

static void detach_mixed(void)
{
	bpf_link__destroy(skel->links.sleepable_a);
	bpf_link__destroy(skel->links.plain_a);
	bpf_link__destroy(skel->links.sleepable_b);
	bpf_link__destroy(skel->links.plain_b);
	memset(&skel->links, 0, sizeof(skel->links));
}

/* All run, in order, and the sleepable ones bring in the page for the rest. */
static void mixed_chain(void)
{
	int slot;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel runs the latest program first");
		return;
	}
	if (!setup())
		return;
	if (!setup_words(1, 2) || !attach_mixed())
		goto out;
	ASSERT_EQ(call_hook(), EINVAL, "unknown option");
	for (slot = 0; slot < NR_SLOTS; slot++) {
		ASSERT_EQ(seen(slot)->calls, 1, "calls");
		ASSERT_EQ(seen(slot)->turn, slot + 1, "turn");
		ASSERT_EQ(seen(slot)->err, 0, "error");
	}
	ASSERT_EQ(seen(SLEEPABLE_A)->word, 1, "word A");
	ASSERT_EQ(seen(PLAIN_A)->word, 1, "word A, again");
	ASSERT_EQ(seen(SLEEPABLE_B)->word, 2, "word B");
	ASSERT_EQ(seen(PLAIN_B)->word, 2, "word B, again");
out:
	free_words();
	teardown();
}

/* The first to deny is the last to run, whichever kind it is. */
static void mixed_denial(void)
{
	if (!lsm_has_chains()) {
		lsm_skip("this kernel runs the latest program first");
		return;
	}
	if (lsm_skip_unless_enforcing())
		return;
	if (!setup())
		return;
	if (!setup_words(1, LSM_SLEEPABLE_DENY) || !attach_mixed())
		goto out;
	ASSERT_EQ(call_hook(), EACCES, "denied");
	ASSERT_EQ(seen(PLAIN_A)->calls, 1, "plain program before");
	ASSERT_EQ(seen(SLEEPABLE_B)->calls, 1, "sleepable program that denies");
	ASSERT_EQ(seen(PLAIN_B)->calls, 0, "plain program after");

	free_words();
	forget();
	if (!setup_words(LSM_SLEEPABLE_DENY, 1))
		goto out;
	ASSERT_EQ(call_hook(), EACCES, "denied");
	ASSERT_EQ(seen(SLEEPABLE_A)->calls, 1, "sleepable program that denies");
	ASSERT_EQ(seen(PLAIN_A)->calls, 0, "plain program after");
	ASSERT_EQ(seen(SLEEPABLE_B)->calls, 0, "sleepable program after");
out:
	free_words();
	teardown();
}

static char log_buf[4096];

static void check_unsleepable(const char *name)
{
	struct lsm_sleepable *other = lsm_sleepable__open();
	struct bpf_program *prog;

	if (!ASSERT_OK_PTR(other, "open"))
		return;
	bpf_object__for_each_program(prog, other->obj)
		bpf_program__set_autoload(prog, false);
	prog = bpf_object__find_program_by_name(other->obj, name);
	if (!ASSERT_OK_PTR(prog, name))
		goto out;
	log_buf[0] = '\0';
	bpf_program__set_autoload(prog, true);
	bpf_program__set_log_buf(prog, log_buf, sizeof(log_buf));
	ASSERT_EQ(lsm_sleepable__load(other), -EINVAL, name);
	ASSERT_HAS_SUBSTR(log_buf, "is not sleepable", name);
out:
	lsm_sleepable__destroy(other);
}

static void unsleepable(void)
{
	check_unsleepable("unsleepable_file_permission");
	if (!lsm_has_chains())
		return;
	check_unsleepable("unsleepable_capget");
	check_unsleepable("unsleepable_current_getsecid_subj");
	check_unsleepable("unsleepable_task_getsecid_obj");
	check_unsleepable("unsleepable_release_secctx");
	check_unsleepable("unsleepable_inode_free_security");
}

/* How many chains of the hook does the kernel have, in use or not? */
static int count_chains(void)
{
	char line[256];
	FILE *file;
	int nr = 0;

	file = fopen("/proc/kallsyms", "re");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		nr += !!strstr(line, CHAIN);
	fclose(file);
	return nr;
}

static bool wait_for_chains(int nr)
{
	int tries;

	for (tries = 0; tries < 300; tries++) {
		if (count_chains() == nr)
			return true;
		usleep(100 * 1000);
	}
	return false;
}

/* Memory whose first access waits until resume() is called. */
static long *blocking_page(int *uffd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	long *page;

	*uffd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (!ASSERT_OK_FD(*uffd, "userfaultfd"))
		return NULL;
	page = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!ASSERT_NEQ(page, MAP_FAILED, "mmap"))
		goto err;
	reg.range.start = (unsigned long)page;
	reg.range.len = page_size;
	if (ASSERT_OK(ioctl(*uffd, UFFDIO_API, &api), "UFFDIO_API") &&
	    ASSERT_OK(ioctl(*uffd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER"))
		return page;
	munmap(page, page_size);
err:
	close(*uffd);
	return NULL;
}

static bool wait_for_fault(int uffd)
{
	struct pollfd fd = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	return ASSERT_EQ(poll(&fd, 1, 10 * 1000), 1, "a program waits for memory") &&
	       ASSERT_EQ(read(uffd, &msg, sizeof(msg)), sizeof(msg), "its fault");
}

static void resume(int uffd, long *page)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (unsigned long)page, .len = page_size },
	};

	ASSERT_OK(ioctl(uffd, UFFDIO_ZEROPAGE, &zero), "UFFDIO_ZEROPAGE");
}

static void *call_hook_thread(void *result)
{
	*(int *)result = call_hook();
	return NULL;
}

/* Everything is detached and let go of while the second sleepable program
 * waits. What it returns to must be there, for all the grace periods that go by
 * and all the chains that come and go meanwhile.
 */
static void blocked_detach(void)
{
	int uffd, result = -1, i;
	pthread_t thread;
	long *page;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel has no chain that can be looked for");
		return;
	}
	if (!setup())
		return;
	word_a = absent_page(1);
	page = blocking_page(&uffd);
	word_b = page;
	if (!word_a || !page)
		goto out;
	if (!ASSERT_TRUE(wait_for_chains(0), "no chain before") || !attach_mixed())
		goto out_close;

	if (!ASSERT_OK(pthread_create(&thread, NULL, call_hook_thread, &result),
		       "pthread_create"))
		goto out_close;
	if (wait_for_fault(uffd)) {
		detach_mixed();
		for (i = 0; i < 10; i++) {
			struct bpf_link *link;

			if (attach(skel->progs.plain_a, &link))
				bpf_link__destroy(link);
			usleep(100 * 1000);
		}
		ASSERT_GT(count_chains(), 0, "the chain that is slept in");
		ASSERT_EQ(seen(PLAIN_B)->calls, 0, "last program, not reached yet");
	}
	resume(uffd, page);
	pthread_join(thread, NULL);
	ASSERT_EQ(result, EINVAL, "the call went on");
	ASSERT_EQ(seen(SLEEPABLE_B)->calls, 1, "the program that slept");
	ASSERT_EQ(seen(PLAIN_B)->calls, 1, "and the one after it, detached though it is");
	ASSERT_TRUE(wait_for_chains(0), "no chain is left");
out_close:
	close(uffd);
out:
	free_words();
	teardown();
}

static bool stop;

static void *fault_in_hook(void *unused)
{
	while (!READ_ONCE(stop)) {
		make_absent(word_a);
		make_absent(word_b);
		call_hook();
	}
	return NULL;
}

/* Chains come and go under tasks that sleep in them at every turn. */
static void churn(void)
{
	pthread_t threads[2];
	int i, started = 0;

	if (!setup())
		return;
	if (!setup_words(1, 2))
		goto out;
	WRITE_ONCE(stop, false);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		if (!ASSERT_OK(pthread_create(&threads[i], NULL, fault_in_hook, NULL),
			       "pthread_create"))
			break;
		started++;
	}
	for (i = 0; i < 50 && attach_mixed(); i++)
		detach_mixed();
	ASSERT_EQ(i, 50, "rounds");
	WRITE_ONCE(stop, true);
	while (started--)
		pthread_join(threads[started], NULL);
	ASSERT_GT(seen(SLEEPABLE_B)->calls, 0, "calls");
	ASSERT_EQ(seen(SLEEPABLE_B)->err, 0, "error");
out:
	free_words();
	teardown();
}

void test_lsm_sleepable(void)
{
	if (test__start_subtest("faults"))
		faults();
	if (test__start_subtest("denies"))
		denies();
	if (test__start_subtest("mixed_chain"))
		mixed_chain();
	if (test__start_subtest("mixed_denial"))
		mixed_denial();
	if (test__start_subtest("unsleepable"))
		unsleepable();
	if (test__start_subtest("blocked_detach"))
		blocked_detach();
	if (test__start_subtest("churn"))
		churn();
}
