// SPDX-License-Identifier: GPL-2.0
/*
 * Other users of the BPF trampoline, who shall pay what they did.
 *
 *   trampolines/bare         mprotect(), as it is
 *   trampolines/fentry       the same, with a program on security_file_mprotect()
 *   trampolines/fexit
 *   trampolines/fmod_ret
 *   trampolines/setsockopt   to another TCP congestion control and back, both the kernel's
 *   trampolines/struct_ops   the same, one of them made of programs: two of them run
 */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "struct_ops.skel.h"

#define FUNCTION "security_file_mprotect"

static const struct {
	const char *name;
	int attach_type;
} kinds[] = {
	{ "fentry", BPF_TRACE_FENTRY },
	{ "fexit", BPF_TRACE_FEXIT },
	{ "fmod_ret", BPF_MODIFY_RETURN },
};

static int tcp_socket;
static const char *algorithm;

static long set(const char *name)
{
	return setsockopt(tcp_socket, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name));
}

static long run_there_and_back(void)
{
	return set(algorithm) | set("reno");
}

static const struct call there_and_back = {
	.name = "setsockopt",
	.run = run_there_and_back,
};

static void run(const struct call *call)
{
	struct figure figure;

	clock_settle();
	if (call->run())
		die("%s: %m", call->name);
	clock_figure(&figure, call);
	report_figure(&figure);
}

static void trace(const char *name)
{
	const struct call *call = call_named("mprotect");
	int prog, link, type = -1;
	size_t i;

	call->prepare();
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].name, name))
			type = kinds[i].attach_type;
	if (type < 0)
		die("there is no trampoline '%s'", name);
	prog = load_tracing(function_btf_id(FUNCTION), type);
	if (prog < 0) {
		report_unavailable(program_refusal());
		return;
	}
	link = attach_tracing(prog, type);
	if (link < 0)
		report_unavailable(strerror(-link));
	else
		run(call);
	close(link);
	close(prog);
}

static void switch_algorithm(const char *name)
{
	if (!tcp_socket)
		tcp_socket = socket(AF_INET, SOCK_STREAM, 0);
	algorithm = name;
	run(&there_and_back);
}

static void struct_ops(void)
{
	struct struct_ops *skel = struct_ops__open_and_load();
	struct bpf_link *link = skel ? bpf_map__attach_struct_ops(skel->maps.bench) : NULL;

	if (!link)
		die("struct_ops: %m");
	switch_algorithm("bench");
	bpf_link__destroy(link);
	struct_ops__destroy(skel);
}

void measure_trampolines(int nr, char **names)
{
	int i;

	for (i = 0; i < nr; i++) {
		report_case("trampolines/%s", names[i]);
		if (!strcmp(names[i], "bare")) {
			const struct call *call = call_named("mprotect");

			call->prepare();
			run(call);
		} else if (!strcmp(names[i], "setsockopt")) {
			switch_algorithm("cubic");
		} else if (!strcmp(names[i], "struct_ops")) {
			struct_ops();
		} else {
			trace(names[i]);
		}
	}
}
