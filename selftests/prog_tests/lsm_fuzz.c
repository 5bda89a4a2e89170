// SPDX-License-Identifier: GPL-2.0

/* Programs that nobody would write, attached in ways that nobody would choose.
 *
 * A round makes a few random programs for random hooks, loads those that the
 * verifier takes, and attaches, replaces, pins and detaches them at random. One
 * process is governed by them: it does a bit of everything, and makes system
 * calls of which it is known which hook they run. A model tells what is attached,
 * who runs, and what such a call has to return.
 *
 * This would catch: a program that loads though it does what none may do; a
 * verdict that is lost, or that comes from another program than the first that
 * denies; a program that runs where it should not, or with the cookie of another
 * one; a list of programs that is not what was attached; a command that fails
 * halfway; a program that is never freed; and whatever makes the kernel complain.
 *
 * LSM_TEST_FUZZ is the number of programs, LSM_TEST_SEED starts with the round
 * that has this seed. What a failure prints is enough to see it again.
 */
#define _GNU_SOURCE
#include <test_progs.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/ioprio.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "cgroup_helpers.h"
#include "lsm_helpers.h"

#define CGROUP		"/lsm_fuzz"
#define NR_PROGS	300
#define NR_SLOTS	6	/* programs of a round, and links */
#define NR_ACTIONS	14	/* of a round */
#define MAX_ARGS	6
#define MAX_INSNS	512

/* Verdicts that no system call comes by otherwise. */
#define FIRST_TAG	600
#define LAST_TAG	4095

static __u64 random_state;

static __u32 rnd(__u32 below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 16) % below;
}

static bool percent(__u32 chance)
{
	return rnd(100) < chance;
}

/* Rounds next to each other shall not look alike. */
static void start_random(__u64 seed)
{
	int i;

	random_state = (seed + 1) * 0x9e3779b97f4a7c15ULL;
	if (!random_state)
		random_state = 1;
	for (i = 0; i < 8; i++)
		rnd(1);
}

/*
 * What is governed. The process can be denied anything, so it talks to the test
 * by shared memory only.
 */

static int null_fd, dir_fd, sock_fd;
static void *page;

static long probe_getpgid(void)
{
	return syscall(__NR_getpgid, getpid());
}

static long probe_getsid(void)
{
	return syscall(__NR_getsid, getpid());
}

static long probe_getscheduler(void)
{
	return syscall(__NR_sched_getscheduler, getpid());
}

static long probe_setscheduler(void)
{
	struct sched_param param = {};

	return syscall(__NR_sched_setscheduler, 0, SCHED_OTHER, &param);
}

static long probe_setnice(void)
{
	return syscall(__NR_setpriority, PRIO_PROCESS, 0, 0);
}

static long probe_getioprio(void)
{
	return syscall(__NR_ioprio_get, IOPRIO_WHO_PROCESS, 0);
}

static long probe_prctl(void)
{
	return syscall(__NR_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static long probe_mprotect(void)
{
	return syscall(__NR_mprotect, page, getpagesize(), PROT_READ);
}

static long probe_kill(void)
{
	return syscall(__NR_kill, getpid(), 0);
}

static long probe_capget(void)
{
	struct { __u32 version; int pid; } header = { 0x20080522, 0 };
	__u32 data[6];

	return syscall(__NR_capget, &header, data);
}

static long probe_statfs(void)
{
	struct statfs buf;

	return syscall(__NR_fstatfs, null_fd, &buf);
}

static long probe_getattr(void)
{
	struct stat buf;

	return syscall(__NR_fstat, null_fd, &buf);
}

static long probe_syslog(void)
{
	return syscall(__NR_syslog, 10 /* size of the buffer */, NULL, 0);
}

static long probe_permission(void)
{
	char c;

	return syscall(__NR_read, null_fd, &c, 1);
}

static long probe_fcntl(void)
{
	return syscall(__NR_fcntl, null_fd, F_GETFD);
}

static long probe_getsockname(void)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	return syscall(__NR_getsockname, sock_fd, &addr, &len);
}

static long probe_getsockopt(void)
{
	socklen_t len = sizeof(int);
	int value;

	return syscall(__NR_getsockopt, sock_fd, SOL_SOCKET, SO_TYPE, &value, &len);
}

/* System calls that run this hook once, and no other that could deny. */
static const struct probe {
	const char *hook;
	long (*call)(void);
	bool sleepable;
} probes[] = {
	{ "bpf_lsm_task_getpgid", probe_getpgid },
	{ "bpf_lsm_task_getsid", probe_getsid },
	{ "bpf_lsm_task_getscheduler", probe_getscheduler },
	{ "bpf_lsm_task_setscheduler", probe_setscheduler, true },
	{ "bpf_lsm_task_setnice", probe_setnice },
	{ "bpf_lsm_task_getioprio", probe_getioprio },
	{ "bpf_lsm_task_prctl", probe_prctl, true },
	{ "bpf_lsm_file_mprotect", probe_mprotect },
	{ "bpf_lsm_task_kill", probe_kill },
	{ "bpf_lsm_capget", probe_capget },
	{ "bpf_lsm_sb_statfs", probe_statfs, true },
	{ "bpf_lsm_inode_getattr", probe_getattr, true },
	{ "bpf_lsm_syslog", probe_syslog, true },
	{ "bpf_lsm_file_permission", probe_permission },
	{ "bpf_lsm_file_fcntl", probe_fcntl },
	{ "bpf_lsm_socket_getsockname", probe_getsockname, true },
	{ "bpf_lsm_socket_getsockopt", probe_getsockopt, true },
};

/* Hooks that work() runs. */
static const char *const busy_hooks[] = {
	"bpf_lsm_file_open", "bpf_lsm_file_post_open", "bpf_lsm_mmap_file",
	"bpf_lsm_mmap_addr", "bpf_lsm_inode_permission", "bpf_lsm_inode_create",
	"bpf_lsm_inode_mkdir", "bpf_lsm_inode_unlink", "bpf_lsm_inode_rename",
	"bpf_lsm_inode_setxattr", "bpf_lsm_inode_free_security",
	"bpf_lsm_inode_alloc_security", "bpf_lsm_inode_init_security",
	"bpf_lsm_file_alloc_security", "bpf_lsm_file_free_security",
	"bpf_lsm_path_mkdir", "bpf_lsm_path_rename", "bpf_lsm_path_unlink",
	"bpf_lsm_d_instantiate", "bpf_lsm_task_alloc", "bpf_lsm_task_free",
	"bpf_lsm_cred_prepare", "bpf_lsm_cred_free", "bpf_lsm_capable",
	"bpf_lsm_socket_create", "bpf_lsm_socket_post_create",
	"bpf_lsm_socket_bind", "bpf_lsm_socket_connect", "bpf_lsm_socket_sendmsg",
	"bpf_lsm_socket_recvmsg", "bpf_lsm_socket_sock_rcv_skb",
	"bpf_lsm_sk_alloc_security", "bpf_lsm_sk_free_security",
	"bpf_lsm_sk_clone_security", "bpf_lsm_sock_graft", "bpf_lsm_bpf",
	"bpf_lsm_bpf_map_create", "bpf_lsm_bpf_map_free", "bpf_lsm_file_ioctl",
	"bpf_lsm_file_lock", "bpf_lsm_inode_setattr", "bpf_lsm_file_truncate",
	"bpf_lsm_current_getsecid_subj", "bpf_lsm_task_getsecid_obj",
};

static void work_on_files(void)
{
	char value[8];
	int fd, copy;

	fd = openat(dir_fd, "a", O_RDWR | O_CREAT, 0600);
	if (fd >= 0) {
		(void)!write(fd, "hello", 5);
		(void)!ftruncate(fd, 2);
		fchmod(fd, 0640);
		fsetxattr(fd, "user.lsm_fuzz", "x", 1, 0);
		fgetxattr(fd, "user.lsm_fuzz", value, sizeof(value));
		flock(fd, LOCK_EX);
		copy = dup(fd);
		close(copy);
		close(fd);
	}
	mkdirat(dir_fd, "d", 0700);
	symlinkat("a", dir_fd, "l");
	linkat(dir_fd, "a", dir_fd, "b", 0);
	renameat(dir_fd, "b", dir_fd, "c");
	faccessat(dir_fd, "c", R_OK, 0);
	unlinkat(dir_fd, "l", 0);
	unlinkat(dir_fd, "c", 0);
	unlinkat(dir_fd, "a", 0);
	unlinkat(dir_fd, "d", AT_REMOVEDIR);
}

static void work_on_sockets(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int server, client, fd, pair[2];
	char c;

	if (!socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) {
		(void)!send(pair[0], "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)!recv(pair[1], &c, 1, MSG_DONTWAIT);
		close(pair[0]);
		close(pair[1]);
	}
	server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (!bind(server, (struct sockaddr *)&addr, sizeof(addr)) && !listen(server, 1) &&
	    !getsockname(server, (struct sockaddr *)&addr, &len)) {
		connect(client, (struct sockaddr *)&addr, len);
		fd = accept4(server, NULL, NULL, SOCK_NONBLOCK);
		if (fd >= 0)
			close(fd);
	}
	if (client >= 0)
		close(client);
	if (server >= 0)
		close(server);
}

static void work_on_tasks(void)
{
	pid_t pid = syscall(__NR_clone, SIGCHLD, 0, 0, 0, 0);

	if (!pid)
		syscall(__NR_exit_group, 0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void work_on_memory(void)
{
	void *addr = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (addr != MAP_FAILED)
		munmap(addr, 8192);
	addr = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, null_fd, 0);
	if (addr != MAP_FAILED)
		munmap(addr, 4096);
}

static void work_on_bpf(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 4,
		.max_entries = 1,
	};
	int fd = syscall(__NR_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));

	if (fd >= 0)
		close(fd);
}

static void work(void)
{
	int fds[2];

	work_on_files();
	work_on_sockets();
	work_on_tasks();
	work_on_memory();
	work_on_bpf();
	if (!pipe(fds)) {
		close(fds[0]);
		close(fds[1]);
	}
	syscall(__NR_ioctl, null_fd, 0x5401 /* TCGETS */, NULL);
	setgroups(0, NULL);
}

enum { WORK = -1, QUIT = -2 };

/* The test asks by making @asked differ from @answered. */
static struct errand {
	__u32 asked;
	__u32 answered;
	int what;
	int answer;
} *errand;

static pid_t governed = -1;

/* Returns 0 or -errno. */
static int run_probe(const struct probe *probe)
{
	return probe->call() < 0 ? -errno : 0;
}

static void serve(void)
{
	__u32 done = 0;

	for (;;) {
		while (__atomic_load_n(&errand->asked, __ATOMIC_ACQUIRE) == done)
			syscall(__NR_futex, &errand->asked, FUTEX_WAIT, done, NULL, NULL, 0);
		if (errand->what == QUIT)
			_exit(0);
		if (errand->what == WORK)
			work();
		else
			errand->answer = run_probe(&probes[errand->what]);
		__atomic_store_n(&errand->answered, ++done, __ATOMIC_RELEASE);
		syscall(__NR_futex, &errand->answered, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

/* What goes wrong first is reported when nothing is attached any more. */
static char trouble[512];
static __u64 round_seed;

static bool in_trouble(void)
{
	return trouble[0];
}

static void complain(const char *format, ...)
{
	va_list args;
	int len;

	if (in_trouble())
		return;
	len = snprintf(trouble, sizeof(trouble), "LSM_TEST_SEED=%llu: ",
		       (unsigned long long)round_seed);
	va_start(args, format);
	vsnprintf(trouble + len, sizeof(trouble) - len, format, args);
	va_end(args);
}

/* Have the governed process do something. */
static int ask(int what)
{
	struct timespec second = { .tv_sec = 1 };
	__u32 answered = errand->answered;

	if (governed < 0)
		return 0;
	errand->what = what;
	__atomic_store_n(&errand->asked, answered + 1, __ATOMIC_RELEASE);
	syscall(__NR_futex, &errand->asked, FUTEX_WAKE, 1, NULL, NULL, 0);
	while (__atomic_load_n(&errand->answered, __ATOMIC_ACQUIRE) == answered) {
		syscall(__NR_futex, &errand->answered, FUTEX_WAIT, answered, &second, NULL, 0);
		if (waitpid(governed, NULL, WNOHANG) == governed) {
			governed = -1;
			if (what != QUIT)
				complain("the governed process is dead");
			return 0;
		}
	}
	return errand->answer;
}

/*
 * What there is to attach to, from the kernel's BTF.
 */

struct arg {
	__u32 struct_id;	/* that it points to, or 0 */
	bool is_file;
};

static struct hook {
	const char *name;
	__u32 btf_id;
	int nr_args;
	struct arg args[MAX_ARGS];
	bool is_void;
	bool is_bool;
	int probe;		/* or -1 */
} hooks[320];

static int nr_hooks;
static int probe_hooks[ARRAY_SIZE(probes)], busy[ARRAY_SIZE(busy_hooks)], nr_busy;
static struct btf *btf;
static __u32 f_path_offset;

/* The id of a function. Looking for it takes long, so what is found is kept. */
static __u32 func_id(const char *name)
{
	static struct {
		const char *name;
		__u32 id;
	} known[32];
	int i, id;

	for (i = 0; i < ARRAY_SIZE(known) && known[i].name; i++)
		if (!strcmp(known[i].name, name))
			return known[i].id;
	id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
	if (id < 0)
		id = 0;
	if (i < ARRAY_SIZE(known)) {
		known[i].name = name;
		known[i].id = id;
	}
	return id;
}

static __u32 skip_modifiers(__u32 id)
{
	const struct btf_type *type = btf__type_by_id(btf, id);

	while (type && (btf_is_mod(type) || btf_is_typedef(type)) && !btf_is_type_tag(type)) {
		id = type->type;
		type = btf__type_by_id(btf, id);
	}
	return id;
}

/* The id of the structure that a type points to, or 0. */
static __u32 points_to(__u32 id)
{
	const struct btf_type *type = btf__type_by_id(btf, skip_modifiers(id));

	if (!type || !btf_is_ptr(type))
		return 0;
	id = skip_modifiers(type->type);
	type = btf__type_by_id(btf, id);
	return type && btf_is_struct(type) ? id : 0;
}

static bool add_hook(__u32 id)
{
	const struct btf_type *func = btf__type_by_id(btf, id);
	const struct btf_type *proto = btf__type_by_id(btf, func->type);
	const char *name = btf__name_by_offset(btf, func->name_off);
	const struct btf_type *ret;
	struct hook *hook;
	int i;

	if (btf_vlen(proto) > MAX_ARGS || nr_hooks == ARRAY_SIZE(hooks))
		return false;
	hook = &hooks[nr_hooks];
	memset(hook, 0, sizeof(*hook));
	hook->name = name;
	hook->btf_id = id;
	hook->nr_args = btf_vlen(proto);
	/* The one that stands for the arguments of a hook without any. */
	if (hook->nr_args == 1 && !btf_params(proto)[0].type)
		hook->nr_args = 0;
	for (i = 0; i < hook->nr_args; i++) {
		__u32 to = points_to(btf_params(proto)[i].type);

		hook->args[i].struct_id = to;
		hook->args[i].is_file = to && !strcmp("file",
			btf__name_by_offset(btf, btf__type_by_id(btf, to)->name_off));
	}
	ret = btf__type_by_id(btf, skip_modifiers(proto->type));
	hook->is_void = !proto->type;
	hook->is_bool = !strcmp(name, "bpf_lsm_inode_xattr_skipcap") ||
			!strcmp(name, "bpf_lsm_audit_rule_known") ||
			!strcmp(name, "bpf_lsm_xfrm_state_pol_flow_match");
	if (!hook->is_void && !btf_is_int(ret))
		return false;
	hook->probe = -1;
	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		if (!strcmp(name, probes[i].hook)) {
			hook->probe = i;
			probe_hooks[i] = nr_hooks;
		}
	}
	for (i = 0; i < ARRAY_SIZE(busy_hooks); i++)
		if (!strcmp(name, busy_hooks[i]))
			busy[nr_busy++] = nr_hooks;
	nr_hooks++;
	return true;
}

static bool find_hooks(void)
{
	static const char prefix[] = "bpf_lsm_";
	const struct btf_member *member;
	const struct btf_type *type;
	__u32 id, file_id;
	int i;

	nr_hooks = 0;
	nr_busy = 0;
	btf = btf__load_vmlinux_btf();
	if (!ASSERT_OK_PTR(btf, "vmlinux BTF"))
		return false;
	for (id = 1; id < btf__type_cnt(btf); id++) {
		type = btf__type_by_id(btf, id);
		/* There are other functions of that prefix. No matter: they are refused. */
		if (btf_is_func(type) && !strncmp(btf__name_by_offset(btf, type->name_off), prefix,
						  strlen(prefix)))
			add_hook(id);
	}
	file_id = btf__find_by_name_kind(btf, "file", BTF_KIND_STRUCT);
	type = btf__type_by_id(btf, file_id);
	member = btf_members(type);
	for (i = 0; i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(btf, member[i].name_off), "f_path"))
			f_path_offset = btf_member_bit_offset(type, i) / 8;
	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (!ASSERT_STREQ(hooks[probe_hooks[i]].name, probes[i].hook, "hook of a probe"))
			return false;
	return ASSERT_GT(nr_hooks, 200, "hooks") && ASSERT_GT(nr_busy, 30, "busy hooks");
}

/* A member of structure @id, and what it is. */
struct member {
	__u32 offset;
	__u32 size;
	__u32 struct_id;	/* that it points to, or 0 */
};

static bool pick_member(__u32 id, struct member *picked)
{
	const struct btf_type *type = btf__type_by_id(btf, id), *to;
	__u32 offset = 0, bits, member_id;
	int tries, i;

	for (tries = 0; tries < 8; tries++) {
		if (!btf_vlen(type))
			return false;
		i = rnd(btf_vlen(type));
		bits = btf_member_bit_offset(type, i);
		member_id = skip_modifiers(btf_members(type)[i].type);
		to = btf__type_by_id(btf, member_id);
		if (btf_member_bitfield_size(type, i) || bits % 8)
			continue;
		if (btf_is_struct(to)) {
			offset += bits / 8;
			type = to;
			continue;
		}
		if (!btf_is_int(to) && !btf_is_ptr(to) && !btf_is_any_enum(to))
			continue;
		picked->offset = offset + bits / 8;
		picked->size = btf_is_ptr(to) ? 8 : to->size;
		picked->struct_id = points_to(member_id);
		return picked->size <= 8;
	}
	return false;
}

/*
 * Programs. R6 is the context, R8 a pointer or whatever, R9 a number.
 */

struct program {
	int hook;
	int fd;
	__u32 id;
	bool cgroup;
	bool sleepable;
	bool certain;		/* it always says the same */
	int verdict;		/* in the governed process */
	bool must_fail;		/* nothing like this may load */
	const char *why;
	struct bpf_insn insns[MAX_INSNS];
	int len;
	int body;		/* where the random part starts */
};

/* What a program notes when the governed process runs it. */
struct note {
	__u64 runs;
	__u64 cookie;
	__u64 ret;
	__u64 unused[5];
};

static struct program progs[NR_SLOTS];
static struct note *notes;
static int notes_fd = -1, scratch_fd = -1, ring_fd = -1;

static void emit(struct program *prog, struct bpf_insn insn)
{
	if (prog->len < MAX_INSNS)
		prog->insns[prog->len++] = insn;
}

static void emit_wide(struct program *prog, int reg, int src, __u64 value)
{
	const struct bpf_insn insns[] = { BPF_LD_IMM64_RAW(reg, src, value) };

	emit(prog, insns[0]);
	emit(prog, insns[1]);
}

static void emit_call(struct program *prog, int func)
{
	emit(prog, BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, func));
}

static void emit_kfunc(struct program *prog, const char *name)
{
	emit(prog, BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, func_id(name)));
}

/* A jump whose target comes later; see land(). */
static int emit_jump(struct program *prog, int op, int reg, int imm)
{
	emit(prog, BPF_JMP_IMM(op, reg, imm, 0));
	return prog->len - 1;
}

static void land(struct program *prog, int jump)
{
	prog->insns[jump].off = prog->len - jump - 1;
}

/* A program that does this must not load, if the verifier gets to see it. */
static void never(struct program *prog, bool seen, const char *why)
{
	if (seen && !prog->must_fail) {
		prog->must_fail = true;
		prog->why = why;
	}
}

/* What others get, whatever the rest of the program is. */
static void emit_prologue(struct program *prog, int slot)
{
	const struct hook *hook = &hooks[prog->hook];
	int jump;

	emit(prog, BPF_MOV64_REG(BPF_REG_6, BPF_REG_1));
	emit_call(prog, BPF_FUNC_get_current_pid_tgid);
	emit(prog, BPF_ALU64_IMM(BPF_RSH, BPF_REG_0, 32));
	jump = emit_jump(prog, BPF_JEQ, BPF_REG_0, governed);
	emit(prog, BPF_MOV64_IMM(BPF_REG_0, prog->cgroup ? 1 : 0));
	emit(prog, BPF_EXIT_INSN());
	land(prog, jump);

	emit_wide(prog, BPF_REG_7, BPF_PSEUDO_MAP_VALUE, notes_fd);
	prog->insns[prog->len - 1].imm = slot * sizeof(struct note);
	emit(prog, BPF_MOV64_IMM(BPF_REG_1, 1));
	emit(prog, BPF_RAW_INSN(BPF_STX | BPF_DW | BPF_ATOMIC, BPF_REG_7, BPF_REG_1,
				offsetof(struct note, runs), BPF_ADD));
	if (!prog->cgroup) {
		emit(prog, BPF_MOV64_REG(BPF_REG_1, BPF_REG_6));
		emit_call(prog, BPF_FUNC_get_attach_cookie);
		emit(prog, BPF_STX_MEM(BPF_DW, BPF_REG_7, BPF_REG_0,
				       offsetof(struct note, cookie)));
		if (!hook->is_void) {
			emit(prog, BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_6, hook->nr_args * 8));
			emit(prog, BPF_STX_MEM(BPF_DW, BPF_REG_7, BPF_REG_0,
					       offsetof(struct note, ret)));
		}
	}
	emit(prog, BPF_MOV64_IMM(BPF_REG_7, 0));
	emit(prog, BPF_MOV64_IMM(BPF_REG_8, 0));
	emit(prog, BPF_MOV64_IMM(BPF_REG_9, rnd(1000)));
	prog->body = prog->len;
}

static int size_code(__u32 size)
{
	return size == 1 ? BPF_B : size == 2 ? BPF_H : size == 4 ? BPF_W : BPF_DW;
}

static void op_compute(struct program *prog)
{
	static const int ops[] = {
		BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR, BPF_AND, BPF_MOD, BPF_XOR,
		BPF_MOV, BPF_LSH, BPF_RSH, BPF_ARSH,
	};
	int op = ops[rnd(ARRAY_SIZE(ops))];
	int imm = rnd(1000) + 1;

	if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
		imm %= 32;
	if (percent(50))
		emit(prog, BPF_ALU64_IMM(op, BPF_REG_9, imm));
	else
		emit(prog, BPF_ALU32_IMM(op, BPF_REG_9, imm));
}

static void op_stack(struct program *prog)
{
	int off = -8 * (int)(rnd(32) + 1);

	emit(prog, BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_9, off));
	if (percent(50))
		emit(prog, BPF_ST_MEM(BPF_W, BPF_REG_10, off, rnd(1000)));
	emit(prog, BPF_LDX_MEM(size_code(1 << rnd(4)), BPF_REG_9, BPF_REG_10, off));
}

static void op_helper(struct program *prog, bool seen)
{
	static const int simple[] = {
		BPF_FUNC_ktime_get_ns, BPF_FUNC_get_smp_processor_id,
		BPF_FUNC_get_current_uid_gid, BPF_FUNC_get_current_pid_tgid,
		BPF_FUNC_get_prandom_u32, BPF_FUNC_get_numa_node_id, BPF_FUNC_jiffies64,
		BPF_FUNC_get_current_cgroup_id, BPF_FUNC_ktime_get_boot_ns,
	};

	switch (rnd(6)) {
	case 0:
		emit(prog, BPF_MOV64_REG(BPF_REG_1, BPF_REG_10));
		emit(prog, BPF_ALU64_IMM(BPF_ADD, BPF_REG_1, -16));
		emit(prog, BPF_MOV64_IMM(BPF_REG_2, 16));
		emit_call(prog, BPF_FUNC_get_current_comm);
		emit(prog, BPF_LDX_MEM(BPF_DW, BPF_REG_9, BPF_REG_10, -8));
		break;
	case 1:
		emit(prog, BPF_MOV64_REG(BPF_REG_1, BPF_REG_10));
		emit(prog, BPF_ALU64_IMM(BPF_ADD, BPF_REG_1, -8));
		emit(prog, BPF_MOV64_IMM(BPF_REG_2, 8));
		emit(prog, BPF_MOV64_REG(BPF_REG_3, BPF_REG_9));
		emit_call(prog, BPF_FUNC_probe_read_kernel);
		emit(prog, BPF_LDX_MEM(BPF_DW, BPF_REG_9, BPF_REG_10, -8));
		break;
	case 2:
		if (!prog->sleepable && percent(90))
			break;
		emit(prog, BPF_MOV64_REG(BPF_REG_1, BPF_REG_10));
		emit(prog, BPF_ALU64_IMM(BPF_ADD, BPF_REG_1, -8));
		emit(prog, BPF_MOV64_IMM(BPF_REG_2, 8));
		emit(prog, BPF_MOV64_REG(BPF_REG_3, BPF_REG_9));
		emit_call(prog, BPF_FUNC_copy_from_user);
		emit(prog, BPF_MOV64_REG(BPF_REG_9, BPF_REG_0));
		never(prog, seen && !prog->sleepable, "plain program sleeps");
		break;
	default:
		emit_call(prog, simple[rnd(ARRAY_SIZE(simple))]);
		emit(prog, BPF_MOV64_REG(BPF_REG_9, BPF_REG_0));
	}
}

static void op_map(struct program *prog)
{
	int jump;

	emit(prog, BPF_MOV64_REG(BPF_REG_1, BPF_REG_9));
	emit(prog, BPF_ALU64_IMM(BPF_AND, BPF_REG_1, 7));
	emit(prog, BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_1, -8));
	if (percent(50)) {
		emit_wide(prog, BPF_REG_1, BPF_PSEUDO_MAP_FD, ring_fd);
		emit(prog, BPF_MOV64_REG(BPF_REG_2, BPF_REG_10));
		emit(prog, BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -8));
		emit(prog, BPF_MOV64_IMM(BPF_REG_3, 8));
		emit(prog, BPF_MOV64_IMM(BPF_REG_4, 0));
		emit_call(prog, BPF_FUNC_ringbuf_output);
		return;
	}
	emit_wide(prog, BPF_REG_1, BPF_PSEUDO_MAP_FD, scratch_fd);
	emit(prog, BPF_MOV64_REG(BPF_REG_2, BPF_REG_10));
	emit(prog, BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -8));
	emit_call(prog, BPF_FUNC_map_lookup_elem);
	jump = emit_jump(prog, BPF_JEQ, BPF_REG_0, 0);
	emit(prog, BPF_STX_MEM(BPF_DW, BPF_REG_0, BPF_REG_9, 8 * rnd(2)));
	emit(prog, BPF_LDX_MEM(BPF_DW, BPF_REG_9, BPF_REG_0, 8 * rnd(2)));
	land(prog, jump);
}

static void op_kfunc(struct program *prog, bool seen)
{
	static const char *const forbidden[] = {
		"commit_creds", "bpf_lsm_file_open", "security_file_open", "panic", "kfree",
		"bpf_prog_put", "schedule",
	};
	int jump;

	switch (rnd(8)) {
	case 0:
		emit(prog, BPF_MOV64_REG(BPF_REG_1, BPF_REG_9));
		emit(prog, BPF_MOV64_IMM(BPF_REG_2, 0));
		emit(prog, BPF_MOV64_IMM(BPF_REG_3, 0));
		emit(prog, BPF_MOV64_IMM(BPF_REG_4, 0));
		emit_kfunc(prog, forbidden[rnd(ARRAY_SIZE(forbidden))]);
		never(prog, seen, "calls a kernel function that is no kfunc");
		break;
	case 1:
	case 2:
		emit_kfunc(prog, "bpf_rcu_read_lock");
		op_helper(prog, false);
		if (percent(95))
			emit_kfunc(prog, "bpf_rcu_read_unlock");
		else
			never(prog, seen, "leaves with the RCU lock held");
		break;
	default:
		emit_call(prog, BPF_FUNC_get_current_task_btf);
		emit(prog, BPF_MOV64_REG(BPF_REG_1, BPF_REG_0));
		emit_kfunc(prog, "bpf_get_task_exe_file");
		jump = emit_jump(prog, BPF_JEQ, BPF_REG_0, 0);
		emit(prog, BPF_MOV64_REG(BPF_REG_1, BPF_REG_0));
		if (percent(95))
			emit_kfunc(prog, "bpf_put_file");
		else
			never(prog, seen, "keeps a reference");
		land(prog, jump);
	}
}

/* Any helper with anything, but those that do to others what they are told. */
static void op_any_helper(struct program *prog)
{
	int func, reg;

	do {
		func = rnd(__BPF_FUNC_MAX_ID + 20);
	} while (func == BPF_FUNC_probe_write_user || func == BPF_FUNC_send_signal ||
		 func == BPF_FUNC_send_signal_thread || func == BPF_FUNC_trace_printk ||
		 func == BPF_FUNC_trace_vprintk || func == BPF_FUNC_set_retval);

	for (reg = BPF_REG_1; reg <= BPF_REG_5; reg++) {
		switch (rnd(5)) {
		case 0:
			emit(prog, BPF_MOV64_REG(reg, BPF_REG_6));
			break;
		case 1:
			emit(prog, BPF_MOV64_REG(reg, BPF_REG_9));
			break;
		case 2:
			emit(prog, BPF_ST_MEM(BPF_DW, BPF_REG_10, -8 * reg, 0));
			emit(prog, BPF_MOV64_REG(reg, BPF_REG_10));
			emit(prog, BPF_ALU64_IMM(BPF_ADD, reg, -8 * reg));
			break;
		case 3:
			emit_wide(prog, reg, BPF_PSEUDO_MAP_FD, scratch_fd);
			break;
		default:
			emit(prog, BPF_MOV64_IMM(reg, rnd(16)));
		}
	}
	emit_call(prog, func);
}

/* Follow R8, which points to a @struct_id, for a while. Leaves R8 useless. */
static void op_walk(struct program *prog, __u32 struct_id, bool is_file, bool seen)
{
	int steps = rnd(4) + 1, jumps[8], nr_jumps = 0, i;
	struct member member;

	jumps[nr_jumps++] = emit_jump(prog, BPF_JEQ, BPF_REG_8, 0);
	if (is_file && percent(30)) {
		emit(prog, BPF_MOV64_REG(BPF_REG_1, BPF_REG_8));
		emit(prog, BPF_ALU64_IMM(BPF_ADD, BPF_REG_1, f_path_offset));
		emit(prog, BPF_MOV64_REG(BPF_REG_2, BPF_REG_10));
		emit(prog, BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -64));
		emit(prog, BPF_MOV64_IMM(BPF_REG_3, 64));
		emit_kfunc(prog, "bpf_path_d_path");
	}
	if (percent(2)) {
		emit(prog, BPF_STX_MEM(size_code(1 << rnd(4)), BPF_REG_8, BPF_REG_9,
				       8 * rnd(16)));
		never(prog, seen, "writes through an argument");
	}
	while (steps--) {
		if (percent(3)) {
			emit(prog, BPF_LDX_MEM(size_code(1 << rnd(4)), BPF_REG_9, BPF_REG_8,
					       (int)rnd(4096) - 512));
			continue;
		}
		if (!pick_member(struct_id, &member) || member.offset > 32000)
			break;
		if (!member.struct_id) {
			emit(prog, BPF_LDX_MEM(size_code(member.size), BPF_REG_9, BPF_REG_8,
					       member.offset));
			emit(prog, BPF_MOV64_IMM(BPF_REG_9, rnd(100)));
			continue;
		}
		emit(prog, BPF_LDX_MEM(BPF_DW, BPF_REG_8, BPF_REG_8, member.offset));
		jumps[nr_jumps++] = emit_jump(prog, BPF_JEQ, BPF_REG_8, 0);
		struct_id = member.struct_id;
	}
	for (i = 0; i < nr_jumps; i++)
		land(prog, jumps[i]);
	emit(prog, BPF_MOV64_IMM(BPF_REG_8, 0));
	emit(prog, BPF_MOV64_IMM(BPF_REG_9, rnd(100)));
}

static void op_argument(struct program *prog, bool seen)
{
	const struct hook *hook = &hooks[prog->hook];
	int i;

	if (!hook->nr_args)
		return;
	i = rnd(hook->nr_args);
	if (!hook->args[i].struct_id) {
		emit(prog, BPF_LDX_MEM(BPF_DW, BPF_REG_8, BPF_REG_6, 8 * i));
		emit(prog, BPF_MOV64_IMM(BPF_REG_8, 0));
		return;
	}
	emit(prog, BPF_LDX_MEM(BPF_DW, BPF_REG_8, BPF_REG_6, 8 * i));
	op_walk(prog, hook->args[i].struct_id, hook->args[i].is_file, seen);
}

/* Things that no program may do, whatever its hook. */
static void op_forbidden(struct program *prog, bool seen)
{
	int beyond = hooks[prog->hook].nr_args + !hooks[prog->hook].is_void;

	switch (rnd(8)) {
	case 0:
		emit(prog, BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_6, 8 * (beyond + rnd(4))));
		never(prog, seen, "reads an argument that is not there");
		break;
	case 1:
		emit(prog, BPF_STX_MEM(BPF_DW, BPF_REG_6, BPF_REG_9, 8 * rnd(beyond + 1)));
		never(prog, seen, "writes its context");
		break;
	case 2:
		emit(prog, BPF_LDX_MEM(size_code(1 << rnd(4)), BPF_REG_0, BPF_REG_6,
				       8 * rnd(beyond + 1) + 1 + rnd(7)));
		never(prog, seen, "reads its context askew");
		break;
	case 3:
		emit(prog, BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_10, 8 * rnd(4)));
		never(prog, seen, "reads beyond its stack");
		break;
	case 4:
		emit(prog, BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_9, 0));
		never(prog, seen, "takes a number for a pointer");
		break;
	case 5:
		emit_call(prog, __BPF_FUNC_MAX_ID + rnd(100));
		never(prog, seen, "calls a helper that is not there");
		break;
	case 6:
		emit(prog, BPF_MOV64_REG(BPF_REG_1, BPF_REG_6));
		emit(prog, BPF_MOV64_IMM(BPF_REG_2, -1));
		emit_call(prog, BPF_FUNC_override_return);
		never(prog, seen, "overrides what a function returns");
		break;
	default:
		emit(prog, BPF_JMP_IMM(BPF_JA, 0, 0, -1));
		never(prog, seen, "never ends");
	}
}

static int allow(const struct program *prog)
{
	return prog->cgroup ? 1 : 0;
}

/* @seen: the verifier will look at all of it, as no branch leads around. */
static void emit_ops(struct program *prog, int nr, bool seen)
{
	int jump, value;

	while (nr--) {
		switch (rnd(16)) {
		case 0 ... 5:
			op_argument(prog, seen);
			break;
		case 6:
			op_compute(prog);
			break;
		case 7:
			op_stack(prog);
			break;
		case 8 ... 9:
			op_helper(prog, seen);
			break;
		case 10:
			op_map(prog);
			break;
		case 11:
			op_kfunc(prog, seen);
			break;
		case 12:
			jump = emit_jump(prog, percent(50) ? BPF_JGT : BPF_JSLE, BPF_REG_9,
					 rnd(500));
			emit_ops(prog, rnd(4), false);
			land(prog, jump);
			break;
		case 13:
			/* A way out that is taken or not. */
			if (hooks[prog->hook].is_void && prog->cgroup)
				break;
			value = percent(50) ? allow(prog) : prog->verdict;
			emit_call(prog, BPF_FUNC_get_prandom_u32);
			jump = emit_jump(prog, BPF_JSET, BPF_REG_0, 1);
			emit(prog, BPF_MOV64_IMM(BPF_REG_0, value));
			emit(prog, BPF_EXIT_INSN());
			land(prog, jump);
			if (value != prog->verdict)
				prog->certain = false;
			break;
		case 14:
			if (percent(15))
				op_any_helper(prog);
			break;
		default:
			if (percent(12))
				op_forbidden(prog, seen);
		}
	}
}

static int random_verdict(const struct program *prog)
{
	const struct hook *hook = &hooks[prog->hook];

	if (prog->cgroup)
		return hook->is_void ? 1 : percent(60);
	if (hook->is_void)
		return rnd(1000);
	if (percent(55))
		return 0;
	return hook->is_bool ? 1 : -(int)(FIRST_TAG + rnd(LAST_TAG - FIRST_TAG + 1));
}

static void emit_tail(struct program *prog)
{
	const struct hook *hook = &hooks[prog->hook];

	if (percent(3) && !(hook->is_void && !prog->cgroup)) {
		emit(prog, BPF_MOV64_IMM(BPF_REG_0, prog->cgroup || hook->is_bool ? 2 :
						    percent(50) ? 1 : -4096));
		never(prog, true, "returns what is no verdict");
	} else if (percent(3)) {
		emit(prog, BPF_MOV64_REG(BPF_REG_0, BPF_REG_6));
		never(prog, !hook->is_void || prog->cgroup, "returns a pointer");
	} else if (percent(10) && !prog->cgroup) {
		/* Only half of it is the verdict. */
		emit_wide(prog, BPF_REG_0, 0, (1ULL << (32 + rnd(32))) | (__u32)prog->verdict);
	} else {
		emit(prog, BPF_MOV64_IMM(BPF_REG_0, prog->verdict));
	}
	emit(prog, BPF_EXIT_INSN());
}

/* Flip bits of the random part, but not of what it says at last. */
static void mutate(struct program *prog)
{
	int flips = rnd(3) + 1, i;
	struct bpf_insn *insn;

	if (prog->len - 3 <= prog->body)
		return;
	while (flips--) {
		i = prog->body + rnd(prog->len - 3 - prog->body);
		insn = &prog->insns[i];
		/* No other file descriptor, no helper or function by chance. */
		if (insn->code == (BPF_LD | BPF_IMM | BPF_DW) ||
		    prog->insns[i - 1].code == (BPF_LD | BPF_IMM | BPF_DW) ||
		    insn->code == (BPF_JMP | BPF_CALL) || insn->code == (BPF_JMP | BPF_EXIT))
			continue;
		((__u8 *)insn)[rnd(sizeof(*insn))] ^= 1 << rnd(8);
		if (insn->code == (BPF_JMP | BPF_CALL))
			insn->imm = BPF_FUNC_ktime_get_ns;
	}
	prog->certain = false;
	prog->must_fail = false;
}

static int favourite;	/* hook of the round */

static int pick_hook(void)
{
	__u32 chance = rnd(100);

	if (chance < 45)
		return favourite;
	if (chance < 70)
		return probe_hooks[rnd(ARRAY_SIZE(probes))];
	if (chance < 90)
		return busy[rnd(nr_busy)];
	return rnd(nr_hooks);
}

static const struct probe *probe_of(int hook)
{
	return hooks[hook].probe < 0 ? NULL : &probes[hooks[hook].probe];
}

/* Errors that loading a program may end with. */
static bool is_load_error(int err)
{
	switch (-err) {
	case EINVAL:
	case EACCES:
	case EPERM:
	case E2BIG:
	case EFAULT:
	case ENOENT:
	case ERANGE:
	case EPROTO:
	case EOPNOTSUPP:
	case 524 /* ENOTSUPP */:
		return true;
	default:
		return false;
	}
}

static __u32 prog_id(int fd)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	return bpf_prog_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static long nr_made, nr_loaded, nr_refused, nr_calls, nr_actions;
static __u32 *all_ids;

static void make_program(int slot)
{
	static const enum bpf_attach_type wrong_types[] = {
		BPF_TRACE_FENTRY, BPF_MODIFY_RETURN, BPF_TRACE_RAW_TP, BPF_CGROUP_SYSCTL, 0,
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	struct program *prog = &progs[slot];
	const char *license = "GPL";

	memset(prog, 0, sizeof(*prog));
	prog->fd = -1;
	prog->hook = pick_hook();
	prog->cgroup = percent(20);
	prog->sleepable = percent(25);
	prog->certain = true;
	prog->verdict = random_verdict(prog);
	opts.attach_btf_id = hooks[prog->hook].btf_id;
	opts.expected_attach_type = prog->cgroup ? BPF_LSM_CGROUP : BPF_LSM_MAC;
	if (prog->sleepable) {
		opts.prog_flags |= BPF_F_SLEEPABLE;
		never(prog, prog->cgroup, "sleeps in a cgroup");
		never(prog, probe_of(prog->hook) && !probe_of(prog->hook)->sleepable,
		      "sleeps in a hook that may not");
	}

	emit_prologue(prog, slot);
	emit_ops(prog, rnd(12), true);
	emit_tail(prog);
	if (percent(10))
		mutate(prog);

	if (percent(2)) {
		license = "Proprietary";
		never(prog, true, "license");
	}
	if (percent(2)) {
		opts.expected_attach_type = wrong_types[rnd(ARRAY_SIZE(wrong_types))];
		never(prog, true, "attach type");
	}
	if (percent(2)) {
		opts.attach_btf_id = func_id(percent(50) ? "security_file_open" : "do_exit");
		never(prog, true, "no hook");
	}
	if (percent(2)) {
		opts.prog_flags |= 1U << (20 + rnd(12));
		never(prog, true, "unknown flag");
	}
	if (prog->len == MAX_INSNS)
		prog->must_fail = false;

	prog->fd = bpf_prog_load(BPF_PROG_TYPE_LSM, "lsm_fuzz", license, prog->insns, prog->len,
				 &opts);
	nr_made++;
	if (prog->fd < 0) {
		nr_refused++;
		if (!is_load_error(prog->fd))
			complain("loading for %s: error %d", hooks[prog->hook].name, prog->fd);
		return;
	}
	if (prog->must_fail)
		complain("a program for %s that %s was loaded", hooks[prog->hook].name, prog->why);
	prog->id = prog_id(prog->fd);
	all_ids[nr_loaded++] = prog->id;
}

/*
 * The model: who is attached by which link, and when that place in the hook was
 * taken.
 */

static struct {
	int fd;			/* -1: there is no link */
	__u32 id;
	int prog;		/* -1: the link is detached */
	bool cgroup;
	int hook;
	__u64 cookie;
	__u64 since;
} links[NR_SLOTS];

/* A program whose place is @since is @prog, all of the cgroups are -1. */
struct place {
	int prog;
	__u32 link_id;
	__u64 cookie;
	__u64 since;
};

static __u64 now;
static __u64 shim_since[ARRAY_SIZE(hooks)];
static bool enforcing;
static int cgroup_fd = -1, bpffs_fd = -1, stats_fd = -1;

static int cgroup_users(int hook)
{
	int i, nr = 0;

	for (i = 0; i < NR_SLOTS; i++)
		nr += links[i].prog >= 0 && links[i].cgroup && links[i].hook == hook;
	return nr;
}

/* What the hook runs, in this order. Returns how many. */
static int list_hook(int hook, struct place *places)
{
	int nr = 0, i, j;

	for (i = 0; i < NR_SLOTS; i++) {
		if (links[i].prog < 0 || links[i].cgroup || links[i].hook != hook)
			continue;
		places[nr].prog = links[i].prog;
		places[nr].link_id = links[i].id;
		places[nr].cookie = links[i].cookie;
		places[nr++].since = links[i].since;
	}
	if (cgroup_users(hook)) {
		places[nr].prog = -1;
		places[nr].link_id = 0;
		places[nr++].since = shim_since[hook];
	}
	for (i = 1; i < nr; i++)
		for (j = i; j > 0 && places[j - 1].since > places[j].since; j--) {
			struct place place = places[j];

			places[j] = places[j - 1];
			places[j - 1] = place;
		}
	return nr;
}

static void check_list(int hook)
{
	LIBBPF_OPTS(bpf_prog_query_opts, opts);
	struct place places[NR_SLOTS + 1];
	__u32 ids[NR_SLOTS + 1], link_ids[NR_SLOTS + 1], id;
	int nr = list_hook(hook, places), err, i;

	opts.prog_ids = ids;
	opts.link_ids = link_ids;
	opts.count = ARRAY_SIZE(ids);
	err = bpf_prog_query_opts(hooks[hook].btf_id, BPF_LSM_MAC, &opts);
	/* A function that is no hook, after all. */
	if (err == -ENOENT && !nr && hooks[hook].probe < 0)
		return;
	if (err || opts.count != nr) {
		complain("%s: %d programs, not %d (error %d)", hooks[hook].name, opts.count, nr,
			 err);
		return;
	}
	for (i = 0; i < nr; i++) {
		id = places[i].prog < 0 ? 0 : progs[places[i].prog].id;
		if (ids[i] != id || link_ids[i] != places[i].link_id)
			complain("%s: program %d of link %d is the %d. of %d, not %d of %d",
				 hooks[hook].name, ids[i], link_ids[i], i + 1, nr, id,
				 places[i].link_id);
	}
}

/* What the programs of the cgroup say together. */
static bool shim_verdict(int hook, int *verdict)
{
	bool certain = true;
	int i;

	*verdict = 0;
	for (i = 0; i < NR_SLOTS; i++) {
		if (links[i].prog < 0 || !links[i].cgroup || links[i].hook != hook)
			continue;
		certain &= progs[links[i].prog].certain;
		if (!progs[links[i].prog].verdict)
			*verdict = -EPERM;
	}
	return certain;
}

/* Make the system call of a hook, and see what it returns and who ran. */
static void check_verdict(int hook)
{
	struct place places[NR_SLOTS + 1];
	struct note before[NR_SLOTS];
	int nr = list_hook(hook, places), i, answer, expected = 0, verdict;
	bool reached = true, known = true, certain;

	memcpy(before, notes, sizeof(before));
	answer = ask(hooks[hook].probe);
	nr_calls++;
	for (i = 0; i < nr; i++) {
		const struct note *note;
		__u64 runs;

		if (places[i].prog < 0) {
			certain = shim_verdict(hook, &verdict);
		} else {
			certain = progs[places[i].prog].certain;
			verdict = progs[places[i].prog].verdict;
			note = &notes[places[i].prog];
			runs = note->runs - before[places[i].prog].runs;
			if (known && runs != reached)
				complain("%s: the %d. of %d ran %d times", hooks[hook].name, i + 1,
					 nr, (int)runs);
			if (runs && note->cookie != places[i].cookie)
				complain("%s: cookie %llx, not %llx", hooks[hook].name,
					 (unsigned long long)note->cookie,
					 (unsigned long long)places[i].cookie);
			if (runs && (int)note->ret)
				complain("%s: ret is %d", hooks[hook].name, (int)note->ret);
		}
		if (!enforcing || !reached)
			continue;
		known &= certain;
		if (known && verdict) {
			expected = verdict;
			reached = false;
		}
	}
	if (known && answer != expected)
		complain("%s: %d programs, answer %d, not %d", hooks[hook].name, nr, answer,
			 expected);
}

static void expect(int ret, int expected, const char *what, int hook)
{
	nr_actions++;
	if (ret != expected)
		complain("%s, %s: %d, not %d", what, hooks[hook].name, ret, expected);
}

static __u32 link_id(int fd)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	return bpf_link_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static bool is_attached(int prog)
{
	int i;

	for (i = 0; i < NR_SLOTS; i++)
		if (links[i].prog == prog)
			return true;
	return false;
}

static int link_create(int prog_fd, int target_fd, int type, __u32 flags, __u64 cookie)
{
	union bpf_attr attr = {
		.link_create.prog_fd = prog_fd,
		.link_create.target_fd = target_fd,
		.link_create.attach_type = type,
		.link_create.flags = flags,
		.link_create.tracing.cookie = cookie,
	};
	int fd = syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

static int raw_tp_open(int prog_fd, __u64 cookie)
{
	union bpf_attr attr = {
		.raw_tracepoint.prog_fd = prog_fd,
		.raw_tracepoint.cookie = cookie,
	};
	int fd = syscall(__NR_bpf, BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

/* Attach a program in a way that is wrong. */
static void attach_wrong(int p)
{
	const struct program *prog = &progs[p];
	int type = prog->cgroup ? BPF_LSM_CGROUP : BPF_LSM_MAC;
	int target = prog->cgroup ? cgroup_fd : 0, fd;

	switch (rnd(3)) {
	case 0:
		/* Links of tracing programs have never looked at their flags. */
		if (!prog->cgroup)
			return;
		fd = link_create(prog->fd, target, type, 1 << rnd(2), 0);
		expect(fd, -EINVAL, "attach with flags", prog->hook);
		break;
	case 1:
		fd = link_create(prog->fd, target, BPF_TRACE_FENTRY, 0, 0);
		expect(fd, -EINVAL, "attach as another type", prog->hook);
		break;
	default:
		if (prog->cgroup) {
			fd = raw_tp_open(prog->fd, 0);
			expect(fd, -EINVAL, "attach a cgroup's to all", prog->hook);
		} else {
			fd = link_create(prog->fd, cgroup_fd, BPF_LSM_CGROUP, 0, 0);
			expect(fd, -EINVAL, "attach to a cgroup", prog->hook);
		}
	}
	if (fd >= 0)
		close(fd);
}

static void attach(int l, int p)
{
	const struct program *prog = &progs[p];
	__u64 cookie = percent(50) ? 0 : ((__u64)rnd(1U << 31) << 32) + p;
	int fd;

	if (prog->cgroup) {
		if (is_attached(p))
			return;
		fd = link_create(prog->fd, cgroup_fd, BPF_LSM_CGROUP, 0, 0);
	} else if (percent(50)) {
		fd = raw_tp_open(prog->fd, cookie);
	} else {
		fd = link_create(prog->fd, 0, BPF_LSM_MAC, 0, cookie);
	}
	if (is_attached(p)) {
		expect(fd, -EBUSY, "same program again", prog->hook);
		if (fd >= 0)
			close(fd);
		return;
	}
	expect(fd < 0 ? fd : 0, 0, "attach", prog->hook);
	if (fd < 0)
		return;
	if (prog->cgroup && !cgroup_users(prog->hook))
		shim_since[prog->hook] = ++now;
	links[l].fd = fd;
	links[l].id = link_id(fd);
	links[l].prog = p;
	links[l].cgroup = prog->cgroup;
	links[l].hook = prog->hook;
	links[l].cookie = prog->cgroup ? 0 : cookie;
	links[l].since = ++now;
}

static int update_error(int l, int p, int expected)
{
	const struct program *prog = &progs[p];

	if (links[l].cgroup) {
		if (links[l].prog < 0)
			return -ENOLINK;
		if (expected >= 0 && expected != links[l].prog)
			return -EPERM;
		if (!prog->cgroup)
			return -EINVAL;
		return prog->hook == links[l].hook ? 0 : -ENOENT;
	}
	if (prog->cgroup || prog->hook != links[l].hook)
		return -EINVAL;
	if (links[l].prog < 0)
		return -ENOLINK;
	if (expected >= 0 && expected != links[l].prog)
		return -EPERM;
	return links[l].prog != p && is_attached(p) ? -EBUSY : 0;
}

static void update(int l, int p)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts);
	int expected = percent(40) ? (int)rnd(NR_SLOTS) : -1, ret, err;

	/* The errors of cgroups come in an order that is not ours. */
	if (links[l].cgroup && (links[l].prog < 0 || is_attached(p) || !progs[p].cgroup ||
				progs[p].hook != links[l].hook))
		return;
	if (expected >= 0 && progs[expected].fd < 0)
		expected = -1;
	if (expected >= 0) {
		opts.flags = BPF_F_REPLACE;
		opts.old_prog_fd = progs[expected].fd;
	}
	err = update_error(l, p, expected);
	ret = bpf_link_update(links[l].fd, progs[p].fd, &opts);
	expect(ret, err, "update", links[l].hook);
	if (!ret)
		links[l].prog = p;
}

static void pin(int l)
{
	LIBBPF_OPTS(bpf_obj_pin_opts, pin_opts, .file_flags = BPF_F_PATH_FD,
		    .path_fd = bpffs_fd);
	LIBBPF_OPTS(bpf_obj_get_opts, get_opts, .file_flags = BPF_F_PATH_FD,
		    .path_fd = bpffs_fd);
	int fd;

	expect(bpf_obj_pin_opts(links[l].fd, "link", &pin_opts), 0, "pin", links[l].hook);
	if (in_trouble())
		return;
	close(links[l].fd);
	check_list(links[l].hook);
	fd = bpf_obj_get_opts("link", &get_opts);
	expect(fd < 0 ? fd : 0, 0, "open", links[l].hook);
	links[l].fd = fd;
	expect(unlinkat(bpffs_fd, "link", 0), 0, "unlink", links[l].hook);
}

static void drop(int l)
{
	close(links[l].fd);
	links[l].fd = -1;
	links[l].prog = -1;
}

/* Something or other, with link @l and program @p. */
static void act(int l, int p)
{
	int hook = links[l].fd < 0 ? progs[p].hook : links[l].hook;

	if (links[l].fd < 0) {
		if (percent(8))
			attach_wrong(p);
		else
			attach(l, p);
	} else {
		switch (rnd(8)) {
		case 0:
			expect(bpf_link_detach(links[l].fd), 0, "detach", hook);
			links[l].prog = -1;
			break;
		case 1:
			drop(l);
			break;
		case 2:
			pin(l);
			break;
		case 3:
			if (stats_fd >= 0) {
				close(stats_fd);
				stats_fd = -1;
			} else {
				stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
			}
			break;
		case 4:
			attach_wrong(p);
			break;
		default:
			update(l, p);
		}
	}
	check_list(hook);
	if (hooks[hook].probe >= 0)
		check_verdict(hook);
}

static void play_round(void)
{
	int i, p, l, loaded[NR_SLOTS], nr = 0;

	favourite = probe_hooks[rnd(ARRAY_SIZE(probes))];
	for (i = 0; i < NR_SLOTS; i++) {
		links[i].fd = -1;
		links[i].prog = -1;
		make_program(i);
		if (progs[i].fd >= 0)
			loaded[nr++] = i;
	}
	for (i = 0; nr && i < NR_ACTIONS && !in_trouble(); i++) {
		p = loaded[rnd(nr)];
		l = rnd(NR_SLOTS);
		act(l, p);
	}
	if (!in_trouble())
		ask(WORK);
	for (i = 0; i < ARRAY_SIZE(probes) && !in_trouble(); i++)
		check_verdict(probe_hooks[i]);

	/* Programs live as long as their links, or the other way round. */
	if (percent(50))
		for (i = 0; i < NR_SLOTS; i++)
			if (links[i].fd >= 0)
				drop(i);
	for (i = 0; i < NR_SLOTS; i++)
		if (progs[i].fd >= 0)
			close(progs[i].fd);
	for (i = 0; i < NR_SLOTS; i++)
		if (links[i].fd >= 0)
			drop(i);
	if (stats_fd >= 0)
		close(stats_fd);
	stats_fd = -1;
	for (i = 0; i < NR_SLOTS; i++)
		check_list(progs[i].hook);
	if (!in_trouble())
		check_verdict(favourite);
}

static bool start_governed(void)
{
	dir_fd = lsm_mount("tmpfs");
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	sock_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	page = mmap(NULL, getpagesize(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	errand = mmap(NULL, sizeof(*errand), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (!ASSERT_OK_FD(dir_fd, "tmpfs") || !ASSERT_OK_FD(null_fd, "/dev/null") ||
	    !ASSERT_OK_FD(sock_fd, "socket") || !ASSERT_NEQ(page, MAP_FAILED, "page") ||
	    !ASSERT_NEQ(errand, MAP_FAILED, "shared memory"))
		return false;
	governed = fork();
	if (!governed)
		serve();
	return ASSERT_GT(governed, 0, "fork");
}

static bool setup(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int err;

	if (!find_hooks())
		return false;
	cgroup_fd = test__join_cgroup(CGROUP);
	bpffs_fd = lsm_mount("bpf");
	if (!ASSERT_OK_FD(cgroup_fd, "cgroup") || !ASSERT_OK_FD(bpffs_fd, "bpffs"))
		return false;
	err = start_governed();
	if (!err)
		return false;
	notes_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "notes", 4, NR_SLOTS * sizeof(*notes), 1,
				  &opts);
	scratch_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "scratch", 4, 16, 4, NULL);
	ring_fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ring", 0, 0, 4096, NULL);
	if (!ASSERT_OK_FD(notes_fd, "notes") || !ASSERT_OK_FD(scratch_fd, "scratch") ||
	    !ASSERT_OK_FD(ring_fd, "ring"))
		return false;
	notes = mmap(NULL, getpagesize(), PROT_READ, MAP_SHARED, notes_fd, 0);
	return ASSERT_NEQ(notes, MAP_FAILED, "map of the notes");
}

static void teardown(void)
{
	int fds[] = {
		notes_fd, scratch_fd, ring_fd, cgroup_fd, bpffs_fd, dir_fd, null_fd, sock_fd,
	};
	int i;

	if (governed > 0)
		ask(QUIT);
	if (notes && notes != MAP_FAILED)
		munmap(notes, getpagesize());
	if (errand && errand != MAP_FAILED)
		munmap(errand, sizeof(*errand));
	if (page && page != MAP_FAILED)
		munmap(page, getpagesize());
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	join_root_cgroup();
	remove_cgroup(CGROUP);
	btf__free(btf);
	btf = NULL;
}

static void random_programs(void)
{
	long count = lsm_test_rounds("LSM_TEST_FUZZ", NR_PROGS), i;
	const char *text = getenv("LSM_TEST_SEED");
	__u64 seed = text ? strtoull(text, NULL, 0) : time(NULL);

	if (!lsm_has_chains()) {
		lsm_skip("this kernel cannot be asked what is attached, nor replace it");
		return;
	}
	enforcing = lsm_enforcing();
	all_ids = calloc(count + NR_SLOTS, sizeof(*all_ids));
	if (!ASSERT_OK_PTR(all_ids, "memory") || !setup())
		goto out;
	for (round_seed = seed; nr_made < count && !in_trouble(); round_seed++) {
		start_random(round_seed);
		play_round();
	}
	printf("seeds %llu to %llu: %ld programs, %ld refused; %ld commands, %ld calls\n",
	       (unsigned long long)seed, (unsigned long long)round_seed - 1, nr_made, nr_refused,
	       nr_actions, nr_calls);
	ASSERT_STREQ(trouble, "", "what went wrong");
	/* It is half of many. How many of a few is chance. */
	if (nr_made >= NR_PROGS)
		ASSERT_GT(nr_loaded, nr_made / 5, "programs that the verifier took");
out:
	teardown();
	for (i = 0; i < nr_loaded; i++)
		if (!ASSERT_TRUE(lsm_prog_goes(all_ids[i]), "program is freed"))
			break;
	free(all_ids);
	all_ids = NULL;
}

void serial_test_lsm_fuzz(void)
{
	if (test__start_subtest("random_programs"))
		random_programs();
}
