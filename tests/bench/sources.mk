# SPDX-License-Identifier: MIT
bench-programs += bench_virtio_request
# Every program prints its rows by bench.c.
# The bare loops that these two time are x86-64's.
ifeq ($(ARCH),x86_64)
bench-programs += bench_vmm bench_roundtrip
endif
bench_vmm-src := tests/bench/bench.c tests/bench/floor.c
bench_roundtrip-src := tests/bench/bench.c $(filter-out vmm/main.c,$(vmm-src) $(vmm-$(HOST_ARCH)-src))
bench_roundtrip-libs = $(vmm-libs)
# gpu3d-src is in tests/device/sources.mk.
bench-programs += bench_gpu bench_gpu_journal
bench_gpu_journal-src := tests/bench/bench.c tests/bench/gpu_scene.c tests/bench/gpu_through.c $(gpu3d-src)
bench_gpu-src := tests/bench/bench.c tests/bench/gpu_scene.c tests/bench/gpu_native.c tests/bench/gpu_through.c $(gpu3d-src)
bench-programs += bench_recovery
bench_recovery-src = tests/bench/bench.c $(vhost-test-src) $(host-display-src) $(host-gpu-device-src)
bench-programs += bench_gpu_fairness
bench_gpu_fairness-src = tests/bench/bench.c $(gpu-neighbour-src)
# Against QEMU, in the nested machines; scripts.
bench-scripts := tests/bench/vmm_vs_qemu tests/bench/vmm_vs_qemu_arm64
