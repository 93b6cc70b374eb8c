#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs a script where `mullion run` can boot Linux: here, when this machine's KVM can, else in the nested machine.
# Sourced by tests/linux/guests and samples/demo.sh. Needs $mullion, the program.
#
#   linux_where                       sets $where (here, nested, or none) and $where_why; NESTED=1 forces nested
#   linux_run DIR TIMEOUT_S [FILTER]  runs DIR/script there, with JOB set to DIR as the script sees it; its output
#                                     goes through FILTER and to DIR/console.log. Returns its status, 124 on time-out.

# shellcheck disable=SC2154
linux_lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib/nested.sh
. "$linux_lib/nested.sh"

# Beyond what mullion doctor can tell, the proof is a boot: what /dev/kvm or the processor's flags promise is not always so.
linux_trial() {
	local dir rc
	dir=$(mktemp -d) || return 1
	"$nested_top/samples/linux/initrd.sh" "$nested_kernel/initrd.cpio" "$dir/initrd" "$nested_top/samples/linux/init" \
		"report=$nested_top/tests/linux/report.guest"
	timeout -k 2 20 "$mullion" run --kernel "$nested_kernel/vmlinuz" --initrd "$dir/initrd" --memory 256M \
		--serial stdio --console none --display none --append "console=ttyS0 quiet panic=-1 mullion.do=report" \
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
	where=none where_why=
	if ! "$nested_build" debian13; then
		where_why="the Debian 13 guest could not be built (see above)"
		return 1
	fi
	nested_kernel=$("$nested_build" --path debian13)
	if [ "${NESTED:-0}" = 1 ]; then
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
	if nested_ready; then
		where=nested
		return 0
	fi
	where_why="$where_why, and $nested_reason"
	return 1
}

linux_run() {
	local dir=$1 limit=$2 filter=${3:-cat >/dev/null}
	if [ "$where" = nested ]; then
		nested_run "$dir" "$limit" "$filter"
		return
	fi
	JOB=$dir timeout -k 5 "$limit" bash "$dir/script" </dev/null 2>&1 | tee "$dir/console.log" | eval "$filter"
	return "${PIPESTATUS[0]}"
}
