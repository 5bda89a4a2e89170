// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - Links, or who keeps a program attached
 *
 * To user space it is a tracing link, as programs that attach to a kernel
 * function have. The program runs as long as somebody holds the link: an FD or
 * a pin in bpffs.
 */

#define pr_fmt(fmt) "bpf: " fmt

#include <linux/bpf.h>
#include <linux/bpf_lsm.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/capability.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "hook.h"
#include "hooks.h"

/**
 * struct bpf_lsm_link - Attachment of one program to one hook
 * @member: the program's place in the hook, embeds the bpf_link
 * @hook: slot id of the hook
 * @target_obj_id: BTF object that @target_btf_id is from
 * @target_btf_id: BTF id of bpf_lsm_<hook>()
 */
struct bpf_lsm_link {
	struct bpf_lsm_member member;
	int hook;
	u32 target_obj_id;
	u32 target_btf_id;
};

static struct bpf_lsm_link *to_lsm_link(const struct bpf_link *link)
{
	return container_of(link, struct bpf_lsm_link, member.tramp.link);
}

/*
 * A CPU that goes offline waits for tasks that cannot leave it, and who changes
 * a slot waits for the CPU. BPF_PROG_TYPE_SYSCALL programs, which can attach
 * other programs, run in such tasks.
 */
static bool is_waited_for_by_hotplug(void)
{
#ifdef CONFIG_HOTPLUG_CPU
	return current->migration_disabled;
#else
	return false;
#endif
}

/**
 * bpf_lsm_may_change_policy - Whether a task may change what LSM programs do
 *
 * Changing what is allowed is changing mandatory access control, whatever the
 * program that does it could be loaded with. No token stands in for that.
 *
 * Context: May sleep. Asks an LSM hook, which may run any LSM program.
 * Return: 0, -EPERM without CAP_MAC_ADMIN in the initial user namespace,
 * -EOPNOTSUPP if "bpf" is not an enabled LSM, or -EDEADLK if the task cannot
 * leave its CPU.
 */
int bpf_lsm_may_change_policy(void)
{
	if (!capable(CAP_MAC_ADMIN))
		return -EPERM;
	if (!bpf_lsm_active) {
		pr_warn_once("LSM programs cannot be attached: \"bpf\" is not in the list of enabled LSMs (lsm=)\n");
		return -EOPNOTSUPP;
	}
	return is_waited_for_by_hotplug() ? -EDEADLK : 0;
}

static void bpf_lsm_link_release(struct bpf_link *link)
{
	struct bpf_lsm_link *lsm_link = to_lsm_link(link);

	bpf_lsm_hook_detach(lsm_link->hook, &lsm_link->member);
}

/*
 * The link stays, and its program does not run any more. Unlike the release of
 * the last reference, which is up to whoever happens to hold it, this is an
 * order that is given.
 */
static int bpf_lsm_link_detach(struct bpf_link *link)
{
	int err = bpf_lsm_may_change_policy();

	if (err)
		return err;

	bpf_lsm_link_release(link);
	return 0;
}

static int bpf_lsm_link_update_prog(struct bpf_link *link,
				    struct bpf_prog *new_prog,
				    struct bpf_prog *old_prog)
{
	struct bpf_lsm_link *lsm_link = to_lsm_link(link);
	int err;

	if (new_prog->type != BPF_PROG_TYPE_LSM ||
	    new_prog->expected_attach_type != BPF_LSM_MAC ||
	    new_prog->aux->attach_btf_id != lsm_link->target_btf_id)
		return -EINVAL;

	err = bpf_lsm_may_change_policy();
	if (err)
		return err;

	return bpf_lsm_hook_replace(lsm_link->hook, &lsm_link->member, new_prog,
				    old_prog);
}

static void bpf_lsm_link_dealloc(struct bpf_link *link)
{
	kfree(to_lsm_link(link));
}

static void bpf_lsm_link_show_fdinfo(const struct bpf_link *link,
				     struct seq_file *seq)
{
	const struct bpf_lsm_link *lsm_link = to_lsm_link(link);

	seq_printf(seq, "attach_type:\t%d\n", BPF_LSM_MAC);
	seq_printf(seq, "target_obj_id:\t%u\n", lsm_link->target_obj_id);
	seq_printf(seq, "target_btf_id:\t%u\n", lsm_link->target_btf_id);
}

static int bpf_lsm_link_fill_link_info(const struct bpf_link *link,
				       struct bpf_link_info *info)
{
	const struct bpf_lsm_link *lsm_link = to_lsm_link(link);

	info->tracing.attach_type = BPF_LSM_MAC;
	info->tracing.target_obj_id = lsm_link->target_obj_id;
	info->tracing.target_btf_id = lsm_link->target_btf_id;
	return 0;
}

static const struct bpf_link_ops bpf_lsm_link_ops = {
	.release = bpf_lsm_link_release,
	.detach = bpf_lsm_link_detach,
	.dealloc = bpf_lsm_link_dealloc,
	.update_prog = bpf_lsm_link_update_prog,
	.show_fdinfo = bpf_lsm_link_show_fdinfo,
	.fill_link_info = bpf_lsm_link_fill_link_info,
};

/**
 * bpf_lsm_link_attach - Attach an LSM program to the hook it was loaded for
 * @prog: the program, the link takes over the caller's reference on success
 * @cookie: what bpf_get_attach_cookie() returns in the program
 *
 * Context: May sleep.
 * Return: FD of the new link, or an error: -EPERM without CAP_MAC_ADMIN in the
 * initial user namespace, -EOPNOTSUPP if "bpf" is not an enabled LSM, -EDEADLK
 * if it is a program that attaches, -EINVAL if the program is not one to attach,
 * and those of bpf_lsm_hook_attach().
 */
int bpf_lsm_link_attach(struct bpf_prog *prog, u64 cookie)
{
	struct bpf_attach_target_info target = {};
	struct bpf_link_primer primer;
	struct bpf_lsm_link *link;
	int err;

	if (prog->expected_attach_type != BPF_LSM_MAC)
		return -EINVAL;

	err = bpf_lsm_may_change_policy();
	if (err)
		return err;

	err = bpf_check_attach_target(NULL, prog, NULL, prog->aux->attach_btf_id,
				      &target);
	if (err)
		return err;

	link = kzalloc(sizeof(*link), GFP_USER);
	if (!link)
		return -ENOMEM;

	bpf_link_init(&link->member.tramp.link, BPF_LINK_TYPE_TRACING,
		      &bpf_lsm_link_ops, prog);
	link->member.tramp.cookie = cookie;
	link->hook = bpf_lsm_hook_find(prog->aux->attach_btf_id);
	link->target_obj_id = btf_obj_id(prog->aux->attach_btf);
	link->target_btf_id = prog->aux->attach_btf_id;

	err = bpf_link_prime(&link->member.tramp.link, &primer);
	if (err) {
		kfree(link);
		return err;
	}

	err = bpf_lsm_hook_attach(link->hook, &target.fmodel, &link->member);
	if (err) {
		bpf_link_cleanup(&primer);
		return err;
	}
	return bpf_link_settle(&primer);
}
