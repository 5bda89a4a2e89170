// SPDX-License-Identifier: GPL-2.0
/* A policy of two programs on one hook, made with Debian's libbpf. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define EACCES 13

char _license[] SEC("license") = "GPL";

int calls;
int denials;

static bool is_victim(void)
{
	const char victim[] = "krsi_victim";
	char comm[16] = {};
	int i;

	bpf_get_current_comm(comm, sizeof(comm));
	for (i = 0; i < sizeof(victim); i++)
		if (comm[i] != victim[i])
			return false;
	return true;
}

SEC("lsm/task_getpgid")
int BPF_PROG(count, struct task_struct *p)
{
	if (is_victim())
		__sync_fetch_and_add(&calls, 1);
	return 0;
}

SEC("lsm/task_getpgid")
int BPF_PROG(deny, struct task_struct *p)
{
	if (!is_victim())
		return 0;
	__sync_fetch_and_add(&denials, 1);
	return -EACCES;
}
