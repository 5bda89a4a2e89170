// SPDX-License-Identifier: GPL-2.0
/*
 * The LSM hooks of this kernel, by its BTF. A child reads it, and leaves behind
 * what was asked for: kernels differ in the size of their BTF, and fork() takes
 * longer the more memory there is.
 */
#include <bpf/btf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PREFIX "bpf_lsm_"
#define MAX_HOOKS 512
#define NAME_SIZE 64

struct function {
	char name[NAME_SIZE];
	int id;
};

/* What programs are attached to besides hooks. */
static const char *const others[] = { "security_file_mprotect" };

static struct table {
	int nr;
	struct function functions[MAX_HOOKS];
} *table;

static bool wanted(const char *name)
{
	size_t i;

	if (!strncmp(name, PREFIX, strlen(PREFIX)))
		return true;
	for (i = 0; i < ARRAY_SIZE(others); i++)
		if (!strcmp(name, others[i]))
			return true;
	return false;
}

static void read_btf(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id, nr;

	if (!btf)
		die("the kernel's BTF: %m");
	nr = btf__type_cnt(btf);
	for (id = 1; id < nr; id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		const char *name = btf__name_by_offset(btf, type->name_off);

		if (!btf_is_func(type) || !wanted(name))
			continue;
		if (table->nr == MAX_HOOKS || strlen(name) >= NAME_SIZE)
			die("%s does not fit into the table of hooks", name);
		strcpy(table->functions[table->nr].name, name);
		table->functions[table->nr++].id = id;
	}
}

void hooks_init(void)
{
	int status;
	pid_t pid;

	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (table == MAP_FAILED)
		die("mmap: %m");
	pid = fork();
	if (!pid) {
		read_btf();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die("the kernel's BTF could not be read");
}

int function_btf_id(const char *function)
{
	int i;

	for (i = 0; i < table->nr; i++)
		if (!strcmp(table->functions[i].name, function))
			return table->functions[i].id;
	return 0;
}

int hook_btf_id(const char *hook)
{
	char name[NAME_SIZE] = PREFIX;

	strncat(name, hook, sizeof(name) - sizeof(PREFIX));
	return function_btf_id(name);
}

/* Every hook there is, whether it takes programs or not. */
int hooks_all(const char **names, int *ids, int max)
{
	int i, nr = 0;

	for (i = 0; i < table->nr && nr < max; i++) {
		if (strncmp(table->functions[i].name, PREFIX, strlen(PREFIX)))
			continue;
		names[nr] = table->functions[i].name + strlen(PREFIX);
		ids[nr++] = table->functions[i].id;
	}
	return nr;
}
