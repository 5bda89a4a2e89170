// SPDX-License-Identifier: GPL-2.0
/*
 * Runs kernel selftests written for test_progs and reports them as KTAP.
 *
 * Each test runs in a process of its own. Two pipes lead from it to the
 * parent, which is the only one that writes the report:
 *
 *   log      stdout and stderr of the test and of everything it starts
 *   events   a subtest begins, an assertion failed, ...: struct event
 *
 * The parent empties the log before it looks at an event and then answers it;
 * the test waits for the answer. So every line of the log belongs to what was
 * going on when it was written. A test that dies never sends EV_DONE: silence
 * is not success.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "test_progs.h"
#include "cgroup_helpers.h"

/* This file implements test__fail(): no macro may stand in its way. */
#undef test__fail

#define EXIT_TEST_FAILED 1
#define EXIT_USAGE 2

#define LOG_MAX (128 * 1024)
#define KTAP_HEADER "KTAP version 1"
#define INDENT "    "

struct prog_test_def {
	const char *name;
	void (*run)(void);
	void (*run_serial)(void);
	bool needs_cgroup_cleanup;
};

#define DEFINE_TEST(name)				\
	extern void test_##name(void) __weak;		\
	extern void serial_test_##name(void) __weak;
#include "runner_tests.h"
#undef DEFINE_TEST

static struct prog_test_def tests[] = {
#define DEFINE_TEST(name) { #name, test_##name, serial_test_##name },
#include "runner_tests.h"
#undef DEFINE_TEST
};

#define NR_TESTS (int)(sizeof(tests) / sizeof(tests[0]))

/* What the command line asks for. */
static struct {
	FILE *report;
	char **patterns;	/* NAME or NAME/SUBTEST; none means all */
	int nr_patterns;
	int timeout;		/* seconds for one test, 0 for no limit */
	bool verbose;
	bool announce;		/* in the kernel log */
} options;

/* ------------------------------------------------------------ selection */

/* Does @pattern, up to its slash, name the test @name? */
static bool pattern_names_test(const char *pattern, const char *name)
{
	char *test = strndup(pattern, strcspn(pattern, "/"));
	bool match = test && !fnmatch(test, name, 0);

	free(test);
	return match;
}

static bool test_selected(const char *name)
{
	int i;

	for (i = 0; i < options.nr_patterns; i++)
		if (pattern_names_test(options.patterns[i], name))
			return true;
	return !options.nr_patterns;
}

static bool subtest_selected(const char *test, const char *subtest)
{
	const char *slash;
	int i;

	for (i = 0; i < options.nr_patterns; i++) {
		if (!pattern_names_test(options.patterns[i], test))
			continue;
		slash = strchr(options.patterns[i], '/');
		if (!slash || !fnmatch(slash + 1, subtest, 0))
			return true;
	}
	return !options.nr_patterns;
}

/* --------------------------------------- the test's side: test_progs API */

enum event_kind {
	EV_SUBTEST,	/* begins; @text is its name */
	EV_SUBTEST_END,
	EV_FAIL,
	EV_SKIP,
	EV_FORCE_LOG,
	EV_DONE,	/* the test function has returned */
};

struct event {
	enum event_kind kind;
	char text[256];
};

struct test_env env = {};
int env_verbosity;

static int event_fd = -1;

static void send_event(enum event_kind kind, const char *text)
{
	struct event event = { .kind = kind };
	int saved_errno = errno;
	char answer;

	snprintf(event.text, sizeof(event.text), "%s", text ?: "");
	/* The log that belongs to this event has to be in the pipe first. */
	fflush(stdout);
	if (send(event_fd, &event, sizeof(event), MSG_NOSIGNAL) < 0 ||
	    TEMP_FAILURE_RETRY(recv(event_fd, &answer, 1, 0)) != 1)
		_exit(EXIT_USAGE);
	errno = saved_errno;
}

void test__fail(void)
{
	if (env.subtest_state)
		env.subtest_state->error_cnt++;
	else
		env.test_state->error_cnt++;
	send_event(EV_FAIL, NULL);
}

/*
 * The assertion prints its message right after this call: file and line stay
 * on the same line of the log.
 */
void runner_fail_at(const char *file, int line)
{
	const char *name = strrchr(file, '/');

	while (name && name > file && name[-1] != '/')
		name--;
	test__fail();
	fprintf(stdout, "%s:%d: ", name ?: file, line);
}

void test__skip(void)
{
	if (env.subtest_state)
		env.subtest_state->skipped = true;
	else
		env.test_state->skip_cnt++;
	send_event(EV_SKIP, NULL);
}

void test__force_log(void)
{
	env.test_state->force_log = true;
	send_event(EV_FORCE_LOG, NULL);
}

void test__end_subtest(void)
{
	if (!env.subtest_state)
		return;
	if (env.subtest_state->error_cnt)
		env.test_state->error_cnt++;
	free(env.subtest_state->name);
	free(env.subtest_state);
	env.subtest_state = NULL;
	send_event(EV_SUBTEST_END, NULL);
}

/*
 * A test may give two subtests the same name; a report must not. The second
 * one of a name is called "name (2)". Returns NULL without memory.
 */
static char *unique_name(const char *name)
{
	static struct { char *name; int uses; } *seen;
	static int nr_seen;
	char *unique;
	int i;

	for (i = 0; i < nr_seen; i++)
		if (!strcmp(seen[i].name, name))
			break;
	if (i == nr_seen) {
		seen = reallocarray(seen, nr_seen + 1, sizeof(*seen));
		if (!seen)
			return NULL;
		seen[nr_seen].name = strdup(name);
		seen[nr_seen].uses = 0;
		nr_seen++;
	}
	if (!seen[i].uses++)
		return strdup(name);
	return asprintf(&unique, "%s (%d)", name, seen[i].uses) < 0 ? NULL : unique;
}

bool test__start_subtest(const char *name)
{
	char *unique;

	test__end_subtest();
	unique = unique_name(name);
	if (!unique || !subtest_selected(env.test->name, unique)) {
		free(unique);
		return false;
	}

	env.subtest_state = calloc(1, sizeof(*env.subtest_state));
	if (!env.subtest_state)
		return false;
	env.subtest_state->name = unique;
	env.test_state->subtest_num++;
	send_event(EV_SUBTEST, unique);
	return true;
}

int test__join_cgroup(const char *path)
{
	int fd;

	if (!env.test->needs_cgroup_cleanup) {
		if (setup_cgroup_environment())
			return -1;
		env.test->needs_cgroup_cleanup = true;
	}

	fd = create_and_get_cgroup(path);
	if (fd < 0)
		return fd;
	if (join_cgroup(path)) {
		close(fd);
		return -1;
	}
	return fd;
}

static FILE *libbpf_capture;
static char *libbpf_captured;
static size_t libbpf_captured_size;

int start_libbpf_log_capture(void)
{
	if (libbpf_capture)
		return -EINVAL;
	libbpf_capture = open_memstream(&libbpf_captured, &libbpf_captured_size);
	return libbpf_capture ? 0 : -EINVAL;
}

char *stop_libbpf_log_capture(void)
{
	if (!libbpf_capture)
		return NULL;
	fclose(libbpf_capture);
	libbpf_capture = NULL;
	return libbpf_captured;
}

static int print_libbpf(enum libbpf_print_level level, const char *format,
			va_list args)
{
	va_list copy;

	if (level == LIBBPF_DEBUG)
		return 0;
	if (libbpf_capture) {
		va_copy(copy, args);
		vfprintf(libbpf_capture, format, copy);
		va_end(copy);
	}
	return vfprintf(stdout, format, args);
}

/* "func:PASS:tag 0 nsec": what every assertion that holds prints. */
static bool is_pass_line(const char *line)
{
	const char *colon = strchr(line, ':');

	return colon && !strncmp(colon, ":PASS:", strlen(":PASS:"));
}

/*
 * Assertions print a line when they hold, too, and nobody asked for it. Some
 * tests count the system calls that they make: there must not be one for it.
 */
static ssize_t write_stdout(void *cookie, const char *text, size_t len)
{
	char line[128];

	snprintf(line, sizeof(line), "%.*s", (int)len, text);
	if (!options.verbose && is_pass_line(line) &&
	    memchr(text, '\n', len) == text + len - 1)
		return len;
	return write(STDOUT_FILENO, text, len);
}

/* Tests start programs that lie beside this one, as ./NAME. */
static void enter_own_folder(void)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (len < 0)
		return;
	path[len] = '\0';
	*strrchr(path, '/') = '\0';
	if (chdir(path))
		perror("lsm_tests: chdir");
}

static void run_in_child(struct prog_test_def *test, int log_fd)
{
	static const cookie_io_functions_t to_stdout = { .write = write_stdout };
	static struct test_state state;
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	enter_own_folder();
	/* The parent ends the whole session, should the test leave one. */
	setsid();
	dup2(null_fd, STDIN_FILENO);
	dup2(log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	stdout = fopencookie(NULL, "w", to_stdout);
	setvbuf(stdout, NULL, _IOLBF, 0);

	env.test = test;
	env.test_state = &state;
	env.stdout_saved = stdout;
	env.stderr_saved = stderr;
	env.worker_id = -1;
	env.jit_enabled = is_jit_enabled();
	env.has_testmod = !access("/sys/module/bpf_testmod", F_OK);
	env.nr_cpus = libbpf_num_possible_cpus();
	env.saved_netns_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (options.verbose)
		env.verbosity = VERBOSE_NORMAL;
	env_verbosity = env.verbosity;

	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(print_libbpf);
	srand(time(NULL));

	if (test->run)
		test->run();
	else
		test->run_serial();

	test__end_subtest();
	if (test->needs_cgroup_cleanup)
		cleanup_cgroup_environment();
	send_event(EV_DONE, NULL);
	exit(0);
}

/* ------------------------------------------- the parent's side: the report */

/* One test, as far as its process has told. */
struct run {
	struct prog_test_def *test;
	int nr_subtests;
	int nr_skipped;		/* subtests */
	bool done;		/* EV_DONE came */
	bool failed;
	bool skipped;		/* the test as such, outside any subtest */
	char subtest[256];	/* that is running, or "" */
	bool subtest_failed;
	bool subtest_skipped;
	char reason[256];	/* for the skip */
	bool show_log;		/* lines go straight to the report */
	char *log;		/* lines held back, and the unfinished last one */
	size_t log_len;
};

/* Should the machine die now, what was reported is on the disk. */
static void sync_report(void)
{
	fflush(options.report);
	fsync(fileno(options.report));
}

__attribute__((format(printf, 2, 3)))
static void report(const char *indent, const char *format, ...)
{
	va_list args;

	fputs(indent, options.report);
	va_start(args, format);
	vfprintf(options.report, format, args);
	va_end(args);
	fputc('\n', options.report);
	sync_report();
}

/*
 * A line in the kernel's log says during which test the others came. Opened
 * anew each time, because the kernel limits the rate for each open file.
 */
static void announce(const char *test, const char *subtest)
{
	char line[512];
	int fd, len;

	if (!options.announce)
		return;
	len = snprintf(line, sizeof(line), "lsm_tests: %s%s%s\n", test,
		       *subtest ? "/" : "", subtest);
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, line, len) != len)
		perror("lsm_tests: /dev/kmsg");
	close(fd);
}

static const char *run_indent(const struct run *run)
{
	return run->nr_subtests ? INDENT : "";
}

static void report_log_line(struct run *run, char *line)
{
	char *p;

	for (p = line; *p; p++)
		if ((unsigned char)*p < ' ' && *p != '\t')
			*p = '?';
	fprintf(options.report, "%s# %s\n", run_indent(run), line);
}

/* The reason that test authors print before they call test__skip(). */
static void note_skip_reason(struct run *run, const char *line)
{
	const char *reason = strstr(line, "SKIP:");

	if (!reason)
		return;
	reason += strlen("SKIP:");
	reason += strspn(reason, " ");
	snprintf(run->reason, sizeof(run->reason), "%s", reason);
}

static const char *skip_reason(const struct run *run)
{
	return *run->reason ? run->reason : "no reason given";
}

/* Take complete lines out of the log; @all also takes the unfinished one. */
static void flush_log(struct run *run, bool all)
{
	char *line = run->log, *end;
	char *limit = run->log + run->log_len;

	while (line < limit) {
		end = memchr(line, '\n', limit - line);
		if (!end) {
			if (!all)
				break;
			end = limit;
		}
		*end = '\0';	/* there is always room for one byte more */
		note_skip_reason(run, line);
		if (*line && (options.verbose || !is_pass_line(line)))
			report_log_line(run, line);
		line = end + 1;
	}
	run->log_len = line < limit ? limit - line : 0;
	memmove(run->log, line, run->log_len);
	sync_report();
}

/* A passed test's log is of no interest, but for the reason of a skip, and for
 * what a test has measured: lines that begin with "note: ".
 */
static void drop_log(struct run *run)
{
	char *line, *end;

	run->log[run->log_len] = '\0';
	for (line = run->log; *line; line = end) {
		end = line + strcspn(line, "\n");
		if (*end)
			*end++ = '\0';
		note_skip_reason(run, line);
		if (!strncmp(line, "note: ", strlen("note: ")))
			report_log_line(run, line);
	}
	run->log_len = 0;
}

/* Of a log that is too long its end says most. */
static void drop_older_half(struct run *run)
{
	char *middle = run->log + run->log_len / 2;
	char *end = memchr(middle, '\n', run->log + run->log_len - middle);

	if (end)
		middle = end + 1;
	run->log_len -= middle - run->log;
	memmove(run->log, middle, run->log_len);
}

/* Read what is in the pipe. Returns false at its end. */
static bool read_log(struct run *run, int fd)
{
	ssize_t len;

	for (;;) {
		if (run->log_len > LOG_MAX / 2)
			drop_older_half(run);
		len = read(fd, run->log + run->log_len, LOG_MAX - run->log_len);
		if (len <= 0)
			break;
		run->log_len += len;
		if (run->show_log)
			flush_log(run, false);
	}
	return len < 0 && errno == EAGAIN;
}

static void end_subtest(struct run *run, const char *error)
{
	bool failed = run->subtest_failed || error;

	if (!*run->subtest)
		return;
	if (failed || run->show_log)
		flush_log(run, true);
	else
		drop_log(run);

	if (error)
		report(INDENT, "not ok %d %s # %s", run->nr_subtests, run->subtest, error);
	else if (failed)
		report(INDENT, "not ok %d %s", run->nr_subtests, run->subtest);
	else if (run->subtest_skipped)
		report(INDENT, "ok %d %s # SKIP %s", run->nr_subtests, run->subtest,
		       skip_reason(run));
	else
		report(INDENT, "ok %d %s", run->nr_subtests, run->subtest);

	if (failed)
		run->failed = true;
	else if (run->subtest_skipped)
		run->nr_skipped++;
	*run->subtest = '\0';
	*run->reason = '\0';
	run->show_log = options.verbose;
}

static void begin_subtest(struct run *run, const char *name)
{
	if (run->show_log)
		flush_log(run, true);
	else
		drop_log(run);
	*run->reason = '\0';

	if (!run->nr_subtests) {
		report(INDENT, KTAP_HEADER);
		report(INDENT, "# Subtest: %s", run->test->name);
	}
	run->nr_subtests++;
	run->subtest_failed = false;
	run->subtest_skipped = false;
	snprintf(run->subtest, sizeof(run->subtest), "%s", name);
	report(INDENT, "# running: %s", name);
	announce(run->test->name, name);
}

static void handle_event(struct run *run, const struct event *event)
{
	switch (event->kind) {
	case EV_SUBTEST:
		begin_subtest(run, event->text);
		break;
	case EV_SUBTEST_END:
		end_subtest(run, NULL);
		break;
	case EV_FAIL:
		if (*run->subtest)
			run->subtest_failed = true;
		else
			run->failed = true;
		if (!run->show_log)
			flush_log(run, false);
		run->show_log = true;
		break;
	case EV_SKIP:
		if (*run->subtest)
			run->subtest_skipped = true;
		else
			run->skipped = true;
		break;
	case EV_FORCE_LOG:
		if (!run->show_log)
			flush_log(run, false);
		run->show_log = true;
		break;
	case EV_DONE:
		run->done = true;
		break;
	}
}

/* Returns false when the other end is gone. */
static bool read_events(struct run *run, int event_sock, int log_fd)
{
	struct event event;
	ssize_t len;

	for (;;) {
		len = recv(event_sock, &event, sizeof(event), MSG_DONTWAIT);
		if (len != sizeof(event))
			break;
		read_log(run, log_fd);
		handle_event(run, &event);
		send(event_sock, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	return len < 0 && errno == EAGAIN;
}

/* Follow the test until its first process has ended or its time is over. */
static bool follow(struct run *run, pid_t pid, int event_sock, int log_fd)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	struct pollfd fds[] = {
		{ .fd = pidfd, .events = POLLIN },
		{ .fd = event_sock, .events = POLLIN },
		{ .fd = log_fd, .events = POLLIN },
	};
	time_t deadline = time(NULL) + options.timeout;
	bool timed_out = false;
	bool ended = false;

	if (pidfd < 0) {
		perror("lsm_tests: pidfd_open");
		exit(EXIT_USAGE);
	}
	while (!ended && !timed_out) {
		int wait_ms = -1;

		if (options.timeout) {
			wait_ms = (deadline - time(NULL)) * 1000;
			timed_out = wait_ms <= 0;
		}
		if (timed_out || poll(fds, 3, wait_ms) < 0)
			continue;
		ended = fds[0].revents;
		if (!read_events(run, event_sock, log_fd))
			fds[1].fd = -1;
		if (!read_log(run, log_fd))
			fds[2].fd = -1;
	}
	close(pidfd);
	return !timed_out;
}

/* Whoever has lost its parent is our child now: kill those. */
static void kill_children(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char path[300], state;
	int pid, parent;
	FILE *stat;

	while (proc && (entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		stat = fopen(path, "re");
		if (!stat)
			continue;
		if (fscanf(stat, "%d (%*[^)]) %c %d", &pid, &state, &parent) == 3 &&
		    parent == getpid())
			kill(pid, SIGKILL);
		fclose(stat);
	}
	if (proc)
		closedir(proc);
}

/* Whoever the test has left behind must not meet the next test. */
static void end_stragglers(pid_t session)
{
	struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	int tries;

	kill(-session, SIGKILL);
	for (tries = 0; tries < 200; tries++) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0)
			return;
		if (!pid) {
			kill_children();
			nanosleep(&pause, NULL);
		}
	}
	report("", "# a process of this test cannot be killed");
}

static void end_run(struct run *run, int number, const char *error)
{
	const char *name = run->test->name;

	if (!error && !run->nr_subtests && !subtest_selected(name, ""))
		error = "ERROR no such subtest";
	end_subtest(run, error);
	if (run->failed || error || run->show_log)
		flush_log(run, true);
	else
		drop_log(run);
	if (run->nr_subtests)
		report(INDENT, "1..%d", run->nr_subtests);

	if (error)
		report("", "not ok %d %s # %s", number, name, error);
	else if (run->failed)
		report("", "not ok %d %s", number, name);
	else if (run->skipped)
		report("", "ok %d %s # SKIP %s", number, name, skip_reason(run));
	else if (run->nr_skipped && run->nr_skipped == run->nr_subtests)
		report("", "ok %d %s # SKIP every subtest was skipped", number, name);
	else
		report("", "ok %d %s", number, name);
	run->failed |= !!error;
}

static bool run_test(struct prog_test_def *test, int number)
{
	struct run run = { .test = test, .show_log = options.verbose };
	char error[128] = "";
	int events[2], log[2];
	int status = 0;
	pid_t pid;

	run.log = malloc(LOG_MAX + 1);
	if (!run.log || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, events) ||
	    pipe2(log, O_CLOEXEC)) {
		perror("lsm_tests");
		exit(EXIT_USAGE);
	}
	fcntl(log[0], F_SETFL, O_NONBLOCK);
	announce(test->name, "");

	pid = fork();
	if (pid < 0) {
		perror("lsm_tests: fork");
		exit(EXIT_USAGE);
	}
	if (!pid) {
		close(events[0]);
		close(log[0]);
		event_fd = events[1];
		run_in_child(test, log[1]);
	}
	close(events[1]);
	close(log[1]);

	if (!follow(&run, pid, events[0], log[0])) {
		kill(pid, SIGKILL);
		snprintf(error, sizeof(error), "TIMEOUT after %d seconds", options.timeout);
	}
	waitpid(pid, &status, 0);
	end_stragglers(pid);
	read_events(&run, events[0], log[0]);
	read_log(&run, log[0]);

	if (*error)
		;
	else if (WIFSIGNALED(status))
		snprintf(error, sizeof(error), "ERROR killed by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (!run.done)
		snprintf(error, sizeof(error), "ERROR the test exited with status %d",
			 WEXITSTATUS(status));
	end_run(&run, number, *error ? error : NULL);

	close(events[0]);
	close(log[0]);
	free(run.log);
	return !run.failed;
}

/* ----------------------------------------------------------- command line */

static void usage(FILE *out)
{
	fputs("Usage: lsm_tests [OPTION]... [NAME[/SUBTEST]]...\n"
	      "Run the kernel selftests called NAME, or all, and report them as KTAP.\n"
	      "NAME and SUBTEST may be shell patterns.\n"
	      "\n"
	      "  -o, --output=FILE  write the report to FILE instead of standard output\n"
	      "  -l, --list         print the names of the tests, one per line\n"
	      "  -t, --timeout=SEC  kill a test that runs longer than SEC seconds\n"
	      "  -k, --kmsg         announce each test and subtest in the kernel log\n"
	      "  -v, --verbose      show the log of tests that pass, too\n"
	      "  -h, --help         print this text\n"
	      "\n"
	      "Exit status: 0 all passed or skipped, 1 a test failed, 2 wrong usage.\n",
	      out);
}

static void bad_usage(const char *what, const char *value)
{
	fprintf(stderr, "lsm_tests: %s '%s'\n", what, value);
	fputs("Try 'lsm_tests --help'.\n", stderr);
	exit(EXIT_USAGE);
}

static FILE *open_or_exit(const char *path)
{
	FILE *file = fopen(path, "we");	/* e: not for the programs that tests start */

	if (!file) {
		fprintf(stderr, "lsm_tests: cannot write %s: %s\n", path, strerror(errno));
		exit(EXIT_USAGE);
	}
	return file;
}

static void parse_arguments(int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "list", no_argument, NULL, 'l' },
		{ "timeout", required_argument, NULL, 't' },
		{ "kmsg", no_argument, NULL, 'k' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	int opt, i, j;
	char *end;

	while ((opt = getopt_long(argc, argv, "o:lt:kvh", longopts, NULL)) != -1) {
		switch (opt) {
		case 'o':
			options.report = open_or_exit(optarg);
			break;
		case 'l':
			for (i = 0; i < NR_TESTS; i++)
				puts(tests[i].name);
			exit(0);
		case 't':
			options.timeout = strtol(optarg, &end, 10);
			if (*end || options.timeout <= 0)
				bad_usage("not a number of seconds:", optarg);
			break;
		case 'k':
			options.announce = true;
			break;
		case 'v':
			options.verbose = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			fputs("Try 'lsm_tests --help'.\n", stderr);
			exit(EXIT_USAGE);
		}
	}

	options.patterns = argv + optind;
	options.nr_patterns = argc - optind;
	for (i = 0; i < options.nr_patterns; i++) {
		for (j = 0; j < NR_TESTS; j++)
			if (pattern_names_test(options.patterns[i], tests[j].name))
				break;
		if (j == NR_TESTS)
			bad_usage("no such test:", options.patterns[i]);
	}
}

int main(int argc, char **argv)
{
	int selected = 0, failed = 0, number = 0;
	int i;

	parse_arguments(argc, argv);
	if (!options.report)
		options.report = stdout;
	/* Orphans of a test become our children, so that they can be reaped. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);

	for (i = 0; i < NR_TESTS; i++)
		selected += test_selected(tests[i].name);

	report("", KTAP_HEADER);
	report("", "1..%d", selected);
	for (i = 0; i < NR_TESTS; i++)
		if (test_selected(tests[i].name))
			failed += !run_test(&tests[i], ++number);
	return failed ? EXIT_TEST_FAILED : 0;
}
