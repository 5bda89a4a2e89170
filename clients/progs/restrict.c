// SPDX-License-Identifier: GPL-2.0
/* A cgroup is refused what lies in /proc, and nothing else; others are not. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "restrict.skel.h"

#define ROOT "/tmp/krsi_cgroups"
#define CGROUP ROOT "/krsi_restricted"

/* Returns 0 or the errno with which a file cannot be opened. */
static int try_open(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* The same in the cgroup. */
static int try_restricted(const char *path)
{
	int status;
	pid_t pid;

	pid = fork();
	check(pid >= 0);
	if (!pid) {
		int fd = open(CGROUP "/cgroup.procs", O_WRONLY);

		check(fd >= 0);
		check(write(fd, "0", 1) == 1);
		_exit(try_open(path));
	}
	check(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int make_set(__u32 magic)
{
	__u32 one = 1;
	int fd;

	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "set", sizeof(magic), sizeof(one), 16, NULL);
	check(fd >= 0);
	check(!bpf_map_update_elem(fd, &magic, &one, BPF_ANY));
	return fd;
}

int main(void)
{
	struct restrict_bpf *skel;
	struct stat stat_buf;
	__u64 cgroup;
	int set;

	check(!mkdir(ROOT, 0700) || errno == EEXIST);
	check(!mount("cgroup2", ROOT, "cgroup2", 0, NULL));
	check(!mkdir(CGROUP, 0700) || errno == EEXIST);
	check(!stat(CGROUP, &stat_buf));
	cgroup = stat_buf.st_ino;

	skel = restrict_bpf__open_and_load();
	check(skel);
	check(!restrict_bpf__attach(skel));
	check(!try_restricted("/proc/version"));

	set = make_set(PROC_SUPER_MAGIC);
	check(!bpf_map_update_elem(bpf_map__fd(skel->maps.denied), &cgroup, &set, BPF_ANY));
	check(try_restricted("/proc/version") == EPERM);
	check(!try_restricted("/etc/passwd"));
	check(!try_open("/proc/version"));

	check(!bpf_map_delete_elem(bpf_map__fd(skel->maps.denied), &cgroup));
	check(!try_restricted("/proc/version"));
	restrict_bpf__destroy(skel);

	check(!rmdir(CGROUP));
	check(!umount(ROOT));
	return 0;
}
