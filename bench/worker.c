// SPDX-License-Identifier: GPL-2.0
/*
 * The process that makes the calls. It has nothing of the programs that the
 * other one loads and attaches: a fork() copies file descriptors, and with those
 * of 38 programs it would look as if the programs took that long.
 *
 * The two speak by semaphores: no hook is on the way, so no program can deny it.
 */
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench.h"

static struct shared {
	long expected;
	struct figure figure;
	sem_t order, answer;
} *shared;
static pid_t pid;

/* "make listing" stops here, and follows one call through the kernel. */
__attribute__((noinline)) long worker_call(const struct call *call)
{
	return call->run();
}

static void work(const struct call *call)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	if (call->prepare)
		call->prepare();
	for (;;) {
		long result;

		while (sem_wait(&shared->order))
			;
		result = worker_call(call);
		if (result != shared->expected)
			die("%s returns %ld, not %ld", call->name, result, shared->expected);
		clock_figure(&shared->figure, call);
		sem_post(&shared->answer);
	}
}

void worker_start(const struct call *call)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (shared == MAP_FAILED || sem_init(&shared->order, 1, 0) ||
	    sem_init(&shared->answer, 1, 0))
		die("the worker: %m");
	pid = fork();
	if (!pid)
		work(call);
	if (pid < 0)
		die("the worker: %m");
}

pid_t worker_pid(void)
{
	return pid;
}

void worker_measure(long expected, struct figure *figure)
{
	shared->expected = expected;
	sem_post(&shared->order);
	while (sem_wait(&shared->answer))
		;
	*figure = shared->figure;
}
