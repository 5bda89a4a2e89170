// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "bpf_misc.h"

char _license[] SEC("license") = "GPL";

/* Which thread is judged, and only while it makes the call in question. */
int monitored_tid;
int verdict;
int calls;

/* Where a child of the test puts what it has seen. */
int result;

/* Looks at no argument: the test loads these instructions for hook after hook. */
SEC("lsm/file_open")
int deny(void *ctx)
{
	long ret = verdict;

	if ((__u32)bpf_get_current_pid_tgid() != monitored_tid)
		return 0;
	__sync_fetch_and_add(&calls, 1);

	/* The verifier has to see both ends of the range. */
	if (ret > 0)
		return 0;
	barrier_var(ret);
	if (ret < -4095)
		return 0;
	return ret;
}
