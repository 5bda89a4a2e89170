/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __LSM_RACE_H
#define __LSM_RACE_H

/* Nobody but the tests makes an ioctl() with these. It fails with ENOTTY. */
#define LSM_RACE_CALL		0x4c534d01
#define LSM_RACE_READ		0x4c534d02

/* Argument of LSM_RACE_CALL, or the word in user memory that the argument of
 * LSM_RACE_READ points to: this is what is denied.
 */
#define LSM_RACE_DENIED		0x44454e59

/* One hook takes no more programs. */
#define LSM_RACE_PROGS		38

#endif
