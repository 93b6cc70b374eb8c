#!/bin/bash
# SPDX-License-Identifier: MIT
# User Mode Linux as the guest of a vhost-user device: a kernel that is an ordinary process, whose virtio_uml driver is the
# frontend. Its root file system is this machine's own, read-only, so this machine's Mesa is the guest's. To be sourced.
#
#   uml_ready                            0 if there is a kernel, built now if need be: $uml_kernel; else $uml_reason
#   uml_serve DIR PROGRAM [OPTION...]    starts a device program on DIR/sock: process $uml_server, log DIR/device.log
#   uml_start DIR JOB [WORD...]          starts a guest on DIR/sock: process $uml_guest. It runs the shell script JOB with
#                                        arguments WORD..., and DIR, writable, as /mnt; its console is DIR/console.log
#   uml_kill                             ends the guest at once
#   uml_wait DIR TIMEOUT_S               waits for the guest's end. 0 when it came there by itself, 124 on time-out
#
# UML_DEVICE: the device's virtio number (default 16, a GPU), or "none". UML_APPEND: more words for the kernel.
# UML_INPUT: a FIFO that its console reads. UML_CPU: the processor that it runs on, all of it: a program in it and its kernel
# are processes that take turns, and each turn takes a wake-up of another processor where they are on two.
# shellcheck disable=SC2034

uml_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

uml_ready() {
	uml_reason=
	[ "$(uname -m)" = x86_64 ] || { uml_reason="User Mode Linux is for x86_64"; return 1; }
	uml_kernel=$("$uml_top/tests/linux/uml-build.sh") && return 0
	if ls /usr/src/linux-source-*.tar.xz >/dev/null 2>&1; then
		uml_reason="the User Mode Linux kernel could not be built; tests/linux/uml-build.sh says why"
	else
		uml_reason="no kernel source for User Mode Linux (package linux-source)"
	fi
	return 1
}

uml_serve() {
	local dir=$1
	shift
	rm -f "$dir/sock"
	"$1" --socket-path "$dir/sock" "${@:2}" >>"$dir/device.log" 2>&1 &
	uml_server=$!
	until [ -S "$dir/sock" ]; do
		kill -0 "$uml_server" 2>/dev/null || return 1
		sleep 0.05
	done
}

uml_start() {
	local dir=$1 job=$2
	shift 2
	local device="virtio_uml.device=$dir/sock:${UML_DEVICE:-16}"
	[ "${UML_DEVICE:-}" != none ] || device=
	mkdir -p "$dir/uml"
	# shellcheck disable=SC2086
	HOME=$dir ${UML_CPU:+taskset -c "$UML_CPU"} "$uml_kernel" mem=512M rootfstype=hostfs rootflags=/ ro \
		con0=fd:0,fd:1 con=none quiet panic=-1 uml_dir="$dir/uml" ${device:+"$device"} ${UML_APPEND:-} \
		init="$uml_top/tests/linux/uml.init" -- "$dir" "$job" "$@" <"${UML_INPUT:-/dev/null}" >"$dir/console.log" 2>&1 &
	uml_guest=$!
}

# As a machine whose power is cut. The kernel makes a process group of its own, with helpers in it that would outlive it
# and keep its sockets; it may not have come that far.
uml_kill() {
	[ -n "${uml_guest:-}" ] || return 0
	kill -9 "$uml_guest" 2>/dev/null
	kill -9 -- "-$uml_guest" 2>/dev/null
	wait "$uml_guest" 2>/dev/null
}

uml_wait() {
	local dir=$1 ticks=$(($2 * 10))
	while kill -0 "$uml_guest" 2>/dev/null; do
		if [ $((ticks -= 1)) -lt 0 ]; then
			uml_kill
			return 124
		fi
		sleep 0.1
	done
	wait "$uml_guest" 2>/dev/null
	tr -d '\r' <"$dir/console.log" >"$dir/console.t" && mv "$dir/console.t" "$dir/console.log"
	grep -q '^uml: the end$' "$dir/console.log"
}
