// SPDX-License-Identifier: GPL-2.0
/*
 * The system calls. Each is made by its instruction, so that the C library adds
 * nothing, and all that it needs is made before.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define FILE_NAME "/tmp/file"
#define PROGRAM "/nothing"
/* waitpid() says of a child that was denied what it wanted. */
#define DENIED 77

static long page_size = 4096;
static void *page;
static int file, ends[2], event;
static struct stat status;
static pid_t self;
static char byte[1];
static uint64_t number;
static union bpf_attr lookup;

static inline __attribute__((always_inline)) long call6(long nr, long a, long b, long c, long d,
							 long e, long f)
{
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = f;
	long result;

	asm volatile("syscall"
		     : "=a"(result)
		     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return result;
}

static inline __attribute__((always_inline)) long call3(long nr, long a, long b, long c)
{
	long result;

	asm volatile("syscall"
		     : "=a"(result)
		     : "a"(nr), "D"(a), "S"(b), "d"(c)
		     : "rcx", "r11", "memory");
	return result;
}

static inline __attribute__((always_inline)) long call4(long nr, long a, long b, long c, long d)
{
	register long r10 asm("r10") = d;
	long result;

	asm volatile("syscall"
		     : "=a"(result)
		     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
		     : "rcx", "r11", "memory");
	return result;
}

static long run_getppid(void)
{
	return call3(__NR_getppid, 0, 0, 0);
}

static void prepare_mprotect(void)
{
	page = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (page == MAP_FAILED)
		die("mmap: %m");
}

/* What the page has already: the hook is asked, and nothing is changed. */
static long run_mprotect(void)
{
	return call3(__NR_mprotect, (long)page, page_size, PROT_READ | PROT_WRITE);
}

static void prepare_file(void)
{
	file = open(FILE_NAME, O_RDWR | O_CREAT, 0600);
	if (file < 0 || pwrite(file, "x", 1, 0) != 1)
		die("%s: %m", FILE_NAME);
}

static long run_open_close(void)
{
	long fd = call3(__NR_open, (long)FILE_NAME, O_RDONLY, 0);

	return fd < 0 ? fd : call3(__NR_close, fd, 0, 0);
}

static long run_stat(void)
{
	return call3(__NR_stat, (long)FILE_NAME, (long)&status, 0);
}

static long run_pread(void)
{
	return call4(__NR_pread64, file, (long)byte, 1, 0);
}

static long run_pwrite(void)
{
	return call4(__NR_pwrite64, file, (long)byte, 1, 0);
}

static void prepare_pipe(void)
{
	if (pipe(ends))
		die("pipe: %m");
}

static long run_write_read(void)
{
	long done = call3(__NR_write, ends[1], (long)byte, 1);

	return done < 0 ? done : call3(__NR_read, ends[0], (long)byte, 1);
}

static void prepare_unix(void)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		die("socketpair: %m");
}

static void prepare_tcp(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	socklen_t size = sizeof(address);

	ends[1] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &size) ||
	    connect(ends[1], (struct sockaddr *)&address, size))
		die("TCP on the loopback device: %m");
	ends[0] = accept(listener, NULL, NULL);
	if (ends[0] < 0 || setsockopt(ends[1], IPPROTO_TCP, 1, &one, sizeof(one)))
		die("TCP on the loopback device: %m");
	close(listener);
}

static long run_send_recv(void)
{
	long done = call6(__NR_sendto, ends[1], (long)byte, 1, 0, 0, 0);

	return done < 0 ? done : call6(__NR_recvfrom, ends[0], (long)byte, 1, 0, 0, 0);
}

static void prepare_eventfd(void)
{
	event = eventfd(0, 0);
	if (event < 0)
		die("eventfd: %m");
	number = 1;
}

static long run_eventfd(void)
{
	long done = call3(__NR_write, event, (long)&number, sizeof(number));

	return done < 0 ? done : call3(__NR_read, event, (long)&number, sizeof(number));
}

static long run_socket(void)
{
	long fd = call3(__NR_socket, AF_UNIX, SOCK_STREAM, 0);

	return fd < 0 ? fd : call3(__NR_close, fd, 0, 0);
}

/* A child's status as the result of the call. */
static long await(long pid)
{
	int code = 0;
	long done;

	if (pid < 0)
		return pid;
	done = call4(__NR_wait4, pid, (long)&code, 0, 0);
	if (done < 0)
		return done;
	return WEXITSTATUS(code) == DENIED ? -EPERM : code;
}

static long run_fork(void)
{
	long pid = call3(__NR_fork, 0, 0, 0);

	if (!pid)
		call3(__NR_exit, 0, 0, 0);
	return await(pid);
}

/* The child shares our memory until it is another program: nothing is copied. */
static __attribute__((noinline)) long run_execve(void)
{
	static char *const none[] = { NULL };
	pid_t pid = vfork();

	if (!pid) {
		call3(__NR_execve, (long)PROGRAM, (long)none, (long)none);
		_exit(DENIED);
	}
	return await(pid);
}

static void prepare_kill(void)
{
	self = getpid();
}

static long run_kill(void)
{
	return call3(__NR_kill, self, 0, 0);
}

static void prepare_bpf(void)
{
	static uint32_t key, value;
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bench", sizeof(key), sizeof(value), 1, NULL);

	if (map < 0)
		die("a map: %m");
	memset(&lookup, 0, sizeof(lookup));
	lookup.map_fd = map;
	lookup.key = (uintptr_t)&key;
	lookup.value = (uintptr_t)&value;
}

static long run_bpf(void)
{
	return call3(__NR_bpf, BPF_MAP_LOOKUP_ELEM, (long)&lookup, sizeof(lookup));
}

const struct call calls[] = {
	/* The worker is a child of init. */
	{ .name = "getppid", .result = 1, .run = run_getppid },
	{
		.name = "mprotect",
		.hook = "file_mprotect",
		.prepare = prepare_mprotect,
		.run = run_mprotect,
	},
	{
		.name = "open+close",
		.hook = "file_open",
		.prepare = prepare_file,
		.run = run_open_close,
	},
	{ .name = "stat", .hook = "inode_getattr", .prepare = prepare_file, .run = run_stat },
	{
		.name = "pread",
		.hook = "file_permission",
		.result = 1,
		.prepare = prepare_file,
		.run = run_pread,
	},
	{
		.name = "pwrite",
		.hook = "file_permission",
		.result = 1,
		.prepare = prepare_file,
		.run = run_pwrite,
	},
	{
		.name = "pipe",
		.hook = "file_permission",
		.result = 1,
		.prepare = prepare_pipe,
		.run = run_write_read,
	},
	{
		.name = "unix",
		.hook = "socket_sendmsg",
		.result = 1,
		.prepare = prepare_unix,
		.run = run_send_recv,
	},
	{
		.name = "tcp",
		.hook = "socket_sendmsg",
		.result = 1,
		.prepare = prepare_tcp,
		.run = run_send_recv,
	},
	{
		.name = "eventfd",
		.hook = "file_permission",
		.result = sizeof(number),
		.prepare = prepare_eventfd,
		.run = run_eventfd,
	},
	{ .name = "socket+close", .hook = "socket_create", .run = run_socket },
	{ .name = "fork+exit+wait", .hook = "task_alloc", .heavy = true, .run = run_fork },
	{ .name = "execve", .hook = "bprm_check_security", .heavy = true, .run = run_execve },
	{ .name = "kill", .hook = "task_kill", .prepare = prepare_kill, .run = run_kill },
	{ .name = "bpf", .hook = "bpf", .prepare = prepare_bpf, .run = run_bpf },
};

const size_t nr_calls = ARRAY_SIZE(calls);

const struct call *call_named(const char *name)
{
	size_t i;

	for (i = 0; i < nr_calls; i++)
		if (!strcmp(calls[i].name, name))
			return &calls[i];
	die("there is no call '%s'", name);
}
