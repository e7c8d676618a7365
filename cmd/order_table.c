/* SPDX-License-Identifier: MIT */
/* The table of orders. See order.h. */
#include "order.h"

#define RANGE                                     \
	{"vm", ORDER_TEXT}, {"va", ORDER_NUMBER}, \
	{                                         \
		"size", ORDER_NUMBER              \
	}
#define BIT	ORDER_BIT
#define FLAGS	(BIT(ORDER_READONLY) | BIT(ORDER_NOEXEC) | BIT(ORDER_UNCACHED))
#define CHANGE	(BIT(ORDER_IF_GENERATION) | ORDER_RECORD)
#define BIND	(BIT(ORDER_DISPLACE) | CHANGE)
#define FENCE	(BIT(ORDER_FENCED) | BIT(ORDER_WAIT) | BIT(ORDER_SIGNAL))
#define NOTE	(BIT(ORDER_COMMENT) | BIT(ORDER_DURABILITY))
#define CHANGES .effect = CLIENT_CHANGES, .show = order_show_change
#define NAME                       \
	{                          \
		"name", ORDER_TEXT \
	}
#define RANGE_OF "VM VA SIZE"

const struct order_action order_actions[] = {
	{"vm", "create", "NAME", "vm.create", CHANGES, .words = {NAME}, .options = BIT(ORDER_VA_RANGE) | ORDER_RECORD},
	{"vm", "ensure", "NAME", "vm.ensure", CHANGES, .words = {NAME}, .options = BIT(ORDER_VA_RANGE) | NOTE},
	{"vm", "destroy", "NAME", "vm.destroy", CHANGES, .words = {NAME}, .options = BIT(ORDER_MISSING_OK) | CHANGE},
	{"vm", "rebuild", "NAME", "vm.rebuild", CLIENT_CHANGES, .words = {NAME},
	 .options = BIT(ORDER_FROM) | BIT(ORDER_FORCE) | CHANGE, .show = order_show_rebuilt},
	{"vm", "verify", "NAME", "vm.verify", .words = {NAME}, .show = order_show_verified},
	{"vm", "list", "", "vm.list", .show = order_show_vms},
	{"vm", "show", "NAME", "vm.show", .words = {{"name", ORDER_LOCAL}}, .options = BIT(ORDER_MAP) | BIT(ORDER_SVG),
	 .run = order_show_vm},
	{"bo", "create", "NAME SIZE", "bo.create", CHANGES, .words = {NAME, {"size", ORDER_NUMBER}},
	 .options = BIT(ORDER_VM) | BIT(ORDER_NO_MMAP) | BIT(ORDER_WB_MMAP) | ORDER_RECORD},
	{"bo", "ensure", "NAME SIZE", "bo.ensure", CHANGES, .words = {NAME, {"size", ORDER_NUMBER}},
	 .options = BIT(ORDER_VM) | BIT(ORDER_NO_MMAP) | BIT(ORDER_WB_MMAP) | NOTE},
	{"bo", "destroy", "NAME", "bo.destroy", CHANGES, .words = {NAME},
	 .options = BIT(ORDER_MISSING_OK) | ORDER_RECORD},
	{"bo", "list", "", "bo.list", .show = order_show_bos},
	{"bo", "read", "NAME OFF LEN", "bo.read",
	 .words = {{"name", ORDER_LOCAL}, {"offset", ORDER_LOCAL}, {"size", ORDER_LOCAL}}, .run = order_read_bo},
	{"bo", "write", "NAME OFF FILE", "bo.write", CLIENT_CHANGES,
	 .words = {{"name", ORDER_LOCAL}, {"offset", ORDER_LOCAL}, {"file", ORDER_LOCAL}}, .run = order_write_bo},
	{"map", NULL, RANGE_OF " BO[+OFF]", "bind.map", CHANGES, .words = {RANGE, {"bo", ORDER_BO}},
	 .options = FLAGS | FENCE | BIND},
	{"ensure", NULL, RANGE_OF " BO[+OFF]", "bind.ensure", CHANGES, .words = {RANGE, {"bo", ORDER_BO}},
	 .options = FLAGS | BIT(ORDER_DISPLACE) | BIT(ORDER_IF_GENERATION) | NOTE},
	{"unmap", NULL, RANGE_OF, "bind.unmap", CHANGES, .words = {RANGE}, .options = FENCE | BIND},
	{"sparse", "reserve", RANGE_OF, "sparse.reserve", CHANGES, .words = {RANGE}, .options = BIND},
	{"sparse", "bind", RANGE_OF " BO[+OFF]", "sparse.bind", CHANGES, .words = {RANGE, {"bo", ORDER_BO}},
	 .options = FLAGS | BIND},
	{"sparse", "unbind", RANGE_OF, "sparse.unbind", CHANGES, .words = {RANGE}, .options = BIND},
	{"sparse", "release", RANGE_OF, "sparse.release", CHANGES, .words = {RANGE}, .options = BIND},
	{"detach", NULL, "NAME|PID", "vm.drop", CLIENT_CHANGES, .words = {{"target", ORDER_LOCAL}}, .options = NOTE,
	 .run = order_detach},
	{0},
};
