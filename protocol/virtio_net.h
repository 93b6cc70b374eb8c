/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* virtio 1.4, section 5.1: network device. The kernel's header has all that we use. */
#ifndef MULLION_PROTOCOL_VIRTIO_NET_H
#define MULLION_PROTOCOL_VIRTIO_NET_H

#include <linux/virtio_net.h>

#include "protocol/virtio.h"

#endif
