// SPDX-License-Identifier: GPL-2.0
/* A client of the BPF LSM as one writes it with a skeleton.
 *
 *	skeleton deny	attach, be denied, destroy
 *	skeleton pin	the same by way of a pin
 *	skeleton update	replace a program by another
 *	skeleton attach PROG LINK	attach a pinned program, pin the link
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "check.h"
#include "policy.skel.h"

#define PIN "/sys/fs/bpf/krsi_skeleton"

static bool denied(void)
{
	if (getpgid(getpid()) >= 0)
		return false;
	check(errno == EACCES);
	return true;
}

static struct policy *load(void)
{
	struct policy *skel = policy__open();

	check(skel);
	check(!policy__load(skel));
	check(!denied());
	return skel;
}

static void deny(void)
{
	struct policy *skel = load();

	check(!policy__attach(skel));
	check(denied());
	check(skel->bss->denials == 1);
	policy__detach(skel);
	check(!denied());
	check(!policy__attach(skel));
	check(denied());
	check(skel->bss->denials == 2);
	policy__destroy(skel);
	check(!denied());
}

static void pin(void)
{
	struct policy *skel = load();
	struct bpf_link *link;

	link = bpf_program__attach(skel->progs.deny);
	check(link);
	check(!bpf_link__pin(link, PIN));
	bpf_link__destroy(link);
	policy__destroy(skel);
	check(denied());

	link = bpf_link__open(PIN);
	check(link);
	check(!bpf_link__unpin(link));
	check(denied());
	bpf_link__destroy(link);
	check(!denied());
}

static void update(void)
{
	struct policy *skel = load();
	struct bpf_link *link;

	link = bpf_program__attach_lsm(skel->progs.count);
	check(link);
	check(!denied());
	check(skel->bss->calls == 1);
	check(!bpf_link__update_program(link, skel->progs.deny));
	check(denied());
	check(skel->bss->denials == 1);
	check(skel->bss->calls == 1);
	check(!bpf_link__update_program(link, skel->progs.count));
	check(!denied());
	check(skel->bss->calls == 2);
	bpf_link__destroy(link);
	policy__destroy(skel);
}

static void attach(const char *prog, const char *link)
{
	int prog_fd = bpf_obj_get(prog);
	int link_fd;

	check(prog_fd >= 0);
	link_fd = bpf_link_create(prog_fd, 0, BPF_LSM_MAC, NULL);
	check(link_fd >= 0);
	check(!bpf_obj_pin(link_fd, link));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} commands[] = {
		{ "deny", deny }, { "pin", pin }, { "update", update },
	};
	size_t i;

	printf("libbpf %s\n", libbpf_version_string());
	if (argc == 4 && !strcmp(argv[1], "attach")) {
		attach(argv[2], argv[3]);
		return 0;
	}
	check(!prctl(PR_SET_NAME, "krsi_victim"));
	for (i = 0; argc == 2 && i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		commands[i].run();
		return 0;
	}
	fprintf(stderr, "usage: skeleton { deny | pin | update | attach PROG LINK }\n");
	return 2;
}
