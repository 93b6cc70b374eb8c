# SPDX-License-Identifier: MIT
device-tests += test_virtio_ring
