// SPDX-License-Identifier: GPL-2.0

/* What a security module denies no program is asked about, and what it permits
 * each program is asked about: here with the modules that are not in every
 * kernel and not in every lsm= list. See lsm_order for the others.
 *
 * This would catch: programs that run before such a module, and could log as
 * permitted what it then denies; a module's permission that ends the call.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "cap_helpers.h"
#include "lsm_helpers.h"
#include "lsm_after_lsms.skel.h"

/* What this test wants the kernel to be booted with. Modules that are not built
 * in are no error; of those that label objects, the first one wins.
 */
#define KERNEL_OPTIONS "lsm=lockdown,landlock,yama,loadpin,safesetid,ipe,tomoyo,smack,bpf loadpin.enforce=1"

#define ID_SMACK	102
#define ID_TOMOYO	103
#define ID_LOADPIN	106
#define ID_SAFESETID	107
#define ID_LOCKDOWN	108
#define ID_IPE		113

/* A file of securityfs */
#define UID_POLICY "safesetid/uid_allowlist_policy"

#define RESTRICTED_UID	10001
#define PERMITTED_UID	10002
#define DENIED_UID	10003

static struct lsm_after_lsms *skel;

/* Is the module active, and asked before the BPF LSM? */
static bool skip_unless_before_bpf(__u64 id)
{
	int module = lsm_position(id), bpf = lsm_position(LSM_TEST_ID_BPF);

	if (module < 0) {
		lsm_skip("the module is not active: boot with " KERNEL_OPTIONS);
		return true;
	}
	/* Where programs run last anyway the list does not matter. */
	if (module > bpf && !lsm_has_chains()) {
		lsm_skip("the module comes after bpf in the lsm= list");
		return true;
	}
	return false;
}

static bool setup(const char *hook)
{
	struct bpf_program *prog;

	skel = lsm_after_lsms__open();
	if (!ASSERT_OK_PTR(skel, "open"))
		return false;
	prog = bpf_object__find_program_by_name(skel->obj, hook);
	if (!ASSERT_OK_PTR(prog, hook))
		return false;
	bpf_program__set_autoload(prog, true);
	if (!ASSERT_OK(lsm_after_lsms__load(skel), "load") ||
	    !ASSERT_OK(lsm_after_lsms__attach(skel), "attach"))
		return false;
	skel->bss->monitored_pid = getpid();
	return true;
}

static void teardown(void)
{
	lsm_after_lsms__destroy(skel);
	skel = NULL;
}

/* Write to a file of securityfs. Returns 0 or -errno. */
static int tell(const char *name, const char *text)
{
	int fs = lsm_mount("securityfs");
	int fd = openat(fs, name, O_WRONLY | O_CLOEXEC);
	int err = write(fd, text, strlen(text)) < 0 ? -errno : 0;

	close(fd);
	close(fs);
	return err;
}

static void check(int (*call)(int arg), int arg, int err, const char *what)
{
	skel->bss->calls = 0;
	ASSERT_EQ(call(arg), err, what);
	ASSERT_EQ(skel->bss->calls, err == -EPERM || err == -EACCES || err == -SIGKILL ? 0 : 1,
		  what);
}

/* Load something that is no module. */
static int load_file(int fd)
{
	return syscall(__NR_finit_module, fd, "", 0) ? -errno : 0;
}

/* The filesystem of the first module is the only one. */
static void loadpin(void)
{
	int on_root, elsewhere;

	if (skip_unless_before_bpf(ID_LOADPIN))
		return;
	on_root = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	elsewhere = memfd_create("module", MFD_CLOEXEC);
	if (!ASSERT_OK_FD(on_root, "open") || !ASSERT_OK_FD(elsewhere, "memfd_create") ||
	    !ASSERT_EQ(write(elsewhere, "module", 6), 6, "write") || !setup("kernel_read_file"))
		goto out;
	check(load_file, on_root, -ENOEXEC, "from the root");
	check(load_file, elsewhere, -EPERM, "from elsewhere");
	check(load_file, on_root, -ENOEXEC, "from the root again");
out:
	teardown();
	close(elsewhere);
	close(on_root);
}

/* From the restricted user to another one. The module kills who tries to become
 * one that is not listed.
 */
static int become(int uid)
{
	int status = -1;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) ||
		    syscall(__NR_setresuid, RESTRICTED_UID, RESTRICTED_UID, RESTRICTED_UID) ||
		    cap_enable_effective(1ULL << CAP_SETUID, NULL))
			_exit(ECHILD);
		skel->bss->monitored_pid = getpid();
		_exit(syscall(__NR_setuid, uid) ? errno : 0);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : -WEXITSTATUS(status);
}

static void safesetid(void)
{
	if (skip_unless_before_bpf(ID_SAFESETID))
		return;
	if (!setup("task_fix_setuid"))
		goto out;
	/* 10001 may become 10002, and 10003 nobody. */
	if (!ASSERT_OK(tell(UID_POLICY, "10001:10002\n10003:10003\n"), "policy"))
		goto out;
	check(become, PERMITTED_UID, 0, "to a permitted user");
	check(become, DENIED_UID, -SIGKILL, "to another user");
	ASSERT_OK(tell(UID_POLICY, ""), "no policy");
	check(become, DENIED_UID, 0, "to that user without policy");
out:
	teardown();
}

/* As somebody else, who cannot override the module. */
static int open_as_other(int dir)
{
	int status = -1;
	pid_t pid;

	pid = fork();
	if (!pid) {
		int attr = open("/proc/self/attr/current", O_WRONLY | O_CLOEXEC);

		if (write(attr, "krsi_subject", 12) != 12 ||
		    cap_disable_effective(1ULL << CAP_MAC_OVERRIDE, NULL))
			_exit(ECHILD);
		skel->bss->monitored_pid = getpid();
		_exit(openat(dir, "file", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

static void smack(void)
{
	int dir = -1, fd = -1;

	if (skip_unless_before_bpf(ID_SMACK))
		return;
	if (!setup("inode_permission"))
		goto out;
	dir = lsm_mount("tmpfs");
	if (!ASSERT_OK_FD(dir, "mount tmpfs"))
		goto out;
	fd = openat(dir, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (!ASSERT_OK_FD(fd, "make a file") ||
	    !ASSERT_OK(fsetxattr(fd, "security.SMACK64", "krsi_subject", 12, 0), "label"))
		goto out;
	check(open_as_other, dir, 0, "with the same label");
	ASSERT_OK(fsetxattr(fd, "security.SMACK64", "krsi_object", 11, 0), "another label");
	check(open_as_other, dir, -EACCES, "with another label");
out:
	close(fd);
	close(dir);
	teardown();
}

static int open_exe(int flags)
{
	int fd = open("/proc/self/exe", flags | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* All modules that can be active at once are, those without a policy among them. */
static void all_stacked(void)
{
	static const __u64 ids[] = {
		LSM_TEST_ID_YAMA, LSM_TEST_ID_LANDLOCK, ID_LOADPIN, ID_SAFESETID,
		ID_LOCKDOWN, ID_IPE, ID_TOMOYO, ID_SMACK,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++)
		if (skip_unless_before_bpf(ids[i]))
			return;
	if (setup("inode_permission"))
		check(open_exe, O_RDONLY, 0, "permitted by all");
	teardown();
}

void test_lsm_after_lsms(void)
{
	if (test__start_subtest("loadpin"))
		loadpin();
	if (test__start_subtest("safesetid"))
		safesetid();
	if (test__start_subtest("smack"))
		smack();
	if (test__start_subtest("all_stacked"))
		all_stacked();
}
