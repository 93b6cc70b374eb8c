# SPDX-License-Identifier: MIT
bench-programs += bench_virtio_request
# Every program prints its rows by bench.c.
bench-programs += bench_vmm
bench_vmm-src := tests/bench/bench.c tests/bench/floor.c
bench-programs += bench_roundtrip
bench_roundtrip-src := tests/bench/bench.c $(filter-out vmm/main.c,$(vmm-src) $(vmm-$(HOST_ARCH)-src))
