/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __LSM_CGROUP_ATTACH_H
#define __LSM_CGROUP_ATTACH_H

#define MAX_ERRNO	4095
#define MAX_TURNS	8

/* Programs that note that they run. */
enum { NOBODY, VERDICT, SEE, FIRST, SECOND, PLAIN, OTHER_HOOK };

#endif /* __LSM_CGROUP_ATTACH_H */
