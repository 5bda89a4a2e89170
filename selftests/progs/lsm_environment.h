/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __LSM_ENVIRONMENT_H
#define __LSM_ENVIRONMENT_H

/* Nobody but the test makes an ioctl() with this. */
#define LSM_ENVIRONMENT_MIX	0x4c534d03

/* A constant of the program that is looked for in its code. */
#define LSM_ENVIRONMENT_CONST	0x2545f491

/* Depends on constants of every kind. The program and the test compute it. */
static inline unsigned long long lsm_environment_mix(unsigned long long x)
{
	unsigned int y;

	x ^= 0x5bd1e99511223344ULL;
	x += 0x1b873593;
	x *= LSM_ENVIRONMENT_CONST;
	y = x >> 7;
	y |= 0x10204081;
	if (y > 0x6c078965)
		x -= 0x71c9bd0b;
	return x ^ y;
}

#endif
