#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the User Mode Linux kernel of the fast Linux tests from Debian's linux-source package: about four minutes
# on two idle cores.
#
#   uml-build.sh          build it if it is not there yet, print its path
#   uml-build.sh --path   only print the path (nothing may be there yet)
#
# Needs the packages linux-source flex bison bc libelf-dev xz-utils. The kernel is kept in
# ${XDG_CACHE_HOME:-~/.cache}/mullion/uml, in a folder named after a hash of its recipe (what is below "The recipe") and of
# the source's version.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mullion/uml
die() { echo "uml: $*" >&2; exit 1; }

# The newest source that is installed, and what tells its builds apart.
source=$(ls -v /usr/src/linux-source-*.tar.xz 2>/dev/null | tail -n 1)
stamp=$(stat -c '%n %s %Y' "$source" 2>/dev/null || echo none)
recipe() { sed -n '/^# The recipe/,$p' "$here/uml-build.sh"; cat "$here/uml.config" "$here/uml-idle.patch"; }
key=$( { recipe; echo "$stamp"; } | sha256sum | cut -c1-10)
folder=$cache/$key
if [ "${1:-}" = --path ]; then
	echo "$folder/linux"
	exit 0
fi
[ -x "$folder/linux" ] && { echo "$folder/linux"; exit 0; }
[ -n "$source" ] || die "no kernel source in /usr/src: apt-get install --no-install-recommends linux-source flex bison bc libelf-dev xz-utils"
for tool in gcc make flex bison bc xz patch; do
	command -v "$tool" >/dev/null || die "needs $tool: apt-get install --no-install-recommends flex bison bc libelf-dev xz-utils build-essential"
done

# `make O=... check` would hand its O and flags on to the kernel's own make.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL O

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ -x "$folder/linux" ] && { echo "$folder/linux"; exit 0; }
# Of builds that were killed: whoever works in one has the lock.
rm -rf "$cache"/build.?????? "$cache"/*.new
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
log=$cache/build.log

# The recipe
echo "uml: building $(basename "$source" .tar.xz) for ARCH=um; log in $log" >&2
{
	tar -xf "$source" -C "$work" --strip-components=1 --wildcards \
		--exclude='*/drivers/gpu/drm/amd/*' --exclude='*/tools/testing/*'
	# Kconfig reads every folder's file, whether or not the folder is built.
	tar -xf "$source" -C "$work" --strip-components=1 --wildcards '*/drivers/gpu/drm/amd/*Kconfig*'
	cd "$work"
	# Other versions may have it in another form, or not need it: they are slower at worst.
	if patch -s -p1 --dry-run <"$here/uml-idle.patch"; then
		patch -s -p1 <"$here/uml-idle.patch"
	else
		echo "uml: this source is not as uml-idle.patch expects it, and goes without"
	fi
	make -s ARCH=um tinyconfig
	grep -v '^# [^C]' "$here/uml.config" >>.config
	make -s ARCH=um olddefconfig
	for option in DRM_VIRTIO_GPU VIRTIO_UML HOSTFS DEVTMPFS SLUB UML_RANDOM; do
		grep -qx "CONFIG_$option=y" .config || { echo "this source can't have CONFIG_$option"; exit 1; }
	done
	nice -n 10 make -s -j"$(nproc)" ARCH=um linux
} >"$log" 2>&1 </dev/null || { tail -n 12 "$log" >&2; die "the build failed; its last lines are above, all of them in $log"; }
mkdir -p "$folder.new"
cp "$work/linux" "$work/.config" "$folder.new/"
strip --strip-debug "$folder.new/linux"
mv -T "$folder.new" "$folder"
echo "$folder/linux"
