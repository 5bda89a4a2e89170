// SPDX-License-Identifier: GPL-2.0
/* Keep the named files from being opened until standard input ends. Each line
 * of it is answered by how often that was tried, in JSON.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/stat.h>

#include "check.h"
#include "opens.skel.h"

int main(int argc, char **argv)
{
	struct opens *skel = opens__open_and_load();
	unsigned long long inodes[16], attempts;
	struct stat stat_buf;
	char line[16];
	int i, map;

	check(skel && argc <= 16);
	map = bpf_map__fd(skel->maps.files);
	for (i = 1; i < argc; i++) {
		check(!stat(argv[i], &stat_buf));
		inodes[i] = stat_buf.st_ino;
		attempts = 0;
		check(!bpf_map_update_elem(map, &inodes[i], &attempts, BPF_ANY));
	}
	check(!opens__attach(skel));
	printf("ready\n");
	fflush(stdout);

	while (fgets(line, sizeof(line), stdin)) {
		for (i = 1; i < argc; i++) {
			check(!bpf_map_lookup_elem(map, &inodes[i], &attempts));
			printf("%s\"%s\": %llu", i == 1 ? "{" : ", ", argv[i], attempts);
		}
		printf("}\n");
		fflush(stdout);
	}
	opens__destroy(skel);
	return 0;
}
