/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __LSM_MPROTECT_AUDIT_H
#define __LSM_MPROTECT_AUDIT_H

enum lsm_mprotect_kind {
	LSM_MPROTECT_NONE,
	LSM_MPROTECT_HEAP,
	LSM_MPROTECT_STACK,
};

/* Somebody makes a writable area executable. */
struct lsm_mprotect_event {
	__u32 pid;
	__u32 kind;
	__u64 start;		/* of the whole mapping, not of the request */
	__u64 end;
	__u32 old_prot;
	__u32 new_prot;
	char comm[16];
};

#endif
