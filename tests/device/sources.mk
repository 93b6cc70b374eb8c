# SPDX-License-Identifier: MIT
device-tests += test_virtio_ring
device-tests += test_rng
device-tests += test_block
device-tests += test_block_reset
