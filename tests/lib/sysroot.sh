#!/bin/bash
# SPDX-License-Identifier: MIT
# The target's libraries and headers for cross-building, out of Debian packages; nothing of them is run.
#
#   sysroot.sh arm64          builds it if it is not there, and prints its folder
#   sysroot.sh --path arm64   only prints the folder (it may not exist yet)
#
# It is this machine's Debian release, as the cross compiler is, or Debian 12 elsewhere. Kept in
# ${XDG_CACHE_HOME:-~/.cache}/mullion/sysroot, named after a hash of this file and the release. It can be the root of a
# running machine too (the nested tests do that): bash, coreutils, perl, dtc and the run-time libraries are in it.
set -euo pipefail

packages="libc6-dev linux-libc-dev libfdt-dev zlib1g-dev libzstd-dev libvirglrenderer-dev libepoxy-dev libegl-dev libgbm-dev
	libpixman-1-dev libpng-dev libvncserver-dev libseccomp-dev libdrm-dev libgles-dev libjson-c-dev libcmocka-dev libegl1 libegl-mesa0 libgl1-mesa-dri
	bash coreutils grep sed perl device-tree-compiler"

die() { echo "sysroot: $*" >&2; exit 1; }
only=
[ "${1:-}" = --path ] && { only=1; shift; }
arch=${1:-}
case $arch in arm64) ;; *) die "usage: sysroot.sh [--path] arm64" ;; esac

suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release 2>/dev/null)
case $suite in bookworm|trixie) ;; *) suite=bookworm ;; esac
top=${XDG_CACHE_HOME:-$HOME/.cache}/mullion/sysroot
out=$top/$arch-$suite-$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-10)
if [ -n "$only" ] || [ -e "$out/done" ]; then
	echo "$out/root"
	exit 0
fi

command -v mmdebstrap >/dev/null 2>&1 || die "mmdebstrap is missing: apt-get install mmdebstrap"
mkdir -p "$top"
exec 9>"$top/$arch.lock"
flock 9
if [ ! -e "$out/done" ]; then
	began=$SECONDS
	echo "sysroot: fetching the $suite packages for $arch" >&2
	rm -rf "$out"
	mkdir -p "$out/root"
	mirror=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		awk '$1 == "Debian" && $2 == "main" && $3 !~ /security/ { print $3; exit }' || true)
	mode=chrootless
	[ "$(id -u)" = 0 ] && mode=root
	# shellcheck disable=SC2086
	mmdebstrap --quiet --mode=$mode --variant=extract --format=tar --architectures="$arch" --components=main \
		--include="$(echo $packages | tr ' ' ,)" \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		"$suite" "$out/all.tar" ${mirror:+"$mirror"} </dev/null >"$out/log" 2>&1 || {
		tail -n 8 "$out/log" | sed 's/^/  /' >&2
		die "mmdebstrap could not fetch the packages (its last lines are above)"
	}
	tar -C "$out/root" -xf "$out/all.tar" --no-same-owner --exclude='./dev/*'
	rm -f "$out/all.tar" "$out/log"
	: >"$out/done"
	echo "sysroot: ready in $((SECONDS - began)) s: $out" >&2
fi
echo "$out/root"
