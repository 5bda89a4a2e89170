// SPDX-License-Identifier: GPL-2.0
/* What is executed by the case "execve": the shortest program there is. */
#include <sys/syscall.h>

void _start(void)
{
	for (;;)
		asm volatile("syscall" : : "a"(__NR_exit), "D"(0) : "rcx", "r11", "memory");
}
