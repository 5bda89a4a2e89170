// SPDX-License-Identifier: GPL-2.0

/* What LSM programs can find out about files beyond the arguments of a hook.
 *
 * This would catch: helpers and kfuncs that are missing, that give a wrong
 * answer, or that can be called by other programs or in other contexts than they
 * are made for; a warning in the kernel log for a program that asks about a
 * file which is yet to be made; one that waits for a lock that its hook's caller
 * holds.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "lsm_helpers.h"
#include "lsm_files.skel.h"

#define CONTENT	"krsi"
/* How the kernel numbers SHA-256: enum hash_algo. */
#define HASH_ALGO_SHA256 4

static const unsigned char content_hash[32] = {
	0x44, 0x58, 0x41, 0x9b, 0xb1, 0x86, 0x1c, 0x29,
	0x2d, 0xe4, 0x22, 0x89, 0x83, 0x99, 0xc4, 0xa6,
	0xf5, 0x63, 0x40, 0xe8, 0x6b, 0x53, 0xa4, 0x8e,
	0x79, 0x61, 0x66, 0xd2, 0x03, 0x34, 0xa9, 0x7f,
};

static struct lsm_files *skel;
static int dir = -1;

/* Loads with @extra as well, if there is one. */
static bool setup(const char *extra)
{
	struct bpf_program *prog;

	dir = lsm_mount("tmpfs");
	if (!ASSERT_OK_FD(dir, "mount tmpfs"))
		return false;
	skel = lsm_files__open();
	if (!ASSERT_OK_PTR(skel, "open"))
		return false;
	if (extra) {
		prog = bpf_object__find_program_by_name(skel->obj, extra);
		if (!ASSERT_OK_PTR(prog, extra))
			return false;
		bpf_program__set_autoload(prog, true);
	}
	return ASSERT_OK(lsm_files__load(skel), "load") &&
	       ASSERT_OK(lsm_files__attach(skel), "attach");
}

static void teardown(void)
{
	lsm_files__destroy(skel);
	skel = NULL;
	close(dir);
	dir = -1;
}

/* Programs see this task between the two. */
static void watch(void)
{
	skel->bss->monitored_pid = getpid();
}

static void unwatch(void)
{
	skel->bss->monitored_pid = 0;
}

/* A file with content and an extended attribute, looked at by the programs. */
static bool look_at_file(void)
{
	int fd = openat(dir, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	bool ok;

	ok = ASSERT_OK_FD(fd, "make a file") &&
	     ASSERT_EQ(write(fd, CONTENT, strlen(CONTENT)), strlen(CONTENT), "write") &&
	     ASSERT_OK(fsetxattr(fd, "user.lsm_files", "value", 5, 0), "setxattr") &&
	     ASSERT_OK(fsetxattr(fd, "trusted.lsm_files", "value", 5, 0), "setxattr");
	close(fd);
	if (!ok)
		return false;

	watch();
	fd = openat(dir, "file", O_RDONLY | O_CLOEXEC);
	unwatch();
	ok = ASSERT_OK_FD(fd, "open");
	close(fd);
	return ok;
}

static void extended_attributes(void)
{
	int fd;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel warns if a file that is not there is asked for attributes");
		return;
	}
	if (!setup(NULL) || !look_at_file())
		goto out;
	if (ASSERT_EQ(skel->bss->xattr_size, 5, "size"))
		ASSERT_STRNEQ(skel->bss->xattr, "value", 5, "value");
	ASSERT_EQ(skel->bss->xattr_other_namespace, -EPERM, "other namespace");
	ASSERT_EQ(skel->bss->xattr_missing, -ENODATA, "missing");
	ASSERT_EQ(skel->bss->xattr_too_big, -ERANGE, "too big");

	watch();
	fd = openat(dir, "another", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	unwatch();
	ASSERT_OK_FD(fd, "make another file");
	close(fd);
	ASSERT_EQ(skel->bss->xattr_of_nothing, -EINVAL, "of a file to be made");
out:
	teardown();
}

static void paths(void)
{
	if (!setup(NULL) || !look_at_file())
		goto out;
	/* Of a mount that is mounted nowhere. */
	if (ASSERT_EQ(skel->bss->path_size, sizeof("/file"), "size"))
		ASSERT_STREQ(skel->bss->path, "/file", "path");
	ASSERT_EQ(skel->bss->path_too_long, -ENAMETOOLONG, "too long");
	if (ASSERT_EQ(skel->bss->d_path_size, sizeof("/file"), "bpf_d_path: size"))
		ASSERT_STREQ(skel->bss->d_path, "/file", "bpf_d_path: path");
out:
	teardown();
}

static void executable(void)
{
	struct stat st;

	if (!setup(NULL) || !look_at_file())
		goto out;
	if (ASSERT_OK(stat("/proc/self/exe", &st), "stat"))
		ASSERT_EQ(skel->bss->exe_ino, st.st_ino, "inode");
out:
	teardown();
}

/* What the caller of a hook holds is not waited for. */
static void executable_under_lock(void)
{
	struct rlimit limit;
	struct stat st;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel hangs for good");
		return;
	}
	if (!setup("look_under_lock") ||
	    !ASSERT_OK(getrlimit(RLIMIT_CORE, &limit), "getrlimit"))
		goto out;
	watch();
	ASSERT_OK(setrlimit(RLIMIT_CORE, &limit), "setrlimit");
	unwatch();
	if (ASSERT_OK(stat("/proc/self/exe", &st), "stat"))
		ASSERT_EQ(skel->bss->locked_exe_ino, st.st_ino, "inode");
out:
	teardown();
}

static void path_with_irqs_off(void)
{
	int fd;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel takes the risk of a deadlock");
		return;
	}
	if (!setup("look_at_owned"))
		goto out;
	fd = openat(dir, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (!ASSERT_OK_FD(fd, "make a file"))
		goto out;
	watch();
	ASSERT_OK(fcntl(fd, F_SETOWN, getpid()), "F_SETOWN");
	unwatch();
	close(fd);
	ASSERT_EQ(skel->bss->path_irqs_off, -EOPNOTSUPP, "path");
out:
	teardown();
}

static void ima_hash(void)
{
	unsigned long long address;

	if (kallsyms_find("ima_file_hash", &address)) {
		lsm_skip("this kernel is built without IMA");
		return;
	}
	if (!setup(NULL) || !look_at_file())
		goto out;
	if (ASSERT_EQ(skel->bss->ima_algo, HASH_ALGO_SHA256, "algorithm"))
		ASSERT_OK(memcmp(skel->bss->ima_hash, content_hash, sizeof(content_hash)), "hash");
out:
	teardown();
}

static void no_verity_file(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id;

	id = btf__find_by_name_kind(btf, "bpf_get_fsverity_digest", BTF_KIND_FUNC);
	btf__free(btf);
	if (id < 0) {
		lsm_skip("this kernel is built without fs-verity");
		return;
	}
	if (setup("look_at_digest") && look_at_file())
		ASSERT_EQ(skel->bss->verity_err, -ENODATA, "digest");
	teardown();
}

static char log_buf[8192];

static void check_refused(const char *name, int err, const char *reason)
{
	struct lsm_files *other = lsm_files__open();
	struct bpf_program *prog;

	if (!ASSERT_OK_PTR(other, "open"))
		return;
	bpf_object__for_each_program(prog, other->obj)
		bpf_program__set_autoload(prog, false);
	prog = bpf_object__find_program_by_name(other->obj, name);
	if (!ASSERT_OK_PTR(prog, name))
		goto out;
	log_buf[0] = '\0';
	bpf_program__set_autoload(prog, true);
	bpf_program__set_log_buf(prog, log_buf, sizeof(log_buf));
	ASSERT_EQ(lsm_files__load(other), err, name);
	ASSERT_HAS_SUBSTR(log_buf, reason, name);
out:
	lsm_files__destroy(other);
}

static void refused(void)
{
	check_refused("not_lsm", -EACCES, "calling kernel function");
	check_refused("plain_xattr", -EACCES, "program must be sleepable");
	check_refused("plain_ima", -EINVAL, "might sleep");
	check_refused("d_path_anywhere", -EINVAL, "not allowed");
}

void test_lsm_files(void)
{
	if (test__start_subtest("extended_attributes"))
		extended_attributes();
	if (test__start_subtest("paths"))
		paths();
	if (test__start_subtest("executable"))
		executable();
	if (test__start_subtest("executable_under_lock"))
		executable_under_lock();
	if (test__start_subtest("path_with_irqs_off"))
		path_with_irqs_off();
	if (test__start_subtest("ima_hash"))
		ima_hash();
	if (test__start_subtest("no_verity_file"))
		no_verity_file();
	if (test__start_subtest("refused"))
		refused();
}
