// SPDX-License-Identifier: GPL-2.0

/* A program that returns 0 has no opinion. On hooks where "nobody has one" is
 * not 0 the caller must still see the hook's default.
 *
 * This would catch: an unknown prctl() that succeeds, a mount option that
 * vanishes because a program seems to have consumed it, an extended attribute
 * that reads as empty or is not stored, a security label made of nothing that
 * is passed to user space or to a filesystem: all what happens when such a
 * program's 0 is taken for the hook's result.
 *
 * Each probe runs before a program is attached, while it is, and afterwards,
 * and has to see the same values and errors.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "lsm_helpers.h"
#include "lsm_defaults.skel.h"

/* What one run of a probe has seen. */
struct outcome {
	long values[16];
	int nr;
};

typedef void (*probe_t)(struct outcome *outcome);

/* Does one of the modules that label objects decide what the defaults are? */
static bool somebody_labels(void)
{
	return lsm_position(LSM_TEST_ID_SELINUX) >= 0 ||
	       lsm_position(LSM_TEST_ID_SMACK) >= 0 ||
	       lsm_position(LSM_TEST_ID_APPARMOR) >= 0;
}

/* The step called @name returned @value, or -1 and an errno. Where nobody
 * labels it has to be what is @expected, and anywhere the same each time.
 */
static void note(struct outcome *outcome, const char *name, long value, long expected)
{
	long seen = value == -1 ? -errno : value;

	if (!somebody_labels())
		ASSERT_EQ(seen, expected, name);
	if (ASSERT_LT(outcome->nr, ARRAY_SIZE(outcome->values), "steps"))
		outcome->values[outcome->nr++] = seen;
}

static void compare(const struct outcome *a, const struct outcome *b, const char *when)
{
	int i;

	ASSERT_EQ(a->nr, b->nr, when);
	for (i = 0; i < a->nr && i < b->nr; i++)
		ASSERT_EQ(a->values[i], b->values[i], when);
}

static bool in_this_kernel(const char *hook)
{
	struct btf *btf = btf__load_vmlinux_btf();
	char name[64];
	int id;

	if (!ASSERT_OK_PTR(btf, "vmlinux BTF"))
		return false;
	snprintf(name, sizeof(name), "bpf_lsm_%s", hook);
	id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
	btf__free(btf);
	return id > 0;
}

/* Load the program for @hook, and nothing else. */
static struct lsm_defaults *load(const char *hook, struct bpf_program **prog)
{
	static char log[16 * 1024];
	struct lsm_defaults *skel;
	char name[64];
	int err;

	skel = lsm_defaults__open();
	if (!ASSERT_OK_PTR(skel, "open"))
		return NULL;
	snprintf(name, sizeof(name), "no_opinion_%s", hook);
	*prog = bpf_object__find_program_by_name(skel->obj, name);
	if (!ASSERT_OK_PTR(*prog, name))
		goto out;
	log[0] = '\0';
	bpf_program__set_autoload(*prog, true);
	bpf_program__set_log_buf(*prog, log, sizeof(log));
	bpf_program__set_log_level(*prog, 1);
	err = lsm_defaults__load(skel);
	if (!err)
		return skel;
	if (err == -EINVAL && strstr(log, "points to disabled hook"))
		lsm_skip("this kernel refuses programs on this hook");
	else
		ASSERT_OK(err, "load");
out:
	lsm_defaults__destroy(skel);
	return NULL;
}

/* Returns how often the program ran, or -1 if it was not attached. */
static int check(const char *hook, probe_t probe)
{
	struct outcome before = {}, during = {}, after = {};
	struct lsm_defaults *skel;
	struct bpf_program *prog;
	struct bpf_link *link;
	int calls = -1;

	if (!in_this_kernel(hook)) {
		lsm_skip("this kernel is built without this hook");
		return -1;
	}
	probe(&before);
	skel = load(hook, &prog);
	if (!skel)
		return -1;

	link = bpf_program__attach_lsm(prog);
	if (!ASSERT_OK_PTR(link, "attach"))
		goto out;
	skel->bss->monitored_pid = getpid();
	probe(&during);
	calls = skel->bss->calls;
	skel->bss->monitored_pid = 0;
	compare(&before, &during, "while a program is attached");
	bpf_link__destroy(link);
	probe(&after);
	compare(&before, &after, "after it has gone");
out:
	lsm_defaults__destroy(skel);
	return calls;
}

/* For hooks that the probe is known to reach. */
static void check_reached(const char *hook, probe_t probe)
{
	int calls = check(hook, probe);

	if (calls != -1)
		ASSERT_GT(calls, 0, "calls");
}

static void probe_prctl(struct outcome *outcome)
{
	int yama = lsm_position(LSM_TEST_ID_YAMA) >= 0 ? 0 : -EINVAL;

	note(outcome, "unknown option", prctl(0x4b525349, 0, 0, 0, 0), -EINVAL);
	note(outcome, "known option", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
	/* A module takes care of this one, and returns 0. */
	note(outcome, "Yama's option", prctl(PR_SET_PTRACER, 0, 0, 0, 0), yama);
}

static void task_prctl(void)
{
	int calls = check("task_prctl", probe_prctl);

	if (calls != -1)
		ASSERT_EQ(calls, 3, "calls");
}

static void probe_mount_options(struct outcome *outcome)
{
	struct statfs stats = {};
	int fs, mnt;

	fs = syscall(__NR_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	if (!ASSERT_OK_FD(fs, "fsopen"))
		return;
	note(outcome, "unknown option",
	     syscall(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "no_such_option", "1", 0), -EINVAL);
	note(outcome, "known option",
	     syscall(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "size", "1048576", 0), 0);
	note(outcome, "create",
	     syscall(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
	mnt = syscall(__NR_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	if (ASSERT_OK_FD(mnt, "fsmount"))
		note(outcome, "statfs", fstatfs(mnt, &stats), 0);
	/* An option that a program had "consumed" would have no effect. */
	note(outcome, "size", stats.f_blocks * stats.f_bsize, 1048576);
	close(mnt);
	close(fs);
}

static void fs_context_parse_param(void)
{
	check_reached("fs_context_parse_param", probe_mount_options);
}

static int make_file(const char *fstype, int *mnt)
{
	int fd;

	*mnt = lsm_mount(fstype);
	if (!ASSERT_OK_FD(*mnt, fstype))
		return -1;
	fd = openat(*mnt, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (!ASSERT_OK_FD(fd, "make a file"))
		close(*mnt);
	return fd;
}

static void probe_xattr(struct outcome *outcome)
{
	char value[16] = "";
	int mnt, fd;

	fd = make_file("tmpfs", &mnt);
	if (fd < 0)
		return;
	note(outcome, "get what is not there",
	     fgetxattr(fd, "security.foo", value, sizeof(value)), -ENODATA);
	note(outcome, "set", fsetxattr(fd, "security.foo", "bar", 3, 0), 0);
	note(outcome, "get", fgetxattr(fd, "security.foo", value, sizeof(value)), 3);
	ASSERT_STREQ(value, "bar", "value");
	note(outcome, "get the size", fgetxattr(fd, "security.foo", NULL, 0), 3);
	note(outcome, "get too much", fgetxattr(fd, "security.foo", value, 2), -ERANGE);
	note(outcome, "list", flistxattr(fd, NULL, 0), sizeof("security.foo"));
	note(outcome, "remove", fremovexattr(fd, "security.foo"), 0);
	close(fd);
	close(mnt);
}

static void inode_getsecurity(void)
{
	check_reached("inode_getsecurity", probe_xattr);
}

/* A filesystem without attributes: only a security module could store one. */
static void probe_no_xattr(struct outcome *outcome)
{
	char value[16];
	int mnt, fd;

	fd = make_file("ramfs", &mnt);
	if (fd < 0)
		return;
	note(outcome, "set", fsetxattr(fd, "security.foo", "bar", 3, 0), -EOPNOTSUPP);
	note(outcome, "get", fgetxattr(fd, "security.foo", value, sizeof(value)), -EOPNOTSUPP);
	close(fd);
	close(mnt);
}

static void inode_setsecurity(void)
{
	check_reached("inode_setsecurity", probe_no_xattr);
}

/* New files get no label, and can be made. */
static void probe_new_inodes(struct outcome *outcome)
{
	int mnt, fd;

	fd = make_file("tmpfs", &mnt);
	if (fd < 0)
		return;
	note(outcome, "labels", flistxattr(fd, NULL, 0), 0);
	note(outcome, "mkdir", mkdirat(mnt, "directory", 0700), 0);
	note(outcome, "mknod", mknodat(mnt, "fifo", S_IFIFO | 0600, 0), 0);
	note(outcome, "symlink", symlinkat("file", mnt, "symlink"), 0);
	close(fd);
	close(mnt);
}

/* Without a module that stores labels the kernel does not come that far, so
 * it is no error if the program does not run.
 */
static void inode_init_security(void)
{
	check("inode_init_security", probe_new_inodes);
}

#define OVERLAY "lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work"

/* Runs in a thread with a mount namespace of its own: overlayfs takes no
 * layers that are mounted nowhere.
 */
static void *copy_up(void *arg)
{
	struct outcome *outcome = arg;
	char value[16] = "";
	int fd;

	if (!ASSERT_OK(unshare(CLONE_NEWNS), "unshare") ||
	    !ASSERT_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "make private") ||
	    !ASSERT_OK(mount("tmpfs", "/tmp", "tmpfs", 0, NULL), "mount tmpfs"))
		return NULL;
	ASSERT_OK(mkdir("/tmp/lower", 0700), "mkdir lower");
	ASSERT_OK(mkdir("/tmp/upper", 0700), "mkdir upper");
	ASSERT_OK(mkdir("/tmp/work", 0700), "mkdir work");
	ASSERT_OK(mkdir("/tmp/merged", 0700), "mkdir merged");
	fd = open("/tmp/lower/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_OK(fsetxattr(fd, "security.foo", "bar", 3, 0), "set below");
	close(fd);
	if (!ASSERT_OK(mount("overlay", "/tmp/merged", "overlay", 0, OVERLAY), "mount overlay"))
		return NULL;

	fd = open("/tmp/merged/file", O_RDWR | O_CLOEXEC);
	note(outcome, "open", fd < 0 ? -1 : 0, 0);
	close(fd);
	fd = open("/tmp/upper/file", O_RDONLY | O_CLOEXEC);
	note(outcome, "open the copy", fd < 0 ? -1 : 0, 0);
	note(outcome, "get", fgetxattr(fd, "security.foo", value, sizeof(value)), 3);
	ASSERT_STREQ(value, "bar", "value");
	close(fd);
	return NULL;
}

/* A file that is opened for writing is copied to the upper layer, and its
 * attributes with it.
 */
static void probe_copy_up(struct outcome *outcome)
{
	pthread_t thread;

	if (ASSERT_OK(pthread_create(&thread, NULL, copy_up, outcome), "pthread_create"))
		pthread_join(thread, NULL);
}

static void inode_copy_up_xattr(void)
{
	check_reached("inode_copy_up_xattr", probe_copy_up);
}

/* Only an NFS server with labels asks for it: what can be seen from here is
 * that the program attaches, and that nothing changes.
 */
static void inode_getsecctx(void)
{
	check("inode_getsecctx", probe_xattr);
}

/* A filesystem server that asks the kernel for the security contexts of new
 * files, and finds out how many it gets.
 */
struct fuse_server {
	int dev;
	int nr_contexts;	/* of the file that was made */
};

struct fuse_request {
	struct fuse_in_header header;
	char body[FUSE_MIN_READ_BUFFER];
};

static void fuse_reply(struct fuse_server *server, const struct fuse_request *request,
		       int err, void *body, size_t len)
{
	struct fuse_out_header header = {
		.len = sizeof(header) + len,
		.error = err,
		.unique = request->header.unique,
	};
	struct iovec iov[] = {
		{ &header, sizeof(header) },
		{ body, len },
	};

	/* Who does not wait for the answer any more is of no interest. */
	if (writev(server->dev, iov, 2) < 0)
		errno = 0;
}

static void fuse_reply_init(struct fuse_server *server, const struct fuse_request *request)
{
	const struct fuse_init_in *in = (const void *)request->body;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.flags = FUSE_INIT_EXT,
		.flags2 = FUSE_SECURITY_CTX >> 32,
		.max_write = 4096,
	};

	fuse_reply(server, request, 0, &out, sizeof(out));
}

static void fuse_reply_create(struct fuse_server *server, const struct fuse_request *request)
{
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out = {
		.entry.nodeid = FUSE_ROOT_ID + 1,
		.entry.attr = { .ino = FUSE_ROOT_ID + 1, .mode = S_IFREG | 0600, .nlink = 1 },
	};
	const char *name = request->body + sizeof(struct fuse_create_in);
	struct fuse_secctx_header contexts;

	/* What follows the name is not aligned. */
	memcpy(&contexts, name + strlen(name) + 1, sizeof(contexts));
	server->nr_contexts = contexts.nr_secctx;
	fuse_reply(server, request, 0, &out, sizeof(out));
}

static void fuse_reply_getattr(struct fuse_server *server, const struct fuse_request *request)
{
	struct fuse_attr_out out = {
		.attr = { .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 0700, .nlink = 2 },
	};

	fuse_reply(server, request, 0, &out, sizeof(out));
}

/* Until the filesystem is unmounted: then read() fails with ENODEV. */
static void *fuse_serve(void *arg)
{
	struct fuse_server *server = arg;
	struct fuse_request request;

	while (read(server->dev, &request, sizeof(request)) > 0) {
		switch (request.header.opcode) {
		case FUSE_INIT:
			fuse_reply_init(server, &request);
			break;
		case FUSE_CREATE:
			fuse_reply_create(server, &request);
			break;
		case FUSE_GETATTR:
			fuse_reply_getattr(server, &request);
			break;
		case FUSE_LOOKUP:
			fuse_reply(server, &request, -ENOENT, NULL, 0);
			break;
		case FUSE_FLUSH:
		case FUSE_RELEASE:
			fuse_reply(server, &request, 0, NULL, 0);
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
			break;
		default:
			fuse_reply(server, &request, -EOPNOTSUPP, NULL, 0);
		}
	}
	return NULL;
}

static int fuse_mount(int dev)
{
	char fd[16];
	const char *options[][2] = {
		{ "fd", fd }, { "rootmode", "40000" }, { "user_id", "0" }, { "group_id", "0" },
	};
	int fs, mnt = -1, i;

	snprintf(fd, sizeof(fd), "%d", dev);
	fs = syscall(__NR_fsopen, "fuse", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -1;
	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (syscall(__NR_fsconfig, fs, FSCONFIG_SET_STRING, options[i][0],
			    options[i][1], 0))
			goto out;
	if (!syscall(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		mnt = syscall(__NR_fsmount, fs, FSMOUNT_CLOEXEC, 0);
out:
	close(fs);
	return mnt;
}

static void probe_new_fuse_inode(struct outcome *outcome)
{
	struct fuse_server server = { .nr_contexts = INT_MAX };
	pthread_t thread;
	int mnt, fd;

	server.dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (!ASSERT_OK_FD(server.dev, "open /dev/fuse"))
		return;
	mnt = fuse_mount(server.dev);
	if (!ASSERT_OK_FD(mnt, "mount fuse"))
		goto out;
	if (!ASSERT_OK(pthread_create(&thread, NULL, fuse_serve, &server), "pthread_create")) {
		close(mnt);
		goto out;
	}
	fd = openat(mnt, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	note(outcome, "make a file", fd < 0 ? -1 : 0, 0);
	close(fd);
	close(mnt);
	pthread_join(thread, NULL);
	note(outcome, "security contexts", server.nr_contexts, 0);
out:
	close(server.dev);
}

static void dentry_init_security(void)
{
	if (access("/dev/fuse", R_OK | W_OK)) {
		lsm_skip("no /dev/fuse");
		return;
	}
	check_reached("dentry_init_security", probe_new_fuse_inode);
}

static void probe_procattr(struct outcome *outcome)
{
	char value[64];
	int fd;

	fd = open("/proc/self/attr/current", O_RDWR | O_CLOEXEC);
	if (!ASSERT_OK_FD(fd, "open"))
		return;
	note(outcome, "read", read(fd, value, sizeof(value)), -EINVAL);
	note(outcome, "write", write(fd, "label", 5), -EINVAL);
	close(fd);
}

static void getprocattr(void)
{
	check_reached("getprocattr", probe_procattr);
}

static void setprocattr(void)
{
	check_reached("setprocattr", probe_procattr);
}

static void probe_selfattr(struct outcome *outcome)
{
	/* struct lsm_ctx, without a label at its end */
	struct {
		__u64 id;
		__u64 flags;
		__u64 len;
		__u64 ctx_len;
	} context = {
		.id = LSM_TEST_ID_BPF,
		.len = sizeof(context),
	};
	__u32 size = sizeof(context);
	char label[256];

	note(outcome, "set", syscall(__NR_lsm_set_self_attr, LSM_TEST_ATTR_CURRENT,
				     &context, size, 0), -EOPNOTSUPP);
	size = sizeof(label);
	note(outcome, "get", syscall(__NR_lsm_get_self_attr, LSM_TEST_ATTR_CURRENT,
				     label, &size, 0), -EOPNOTSUPP);
}

static void getselfattr(void)
{
	check_reached("getselfattr", probe_selfattr);
}

static void setselfattr(void)
{
	check_reached("setselfattr", probe_selfattr);
}

static void probe_peersec(struct outcome *outcome)
{
	char label[64];
	socklen_t len = sizeof(label);
	int pair[2];

	if (!ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair"))
		return;
	note(outcome, "SO_PEERSEC",
	     getsockopt(pair[0], SOL_SOCKET, SO_PEERSEC, label, &len), -ENOPROTOOPT);
	close(pair[0]);
	close(pair[1]);
}

static void socket_getpeersec_stream(void)
{
	check_reached("socket_getpeersec_stream", probe_peersec);
}

/* A message with which the receiver wants the sender's label. */
static void probe_passsec(struct outcome *outcome)
{
	char data[8], control[256];
	struct iovec iov = { data, sizeof(data) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int pair[2], one = 1;

	if (!ASSERT_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "socketpair"))
		return;
	note(outcome, "SO_PASSSEC",
	     setsockopt(pair[1], SOL_SOCKET, SO_PASSSEC, &one, sizeof(one)), 0);
	note(outcome, "send", send(pair[0], "data", 4, 0), 4);
	note(outcome, "receive", recvmsg(pair[1], &msg, 0), 4);
	note(outcome, "length of the label", msg.msg_controllen, 0);
	close(pair[0]);
	close(pair[1]);
}

static void socket_getpeersec_dgram(void)
{
	check_reached("socket_getpeersec_dgram", probe_passsec);
}

static void secid_to_secctx(void)
{
	check_reached("secid_to_secctx", probe_passsec);
}

/* Only IPsec with labels asks for it, see inode_getsecctx(). */
static void xfrm_state_pol_flow_match(void)
{
	check("xfrm_state_pol_flow_match", probe_passsec);
}

void test_lsm_defaults(void)
{
	if (test__start_subtest("dentry_init_security"))
		dentry_init_security();
	if (test__start_subtest("fs_context_parse_param"))
		fs_context_parse_param();
	if (test__start_subtest("getprocattr"))
		getprocattr();
	if (test__start_subtest("getselfattr"))
		getselfattr();
	if (test__start_subtest("inode_copy_up_xattr"))
		inode_copy_up_xattr();
	if (test__start_subtest("inode_getsecctx"))
		inode_getsecctx();
	if (test__start_subtest("inode_getsecurity"))
		inode_getsecurity();
	if (test__start_subtest("inode_init_security"))
		inode_init_security();
	if (test__start_subtest("inode_setsecurity"))
		inode_setsecurity();
	if (test__start_subtest("secid_to_secctx"))
		secid_to_secctx();
	if (test__start_subtest("setprocattr"))
		setprocattr();
	if (test__start_subtest("setselfattr"))
		setselfattr();
	if (test__start_subtest("socket_getpeersec_dgram"))
		socket_getpeersec_dgram();
	if (test__start_subtest("socket_getpeersec_stream"))
		socket_getpeersec_stream();
	if (test__start_subtest("task_prctl"))
		task_prctl();
	if (test__start_subtest("xfrm_state_pol_flow_match"))
		xfrm_state_pol_flow_match();
}
