/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __CHECK_H
#define __CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A client ends, and says where, when something is not as it has to be. */
#define check(condition) ({						\
	if (!(condition)) {						\
		fprintf(stderr, "%s:%d: not %s (errno %d)\n",		\
			__FILE__, __LINE__, #condition, errno);		\
		exit(1);						\
	}								\
})

#endif /* __CHECK_H */
