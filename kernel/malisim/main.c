// SPDX-License-Identifier: GPL-2.0
/* malisim: the platform driver. It stays for good, because emulated I/O ranges cannot be given back. */
#include "malisim.h"
#include <linux/module.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

static int malisim_probe(struct platform_device *pdev)
{
	struct device_node *gpu;
	struct malisim *sim;
	int err;

	sim = vzalloc(sizeof(*sim));
	if (!sim)
		return -ENOMEM;
	sim->events = vzalloc(array_size(SIM_EVENTS, sizeof(*sim->events)));
	if (!sim->events) {
		vfree(sim);
		return -ENOMEM;
	}
	spin_lock_init(&sim->lock);
	init_waitqueue_head(&sim->fw_wait);
	sim->trace_on = true;
	sim->busy_as = -1;

	gpu = of_parse_phandle(pdev->dev.of_node, "panbind,gpu", 0);
	if (!gpu)
		return dev_err_probe(&pdev->dev, -ENODEV, "no panbind,gpu\n");
	/* from here on things may refer to it, so that it is not freed if a later step fails */
	err = sim_irq_init(sim, pdev->dev.of_node) ?: sim_fw_init(sim) ?: sim_mmio_init(sim, gpu);
	of_node_put(gpu);
	if (err)
		return err;
	sim_debugfs_init(sim);
	return 0;
}

static const struct of_device_id malisim_match[] = {{.compatible = "panbind,malisim"}, {}};
MODULE_DEVICE_TABLE(of, malisim_match);

static struct platform_driver malisim_driver = {
	.probe = malisim_probe,
	.driver = {.name = "malisim", .of_match_table = malisim_match, .suppress_bind_attrs = true},
};

static int __init malisim_init(void)
{
	return platform_driver_register(&malisim_driver);
}
module_init(malisim_init);

MODULE_DESCRIPTION("Emulated Mali CSF GPU for User-Mode Linux");
MODULE_LICENSE("GPL");
