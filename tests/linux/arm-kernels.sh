#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian 13's less usual kernels for arm machines, from any machine; the usual one comes with samples/linux/build.sh.
#
#   arm-kernels.sh NAME          builds it if it is not there, and prints its folder
#   arm-kernels.sh --path NAME   only prints the folder
#
# NAME: arm64-16k (pages of 16 KiB), armhf (32-bit, with LPAE). The folder holds vmlinuz and initrd.cpio (as
# samples/linux/build.sh makes it: busybox, modules and their lists). Kept in
# ${XDG_CACHE_HOME:-~/.cache}/mullion/linux.
set -euo pipefail

mods_base="virtio_mmio virtio_blk virtio_net virtio-rng"

die() { echo "linux: $*" >&2; exit 1; }
only=
[ "${1:-}" = --path ] && { only=1; shift; }
name=${1:-}
case $name in
arm64-16k) architecture=arm64 kernel=linux-image-arm64-16k ;;
armhf) architecture=armhf kernel=linux-image-armmp-lpae ;;
*) die "no kernel \"$name\"; there are arm64-16k and armhf" ;;
esac
top=${XDG_CACHE_HOME:-$HOME/.cache}/mullion/linux
out=$top/kernel-$name-$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-10)
if [ -n "$only" ] || [ -e "$out/done" ]; then
	echo "$out"
	exit 0
fi
command -v mmdebstrap >/dev/null 2>&1 || die "mmdebstrap is missing: apt-get install mmdebstrap"
mkdir -p "$top"
exec 9>"$top/kernel-$name.lock"
flock 9

# The .ko files under $1 that the modules $2... need, dependencies first, each once; what is built in is left out.
module_order() {
	local tree=$1 m n
	shift
	declare -A file=() seen=()
	while read -r m; do
		n=${m##*/}
		n=${n%%.ko*}
		file[${n//-/_}]=$m
	done < <(find "$tree" -name '*.ko.xz')
	visit() {
		local n=${1//-/_} ko dep
		[ -n "${seen[$n]:-}" ] || [ -z "${file[$n]:-}" ] && return 0
		seen[$n]=1
		ko=${file[$n]%.xz}
		[ -e "$ko" ] || xz -dk "$ko.xz"
		for dep in $(tr '\0' '\n' <"$ko" | sed -n 's/^depends=//p' | tr , ' '); do visit "$dep"; done
		echo "$ko"
	}
	for m in "$@"; do visit "$m"; done
}

# initrd FILE SET...
initrd() {
	local cpio=$1 ird=$out/ird set m
	shift
	mkdir -p "$ird/bin" "$ird/modules" "$ird/proc" "$ird/sys" "$ird/dev" "$ird/tmp" "$ird/root"
	cp "$out/tree/usr/bin/busybox" "$ird/bin/busybox"
	for set in "$@"; do
		local var=mods_$set
		# shellcheck disable=SC2086
		module_order "$out/tree" ${!var} | while read -r m; do
			cp "$m" "$ird/modules/${m##*/}"
			echo "${m##*/}"
		done >"$ird/modules/$set.list"
	done
	(cd "$ird" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$out/$cpio"
	rm -rf "$ird"
}

if [ ! -e "$out/done" ]; then
	began=$SECONDS
	echo "linux: kernel $name: fetching the trixie packages" >&2
	rm -rf "$top/kernel-$name"-??????????
	mkdir -p "$out/tree"
	mirror=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		awk '$1 == "Debian" && $2 == "main" && $3 !~ /security/ { print $3; exit }' || true)
	mode=chrootless
	[ "$(id -u)" = 0 ] && mode=root
	mmdebstrap --quiet --mode=$mode --variant=extract --format=tar --architectures=$architecture --components=main \
		--include=$kernel,busybox-static \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		trixie "$out/all.tar" ${mirror:+"$mirror"} </dev/null >"$out/log" 2>&1 || {
		tail -n 8 "$out/log" | sed 's/^/  /' >&2
		die "mmdebstrap could not fetch the packages (its last lines are above)"
	}
	tar -C "$out/tree" -xf "$out/all.tar" --no-same-owner --transform='s,^\./\(lib\|bin\)/,./usr/\1/,' --wildcards \
		'./boot/vmlinuz-*' './*bin/busybox' './*lib/modules/*.ko*'
	cp "$out"/tree/boot/vmlinuz-* "$out/vmlinuz"
	initrd initrd.cpio base
	rm -rf "$out/tree" "$out/all.tar" "$out/log"
	: >"$out/done"
	echo "linux: kernel $name: ready in $((SECONDS - began)) s: $out" >&2
fi
echo "$out"
