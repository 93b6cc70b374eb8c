#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the Linux guests out of Debian packages, without root where user namespaces work.
#
#   build.sh WHAT...       WHAT: debian13, debian13-initramfs, debian13-cloud, debian12, debian12-cloud for x86-64;
#                          debian13-arm64, debian13-arm64-tools for arm64 (from any machine: nothing of it is run)
#   build.sh --path WHAT   only print its folder (it may not exist yet)
#
# Each folder holds vmlinuz and initrd.cpio: busybox, uncompressed modules and lists of their load order
# (samples/linux/initrd.sh adds /init). debian13 and debian13-arm64 also have rootfs.ext4 (Mesa, kmscube,
# glmark2-es2-drm, modetest, evtest, eglinfo ...) and nested.cpio, the modules of the emulated machine that
# tests/lib/nested.sh starts with the same kernel. debian13-initramfs is the same root file system packed into the
# initramfs: no disk needed, more memory. debian13-arm64-tools is a folder, root, with the arm64 programs that tests
# start beside a guest: QEMU, qemu-storage-daemon, virtiofsd, passt.
#
# Results are kept in ${XDG_CACHE_HOME:-~/.cache}/mullion/linux, in a folder named after a hash of the recipe.
# The package mirror is the one that this machine's apt uses, else mmdebstrap's default.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mullion/linux

die() { echo "linux: $*" >&2; exit 1; }
say() { echo "linux: $*" >&2; }

# What each guest loads, in the order given; what a module depends on is added in front of it.
mods_base="virtio_pci virtio_mmio virtio_blk virtio_console virtio_net virtio-rng pvpanic-mmio pvpanic-pci"
mods_fs="crc32c_generic ext4 overlay"
mods_gpu="virtio-gpu"
mods_share="virtiofs"
# The power button is ACPI's on x86-64, a GPIO line's on arm64.
mods_input="virtio_input evdev button gpio-pl061 gpio_keys"
mods_nested="virtio_blk irqbypass ccp kvm kvm-amd 9pnet_virtio 9p overlay tun virtio_net uinput evdev"

pkgs_mesa="libgl1-mesa-dri libegl1 libegl-mesa0 libgles2 libgbm1 libdrm2"
pkgs_tools="kmscube glmark2-es2-drm libdrm-tests evtest mesa-utils mesa-utils-bin dash bash coreutils sed grep mawk findutils ncurses-base
	util-linux mount procps"

# name -> suite, architecture, what it holds, packages
recipe() {
	arch=amd64 suite=trixie holds=kernel
	pkgs="linux-image-$arch busybox-static"
	case $1 in
	debian13) holds=all ;;
	debian13-initramfs) holds=initramfs ;;
	debian13-cloud) pkgs="linux-image-cloud-amd64 busybox-static" ;;
	debian12) suite=bookworm ;;
	debian12-cloud) suite=bookworm pkgs="linux-image-cloud-amd64 busybox-static" ;;
	debian13-arm64) arch=arm64 holds=all pkgs="linux-image-arm64 busybox-static" ;;
	debian13-arm64-tools)
		arch=arm64 holds=root
		pkgs="qemu-system-arm qemu-utils virtiofsd passt dash bash coreutils"
		;;
	*) die "no guest '$1'; there are $names" ;;
	esac
	[ $holds != all ] || pkgs="$pkgs $pkgs_mesa $pkgs_tools"
}
names="debian13, debian13-initramfs, debian13-cloud, debian12, debian12-cloud, debian13-arm64, debian13-arm64-tools"

key=$(sha256sum "$here/build.sh" | cut -c1-10)
folder() { echo "$cache/$1-$key"; }

# The mirror of this machine's own apt, when it is one of Debian's archive; else nothing: mmdebstrap has a default.
mirror() {
	apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		awk '$1 == "Debian" && $2 == "main" && $3 !~ /security/ { print $3; exit }'
}

# With root: plain. Without: user namespaces if they work, else extraction alone, which needs no privilege at all.
mmdebstrap_mode() {
	if [ "$(id -u)" = 0 ]; then
		echo root
	elif [ "$(dpkg --print-architecture)" = "$arch" ] && unshare --user true 2>/dev/null && command -v newuidmap >/dev/null 2>&1 &&
		grep -q -E "^($(id -un)|$(id -u)):" /etc/subuid 2>/dev/null; then
		echo unshare
	else
		echo chrootless
	fi
}

# bootstrap TAR: the recipe's packages and all they depend on, unpacked but not configured.
bootstrap() {
	local tar=$1 url log
	url=$(mirror || true)
	log=$tar.log
	if ! mmdebstrap --quiet --mode="$(mmdebstrap_mode)" --variant=extract --format=tar \
		--architectures="$arch" --components=main --include="$(echo "$pkgs" | tr -s ' \t\n' ,)" \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/lib/udev/hwdb.d/*' \
		"$suite" "$tar" ${url:+"$url"} </dev/null >"$log" 2>&1; then
		tail -n 8 "$log" | sed 's/^/  /' >&2
		die "mmdebstrap could not fetch the $suite packages for $arch (its last lines are above)"
	fi
}

# Prints the .ko paths under $1 that the modules $2... need, dependencies first, each once. A module that this
# kernel has built in, or lacks, is left out.
module_order() {
	local top=$1 m
	shift
	declare -A file=() seen=()
	while read -r m; do
		local n=${m##*/}
		n=${n%%.ko*}
		file[${n//-/_}]=$m
	done < <(find "$top" -name '*.ko*')
	visit() {
		local n=${1//-/_} dep
		[ -n "${seen[$n]:-}" ] || [ -z "${file[$n]:-}" ] && return 0
		seen[$n]=1
		unpack_module "${file[$n]}"
		for dep in $(tr '\0' '\n' <"${file[$n]%.xz}" | sed -n 's/^depends=//p' | tr , ' '); do
			visit "$dep"
		done
		echo "${file[$n]%.xz}"
	}
	for m in "$@"; do visit "$m"; done
}
unpack_module() { case $1 in *.xz) [ -e "${1%.xz}" ] || xz -dk "$1" ;; esac; }

# initrd DIR FILE TREE SET...: busybox and those sets of modules of TREE (kernel unpacked there) as DIR/FILE.
initrd() {
	local dir=$1 cpio=$2 tree=$3 set m n
	shift 3
	mkdir -p "$dir/ird/bin" "$dir/ird/modules" "$dir/ird/proc" "$dir/ird/sys" "$dir/ird/dev" "$dir/ird/tmp" \
		"$dir/ird/root"
	cp "$tree/usr/bin/busybox" "$dir/ird/bin/busybox"
	for set in "$@"; do
		local var=mods_$set
		# shellcheck disable=SC2086
		module_order "$tree" ${!var} | while read -r m; do
			n=${m##*/}
			cp "$m" "$dir/ird/modules/$n"
			echo "$n"
		done >"$dir/ird/modules/$set.list"
	done
	(cd "$dir/ird" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$dir/$cpio"
	rm -rf "$dir/ird"
}

# The kernel and its modules out of the tar that bootstrap made. Debian 12 has /lib and /bin beside /usr, Debian 13 not.
unpack_kernel() {
	local tar=$1 tree=$2
	mkdir -p "$tree"
	tar -C "$tree" -xf "$tar" --no-same-owner --transform='s,^\./\(lib\|bin\)/,./usr/\1/,' --wildcards \
		'./boot/vmlinuz-*' './*bin/busybox' './*lib/modules/*.ko*'
}

# The root file system as files, owned by root as far as this user can make it so.
unpack_root() {
	local tar=$1 root=$2
	mkdir -p "$root"
	tar -C "$root" -xf "$tar" --exclude='./boot/*' --exclude='./usr/lib/modules/*' --exclude='./dev/*' --no-same-owner
	mkdir -p "$root/dev" "$root/proc" "$root/sys" "$root/run" "$root/tmp" "$root/root" "$root/etc"
	chmod -R u+w "$root"
	echo 'root:x:0:0:root:/root:/bin/bash' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	echo mullion-guest >"$root/etc/hostname"
}

build() {
	local what=$1 out began=$SECONDS
	recipe "$what"
	out=$(folder "$what")
	if [ -e "$out/done" ]; then
		return 0
	fi
	command -v mmdebstrap >/dev/null 2>&1 || die "mmdebstrap is missing: apt-get install mmdebstrap"
	mkdir -p "$cache"
	exec 9>"$cache/$what.lock"
	flock 9
	[ -e "$out/done" ] && return 0
	# Older builds of the same guest go away: the hash names the recipe.
	rm -rf "$cache/$what"-??????????

	if [ $holds = initramfs ]; then
		build_initramfs "$out"
		exec 9>&-
		return 0
	fi
	mkdir -p "$out"
	say "$what: fetching the $suite packages for $arch (${pkgs%% *}$([ $holds != all ] || echo ', Mesa, kmscube, glmark2'))"
	bootstrap "$out/all.tar"
	if [ $holds = root ]; then
		unpack_root "$out/all.tar" "$out/root"
	else
		unpack_kernel "$out/all.tar" "$out/tree"
		cp "$out"/tree/boot/vmlinuz-* "$out/vmlinuz"
		initrd "$out" initrd.cpio "$out/tree" base fs gpu share input
	fi
	if [ $holds = all ]; then
		initrd "$out" nested.cpio "$out/tree" nested
		say "$what: writing the disk image"
		export -f unpack_root
		# In a user namespace of its own the files belong to root in the image too.
		local ns=
		[ "$(id -u)" = 0 ] || ! unshare --map-root-user true 2>/dev/null || ns="unshare --map-root-user"
		PATH=$PATH:/sbin:/usr/sbin $ns bash -euc '
			unpack_root "$1/all.tar" "$1/root"
			mib=$(( $(du -sm "$1/root" | cut -f1) * 12 / 10 + 64 ))
			truncate -s ${mib}M "$1/rootfs.ext4"
			mke2fs -q -F -t ext4 -b 4096 -O ^has_journal,^metadata_csum -m 0 -E root_owner=0:0 \
				-L mullion -d "$1/root" "$1/rootfs.ext4"' bash "$out" 2>"$out/mke2fs.log" ||
			{ sed 's/^/  /' "$out/mke2fs.log" >&2; die "$what: mke2fs could not write the image"; }
		rm -rf "$out/root"
	fi
	rm -rf "$out/tree" "$out/all.tar" "$out"/*.log
	: >"$out/done"
	exec 9>&-
	say "$what: ready in $((SECONDS - began)) s: $out"
}

# All in memory: the root file system of debian13 on top of its initrd, packed by zstd.
build_initramfs() {
	local out=$1 base
	base=$(folder debian13)
	(build debian13)
	command -v zstd >/dev/null 2>&1 || die "zstd is missing: apt-get install zstd"
	mkdir -p "$out/tree"
	debugfs -R "rdump / $out/tree" "$base/rootfs.ext4" >/dev/null 2>&1 || die "debugfs could not read $base/rootfs.ext4"
	mkdir -p "$out/all/root"
	mv "$out/tree"/* "$out/all/root/"
	(cd "$out/all" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$out/rootfs.cpio"
	cat "$base/initrd.cpio" "$out/rootfs.cpio" | zstd -q -T0 -3 >"$out/initrd.cpio"
	cp "$base/vmlinuz" "$out/vmlinuz"
	rm -rf "$out/tree" "$out/all" "$out/rootfs.cpio"
	: >"$out/done"
	say "debian13-initramfs: ready: $out"
}

[ $# -gt 0 ] || die "usage: build.sh [--path] NAME...; there are $names"
if [ "$1" = --path ]; then
	recipe "${2:?build.sh --path needs a name}"
	folder "$2"
	exit 0
fi
for what in "$@"; do build "$what"; done
