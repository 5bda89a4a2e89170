// SPDX-License-Identifier: GPL-2.0

/* What a program returns is what the system call returns, hook by hook.
 *
 * This would catch: a hook whose programs are not asked, or are asked and not
 * obeyed; an errno that is mapped to another one, or is cut off, on the way to
 * user space; a call that is still denied when the program has gone; a program
 * without opinion that changes what a call does.
 *
 * Each row of the tables below is a hook and a call that runs it. The call has
 * to succeed as long as nobody denies. One program, which looks at none of its
 * arguments, is loaded for each hook; it judges the thread that makes the call,
 * from just before the system call to just after it.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "lsm_helpers.h"
#include "lsm_deny.skel.h"

#define SYSLOG_ACTION_SIZE_BUFFER 10
#define IOPRIO_WHO_PROCESS 1
#define IPC_KEY 0x4b525349

/* No call below fails with one of these by itself. The second is the largest
 * that the kernel can tell from a pointer.
 */
static const int verdicts[] = { ENOTNAM, 4095 };

struct row {
	const char *hook;
	int (*call)(void);	/* returns the errno, or 0 */
	enum {
		HERE,
		IN_CHILD,	/* for it changes what cannot be changed back */
		IN_MOUNT_NS,	/* a child whose /tmp is its own */
	} where;
	int instead;	/* what its caller makes of any errno, if it does */
};

static struct lsm_deny *skel;
static struct btf *btf;

/* A tmpfs, and a file, a symbolic link to it and a directory there. */
static int dir = -1, file = -1;
static char file_path[32];

static void arm(void)
{
	__atomic_store_n(&skel->bss->monitored_tid, syscall(__NR_gettid), __ATOMIC_SEQ_CST);
}

static void disarm(void)
{
	__atomic_store_n(&skel->bss->monitored_tid, 0, __ATOMIC_SEQ_CST);
}

/* Make a system call under the eyes of the program. Returns the errno, or 0. */
#define TRY(system_call) ({						\
	long __ret;							\
	int __err;							\
									\
	arm();								\
	__ret = (long)(system_call);					\
	__err = __ret < 0 ? errno : 0;					\
	disarm();							\
	__err;								\
})

/* The same for a call that returns a file descriptor. */
#define TRY_FD(system_call) ({						\
	int __fd = -1;							\
	int __fd_err = TRY(__fd = (system_call));			\
									\
	if (__fd >= 0)							\
		close(__fd);						\
	__fd_err;							\
})

/* Files */

static int open_file(void)
{
	return TRY_FD(openat(dir, "file", O_RDWR | O_CLOEXEC));
}

static int read_file(void)
{
	char c;

	return TRY(pread(file, &c, 1, 0));
}

static int write_file(void)
{
	return TRY(pwrite(file, "x", 1, 0));
}

static int list_dir(void)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char entries[512];
	int err = TRY(syscall(__NR_getdents64, fd, entries, sizeof(entries)));

	close(fd);
	return err;
}

static int ioctl_file(void)
{
	int bytes;

	return TRY(ioctl(file, FIONREAD, &bytes));
}

static int lock_file(void)
{
	int err = TRY(flock(file, LOCK_EX));

	flock(file, LOCK_UN);
	return err;
}

static int record_lock(void)
{
	struct flock lock = { .l_type = F_WRLCK };
	int err = TRY(fcntl(file, F_SETLK, &lock));

	lock.l_type = F_UNLCK;
	fcntl(file, F_SETLK, &lock);
	return err;
}

static int fcntl_file(void)
{
	return TRY(fcntl(file, F_GETFL));
}

static int truncate_file(void)
{
	return TRY(ftruncate(file, 4096));
}

static int receive_file(void)
{
	int pid = syscall(__NR_pidfd_open, getpid(), 0);
	int err = TRY_FD(syscall(__NR_pidfd_getfd, pid, file, 0));

	close(pid);
	return err;
}

static int map(int flags, int fd)
{
	void *addr = MAP_FAILED;
	int err = TRY(addr = mmap(NULL, 4096, PROT_READ, flags, fd, 0));

	if (addr != MAP_FAILED)
		munmap(addr, 4096);
	return err;
}

static int map_file(void)
{
	return map(MAP_SHARED, file);
}

static int map_memory(void)
{
	return map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int protect_memory(void)
{
	void *addr = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err = TRY(mprotect(addr, 4096, PROT_READ | PROT_WRITE));

	munmap(addr, 4096);
	return err;
}

static const struct row file_rows[] = {
	{ "file_open", open_file },
	{ "file_post_open", open_file },
	{ "file_alloc_security", open_file },
	{ "file_permission", read_file },
	{ "file_permission", write_file },
	{ "file_permission", list_dir },
	{ "file_ioctl", ioctl_file },
	{ "file_lock", lock_file },
	{ "file_lock", record_lock },
	{ "file_fcntl", fcntl_file },
	{ "file_fcntl", record_lock },
	{ "file_truncate", truncate_file },
	{ "file_receive", receive_file },
	{ "mmap_file", map_file },
	{ "mmap_file", map_memory },
	{ "mmap_addr", map_file },
	{ "mmap_addr", map_memory },
	{ "file_mprotect", protect_memory },
	{ }
};

/* Inodes, and the paths that lead to them */

static int make_file(void)
{
	int err = TRY_FD(openat(dir, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));

	unlinkat(dir, "new", 0);
	return err;
}

static int make_link(void)
{
	int err = TRY(linkat(dir, "file", dir, "new", 0));

	unlinkat(dir, "new", 0);
	return err;
}

static int make_symlink(void)
{
	int err = TRY(symlinkat("file", dir, "new"));

	unlinkat(dir, "new", 0);
	return err;
}

static int make_node(void)
{
	int err = TRY(mknodat(dir, "new", S_IFIFO | 0600, 0));

	unlinkat(dir, "new", 0);
	return err;
}

static int make_dir(void)
{
	int err = TRY(mkdirat(dir, "new", 0700));

	unlinkat(dir, "new", AT_REMOVEDIR);
	return err;
}

static int remove_file(void)
{
	int err;

	mknodat(dir, "new", S_IFREG | 0600, 0);
	err = TRY(unlinkat(dir, "new", 0));
	unlinkat(dir, "new", 0);
	return err;
}

static int remove_dir(void)
{
	int err;

	mkdirat(dir, "new", 0700);
	err = TRY(unlinkat(dir, "new", AT_REMOVEDIR));
	unlinkat(dir, "new", AT_REMOVEDIR);
	return err;
}

static int rename_file(void)
{
	int err;

	mknodat(dir, "new", S_IFREG | 0600, 0);
	err = TRY(renameat(dir, "new", dir, "newer"));
	unlinkat(dir, "new", 0);
	unlinkat(dir, "newer", 0);
	return err;
}

/* Both names change: the hook is asked for each of them. */
static int exchange_files(void)
{
	int err;

	mknodat(dir, "new", S_IFREG | 0600, 0);
	mknodat(dir, "newer", S_IFREG | 0600, 0);
	err = TRY(syscall(__NR_renameat2, dir, "new", dir, "newer", RENAME_EXCHANGE));
	unlinkat(dir, "new", 0);
	unlinkat(dir, "newer", 0);
	return err;
}

static int read_link(void)
{
	char target[16];

	return TRY(readlinkat(dir, "link", target, sizeof(target)));
}

static int follow_link(void)
{
	struct stat st;

	return TRY(fstatat(dir, "link", &st, 0));
}

static int stat_file(void)
{
	struct stat st;

	return TRY(fstat(file, &st));
}

static int access_file(void)
{
	return TRY(faccessat(dir, "file", R_OK, 0));
}

static int chmod_file(void)
{
	return TRY(fchmod(file, 0600));
}

static int chown_file(void)
{
	return TRY(fchown(file, 0, 0));
}

static int truncate_path(void)
{
	return TRY(truncate(file_path, 4096));
}

static int watch_path(void)
{
	int fd = inotify_init1(IN_CLOEXEC);
	int err = TRY(inotify_add_watch(fd, file_path, IN_OPEN));

	close(fd);
	return err;
}

static int change_root(void)
{
	return TRY(chroot("/"));
}

static int set_xattr(void)
{
	int err = TRY(fsetxattr(file, "security.krsi", "x", 1, 0));

	fremovexattr(file, "security.krsi");
	return err;
}

static int get_xattr(void)
{
	char value;
	int err;

	fsetxattr(file, "security.krsi", "x", 1, 0);
	err = TRY(fgetxattr(file, "security.krsi", &value, 1));
	fremovexattr(file, "security.krsi");
	return err;
}

static int list_xattr(void)
{
	char names[256];

	return TRY(flistxattr(file, names, sizeof(names)));
}

static int remove_xattr(void)
{
	int err;

	fsetxattr(file, "security.krsi", "x", 1, 0);
	err = TRY(fremovexattr(file, "security.krsi"));
	fremovexattr(file, "security.krsi");
	return err;
}

/* An inode without a name. */
static int make_anonymous(void)
{
	return TRY_FD(syscall(__NR_userfaultfd, O_CLOEXEC));
}

static const struct row inode_rows[] = {
	{ "inode_create", make_file },
	{ "inode_link", make_link },
	{ "inode_unlink", remove_file },
	{ "inode_symlink", make_symlink },
	{ "inode_mkdir", make_dir },
	{ "inode_rmdir", remove_dir },
	{ "inode_mknod", make_node },
	{ "inode_rename", rename_file },
	{ "inode_rename", exchange_files },
	{ "inode_readlink", read_link },
	{ "inode_follow_link", follow_link },
	{ "inode_permission", access_file },
	{ "inode_permission", open_file },
	{ "inode_setattr", chmod_file },
	{ "inode_setattr", chown_file },
	{ "inode_setattr", truncate_file },
	{ "inode_getattr", stat_file },
	{ "inode_setxattr", set_xattr },
	{ "inode_getxattr", get_xattr },
	{ "inode_listxattr", list_xattr },
	{ "inode_removexattr", remove_xattr },
	{ "inode_init_security_anon", make_anonymous },
	{ }
};

static const struct row path_rows[] = {
	{ "path_unlink", remove_file },
	{ "path_mkdir", make_dir },
	{ "path_rmdir", remove_dir },
	{ "path_mknod", make_node },
	{ "path_mknod", make_file },
	{ "path_truncate", truncate_path },
	{ "path_symlink", make_symlink },
	{ "path_link", make_link },
	{ "path_rename", rename_file },
	{ "path_rename", exchange_files },
	{ "path_chmod", chmod_file },
	{ "path_chown", chown_file },
	{ "path_chroot", change_root, IN_CHILD },
	{ "path_notify", watch_path },
	{ }
};

/* Tasks */

static int fork_task(void)
{
	pid_t pid;
	int err;

	arm();
	pid = fork();
	if (!pid)
		_exit(0);
	err = pid < 0 ? errno : 0;
	disarm();
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return err;
}

static int kill_task(void)
{
	return TRY(kill(getpid(), 0));
}

static int set_nice(void)
{
	return TRY(setpriority(PRIO_PROCESS, 0, 0));
}

static int set_ioprio(void)
{
	return TRY(syscall(__NR_ioprio_set, IOPRIO_WHO_PROCESS, 0, 0));
}

static int get_ioprio(void)
{
	return TRY(syscall(__NR_ioprio_get, IOPRIO_WHO_PROCESS, 0));
}

static int set_pgid(void)
{
	return TRY(setpgid(0, 0));
}

static int get_pgid(void)
{
	return TRY(syscall(__NR_getpgid, getpid()));
}

static int get_sid(void)
{
	return TRY(syscall(__NR_getsid, getpid()));
}

static int get_scheduler(void)
{
	return TRY(sched_getscheduler(0));
}

static int set_scheduler(void)
{
	struct sched_param param = {};

	return TRY(sched_setscheduler(0, SCHED_OTHER, &param));
}

static int set_rlimit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	return TRY(setrlimit(RLIMIT_NOFILE, &limit));
}

/* Do something to a process that does nothing. */
static int with_other(int (*call)(pid_t pid))
{
	pid_t pid = fork();
	int err;

	if (!pid) {
		for (;;)
			pause();
	}
	err = call(pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return err;
}

static int get_rlimit_of(pid_t pid)
{
	struct rlimit limit;

	return TRY(prlimit(pid, RLIMIT_NOFILE, NULL, &limit));
}

static int get_rlimit(void)
{
	return with_other(get_rlimit_of);
}

static int seize_task(pid_t pid)
{
	return TRY(ptrace(PTRACE_SEIZE, pid, 0, 0));
}

static int trace_other(void)
{
	return with_other(seize_task);
}

static int trace_me(void)
{
	return TRY(ptrace(PTRACE_TRACEME, 0, 0, 0));
}

static int set_name(void)
{
	return TRY(prctl(PR_SET_NAME, "lsm_deny", 0, 0, 0));
}

static int set_uid(void)
{
	return TRY(syscall(__NR_setuid, 0));
}

static int set_gid(void)
{
	return TRY(syscall(__NR_setgid, 0));
}

static int set_groups(void)
{
	return TRY(syscall(__NR_setgroups, 0, NULL));
}

/* struct __user_cap_header_struct and __user_cap_data_struct: libcap's header
 * would clash with the kernel's.
 */
static int capabilities(bool set)
{
	struct { __u32 version; int pid; } header = { 0x20080522, 0 };
	struct { __u32 effective, permitted, inheritable; } data[2] = {};

	if (!set)
		return TRY(syscall(__NR_capget, &header, data));
	syscall(__NR_capget, &header, data);
	return TRY(syscall(__NR_capset, &header, data));
}

static int get_capabilities(void)
{
	return capabilities(false);
}

static int set_capabilities(void)
{
	return capabilities(true);
}

static int new_user_ns(void)
{
	return TRY(unshare(CLONE_NEWUSER));
}

static int set_time_zone(void)
{
	struct timezone zone = {};

	syscall(__NR_gettimeofday, NULL, &zone);
	return TRY(syscall(__NR_settimeofday, NULL, &zone));
}

static int read_syslog(void)
{
	return TRY(klogctl(SYSLOG_ACTION_SIZE_BUFFER, NULL, 0));
}

static const struct row task_rows[] = {
	{ "task_alloc", fork_task },
	{ "task_kill", kill_task },
	{ "task_setnice", set_nice },
	{ "task_setioprio", set_ioprio },
	{ "task_getioprio", get_ioprio },
	{ "task_setpgid", set_pgid, IN_CHILD },
	{ "task_getpgid", get_pgid },
	{ "task_getsid", get_sid },
	{ "task_getscheduler", get_scheduler },
	{ "task_setscheduler", set_scheduler },
	{ "task_prlimit", get_rlimit },
	{ "task_setrlimit", set_rlimit },
	{ "task_prctl", set_name, IN_CHILD },
	{ "task_fix_setuid", set_uid, IN_CHILD },
	{ "task_fix_setgid", set_gid, IN_CHILD },
	{ "task_fix_setgroups", set_groups, IN_CHILD },
	{ "ptrace_access_check", trace_other },
	{ "ptrace_traceme", trace_me, IN_CHILD },
	{ "capget", get_capabilities },
	{ "capset", set_capabilities, IN_CHILD },
	{ "userns_create", new_user_ns, IN_CHILD },
	{ "settime", set_time_zone },
	{ "syslog", read_syslog },
	{ }
};

/* Sockets */

static int make_socket(void)
{
	return TRY_FD(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static int make_pair(void)
{
	int pair[2] = { -1, -1 };
	int err = TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));

	close(pair[0]);
	close(pair[1]);
	return err;
}

static int bind_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int err = TRY(bind(fd, (struct sockaddr *)&addr, sizeof(addr.sun_family)));

	close(fd);
	return err;
}

static int listen_socket(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int err;

	bind(fd, (struct sockaddr *)&addr, sizeof(addr.sun_family));
	err = TRY(listen(fd, 1));
	close(fd);
	return err;
}

/* A listening socket that the kernel gave a name, and one for the other side. */
struct both_sides {
	int listener;
	int client;
	struct sockaddr_un addr;
	socklen_t len;
};

static void open_both_sides(struct both_sides *both)
{
	both->addr.sun_family = AF_UNIX;
	both->len = sizeof(both->addr);
	both->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	both->client = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(both->listener, (struct sockaddr *)&both->addr, sizeof(both->addr.sun_family));
	listen(both->listener, 1);
	getsockname(both->listener, (struct sockaddr *)&both->addr, &both->len);
}

static void close_both_sides(struct both_sides *both)
{
	close(both->client);
	close(both->listener);
}

static int connect_socket(void)
{
	struct both_sides both;
	int err;

	open_both_sides(&both);
	err = TRY(connect(both.client, (struct sockaddr *)&both.addr, both.len));
	close_both_sides(&both);
	return err;
}

static int accept_socket(void)
{
	struct both_sides both;
	int err;

	open_both_sides(&both);
	connect(both.client, (struct sockaddr *)&both.addr, both.len);
	err = TRY_FD(accept(both.listener, NULL, NULL));
	close_both_sides(&both);
	return err;
}

static int with_pair(int type, int (*call)(int *pair))
{
	int pair[2], err;

	if (socketpair(AF_UNIX, type, 0, pair))
		return -1;
	err = call(pair);
	close(pair[0]);
	close(pair[1]);
	return err;
}

static int send_pair(int *pair)
{
	return TRY(send(pair[0], "x", 1, 0));
}

static int write_pair(int *pair)
{
	return TRY(write(pair[0], "x", 1));
}

static int receive_pair(int *pair)
{
	char c;

	send(pair[0], "x", 1, 0);
	return TRY(recv(pair[1], &c, 1, MSG_DONTWAIT));
}

static int name_pair(int *pair)
{
	struct sockaddr_un addr;
	socklen_t len = sizeof(addr);

	return TRY(getsockname(pair[0], (struct sockaddr *)&addr, &len));
}

static int peer_pair(int *pair)
{
	struct sockaddr_un addr;
	socklen_t len = sizeof(addr);

	return TRY(getpeername(pair[0], (struct sockaddr *)&addr, &len));
}

static int get_option_pair(int *pair)
{
	socklen_t len = sizeof(int);
	int type;

	return TRY(getsockopt(pair[0], SOL_SOCKET, SO_TYPE, &type, &len));
}

static int set_option_pair(int *pair)
{
	int one = 1;

	return TRY(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
}

static int shutdown_pair(int *pair)
{
	return TRY(shutdown(pair[0], SHUT_RDWR));
}

static int send_stream(void)
{
	return with_pair(SOCK_STREAM, send_pair);
}

static int write_stream(void)
{
	return with_pair(SOCK_STREAM, write_pair);
}

static int send_datagram(void)
{
	return with_pair(SOCK_DGRAM, send_pair);
}

static int receive_stream(void)
{
	return with_pair(SOCK_STREAM, receive_pair);
}

static int get_name(void)
{
	return with_pair(SOCK_STREAM, name_pair);
}

static int get_peer(void)
{
	return with_pair(SOCK_STREAM, peer_pair);
}

static int get_option(void)
{
	return with_pair(SOCK_STREAM, get_option_pair);
}

static int set_option(void)
{
	return with_pair(SOCK_STREAM, set_option_pair);
}

static int shutdown_socket(void)
{
	return with_pair(SOCK_STREAM, shutdown_pair);
}

static int send_netlink(void)
{
	struct nlmsghdr message = { .nlmsg_len = sizeof(message), .nlmsg_type = NLMSG_NOOP };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int err = TRY(send(fd, &message, sizeof(message), 0));

	close(fd);
	return err;
}

static const struct row socket_rows[] = {
	{ "socket_create", make_socket },
	{ "socket_create", make_pair },
	{ "socket_post_create", make_socket },
	{ "socket_socketpair", make_pair },
	{ "socket_bind", bind_socket },
	{ "socket_listen", listen_socket },
	{ "socket_connect", connect_socket },
	{ "unix_stream_connect", connect_socket },
	{ "socket_accept", accept_socket },
	{ "socket_sendmsg", send_stream },
	{ "socket_sendmsg", write_stream },
	{ "unix_may_send", send_datagram },
	{ "socket_recvmsg", receive_stream },
	{ "socket_getsockname", get_name },
	{ "socket_getpeername", get_peer },
	{ "socket_getsockopt", get_option },
	{ "socket_setsockopt", set_option },
	{ "socket_shutdown", shutdown_socket },
	{ "netlink_send", send_netlink },
	{ }
};

/* Programs that are executed. When it goes well the child ends as /bin/true. */

static int execute(void)
{
	char * const argv[] = { "true", NULL }, * const envp[] = { NULL };

	return TRY(execve("/bin/true", argv, envp));
}

static const struct row bprm_rows[] = {
	{ "bprm_creds_for_exec", execute, IN_CHILD },
	{ "bprm_check_security", execute, IN_CHILD },
	{ "bprm_creds_from_file", execute, IN_CHILD },
	{ }
};

/* Filesystems: /tmp is a tmpfs in a mount namespace of our own. */

static int mount_fs(void)
{
	return TRY(mount("tmpfs", "/tmp/mount", "tmpfs", 0, "size=1M"));
}

static int bind_mount(void)
{
	return TRY(mount("/tmp", "/tmp/mount", NULL, MS_BIND, NULL));
}

static int remount_fs(void)
{
	return TRY(mount(NULL, "/tmp", NULL, MS_REMOUNT, "size=4M"));
}

static int unmount_fs(void)
{
	mount("tmpfs", "/tmp/mount", "tmpfs", 0, NULL);
	return TRY(umount2("/tmp/mount", 0));
}

static int move_mount_fs(void)
{
	int mnt = lsm_mount("tmpfs");
	int err = TRY(syscall(__NR_move_mount, mnt, "", AT_FDCWD, "/tmp/mount", 4));

	close(mnt);
	return err;
}

static int pivot_root_fs(void)
{
	return TRY(syscall(__NR_pivot_root, "/tmp", "/tmp/mount"));
}

static int show_mounts(void)
{
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	char text[512];
	int err = TRY(read(fd, text, sizeof(text)));

	close(fd);
	return err;
}

static int stat_fs(void)
{
	struct statfs st;

	return TRY(fstatfs(dir, &st));
}

static int configure_fs(void)
{
	int fs = syscall(__NR_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	int err = TRY(syscall(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "size", "1M", 0));

	close(fs);
	return err;
}

static int create_fs(void)
{
	int fs = syscall(__NR_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	int err = TRY(syscall(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));

	close(fs);
	return err;
}

static int reconfigure_fs(void)
{
	int fs = syscall(__NR_fspick, dir, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
	int err = TRY(syscall(__NR_fsconfig, fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0));

	close(fs);
	return err;
}

static const struct row sb_rows[] = {
	{ "sb_mount", mount_fs, IN_MOUNT_NS },
	{ "sb_mount", bind_mount, IN_MOUNT_NS },
	{ "sb_mount", remount_fs, IN_MOUNT_NS },
	{ "sb_kern_mount", mount_fs, IN_MOUNT_NS },
	{ "sb_kern_mount", create_fs },
	{ "sb_eat_lsm_opts", mount_fs, IN_MOUNT_NS },
	{ "sb_set_mnt_opts", mount_fs, IN_MOUNT_NS },
	{ "sb_set_mnt_opts", create_fs },
	{ "sb_remount", remount_fs, IN_MOUNT_NS },
	{ "sb_remount", reconfigure_fs },
	{ "sb_umount", unmount_fs, IN_MOUNT_NS },
	{ "sb_pivotroot", pivot_root_fs, IN_MOUNT_NS },
	{ "sb_show_options", show_mounts },
	{ "sb_statfs", stat_fs },
	{ "move_mount", move_mount_fs, IN_MOUNT_NS },
	{ "fs_context_parse_param", configure_fs },
	{ "fs_context_parse_param", mount_fs, IN_MOUNT_NS },
	{ }
};

/* Keys: those of a process go with it. */

static int new_key(void)
{
	return syscall(__NR_add_key, "user", "lsm_deny", "x", 1, KEY_SPEC_PROCESS_KEYRING);
}

static int add_key(void)
{
	return TRY(new_key());
}

static int describe_key(void)
{
	int key = new_key();

	return TRY(syscall(__NR_keyctl, KEYCTL_DESCRIBE, key, NULL, 0, 0));
}

static const struct row key_rows[] = {
	{ "key_alloc", add_key, IN_CHILD },
	{ "key_permission", add_key, IN_CHILD },
	{ "key_permission", describe_key, IN_CHILD },
	{ }
};

/* System V IPC */

static int new_shm(void)
{
	int id = -1;
	int err = TRY(id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600));

	shmctl(id, IPC_RMID, NULL);
	return err;
}

static int find_shm(void)
{
	int id = shmget(IPC_KEY, 4096, IPC_CREAT | 0600);
	int err = TRY(shmget(IPC_KEY, 4096, 0600));

	shmctl(id, IPC_RMID, NULL);
	return err;
}

static int stat_shm(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	struct shmid_ds ds;
	int err = TRY(shmctl(id, IPC_STAT, &ds));

	shmctl(id, IPC_RMID, NULL);
	return err;
}

static int attach_shm(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	void *addr = (void *)-1;
	int err = TRY(addr = shmat(id, NULL, 0));

	if (addr != (void *)-1)
		shmdt(addr);
	shmctl(id, IPC_RMID, NULL);
	return err;
}

static int new_queue(void)
{
	int id = -1;
	int err = TRY(id = msgget(IPC_PRIVATE, IPC_CREAT | 0600));

	msgctl(id, IPC_RMID, NULL);
	return err;
}

static int find_queue(void)
{
	int id = msgget(IPC_KEY, IPC_CREAT | 0600);
	int err = TRY(msgget(IPC_KEY, 0600));

	msgctl(id, IPC_RMID, NULL);
	return err;
}

static int stat_queue(void)
{
	int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
	struct msqid_ds ds;
	int err = TRY(msgctl(id, IPC_STAT, &ds));

	msgctl(id, IPC_RMID, NULL);
	return err;
}

static int send_queue(void)
{
	struct { long type; char text[8]; } message = { .type = 1 };
	int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
	int err = TRY(msgsnd(id, &message, sizeof(message.text), IPC_NOWAIT));

	msgctl(id, IPC_RMID, NULL);
	return err;
}

static int new_semaphore(void)
{
	int id = -1;
	int err = TRY(id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));

	semctl(id, 0, IPC_RMID);
	return err;
}

static int find_semaphore(void)
{
	int id = semget(IPC_KEY, 1, IPC_CREAT | 0600);
	int err = TRY(semget(IPC_KEY, 1, 0600));

	semctl(id, 0, IPC_RMID);
	return err;
}

static int read_semaphore(void)
{
	int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	int err = TRY(semctl(id, 0, GETVAL));

	semctl(id, 0, IPC_RMID);
	return err;
}

static int operate_semaphore(void)
{
	int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	struct sembuf operation = { .sem_op = 1 };
	int err = TRY(semop(id, &operation, 1));

	semctl(id, 0, IPC_RMID);
	return err;
}

static const struct row ipc_rows[] = {
	{ "ipc_permission", find_shm, .instead = EACCES },
	{ "ipc_permission", send_queue, .instead = EACCES },
	{ "ipc_permission", operate_semaphore, .instead = EACCES },
	{ "shm_alloc_security", new_shm },
	{ "shm_associate", find_shm },
	{ "shm_shmctl", stat_shm },
	{ "shm_shmat", attach_shm },
	{ "msg_queue_alloc_security", new_queue },
	{ "msg_queue_associate", find_queue },
	{ "msg_queue_msgctl", stat_queue },
	{ "msg_queue_msgsnd", send_queue },
	{ "msg_msg_alloc_security", send_queue },
	{ "sem_alloc_security", new_semaphore },
	{ "sem_associate", find_semaphore },
	{ "sem_semctl", read_semaphore },
	{ "sem_semop", operate_semaphore },
	{ }
};

/* BPF itself */

static int new_map(void)
{
	return TRY_FD(bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, 4, 4, 1, NULL));
}

static int new_prog(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return TRY_FD(bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, NULL, "GPL", insns,
				    ARRAY_SIZE(insns), NULL));
}

static const struct row bpf_rows[] = {
	{ "bpf", new_map },
	{ "bpf", new_prog },
	{ "bpf_map", new_map },
	{ "bpf_map_create", new_map },
	{ "bpf_prog", new_prog },
	{ "bpf_prog_load", new_prog },
	{ }
};

/* Performance events, and the other way into the kernel with a ring */

static int perf_open(__u64 sample_type)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_type = sample_type,
		.sample_regs_intr = !!sample_type,
		.disabled = 1,
	};

	return syscall(__NR_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static int open_event(void)
{
	return TRY_FD(perf_open(0));
}

/* Who sees registers of the kernel asks whether it is locked down. */
static int open_event_with_registers(void)
{
	return TRY_FD(perf_open(PERF_SAMPLE_REGS_INTR));
}

static int read_event(void)
{
	int fd = perf_open(0);
	__u64 count;
	int err = TRY(read(fd, &count, sizeof(count)));

	close(fd);
	return err;
}

static int reset_event(void)
{
	int fd = perf_open(0);
	int err = TRY(ioctl(fd, PERF_EVENT_IOC_RESET, 0));

	close(fd);
	return err;
}

static const struct row perf_rows[] = {
	{ "perf_event_open", open_event },
	{ "perf_event_alloc", open_event },
	{ "perf_event_read", read_event },
	{ "perf_event_write", reset_event },
	{ "locked_down", open_event_with_registers },
	{ }
};

static int new_ring(__u32 flags)
{
	struct io_uring_params params = { .flags = flags };

	return TRY_FD(syscall(__NR_io_uring_setup, 1, &params));
}

static int plain_ring(void)
{
	return new_ring(0);
}

static int polled_ring(void)
{
	return new_ring(IORING_SETUP_SQPOLL);
}

static const struct row uring_rows[] = {
	{ "uring_sqpoll", polled_ring },
	{ "inode_init_security_anon", plain_ring },
	{ }
};

static const struct row * const classes[] = {
	file_rows, inode_rows, path_rows, task_rows, socket_rows, bprm_rows, sb_rows,
	key_rows, ipc_rows, bpf_rows, perf_rows, uring_rows,
};

static bool setup(void)
{
	skel = lsm_deny__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	btf = btf__load_vmlinux_btf();
	if (!ASSERT_OK_PTR(btf, "vmlinux BTF"))
		return false;
	dir = lsm_mount("tmpfs");
	if (!ASSERT_OK_FD(dir, "mount tmpfs"))
		return false;
	file = openat(dir, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	snprintf(file_path, sizeof(file_path), "/proc/self/fd/%d", file);
	return ASSERT_OK_FD(file, "make a file") &&
	       ASSERT_OK(symlinkat("file", dir, "link"), "make a link");
}

static void teardown(void)
{
	close(file);
	close(dir);
	file = -1;
	dir = -1;
	btf__free(btf);
	btf = NULL;
	lsm_deny__destroy(skel);
	skel = NULL;
}

/* Put the program into @hook. Returns the link's FD, or -errno. */
static int attach(const char *hook)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_MAC);
	char name[64];
	int id, prog, link;

	snprintf(name, sizeof(name), "bpf_lsm_%s", hook);
	id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
	if (id < 0)
		return id;
	opts.attach_btf_id = id;
	prog = bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_deny", "GPL",
			     bpf_program__insns(skel->progs.deny),
			     bpf_program__insn_cnt(skel->progs.deny), &opts);
	if (prog < 0)
		return prog;
	link = lsm_link_create(prog);
	close(prog);
	return link;
}

static bool own_tmp(void)
{
	return !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("tmpfs", "/tmp", "tmpfs", 0, NULL) && !mkdir("/tmp/mount", 0700);
}

/* Make the call of @row while the program says @verdict (a positive errno).
 * Returns the errno that the call met, 0, or -1 if it could not be made.
 */
static int call(const struct row *row, int verdict)
{
	int status = -1;
	pid_t pid;

	skel->bss->calls = 0;
	skel->bss->verdict = -verdict;
	if (row->where == HERE)
		return row->call();

	skel->bss->result = 0;
	pid = fork();
	if (!pid) {
		if (row->where == IN_MOUNT_NS && !own_tmp())
			_exit(1);
		skel->bss->result = row->call();
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	disarm();
	return status ? -1 : skel->bss->result;
}

static void check_row(const struct row *row)
{
	char name[64];
	int link, i;

	snprintf(name, sizeof(name), "%s before", row->hook);
	if (!ASSERT_OK(call(row, verdicts[0]), name))
		return;
	link = attach(row->hook);
	if (!ASSERT_OK_FD(link, row->hook))
		return;
	for (i = 0; i < ARRAY_SIZE(verdicts); i++)
		ASSERT_EQ(call(row, verdicts[i]), row->instead ?: verdicts[i], row->hook);

	snprintf(name, sizeof(name), "%s after", row->hook);
	close(link);
	ASSERT_OK(call(row, verdicts[0]), name);
	ASSERT_EQ(skel->bss->calls, 0, name);
}

static void check_class(const struct row *rows)
{
	if (lsm_skip_unless_enforcing())
		return;
	if (setup())
		for (; rows->hook; rows++)
			check_row(rows);
	teardown();
}

/* A program on each hook, all of them at the same time, and nobody minds. */
static void no_opinion(void)
{
	int links[256], nr = 0, i;
	const struct row *row;
	char name[64];

	if (!setup())
		goto out;
	for (i = 0; i < ARRAY_SIZE(classes); i++) {
		for (row = classes[i]; row->hook; row++) {
			if (row > classes[i] && !strcmp(row->hook, row[-1].hook))
				continue;
			if (!ASSERT_LT(nr, ARRAY_SIZE(links), "hooks"))
				goto out;
			links[nr] = attach(row->hook);
			if (!ASSERT_OK_FD(links[nr], row->hook))
				goto out;
			nr++;
		}
	}
	for (i = 0; i < ARRAY_SIZE(classes); i++) {
		for (row = classes[i]; row->hook; row++) {
			snprintf(name, sizeof(name), "%s without opinion", row->hook);
			ASSERT_OK(call(row, 0), name);
			ASSERT_GT(skel->bss->calls, 0, name);
		}
	}
out:
	while (nr > 0)
		close(links[--nr]);
	teardown();
}

void test_lsm_deny(void)
{
	if (test__start_subtest("file"))
		check_class(file_rows);
	if (test__start_subtest("inode"))
		check_class(inode_rows);
	if (test__start_subtest("path"))
		check_class(path_rows);
	if (test__start_subtest("task"))
		check_class(task_rows);
	if (test__start_subtest("socket"))
		check_class(socket_rows);
	if (test__start_subtest("bprm"))
		check_class(bprm_rows);
	if (test__start_subtest("sb"))
		check_class(sb_rows);
	if (test__start_subtest("key"))
		check_class(key_rows);
	if (test__start_subtest("ipc"))
		check_class(ipc_rows);
	if (test__start_subtest("bpf"))
		check_class(bpf_rows);
	if (test__start_subtest("perf"))
		check_class(perf_rows);
	if (test__start_subtest("uring"))
		check_class(uring_rows);
	if (test__start_subtest("no_opinion"))
		no_opinion();
}
