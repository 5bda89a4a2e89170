// SPDX-License-Identifier: GPL-2.0
/*
 * The first and only process of a machine that has nothing else: it loads LSM
 * programs through bpf(2), looks at what they do to it, and reports as KTAP on
 * the console. No libbpf, whose libraries would have to be there for the
 * machine's architecture: programs are written as instructions, and the hooks
 * are looked up in the kernel's BTF by a dozen lines.
 *
 * "krsi.audit" on the kernel's command line: the kernel applies no verdict.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define STRAY (1ULL << 32)
#define INT(value) ((uint32_t)(value))

/* The kernel's BTF, from /sys/kernel/btf/vmlinux. */
static char *btf;

/* The map that programs write to: one array of slots. */
enum { SLOTS = 64 };
static int map = -1;

static bool audit, failed;
static int tests;
static char log_buf[1 << 16];

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(__NR_bpf, cmd, attr, sizeof(*attr));
}

static void die(const char *what)
{
	printf("Bail out! %s: %s\n%s", what, strerror(errno), log_buf);
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	exit(1);
}

static void check(bool ok, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!ok) {
		failed = true;
		printf("# ");
		vprintf(format, args);
		printf("\n");
	}
	va_end(args);
}

/* What is checked from here on is another test. */
static void done(const char *name)
{
	printf("%sok %d %s\n", failed ? "not " : "", ++tests, name);
	failed = false;
}

static void skip(const char *name, const char *why)
{
	printf("ok %d %s # SKIP %s\n", ++tests, name, why);
}

static char *read_file(const char *path)
{
	size_t size = 0, room = 1 << 20;
	char *text = malloc(room + 1);
	int fd = open(path, O_RDONLY);
	ssize_t got;

	if (fd < 0)
		die(path);
	while ((got = read(fd, text + size, room - size)) > 0) {
		size += got;
		if (size == room)
			text = realloc(text, (room *= 2) + 1);
	}
	close(fd);
	text[size] = '\0';
	return text;
}

static size_t btf_trailer(const struct btf_type *type)
{
	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return BTF_INFO_VLEN(type->info) * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return BTF_INFO_VLEN(type->info) * sizeof(struct btf_enum);
	case BTF_KIND_ENUM64:
		return BTF_INFO_VLEN(type->info) * sizeof(struct btf_enum64);
	case BTF_KIND_FUNC_PROTO:
		return BTF_INFO_VLEN(type->info) * sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return BTF_INFO_VLEN(type->info) * sizeof(struct btf_var_secinfo);
	default:
		return 0;
	}
}

/* BTF id of a function of the kernel, 0 if there is none. */
static uint32_t btf_func(const char *name)
{
	const struct btf_header *header = (void *)btf;
	const char *names = btf + header->hdr_len + header->str_off;
	const char *at = btf + header->hdr_len + header->type_off;
	const char *end = at + header->type_len;
	uint32_t id;

	for (id = 1; at < end; id++) {
		const struct btf_type *type = (void *)at;

		if (BTF_INFO_KIND(type->info) == BTF_KIND_FUNC &&
		    !strcmp(names + type->name_off, name))
			return id;
		at += sizeof(*type) + btf_trailer(type);
	}
	errno = ENOENT;
	return 0;
}

static void slots(int cmd, uint64_t *values)
{
	uint32_t key = 0;
	union bpf_attr attr = {
		.map_fd = map,
		.key = (uintptr_t)&key,
		.value = (uintptr_t)values,
	};

	if (bpf(cmd, &attr))
		die("the map");
}

static uint64_t slot(int key)
{
	uint64_t values[SLOTS];

	slots(BPF_MAP_LOOKUP_ELEM, values);
	return values[key];
}

static void clear(void)
{
	uint64_t values[SLOTS] = {};

	slots(BPF_MAP_UPDATE_ELEM, values);
}

/* A program under construction. */
struct program {
	struct bpf_insn insns[128];
	uint32_t len;
};

static void emit(struct program *program, uint8_t code, uint8_t dst, uint8_t src,
		 int16_t off, int32_t imm)
{
	program->insns[program->len++] = (struct bpf_insn){
		.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm,
	};
}

static void emit_load64(struct program *program, uint8_t dst, uint8_t src,
			uint32_t low, uint32_t high)
{
	emit(program, BPF_LD | BPF_DW | BPF_IMM, dst, src, 0, low);
	emit(program, 0, 0, 0, 0, high);
}

/* R6 = context, R7 = the map's memory. */
static void begin(struct program *program)
{
	emit(program, BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
	emit_load64(program, 7, BPF_PSEUDO_MAP_VALUE, map, 0);
}

/* slot[@key] += 1 */
static void count(struct program *program, int key)
{
	emit(program, BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 1);
	emit(program, BPF_STX | BPF_DW | BPF_ATOMIC, 7, 1, key * 8, BPF_ADD);
}

/* slot[@key] = argument @nr; the one past the last is the value so far. */
static void record(struct program *program, int key, int nr)
{
	emit(program, BPF_LDX | BPF_DW | BPF_MEM, 1, 6, nr * 8, 0);
	emit(program, BPF_STX | BPF_DW | BPF_MEM, 7, 1, key * 8, 0);
}

static void record_cookie(struct program *program, int key)
{
	emit(program, BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0);
	emit(program, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_attach_cookie);
	emit(program, BPF_STX | BPF_DW | BPF_MEM, 7, 0, key * 8, 0);
}

static void give(struct program *program, uint64_t value)
{
	emit_load64(program, 0, 0, value, value >> 32);
	emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* What programs are loaded with; with any flag, -1 instead of an end. */
static uint32_t prog_flags;

static int load_as(const struct program *program, int type, int attach_type,
		   const char *func)
{
	union bpf_attr attr = {
		.prog_type = type,
		.expected_attach_type = attach_type,
		.insns = (uintptr_t)program->insns,
		.insn_cnt = program->len,
		.license = (uintptr_t)"GPL",
		.log_buf = (uintptr_t)log_buf,
		.log_size = sizeof(log_buf),
		.log_level = 1,
		.prog_flags = prog_flags,
	};
	int fd;

	attr.attach_btf_id = btf_func(func);
	if (!attr.attach_btf_id)
		die(func);
	fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0 && !prog_flags)
		die(func);
	return fd;
}

static int load(const struct program *program, const char *hook)
{
	char name[64];

	snprintf(name, sizeof(name), "bpf_lsm_%s", hook);
	return load_as(program, BPF_PROG_TYPE_LSM, BPF_LSM_MAC, name);
}

/* FD of the link, or -1. The program lives as long as the link. */
static int attach_as(int prog, int attach_type, uint64_t cookie)
{
	union bpf_attr attr = {};
	int fd;

	attr.link_create.prog_fd = prog;
	attr.link_create.attach_type = attach_type;
	attr.link_create.tracing.cookie = cookie;
	fd = bpf(BPF_LINK_CREATE, &attr);
	close(prog);
	return fd;
}

static int attach(int prog, uint64_t cookie)
{
	return attach_as(prog, BPF_LSM_MAC, cookie);
}

/* Attach a program that counts in slot[@key] and returns @value. */
static int add(const char *hook, int key, uint64_t value)
{
	struct program program = {};
	int fd;

	begin(&program);
	count(&program, key);
	give(&program, value);
	fd = attach(load(&program, hook), 0);
	if (fd < 0)
		die("attach");
	return fd;
}

/* 0, or the error of an mprotect() of a page of our own. */
static int try_mprotect(void)
{
	static void *page;

	if (!page)
		page = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return mprotect(page, getpagesize(), PROT_READ) ? errno : 0;
}

/* The error that a denial with @error comes to. */
static int verdict(int error)
{
	return audit ? 0 : error;
}

static void test_deny(void)
{
	int link, err;

	clear();
	check(!try_mprotect(), "fails without a program");
	link = add("file_mprotect", 0, INT(-EPERM));
	err = try_mprotect();
	check(err == verdict(EPERM), "error %d", err);
	check(slot(0) == 1, "ran %llu times", (unsigned long long)slot(0));
	done("deny");

	close(link);
	check(!try_mprotect(), "fails after the program has gone");
	check(slot(0) == 1, "ran after it has gone");
	done("detach");
}

static void test_stray_bits(void)
{
	struct program last = {};
	int first, second, err;

	clear();
	first = add("file_mprotect", 0, STRAY);
	check(!try_mprotect(), "1 << 32 denies");
	begin(&last);
	count(&last, 1);
	record(&last, 2, 3);
	give(&last, STRAY);
	second = attach(load(&last, "file_mprotect"), 0);
	check(second >= 0, "attach: %s", strerror(errno));
	check(!try_mprotect(), "two times 1 << 32 deny");
	check(slot(0) == 2 && slot(1) == 1, "1 << 32 ends the chain");
	check(slot(2) == 0, "the next program is shown %#llx", (unsigned long long)slot(2));
	close(first);
	close(second);
	done("stray_bits_of_zero");

	first = add("file_mprotect", 0, STRAY | INT(-EACCES));
	err = try_mprotect();
	check(err == verdict(EACCES), "error %d", err);
	close(first);
	done("stray_bits_of_an_error");
}

static void test_order(void)
{
	int links[3], err, i;

	clear();
	links[0] = add("file_mprotect", 0, 0);
	links[1] = add("file_mprotect", 1, INT(-EACCES));
	links[2] = add("file_mprotect", 2, INT(-EBUSY));
	err = try_mprotect();
	check(err == verdict(EACCES), "error %d", err);
	check(slot(0) == 1 && slot(1) == 1, "one of the first two did not run");
	check(slot(2) == audit, "the third ran %llu times", (unsigned long long)slot(2));
	close(links[1]);
	err = try_mprotect();
	check(err == verdict(EBUSY), "error %d after the second has gone", err);
	check(slot(0) == 2 && slot(1) == 1 && slot(2) == 1ul + audit, "others ran");
	for (i = 0; i < 3; i += 2)
		close(links[i]);
	check(!try_mprotect(), "fails after all have gone");
	done("first_denial_wins");
}

static void test_arguments(void)
{
	struct program program = {};
	int link, fd;

	clear();
	begin(&program);
	record(&program, 0, 1);
	record(&program, 1, 2);
	record(&program, 2, 3);
	record_cookie(&program, 3);
	give(&program, 0);
	link = attach(load(&program, "file_mprotect"), 0x0123456789abcdef);
	check(link >= 0, "attach: %s", strerror(errno));
	check(!try_mprotect(), "denied");
	check(slot(0) == PROT_READ && slot(1) == PROT_READ, "asks for %#llx, %#llx",
	      (unsigned long long)slot(0), (unsigned long long)slot(1));
	check(slot(2) == 0, "value so far %#llx", (unsigned long long)slot(2));
	check(slot(3) == 0x0123456789abcdef, "cookie %#llx", (unsigned long long)slot(3));
	close(link);
	done("arguments_and_cookie");

	if (!btf_func("bpf_lsm_path_chown")) {
		skip("structures_by_value", "no hooks on paths here");
		return;
	}

	/* kuid_t and kgid_t are structures, passed by value. */
	program = (struct program){};
	begin(&program);
	record(&program, 0, 1);
	record(&program, 1, 2);
	give(&program, 0);
	link = attach(load(&program, "path_chown"), 0);
	check(link >= 0, "attach: %s", strerror(errno));
	fd = open("/owned", O_CREAT | O_RDWR, 0600);
	check(!fchown(fd, 1234, 5678), "fchown: %s", strerror(errno));
	check((uint32_t)slot(0) == 1234 && (uint32_t)slot(1) == 5678, "to %u:%u",
	      (uint32_t)slot(0), (uint32_t)slot(1));
	close(fd);
	close(link);
	done("structures_by_value");
}

static void test_void(void)
{
	int links[3], i;

	clear();
	for (i = 0; i < 3; i++)
		links[i] = add("file_free_security", i, 0);
	close(open("/", O_RDONLY));
	for (i = 0; i < 3; i++)
		check(slot(i) >= 1, "program %d did not run", i);
	for (i = 0; i < 3; i++)
		close(links[i]);
	clear();
	close(open("/", O_RDONLY));
	check(!slot(0) && !slot(1) && !slot(2), "runs after it has gone");
	done("void_hook");
}

/* As many programs as fit, all of which run, and not one more. */
static void test_full(void)
{
	int links[SLOTS], nr, i, err;

	clear();
	for (nr = 0; nr < SLOTS; nr++) {
		struct program program = {};

		begin(&program);
		count(&program, nr);
		give(&program, STRAY);
		links[nr] = attach(load(&program, "file_mprotect"), nr + 1);
		if (links[nr] < 0)
			break;
	}
	err = errno;
	printf("# %d programs on one hook\n", nr);
	check(nr >= 38, "only %d programs fit: %s", nr, strerror(err));
	check(nr < SLOTS && err == E2BIG, "one too many: %s", strerror(err));
	check(!try_mprotect(), "denied");
	for (i = 0; i < nr; i++)
		check(slot(i) == 1, "program %d ran %llu times", i,
		      (unsigned long long)slot(i));
	for (i = 0; i < nr; i++)
		close(links[i]);
	done("full_hook");
}

/* Chains come and go while the hook is called: nothing must be jumped into. */
static void test_churn(void)
{
	int i, fd, denied = 0, allowed = 0;

	clear();
	for (i = 0; i < 200; i++) {
		fd = add("file_mprotect", 0, INT(-EPERM));
		denied += try_mprotect() == verdict(EPERM);
		close(fd);
		allowed += !try_mprotect();
	}
	check(denied == i && allowed == i && slot(0) == (uint64_t)i,
	      "of %d: %d denied, %d allowed", i, denied, allowed);
	done("attach_and_detach_200_times");
}

/* A program that may sleep between two that may not. */
static void test_sleepable(void)
{
	struct program program = {};
	int links[3], fd, err;

	clear();
	begin(&program);
	count(&program, 1);
	give(&program, INT(-EACCES));
	prog_flags = BPF_F_SLEEPABLE;
	fd = load(&program, "file_open");
	prog_flags = 0;
	if (fd < 0) {
		skip("sleepable", "no sleepable programs here");
		return;
	}
	links[0] = add("file_open", 0, STRAY);
	links[1] = attach(fd, 0);
	check(links[1] >= 0, "attach: %s", strerror(errno));
	links[2] = add("file_open", 2, INT(-EBUSY));
	fd = open("/", O_RDONLY);
	err = fd < 0 ? errno : 0;
	close(fd);
	check(err == verdict(EACCES), "error %d", err);
	check(slot(0) == 1 && slot(1) == 1, "one of the first two did not run");
	check(slot(2) == audit, "the third ran %d times", (int)slot(2));
	for (fd = 0; fd < 3; fd++)
		close(links[fd]);
	done("sleepable");
}

/* Trampolines around a function, which share the JIT's code with chains. */
static void test_tracing(void)
{
	static const char func[] = "security_file_mprotect";
	struct program modify = {}, fexit = {};
	int links[2], err;

	clear();
	begin(&modify);
	count(&modify, 0);
	give(&modify, INT(-EBUSY));
	links[0] = attach_as(load_as(&modify, BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, func),
			     BPF_MODIFY_RETURN, 0);
	if (links[0] < 0 && errno == 524 /* ENOTSUPP */) {
		skip("tracing", "no trampolines around functions here");
		return;
	}
	check(links[0] >= 0, "modify-return: %s", strerror(errno));
	begin(&fexit);
	record(&fexit, 1, 2);
	record(&fexit, 2, 3);
	give(&fexit, 0);
	links[1] = attach_as(load_as(&fexit, BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, func),
			     BPF_TRACE_FEXIT, 0);
	check(links[1] >= 0, "fexit: %s", strerror(errno));
	err = try_mprotect();
	check(err == EBUSY, "error %d", err);
	check(slot(0) == 1 && slot(1) == PROT_READ, "ran %d times, argument %d",
	      (int)slot(0), (int)slot(1));
	check((int)slot(2) == -EBUSY, "fexit is shown %d", (int)slot(2));
	close(links[0]);
	check(!try_mprotect(), "fails after modify-return has gone");
	check((int)slot(2) == 0, "fexit is shown %d afterwards", (int)slot(2));
	close(links[1]);
	done("tracing");
}

int main(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = sizeof(uint32_t),
		.value_size = sizeof(uint64_t) * SLOTS,
		.max_entries = 1,
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL) ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL))
		die("mount");
	audit = strstr(read_file("/proc/cmdline"), "krsi.audit") != NULL;
	btf = read_file("/sys/kernel/btf/vmlinux");
	map = bpf(BPF_MAP_CREATE, &attr);
	if (map < 0)
		die("BPF_MAP_CREATE");

	printf("KTAP version 1\n");
	test_deny();
	test_stray_bits();
	test_order();
	test_arguments();
	test_void();
	test_full();
	test_churn();
	test_sleepable();
	test_tracing();
	printf("1..%d\n", tests);
	/* Leaves the emulator: not every kernel knows how to switch off. */
	reboot(RB_AUTOBOOT);
	return 0;
}
