// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * Attaching programs to LSM hooks.
 *
 * The hook is fixed when a program is loaded: SEC("lsm/<hook>") or
 * bpf_program__set_attach_target() select the function bpf_lsm_<hook>(), whose
 * BTF ID the verifier checks the program against. Attaching needs nothing else
 * and yields a link that owns the attachment.
 */
#include <errno.h>
#include <string.h>

#include "bpf.h"
#include "btf.h"
#include "libbpf.h"
#include "libbpf_internal.h"

/* Ask the kernel for the hook, the section may not name the one in use. */
static int lsm_hook_from_kernel(const struct bpf_program *prog, char *hook, size_t sz)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	const struct btf_type *t;
	const char *name;
	struct btf *btf;
	int err;

	err = bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len);
	if (err)
		return err;
	if (!info.attach_btf_id)
		return -ENOENT;

	btf = btf__load_vmlinux_btf();
	if (!btf)
		return -errno;

	t = btf__type_by_id(btf, info.attach_btf_id);
	name = t ? btf__name_by_offset(btf, t->name_off) : NULL;
	if (name && str_has_pfx(name, BTF_LSM_PREFIX))
		libbpf_strlcpy(hook, name + strlen(BTF_LSM_PREFIX), sz);
	else
		err = -ENOENT;

	btf__free(btf);
	return err;
}

static void lsm_hook_from_section(const struct bpf_program *prog, char *hook, size_t sz)
{
	const char *sec = bpf_program__section_name(prog);
	const char *slash = strchr(sec, '/');

	libbpf_strlcpy(hook, slash ? slash + 1 : sec, sz);
}

static void lsm_warn_not_attached(const struct bpf_program *prog, int err)
{
	const char *name = bpf_program__name(prog);
	char hook[128];

	if (lsm_hook_from_kernel(prog, hook, sizeof(hook)))
		lsm_hook_from_section(prog, hook, sizeof(hook));

	switch (err) {
	case -EOPNOTSUPP:
		pr_warn("prog '%s': not attached to LSM hook '%s': 'bpf' is likely not among the active LSMs, compare /sys/kernel/security/lsm and add it to lsm= on the kernel command line\n",
			name, hook);
		break;
	case -EPERM:
		pr_warn("prog '%s': not attached to LSM hook '%s': this takes CAP_MAC_ADMIN in the initial user namespace\n",
			name, hook);
		break;
	default:
		pr_warn("prog '%s': not attached to LSM hook '%s'\n", name, hook);
	}
}

struct bpf_link *bpf_program__attach_lsm(const struct bpf_program *prog)
{
	struct bpf_link *link;
	int err;

	link = bpf_program__attach_btf_id(prog, NULL);
	if (link)
		return link;

	err = -errno;
	lsm_warn_not_attached(prog, err);
	return libbpf_err_ptr(err);
}

int lsm_auto_attach(const struct bpf_program *prog, long cookie, struct bpf_link **link)
{
	*link = bpf_program__attach_lsm(prog);
	return libbpf_get_error(*link);
}
