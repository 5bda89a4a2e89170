// SPDX-License-Identifier: GPL-2.0
/*
 * What an allocator does depends on what lies in its lists. The one for pages
 * looks for a block that is large enough, one list after the other (a few
 * instructions of __zone_watermark_ok() for each that is empty), and splits one
 * that is too large. The one for objects gives back a slab that gets empty, and
 * takes a new one, some 950 instructions, when all are full.
 *
 * So that no kernel has another start than the other, and no state of one than
 * the next, there are plenty of free blocks of each size, of the kernel's kind
 * and of user space's, with pages between them that stay, or they would be
 * merged; and slabs that are neither full nor empty.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PAGE 4096
#define MAX_ORDER 6
#define PIPE_SIZE (64 << 20)
#define OBJECTS 256
#define PROCESSES 32

/* Has one aligned block of the size in it, wherever it begins, and no larger one. */
static size_t room(unsigned int order)
{
	return ((2UL << order) - 1) * PAGE;
}

/* Small blocks are needed more often. */
static unsigned int nr_blocks(unsigned int order)
{
	return 512 >> order;
}

static void scatter_user_pages(void)
{
	unsigned int order, i;
	size_t size = 0;
	char *at;

	for (order = 0; order <= MAX_ORDER; order++)
		size += nr_blocks(order) * (room(order) + PAGE);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	/* What a child has not got takes no time to copy. */
	if (at == MAP_FAILED || madvise(at, size, MADV_DONTFORK))
		die("memory: %m");
	for (order = 0; order <= MAX_ORDER; order++) {
		for (i = 0; i < nr_blocks(order); i++) {
			if (madvise(at, room(order), MADV_DONTNEED))
				die("memory: %m");
			at += room(order) + PAGE;
		}
	}
}

static void make_pipe(int *ends)
{
	if (pipe2(ends, O_NONBLOCK) || fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE) < PIPE_SIZE)
		die("a pipe: %m");
}

static void fill(int pipe, size_t size)
{
	static char page[PAGE];

	for (; size; size -= PAGE)
		if (write(pipe, page, PAGE) != PAGE)
			die("a pipe: %m");
}

/* What waits in a pipe lies in pages of the kernel's. */
static void scatter_kernel_pages(void)
{
	int going[2], staying[2];
	unsigned int order, i;

	make_pipe(going);
	make_pipe(staying);
	for (order = 0; order <= MAX_ORDER; order++) {
		for (i = 0; i < nr_blocks(order); i++) {
			fill(going[1], room(order));
			fill(staying[1], PAGE);
		}
	}
	close(going[0]);
	close(going[1]);
}

/* Every other one of many files, sockets, and what belongs to them, stays. */
static void scatter_files(void)
{
	int files[OBJECTS], sockets[OBJECTS], i;

	for (i = 0; i < OBJECTS; i++) {
		files[i] = open("/", O_RDONLY);
		sockets[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		if (files[i] < 0 || sockets[i] < 0)
			die("files and sockets: %m");
	}
	for (i = 0; i < OBJECTS; i += 2) {
		close(files[i]);
		close(sockets[i]);
	}
}

static void scatter_processes(void)
{
	pid_t pids[PROCESSES];
	int i;

	for (i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		if (!pids[i])
			for (;;)
				pause();
		if (pids[i] < 0)
			die("a process: %m");
	}
	for (i = 0; i < PROCESSES; i += 2) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
}

void scatter(void)
{
	struct rlimit files = { 4096, 4096 };

	if (setrlimit(RLIMIT_NOFILE, &files))
		die("the number of files: %m");
	scatter_kernel_pages();
	scatter_user_pages();
	scatter_files();
	scatter_processes();
}
