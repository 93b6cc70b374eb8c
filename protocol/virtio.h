/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * virtio 1.4: the numbers and structures that every device shares. The kernel's own user headers have most of
 * them and are used wherever they do; what follows the includes is what they (or the oldest ones we build
 * with, Linux 6.1) lack. All integers on the wire are little-endian; Mullion runs on little-endian machines
 * only (check.c), so fields are read as they are.
 */
#ifndef MULLION_PROTOCOL_VIRTIO_H
#define MULLION_PROTOCOL_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

/* Section 6: feature bits below 24 and above 50 belong to the device. */
#ifndef VIRTIO_F_NOTIFICATION_DATA
#define VIRTIO_F_NOTIFICATION_DATA 38
#endif
#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40
#endif

/* The features as bits of the 64-bit word in which they are negotiated. */
#define VIRTIO_BIT(feature) (1ull << (feature))

/* Section 4.2.2: virtio over MMIO, version 2. The register offsets are in <linux/virtio_mmio.h>. */
#define VIRTIO_MMIO_MAGIC 0x74726976u
#define VIRTIO_MMIO_VERSION_MODERN 2u

/* Section 4.1.2: virtio over PCI, modern only. */
#define VIRTIO_PCI_VENDOR 0x1af4u
#define VIRTIO_PCI_DEVICE_BASE 0x1040u
/* Vendor ID that our register blocks report where the specification leaves it free ("MULN"). */
#define MULLION_MMIO_VENDOR 0x4e4c554du

#endif
