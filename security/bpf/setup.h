/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF LSM - Registration
 */

#ifndef _SECURITY_BPF_SETUP_H
#define _SECURITY_BPF_SETUP_H

#include <linux/lsm_hooks.h>

extern struct lsm_blob_sizes bpf_lsm_blob_sizes;

#endif /* _SECURITY_BPF_SETUP_H */
