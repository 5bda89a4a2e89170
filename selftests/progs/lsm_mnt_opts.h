/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __LSM_MNT_OPTS_H
#define __LSM_MNT_OPTS_H

/* The programs, and where each finds its verdict. */
enum {
	FS_CONTEXT_PARSE_PARAM,
	SB_EAT_LSM_OPTS,
	SB_SET_MNT_OPTS,
	SB_KERN_MOUNT,
	SB_REMOUNT,
	SB_MOUNT,
	SB_SHOW_OPTIONS,
	NR_HOOKS,
};

#endif /* __LSM_MNT_OPTS_H */
