// SPDX-License-Identifier: GPL-2.0

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

/* Each hook has three programs, which know by their cookies which one they are. */
#define NR_PROGS 3

/* What makes a call one of the test's: the thread that makes it or, for hooks
 * that run later and elsewhere, something about the object that goes.
 */
int monitored_tid;
int monitored_id;
__u32 monitored_net;

int calls[NR_PROGS];
/* Which call, of all programs' calls, was this program's last one? */
int turn[NR_PROGS];
int turns;

/* A hook that returns nothing takes anything for nothing. */
static const int returned[NR_PROGS] = { -1, 1, -4095 };

static __always_inline int note(void *ctx, bool ours)
{
	__u64 prog = bpf_get_attach_cookie(ctx);

	if (prog >= NR_PROGS)
		return 0;
	if (ours) {
		__sync_fetch_and_add(&calls[prog], 1);
		turn[prog] = __sync_fetch_and_add(&turns, 1);
	}
	return returned[prog];
}

/* The test loads the instructions of each of these thrice. */
#define NOTE(hook, ours, parameters...)					\
SEC("?lsm/" #hook)							\
int BPF_PROG(note_##hook, ##parameters)					\
{									\
	return note(ctx, ours);						\
}

#define OUR_CALL ((__u32)bpf_get_current_pid_tgid() == monitored_tid)

NOTE(bprm_committing_creds, OUR_CALL)
NOTE(bprm_committed_creds, OUR_CALL)
NOTE(d_instantiate, OUR_CALL)
NOTE(file_free_security, OUR_CALL)
NOTE(file_release, OUR_CALL)
NOTE(file_set_fowner, OUR_CALL)
NOTE(inode_free_security, OUR_CALL)
NOTE(inode_post_create_tmpfile, OUR_CALL)
NOTE(inode_post_removexattr, OUR_CALL)
NOTE(inode_post_setattr, OUR_CALL)
NOTE(inode_post_setxattr, OUR_CALL)
NOTE(key_post_create_or_update, OUR_CALL)
NOTE(msg_msg_free_security, OUR_CALL)
NOTE(path_post_mknod, OUR_CALL)
NOTE(sb_delete, OUR_CALL)
NOTE(sk_free_security, OUR_CALL)
NOTE(sock_graft, OUR_CALL)
NOTE(task_to_inode, OUR_CALL)

/* After a grace period, or from a work queue. */

static __always_inline bool is_ours(const char *name)
{
	return name[0] == 'k' && name[1] == 'r' && name[2] == 's' && name[3] == 'i';
}

NOTE(bpf_map_free, is_ours(map->name), struct bpf_map *map)
NOTE(bpf_prog_free, is_ours(prog->aux->name), struct bpf_prog *prog)
NOTE(cred_free, cred->uid.val == monitored_id, struct cred *cred)
NOTE(msg_queue_free_security, perm->id == monitored_id, struct kern_ipc_perm *perm)
NOTE(sb_free_security, (int)sb->s_magic == monitored_id, struct super_block *sb)
NOTE(sem_free_security, perm->id == monitored_id, struct kern_ipc_perm *perm)
NOTE(shm_free_security, perm->id == monitored_id, struct kern_ipc_perm *perm)
NOTE(task_free, task->pid == monitored_id, struct task_struct *task)

/* For packets, whoever happens to be there to receive them. */

#define OUR_NET(sk) ((sk)->__sk_common.skc_net.net->ns.inum == monitored_net)

NOTE(inet_conn_established, OUR_NET(sk), struct sock *sk)
NOTE(inet_csk_clone, OUR_NET(newsk), struct sock *newsk)
NOTE(sk_clone_security, OUR_NET(sk), const struct sock *sk)
