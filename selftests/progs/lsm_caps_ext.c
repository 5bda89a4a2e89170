// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

/* Take the place of opinion() in progs/lsm_caps.c, in one program each. */
SEC("freplace/opinion")
int extend_lsm(int nothing)
{
	return 1;
}

SEC("freplace/opinion")
int extend_filter(int nothing)
{
	return 1;
}

SEC("freplace/opinion")
int extend_modify(int nothing)
{
	return 1;
}

/* Looks at the same function. */
SEC("fentry/opinion")
int BPF_PROG(observe_lsm, int nothing)
{
	return 0;
}

/* Would take the place of a whole program. */
SEC("?freplace/prog_a")
int extend_main(unsigned long long *ctx __arg_ctx)
{
	return 1;
}
