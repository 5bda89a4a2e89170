// SPDX-License-Identifier: GPL-2.0

/* Somebody makes heap or stack executable, and a program on file_mprotect is
 * to see it, and to prevent it when asked to.
 *
 * This would catch: a hook that is not called, or called with the wrong
 * mapping or protection; an event that does not reach user space, or that
 * names another process; a denial that returns another error, or that comes
 * after the mapping was changed; a policy for one process that hits another.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "lsm_helpers.h"
#include "progs/lsm_mprotect_audit.h"
#include "lsm_mprotect_audit.skel.h"

#define RW	(PROT_READ | PROT_WRITE)
#define RWX	(PROT_READ | PROT_WRITE | PROT_EXEC)

/* A line of /proc/self/maps. */
struct mapping {
	unsigned long start;
	unsigned long end;
	char perms[5];
};

/* What the ring buffer has delivered. */
struct seen {
	struct lsm_mprotect_event last;
	int nr;
};

static struct lsm_mprotect_audit *skel;
static struct ring_buffer *ringbuf;
static struct seen seen;

/* Neither stdio nor malloc(): both could change the heap's mapping. */
static int find_mapping(const void *addr, struct mapping *map)
{
	static char buf[128 * 1024];
	size_t len = 0;
	ssize_t ret;
	char *line;
	int fd;

	fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		ret = read(fd, buf + len, sizeof(buf) - 1 - len);
		if (ret > 0)
			len += ret;
	} while (ret > 0);
	close(fd);
	buf[len] = '\0';

	for (line = buf; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%lx-%lx %4s", &map->start, &map->end, map->perms) != 3)
			continue;
		if (map->start <= (unsigned long)addr && map->end > (unsigned long)addr)
			return 0;
	}
	return -ENOENT;
}

static int on_event(void *ctx, void *data, size_t size)
{
	if (!ASSERT_GE(size, sizeof(seen.last), "event size"))
		return 0;
	memcpy(&seen.last, data, sizeof(seen.last));
	seen.nr++;
	return 0;
}

/* A page in the middle of three: what lies beside it stays as it is. */
static void *heap_page(void)
{
	long size = sysconf(_SC_PAGESIZE);
	char *area;

	area = sbrk(3 * size);
	if (area == (void *)-1)
		return NULL;
	return (void *)(((unsigned long)area + 2 * size - 1) & -size);
}

/* The caller's frame has to live as long as the page is used. */
#define stack_page() ({							\
	long __size = sysconf(_SC_PAGESIZE);				\
	char *__area = alloca(3 * __size);				\
	(void *)(((unsigned long)__area + 2 * __size - 1) & -__size);	\
})

static bool setup(bool deny)
{
	int err;

	memset(&seen, 0, sizeof(seen));
	skel = lsm_mprotect_audit__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	ringbuf = ring_buffer__new(bpf_map__fd(skel->maps.events), on_event, NULL, NULL);
	if (!ASSERT_OK_PTR(ringbuf, "ring_buffer__new"))
		return false;
	skel->bss->monitored_pid = getpid();
	skel->bss->deny = deny;
	err = lsm_mprotect_audit__attach(skel);
	return ASSERT_OK(err, "attach");
}

static void teardown(void)
{
	ring_buffer__free(ringbuf);
	ringbuf = NULL;
	lsm_mprotect_audit__destroy(skel);
	skel = NULL;
}

static void check_event(const struct mapping *map, enum lsm_mprotect_kind kind)
{
	char comm[16] = "";

	ring_buffer__consume(ringbuf);
	if (!ASSERT_EQ(seen.nr, 1, "number of events"))
		return;
	prctl(PR_GET_NAME, comm);
	ASSERT_EQ(seen.last.pid, getpid(), "pid");
	ASSERT_EQ(seen.last.kind, kind, "kind");
	ASSERT_EQ(seen.last.start, map->start, "start");
	ASSERT_EQ(seen.last.end, map->end, "end");
	ASSERT_EQ(seen.last.old_prot, RW, "old_prot");
	ASSERT_EQ(seen.last.new_prot, RWX, "new_prot");
	ASSERT_STREQ(seen.last.comm, comm, "comm");
	ASSERT_EQ(skel->bss->lost, 0, "lost events");
}

static void check_audit(void *page, enum lsm_mprotect_kind kind)
{
	long size = sysconf(_SC_PAGESIZE);
	struct mapping before, after;
	int err;

	if (!setup(false))
		goto out;
	if (!ASSERT_OK(find_mapping(page, &before), "mapping before"))
		goto out;
	ASSERT_STREQ(before.perms, "rw-p", "perms before");

	err = mprotect(page, size, RWX);
	ASSERT_OK(err, "mprotect");
	if (ASSERT_OK(find_mapping(page, &after), "mapping after")) {
		ASSERT_EQ(after.start, (unsigned long)page, "start after");
		ASSERT_EQ(after.end, (unsigned long)page + size, "end after");
		ASSERT_STREQ(after.perms, "rwxp", "perms after");
	}
	check_event(&before, kind);
	mprotect(page, size, RW);
out:
	teardown();
}

static void check_deny(void *page, enum lsm_mprotect_kind kind)
{
	long size = sysconf(_SC_PAGESIZE);
	struct mapping before, after;
	int err;

	if (lsm_skip_unless_enforcing())
		return;
	if (!setup(true))
		goto out;
	if (!ASSERT_OK(find_mapping(page, &before), "mapping before"))
		goto out;

	err = mprotect(page, size, RWX);
	if (!ASSERT_EQ(err, -1, "mprotect"))
		mprotect(page, size, RW);
	else
		ASSERT_EQ(errno, EPERM, "errno");
	if (ASSERT_OK(find_mapping(page, &after), "mapping after")) {
		ASSERT_EQ(after.start, before.start, "start after");
		ASSERT_EQ(after.end, before.end, "end after");
		ASSERT_STREQ(after.perms, before.perms, "perms after");
	}
	check_event(&before, kind);

	/* The policy is about execution: everything else still works. */
	ASSERT_OK(mprotect(page, size, PROT_READ), "make read-only");
	ASSERT_OK(mprotect(page, size, RW), "make writable");
	memset(page, 1, size);
out:
	teardown();
}

static void heap_audit(void)
{
	void *page = heap_page();

	if (ASSERT_OK_PTR(page, "heap page"))
		check_audit(page, LSM_MPROTECT_HEAP);
}

static void stack_audit(void)
{
	check_audit(stack_page(), LSM_MPROTECT_STACK);
}

static void heap_deny(void)
{
	void *page = heap_page();

	if (ASSERT_OK_PTR(page, "heap page"))
		check_deny(page, LSM_MPROTECT_HEAP);
}

static void stack_deny(void)
{
	check_deny(stack_page(), LSM_MPROTECT_STACK);
}

/* What is no executable heap or stack is not reported and not denied. */
static void nothing_else(void)
{
	long size = sysconf(_SC_PAGESIZE);
	void *heap = heap_page();
	void *area;

	if (!ASSERT_OK_PTR(heap, "heap page"))
		return;
	area = mmap(NULL, size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!ASSERT_NEQ(area, MAP_FAILED, "mmap"))
		return;
	if (!setup(true))
		goto out;
	ASSERT_OK(mprotect(area, size, RWX), "anonymous mapping");
	ASSERT_OK(mprotect(heap, size, PROT_READ), "read-only heap");
	ASSERT_OK(mprotect(heap, size, RW), "writable heap");
	ring_buffer__consume(ringbuf);
	ASSERT_EQ(seen.nr, 0, "number of events");
out:
	teardown();
	munmap(area, size);
}

/* Returns 0, or the errno of the first mprotect() that failed. */
static int in_child(void *heap, void *stack)
{
	long size = sysconf(_SC_PAGESIZE);
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (mprotect(heap, size, RWX) || mprotect(stack, size, RWX))
			_exit(errno);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static void other_process(void)
{
	long size = sysconf(_SC_PAGESIZE);
	void *stack = stack_page();
	void *heap = heap_page();
	int err;

	if (!ASSERT_OK_PTR(heap, "heap page"))
		return;
	if (!setup(true))
		goto out;
	ASSERT_OK(in_child(heap, stack), "mprotect in the child");
	ring_buffer__consume(ringbuf);
	ASSERT_EQ(seen.nr, 0, "events of the child");

	/* The same here is reported: the policy was on all the time. */
	err = mprotect(heap, size, RWX);
	ASSERT_EQ(err, lsm_enforcing() ? -1 : 0, "mprotect in the parent");
	ring_buffer__consume(ringbuf);
	ASSERT_EQ(seen.nr, 1, "events of the parent");
	mprotect(heap, size, RW);
out:
	teardown();
}

void test_lsm_mprotect_audit(void)
{
	if (test__start_subtest("heap_audit"))
		heap_audit();
	if (test__start_subtest("stack_audit"))
		stack_audit();
	if (test__start_subtest("heap_deny"))
		heap_deny();
	if (test__start_subtest("stack_deny"))
		stack_deny();
	if (test__start_subtest("nothing_else"))
		nothing_else();
	if (test__start_subtest("other_process"))
		other_process();
}
