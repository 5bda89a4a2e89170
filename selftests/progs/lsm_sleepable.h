/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __PROGS_LSM_SLEEPABLE_H
#define __PROGS_LSM_SLEEPABLE_H

/* What prctl() is asked for, an option that the kernel does not know. */
#define LSM_SLEEPABLE_OPTION	0x6c736d
/* The word that a program denies with EACCES when it reads it. */
#define LSM_SLEEPABLE_DENY	0x6e6f

#ifndef EACCES
#define EACCES 13
#endif

enum { SLEEPABLE_A, PLAIN_A, SLEEPABLE_B, PLAIN_B, NR_SLOTS };

/* What a program has seen: how often it ran, which call of all programs' calls
 * was its last one, and what came of reading its word.
 */
struct lsm_sleepable_seen {
	int calls;
	int turn;
	int err;
	long word;
};

#endif /* __PROGS_LSM_SLEEPABLE_H */
