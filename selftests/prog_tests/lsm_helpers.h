/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __LSM_HELPERS_H
#define __LSM_HELPERS_H

/* What the tests of the BPF LSM share: which kernel is this, and the system
 * calls that libc does not wrap everywhere.
 */

#include <test_progs.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <bpf/btf.h>
#include <zlib.h>

/* uapi/linux/lsm.h is younger than many an installed set of headers. */
#define LSM_TEST_ID_SELINUX	101
#define LSM_TEST_ID_SMACK	102
#define LSM_TEST_ID_APPARMOR	104
#define LSM_TEST_ID_YAMA	105
#define LSM_TEST_ID_BPF		109
#define LSM_TEST_ID_LANDLOCK	110
#define LSM_TEST_ATTR_CURRENT	100

#ifndef __NR_lsm_get_self_attr
#define __NR_lsm_get_self_attr	459
#define __NR_lsm_set_self_attr	460
#define __NR_lsm_list_modules	461
#endif

/* The reason has to be printed before test__skip() is called. */
#define lsm_skip(reason) ({						\
	printf("%s:SKIP:%s\n", __func__, reason);			\
	test__skip();							\
})

/* Is this the kernel whose hooks run chains of programs? The BPF LSM that was
 * merged in 5.7 differs in a few ways, and tests of those ways skip on it.
 */
static inline bool lsm_has_chains(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id;

	if (!btf)
		return false;
	id = btf__find_by_name_kind(btf, "bpf_lsm_chain", BTF_KIND_STRUCT);
	btf__free(btf);
	return id > 0;
}

/* Are verdicts applied? Only a kernel that says CONFIG_BPF_LSM_ENFORCE=n runs
 * programs and ignores what they return.
 */
static inline bool lsm_enforcing(void)
{
	void *config = gzopen("/proc/config.gz", "re");
	bool enforcing = true;
	char line[256];

	if (!config)
		return true;
	while (gzgets(config, line, sizeof(line))) {
		if (!strcmp(line, "# CONFIG_BPF_LSM_ENFORCE is not set\n")) {
			enforcing = false;
			break;
		}
	}
	gzclose(config);
	return enforcing;
}

/* A number in the environment, or one that does not keep those waiting who run
 * all tests.
 */
static inline long lsm_test_count(const char *variable, long otherwise)
{
	const char *text = getenv(variable);
	long count = text ? strtol(text, NULL, 0) : otherwise;

	return count > 0 ? count : otherwise;
}

/* The same for what is done so often, which is said for those who add it up. */
static inline long lsm_test_rounds(const char *variable, long otherwise)
{
	long rounds = lsm_test_count(variable, otherwise);

	printf("rounds: %ld\n", rounds);
	return rounds;
}

/* For subtests in which something is denied. */
static inline bool lsm_skip_unless_enforcing(void)
{
	if (lsm_enforcing())
		return false;
	lsm_skip("CONFIG_BPF_LSM_ENFORCE=n: nothing is denied");
	return true;
}

/* Where in the lsm= list is the module with this id? -1 if it is not. */
static inline int lsm_position(__u64 id)
{
	__u32 size = 64 * sizeof(__u64);
	__u64 ids[64];
	int nr, i;

	nr = syscall(__NR_lsm_list_modules, ids, &size, 0);
	for (i = 0; i < nr; i++)
		if (ids[i] == id)
			return i;
	return -1;
}

/* Does LSM program @prog_fd attach? Returns an FD or -errno. libbpf's wrapper
 * would try another command when this one fails.
 */
static inline int lsm_link_create(int prog_fd)
{
	union bpf_attr attr = {
		.link_create.prog_fd = prog_fd,
		.link_create.attach_type = BPF_LSM_MAC,
	};
	int fd = syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

static inline int lsm_raw_tp_open(int prog_fd)
{
	union bpf_attr attr = {
		.raw_tracepoint.prog_fd = prog_fd,
	};
	int fd = syscall(__NR_bpf, BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

/* Programs, the chains that hold them and their maps go a while after the last
 * reference to them has. Has what @get finds by this ID gone within half a minute?
 */
static inline bool lsm_id_goes(int (*get)(__u32 id), __u32 id)
{
	int tries, fd;

	for (tries = 0; tries < 3000; tries++) {
		fd = get(id);
		if (fd == -ENOENT)
			return true;
		if (fd >= 0)
			close(fd);
		usleep(10 * 1000);
	}
	return false;
}

static inline bool lsm_prog_goes(__u32 id)
{
	return lsm_id_goes(bpf_prog_get_fd_by_id, id);
}

/* Keep these capabilities and no other. */
static inline int lsm_set_caps(__u64 caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = caps, .permitted = caps },
		{ .effective = caps >> 32, .permitted = caps >> 32 },
	};

	return syscall(__NR_capset, &header, data);
}

/* A new instance of a filesystem, mounted nowhere: it is reached by way of the
 * FD that is returned and goes away with it.
 */
static inline int lsm_mount(const char *fstype)
{
	int fs_fd, mnt_fd = -1;

	fs_fd = syscall(__NR_fsopen, fstype, 0);
	if (fs_fd < 0)
		return -1;
	if (!syscall(__NR_fsconfig, fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		mnt_fd = syscall(__NR_fsmount, fs_fd, 0, 0);
	close(fs_fd);
	return mnt_fd;
}

/* Have the kernel refuse memory to this thread: objects, and pages if it can do
 * that, too. Returns an FD, or -1 if the test is skipped.
 */
static inline int lsm_open_fail_nth(void)
{
	static const struct {
		const char *path;
		const char *value;
		bool needed;
	} settings[] = {
		{ "/sys/kernel/debug/failslab/ignore-gfp-wait", "N", true },
		{ "/sys/kernel/debug/failslab/verbose", "0", true },
		{ "/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N", false },
		{ "/sys/kernel/debug/fail_page_alloc/min-order", "0", false },
		{ "/sys/kernel/debug/fail_page_alloc/verbose", "0", false },
	};
	bool done;
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		fd = open(settings[i].path, O_WRONLY);
		done = fd >= 0 && write(fd, settings[i].value, 1) == 1;
		if (fd >= 0)
			close(fd);
		if (!done && settings[i].needed) {
			lsm_skip("this kernel does not fail on demand (CONFIG_FAILSLAB)");
			return -1;
		}
	}
	fd = open("/proc/thread-self/fail-nth", O_RDWR);
	if (fd < 0)
		lsm_skip("this kernel does not fail on demand (CONFIG_FAULT_INJECTION)");
	return fd;
}

/* Let the @nth allocation from now on fail, or none if that is 0. */
static inline bool lsm_fail_nth(int fd, int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nth);

	return pwrite(fd, text, len, 0) == len;
}

/* Was there an allocation that could fail? */
static inline bool lsm_has_failed(int fd)
{
	char text[16] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 && !atoi(text);
}

#endif /* __LSM_HELPERS_H */
