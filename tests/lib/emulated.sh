# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# A script's run in an emulated machine, what nested.sh and nested-arm64.sh have in common. Sourced by them.
#
#   emulated_run DIR TIMEOUT_S FILTER QEMU ARGUMENT...
#       runs that machine, whose first program runs DIR/script; see nested_run for the status and the files.
#
# A program can't make the kernel under it oops: when the emulated machine's own kernel does (QEMU's emulation of several
# processors sometimes loses a memory access), or QEMU crashes, that was the emulator's fault. Then the machine is started once
# more; a line on standard error says so, and the first console is kept as DIR/console.first.log.

emulated_run() {
	local dir=$1 limit=$2 filter=$3 began=$SECONDS rc why
	shift 3
	rm -f "$dir/status" "$dir/console.log" "$dir/console.first.log"
	[ -s "$dir/script" ] || { echo "emulated_run: no $dir/script" >&2; return 125; }
	while :; do
		# --foreground: a Ctrl-C at the terminal reaches this shell, which ends QEMU by the trap of timeout.
		timeout --foreground -k 5 $((limit - (SECONDS - began))) "$@" </dev/null 2>"$dir/qemu.log" |
			sed -u 's,\r,,g' | tee "$dir/console.log" | eval "$filter"
		rc=${PIPESTATUS[0]}
		[ -s "$dir/status" ] && return "$(cat "$dir/status")"
		[ "$rc" = 124 ] && return 124
		why=$(grep -a -m 1 'Kernel panic - not syncing' "$dir/console.log")
		[ "$rc" -gt 128 ] && why="QEMU ended by signal $((rc - 128))"
		[ -n "$why" ] && [ ! -e "$dir/console.first.log" ] && [ $((SECONDS - began)) -lt $((limit / 2)) ] || return 125
		echo "emulated machine: its own kernel or QEMU failed (${why#*] }), started once more" >&2
		mv "$dir/console.log" "$dir/console.first.log"
	done
}
