# SPDX-License-Identifier: MIT
# Linked into every C test, fuzz target and bench.
test-lib-src := tests/lib/fake_guest.c tests/lib/fake_guest_memory.c tests/lib/fake_guest_rings.c tests/lib/echo.c tests/lib/child_of.c
# Linked besides by the tests of the GPU device.
gpu-test-src = tests/lib/gpu_world.c tests/lib/died_request.c tests/lib/fake_renderer.c tests/lib/fake_shmem.c $(host-gpu-device-src) $(host-display-src)
