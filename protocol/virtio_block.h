/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* virtio 1.4, section 5.2: block device. The kernel's header has all that we use. */
#ifndef MULLION_PROTOCOL_VIRTIO_BLOCK_H
#define MULLION_PROTOCOL_VIRTIO_BLOCK_H

#include <linux/virtio_blk.h>

#include "protocol/virtio.h"

#endif
