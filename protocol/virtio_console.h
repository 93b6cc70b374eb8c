/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* virtio 1.4, section 5.3: console device. The kernel's header has all that we use. */
#ifndef MULLION_PROTOCOL_VIRTIO_CONSOLE_H
#define MULLION_PROTOCOL_VIRTIO_CONSOLE_H

#include <linux/virtio_console.h>

#include "protocol/virtio.h"

#endif
