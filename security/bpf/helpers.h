/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF LSM - Helpers that programs may call
 */

#ifndef _SECURITY_BPF_HELPERS_H
#define _SECURITY_BPF_HELPERS_H

#include <linux/bpf.h>

const struct bpf_func_proto *
bpf_lsm_func_proto(enum bpf_func_id func_id, const struct bpf_prog *prog);

#endif /* _SECURITY_BPF_HELPERS_H */
