// SPDX-License-Identifier: GPL-2.0

/* LSM programs of a cgroup: who may attach them, whom they govern, in which
 * order they run, and what they can make a hook return.
 *
 * This would catch: a way in or out that asks for no CAP_MAC_ADMIN; a verdict
 * that is lost, that grants something, or that applies to other cgroups; rules
 * of the hierarchy that are not kept; a call that meets no program while one is
 * replaced; a program that outlives its cgroup, or a cgroup's policy that does
 * not outlive its directory as long as a socket is bound by it; a place in the
 * hook's chain other than that of any program; a hook that cannot get an array
 * because another one did not give it back.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "cap_helpers.h"
#include "cgroup_helpers.h"
#include "lsm_helpers.h"
#include "progs/lsm_cgroup_attach.h"
#include "lsm_cgroup_attach.skel.h"

#define PARENT	"/lsm_parent"
#define CHILD	"/lsm_parent/lsm_child"

#define UPDATES		2000
#define NR_ARRAYS	10	/* hooks that can have programs of cgroups at a time */

static struct lsm_cgroup_attach *skel;
static int parent_fd = -1, child_fd = -1;

/* Every test runs in the child cgroup. */
static bool setup(void)
{
	parent_fd = test__join_cgroup(PARENT);
	if (!ASSERT_OK_FD(parent_fd, "parent cgroup"))
		return false;
	child_fd = test__join_cgroup(CHILD);
	if (!ASSERT_OK_FD(child_fd, "child cgroup"))
		return false;
	skel = lsm_cgroup_attach__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	skel->bss->monitored_pid = getpid();
	return true;
}

/* Whatever is still attached goes with the cgroups. */
static void teardown(void)
{
	lsm_cgroup_attach__destroy(skel);
	skel = NULL;
	close(child_fd);
	close(parent_fd);
	child_fd = -1;
	parent_fd = -1;
	join_root_cgroup();
	remove_cgroup(CHILD);
	remove_cgroup(PARENT);
}

/* Run the hook once. Returns 0 or the -errno with which it was denied, and else
 * what the hook has said: the system call hands it on.
 */
static int call_hook(void)
{
	int ret;

	skel->bss->turns = 0;
	memset(skel->bss->turn, 0, sizeof(skel->bss->turn));
	ret = syscall(__NR_setpriority, PRIO_PROCESS, 0, 0);
	return ret < 0 ? -errno : ret;
}

static void check_turns(int who, int next, const char *name)
{
	ASSERT_EQ(skel->bss->turn[0], who, name);
	ASSERT_EQ(skel->bss->turn[1], next, name);
	ASSERT_EQ(skel->bss->turns, !!who + !!next, name);
}

static int attach(struct bpf_program *prog, int cgroup_fd, __u32 flags)
{
	return bpf_prog_attach(bpf_program__fd(prog), cgroup_fd, BPF_LSM_CGROUP, flags);
}

static int detach(struct bpf_program *prog, int cgroup_fd)
{
	return bpf_prog_detach2(bpf_program__fd(prog), cgroup_fd, BPF_LSM_CGROUP);
}

static int link_create(struct bpf_program *prog, int cgroup_fd)
{
	return bpf_link_create(bpf_program__fd(prog), cgroup_fd, BPF_LSM_CGROUP, NULL);
}

static int link_replace(int link_fd, struct bpf_program *prog, struct bpf_program *old)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts);

	if (old) {
		opts.flags = BPF_F_REPLACE;
		opts.old_prog_fd = bpf_program__fd(old);
	}
	return bpf_link_update(link_fd, bpf_program__fd(prog), &opts);
}

/* Both ways to attach, and what takes effect when. */
static void attach_detach(void)
{
	int link_fd;

	if (!setup())
		goto out;
	call_hook();
	check_turns(NOBODY, NOBODY, "before");

	if (!ASSERT_OK(attach(skel->progs.first, child_fd, 0), "attach"))
		goto out;
	call_hook();
	check_turns(FIRST, NOBODY, "attached");
	ASSERT_OK(detach(skel->progs.first, child_fd), "detach");
	call_hook();
	check_turns(NOBODY, NOBODY, "detached");

	link_fd = link_create(skel->progs.first, child_fd);
	if (!ASSERT_OK_FD(link_fd, "link"))
		goto out;
	call_hook();
	check_turns(FIRST, NOBODY, "linked");
	ASSERT_OK(bpf_link_detach(link_fd), "detach link");
	call_hook();
	check_turns(NOBODY, NOBODY, "link detached");
	close(link_fd);

	link_fd = link_create(skel->progs.first, child_fd);
	ASSERT_OK_FD(link_fd, "link again");
	call_hook();
	check_turns(FIRST, NOBODY, "linked again");
	close(link_fd);
	call_hook();
	check_turns(NOBODY, NOBODY, "link closed");
out:
	teardown();
}

static void refusals(void)
{
	int fd;

	if (!setup())
		goto out;
	ASSERT_EQ(attach(skel->progs.plain, child_fd, 0), -EINVAL, "plain program");
	ASSERT_EQ(link_create(skel->progs.plain, child_fd), -EINVAL, "link of a plain program");
	ASSERT_EQ(bpf_prog_attach(bpf_program__fd(skel->progs.first), child_fd, BPF_LSM_MAC, 0),
		  -EINVAL, "as a plain program");
	fd = lsm_link_create(bpf_program__fd(skel->progs.first));
	ASSERT_EQ(fd, -EINVAL, "link as a plain program");
	fd = lsm_raw_tp_open(bpf_program__fd(skel->progs.first));
	ASSERT_EQ(fd, -EINVAL, "raw tracepoint");
	ASSERT_EQ(attach(skel->progs.first, -1, 0), -EBADF, "no cgroup");
	ASSERT_EQ(attach(skel->progs.first, child_fd, BPF_F_ALLOW_MULTI | BPF_F_ALLOW_OVERRIDE),
		  -EINVAL, "both flags");
	ASSERT_EQ(detach(skel->progs.first, child_fd), -ENOENT, "detach nothing");
	ASSERT_EQ(bpf_prog_detach(child_fd, BPF_LSM_CGROUP), -ENOENT, "detach no program");

	ASSERT_OK(attach(skel->progs.first, child_fd, BPF_F_ALLOW_MULTI), "attach");
	ASSERT_EQ(attach(skel->progs.first, child_fd, BPF_F_ALLOW_MULTI), -EINVAL, "twice");
	ASSERT_EQ(attach(skel->progs.second, child_fd, 0), -EPERM, "other flags");
	ASSERT_EQ(detach(skel->progs.second, child_fd), -ENOENT, "detach another");
	ASSERT_EQ(detach(skel->progs.other_hook, child_fd), -ENOENT, "detach in another hook");
	call_hook();
	check_turns(FIRST, NOBODY, "one program");
	ASSERT_OK(detach(skel->progs.first, child_fd), "detach");
	call_hook();
	check_turns(NOBODY, NOBODY, "no program");
out:
	teardown();
}

/* Not even CAP_SYS_ADMIN stands in for CAP_MAC_ADMIN. */
static void caps(void)
{
	int link_fd = -1, fd;
	__u64 old_caps;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel asks for no capability to attach");
		return;
	}
	if (!setup())
		goto out;
	link_fd = link_create(skel->progs.first, child_fd);
	if (!ASSERT_OK_FD(link_fd, "link") ||
	    !ASSERT_OK(attach(skel->progs.other_hook, child_fd, 0), "attach") ||
	    !ASSERT_OK(cap_disable_effective(1ULL << CAP_MAC_ADMIN, &old_caps), "drop"))
		goto out;

	fd = link_create(skel->progs.second, parent_fd);
	ASSERT_EQ(fd, -EPERM, "link");
	ASSERT_EQ(attach(skel->progs.second, parent_fd, 0), -EPERM, "attach");
	ASSERT_EQ(link_replace(link_fd, skel->progs.second, NULL), -EPERM, "update");
	ASSERT_EQ(bpf_link_detach(link_fd), -EPERM, "detach link");
	ASSERT_EQ(detach(skel->progs.other_hook, child_fd), -EPERM, "detach");
	call_hook();
	check_turns(FIRST, NOBODY, "as before");

	/* Giving up what one holds asks for nothing. */
	close(link_fd);
	link_fd = -1;
	call_hook();
	check_turns(NOBODY, NOBODY, "link closed");

	ASSERT_OK(cap_enable_effective(old_caps, NULL), "restore");
	ASSERT_OK(detach(skel->progs.other_hook, child_fd), "detach with CAP_MAC_ADMIN");
out:
	close(link_fd);
	teardown();
}

static void verdicts(void)
{
	static const struct {
		const char *name;
		int ret;
		bool sets_retval;
		int retval;
		int result;
	} cases[] = {
		{ "allow", 1, false, 0, 0 },
		{ "deny", 0, false, 0, -EPERM },
		{ "deny with an errno", 0, true, -EXDEV, -EXDEV },
		{ "set an errno and allow", 1, true, -EXDEV, -EXDEV },
		{ "set 0 and deny", 0, true, 0, -EPERM },
		{ "set a number and deny", 0, true, 7, -EPERM },
		{ "set the last errno", 0, true, -MAX_ERRNO, -MAX_ERRNO },
		{ "set what is no errno and deny", 0, true, -MAX_ERRNO - 1, -EPERM },
	};
	int i, fd;

	if (lsm_skip_unless_enforcing())
		return;
	if (!setup())
		goto out;
	fd = link_create(skel->progs.verdict, child_fd);
	if (!ASSERT_OK_FD(fd, "link"))
		goto out;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		skel->data->verdict_ret = cases[i].ret;
		skel->bss->verdict_sets_retval = cases[i].sets_retval;
		skel->bss->verdict_retval = cases[i].retval;
		ASSERT_EQ(call_hook(), cases[i].result, cases[i].name);
		check_turns(VERDICT, NOBODY, cases[i].name);
	}

	/* The next program knows, and still runs. */
	skel->data->verdict_ret = 0;
	skel->bss->verdict_sets_retval = true;
	skel->bss->verdict_retval = -EXDEV;
	ASSERT_OK(attach(skel->progs.see, child_fd, BPF_F_ALLOW_MULTI), "attach another");
	ASSERT_EQ(call_hook(), -EXDEV, "denied");
	check_turns(VERDICT, SEE, "denied");
	ASSERT_EQ(skel->bss->seen_retval, -EXDEV, "seen");
	ASSERT_OK(detach(skel->progs.see, child_fd), "detach another");

	/* It is this cgroup's business alone. */
	ASSERT_OK(join_cgroup(PARENT), "join the parent");
	ASSERT_OK(call_hook(), "in the parent");
	check_turns(NOBODY, NOBODY, "in the parent");
	close(fd);
out:
	teardown();
}

/* What is no errno may mean something to a hook, but never what a program says. */
static void nothing_to_grant(void)
{
	static const int retvals[] = { 0, 1, 7, INT_MAX };
	int i, fd;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel returns what the program sets");
		return;
	}
	if (!setup())
		goto out;
	fd = link_create(skel->progs.verdict, child_fd);
	if (!ASSERT_OK_FD(fd, "link"))
		goto out;
	skel->bss->verdict_sets_retval = true;
	for (i = 0; i < ARRAY_SIZE(retvals); i++) {
		skel->bss->verdict_retval = retvals[i];
		ASSERT_OK(call_hook(), "allowed");
		check_turns(VERDICT, NOBODY, "allowed");
	}
	if (lsm_enforcing()) {
		skel->bss->verdict_retval = INT_MIN;
		ASSERT_EQ(call_hook(), -EPERM, "no errno, and negative");
	}
	close(fd);
out:
	teardown();
}

/* A program without flags is the only one, from its cgroup downwards. */
static void flags_none(void)
{
	if (!setup())
		goto out;
	ASSERT_OK(attach(skel->progs.first, parent_fd, 0), "attach to the parent");
	call_hook();
	check_turns(FIRST, NOBODY, "inherited");
	ASSERT_EQ(attach(skel->progs.second, child_fd, 0), -EPERM, "attach to the child");
	ASSERT_EQ(attach(skel->progs.second, child_fd, BPF_F_ALLOW_MULTI), -EPERM,
		  "attach to the child as one of several");
	call_hook();
	check_turns(FIRST, NOBODY, "still");

	ASSERT_OK(attach(skel->progs.second, parent_fd, 0), "replace");
	call_hook();
	check_turns(SECOND, NOBODY, "replaced");
	ASSERT_OK(detach(skel->progs.second, parent_fd), "detach");
	call_hook();
	check_turns(NOBODY, NOBODY, "detached");
out:
	teardown();
}

static void flags_override(void)
{
	if (!setup())
		goto out;
	ASSERT_OK(attach(skel->progs.first, parent_fd, BPF_F_ALLOW_OVERRIDE), "parent");
	ASSERT_OK(attach(skel->progs.second, child_fd, BPF_F_ALLOW_OVERRIDE), "child");
	call_hook();
	check_turns(SECOND, NOBODY, "overridden");
	ASSERT_OK(detach(skel->progs.second, child_fd), "detach from the child");
	call_hook();
	check_turns(FIRST, NOBODY, "no longer overridden");
	ASSERT_OK(detach(skel->progs.first, parent_fd), "detach from the parent");
out:
	teardown();
}

static void flags_multi(void)
{
	LIBBPF_OPTS(bpf_prog_attach_opts, opts);

	if (!setup())
		goto out;
	ASSERT_OK(attach(skel->progs.first, parent_fd, BPF_F_ALLOW_MULTI), "parent");
	ASSERT_OK(attach(skel->progs.second, child_fd, BPF_F_ALLOW_MULTI), "child");
	call_hook();
	check_turns(SECOND, FIRST, "the child's first");

	opts.flags = BPF_F_ALLOW_MULTI | BPF_F_REPLACE;
	opts.replace_prog_fd = bpf_program__fd(skel->progs.second);
	ASSERT_OK(bpf_prog_attach_opts(bpf_program__fd(skel->progs.see), child_fd,
				       BPF_LSM_CGROUP, &opts), "replace");
	call_hook();
	check_turns(SEE, FIRST, "replaced in place");
	ASSERT_EQ(bpf_prog_attach_opts(bpf_program__fd(skel->progs.second), child_fd,
				       BPF_LSM_CGROUP, &opts), -ENOENT, "replace again");

	ASSERT_OK(detach(skel->progs.first, parent_fd), "detach from the parent");
	call_hook();
	check_turns(SEE, NOBODY, "without the parent's");
	ASSERT_OK(attach(skel->progs.first, parent_fd, BPF_F_ALLOW_MULTI | BPF_F_PREORDER),
		  "parent, in front");
	call_hook();
	check_turns(FIRST, SEE, "the parent's first");
	ASSERT_OK(detach(skel->progs.first, parent_fd), "detach from the parent again");
	ASSERT_OK(detach(skel->progs.see, child_fd), "detach from the child");
out:
	teardown();
}

static void link_update(void)
{
	int fd;

	if (!setup())
		goto out;
	fd = link_create(skel->progs.first, child_fd);
	if (!ASSERT_OK_FD(fd, "link"))
		goto out;
	ASSERT_OK(attach(skel->progs.see, child_fd, BPF_F_ALLOW_MULTI), "another program");

	ASSERT_EQ(link_replace(fd, skel->progs.second, skel->progs.see), -EPERM, "wrong old");
	ASSERT_EQ(link_replace(fd, skel->progs.other_hook, NULL), -ENOENT, "other hook");
	/* There it would run where none of its helpers work. */
	if (lsm_has_chains())
		ASSERT_EQ(link_replace(fd, skel->progs.plain, NULL), -EINVAL, "plain program");
	call_hook();
	check_turns(FIRST, SEE, "not replaced");

	ASSERT_OK(link_replace(fd, skel->progs.second, skel->progs.first), "replace");
	call_hook();
	check_turns(SECOND, SEE, "replaced in place");
	ASSERT_OK(link_replace(fd, skel->progs.first, NULL), "replace whatever is there");
	call_hook();
	check_turns(FIRST, SEE, "replaced again");

	ASSERT_OK(bpf_link_detach(fd), "detach");
	ASSERT_EQ(link_replace(fd, skel->progs.second, NULL), -ENOLINK, "detached");
	close(fd);
	ASSERT_OK(detach(skel->progs.see, child_fd), "detach the other program");
out:
	teardown();
}

static struct {
	bool stop;
	long calls;
	long allowed;
} hammer;

static void *hammer_hook(void *arg)
{
	while (!__atomic_load_n(&hammer.stop, __ATOMIC_RELAXED)) {
		if (!syscall(__NR_setpriority, PRIO_PROCESS, 0, 0))
			__atomic_fetch_add(&hammer.allowed, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&hammer.calls, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Both programs deny: no call may succeed while one takes the other's place. */
static void no_gap(void)
{
	struct bpf_program *progs[2];
	pthread_t threads[4];
	int nr, i, fd = -1, err = 0;

	if (lsm_skip_unless_enforcing())
		return;
	if (!setup())
		goto out;
	progs[0] = skel->progs.deny_access;
	progs[1] = skel->progs.deny_busy;
	fd = link_create(progs[0], parent_fd);
	if (!ASSERT_OK_FD(fd, "link"))
		goto out;
	ASSERT_EQ(call_hook(), -EACCES, "denied");

	memset(&hammer, 0, sizeof(hammer));
	for (nr = 0; nr < ARRAY_SIZE(threads); nr++)
		if (pthread_create(&threads[nr], NULL, hammer_hook, NULL))
			break;
	ASSERT_EQ(nr, ARRAY_SIZE(threads), "threads");
	for (i = 1; i <= UPDATES && !err; i++)
		err = link_replace(fd, progs[i % 2], progs[!(i % 2)]);
	ASSERT_OK(err, "update");
	while (nr && __atomic_load_n(&hammer.calls, __ATOMIC_RELAXED) < UPDATES)
		usleep(1000);
	__atomic_store_n(&hammer.stop, true, __ATOMIC_RELAXED);
	while (nr--)
		pthread_join(threads[nr], NULL);

	ASSERT_EQ(hammer.allowed, 0, "calls that succeeded");
	ASSERT_EQ(call_hook(), -EACCES, "denied by the last");
out:
	close(fd);
	teardown();
}

static __u64 cgroup_of(int link_fd)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	if (!ASSERT_OK(bpf_link_get_info_by_fd(link_fd, &info, &len), "link info"))
		return 0;
	ASSERT_EQ(info.cgroup.attach_type, BPF_LSM_CGROUP, "attach type");
	return info.cgroup.cgroup_id;
}

/* A cgroup goes without anybody waiting for it. */
static bool eventually_detached(int link_fd)
{
	int tries;

	for (tries = 0; tries < 500; tries++) {
		if (!cgroup_of(link_fd))
			return true;
		usleep(10 * 1000);
	}
	return false;
}

static void cgroup_goes(void)
{
	int fd;

	if (!setup())
		goto out;
	fd = link_create(skel->progs.first, child_fd);
	if (!ASSERT_OK_FD(fd, "link"))
		goto out;
	ASSERT_EQ(cgroup_of(fd), get_cgroup_id(CHILD), "cgroup of the link");

	close(child_fd);
	child_fd = -1;
	ASSERT_OK(join_cgroup(PARENT), "join the parent");
	remove_cgroup(CHILD);
	ASSERT_TRUE(eventually_detached(fd), "detached with the cgroup");
	ASSERT_EQ(link_replace(fd, skel->progs.second, NULL), -ENOLINK, "update");
	ASSERT_OK(bpf_link_detach(fd), "detach once more");
	close(fd);

	/* The hook works for others. */
	fd = link_create(skel->progs.second, parent_fd);
	ASSERT_OK_FD(fd, "link to the parent");
	call_hook();
	check_turns(SECOND, NOBODY, "in the parent");
	close(fd);
out:
	teardown();
}

static int bind_socket(int sock_fd)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };

	return bind(sock_fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
}

/* What matters is where the socket was made, not where it is used. */
static void socket_cgroup(void)
{
	int inside = -1, outside = -1, fd = -1;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel goes by the cgroup of the task");
		return;
	}
	if (lsm_skip_unless_enforcing())
		return;
	if (!setup())
		goto out;
	inside = socket(AF_INET, SOCK_DGRAM, 0);
	ASSERT_OK_FD(inside, "socket of the child");
	ASSERT_OK(join_cgroup(PARENT), "join the parent");
	outside = socket(AF_INET, SOCK_DGRAM, 0);
	ASSERT_OK_FD(outside, "socket of the parent");

	fd = link_create(skel->progs.deny_bind, child_fd);
	if (!ASSERT_OK_FD(fd, "link"))
		goto out;
	ASSERT_EQ(bind_socket(inside), -EXDEV, "socket of the child, from outside");
	ASSERT_OK(join_cgroup(CHILD), "join the child");
	ASSERT_OK(bind_socket(outside), "socket of the parent, from inside");
	ASSERT_EQ(bind_socket(inside), -EXDEV, "socket of the child, from inside");

	/* The socket keeps the policy although nobody can see the cgroup. */
	close(child_fd);
	child_fd = -1;
	ASSERT_OK(join_cgroup(PARENT), "join the parent again");
	remove_cgroup(CHILD);
	ASSERT_EQ(bind_socket(inside), -EXDEV, "socket of a removed cgroup");
	ASSERT_NEQ(cgroup_of(fd), 0, "still attached");
	close(inside);
	inside = -1;
	ASSERT_TRUE(eventually_detached(fd), "detached with the socket");
out:
	close(inside);
	close(outside);
	close(fd);
	teardown();
}

/* In the chain of the hook, the programs of cgroups come where the first of
 * them was attached.
 */
static void beside_plain_programs(void)
{
	int plain = -1, fd = -1;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel runs the newest program first");
		return;
	}
	if (!setup())
		goto out;
	fd = link_create(skel->progs.verdict, child_fd);
	plain = lsm_link_create(bpf_program__fd(skel->progs.plain));
	if (!ASSERT_OK_FD(fd, "link") || !ASSERT_OK_FD(plain, "plain"))
		goto out;
	ASSERT_OK(call_hook(), "allowed by both");
	check_turns(VERDICT, PLAIN, "cgroup first");
	if (lsm_enforcing()) {
		skel->data->verdict_ret = 0;
		ASSERT_EQ(call_hook(), -EPERM, "denied for the cgroup");
		check_turns(VERDICT, NOBODY, "cgroup decides");
		skel->data->verdict_ret = 1;
		skel->bss->plain_ret = -EACCES;
		ASSERT_EQ(call_hook(), -EACCES, "denied by the plain program");
		check_turns(VERDICT, PLAIN, "both run");
		skel->bss->plain_ret = 0;
	}

	/* A second program of a cgroup is no second place in the chain. */
	ASSERT_OK(attach(skel->progs.first, child_fd, BPF_F_ALLOW_MULTI), "attach another");
	call_hook();
	ASSERT_EQ(skel->bss->turn[0], VERDICT, "turn 1");
	ASSERT_EQ(skel->bss->turn[1], FIRST, "turn 2");
	ASSERT_EQ(skel->bss->turn[2], PLAIN, "turn 3");
	ASSERT_OK(detach(skel->progs.first, child_fd), "detach another");

	close(fd);
	ASSERT_OK(call_hook(), "plain alone");
	check_turns(PLAIN, NOBODY, "plain alone");
	fd = link_create(skel->progs.verdict, child_fd);
	ASSERT_OK_FD(fd, "link again");
	call_hook();
	check_turns(PLAIN, VERDICT, "plain first");
	if (lsm_enforcing()) {
		skel->bss->plain_ret = -EACCES;
		ASSERT_EQ(call_hook(), -EACCES, "denied for everybody");
		check_turns(PLAIN, NOBODY, "plain decides");
	}
out:
	close(fd);
	close(plain);
	teardown();
}

static __u32 id_of(struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	ASSERT_OK(bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len), "prog info");
	return info.id;
}

static void query(void)
{
	LIBBPF_OPTS(bpf_prog_query_opts, opts);
	__u32 ids[4] = {}, flags[4] = {};
	int i, nice = -1, sid = -1;

	if (!setup())
		goto out;
	ASSERT_OK(bpf_prog_query_opts(child_fd, BPF_LSM_CGROUP, &opts), "nothing");
	ASSERT_EQ(opts.prog_cnt, 0, "count of nothing");

	if (!ASSERT_OK(attach(skel->progs.first, parent_fd, BPF_F_ALLOW_MULTI), "parent") ||
	    !ASSERT_OK(attach(skel->progs.second, child_fd, BPF_F_ALLOW_MULTI), "child") ||
	    !ASSERT_OK(attach(skel->progs.other_hook, child_fd, BPF_F_ALLOW_OVERRIDE), "other"))
		goto out;

	ASSERT_OK(bpf_prog_query_opts(child_fd, BPF_LSM_CGROUP, &opts), "count");
	ASSERT_EQ(opts.prog_cnt, 2, "count");

	opts.prog_ids = ids;
	opts.prog_cnt = ARRAY_SIZE(ids);
	ASSERT_EQ(bpf_prog_query_opts(child_fd, BPF_LSM_CGROUP, &opts), -EINVAL,
		  "whose flags are they");

	opts.prog_attach_flags = flags;
	opts.prog_cnt = ARRAY_SIZE(ids);
	ASSERT_OK(bpf_prog_query_opts(child_fd, BPF_LSM_CGROUP, &opts), "attached");
	ASSERT_EQ(opts.prog_cnt, 2, "count of attached");
	for (i = 0; i < opts.prog_cnt; i++) {
		if (ids[i] == id_of(skel->progs.second))
			nice = flags[i];
		if (ids[i] == id_of(skel->progs.other_hook))
			sid = flags[i];
	}
	ASSERT_EQ(nice, BPF_F_ALLOW_MULTI, "flags of one hook");
	ASSERT_EQ(sid, BPF_F_ALLOW_OVERRIDE, "flags of the other");

	opts.prog_cnt = 1;
	ASSERT_EQ(bpf_prog_query_opts(child_fd, BPF_LSM_CGROUP, &opts), -ENOSPC, "no space");
	ASSERT_EQ(opts.prog_cnt, 2, "count although there is no space");

	opts.query_flags = BPF_F_QUERY_EFFECTIVE;
	opts.prog_cnt = ARRAY_SIZE(ids);
	ASSERT_EQ(bpf_prog_query_opts(child_fd, BPF_LSM_CGROUP, &opts), -EINVAL,
		  "flags of effective programs");
	opts.prog_attach_flags = NULL;
	opts.prog_cnt = ARRAY_SIZE(ids);
	memset(ids, 0, sizeof(ids));
	ASSERT_OK(bpf_prog_query_opts(child_fd, BPF_LSM_CGROUP, &opts), "effective");
	ASSERT_EQ(opts.prog_cnt, 3, "count of effective");
	for (i = 0; i < 2; i++)
		if (ids[i] == id_of(skel->progs.second))
			break;
	ASSERT_EQ(ids[i], id_of(skel->progs.second), "the child's");
	ASSERT_EQ(ids[i + 1], id_of(skel->progs.first), "then the parent's");
out:
	detach(skel->progs.first, parent_fd);
	detach(skel->progs.second, child_fd);
	detach(skel->progs.other_hook, child_fd);
	teardown();
}

/* @insns end with the first exit. */
static int load_for(const char *hook, enum bpf_attach_type type, __u32 flags,
		    const struct bpf_insn *insns, char *log, size_t size)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type,
		    .prog_flags = flags, .log_buf = log, .log_size = size,
		    .log_level = log ? 1 : 0);
	int btf_id, nr = 1;

	btf_id = libbpf_find_vmlinux_btf_id(hook, BPF_LSM_CGROUP);
	if (btf_id < 0)
		return btf_id;
	opts.attach_btf_id = btf_id;
	while (insns[nr - 1].code != (BPF_JMP | BPF_EXIT))
		nr++;
	return bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_cgroup", "GPL", insns, nr, &opts);
}

#define RETURN(value) {							\
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0,	\
	  .imm = (value) },						\
	{ .code = BPF_JMP | BPF_EXIT },					\
}

/* The first argument is not right for every helper, but it comes to that only
 * if the program may call it.
 */
#define CALL(helper, arg) {						\
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1,	\
	  .imm = (arg) },						\
	{ .code = BPF_JMP | BPF_CALL, .imm = (helper) },		\
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0,	\
	  .imm = 1 },							\
	{ .code = BPF_JMP | BPF_EXIT },					\
}

static void verifier(void)
{
	static const struct bpf_insn return_0[] = RETURN(0);
	static const struct bpf_insn return_1[] = RETURN(1);
	static const struct bpf_insn return_2[] = RETURN(2);
	static const struct bpf_insn return_errno[] = RETURN(-EPERM);
	static const struct bpf_insn set_retval[] = CALL(BPF_FUNC_set_retval, -EXDEV);
	static const struct bpf_insn setsockopt_[] = CALL(BPF_FUNC_setsockopt, 0);
	static const char void_hook[] = "bprm_committed_creds", int_hook[] = "task_setnice";
	static const char of_void_hook[] = "void LSM hooks can't modify return value";
	static const char no_helper[] = "cannot use helper";
	static const struct {
		const char *name;
		const char *hook;
		enum bpf_attach_type type;
		__u32 flags;
		const struct bpf_insn *insns;
		const char *complaint;	/* NULL: it loads */
	} cases[] = {
		{ "0", int_hook, BPF_LSM_CGROUP, 0, return_0, NULL },
		{ "1", int_hook, BPF_LSM_CGROUP, 0, return_1, NULL },
		{ "2", int_hook, BPF_LSM_CGROUP, 0, return_2, "At program exit" },
		{ "errno", int_hook, BPF_LSM_CGROUP, 0, return_errno, "At program exit" },
		{ "void 0", void_hook, BPF_LSM_CGROUP, 0, return_0, of_void_hook },
		{ "void 1", void_hook, BPF_LSM_CGROUP, 0, return_1, NULL },
		{ "sleepable", "file_open", BPF_LSM_CGROUP, BPF_F_SLEEPABLE, return_1, "" },
		{ "set_retval", int_hook, BPF_LSM_CGROUP, 0, set_retval, NULL },
		{ "void set_retval", void_hook, BPF_LSM_CGROUP, 0, set_retval, of_void_hook },
		{ "plain set_retval", int_hook, BPF_LSM_MAC, 0, set_retval, no_helper },
		{ "setsockopt", "socket_post_create", BPF_LSM_CGROUP, 0, setsockopt_,
		  "R1 type=scalar" },
		{ "setsockopt locked", "inet_csk_clone", BPF_LSM_CGROUP, 0, setsockopt_,
		  "R1 type=scalar" },
		{ "setsockopt elsewhere", "socket_bind", BPF_LSM_CGROUP, 0, setsockopt_,
		  no_helper },
		{ "plain setsockopt", "socket_post_create", BPF_LSM_MAC, 0, setsockopt_,
		  no_helper },
	};
	char log[4096];
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		log[0] = '\0';
		fd = load_for(cases[i].hook, cases[i].type, cases[i].flags, cases[i].insns,
			      log, sizeof(log));
		if (!cases[i].complaint)
			ASSERT_OK_FD(fd, cases[i].name);
		else if (ASSERT_LT(fd, 0, cases[i].name))
			ASSERT_HAS_SUBSTR(log, cases[i].complaint, cases[i].name);
		if (fd >= 0)
			close(fd);
	}
}

static int link_to_hook(const char *hook)
{
	static const struct bpf_insn return_1[] = RETURN(1);
	int prog_fd, fd;

	prog_fd = load_for(hook, BPF_LSM_CGROUP, 0, return_1, NULL, 0);
	if (!ASSERT_OK_FD(prog_fd, hook))
		return prog_fd;
	fd = bpf_link_create(prog_fd, child_fd, BPF_LSM_CGROUP, NULL);
	close(prog_fd);
	return fd;
}

/* Only so many hooks at a time, but which ones changes at once. */
static void arrays(void)
{
	static const char * const hooks[] = {
		"task_setnice", "task_setioprio", "task_getioprio", "task_getpgid",
		"task_setpgid", "task_getsid", "task_getscheduler", "task_setscheduler",
		"task_movememory", "task_prctl", "task_kill",
	};
	int fds[NR_ARRAYS], i, fd, tries;

	for (i = 0; i < NR_ARRAYS; i++)
		fds[i] = -1;
	if (!setup())
		goto out;
	for (i = 0; i < NR_ARRAYS; i++) {
		/* cgroups of tests before this one may not be gone yet */
		for (tries = 0; tries < 500 && fds[i] < 0; tries++) {
			if (tries)
				usleep(10 * 1000);
			fds[i] = link_to_hook(hooks[i]);
		}
		if (!ASSERT_OK_FD(fds[i], hooks[i]))
			goto out;
	}
	fd = link_to_hook(hooks[NR_ARRAYS]);
	ASSERT_EQ(fd, -EINVAL, "one too many");

	if (!lsm_has_chains()) {
		lsm_skip("this kernel takes its time to free what a hook had");
		goto out;
	}
	for (i = 0; i < NR_ARRAYS; i++) {
		close(fds[i]);
		fds[i] = link_to_hook(hooks[NR_ARRAYS]);
		if (!ASSERT_OK_FD(fds[i], "in its place"))
			break;
		close(fds[i]);
		fds[i] = link_to_hook(hooks[i]);
		if (!ASSERT_OK_FD(fds[i], "back again"))
			break;
	}
out:
	for (i = 0; i < NR_ARRAYS; i++)
		close(fds[i]);
	teardown();
}

void test_lsm_cgroup_attach(void)
{
	if (test__start_subtest("attach_detach"))
		attach_detach();
	if (test__start_subtest("refusals"))
		refusals();
	if (test__start_subtest("caps"))
		caps();
	if (test__start_subtest("verdicts"))
		verdicts();
	if (test__start_subtest("nothing_to_grant"))
		nothing_to_grant();
	if (test__start_subtest("flags_none"))
		flags_none();
	if (test__start_subtest("flags_override"))
		flags_override();
	if (test__start_subtest("flags_multi"))
		flags_multi();
	if (test__start_subtest("link_update"))
		link_update();
	if (test__start_subtest("no_gap"))
		no_gap();
	if (test__start_subtest("cgroup_goes"))
		cgroup_goes();
	if (test__start_subtest("socket_cgroup"))
		socket_cgroup();
	if (test__start_subtest("beside_plain_programs"))
		beside_plain_programs();
	if (test__start_subtest("query"))
		query();
	if (test__start_subtest("verifier"))
		verifier();
	if (test__start_subtest("arrays"))
		arrays();
}
