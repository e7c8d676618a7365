// SPDX-License-Identifier: GPL-2.0
/* malisim: what should never happen, on demand, so that a test can show that the box notices. */
#include "malisim.h"
#include <linux/bug.h>
#include <linux/irqflags.h>
#include <linux/mutex.h>
#include <linux/panic.h>
#include <linux/slab.h>

static void use_after_free(void)
{
	volatile char *memory = kmalloc(64, GFP_KERNEL);

	kfree((void *)memory);
	if (memory)
		memory[5] = 1;
}

static void leak(void)
{
	char *volatile memory = kmalloc(64, GFP_KERNEL);

	memory = NULL;
}

static void deadlock(void)
{
	static DEFINE_MUTEX(one);
	static DEFINE_MUTEX(two);

	mutex_lock(&one);
	mutex_lock(&two);
	mutex_unlock(&two);
	mutex_unlock(&one);
	mutex_lock(&two);
	mutex_lock(&one);
	mutex_unlock(&one);
	mutex_unlock(&two);
}

static void hang(void)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
}

/* Not under the lock: some of this sleeps. */
int sim_provoke(const char *what)
{
	if (!strcmp(what, "warning"))
		WARN(1, "provoked");
	else if (!strcmp(what, "oops"))
		*(volatile int *)8 = 0;
	else if (!strcmp(what, "panic"))
		panic("provoked");
	else if (!strcmp(what, "hang"))
		hang();
	else if (!strcmp(what, "use-after-free"))
		use_after_free();
	else if (!strcmp(what, "leak"))
		leak();
	else if (!strcmp(what, "deadlock"))
		deadlock();
	else
		return -EINVAL;
	return 0;
}
