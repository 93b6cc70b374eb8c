# SPDX-License-Identifier: MIT
host-virtio-src := host/virtio/mem.c host/virtio/chain.c host/virtio/device.c host/virtio/shmem.c host/virtio/shared_heap.c
host-virtio-src += host/virtio/control_socket.c
host-virtio-src += host/virtio/journal.c host/virtio/inflight.c host/virtio/inflight_region.c
host-virtio-src += host/virtio/queue.c host/virtio/queue_split.c host/virtio/queue_packed.c
host-virtio-src += host/virtio/object.c
