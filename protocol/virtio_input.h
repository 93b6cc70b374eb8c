/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* virtio 1.4, section 5.8: input device. The kernel's headers have all that we use. */
#ifndef MULLION_PROTOCOL_VIRTIO_INPUT_H
#define MULLION_PROTOCOL_VIRTIO_INPUT_H

#include <linux/input-event-codes.h>
#include <linux/virtio_input.h>

#include "protocol/virtio.h"

#define VIRTIO_INPUT_QUEUE_EVENT 0u
#define VIRTIO_INPUT_QUEUE_STATUS 1u

#endif
