// SPDX-License-Identifier: GPL-2.0
/*
 * What test_progs.c offers beside the test__*() functions. Lives in the
 * archive of helpers: a program only gets it when one of its tests asks.
 */
#include <sys/syscall.h>

#include <bpf/btf.h>
#include "test_progs.h"
#include "network_helpers.h"

/* Tests that probe nanosleep() trigger it by usleep(). */
int usleep(useconds_t usec)
{
	struct timespec time = {
		.tv_sec = usec / 1000000,
		.tv_nsec = usec % 1000000 * 1000,
	};

	return syscall(__NR_nanosleep, &time, NULL);
}

int bpf_find_map(const char *test, struct bpf_object *obj, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, name);

	if (!map) {
		test__fail();
		fprintf(stdout, "%s: no map '%s'\n", test, name);
		return -1;
	}
	return bpf_map__fd(map);
}

/* Is every key of @map1_fd in @map2_fd, too? */
int compare_map_keys(int map1_fd, int map2_fd)
{
	char value[PERF_MAX_STACK_DEPTH * sizeof(struct bpf_stack_build_id)];
	__u32 key, *prev = NULL;

	while (!bpf_map_get_next_key(map1_fd, prev, &key)) {
		if (bpf_map_lookup_elem(map2_fd, &key, value))
			return -1;
		prev = &key;
	}
	return errno == ENOENT && prev ? 0 : -1;
}

/* Has every stack of @smap_fd the same addresses in @amap_fd? */
int compare_stack_ips(int smap_fd, int amap_fd, int stack_trace_len)
{
	char *stacks = calloc(2, stack_trace_len);
	__u32 key, *prev = NULL;
	int err = -1;

	if (!stacks)
		return -1;
	while (!bpf_map_get_next_key(smap_fd, prev, &key)) {
		if (bpf_map_lookup_elem(smap_fd, &key, stacks) ||
		    bpf_map_lookup_elem(amap_fd, &key, stacks + stack_trace_len) ||
		    memcmp(stacks, stacks + stack_trace_len, stack_trace_len))
			goto out;
		prev = &key;
	}
	err = errno == ENOENT ? 0 : -1;
out:
	free(stacks);
	return err;
}

int write_sysctl(const char *sysctl, const char *value)
{
	size_t len = strlen(value);
	int fd, err;

	fd = open(sysctl, O_WRONLY);
	if (!ASSERT_OK_FD(fd, sysctl))
		return -1;
	err = write(fd, value, len) == len ? 0 : -1;
	close(fd);
	ASSERT_OK(err, "write sysctl");
	return err;
}

int trigger_module_test_read(int read_sz)
{
	int fd = open(BPF_TESTMOD_TEST_FILE, O_RDONLY);

	if (!ASSERT_OK_FD(fd, "open testmod"))
		return -1;
	/* The call matters, not what it returns. */
	if (read(fd, NULL, read_sz) < 0)
		errno = 0;
	close(fd);
	return 0;
}

int trigger_module_test_write(int write_sz)
{
	char *buf = malloc(write_sz);
	int fd = open(BPF_TESTMOD_TEST_FILE, O_WRONLY);

	if (!buf || !ASSERT_OK_FD(fd, "open testmod")) {
		free(buf);
		return -1;
	}
	memset(buf, 'a', write_sz);
	buf[write_sz - 1] = '\0';
	if (write(fd, buf, write_sz) < 0)
		errno = 0;
	close(fd);
	free(buf);
	return 0;
}

int get_bpf_max_tramp_links_from(struct btf *btf)
{
	const struct btf_enum *value;
	const struct btf_type *type;
	int nr = btf__type_cnt(btf);
	int id, i;

	for (id = 1; id < nr; id++) {
		type = btf__type_by_id(btf, id);
		if (!btf_is_enum(type))
			continue;
		value = btf_enum(type);
		for (i = 0; i < btf_vlen(type); i++)
			if (!strcmp(btf__str_by_offset(btf, value[i].name_off),
				    "BPF_MAX_TRAMP_LINKS"))
				return value[i].val;
	}
	return -1;
}

int get_bpf_max_tramp_links(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int links;

	if (!ASSERT_OK_PTR(btf, "vmlinux BTF"))
		return -1;
	links = get_bpf_max_tramp_links_from(btf);
	btf__free(btf);
	return links;
}

struct netns_obj {
	char *name;
	struct nstoken *token;
};

struct netns_obj *netns_new(const char *name, bool open)
{
	struct netns_obj *netns = calloc(1, sizeof(*netns));

	if (!netns)
		return NULL;
	netns->name = strdup(name);
	if (!netns->name || make_netns(name))
		goto free;
	if (open) {
		netns->token = open_netns(name);
		if (!netns->token)
			goto remove;
	}
	return netns;
remove:
	remove_netns(name);
free:
	free(netns->name);
	free(netns);
	return NULL;
}

void netns_free(struct netns_obj *netns)
{
	if (!netns)
		return;
	if (netns->token)
		close_netns(netns->token);
	remove_netns(netns->name);
	free(netns->name);
	free(netns);
}
