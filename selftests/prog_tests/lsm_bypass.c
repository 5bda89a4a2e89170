// SPDX-License-Identifier: GPL-2.0

/* Ways around a policy that are none, and arguments that are not there.
 *
 * This would catch: a hook, or a function of the BPF LSM, whose return value a
 * kprobe may override or fault injection may choose; a tracing program that
 * changes a verdict by looking on, at the hook's function, at the function that
 * calls the hook or at the program itself; a kprobe in the image of a chain; a
 * tail call from one hook's program to another's, which the verifier has looked
 * at under other assumptions; a program that writes to user space though who
 * loaded it must not; NULL in place of an object that nobody told it could be; an
 * error that has a meaning for the kernel's own functions, and that one alone.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "cap_helpers.h"
#include "lsm_helpers.h"
#include "lsm_bypass.skel.h"

static struct lsm_bypass *skel;
static int link_fd = -1;

/* Load the programs of these names and no other. The list ends with NULL. */
static int load(const char *const *names)
{
	struct bpf_program *prog;
	int err;

	skel = lsm_bypass__open();
	if (!ASSERT_OK_PTR(skel, "open"))
		return -ENOENT;
	for (; *names; names++) {
		prog = bpf_object__find_program_by_name(skel->obj, *names);
		if (!ASSERT_OK_PTR(prog, *names))
			return -ENOENT;
		bpf_program__set_autoload(prog, true);
	}
	err = lsm_bypass__load(skel);
	if (!err)
		skel->bss->monitored_pid = getpid();
	return err;
}

#define load(...) load((const char *const []){ __VA_ARGS__, NULL })

static void teardown(void)
{
	if (link_fd >= 0)
		close(link_fd);
	link_fd = -1;
	lsm_bypass__destroy(skel);
	skel = NULL;
}

/* Returns 0, or the -errno with which it was denied. */
static int call_hook(void)
{
	return syscall(__NR_getsid, getpid()) < 0 ? -errno : 0;
}

static int denied(void)
{
	return lsm_enforcing() ? -EACCES : 0;
}

/* Somebody denies; see whether anybody can help. */
static bool attach_policy(void)
{
	link_fd = lsm_raw_tp_open(bpf_program__fd(skel->progs.deny));
	return ASSERT_OK_FD(link_fd, "attach the policy") &&
	       ASSERT_EQ(call_hook(), denied(), "denied at first");
}

/* What fault injection may do is in a list of functions. */
static void error_injection_list(void)
{
	static const char *const ours[] = {
		"bpf_lsm_", "security_", "lsm_slot_", "bpf_chain_",
	};
	char line[256], *end;
	int dir, fd, i, nr = 0;
	FILE *file = NULL;

	dir = lsm_mount("debugfs");
	fd = dir < 0 ? -1 : openat(dir, "error_injection/list", O_RDONLY);
	if (fd >= 0)
		file = fdopen(fd, "r");
	if (!file) {
		lsm_skip("no list of functions (CONFIG_FUNCTION_ERROR_INJECTION, DEBUG_FS)");
		goto out;
	}
	while (fgets(line, sizeof(line), file)) {
		end = strpbrk(line, " \t\n");
		if (end)
			*end = '\0';
		nr++;
		for (i = 0; i < ARRAY_SIZE(ours); i++)
			ASSERT_NEQ(strncmp(line, ours[i], strlen(ours[i])), 0, line);
	}
	ASSERT_GT(nr, 0, "functions in the list");
out:
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
}

static void kprobe_override(void)
{
	static const char *const functions[] = {
		"security_task_getsid", "bpf_lsm_task_getsid", "bpf_lsm_hook_attach",
		"bpf_lsm_hook_detach", "bpf_lsm_may_change_policy", "bpf_lsm_link_attach",
	};
	struct bpf_link *link;
	int i;

	if (load("deny", "override")) {
		lsm_skip("this kernel overrides nothing (CONFIG_BPF_KPROBE_OVERRIDE)");
		goto out;
	}
	/* This is how it goes where it is allowed. */
	link = bpf_program__attach_kprobe(skel->progs.override, false, "__x64_sys_getpgid");
	if (!link) {
		lsm_skip("system calls have other names here, or cannot be overridden");
		goto out;
	}
	ASSERT_EQ(syscall(__NR_getpgid, getpid()), 0, "a call that is overridden");
	bpf_link__destroy(link);

	if (!attach_policy())
		goto out;
	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		/* Some are only in kernels with chains. */
		if (i >= 2 && !lsm_has_chains())
			break;
		link = bpf_program__attach_kprobe(skel->progs.override, false, functions[i]);
		ASSERT_ERR_PTR(link, functions[i]);
		bpf_link__destroy(link);
		ASSERT_EQ(call_hook(), denied(), functions[i]);
	}
out:
	teardown();
}

/* They see what happens and change nothing, whatever they return. */
static void onlookers(void)
{
	struct bpf_link *links[4] = {};
	int i;

	if (!ASSERT_OK(load("deny", "enter_stub", "leave_stub", "enter_security",
			    "leave_security"), "load") || !attach_policy())
		goto out;
	links[0] = bpf_program__attach(skel->progs.enter_stub);
	links[1] = bpf_program__attach(skel->progs.leave_stub);
	links[2] = bpf_program__attach(skel->progs.enter_security);
	links[3] = bpf_program__attach(skel->progs.leave_security);
	for (i = 0; i < ARRAY_SIZE(links); i++)
		ASSERT_OK_PTR(links[i], "look on");
	skel->bss->policy_calls = 0;
	ASSERT_EQ(call_hook(), denied(), "denied under observation");
	ASSERT_EQ(skel->bss->policy_calls, 1, "calls of the policy");
	ASSERT_EQ(skel->bss->security_calls, 2, "calls that were seen");
	ASSERT_EQ(skel->bss->seen_ret, denied(), "what they saw");

	/* The policy comes and goes under them. */
	close(link_fd);
	link_fd = -1;
	ASSERT_OK(call_hook(), "without the policy");
	ASSERT_EQ(skel->bss->security_calls, 4, "calls without the policy");
	ASSERT_OK(skel->bss->seen_ret, "what they saw without it");
	attach_policy();
out:
	for (i = 0; i < ARRAY_SIZE(links); i++)
		bpf_link__destroy(links[i]);
	ASSERT_EQ(skel ? call_hook() : 0, link_fd >= 0 ? denied() : 0, "nobody looks on");
	teardown();
}

/* Load one program in a skeleton of its own, with another's help if it traces
 * that, and see it refused.
 */
static void refused(const char *name, const struct bpf_program *target, const char *function,
		    const char *why)
{
	static char log[16 * 1024];
	struct lsm_bypass *other = lsm_bypass__open();
	struct bpf_program *prog;

	if (!ASSERT_OK_PTR(other, "open"))
		return;
	log[0] = '\0';
	prog = bpf_object__find_program_by_name(other->obj, name);
	if (ASSERT_OK_PTR(prog, name)) {
		bpf_program__set_autoload(prog, true);
		bpf_program__set_log_buf(prog, log, sizeof(log));
		bpf_program__set_log_level(prog, 1);
		if (target)
			ASSERT_OK(bpf_program__set_attach_target(prog, bpf_program__fd(target),
								 function), "target");
		ASSERT_LT(lsm_bypass__load(other), 0, name);
		ASSERT_HAS_SUBSTR(log, why, name);
	}
	lsm_bypass__destroy(other);
}

/* The function of a hook returns 0, and nothing else. */
static void modify_stub(void)
{
	if (lsm_has_chains())
		refused("modify_stub", NULL, NULL, "is not modifiable");
	else
		lsm_skip("this kernel runs LSM programs that way");
}

/* A program that is in a chain can be traced, like any other. */
static void trace_program(void)
{
	struct lsm_bypass *other = NULL;
	struct bpf_link *link = NULL;

	if (!ASSERT_OK(load("deny"), "load") || !attach_policy())
		goto out;
	refused("modify_program", skel->progs.deny, "deny", "can't modify return codes of BPF");

	other = lsm_bypass__open();
	if (!ASSERT_OK_PTR(other, "open"))
		goto out;
	bpf_program__set_autoload(other->progs.leave_program, true);
	if (!ASSERT_OK(bpf_program__set_attach_target(other->progs.leave_program,
						      bpf_program__fd(skel->progs.deny), "deny"),
		       "target") || !ASSERT_OK(lsm_bypass__load(other), "load fexit"))
		goto out;
	other->bss->monitored_pid = getpid();
	link = bpf_program__attach(other->progs.leave_program);
	if (!ASSERT_OK_PTR(link, "attach fexit"))
		goto out;
	ASSERT_EQ(call_hook(), denied(), "while traced");
	ASSERT_EQ(other->bss->security_calls, 1, "calls of the tracer");
	ASSERT_EQ(other->bss->seen_ret, -EACCES, "what it saw");
	bpf_link__destroy(link);
	link = NULL;
	ASSERT_EQ(call_hook(), denied(), "when it has gone");
out:
	bpf_link__destroy(link);
	lsm_bypass__destroy(other);
	teardown();
}

/* Where is the chain of task_getsid? 0 if there is none. */
static unsigned long chain_address(void)
{
	FILE *file = fopen("/proc/kallsyms", "r");
	unsigned long address = 0, at;
	char line[512], name[256];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%lx %*c %255s", &at, name) == 2 &&
		    !strcmp(name, "bpf_lsm_chain_task_getsid"))
			address = at;
	fclose(file);
	return address;
}

static int kprobe_type(void)
{
	FILE *file = fopen("/sys/bus/event_source/devices/kprobe/type", "r");
	int type = -1;

	if (file) {
		if (fscanf(file, "%d", &type) != 1)
			type = -1;
		fclose(file);
	}
	return type;
}

/* Nobody puts a breakpoint where the policy is called from. */
static void kprobe_chain(void)
{
	struct perf_event_attr attr = { .size = sizeof(attr) };
	unsigned long address;
	int fd, offset;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel has no chains");
		return;
	}
	attr.type = kprobe_type();
	if ((int)attr.type < 0) {
		lsm_skip("no kprobes");
		return;
	}
	if (!ASSERT_OK(load("deny"), "load") || !attach_policy())
		goto out;
	address = chain_address();
	if (!ASSERT_NEQ(address, 0, "address of the chain"))
		goto out;
	for (offset = 0; offset < 32; offset++) {
		attr.config2 = address + offset;
		fd = syscall(__NR_perf_event_open, &attr, 0, -1, -1, 0);
		if (!ASSERT_LT(fd, 0, "kprobe in a chain")) {
			close(fd);
			break;
		}
	}
	ASSERT_EQ(call_hook(), denied(), "denied after all");
out:
	teardown();
}

static int set_tail(const struct bpf_map *map, const struct bpf_program *prog)
{
	__u32 key = 0, fd = bpf_program__fd(prog);

	return bpf_map_update_elem(bpf_map__fd(map), &key, &fd, BPF_ANY);
}

/* A program that is called by tail call takes the caller's place, so what the
 * verifier knew about its own place has to hold there.
 */
static void tail_call(void)
{
	if (!ASSERT_OK(load("tail_caller", "tail_same", "tail_other", "tail_cgroup"), "load"))
		goto out;
	ASSERT_OK(set_tail(skel->maps.tails, skel->progs.tail_same), "the same hook");
	ASSERT_EQ(set_tail(skel->maps.tails, skel->progs.tail_other), -EINVAL, "other arguments");
	/* Whose "1" is no verdict in a chain. */
	ASSERT_EQ(set_tail(skel->maps.tails, skel->progs.tail_cgroup), -EINVAL, "of a cgroup");

	link_fd = lsm_raw_tp_open(bpf_program__fd(skel->progs.tail_caller));
	if (!ASSERT_OK_FD(link_fd, "attach"))
		goto out;
	ASSERT_EQ(call_hook(), denied(), "the callee decides");
	ASSERT_EQ(bpf_map_delete_elem(bpf_map__fd(skel->maps.tails), &(__u32){ 0 }), 0, "delete");
	ASSERT_OK(call_hook(), "nobody to call");
out:
	teardown();
}

/* It would sleep where its caller must not. */
static void tail_call_sleepable(void)
{
	if (!lsm_has_chains()) {
		lsm_skip("this kernel allows it");
		return;
	}
	if (ASSERT_OK(load("open_caller", "open_plain", "open_sleepable"), "load")) {
		ASSERT_OK(set_tail(skel->maps.open_tails, skel->progs.open_plain), "plain");
		ASSERT_EQ(set_tail(skel->maps.open_tails, skel->progs.open_sleepable), -EINVAL,
			  "sleepable");
	}
	teardown();
}

/* Same arguments, but the file is not complete where it is allocated. */
static void tail_call_untrusted(void)
{
	if (!lsm_has_chains()) {
		lsm_skip("this kernel only compares the arguments");
		return;
	}
	if (ASSERT_OK(load("alloc_caller", "alloc_plain", "open_trusting"), "load")) {
		ASSERT_OK(set_tail(skel->maps.alloc_tails, skel->progs.alloc_plain), "same hook");
		ASSERT_EQ(set_tail(skel->maps.alloc_tails, skel->progs.open_trusting), -EINVAL,
			  "same arguments");
	}
	teardown();
}

/* Who may load LSM programs may not have them write to other processes. */
static void write_user(void)
{
	__u64 drop = 1ULL << CAP_SYS_ADMIN, old = 0;

	if (!ASSERT_OK(cap_disable_effective(drop, &old), "drop CAP_SYS_ADMIN"))
		return;
	refused("write_user", NULL, NULL, "program of this type cannot use helper");
	ASSERT_OK(load("read_user"), "reading");
	ASSERT_OK(cap_enable_effective(old, NULL), "restore");
	teardown();
}

/* No file is behind anonymous memory. */
static void null_file(void)
{
	void *addr;
	int fd = -1;

	if (!ASSERT_OK(load("map_nothing"), "load"))
		goto out;
	link_fd = lsm_raw_tp_open(bpf_program__fd(skel->progs.map_nothing));
	if (!ASSERT_OK_FD(link_fd, "attach"))
		goto out;
	fd = open("/proc/self/exe", O_RDONLY);
	if (!ASSERT_OK_FD(fd, "open"))
		goto out;
	addr = mmap(NULL, getpagesize(), PROT_NONE, MAP_PRIVATE, fd, 0);
	if (ASSERT_NEQ(addr, MAP_FAILED, "map a file"))
		munmap(addr, getpagesize());
	ASSERT_EQ(skel->bss->files, 1, "files");
	ASSERT_EQ(skel->bss->no_files, 0, "not files");
	addr = mmap(NULL, getpagesize(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (lsm_enforcing())
		ASSERT_EQ(addr, MAP_FAILED, "map nothing");
	if (addr != MAP_FAILED)
		munmap(addr, getpagesize());
	ASSERT_EQ(skel->bss->no_files, 1, "no files");
out:
	if (fd >= 0)
		close(fd);
	teardown();
}

/* A signal that a task sends has no credentials but the task's. */
static void null_cred(void)
{
	if (!lsm_has_chains()) {
		lsm_skip("this kernel does not say that cred can be NULL");
		return;
	}
	refused("kill_untested", NULL, NULL, "invalid mem access 'trusted_ptr_or_null_'");
	if (!ASSERT_OK(load("kill_tested"), "load"))
		goto out;
	link_fd = lsm_raw_tp_open(bpf_program__fd(skel->progs.kill_tested));
	if (!ASSERT_OK_FD(link_fd, "attach"))
		goto out;
	ASSERT_EQ(kill(getpid(), 0) ? -errno : 0, denied(), "kill");
	ASSERT_EQ(skel->bss->no_creds, 1, "calls without cred");
out:
	teardown();
}

/* An error that sends those astray who called the hook. */
static void internal_error(const char *name)
{
	static const int errors[] = { 511, 512, 528, 529, 530, 4095 };
	struct bpf_program *prog;
	int sk[2] = { -1, -1 }, i;
	char byte = 1;

	if (!lsm_has_chains()) {
		lsm_skip("this kernel dies of it");
		return;
	}
	if (!ASSERT_OK(load(name), "load") ||
	    !ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sk), "socketpair"))
		goto out;
	prog = bpf_object__find_program_by_name(skel->obj, name);
	link_fd = lsm_raw_tp_open(bpf_program__fd(prog));
	if (!ASSERT_OK_FD(link_fd, "attach"))
		goto out;
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		skel->bss->verdict = -errors[i];
		if (!ASSERT_EQ(write(sk[0], &byte, 1), 1, "write"))
			break;
		errno = 0;
		ASSERT_EQ(read(sk[1], &byte, 1), lsm_enforcing() ? -1 : 1, "read");
		/* EIOCBQUEUED */
		if (lsm_enforcing())
			ASSERT_EQ(errno, errors[i] == 529 ? EPERM : errors[i], "errno");
	}
out:
	close(sk[0]);
	close(sk[1]);
	teardown();
}

void test_lsm_bypass(void)
{
	if (test__start_subtest("error_injection_list"))
		error_injection_list();
	if (test__start_subtest("kprobe_override"))
		kprobe_override();
	if (test__start_subtest("onlookers"))
		onlookers();
	if (test__start_subtest("modify_stub"))
		modify_stub();
	if (test__start_subtest("trace_program"))
		trace_program();
	if (test__start_subtest("kprobe_chain"))
		kprobe_chain();
	if (test__start_subtest("tail_call"))
		tail_call();
	if (test__start_subtest("tail_call_sleepable"))
		tail_call_sleepable();
	if (test__start_subtest("tail_call_untrusted"))
		tail_call_untrusted();
	if (test__start_subtest("write_user"))
		write_user();
	if (test__start_subtest("null_file"))
		null_file();
	if (test__start_subtest("null_cred"))
		null_cred();
	if (test__start_subtest("internal_error"))
		internal_error("receive");
	if (test__start_subtest("internal_error_sleepable"))
		internal_error("receive_sleepable");
}
