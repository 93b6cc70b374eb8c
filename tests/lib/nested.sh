#!/bin/bash
# SPDX-License-Identifier: MIT
# The nested machine: an emulated PC (QEMU, TCG) whose processor has AMD's virtualization, and so a real /dev/kvm in
# which `mullion run` boots a stock Linux. For machines whose own KVM can't. Sourced by the tests and by the demo.
#
#   nested_ready                        0, or 1 with the reason in $nested_reason
#   nested_run DIR TIMEOUT_S [FILTER]   runs DIR/script in there; returns its exit status, 124 when time was up,
#                                       125 when the machine itself failed (see DIR/console.log, DIR/qemu.log)
#
# The script sees the host's file system at the same paths. What it writes goes to memory and is gone afterwards, except
# under /run/job, which is DIR ($JOB in the script). Its output is streamed through FILTER (a command; default: none is
# shown) and kept in DIR/console.log. QEMU exits 0 whatever happened inside, so the status comes by a file.

nested_lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nested_top=$(cd "$nested_lib/../.." && pwd)
nested_build=$nested_top/samples/linux/build.sh
nested_reason=
# shellcheck source=tests/lib/emulated.sh
. "$nested_lib/emulated.sh"

# Memory is only used as it is touched. One processor: with several, QEMU 7.2's emulation sometimes runs into an
# instruction that the kernel is just patching (Oops: int3), and the machine is lost.
: "${NESTED_MEMORY:=9216}" "${NESTED_CPUS:=1}"

nested_ready() {
	nested_reason=
	command -v qemu-system-x86_64 >/dev/null 2>&1 || nested_reason="no qemu-system-x86_64 (package qemu-system-x86)"
	[ "$(uname -m)" = x86_64 ] || nested_reason="the host is $(uname -m), the nested machine is for x86_64"
	[ -n "$nested_reason" ] && return 1
	if ! "$nested_build" debian13; then
		nested_reason="the Debian 13 guest could not be built (see above)"
		return 1
	fi
	nested_kernel=$("$nested_build" --path debian13)
}

nested_run() {
	local dir=$1 limit=$2 filter=${3:-cat >/dev/null} rc
	dir=$(cd "$dir" && pwd)
	"$nested_top/samples/linux/initrd.sh" "$nested_kernel/nested.cpio" "$dir/nested.cpio" "$nested_lib/nested.init"
	emulated_run "$dir" "$limit" "$filter" qemu-system-x86_64 \
		-M q35 -accel tcg,thread=multi -cpu "${NESTED_CPU:-max}" -smp "$NESTED_CPUS" -m "$NESTED_MEMORY" \
		-nodefaults -no-user-config -display none -no-reboot -serial stdio \
		-kernel "$nested_kernel/vmlinuz" -initrd "$dir/nested.cpio" \
		-append "console=ttyS0 loglevel=2 oops=panic panic=-1 mitigations=off ${NESTED_APPEND:-}" \
		-virtfs local,path=/,mount_tag=hostroot,security_model=none,readonly=on,multidevs=remap \
		-virtfs local,path="$dir",mount_tag=job,security_model=none,multidevs=remap
	rc=$?
	rm -f "$dir/nested.cpio"
	return $rc
}
