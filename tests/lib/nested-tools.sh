# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by scripts inside the nested arm64 machine: makes the arm64 programs of samples/linux/build.sh
# debian13-arm64-tools commands of this machine, if that folder ($TOOLS) is there. They are of a newer Debian than the
# machine's root, so each runs in a root of its own that shares all but /usr with this one.

if [ -n "${TOOLS:-}" ]; then
	mkdir -p /tools /tools-new /usr/local/bin
	busybox mount -t tmpfs tools /tools-new
	mkdir /tools-new/up /tools-new/work
	busybox mount -t overlay -o "lowerdir=$TOOLS,upperdir=/tools-new/up,workdir=/tools-new/work" tools /tools
	for d in dev proc sys run tmp host; do
		mkdir -p /tools/$d
		busybox mount --rbind /$d /tools/$d
	done
	for t in qemu-storage-daemon qemu-system-aarch64 passt; do
		printf '#!/bin/bash\nexec chroot /tools %s "$@"\n' $t >/usr/local/bin/$t
	done
	printf '#!/bin/bash\nexec chroot /tools /usr/libexec/virtiofsd "$@"\n' >/usr/local/bin/virtiofsd
	chmod +x /usr/local/bin/*
fi
