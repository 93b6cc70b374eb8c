#!/bin/bash
# SPDX-License-Identifier: MIT
# The nested arm64 machine: an emulated board (QEMU, TCG) whose processor has EL2, and so a real /dev/kvm in which an
# arm64 `mullion run` boots Linux, on any host. Sourced by tests.
#
#   nested_arm64_ready                       0, or 1 with the reason in $nested_reason
#   nested_arm64_run DIR TIMEOUT_S [FILTER]  as nested_run of nested.sh, but the host's files are under /host
#   nested_arm64_build OUT                   cross-builds everything; sets $arm64_out, its folder. 0, or 1 with the reason
#                                            in $nested_reason; 2 when the build failed
#
# Environment: NESTED_CPU (default cortex-a72), NESTED_GIC (3 or 2: what KVM has in there, too).

nested_lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nested_top=$(cd "$nested_lib/../.." && pwd)
nested_reason=
# shellcheck source=tests/lib/emulated.sh
. "$nested_lib/emulated.sh"

nested_arm64_ready() {
	nested_reason=
	if ! command -v qemu-system-aarch64 >/dev/null 2>&1; then
		nested_reason="no qemu-system-aarch64 (package qemu-system-arm)"
	elif ! nested_sysroot=$("$nested_lib/sysroot.sh" arm64); then
		nested_reason="the arm64 libraries could not be fetched (see above)"
	elif ! "$nested_top/samples/linux/build.sh" debian13-arm64; then
		nested_reason="the arm64 guest could not be built (see above)"
	else
		nested_kernel=$("$nested_top/samples/linux/build.sh" --path debian13-arm64)
		return 0
	fi
	return 1
}

nested_arm64_build() {
	nested_reason=
	arm64_out=$1/arm64
	[ "$(basename "$1")" = arm64 ] && arm64_out=$1
	if ! command -v aarch64-linux-gnu-gcc >/dev/null 2>&1; then
		nested_reason="no arm64 cross compiler (package gcc-aarch64-linux-gnu)"
		return 1
	fi
	# make takes its libraries from there, and would do with less if they weren't there yet.
	if ! "$nested_lib/sysroot.sh" arm64 >&2; then
		nested_reason="the arm64 libraries could not be fetched (see above)"
		return 1
	fi
	# Neither the job server nor the sanitizers of the make that runs the tests.
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -j"$(nproc)" -C "$nested_top" ARCH=arm64 O="$arm64_out" DEPS=done \
		SAN= all >&2 || return 2
}

nested_arm64_run() {
	local dir=$1 limit=$2 filter=${3:-cat >/dev/null} rc
	dir=$(cd "$dir" && pwd)
	"$nested_top/samples/linux/initrd.sh" "$nested_kernel/nested.cpio" "$dir/nested.cpio" "$nested_lib/nested-arm64.init"
	emulated_run "$dir" "$limit" "$filter" qemu-system-aarch64 \
		-M "virt,virtualization=on,gic-version=${NESTED_GIC:-3}" -accel tcg,thread=multi \
		-cpu "${NESTED_CPU:-cortex-a72}" -smp "${NESTED_CPUS:-2}" -m "${NESTED_MEMORY:-6144}" \
		-nodefaults -no-user-config -display none -no-reboot -serial stdio \
		-kernel "$nested_kernel/vmlinuz" -initrd "$dir/nested.cpio" \
		-append "console=ttyAMA0 loglevel=2 oops=panic panic=-1 mitigations=off mullion.sysroot=$nested_sysroot" \
		-fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap \
		-device virtio-9p-pci,fsdev=root,mount_tag=hostroot \
		-fsdev local,id=job,path="$dir",security_model=none,multidevs=remap \
		-device virtio-9p-pci,fsdev=job,mount_tag=job
	rc=$?
	rm -f "$dir/nested.cpio"
	return $rc
}
