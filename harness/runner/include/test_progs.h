/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stands in front of the kernel's own test_progs.h, which it includes
 * unmodified, for one reason: the ASSERT_* macros call test__fail() without
 * saying where they are. A macro of that name is expanded where the assertion
 * is written and knows the file and the line.
 */
#ifndef RUNNER_TEST_PROGS_H
#define RUNNER_TEST_PROGS_H

#include_next <test_progs.h>

void runner_fail_at(const char *file, int line);

#define test__fail() runner_fail_at(__FILE__, __LINE__)

#endif
