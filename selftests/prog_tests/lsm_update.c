// SPDX-License-Identifier: GPL-2.0

/* BPF_LINK_UPDATE replaces the program of an LSM link in place, and
 * BPF_LINK_DETACH takes it out of the hook while the link lives on.
 *
 * This would catch: a program that moves to another place among those of its
 * hook, or loses its cookie; the old program still running, or the new one not
 * yet, when the command has returned; link info that shows the wrong one; a
 * replacement for another hook or of another type; BPF_F_REPLACE that does not
 * compare, or does something when it fails; a program twice in a hook; an
 * update of a link that is detached; references that are leaked or lost.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <sys/syscall.h>

#include "lsm_helpers.h"
#include "lsm_update.skel.h"

/* What a program's slot is called in progs/lsm_update.c. */
enum { A, B, C, D, NR_SLOTS };

#define COOKIE 0xc00c1e0000000001ULL

static struct lsm_update *skel;

static bool setup(void)
{
	if (!lsm_has_chains()) {
		lsm_skip("links of this kernel's LSM programs cannot be updated");
		return false;
	}
	skel = lsm_update__open_and_load();
	if (!ASSERT_OK_PTR(skel, "open_and_load"))
		return false;
	skel->bss->monitored_pid = getpid();
	return true;
}

static void teardown(void)
{
	lsm_update__destroy(skel);
	skel = NULL;
}

static struct bpf_program *prog(int slot)
{
	struct bpf_program *progs[NR_SLOTS] = {
		skel->progs.prog_a, skel->progs.prog_b, skel->progs.prog_c,
		skel->progs.prog_d,
	};

	return progs[slot];
}

static int prog_fd(int slot)
{
	return bpf_program__fd(prog(slot));
}

/* Run the hook once. Returns 0 or the -errno with which it was denied. */
static int call_hook(void)
{
	memset(skel->bss->calls, 0, sizeof(skel->bss->calls));
	memset(skel->bss->turn, 0, sizeof(skel->bss->turn));
	memset(skel->bss->cookies, 0, sizeof(skel->bss->cookies));
	skel->bss->turns = 0;
	return syscall(__NR_getpgid, getpid()) < 0 ? -errno : 0;
}

/* Which programs run, and in which order? "" is none, "ADC" three of them. */
static const char *who_runs(void)
{
	static char names[NR_SLOTS + 1];
	int slot, ran = 0;

	call_hook();
	memset(names, 0, sizeof(names));
	for (slot = 0; slot < NR_SLOTS; slot++)
		if (skel->bss->turn[slot])
			names[skel->bss->turn[slot] - 1] = 'A' + slot;
	for (slot = 0; slot < NR_SLOTS; slot++)
		ran += skel->bss->calls[slot];
	return ran == strlen(names) ? names : "somebody more than once";
}

static __u32 prog_id(int fd)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	return bpf_prog_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

/* The ID of the program that the link says it attaches. */
static __u32 linked_prog_id(int link_fd)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	return bpf_link_get_info_by_fd(link_fd, &info, &len) ? 0 : info.prog_id;
}

/* Replace the program only if it is @old_fd. Returns 0 or -errno. */
static int replace(int link_fd, int new_fd, int old_fd)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts, .flags = BPF_F_REPLACE,
		    .old_prog_fd = old_fd);

	return bpf_link_update(link_fd, new_fd, &opts);
}

static void replace_program(void)
{
	struct bpf_link *link = NULL;
	int fd;

	if (!setup())
		goto out;
	link = bpf_program__attach_lsm(prog(A));
	if (!ASSERT_OK_PTR(link, "attach"))
		goto out;
	fd = bpf_link__fd(link);
	ASSERT_STREQ(who_runs(), "A", "before");
	ASSERT_EQ(linked_prog_id(fd), prog_id(prog_fd(A)), "program before");

	ASSERT_OK(bpf_link__update_program(link, prog(B)), "update");
	ASSERT_STREQ(who_runs(), "B", "after");
	ASSERT_EQ(linked_prog_id(fd), prog_id(prog_fd(B)), "program after");

	ASSERT_OK(bpf_link__update_program(link, prog(A)), "update back");
	ASSERT_STREQ(who_runs(), "A", "back");
	ASSERT_EQ(linked_prog_id(fd), prog_id(prog_fd(A)), "program back");

	if (lsm_enforcing()) {
		ASSERT_OK(bpf_link__update_program(link, skel->progs.prog_deny), "update to deny");
		ASSERT_EQ(call_hook(), -EACCES, "denied");
	}
	bpf_link__destroy(link);
	link = NULL;
	ASSERT_OK(call_hook(), "after close");
	ASSERT_STREQ(who_runs(), "", "after close");
out:
	bpf_link__destroy(link);
	teardown();
}

static void position_is_kept(void)
{
	static const char *const expected[] = { "DBC", "ADC", "ABD" };
	int links[] = { -1, -1, -1 }, slot;

	if (!setup())
		goto out;
	for (slot = A; slot <= C; slot++) {
		links[slot] = lsm_raw_tp_open(prog_fd(slot));
		if (!ASSERT_OK_FD(links[slot], "attach"))
			goto out;
	}
	for (slot = A; slot <= C; slot++) {
		ASSERT_STREQ(who_runs(), "ABC", "before");
		ASSERT_OK(bpf_link_update(links[slot], prog_fd(D), NULL), "update");
		ASSERT_STREQ(who_runs(), expected[slot], "after");
		ASSERT_OK(bpf_link_update(links[slot], prog_fd(slot), NULL), "update back");
	}
	ASSERT_STREQ(who_runs(), "ABC", "all are back");

	/* Whoever is attached later comes after the one that was updated. */
	ASSERT_OK(bpf_link_update(links[C], prog_fd(D), NULL), "update the last");
	close(links[A]);
	links[A] = lsm_raw_tp_open(prog_fd(A));
	ASSERT_OK_FD(links[A], "attach again");
	ASSERT_STREQ(who_runs(), "BDA", "with a newcomer");
out:
	for (slot = A; slot <= C; slot++)
		if (links[slot] >= 0)
			close(links[slot]);
	teardown();
}

static void cookie_is_kept(void)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .tracing.cookie = COOKIE);
	int fd = -1, other = -1;

	if (!setup())
		goto out;
	fd = bpf_link_create(prog_fd(A), 0, BPF_LSM_MAC, &opts);
	other = lsm_link_create(prog_fd(C));
	if (!ASSERT_OK_FD(fd, "attach with a cookie") || !ASSERT_OK_FD(other, "attach without"))
		goto out;
	ASSERT_STREQ(who_runs(), "AC", "before");
	ASSERT_EQ(skel->bss->cookies[A], COOKIE, "cookie before");
	ASSERT_OK(bpf_link_update(fd, prog_fd(B), NULL), "update");
	ASSERT_STREQ(who_runs(), "BC", "after");
	ASSERT_EQ(skel->bss->cookies[B], COOKIE, "cookie after");
	ASSERT_OK(bpf_link_update(other, prog_fd(D), NULL), "update the other");
	ASSERT_STREQ(who_runs(), "BD", "after both");
	ASSERT_EQ(skel->bss->cookies[B], COOKIE, "cookie after both");
	ASSERT_EQ(skel->bss->cookies[D], 0, "no cookie after both");
out:
	if (other >= 0)
		close(other);
	if (fd >= 0)
		close(fd);
	teardown();
}

static void expected_program(void)
{
	LIBBPF_OPTS(bpf_link_update_opts, no_flag);
	LIBBPF_OPTS(bpf_link_update_opts, bad_flag, .flags = BPF_F_REPLACE << 1);
	int fd = -1;

	if (!setup())
		goto out;
	fd = lsm_raw_tp_open(prog_fd(A));
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	ASSERT_EQ(replace(fd, prog_fd(B), prog_fd(C)), -EPERM, "another is attached");
	ASSERT_EQ(replace(fd, prog_fd(B), prog_fd(B)), -EPERM, "the new one is not attached");
	ASSERT_EQ(replace(fd, prog_fd(A), prog_fd(B)), -EPERM, "same program, wrong one expected");
	ASSERT_EQ(replace(fd, prog_fd(B), -1), -EBADF, "no program expected");
	ASSERT_STREQ(who_runs(), "A", "after refusals");

	no_flag.old_prog_fd = prog_fd(A);
	ASSERT_EQ(bpf_link_update(fd, prog_fd(B), &no_flag), -EINVAL, "expected without the flag");
	ASSERT_EQ(bpf_link_update(fd, prog_fd(B), &bad_flag), -EINVAL, "unknown flag");
	ASSERT_STREQ(who_runs(), "A", "after wrong flags");

	ASSERT_OK(replace(fd, prog_fd(B), prog_fd(A)), "replace A");
	ASSERT_STREQ(who_runs(), "B", "after A was replaced");
	ASSERT_EQ(replace(fd, prog_fd(C), prog_fd(A)), -EPERM, "A is not attached any more");
	ASSERT_OK(replace(fd, prog_fd(C), prog_fd(B)), "replace B");
	ASSERT_STREQ(who_runs(), "C", "after B was replaced");
out:
	if (fd >= 0)
		close(fd);
	teardown();
}

static void wrong_program(void)
{
	__u32 id;
	int fd = -1;

	if (!setup())
		goto out;
	fd = lsm_raw_tp_open(prog_fd(A));
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	id = linked_prog_id(fd);
	ASSERT_EQ(bpf_link_update(fd, bpf_program__fd(skel->progs.other_hook), NULL), -EINVAL,
		  "another hook");
	ASSERT_EQ(bpf_link_update(fd, bpf_program__fd(skel->progs.other_type), NULL), -EINVAL,
		  "fentry");
	ASSERT_EQ(bpf_link_update(fd, bpf_program__fd(skel->progs.not_tracing), NULL), -EINVAL,
		  "socket filter");
	ASSERT_EQ(bpf_link_update(fd, bpf_map__fd(skel->maps.bss), NULL), -EINVAL, "a map");
	ASSERT_EQ(bpf_link_update(fd, -1, NULL), -EBADF, "no program");
	ASSERT_EQ(bpf_link_update(prog_fd(A), prog_fd(B), NULL), -EINVAL, "no link");
	ASSERT_STREQ(who_runs(), "A", "after refusals");
	ASSERT_EQ(linked_prog_id(fd), id, "program after refusals");
out:
	if (fd >= 0)
		close(fd);
	teardown();
}

static void same_program(void)
{
	int fd = -1, rounds;
	__u32 id;

	if (!setup())
		goto out;
	fd = lsm_raw_tp_open(prog_fd(A));
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	id = linked_prog_id(fd);
	for (rounds = 0; rounds < 10; rounds++) {
		ASSERT_OK(bpf_link_update(fd, prog_fd(A), NULL), "update");
		ASSERT_OK(replace(fd, prog_fd(A), prog_fd(A)), "replace");
	}
	ASSERT_STREQ(who_runs(), "A", "after");
	ASSERT_EQ(linked_prog_id(fd), id, "program after");
	close(fd);
	fd = -1;
	ASSERT_STREQ(who_runs(), "", "after close");
	teardown();
	ASSERT_TRUE(lsm_prog_goes(id), "program is freed");
out:
	if (fd >= 0)
		close(fd);
	teardown();
}

/* A program is in a hook once at most, however it gets there. */
static void attached_by_another_link(void)
{
	int a = -1, b = -1;

	if (!setup())
		goto out;
	a = lsm_raw_tp_open(prog_fd(A));
	b = lsm_raw_tp_open(prog_fd(B));
	if (!ASSERT_OK_FD(a, "attach A") || !ASSERT_OK_FD(b, "attach B"))
		goto out;
	ASSERT_EQ(bpf_link_update(a, prog_fd(B), NULL), -EBUSY, "B is attached");
	ASSERT_EQ(replace(a, prog_fd(B), prog_fd(A)), -EBUSY, "B is attached, A expected");
	ASSERT_STREQ(who_runs(), "AB", "after the refusal");
	ASSERT_OK(bpf_link_update(b, prog_fd(C), NULL), "replace B");
	ASSERT_EQ(lsm_raw_tp_open(prog_fd(C)), -EBUSY, "attach C once more");
	ASSERT_OK(bpf_link_update(a, prog_fd(B), NULL), "B is free");
	ASSERT_STREQ(who_runs(), "BC", "after both updates");
	close(a);
	a = lsm_raw_tp_open(prog_fd(A));
	ASSERT_OK_FD(a, "A is free");
	ASSERT_STREQ(who_runs(), "CA", "after A came back");
out:
	if (b >= 0)
		close(b);
	if (a >= 0)
		close(a);
	teardown();
}

static void detach_link(void)
{
	struct bpf_link *link = NULL;
	int fd, other = -1;
	__u32 id;

	if (!setup())
		goto out;
	link = bpf_program__attach_lsm(prog(A));
	other = lsm_raw_tp_open(prog_fd(B));
	if (!ASSERT_OK_PTR(link, "attach A") || !ASSERT_OK_FD(other, "attach B"))
		goto out;
	fd = bpf_link__fd(link);
	id = linked_prog_id(fd);
	ASSERT_STREQ(who_runs(), "AB", "before");
	ASSERT_OK(bpf_link__detach(link), "detach");
	ASSERT_STREQ(who_runs(), "B", "after");
	ASSERT_OK(bpf_link__detach(link), "detach again");
	ASSERT_STREQ(who_runs(), "B", "after once more");

	/* The link is still there, and knows what it attached. */
	ASSERT_EQ(linked_prog_id(fd), id, "program of the link");
	ASSERT_EQ(bpf_link_update(fd, prog_fd(C), NULL), -ENOLINK, "update");
	ASSERT_EQ(bpf_link_update(fd, prog_fd(A), NULL), -ENOLINK, "update to the same");
	ASSERT_EQ(replace(fd, prog_fd(C), prog_fd(B)), -ENOLINK, "replace");
	ASSERT_STREQ(who_runs(), "B", "after updates");

	/* What it did attach is free, and none of its business any more. */
	close(other);
	ASSERT_STREQ(who_runs(), "", "nobody is left");
	other = lsm_raw_tp_open(prog_fd(A));
	ASSERT_OK_FD(other, "attach A by another link");
	ASSERT_OK(bpf_link__detach(link), "detach the first link again");
	bpf_link__destroy(link);
	link = NULL;
	ASSERT_STREQ(who_runs(), "A", "after the first link has gone");
out:
	if (other >= 0)
		close(other);
	bpf_link__destroy(link);
	teardown();
}

/* Nothing but the link holds the new program, and nothing at all the old one. */
static void references(void)
{
	int fd = -1, rounds;
	__u32 a, b, c;

	if (!setup())
		goto out;
	fd = lsm_raw_tp_open(prog_fd(A));
	if (!ASSERT_OK_FD(fd, "attach"))
		goto out;
	a = prog_id(prog_fd(A));
	b = prog_id(prog_fd(B));
	c = prog_id(prog_fd(C));
	for (rounds = 0; rounds < 10; rounds++) {
		ASSERT_OK(bpf_link_update(fd, prog_fd(B), NULL), "update to B");
		ASSERT_EQ(replace(fd, prog_fd(D), prog_fd(C)), -EPERM, "refused");
		ASSERT_OK(replace(fd, prog_fd(A), prog_fd(B)), "update to A");
	}
	ASSERT_OK(bpf_link_update(fd, prog_fd(C), NULL), "update to C");
	teardown();

	ASSERT_TRUE(lsm_prog_goes(a), "A is freed");
	ASSERT_TRUE(lsm_prog_goes(b), "B is freed");
	ASSERT_EQ(linked_prog_id(fd), c, "C is attached");
	close(fd);
	fd = -1;
	ASSERT_TRUE(lsm_prog_goes(c), "C is freed");
out:
	if (fd >= 0)
		close(fd);
	teardown();
}

/* The first allocation fails, then the second, until there are no more. */
static void update_without_memory(void)
{
	int fd = -1, fail = -1, other = -1, nth, err;
	bool failed;

	if (!setup())
		goto out;
	fail = lsm_open_fail_nth();
	if (fail < 0)
		goto out;
	fd = lsm_raw_tp_open(prog_fd(A));
	other = lsm_raw_tp_open(prog_fd(C));
	if (!ASSERT_OK_FD(fd, "attach A") || !ASSERT_OK_FD(other, "attach C"))
		goto out;
	for (nth = 1; nth < 100; nth++) {
		if (!ASSERT_TRUE(lsm_fail_nth(fail, nth), "order a failure"))
			goto out;
		err = bpf_link_update(fd, prog_fd(B), NULL);
		failed = lsm_has_failed(fail);
		lsm_fail_nth(fail, 0);
		if (!failed)
			break;
		if (!err) {
			/* Somebody could do without. */
			ASSERT_STREQ(who_runs(), "BC", "updated");
			ASSERT_OK(bpf_link_update(fd, prog_fd(A), NULL), "update back");
			continue;
		}
		ASSERT_EQ(err, -ENOMEM, "update without memory");
		ASSERT_STREQ(who_runs(), "AC", "not updated");
		ASSERT_EQ(linked_prog_id(fd), prog_id(prog_fd(A)), "program not updated");
	}
	ASSERT_GT(nth, 1, "allocations that failed");
	ASSERT_OK(err, "update with memory");
	ASSERT_STREQ(who_runs(), "BC", "updated with memory");
out:
	if (other >= 0)
		close(other);
	if (fd >= 0)
		close(fd);
	if (fail >= 0)
		close(fail);
	teardown();
}

/* A detach succeeds all the same, and what is left of the program goes as soon
 * as there is memory.
 */
static void detach_without_memory(void)
{
	int fd = -1, fail = -1, other = -1, nth, tries, err;
	const char *who = "";
	bool failed = true;

	if (!setup())
		goto out;
	fail = lsm_open_fail_nth();
	if (fail < 0)
		goto out;
	other = lsm_raw_tp_open(prog_fd(C));
	if (!ASSERT_OK_FD(other, "attach C"))
		goto out;
	for (nth = 1; failed && nth < 100; nth++) {
		fd = lsm_raw_tp_open(prog_fd(A));
		if (!ASSERT_OK_FD(fd, "attach A") ||
		    !ASSERT_TRUE(lsm_fail_nth(fail, nth), "order a failure"))
			goto out;
		err = bpf_link_detach(fd);
		failed = lsm_has_failed(fail);
		lsm_fail_nth(fail, 0);
		ASSERT_OK(err, "detach without memory");
		for (tries = 0; tries < 500; tries++) {
			who = who_runs();
			if (!strcmp(who, "C"))
				break;
			ASSERT_STREQ(who, "CA", "old chain in force");
			usleep(10 * 1000);
		}
		ASSERT_STREQ(who, "C", "A has gone");
		close(fd);
		fd = -1;
	}
	ASSERT_GT(nth, 2, "allocations that failed");
out:
	if (fd >= 0)
		close(fd);
	if (other >= 0)
		close(other);
	if (fail >= 0)
		close(fail);
	teardown();
}

void test_lsm_update(void)
{
	if (test__start_subtest("replace_program"))
		replace_program();
	if (test__start_subtest("position_is_kept"))
		position_is_kept();
	if (test__start_subtest("cookie_is_kept"))
		cookie_is_kept();
	if (test__start_subtest("expected_program"))
		expected_program();
	if (test__start_subtest("wrong_program"))
		wrong_program();
	if (test__start_subtest("same_program"))
		same_program();
	if (test__start_subtest("attached_by_another_link"))
		attached_by_another_link();
	if (test__start_subtest("detach_link"))
		detach_link();
	if (test__start_subtest("references"))
		references();
	if (test__start_subtest("update_without_memory"))
		update_without_memory();
	if (test__start_subtest("detach_without_memory"))
		detach_without_memory();
}
