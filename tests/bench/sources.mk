# SPDX-License-Identifier: MIT
bench-programs += bench_virtio_request
# Every program prints its rows by bench.c.
bench-programs += bench_vmm
bench_vmm-src := tests/bench/bench.c tests/bench/floor.c
bench-programs += bench_roundtrip
bench_roundtrip-src := tests/bench/bench.c $(filter-out vmm/main.c,$(vmm-src) $(vmm-$(HOST_ARCH)-src))
# gpu3d-src is in tests/device/sources.mk.
bench-programs += bench_gpu
bench_gpu-src := tests/bench/bench.c tests/bench/gpu_scene.c tests/bench/gpu_native.c tests/bench/gpu_through.c $(gpu3d-src)
# Against QEMU, in the nested machines; scripts.
bench-scripts := tests/bench/vmm_vs_qemu tests/bench/vmm_vs_qemu_arm64
