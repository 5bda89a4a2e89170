// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

int monitored_pid;
int calls;

/* A program with no opinion on a hook whose default is not 0. */
#define NO_OPINION(hook)						\
SEC("?lsm/" #hook)							\
int no_opinion_##hook(void *ctx)					\
{									\
	if (bpf_get_current_pid_tgid() >> 32 == monitored_pid)		\
		__sync_fetch_and_add(&calls, 1);			\
	return 0;							\
}

NO_OPINION(dentry_init_security)
NO_OPINION(fs_context_parse_param)
NO_OPINION(getprocattr)
NO_OPINION(getselfattr)
NO_OPINION(inode_copy_up_xattr)
NO_OPINION(inode_getsecctx)
NO_OPINION(inode_getsecurity)
NO_OPINION(inode_init_security)
NO_OPINION(inode_setsecurity)
NO_OPINION(secid_to_secctx)
NO_OPINION(setprocattr)
NO_OPINION(setselfattr)
NO_OPINION(socket_getpeersec_dgram)
NO_OPINION(socket_getpeersec_stream)
NO_OPINION(task_prctl)
NO_OPINION(xfrm_state_pol_flow_match)
