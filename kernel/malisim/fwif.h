/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory through which host and firmware talk, version 1.1, as byte offsets, and where malisim's firmware puts it.
 *
 * Requests and acknowledgements are words that are compared bit by bit: the host changes a bit of REQ to ask for
 * something, the firmware makes the bit of ACK equal when it is done. For events it is the other way round.
 */
#ifndef MALISIM_FWIF_H
#define MALISIM_FWIF_H

#include <linux/bits.h>

#define GROUPS	    8
#define STREAMS	    8
#define REGISTERS   96 /* of a stream */
#define SCOREBOARDS 8

/* where: in the shared section of the firmware file, MCU addresses. No interface crosses a page. */
#define SHARED_VA	     0x04000000u
#define GROUP_STRIDE	     0x400
#define STREAM_STRIDE	     0x10
#define GLOBAL_CONTROL	     SHARED_VA
#define GLOBAL_INPUT	     (SHARED_VA + 0x8000)
#define GLOBAL_OUTPUT	     (SHARED_VA + 0x8800)
#define GROUP_CONTROL(g)     (SHARED_VA + 0x1000 + (g)*GROUP_STRIDE)
#define STREAM_CONTROL(g, s) (GROUP_CONTROL(g) + 0x40 + (s)*STREAM_STRIDE)
#define GROUP_PAGES(g)	     (SHARED_VA + 0x10000 + (g)*0x4000)
#define GROUP_INPUT(g)	     GROUP_PAGES(g)
#define GROUP_OUTPUT(g)	     (GROUP_PAGES(g) + 0x800)
#define STREAM_INPUT(g, s)   (GROUP_PAGES(g) + 0x1000 + (s)*0x200)
#define STREAM_OUTPUT(g, s)  (GROUP_PAGES(g) + 0x2000 + (s)*0x200)
#define SUSPEND_SIZE	     4096

/* global control, input, output */
#define GC_VERSION	  0x00
#define GC_FEATURES	  0x04
#define GC_INPUT_VA	  0x08
#define GC_OUTPUT_VA	  0x0c
#define GC_GROUPS	  0x10
#define GC_GROUP_STRIDE	  0x14
#define GC_PERFCNT_SIZE	  0x18
#define GC_INSTR_FEATURES 0x1c
#define INTERFACE_VERSION (1 << 24 | 1 << 16)

#define GI_REQ		0x00
#define GI_ACK_IRQ_MASK 0x04
#define GI_DOORBELL_REQ 0x08
#define GO_ACK		0x00
#define GO_DOORBELL_ACK 0x08
#define GO_HALT_STATUS	0x10
#define GLOBAL_HALT	BIT(0)
#define GLOBAL_REQUESTS GENMASK(10, 0)

/* group control, input, output */
#define PC_FEATURES		  0x00
#define PC_INPUT_VA		  0x04
#define PC_OUTPUT_VA		  0x08
#define PC_SUSPEND_SIZE		  0x0c
#define PC_PROTECTED_SUSPEND_SIZE 0x10
#define PC_STREAMS		  0x14
#define PC_STREAM_STRIDE	  0x18

#define PI_REQ		    0x00
#define PI_ACK_IRQ_MASK	    0x04
#define PI_DOORBELL_REQ	    0x08
#define PI_ENDPOINT_REQ	    0x34
#define PI_SUSPEND_BUF	    0x40
#define PI_CONFIG	    0x50 /* 3:0 address space */
#define PO_ACK		    0x00
#define PO_DOORBELL_ACK	    0x08
#define PO_ENDPOINT_CURRENT 0x10
#define PO_STATE	    0x18
#define PO_STATE_IDLE	    BIT(0)

#define GROUP_STATE	      GENMASK(2, 0)
#define GROUP_TERMINATE	      0
#define GROUP_START	      1
#define GROUP_SUSPEND	      2
#define GROUP_RESUME	      3
#define GROUP_ENDPOINT_CONFIG BIT(4)
#define GROUP_STATUS_UPDATE   BIT(5)
#define GROUP_REQUESTS	      (GROUP_STATE | GROUP_ENDPOINT_CONFIG | GROUP_STATUS_UPDATE)
#define GROUP_SYNC_UPDATE     BIT(28)
#define GROUP_IDLE	      BIT(29)

/* stream control, input, output */
#define SC_FEATURES  0x00
#define SC_INPUT_VA  0x04
#define SC_OUTPUT_VA 0x08
#define STREAM_FEATURES \
	((REGISTERS - 1) | SCOREBOARDS << 8 | BIT(16) | BIT(17) | BIT(18)) /* compute, fragment, tiler */

#define SI_REQ		  0x00
#define SI_CONFIG	  0x04 /* 15:8 doorbell */
#define SI_RING_BASE	  0x10
#define SI_RING_SIZE	  0x18
#define SI_RING_INPUT	  0x30
#define SI_RING_OUTPUT	  0x38
#define SO_ACK		  0x00
#define SO_SCOREBOARDS	  0x5c
#define SO_BLOCKED_REASON 0x60
#define STREAM_STATE	  GENMASK(2, 0)
#define STREAM_STARTED	  1
#define STREAM_EVENTS	  (BIT(26) | BIT(27) | BIT(30) | BIT(31))

/* ring buffer: positions in bytes, ever growing */
#define RI_INSERT  0x00
#define RO_EXTRACT 0x00
#define RO_ACTIVE  0x08

#endif
