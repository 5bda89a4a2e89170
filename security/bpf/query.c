// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - Telling user space what is attached
 */

#include <linux/bpf.h>
#include <linux/bpf_lsm.h>
#include <linux/capability.h>
#include <linux/minmax.h>
#include <linux/uaccess.h>

#include "hook.h"
#include "hooks.h"

static int copy_counts(const struct bpf_lsm_roster *roster,
		       union bpf_attr __user *uattr, u32 uattr_size)
{
	const u32 flags = 0;

	if (copy_to_user(&uattr->query.attach_flags, &flags, sizeof(flags)) ||
	    copy_to_user(&uattr->query.count, &roster->nr, sizeof(roster->nr)))
		return -EFAULT;

	/* Headers before 6.6 end without it. */
	if (uattr_size >= offsetofend(union bpf_attr, query.revision) &&
	    copy_to_user(&uattr->query.revision, &roster->revision,
			 sizeof(roster->revision)))
		return -EFAULT;
	return 0;
}

/* Copies @nr values, zeros without @values, if user space wants them. */
static int copy_array(u64 to, const u32 *values, u32 nr)
{
	u32 __user *uptr = u64_to_user_ptr(to);
	size_t size = nr * sizeof(u32);

	if (!uptr)
		return 0;
	if (values ? copy_to_user(uptr, values, size) : clear_user(uptr, size))
		return -EFAULT;
	return 0;
}

/**
 * bpf_lsm_prog_query - Tell which programs are attached to a hook
 * @attr: BPF_PROG_QUERY's, with the BTF id of bpf_lsm_<hook>()
 * @uattr: where it came from, and goes to
 * @uattr_size: how much of it user space knows of
 *
 * Nothing but ids, and how many: as everywhere else where ids of what others
 * own can be learned, that takes CAP_SYS_ADMIN. Changing a policy takes
 * CAP_MAC_ADMIN, but that is no reason to read the policies of others.
 *
 * Nothing is copied with the hook's lock held. A fault can be made to take any
 * time, and would keep everybody else from changing the policy for as long.
 *
 * Context: May sleep.
 * Return: 0, -EPERM without CAP_SYS_ADMIN in the initial user namespace,
 * -EINVAL for flags, -ENOENT if the BTF id is no hook's, -EFAULT, or -ENOSPC
 * if there are more programs than there is room for, which is filled.
 */
int bpf_lsm_prog_query(const union bpf_attr *attr,
		       union bpf_attr __user *uattr, u32 uattr_size)
{
	struct bpf_lsm_roster roster;
	int id, err;
	u32 nr;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (attr->query.query_flags || attr->query.attach_flags)
		return -EINVAL;

	id = bpf_lsm_hook_find(attr->query.target_btf_id);
	if (id < 0)
		return id;

	bpf_lsm_hook_list(id, &roster);

	err = copy_counts(&roster, uattr, uattr_size);
	if (err || !attr->query.count || !attr->query.prog_ids)
		return err;

	nr = min(attr->query.count, roster.nr);
	if (copy_array(attr->query.prog_ids, roster.prog_ids, nr) ||
	    copy_array(attr->query.link_ids, roster.link_ids, nr) ||
	    copy_array(attr->query.prog_attach_flags, NULL, nr) ||
	    copy_array(attr->query.link_attach_flags, NULL, nr))
		return -EFAULT;

	return nr < roster.nr ? -ENOSPC : 0;
}
