// SPDX-License-Identifier: GPL-2.0
/* Control groups to be in, without any controller. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define TOP "/sys/fs/cgroup"

/* Move a process to the group at @depth, 0 being the root. Returns an FD of the
 * topmost group on the way, or -1.
 */
int cgroup_move(pid_t pid, unsigned int depth)
{
	char path[256] = TOP;
	int fd = -1, procs;

	while (depth--) {
		strcat(path, "/bench");
		mkdir(path, 0755);
		if (fd < 0)
			fd = open(path, O_RDONLY | O_DIRECTORY);
	}
	strcat(path, "/cgroup.procs");
	procs = open(path, O_WRONLY);
	if (procs < 0 || dprintf(procs, "%d", pid) < 0)
		die("%s: %m", path);
	close(procs);
	return fd;
}
