// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF LSM - Registration
 */

#define pr_fmt(fmt) "bpf: " fmt

#include <linux/bpf_lsm.h>
#include <linux/init.h>
#include <linux/lsm_hooks.h>
#include <linux/printk.h>
#include <uapi/linux/lsm.h>

#include "setup.h"
#include "storage.h"

bool bpf_lsm_active __ro_after_init;

static const struct lsm_id bpf_lsmid = {
	.name = "bpf",
	.id = LSM_ID_BPF,
};

static int __init bpf_lsm_init(void)
{
	/* Programs run from the slots: there is no static hook to add. */
	security_add_hooks(NULL, 0, &bpf_lsmid);
	bpf_lsm_active = true;
	pr_info("LSM hooks are open to BPF programs%s\n",
		IS_ENABLED(CONFIG_BPF_LSM_ENFORCE) ? "" : " (audit only)");
	return 0;
}

/* Offsets into the blobs, once the LSM framework has been at it. */
struct lsm_blob_sizes bpf_lsm_blob_sizes __ro_after_init = {
	.lbs_inode = sizeof(struct bpf_lsm_inode),
};

DEFINE_LSM(bpf) = {
	.name = "bpf",
	.init = bpf_lsm_init,
	.blobs = &bpf_lsm_blob_sizes,
};
