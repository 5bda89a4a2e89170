// SPDX-License-Identifier: GPL-2.0
/*
 * The counter. In a machine that QEMU emulates with -icount shift=0, the TSC
 * ticks once for each instruction and at no other time, but for an idle CPU,
 * which skips to the next timer. Elsewhere there are only nanoseconds.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

/* A batch is shorter than a tick (4 ms), so that most see no interrupt. */
#define CALLS 16
#define BATCHES 200
/* What makes processes leaves work behind, and is let finish it each time. */
#define HEAVY_CALLS 1
#define HEAVY_BATCHES 50
/* Before the first batch: caches of the allocator and the like. */
#define WARM_UP 256

static bool in_nanoseconds;

void clock_init(bool nanoseconds)
{
	in_nanoseconds = nanoseconds;
}

static uint64_t nanoseconds(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

uint64_t clock_read(void)
{
	uint32_t low, high;

	if (in_nanoseconds)
		return nanoseconds(CLOCK_MONOTONIC_RAW);
	asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* What this thread executed, and the interrupts that it was hit by: no waiting. */
uint64_t clock_executed(void)
{
	return nanoseconds(CLOCK_THREAD_CPUTIME_ID);
}

/* Let the kernel finish what it does behind: grace periods, freeing. */
void clock_settle(void)
{
	usleep(200 * 1000);
}

static long nothing(void)
{
	return 0;
}

static __attribute__((noinline)) uint64_t batch(long (*run)(void), unsigned int calls)
{
	uint64_t start = clock_read();

	while (calls--)
		run();
	return clock_read() - start;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

uint64_t clock_median(uint64_t *values, size_t nr)
{
	qsort(values, nr, sizeof(*values), compare);
	return values[nr / 2];
}

/*
 * What an empty batch takes (the loop, the call through a pointer, the counter)
 * is subtracted.
 */
void clock_figure(struct figure *figure, const struct call *call)
{
	unsigned int batches = call->heavy ? HEAVY_BATCHES : BATCHES;
	unsigned int nr = call->heavy ? HEAVY_CALLS : CALLS;
	static uint64_t took[BATCHES];
	uint64_t empty;
	unsigned int i;

	for (i = 0; i < batches; i++)
		took[i] = batch(nothing, nr);
	clock_median(took, batches);
	empty = took[0];
	for (i = 0; i < WARM_UP; i++)
		call->run();
	for (i = 0; i < batches; i++) {
		if (call->heavy)
			clock_settle();
		took[i] = batch(call->run, nr);
	}
	figure->calls = nr;
	figure->median = clock_median(took, batches) - empty;
	figure->min = took[0] - empty;
	figure->max = took[batches - 1] - empty;
}
