// SPDX-License-Identifier: GPL-2.0
/*
 * Break the kernel in ways that user space cannot:
 *
 *	insmod broken.ko how=oops	in a workqueue, some time after insmod has returned
 *	insmod broken.ko how=warn	likewise, and the kernel goes on
 *	insmod broken.ko how=hang	no CPU takes an interrupt any more
 */
#include <linux/module.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/workqueue.h>

static char *how = "";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "oops, warn or hang");

static void broken_oops(struct work_struct *work)
{
	/* Not NULL: the compiler knows what that means, and traps. */
	WRITE_ONCE(*(unsigned long *)8, 0);
}

static void broken_warn(struct work_struct *work)
{
	WARN(1, "broken on purpose");
}

static void broken_hang(void *unused)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
}

static DECLARE_WORK(oops_work, broken_oops);
static DECLARE_WORK(warn_work, broken_warn);

static int __init broken_init(void)
{
	if (!strcmp(how, "oops"))
		schedule_work(&oops_work);
	else if (!strcmp(how, "warn"))
		schedule_work(&warn_work);
	else if (!strcmp(how, "hang"))
		on_each_cpu(broken_hang, NULL, 0);
	else
		return -EINVAL;
	return 0;
}

static void __exit broken_exit(void)
{
	flush_work(&warn_work);
}

module_init(broken_init);
module_exit(broken_exit);
MODULE_DESCRIPTION("What a test harness has to survive");
MODULE_LICENSE("GPL");
