// SPDX-License-Identifier: GPL-2.0

/* The last reference to a link goes where nobody calls close(): with a task
 * that is killed, all its threads being in the hook, with a message that nobody
 * receives, with a ring of io_uring. All the while the hook is called.
 *
 * This would catch: a link that outlives its last reference, or its program
 * that does; a link that ends in a context in which a hook cannot be changed;
 * a task that dies in a chain and takes it along; a call that is allowed
 * although a program that stays attached denies it.
 *
 * LSM_TEST_ROUNDS in the environment says how often, LSM_TEST_SEED replays what
 * was chosen at random.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <fcntl.h>
#include <io_uring/mini_liburing.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lsm_load.h"
#include "lsm_race.skel.h"

#define HOOK "file_ioctl"

static struct lsm_race *skel;

static long rounds(long otherwise)
{
	return lsm_test_rounds("LSM_TEST_ROUNDS", otherwise);
}

static bool setup(void)
{
	skel = lsm_race__open_and_load();
	return ASSERT_OK_PTR(skel, "open_and_load");
}

/* Nothing is attached. */
static void teardown(void)
{
	lsm_race__destroy(skel);
	skel = NULL;
	if (lsm_has_chains())
		ASSERT_EQ(lsm_load_attached(), 0, "programs in the hook");
}

/* How often the programs that count have run. */
static __u64 counted(void)
{
	return __atomic_load_n(&skel->bss->calls[0], __ATOMIC_RELAXED);
}

static bool wait_for_calls(__u64 more)
{
	__u64 before = counted();
	int tries;

	for (tries = 0; tries < 3000; tries++) {
		if (counted() >= before + more)
			return true;
		usleep(10 * 1000);
	}
	return false;
}

static void *call_for_good(void *fd)
{
	for (;;)
		lsm_load_call((long)fd, LSM_RACE_CALL, 0);
	return NULL;
}

/* A process that holds a link, and is in the hook with all its threads: three
 * that run, and one that sleeps.
 */
static void be_killed(int prog_fd, int sleepable_fd)
{
	struct lsm_reader reader;
	pthread_t thread;
	int uffd, i;

	reader.fd = eventfd(0, EFD_CLOEXEC);
	reader.page = lsm_blocking_page(&uffd, sysconf(_SC_PAGESIZE));
	if (lsm_load_attach(prog_fd, 0) < 0 || lsm_load_attach(sleepable_fd, 0) < 0 ||
	    !reader.page)
		_exit(1);
	pthread_create(&thread, NULL, lsm_read_in_hook, &reader);
	for (i = 0; i < 2; i++)
		pthread_create(&thread, NULL, call_for_good, (void *)(long)reader.fd);
	call_for_good((void *)(long)reader.fd);
}

static void exit_killed(void)
{
	long nr = rounds(4), i;
	unsigned int seed;

	seed = lsm_test_count("LSM_TEST_SEED", get_time_ns() % 1000000 + 1);
	printf("note: LSM_TEST_SEED=%u\n", seed);
	if (!setup())
		goto out;
	for (i = 0; i < nr; i++) {
		int prog = lsm_load_copy(skel->progs.count, HOOK, false);
		int sleepable = lsm_load_copy(skel->progs.deny_by_word, HOOK, true);
		__u32 id = lsm_prog_id(prog), sleepable_id = lsm_prog_id(sleepable);
		int status = 0;
		pid_t pid;

		if (!ASSERT_OK_FD(prog, "load") || !ASSERT_OK_FD(sleepable, "load sleepable"))
			break;
		pid = fork();
		if (!pid) {
			be_killed(prog, sleepable);
			_exit(1);
		}
		close(prog);
		close(sleepable);
		if (!ASSERT_GT(pid, 0, "fork"))
			break;
		ASSERT_TRUE(wait_for_calls(100), "its threads call");
		usleep(rand_r(&seed) % 5000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		ASSERT_TRUE(WIFSIGNALED(status), "killed");
		ASSERT_TRUE(lsm_prog_goes(id), "its program goes");
		ASSERT_TRUE(lsm_prog_goes(sleepable_id), "its sleepable program goes");
	}
out:
	teardown();
}

static int send_fds(int socket, const int *fds, int nr)
{
	char control[CMSG_SPACE(2 * sizeof(int))] = {}, byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(nr * sizeof(int)),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(nr * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, nr * sizeof(int));
	return sendmsg(socket, &msg, 0) == 1 ? 0 : -errno;
}

/* The link is in a message that is never received. With @cycle, so is the only
 * reference to the socket that it was sent to: the garbage collector finds it.
 */
static void leave_in_message(int link, bool cycle)
{
	int pair[2], fds[2];

	if (!ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair")) {
		close(link);
		return;
	}
	fds[0] = link;
	fds[1] = pair[1];
	ASSERT_OK(send_fds(pair[0], fds, cycle ? 2 : 1), "send");
	close(link);
	ASSERT_TRUE(wait_for_calls(10), "the program runs on");
	/* The last socket that is released in earnest starts the collector. */
	close(pair[1]);
	close(pair[0]);
}

/* io_uring_queue_exit() leaves a mapping behind, which keeps the ring. */
static void ring_exit(struct io_uring *ring)
{
	unsigned long mapping = (unsigned long)ring->cq.khead & -sysconf(_SC_PAGESIZE);

	munmap((void *)mapping, ring->cq.ring_sz);
	io_uring_queue_exit(ring);
}

/* The link is a file of a ring, or closed by one. */
static void leave_to_ring(int link, bool registered, bool async)
{
	struct io_uring_cqe *cqe = NULL;
	struct io_uring_sqe *sqe;
	struct io_uring ring = {};

	if (!ASSERT_OK(io_uring_queue_init(4, &ring, 0), "io_uring")) {
		close(link);
		return;
	}
	if (registered) {
		ASSERT_OK(syscall(__NR_io_uring_register, ring.ring_fd,
				  IORING_REGISTER_FILES, &link, 1), "register the link");
		close(link);
		ASSERT_TRUE(wait_for_calls(10), "the program runs on");
	} else {
		sqe = io_uring_get_sqe(&ring);
		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = IORING_OP_CLOSE;
		sqe->fd = link;
		sqe->flags = async ? IOSQE_ASYNC : 0;
		ASSERT_EQ(io_uring_submit(&ring), 1, "submit");
		ASSERT_OK(io_uring_wait_cqe(&ring, &cqe), "wait");
		if (ASSERT_OK_PTR(cqe, "completion"))
			ASSERT_OK(cqe->res, "close");
		ASSERT_EQ(fcntl(link, F_GETFD), -1, "closed");
	}
	ring_exit(&ring);
}

enum way { MESSAGE, MESSAGE_CYCLE, RING_FILE, RING_CLOSE, RING_CLOSE_ASYNC };

/* Under load, programs are attached and their links left to somebody else. */
static void leave_links(const enum way *ways, int nr_ways)
{
	long nr = rounds(2), i;
	int deny, way;
	__u32 id = 0;

	if (!setup())
		goto out;
	id = lsm_prog_id(bpf_program__fd(skel->progs.deny));
	deny = lsm_load_attach(bpf_program__fd(skel->progs.deny), 0);
	if (!ASSERT_OK_FD(deny, "attach the program that denies"))
		goto out;
	if (!lsm_load_start())
		goto stop;
	for (i = 0; i < nr * nr_ways; i++) {
		int prog = lsm_load_copy(skel->progs.count, HOOK, false), link;
		__u32 prog_id = lsm_prog_id(prog);

		link = lsm_load_attach(prog, 0);
		close(prog);
		if (!ASSERT_OK_FD(link, "attach"))
			break;
		way = ways[i % nr_ways];
		if (way == MESSAGE || way == MESSAGE_CYCLE)
			leave_in_message(link, way == MESSAGE_CYCLE);
		else
			leave_to_ring(link, way == RING_FILE, way == RING_CLOSE_ASYNC);
		ASSERT_TRUE(lsm_prog_goes(prog_id), "the program goes");
		if (lsm_has_chains())
			ASSERT_EQ(lsm_load_attached(), 1, "programs in the hook");
	}
stop:
	lsm_load_stop();
	close(deny);
out:
	teardown();
	if (id)
		ASSERT_TRUE(lsm_prog_goes(id), "the program that denies goes");
}

static void exit_scm_rights(void)
{
	static const enum way ways[] = { MESSAGE, MESSAGE_CYCLE };

	leave_links(ways, ARRAY_SIZE(ways));
}

static void exit_io_uring(void)
{
	static const enum way ways[] = { RING_FILE, RING_CLOSE, RING_CLOSE_ASYNC };
	struct io_uring ring = {};

	if (io_uring_queue_init(1, &ring, 0)) {
		lsm_skip("this kernel has no io_uring (CONFIG_IO_URING)");
		return;
	}
	ring_exit(&ring);
	leave_links(ways, ARRAY_SIZE(ways));
}

void serial_test_lsm_exit(void)
{
	if (test__start_subtest("exit_killed"))
		exit_killed();
	if (test__start_subtest("exit_scm_rights"))
		exit_scm_rights();
	if (test__start_subtest("exit_io_uring"))
		exit_io_uring();
}
