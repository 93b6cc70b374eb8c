#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs a script where `mullion run` can boot Linux: here, when this machine's KVM can, else in the nested machine.
# Sourced by tests/linux/guests, samples/demo.sh and samples/linux/run.sh. Needs $mullion, the program; ARCH (x86_64 or
# arm64; default: this machine's) says for which guests.
#
#   linux_where                       sets $where (here, nested, or none) and $where_why; NESTED=1 forces nested
#   linux_run DIR TIMEOUT_S [FILTER]  runs DIR/script there, with JOB set to DIR as the script sees it; its output
#                                     goes through FILTER and to DIR/console.log. Returns its status, 124 on time-out.
#
# Set from the start: $linux_guest, the guest's name for samples/linux/build.sh, and $linux_console, its serial console.
# linux_where sets $inside, what is in front of a host path where the script runs.

# shellcheck disable=SC2154
linux_lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib/nested.sh
. "$linux_lib/nested.sh"
# shellcheck source=tests/lib/nested-arm64.sh
. "$linux_lib/nested-arm64.sh"
linux_host=$(uname -m | sed s/aarch64/arm64/)
linux_arch=${ARCH:-$linux_host}
# shellcheck disable=SC2034
case $linux_arch in
arm64) linux_guest=debian13-arm64 linux_console=ttyAMA0 ;;
*) linux_guest=debian13 linux_console=ttyS0 ;;
esac

# Beyond what mullion doctor can tell, the proof is a boot: what /dev/kvm or the processor's flags promise is not always so.
linux_trial() {
	local dir rc
	dir=$(mktemp -d) || return 1
	"$nested_top/samples/linux/initrd.sh" "$nested_kernel/initrd.cpio" "$dir/initrd" "$nested_top/samples/linux/init" \
		"report=$nested_top/tests/linux/report.guest"
	timeout -k 2 20 "$mullion" run --kernel "$nested_kernel/vmlinuz" --initrd "$dir/initrd" --memory 256M \
		--serial stdio --console none --display none --append "console=$linux_console quiet panic=-1 mullion.do=report" \
		</dev/null >"$dir/log" 2>&1
	rc=$?
	if [ $rc = 0 ] && grep -q 'mullion-guest: report ended with 0' "$dir/log"; then
		rm -rf "$dir"
		return 0
	fi
	linux_trial_log=$(grep -v '^\[' "$dir/log" | tail -n 1 | cut -c1-160)
	rm -rf "$dir"
	return 1
}

linux_where() {
	local why
	where=none where_why='' inside=
	if ! "$nested_build" $linux_guest; then
		where_why="the Debian 13 guest could not be built (see above)"
		return 1
	fi
	nested_kernel=$("$nested_build" --path $linux_guest)
	if [ "$linux_arch" != "$linux_host" ]; then
		where_why="this machine is $linux_host"
	elif [ "${NESTED:-0}" = 1 ]; then
		where_why="NESTED=1 asks for it"
	elif [ ! -e /dev/kvm ]; then
		where_why="there is no /dev/kvm"
	elif [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
		where_why="no permission for /dev/kvm (join the group kvm)"
	elif why=$("$mullion" doctor --json 2>/dev/null | sed -n 's/.*"verdict": "[^"]*", "name": "KVM processor", "text": "\([^"]*\)".*/\1/p') &&
		[[ $why = *interprets* ]]; then
		where_why="/dev/kvm only $why"
	elif linux_trial; then
		where=here where_why="/dev/kvm boots a stock kernel"
		return 0
	else
		where_why="/dev/kvm does not boot a stock kernel (${linux_trial_log:-no output})"
	fi
	case $linux_arch in
	arm64) nested_arm64_ready && where=nested inside=/host ;;
	*) nested_ready && where=nested ;;
	esac
	[ $where = none ] || return 0
	where_why="$where_why, and $nested_reason"
	return 1
}

linux_run() {
	local dir=$1 limit=$2 filter=${3:-cat >/dev/null}
	if [ "$where" = nested ] && [ "$linux_arch" = arm64 ]; then
		# It has EL2 of its own kind (VHE), with which a guest's exits cost less than on the default processor.
		NESTED_CPU=${NESTED_CPU:-neoverse-n1} nested_arm64_run "$dir" "$limit" "$filter"
		return
	elif [ "$where" = nested ]; then
		nested_run "$dir" "$limit" "$filter"
		return
	fi
	JOB=$dir timeout -k 5 "$limit" bash "$dir/script" </dev/null 2>&1 | tee "$dir/console.log" | eval "$filter"
	return "${PIPESTATUS[0]}"
}
