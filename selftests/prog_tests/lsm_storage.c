// SPDX-License-Identifier: GPL-2.0

/* LSM programs keep values with tasks, cgroups, sockets and inodes, user space
 * gets at them by an FD of the object, and they go when the object goes.
 *
 * This would catch: a kind of storage that LSM programs cannot use; a program
 * and user space that do not see the same value; the value of one inode that
 * turns up with the next one in the same memory; a value that is left behind
 * because a program has made it when the inode was about to go, or was gone
 * already; a map and an inode that trip over each other when both are freed.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "lsm_helpers.h"
#include "lsm_storage.skel.h"

#define NR_FILES 200

struct value {
	__u64 calls;
	__u64 denied;
};

static struct lsm_storage *skel;
static int dir = -1;

static int map_id(int map_fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	return bpf_map_get_info_by_fd(map_fd, &info, &len) ? -1 : info.id;
}

static bool setup(void)
{
	struct stat st;

	dir = lsm_mount("tmpfs");
	if (!ASSERT_OK_FD(dir, "mount tmpfs") || !ASSERT_OK(fstat(dir, &st), "stat"))
		return false;
	skel = lsm_storage__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	skel->bss->monitored_pid = getpid();
	/* As the kernel has it. */
	skel->bss->monitored_dev = major(st.st_dev) << 20 | minor(st.st_dev);
	skel->bss->inodes_id = map_id(bpf_map__fd(skel->maps.inodes));
	return ASSERT_OK(lsm_storage__attach(skel), "attach");
}

static void teardown(void)
{
	lsm_storage__destroy(skel);
	skel = NULL;
	close(dir);
	dir = -1;
}

static int make_file(int nr)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", nr);
	return mknodat(dir, name, S_IFREG | 0600, 0);
}

static int remove_file(int nr)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", nr);
	return unlinkat(dir, name, 0);
}

static int open_file(int nr)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", nr);
	return openat(dir, name, O_RDWR | O_CLOEXEC);
}

static bool make_files(void)
{
	int nr, err = 0;

	for (nr = 0; nr < NR_FILES && !err; nr++)
		err = make_file(nr);
	return ASSERT_OK(err, "make files");
}

static bool remove_files(void)
{
	int nr, err = 0;

	for (nr = 0; nr < NR_FILES && !err; nr++)
		err = remove_file(nr);
	return ASSERT_OK(err, "remove files");
}

/* Each file that is opened gets a value. */
static bool open_files(void)
{
	int nr, fd = 0;

	for (nr = 0; nr < NR_FILES && fd >= 0; nr++) {
		fd = open_file(nr);
		close(fd);
	}
	return ASSERT_OK_FD(fd, "open files");
}

/* It takes a grace period until a value is gone. */
static void check_nothing_is_left(void)
{
	int tries;

	for (tries = 0; tries < 500; tries++) {
		if (skel->bss->destroyed == skel->bss->created)
			break;
		usleep(10 * 1000);
	}
	ASSERT_EQ(skel->bss->destroyed, skel->bss->created, "values that are freed");
}

static void check_calls(struct bpf_map *map, int fd, int expected)
{
	struct value value = {};
	int err;

	err = bpf_map_lookup_elem(bpf_map__fd(map), &fd, &value);
	if (!expected)
		ASSERT_EQ(err, -ENOENT, "lookup without value");
	else if (ASSERT_OK(err, "lookup"))
		ASSERT_EQ(value.calls, expected, "calls");
}

/* @call makes a program add one to the value of what @fd stands for. */
static void check_counted(struct bpf_map *map, int fd, void (*call)(void))
{
	struct value value = { .calls = 40 };
	int map_fd = bpf_map__fd(map);

	check_calls(map, fd, 0);
	call();
	call();
	check_calls(map, fd, 2);

	ASSERT_EQ(bpf_map_update_elem(map_fd, &fd, &value, BPF_NOEXIST), -EEXIST,
		  "update what must not be there");
	ASSERT_OK(bpf_map_update_elem(map_fd, &fd, &value, BPF_ANY), "update");
	call();
	check_calls(map, fd, 41);

	ASSERT_OK(bpf_map_delete_elem(map_fd, &fd), "delete");
	check_calls(map, fd, 0);
	ASSERT_EQ(bpf_map_delete_elem(map_fd, &fd), -ENOENT, "delete again");
	ASSERT_EQ(bpf_map_update_elem(map_fd, &fd, &value, BPF_EXIST), -ENOENT,
		  "update what is not there");
	call();
	check_calls(map, fd, 1);
}

static void call_getpgid(void)
{
	syscall(__NR_getpgid, getpid());
}

static void task(void)
{
	int fd;

	if (!setup())
		goto out;
	fd = syscall(__NR_pidfd_open, getpid(), 0);
	if (ASSERT_OK_FD(fd, "pidfd"))
		check_counted(skel->maps.tasks, fd, call_getpgid);
	close(fd);
out:
	teardown();
}

/* The directory of this process's cgroup, below a mount of its own. */
static int open_cgroup(void)
{
	int mnt = lsm_mount("cgroup2"), fd = -1;
	char line[PATH_MAX], *path = NULL;
	FILE *file;

	file = fopen("/proc/self/cgroup", "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "0::/", 4))
			continue;
		line[strcspn(line, "\n")] = 0;
		path = line + 4;
		break;
	}
	if (file)
		fclose(file);
	if (path)
		fd = openat(mnt, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(mnt);
	return fd;
}

static void cgroup(void)
{
	int fd;

	if (!setup())
		goto out;
	fd = open_cgroup();
	if (ASSERT_OK_FD(fd, "cgroup"))
		check_counted(skel->maps.cgroups, fd, call_getpgid);
	close(fd);
out:
	teardown();
}

static int socket_fd;

/* It is the question that counts, a socket can be bound only once. */
static void call_bind(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	bind(socket_fd, (struct sockaddr *)&addr, sizeof(addr));
}

static void sock(void)
{
	if (!setup())
		goto out;
	socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ASSERT_OK_FD(socket_fd, "socket"))
		check_counted(skel->maps.socks, socket_fd, call_bind);
	close(socket_fd);
out:
	teardown();
}

static void call_open(void)
{
	close(open_file(0));
}

static void inode(void)
{
	int fd;

	if (!setup() || !ASSERT_OK(make_file(0), "make a file"))
		goto out;
	/* No hook is called for it, and it will do as a key. */
	fd = openat(dir, "0", O_PATH | O_CLOEXEC);
	if (ASSERT_OK_FD(fd, "open"))
		check_counted(skel->maps.inodes, fd, call_open);
	close(fd);
out:
	teardown();
}

static void denied_from_user_space(void)
{
	struct value value = { .denied = 1 };
	int map_fd, fd, denied;

	if (lsm_skip_unless_enforcing())
		return;
	if (!setup() || !make_files())
		goto out;
	map_fd = bpf_map__fd(skel->maps.inodes);
	fd = open_file(1);
	if (!ASSERT_OK_FD(fd, "open"))
		goto out;
	ASSERT_OK(bpf_map_update_elem(map_fd, &fd, &value, BPF_ANY), "update");
	denied = open_file(1);
	ASSERT_EQ(denied < 0 ? -errno : denied, -EPERM, "open what is denied");
	close(open_file(2));
	close(fd);

	fd = open_file(2);
	ASSERT_OK_FD(fd, "open what is not denied");
	close(fd);
out:
	teardown();
}

static void wrong_keys(void)
{
	struct value value = {};
	int map_fd, fd = -1;

	if (!setup())
		goto out;
	map_fd = bpf_map__fd(skel->maps.inodes);
	ASSERT_EQ(bpf_map_lookup_elem(map_fd, &fd, &value), -EBADF, "lookup");
	ASSERT_EQ(bpf_map_update_elem(map_fd, &fd, &value, BPF_ANY), -EBADF, "update");
	ASSERT_EQ(bpf_map_delete_elem(map_fd, &fd), -EBADF, "delete");
	ASSERT_LT(bpf_map_get_next_key(map_fd, NULL, &fd), 0, "next key");
out:
	teardown();
}

static void value_goes_with_inode(void)
{
	int round;

	if (!setup())
		goto out;
	for (round = 1; round <= 3; round++) {
		if (!make_files())
			goto out;
		ASSERT_EQ(skel->bss->inherited, 0, "values of new inodes");
		if (!open_files() || !remove_files())
			goto out;
		ASSERT_EQ(skel->bss->created, round * NR_FILES, "values that are made");
		ASSERT_EQ(skel->bss->kept, round * NR_FILES, "values at the end");
		check_nothing_is_left();
	}
out:
	teardown();
}

static void value_of_dying_inode(void)
{
	int round;

	if (!setup())
		goto out;
	skel->bss->create_at_the_end = true;
	for (round = 1; round <= 3; round++) {
		if (!make_files())
			goto out;
		ASSERT_EQ(skel->bss->inherited, 0, "values of new inodes");
		if (!remove_files())
			goto out;
		ASSERT_EQ(skel->bss->kept, 0, "values before the end");
		ASSERT_EQ(skel->bss->created, round * NR_FILES, "values made at the end");
		check_nothing_is_left();
	}
out:
	teardown();
}

static void *walk(void *arg)
{
	struct stat st;

	skel->bss->walker_tid = syscall(__NR_gettid);
	fstatat(dir, "walked/file", &st, 0);
	return NULL;
}

static void value_of_dead_inode(void)
{
	struct stat st;
	pthread_t tid;
	int tries;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel leaks such a value");
		return;
	}
	if (!setup() || !ASSERT_OK(mkdirat(dir, "walked", 0700), "mkdir") ||
	    !ASSERT_OK(fstatat(dir, "walked", &st, 0), "stat"))
		goto out;
	skel->bss->walked_ino = st.st_ino;
	if (!ASSERT_OK(pthread_create(&tid, NULL, walk, NULL), "start walking"))
		goto out;

	for (tries = 0; tries < 500 && !skel->bss->walking; tries++)
		usleep(1000);
	ASSERT_TRUE(skel->bss->walking, "walking");
	ASSERT_OK(unlinkat(dir, "walked", AT_REMOVEDIR), "rmdir");
	pthread_join(tid, NULL);

	ASSERT_TRUE(skel->bss->walker_saw_it_go, "the inode was gone");
	ASSERT_EQ(skel->bss->kept, 0, "values at the end");
	ASSERT_EQ(skel->bss->created, 1, "values that are made");
	check_nothing_is_left();
out:
	teardown();
}

/* A map that no program uses. */
static int make_map(int btf_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);

	opts.map_flags = BPF_F_NO_PREALLOC;
	opts.btf_fd = btf_fd;
	opts.btf_key_type_id = 1;
	opts.btf_value_type_id = 1;
	return bpf_map_create(BPF_MAP_TYPE_INODE_STORAGE, "inodes", sizeof(int),
			      sizeof(int), 0, &opts);
}

static struct btf *make_btf(void)
{
	struct btf *btf = btf__new_empty();

	if (btf && btf__add_int(btf, "int", sizeof(int), BTF_INT_SIGNED) == 1 &&
	    !btf__load_into_kernel(btf))
		return btf;
	btf__free(btf);
	return NULL;
}

static void *close_map(void *map_fd)
{
	close((long)map_fd);
	return NULL;
}

/* Values go with their map and with their inode, at the same time. */
static void map_and_inodes_go(void)
{
	int round, nr, fd, map_fd, one = 1;
	struct btf *btf = make_btf();
	pthread_t tid;

	if (!ASSERT_OK_PTR(btf, "btf"))
		return;
	if (!setup())
		goto out;
	for (round = 0; round < 20; round++) {
		map_fd = make_map(btf__fd(btf));
		if (!ASSERT_OK_FD(map_fd, "map") || !make_files())
			goto out;
		for (nr = 0; nr < NR_FILES; nr++) {
			fd = open_file(nr);
			if (bpf_map_update_elem(map_fd, &fd, &one, BPF_NOEXIST)) {
				ASSERT_FAIL("update: %s", strerror(errno));
				close(fd);
				goto out;
			}
			close(fd);
		}
		if (!ASSERT_OK(pthread_create(&tid, NULL, close_map, (void *)(long)map_fd),
			       "close the map"))
			goto out;
		remove_files();
		pthread_join(tid, NULL);
	}
	/* The values of the programs' map are not in the way. */
	ASSERT_EQ(skel->bss->created, 20 * NR_FILES, "values that are made");
	ASSERT_EQ(skel->bss->inherited, 0, "values of new inodes");
out:
	teardown();
	btf__free(btf);
}

static void not_in_lsm_list(void)
{
	struct btf *btf;
	int fd;

	if (lsm_position(LSM_TEST_ID_BPF) >= 0) {
		lsm_skip("bpf is in the lsm= list");
		return;
	}
	btf = make_btf();
	if (!ASSERT_OK_PTR(btf, "btf"))
		return;
	fd = make_map(btf__fd(btf));
	if (!ASSERT_EQ(fd, -EOPNOTSUPP, "map"))
		close(fd);
	btf__free(btf);
}

void test_lsm_storage(void)
{
	if (test__start_subtest("task"))
		task();
	if (test__start_subtest("cgroup"))
		cgroup();
	if (test__start_subtest("sock"))
		sock();
	if (test__start_subtest("inode"))
		inode();
	if (test__start_subtest("denied_from_user_space"))
		denied_from_user_space();
	if (test__start_subtest("wrong_keys"))
		wrong_keys();
	if (test__start_subtest("value_goes_with_inode"))
		value_goes_with_inode();
	if (test__start_subtest("value_of_dying_inode"))
		value_of_dying_inode();
	if (test__start_subtest("value_of_dead_inode"))
		value_of_dead_inode();
	if (test__start_subtest("map_and_inodes_go"))
		map_and_inodes_go();
	if (test__start_subtest("not_in_lsm_list"))
		not_in_lsm_list();
}
