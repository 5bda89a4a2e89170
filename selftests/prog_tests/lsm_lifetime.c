// SPDX-License-Identifier: GPL-2.0

/* Programs are there for as long as something holds them, and go with it,
 * whichever way that goes.
 *
 * This would catch: programs, links or maps of a killed process that stay, or
 * that leave a hook in half a state; a pinned policy that goes before its last
 * pin, or stays after it, when the filesystem of the pin is unmounted or its
 * mount namespace ends; a module that can be unloaded while a program in a hook
 * may still call it, or never again; programs of a cgroup that keep running, or
 * keep their memory, when it has been removed while sockets and network
 * namespaces were coming and going in it, or that take those of others along; a
 * reference to a task that is being made, which goes whatever holds it.
 *
 * LSM_TEST_KILL_ROUNDS, LSM_TEST_PIN_ROUNDS and LSM_TEST_EXIT_ROUNDS in the
 * environment say how often, LSM_TEST_SEED when processes are killed.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <arpa/inet.h>
#include <libgen.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cgroup_helpers.h"
#include "lsm_helpers.h"
#include "lsm_lifetime.skel.h"

#define MODULE	"bpf_testmod"
#define STAYS	"/lsm_stays"
#define GOES	"/lsm_goes"

static struct lsm_lifetime *skel;

static bool setup(void)
{
	skel = lsm_lifetime__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	skel->bss->monitored_pid = getpid();
	return true;
}

static void teardown(void)
{
	lsm_lifetime__destroy(skel);
	skel = NULL;
}

/* How many programs count a call of the hook? */
static int calls(void)
{
	skel->bss->calls = 0;
	ASSERT_GE(syscall(__NR_getpgid, getpid()), 0, "getpgid");
	return skel->bss->calls;
}

/* Some references go without anybody waiting for them. */
static bool goes(void)
{
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		if (!calls())
			return true;
		usleep(10 * 1000);
	}
	return false;
}

/* kill9 */

#define NAME	"lsm_kill9"
#define NR	3	/* programs of a child at a time */

/* A program without opinion that holds a map. Returns its FD. */
static int load_with_map(int hook_id)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_MAC,
		    .attach_btf_id = hook_id);
	struct bpf_insn insns[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD },
		{ },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int map, prog;

	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, NAME, 4, 4, 1, NULL);
	if (map < 0)
		return map;
	insns[0].imm = map;
	prog = bpf_prog_load(BPF_PROG_TYPE_LSM, NAME, "GPL", insns, ARRAY_SIZE(insns), &opts);
	close(map);
	return prog;
}

/* Load, attach and detach until somebody puts an end to it. */
static void attach_until_killed(int hook_id)
{
	int progs[NR], links[NR], i;

	for (;;) {
		for (i = 0; i < NR; i++) {
			progs[i] = load_with_map(hook_id);
			links[i] = lsm_link_create(progs[i]);
			if (links[i] < 0)
				_exit(1);
		}
		/* Not in the order in which they came. */
		for (i = 0; i < NR; i++) {
			close(progs[i]);
			close(links[(i + 1) % NR]);
		}
	}
}

/* How many programs and maps of killed children are there? */
static int leftovers(void)
{
	struct bpf_prog_info prog;
	struct bpf_map_info map;
	__u32 id, len;
	int nr = 0, fd;

	for (id = 0; !bpf_prog_get_next_id(id, &id);) {
		memset(&prog, 0, sizeof(prog));
		len = sizeof(prog);
		fd = bpf_prog_get_fd_by_id(id);
		if (!bpf_prog_get_info_by_fd(fd, &prog, &len) && !strcmp(prog.name, NAME))
			nr++;
		close(fd);
	}
	for (id = 0; !bpf_map_get_next_id(id, &id);) {
		memset(&map, 0, sizeof(map));
		len = sizeof(map);
		fd = bpf_map_get_fd_by_id(id);
		if (!bpf_map_get_info_by_fd(fd, &map, &len) && !strcmp(map.name, NAME))
			nr++;
		close(fd);
	}
	return nr;
}

static bool nothing_left(void)
{
	int tries;

	for (tries = 0; tries < 300; tries++) {
		if (!leftovers())
			return true;
		usleep(100 * 1000);
	}
	return false;
}

static void kill9(void)
{
	LIBBPF_OPTS(bpf_prog_query_opts, query);
	long rounds = lsm_test_rounds("LSM_TEST_KILL_ROUNDS", 20), round;
	long seed = lsm_test_count("LSM_TEST_SEED", getpid());
	int hook_id, link, status, i;
	pid_t pids[2];

	hook_id = libbpf_find_vmlinux_btf_id("task_getpgid", BPF_LSM_MAC);
	if (!ASSERT_GT(hook_id, 0, "task_getpgid") || !setup())
		return;
	link = lsm_link_create(bpf_program__fd(skel->progs.count));
	if (!ASSERT_OK_FD(link, "attach"))
		goto out;
	printf("LSM_TEST_SEED=%ld\n", seed);
	srand(seed);
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < ARRAY_SIZE(pids); i++) {
			pids[i] = fork();
			if (!pids[i])
				attach_until_killed(hook_id);
		}
		for (i = 0; i < ARRAY_SIZE(pids); i++) {
			usleep(rand() % (40 * 1000));
			/* In the middle of it, somebody else's program runs. */
			ASSERT_EQ(calls(), 1, "calls beside the children");
			kill(pids[i], SIGKILL);
			waitpid(pids[i], &status, 0);
			if (!ASSERT_TRUE(WIFSIGNALED(status), "killed while attaching"))
				goto close;
		}
	}
	ASSERT_TRUE(nothing_left(), "programs and maps of the killed go");
	ASSERT_EQ(calls(), 1, "calls after all");
	if (lsm_has_chains()) {
		ASSERT_OK(bpf_prog_query_opts(hook_id, BPF_LSM_MAC, &query), "query");
		ASSERT_EQ(query.count, 1, "programs in the hook");
	}
close:
	close(link);
	ASSERT_EQ(calls(), 0, "calls with all gone");
	if (lsm_has_chains()) {
		ASSERT_OK(bpf_prog_query_opts(hook_id, BPF_LSM_MAC, &query), "query");
		ASSERT_EQ(query.count, 0, "nothing is left in the hook");
	}
out:
	teardown();
}

/* pin_cycle */

static int pin(int fd, int bpffs, const char *name)
{
	LIBBPF_OPTS(bpf_obj_pin_opts, opts, .file_flags = BPF_F_PATH_FD, .path_fd = bpffs);

	return bpf_obj_pin_opts(fd, name, &opts);
}

static int open_pin(int bpffs, const char *name)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_PATH_FD, .path_fd = bpffs);

	return bpf_obj_get_opts(name, &opts);
}

static int attach(void)
{
	return lsm_link_create(bpf_program__fd(skel->progs.count));
}

/* Names and FDs come and go in turn: the last one decides. Returns whether the
 * policy has gone, as it has to before the next one can be attached.
 */
static bool pin_and_reopen(void)
{
	int bpffs = lsm_mount("bpf");
	int link = attach();
	bool gone = false;

	if (!ASSERT_OK_FD(bpffs, "mount bpffs") || !ASSERT_OK_FD(link, "attach"))
		goto out;
	ASSERT_OK(pin(link, bpffs, "one"), "pin");
	ASSERT_EQ(pin(link, bpffs, "one"), -EEXIST, "pin again");
	close(link);
	ASSERT_EQ(calls(), 1, "one name");

	link = open_pin(bpffs, "one");
	ASSERT_OK_FD(link, "reopen");
	ASSERT_OK(unlinkat(bpffs, "one", 0), "unlink");
	ASSERT_EQ(calls(), 1, "one FD");

	ASSERT_OK(pin(link, bpffs, "two"), "pin under another name");
	ASSERT_OK(pin(link, bpffs, "three"), "pin under a third name");
	close(link);
	link = -1;
	ASSERT_OK(unlinkat(bpffs, "two", 0), "unlink one of two");
	ASSERT_EQ(calls(), 1, "one name again");

	ASSERT_OK(renameat(bpffs, "three", bpffs, "four"), "rename");
	ASSERT_EQ(calls(), 1, "renamed");
	ASSERT_OK(unlinkat(bpffs, "four", 0), "unlink the last");
	gone = ASSERT_TRUE(goes(), "gone with its last name");
out:
	close(link);
	close(bpffs);
	return gone;
}

/* A bpffs in /tmp/bpf with the policy pinned in it, and no FD of that. */
static bool pin_below_tmp(void)
{
	int link = attach(), err;

	if (!ASSERT_OK_FD(link, "attach"))
		return false;
	err = mount("bpf", "/tmp/bpf", "bpf", 0, NULL);
	if (ASSERT_OK(err, "mount bpffs"))
		err = bpf_obj_pin(link, "/tmp/bpf/link");
	close(link);
	return ASSERT_OK(err, "pin") && ASSERT_EQ(calls(), 1, "pinned");
}

/* Runs in a thread whose /tmp is its own. */
static void *unmount(void *arg)
{
	int dir;

	if (!ASSERT_OK(unshare(CLONE_NEWNS), "unshare") ||
	    !ASSERT_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private") ||
	    !ASSERT_OK(mount("tmpfs", "/tmp", "tmpfs", 0, NULL), "mount tmpfs") ||
	    !ASSERT_OK(mkdir("/tmp/bpf", 0700), "mkdir"))
		return NULL;

	if (!pin_below_tmp())
		return NULL;
	ASSERT_OK(umount("/tmp/bpf"), "umount");
	if (!ASSERT_TRUE(goes(), "gone with its filesystem") || !pin_below_tmp())
		return NULL;
	dir = open("/tmp/bpf", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(umount("/tmp/bpf") ? -errno : 0, -EBUSY, "umount while in use");
	ASSERT_EQ(calls(), 1, "still in use");
	ASSERT_OK(umount2("/tmp/bpf", MNT_DETACH), "lazy umount");
	ASSERT_EQ(access("/tmp/bpf/link", F_OK), -1, "nobody can see it");
	ASSERT_EQ(calls(), 1, "in use and out of sight");
	close(dir);
	if (!ASSERT_TRUE(goes(), "gone with its last user"))
		return NULL;

	/* A second mount of it is as good as the first. */
	if (!pin_below_tmp())
		return NULL;
	ASSERT_OK(mkdir("/tmp/other", 0700), "mkdir other");
	ASSERT_OK(mount("/tmp/bpf", "/tmp/other", NULL, MS_BIND, NULL), "bind mount");
	ASSERT_OK(umount("/tmp/bpf"), "umount the first");
	ASSERT_EQ(calls(), 1, "mounted elsewhere");
	ASSERT_OK(umount("/tmp/other"), "umount the other");
	ASSERT_TRUE(goes(), "gone with its last mount");
	ASSERT_OK(rmdir("/tmp/other"), "rmdir other");

	/* What is mounted when the namespace ends goes with that. */
	pin_below_tmp();
	return NULL;
}

/* The policy of a mount namespace that ends with the process in it. */
static bool namespace_of_child(void)
{
	int ready[2], status;
	pid_t pid;
	char c;

	if (!ASSERT_OK(pipe(ready), "pipe"))
		return false;
	pid = fork();
	if (!pid) {
		int link = attach();

		close(ready[0]);
		if (link < 0 || unshare(CLONE_NEWNS) ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		    mount("bpf", "/tmp", "bpf", 0, NULL) || bpf_obj_pin(link, "/tmp/link"))
			_exit(1);
		close(link);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (ASSERT_EQ(read(ready[0], &c, 1), 1, "pinned in the child"))
		ASSERT_EQ(calls(), 1, "calls while the namespace is there");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(ready[0]);
	ASSERT_TRUE(WIFSIGNALED(status), "killed");
	return ASSERT_TRUE(goes(), "gone with the namespace");
}

static void pin_cycle(void)
{
	long rounds = lsm_test_rounds("LSM_TEST_PIN_ROUNDS", 2), round;
	pthread_t thread;

	if (!setup())
		return;
	for (round = 0; round < rounds; round++) {
		if (!pin_and_reopen() ||
		    !ASSERT_OK(pthread_create(&thread, NULL, unmount, NULL), "pthread_create"))
			break;
		pthread_join(thread, NULL);
		if (!ASSERT_TRUE(goes(), "gone with the namespace of the thread") ||
		    !namespace_of_child())
			break;
	}
	teardown();
}

/* module_unload */

static int load_testmod(void)
{
	char path[PATH_MAX] = "";
	int fd, err;

	/* Where the kernel's own build puts it: beside the program. */
	if (readlink("/proc/self/exe", path, sizeof(path) - sizeof(MODULE) - 4) < 0)
		return -errno;
	strcat(dirname(path), "/" MODULE ".ko");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = syscall(__NR_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return err;
}

static int unload_testmod(void)
{
	return syscall(__NR_delete_module, MODULE, O_NONBLOCK) ? -errno : 0;
}

static bool unloads(void)
{
	int tries;

	for (tries = 0; tries < 3000; tries++) {
		if (!unload_testmod())
			return true;
		usleep(10 * 1000);
	}
	return false;
}

/* Attach the program that calls the module, and keep nothing but the link and
 * the map with the counter.
 */
static int attach_in_module(int *map)
{
	int link = -1;

	skel = lsm_lifetime__open();
	if (!ASSERT_OK_PTR(skel, "open"))
		return -1;
	bpf_program__set_autoload(skel->progs.count_in_module, true);
	if (!ASSERT_OK(lsm_lifetime__load(skel), "load"))
		goto out;
	ASSERT_EQ(unload_testmod(), -EWOULDBLOCK, "unload with a program");
	skel->bss->monitored_pid = getpid();
	*map = dup(bpf_map__fd(skel->maps.bss));
	link = lsm_link_create(bpf_program__fd(skel->progs.count_in_module));
	ASSERT_OK_FD(link, "attach");
out:
	teardown();
	return link;
}

static int calls_in(int map)
{
	typeof(*skel->bss) bss = {};
	int zero = 0;

	ASSERT_OK(bpf_map_lookup_elem(map, &zero, &bss), "look up the counter");
	return bss.calls;
}

static void module_unload(void)
{
	int err, map = -1, link, before;
	bool was_there;

	err = load_testmod();
	was_there = err == -EEXIST;
	if (err == -ENOENT) {
		lsm_skip(MODULE ".ko does not lie beside the program");
		return;
	}
	if (!was_there && !ASSERT_OK(err, "load the module"))
		return;

	link = attach_in_module(&map);
	if (link >= 0) {
		ASSERT_EQ(unload_testmod(), -EWOULDBLOCK, "unload with a link");
		before = calls_in(map);
		ASSERT_GE(syscall(__NR_getpgid, getpid()), 0, "call the hook");
		ASSERT_EQ(calls_in(map), before + 1, "the program runs");
		ASSERT_EQ(unload_testmod(), -EWOULDBLOCK, "unload after a call");
		close(link);
	}
	close(map);
	ASSERT_TRUE(unloads(), "unload after detach");
	ASSERT_EQ(unload_testmod(), -ENOENT, "unloaded");
	if (was_there)
		ASSERT_OK(load_testmod(), "load it again");
}

/* netns_cgroup_exit */

static int bind_socket(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;

	close(fd);
	return err;
}

/* In @cgroup, make network namespaces with sockets in them until killed. */
static void bind_until_killed(const char *cgroup)
{
	int i;

	if (join_parent_cgroup(cgroup))
		_exit(1);
	for (;;) {
		if (unshare(CLONE_NEWNET))
			_exit(2);
		for (i = 0; i < 8; i++)
			bind_socket();
		/* It stays open until the next namespace, or the end. */
		if (dup2(socket(AF_INET, SOCK_DGRAM, 0), 200) < 0)
			_exit(3);
	}
}

static int load_leaver(__u32 *id)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_LSM_CGROUP);
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	int fd;

	opts.attach_btf_id = libbpf_find_vmlinux_btf_id("socket_bind", BPF_LSM_MAC);
	fd = bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_leaver", "GPL",
			   bpf_program__insns(skel->progs.leaver),
			   bpf_program__insn_cnt(skel->progs.leaver), &opts);
	if (fd >= 0)
		ASSERT_OK(bpf_prog_get_info_by_fd(fd, &info, &len), "prog info");
	*id = info.id;
	return fd;
}

static int cgroup_of(int link_fd)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	if (!ASSERT_OK(bpf_link_get_info_by_fd(link_fd, &info, &len), "link info"))
		return -1;
	return info.cgroup.cgroup_id != 0;
}

/* What becomes of a call in the cgroup that stays. */
static int expected;

/* Those whom it must not bother: a cgroup that stays, and a plain program. */
static void check_others(const char *when)
{
	int plain = skel->bss->plain_calls, stayer = skel->bss->stayer_calls;

	ASSERT_EQ(bind_socket(), expected, when);
	ASSERT_EQ(skel->bss->plain_calls, plain + 1, when);
	ASSERT_EQ(skel->bss->stayer_calls, stayer + 1, when);
}

/* One cgroup, its programs and its processes come and go. Did they? */
static bool cgroup_round(void)
{
	int cgroup, prog, link = -1, tries, i, before;
	pid_t pids[2] = {};
	bool gone;
	__u32 id;

	cgroup = create_and_get_cgroup(GOES);
	if (!ASSERT_OK_FD(cgroup, "cgroup"))
		return false;
	prog = load_leaver(&id);
	if (!ASSERT_OK_FD(prog, "load"))
		goto out;

	/* One program that only the cgroup holds, one that has a link. */
	if (!ASSERT_OK(bpf_prog_attach(prog, cgroup, BPF_LSM_CGROUP, BPF_F_ALLOW_MULTI),
		       "attach"))
		goto out;
	link = bpf_link_create(bpf_program__fd(skel->progs.leaver), cgroup, BPF_LSM_CGROUP,
			       NULL);
	ASSERT_OK_FD(link, "link");

	before = skel->bss->leaver_calls;
	for (i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (!pids[i])
			bind_until_killed(GOES);
	}
	for (tries = 0; tries < 3000; tries++) {
		if (skel->bss->leaver_calls - before > 50)
			break;
		check_others("meanwhile");
		usleep(10 * 1000);
	}
	ASSERT_GT(skel->bss->leaver_calls - before, 50, "calls in the cgroup");
	for (i = 0; i < ARRAY_SIZE(pids); i++)
		kill(pids[i], SIGKILL);
	for (i = 0; i < ARRAY_SIZE(pids); i++)
		waitpid(pids[i], NULL, 0);
out:
	close(prog);
	close(cgroup);
	remove_cgroup(GOES);
	if (prog < 0 || link < 0)
		return false;
	gone = ASSERT_TRUE(lsm_prog_goes(id), "the program goes with its cgroup");
	for (tries = 0; tries < 1000 && cgroup_of(link); tries++)
		usleep(10 * 1000);
	gone = ASSERT_EQ(cgroup_of(link), 0, "the link has lost its cgroup") && gone;
	close(link);
	return gone;
}

static void netns_cgroup_exit(void)
{
	long rounds = lsm_test_rounds("LSM_TEST_EXIT_ROUNDS", 4), round;
	int stays, plain = -1, stayer = -1, before;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel does not run programs in the order of attach");
		return;
	}

	stays = test__join_cgroup(STAYS);
	if (!ASSERT_OK_FD(stays, "cgroup") || !setup())
		goto out;
	/* A program that denies for everybody would not let those behind it run. */
	plain = lsm_link_create(bpf_program__fd(skel->progs.plain));
	stayer = bpf_link_create(bpf_program__fd(skel->progs.stayer), stays, BPF_LSM_CGROUP,
				 NULL);
	if (!ASSERT_OK_FD(plain, "attach") || !ASSERT_OK_FD(stayer, "link"))
		goto out;
	expected = lsm_enforcing() ? -EXDEV : 0;
	check_others("before");
	for (round = 0; round < rounds; round++) {
		if (!cgroup_round())
			break;
		check_others("afterwards");
	}
	before = skel->bss->leaver_calls;
	bind_socket();
	ASSERT_EQ(skel->bss->leaver_calls, before, "calls of those that went");
out:
	close(stayer);
	close(plain);
	teardown();
	close(stays);
	join_root_cgroup();
	remove_cgroup(STAYS);
}

/* task_to_be */

/* A fork that fails frees its task, and does not look who refers to it. */
static void task_to_be(void)
{
	int status;
	pid_t pid;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel gives references to tasks that may never run");
		return;
	}
	skel = lsm_lifetime__open();
	if (!ASSERT_OK_PTR(skel, "open"))
		return;
	bpf_program__set_autoload(skel->progs.acquire, true);
	if (!ASSERT_OK(lsm_lifetime__load(skel), "load"))
		goto out;
	skel->bss->monitored_pid = getpid();
	skel->links.acquire = bpf_program__attach_lsm(skel->progs.acquire);
	if (!ASSERT_OK_PTR(skel->links.acquire, "attach"))
		goto out;
	pid = fork();
	if (!pid)
		_exit(7);
	if (ASSERT_GT(pid, 0, "fork") && ASSERT_EQ(waitpid(pid, &status, 0), pid, "wait"))
		ASSERT_EQ(status, W_EXITCODE(7, 0), "how it ended");
	ASSERT_EQ(skel->bss->not_acquired, 1, "references that are refused");
	ASSERT_EQ(skel->bss->acquired, 0, "references that are given");
out:
	teardown();
}

void test_lsm_lifetime(void)
{
	if (test__start_subtest("kill9"))
		kill9();
	if (test__start_subtest("pin_cycle"))
		pin_cycle();
	if (test__start_subtest("module_unload"))
		module_unload();
	if (test__start_subtest("netns_cgroup_exit"))
		netns_cgroup_exit();
	if (test__start_subtest("task_to_be"))
		task_to_be();
}
