// SPDX-License-Identifier: GPL-2.0

/* Programs on the hooks that see a filesystem's options, by both ways to mount
 * one and to change one that is mounted.
 *
 * This would catch: an option that a program without opinion makes vanish, or
 * one that no filesystem knows and that is accepted for it; a mount that
 * succeeds although it was denied, or that was denied and is there; a denied
 * remount that has changed something.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "lsm_helpers.h"
#include "progs/lsm_mnt_opts.h"
#include "lsm_mnt_opts.skel.h"

#define WHERE		"/tmp/mount"
#define MIB		(1024 * 1024)

static struct lsm_mnt_opts *skel;

/* What a filesystem is asked to be. */
struct options {
	const char *size;	/* MiB, one digit */
	const char *mode;
};

static const struct options at_first = { "1", "711" }, later = { "4", "700" };

/* Four ways to use options. Each returns 0 or -errno. */

static int old_call(const char *source, unsigned long flags, const struct options *options)
{
	char data[64];

	snprintf(data, sizeof(data), "size=%sM,mode=%s", options->size, options->mode);
	return mount(source, WHERE, "tmpfs", flags, data) ? -errno : 0;
}

static int old_mount(const struct options *options)
{
	return old_call("krsi", 0, options);
}

static int old_remount(const struct options *options)
{
	return old_call(NULL, MS_REMOUNT, options);
}

static int set_string(int fs, const char *key, const char *value)
{
	return syscall(__NR_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
}

static int configure(int fs, const struct options *options, int command)
{
	char size[8];

	snprintf(size, sizeof(size), "%sM", options->size);
	if (set_string(fs, "size", size) || set_string(fs, "mode", options->mode) ||
	    syscall(__NR_fsconfig, fs, command, NULL, NULL, 0))
		return -errno;
	return 0;
}

static int new_mount(const struct options *options)
{
	int fs = syscall(__NR_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	int mnt = -1, err;

	err = set_string(fs, "source", "krsi") ? -errno : 0;
	if (!err)
		err = configure(fs, options, FSCONFIG_CMD_CREATE);
	if (!err) {
		mnt = syscall(__NR_fsmount, fs, FSMOUNT_CLOEXEC, 0);
		if (mnt < 0 || syscall(__NR_move_mount, mnt, "", AT_FDCWD, WHERE,
				       MOVE_MOUNT_F_EMPTY_PATH))
			err = -errno;
	}
	close(mnt);
	close(fs);
	return err;
}

static int new_remount(const struct options *options)
{
	int fs = syscall(__NR_fspick, AT_FDCWD, WHERE, FSPICK_CLOEXEC);
	int err = configure(fs, options, FSCONFIG_CMD_RECONFIGURE);

	close(fs);
	return err;
}

/* Is the filesystem there, and as it was asked to be? Only a new one gets a
 * mode.
 */
static void check_options(const struct options *options, const char *mode, const char *when)
{
	struct statfs fs = {};
	struct stat st = {};

	ASSERT_OK(statfs(WHERE, &fs), when);
	ASSERT_OK(stat(WHERE, &st), when);
	ASSERT_EQ(fs.f_blocks * fs.f_bsize, atoi(options->size) * MIB, when);
	ASSERT_EQ(st.st_mode & 07777, strtol(mode, NULL, 8), when);
}

/* Is there nothing but the directory? */
static bool nothing_mounted(void)
{
	struct stat above = {}, here = {};

	return !stat("/tmp", &above) && !stat(WHERE, &here) && above.st_dev == here.st_dev;
}

/* Does the table of mounts say so, for who may see it? */
static int find_source(bool *found)
{
	int fd = open("/proc/thread-self/mounts", O_RDONLY | O_CLOEXEC), len, err = 0;
	static char text[64 * 1024];
	size_t end = 0;

	for (;;) {
		len = read(fd, text + end, sizeof(text) - 1 - end);
		if (len < 0)
			err = -errno;
		if (len <= 0)
			break;
		end += len;
	}
	close(fd);
	text[end] = '\0';
	*found = strstr(text, "krsi " WHERE " tmpfs rw,");
	return err;
}

/* Subtests run in a thread whose /tmp is its own: it goes with the thread. */
static bool own_tmp(void)
{
	return ASSERT_OK(unshare(CLONE_NEWNS), "unshare") &&
	       ASSERT_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private") &&
	       ASSERT_OK(mount("tmpfs", "/tmp", "tmpfs", 0, NULL), "mount /tmp") &&
	       ASSERT_OK(mkdir(WHERE, 0755), "mkdir");
}

static void check_mount_and_remount(int (*mount_)(const struct options *options),
				    int (*remount)(const struct options *options))
{
	static const struct options wrong = { "x", "711" };
	bool found = false;

	ASSERT_EQ(mount_(&wrong), -EINVAL, "mount with a wrong option");
	ASSERT_TRUE(nothing_mounted(), "nothing mounted");
	if (!ASSERT_OK(mount_(&at_first), "mount"))
		return;
	check_options(&at_first, at_first.mode, "mounted");
	ASSERT_OK(find_source(&found), "mounts");
	ASSERT_TRUE(found, "source");
	ASSERT_OK(remount(&later), "remount");
	check_options(&later, at_first.mode, "remounted");
	ASSERT_EQ(remount(&wrong), -EINVAL, "remount with a wrong option");
	check_options(&later, at_first.mode, "still as remounted");
	ASSERT_OK(umount(WHERE), "umount");
}

static void *no_opinion(void *arg)
{
	int hook;

	if (!own_tmp())
		return NULL;
	check_mount_and_remount(old_mount, old_remount);
	check_mount_and_remount(new_mount, new_remount);
	check_mount_and_remount(old_mount, new_remount);
	for (hook = 0; hook < NR_HOOKS; hook++)
		ASSERT_GT(skel->bss->calls[hook], 0, "calls");
	return NULL;
}

/* Which of the ways each hook has a say in. */
static const struct {
	const char *name;
	bool old_mount, new_mount, old_remount, new_remount;
} says[NR_HOOKS] = {
	[FS_CONTEXT_PARSE_PARAM] = { "fs_context_parse_param", true, true, true, true },
	[SB_EAT_LSM_OPTS] = { "sb_eat_lsm_opts", true, false, true, false },
	[SB_SET_MNT_OPTS] = { "sb_set_mnt_opts", true, true, false, false },
	[SB_KERN_MOUNT] = { "sb_kern_mount", true, true, false, false },
	[SB_REMOUNT] = { "sb_remount", false, false, true, true },
	[SB_MOUNT] = { "sb_mount", true, false, true, false },
	[SB_SHOW_OPTIONS] = { "sb_show_options", false, false, false, false },
};

static void check_denied_mount(int (*mount_)(const struct options *options), int hook,
			       bool denied)
{
	skel->bss->verdict[hook] = -EXDEV;
	ASSERT_EQ(mount_(&at_first), denied ? -EXDEV : 0, says[hook].name);
	skel->bss->verdict[hook] = 0;
	ASSERT_EQ(nothing_mounted(), denied, says[hook].name);
	if (!denied) {
		check_options(&at_first, at_first.mode, says[hook].name);
		ASSERT_OK(umount(WHERE), says[hook].name);
	}
}

static void check_denied_remount(int (*remount)(const struct options *options), int hook,
				 bool denied)
{
	if (!ASSERT_OK(old_mount(&at_first), says[hook].name))
		return;
	skel->bss->verdict[hook] = -EXDEV;
	ASSERT_EQ(remount(&later), denied ? -EXDEV : 0, says[hook].name);
	skel->bss->verdict[hook] = 0;
	check_options(denied ? &at_first : &later, at_first.mode, says[hook].name);
	ASSERT_OK(umount(WHERE), says[hook].name);
}

static void *denied(void *arg)
{
	bool found;
	int hook;

	if (!own_tmp())
		return NULL;
	for (hook = 0; hook < NR_HOOKS; hook++) {
		check_denied_mount(old_mount, hook, says[hook].old_mount);
		check_denied_mount(new_mount, hook, says[hook].new_mount);
		check_denied_remount(old_remount, hook, says[hook].old_remount);
		check_denied_remount(new_remount, hook, says[hook].new_remount);
	}
	skel->bss->verdict[SB_SHOW_OPTIONS] = -EXDEV;
	ASSERT_EQ(find_source(&found), -EXDEV, "read the table of mounts");
	skel->bss->verdict[SB_SHOW_OPTIONS] = 0;
	ASSERT_OK(find_source(&found), "read it again");
	return NULL;
}

/* A policy about one option. */
static void *one_option(void *arg)
{
	struct options options = at_first;

	if (!own_tmp())
		return NULL;
	snprintf(skel->bss->option, sizeof(skel->bss->option), "mode");
	skel->bss->verdict[FS_CONTEXT_PARSE_PARAM] = -EXDEV;
	ASSERT_EQ(old_mount(&options), -EXDEV, "mount with the option");
	ASSERT_TRUE(nothing_mounted(), "nothing mounted");
	ASSERT_OK(mount("krsi", WHERE, "tmpfs", 0, "size=1M"), "mount without it");
	/* The mode that nobody asked for. */
	check_options(&options, "1777", "mounted without it");
	ASSERT_EQ(new_remount(&later), -EXDEV, "remount with the option");
	check_options(&options, "1777", "not remounted");
	ASSERT_OK(umount(WHERE), "umount");
	return NULL;
}

static void check(void *(*subtest)(void *arg))
{
	pthread_t thread;

	skel = lsm_mnt_opts__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load") ||
	    !ASSERT_OK(lsm_mnt_opts__attach(skel), "attach"))
		goto out;
	skel->bss->monitored_pid = getpid();
	if (ASSERT_OK(pthread_create(&thread, NULL, subtest, NULL), "pthread_create"))
		pthread_join(thread, NULL);
out:
	lsm_mnt_opts__destroy(skel);
	skel = NULL;
}

void test_lsm_mnt_opts(void)
{
	if (test__start_subtest("no_opinion"))
		check(no_opinion);
	if (test__start_subtest("denied") && !lsm_skip_unless_enforcing())
		check(denied);
	if (test__start_subtest("one_option") && !lsm_skip_unless_enforcing())
		check(one_option);
}
