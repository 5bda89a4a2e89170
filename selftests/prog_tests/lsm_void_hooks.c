// SPDX-License-Identifier: GPL-2.0

/* Hooks that return nothing tell programs what has happened, or that an object
 * goes: each program once, in the order in which they were attached.
 *
 * This would catch: what a program leaves in the return register being taken
 * for a verdict, so that those behind it do not run or the call fails; a
 * program that is called twice or not at all; hooks that run in softirq, after
 * a grace period or from a work queue and lose programs there.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <arpa/inet.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "lsm_helpers.h"
#include "lsm_void_hooks.skel.h"

#define OTHER_UID	0x4b525349
#define RAMFS_MAGIC	0x858458f6

/* Programs of a hook, in the order in which they are attached. */
enum { FIRST, SECOND, THIRD, NR_PROGS };

static struct lsm_void_hooks *skel;
static struct btf *btf;
static int dir = -1;

/* A hook, and what runs it. The call returns whether it succeeded. */
struct row {
	const char *hook;
	bool (*call)(void);
	int calls;	/* how often it runs; 0: at least once */
};

/* Make a system call that programs take notice of. */
#define WATCH(system_call) ({						\
	bool __ok;							\
									\
	skel->bss->monitored_tid = syscall(__NR_gettid);		\
	__ok = (system_call) >= 0;					\
	skel->bss->monitored_tid = 0;					\
	__ok;								\
})

static bool make_dir(void)
{
	bool ok = WATCH(mkdirat(dir, "new", 0700));

	return unlinkat(dir, "new", AT_REMOVEDIR) == 0 && ok;
}

static bool make_file(void)
{
	bool ok = WATCH(mknodat(dir, "new", S_IFREG | 0600, 0));

	return unlinkat(dir, "new", 0) == 0 && ok;
}

static bool make_nameless(void)
{
	int fd = -1;
	bool ok = WATCH(fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));

	close(fd);
	return ok;
}

static int open_nameless(void)
{
	return openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/* The file goes, and the inode with it. */
static bool close_file(void)
{
	int fd = open_nameless();

	return WATCH(close(fd));
}

static bool own_file(void)
{
	int fd = open_nameless();
	bool ok = WATCH(fcntl(fd, F_SETOWN, getpid()));

	close(fd);
	return ok;
}

static bool chmod_file(void)
{
	int fd = open_nameless();
	bool ok = WATCH(fchmod(fd, 0400));

	close(fd);
	return ok;
}

static bool set_xattr(void)
{
	int fd = open_nameless();
	bool ok = WATCH(fsetxattr(fd, "security.krsi", "x", 1, 0));

	close(fd);
	return ok;
}

static bool remove_xattr(void)
{
	int fd = open_nameless();
	bool ok;

	fsetxattr(fd, "security.krsi", "x", 1, 0);
	ok = WATCH(fremovexattr(fd, "security.krsi"));
	close(fd);
	return ok;
}

static bool look_into_proc(void)
{
	return WATCH(access("/proc/self/comm", F_OK));
}

static const struct row file_rows[] = {
	{ "d_instantiate", make_dir, 1 },
	{ "file_free_security", close_file, 1 },
	{ "file_release", close_file, 1 },
	{ "file_set_fowner", own_file, 1 },
	{ "inode_free_security", close_file, 1 },
	{ "inode_post_create_tmpfile", make_nameless, 1 },
	{ "inode_post_removexattr", remove_xattr, 1 },
	{ "inode_post_setattr", chmod_file, 1 },
	{ "inode_post_setxattr", set_xattr, 1 },
	{ "path_post_mknod", make_file, 1 },
	{ "task_to_inode", look_into_proc },
	{ }
};

static bool unmount(void)
{
	int mnt = lsm_mount("ramfs");

	skel->bss->monitored_id = RAMFS_MAGIC;
	return mnt >= 0 && WATCH(close(mnt));
}

static const struct row sb_rows[] = {
	{ "sb_delete", unmount, 1 },
	{ "sb_free_security", unmount, 1 },
	{ }
};

/* Run @call in a child. Does it succeed? */
static bool in_child(bool (*call)(void))
{
	int status = -1;
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(!call());
	if (pid > 0) {
		skel->bss->monitored_id = pid;
		waitpid(pid, &status, 0);
	}
	return status == 0;
}

static bool do_nothing(void)
{
	return true;
}

static bool exit_task(void)
{
	return in_child(do_nothing);
}

/* Does not return when it succeeds. */
static bool execute_true(void)
{
	char * const argv[] = { "true", NULL }, * const envp[] = { NULL };

	return WATCH(execve("/bin/true", argv, envp));
}

static bool execute(void)
{
	bool ok = in_child(execute_true);

	skel->bss->monitored_tid = 0;
	return ok;
}

static bool become_other(void)
{
	return !syscall(__NR_setresuid, OTHER_UID, OTHER_UID, OTHER_UID);
}

static bool drop_credentials(void)
{
	bool ok = in_child(become_other);

	skel->bss->monitored_id = OTHER_UID;
	return ok;
}

static const struct row task_rows[] = {
	{ "bprm_committing_creds", execute, 1 },
	{ "bprm_committed_creds", execute, 1 },
	{ "cred_free", drop_credentials, 1 },
	{ "task_free", exit_task, 1 },
	{ }
};

static bool receive_message(void)
{
	struct { long type; char text[8]; } message = { .type = 1 };
	int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
	bool ok;

	msgsnd(id, &message, sizeof(message.text), IPC_NOWAIT);
	ok = WATCH(msgrcv(id, &message, sizeof(message.text), 0, IPC_NOWAIT));
	msgctl(id, IPC_RMID, NULL);
	return ok;
}

static bool remove_queue(void)
{
	int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);

	skel->bss->monitored_id = id;
	return msgctl(id, IPC_RMID, NULL) == 0;
}

static bool remove_semaphore(void)
{
	int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);

	skel->bss->monitored_id = id;
	return semctl(id, 0, IPC_RMID) == 0;
}

static bool remove_shm(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	skel->bss->monitored_id = id;
	return shmctl(id, IPC_RMID, NULL) == 0;
}

static bool add_key_here(void)
{
	return WATCH(syscall(__NR_add_key, "user", "lsm_void_hooks", "x", 1,
			     KEY_SPEC_PROCESS_KEYRING));
}

static bool add_key(void)
{
	return in_child(add_key_here);
}

static const struct row ipc_rows[] = {
	{ "key_post_create_or_update", add_key, 1 },
	{ "msg_msg_free_security", receive_message, 1 },
	{ "msg_queue_free_security", remove_queue, 1 },
	{ "sem_free_security", remove_semaphore, 1 },
	{ "shm_free_security", remove_shm, 1 },
	{ }
};

static bool close_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return WATCH(close(fd));
}

static bool accept_connection(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	int client = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t len = sizeof(addr);
	int fd = -1;
	bool ok;

	bind(listener, (struct sockaddr *)&addr, sizeof(addr.sun_family));
	listen(listener, 1);
	getsockname(listener, (struct sockaddr *)&addr, &len);
	connect(client, (struct sockaddr *)&addr, len);
	ok = WATCH(fd = accept(listener, NULL, NULL));
	close(fd);
	close(client);
	close(listener);
	return ok;
}

/* A connection in a network namespace where there is no other. */
static bool connect_tcp_here(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	socklen_t len = sizeof(addr);
	int listener, client;
	struct stat ns;

	if (unshare(CLONE_NEWNET) || stat("/proc/self/ns/net", &ns))
		return false;
	listener = socket(AF_INET, SOCK_STREAM, 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	if (ioctl(client, SIOCSIFFLAGS, &lo))
		return false;
	skel->bss->monitored_net = ns.st_ino;
	return !bind(listener, (struct sockaddr *)&addr, sizeof(addr)) &&
	       !listen(listener, 1) &&
	       !getsockname(listener, (struct sockaddr *)&addr, &len) &&
	       !connect(client, (struct sockaddr *)&addr, len) &&
	       accept(listener, NULL, NULL) >= 0;
}

static bool connect_tcp(void)
{
	return in_child(connect_tcp_here);
}

static const struct row socket_rows[] = {
	{ "sk_free_security", close_socket, 1 },
	{ "sock_graft", accept_connection, 1 },
	{ "inet_conn_established", connect_tcp, 1 },
	{ "inet_csk_clone", connect_tcp, 1 },
	{ "sk_clone_security", connect_tcp, 1 },
	{ }
};

static bool free_map(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "krsi", 4, 4, 1, NULL);

	close(fd);
	return fd >= 0;
}

static bool free_prog(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "krsi", "GPL", insns,
			       ARRAY_SIZE(insns), NULL);

	close(fd);
	return fd >= 0;
}

static const struct row bpf_rows[] = {
	{ "bpf_map_free", free_map, 1 },
	{ "bpf_prog_free", free_prog, 1 },
	{ }
};

static struct bpf_program *program(const char *hook)
{
	char name[64];

	snprintf(name, sizeof(name), "note_%s", hook);
	return bpf_object__find_program_by_name(skel->obj, name);
}

/* Attach a program of its own for @hook that goes by the number @prog. Returns
 * the link's FD, or -errno.
 */
static int attach(const char *hook, int prog)
{
	LIBBPF_OPTS(bpf_prog_load_opts, load, .expected_attach_type = BPF_LSM_MAC);
	LIBBPF_OPTS(bpf_link_create_opts, create, .tracing.cookie = prog);
	char name[64];
	int fd, link;

	snprintf(name, sizeof(name), "bpf_lsm_%s", hook);
	load.attach_btf_id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
	fd = bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_void_hooks", "GPL",
			   bpf_program__insns(program(hook)),
			   bpf_program__insn_cnt(program(hook)), &load);
	if (fd < 0)
		return fd;
	link = bpf_link_create(fd, 0, BPF_LSM_MAC, &create);
	close(fd);
	return link;
}

/* Some calls come a while later. */
static int calls_of(int prog, int expected)
{
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		if (__atomic_load_n(&skel->bss->calls[prog], __ATOMIC_SEQ_CST) >= expected)
			break;
		usleep(10 * 1000);
	}
	return skel->bss->calls[prog];
}

static void check_row(const struct row *row)
{
	int links[NR_PROGS] = { -1, -1, -1 }, i, calls;
	int at_least = row->calls ?: 1;

	skel->bss->monitored_id = -1;
	skel->bss->turns = 0;
	memset(skel->bss->calls, 0, sizeof(skel->bss->calls));
	for (i = 0; i < NR_PROGS; i++) {
		links[i] = attach(row->hook, i);
		if (!ASSERT_OK_FD(links[i], row->hook))
			goto out;
	}
	ASSERT_TRUE(row->call(), row->hook);

	calls = calls_of(THIRD, at_least);
	if (row->calls)
		ASSERT_EQ(calls, row->calls, row->hook);
	else
		ASSERT_GE(calls, at_least, row->hook);
	ASSERT_EQ(calls_of(FIRST, calls), calls, row->hook);
	ASSERT_EQ(calls_of(SECOND, calls), calls, row->hook);
	/* Without chains the newest comes first. */
	if (lsm_has_chains()) {
		ASSERT_LT(skel->bss->turn[FIRST], skel->bss->turn[SECOND], row->hook);
		ASSERT_LT(skel->bss->turn[SECOND], skel->bss->turn[THIRD], row->hook);
	}
out:
	for (i = 0; i < NR_PROGS; i++)
		if (links[i] >= 0)
			close(links[i]);
}

static bool setup(const struct row *rows)
{
	btf = btf__load_vmlinux_btf();
	skel = lsm_void_hooks__open();
	if (!ASSERT_OK_PTR(btf, "vmlinux BTF") || !ASSERT_OK_PTR(skel, "open"))
		return false;
	for (; rows->hook; rows++)
		if (!ASSERT_OK(bpf_program__set_autoload(program(rows->hook), true), rows->hook))
			return false;
	if (!ASSERT_OK(lsm_void_hooks__load(skel), "load"))
		return false;
	dir = lsm_mount("tmpfs");
	return ASSERT_OK_FD(dir, "mount tmpfs");
}

static void check(const struct row *rows)
{
	if (setup(rows))
		for (; rows->hook; rows++)
			check_row(rows);
	close(dir);
	dir = -1;
	lsm_void_hooks__destroy(skel);
	skel = NULL;
	btf__free(btf);
	btf = NULL;
}

void test_lsm_void_hooks(void)
{
	if (test__start_subtest("files"))
		check(file_rows);
	if (test__start_subtest("superblocks"))
		check(sb_rows);
	if (test__start_subtest("tasks"))
		check(task_rows);
	if (test__start_subtest("ipc_and_keys"))
		check(ipc_rows);
	if (test__start_subtest("sockets"))
		check(socket_rows);
	if (test__start_subtest("bpf"))
		check(bpf_rows);
}
