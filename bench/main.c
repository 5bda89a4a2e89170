// SPDX-License-Identifier: GPL-2.0
/*
 * The only process of the machine: makes ready, answers one kind of question,
 * reports and switches off.
 *
 *   init CLOCK QUESTION WORD...
 *
 *   CLOCK      instructions or nanoseconds
 *   boot       how long it took to get here
 *   call       a system call in several states: its name, and the states
 *   trace      the same, for "make listing": its name, and one state
 *   crossed    the hooks that calls cross: their names
 *   links      attaching and so on: see links.c
 *   trampolines, memory
 */
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static const struct {
	const char *type, *folder;
} mounts[] = {
	{ "proc", "/proc" },
	{ "sysfs", "/sys" },
	{ "devtmpfs", "/dev" },
	{ "tmpfs", "/tmp" },
	{ "cgroup2", "/sys/fs/cgroup" },
};

void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "bench: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	fflush(stderr);
	reboot(RB_AUTOBOOT);
	_exit(1);
}

static void mount_all(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(mounts); i++) {
		mkdir(mounts[i].folder, 0755);
		/* A kernel may have mounted /dev before. */
		if (mount(mounts[i].type, mounts[i].folder, mounts[i].type, 0, NULL) &&
		    errno != EBUSY)
			die("%s: %m", mounts[i].folder);
	}
}

static void raise_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request))
		die("the loopback device: %m");
	close(fd);
}

/* Ticks of the TSC since the machine was switched on, firmware and waiting included. */
void measure_boot(uint64_t started)
{
	report_case("boot");
	report_value("until_init", started);
	report_end_case();
}

int main(int argc, char **argv)
{
	uint64_t started = clock_read();
	const char *question;

	if (argc < 3)
		die("says neither what to measure nor by which clock");
	clock_init(!strcmp(argv[1], "nanoseconds"));
	question = argv[2];
	argc -= 3;
	argv += 3;
	mount_all();
	raise_loopback();
	report_open();
	hooks_init();
	scatter();
	if (!strcmp(question, "boot"))
		measure_boot(started);
	else if (!strcmp(question, "call") && argc)
		measure_call(call_named(argv[0]), argc - 1, argv + 1);
	else if (!strcmp(question, "trace") && argc == 2)
		trace_call(call_named(argv[0]), argv[1]);
	else if (!strcmp(question, "crossed"))
		count_hooks(argc, argv);
	else if (!strcmp(question, "links"))
		measure_links(argc, argv);
	else if (!strcmp(question, "trampolines"))
		measure_trampolines(argc, argv);
	else if (!strcmp(question, "memory"))
		measure_memory();
	else
		die("there is no question '%s'", question);
	report_flush();
	reboot(RB_AUTOBOOT);
	die("the machine does not switch off: %m");
}
