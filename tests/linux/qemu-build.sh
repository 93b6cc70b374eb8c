#!/bin/bash
# SPDX-License-Identifier: MIT
# Finds, or fetches, a QEMU that takes vhost-user-gpu without KVM: version 10 or later. Debian 12 has 7.2, so there it is
# Debian 13's, unpacked beside the system and run by its own dynamic linker.
#
#   qemu-build.sh          prints the path of a program that is used like qemu-system-x86_64
#   qemu-build.sh --path   the same without fetching anything; status 1 if it is not there yet
#
# Kept in ${XDG_CACHE_HOME:-~/.cache}/mullion/qemu, in a folder named after a hash of this recipe.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mullion/qemu
die() { echo "qemu: $*" >&2; exit 1; }

system=$(command -v qemu-system-x86_64 || true)
version=$([ -n "$system" ] && "$system" --version | sed -n '1s/.*version \([0-9]*\)\..*/\1/p' || echo 0)
if [ "${version:-0}" -ge 10 ] && "$system" -device help 2>/dev/null | grep -q '"vhost-user-gpu-pci"'; then
	echo "$system"
	exit 0
fi
key=$(sha256sum "$here/qemu-build.sh" | cut -c1-10)
folder=$cache/$key
if [ "${1:-}" = --path ]; then
	echo "$folder/qemu"
	[ -x "$folder/qemu" ]
	exit
fi
[ -x "$folder/qemu" ] && { echo "$folder/qemu"; exit 0; }
command -v mmdebstrap >/dev/null || die "needs mmdebstrap: apt-get install mmdebstrap"

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ -x "$folder/qemu" ] && { echo "$folder/qemu"; exit 0; }
echo "qemu: fetching Debian 13's; log in $cache/build.log" >&2
rm -rf "$cache"/??????????
# The mirror that this machine's apt uses, when it is one of Debian's archive.
url=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
	awk '$1 == "Debian" && $2 == "main" && $3 !~ /security/ { print $3; exit }')
work=$folder.new
rm -rf "$work"
mkdir -p "$work/root"
mmdebstrap --quiet --mode="$([ "$(id -u)" = 0 ] && echo root || echo chrootless)" --variant=extract --format=tar \
	--architectures=amd64 --components=main --include=qemu-system-x86,qemu-system-modules-opengl,seabios,libegl1,libgl1-mesa-dri \
	--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
	trixie "$work/all.tar" ${url:+"$url"} </dev/null >"$cache/build.log" 2>&1 ||
	{ tail -n 8 "$cache/build.log" >&2; die "mmdebstrap could not fetch it (its last lines are above)"; }
# The program, its libraries (those of its own OpenGL too, for virtio-gpu-gl), modules and firmware; nothing else of the
# system.
tar -C "$work/root" -xf "$work/all.tar" --no-same-owner --exclude='./dev/*' --wildcards './usr/lib/x86_64-linux-gnu*' \
	'./usr/lib64*' './usr/bin/qemu-system-x86_64' './usr/share/qemu*' './usr/share/seabios*' './usr/share/glvnd*' 2>>"$cache/build.log"
rm "$work/all.tar"
cat >"$work/qemu" <<'END'
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/root
lib=$root/usr/lib/x86_64-linux-gnu
export __EGL_VENDOR_LIBRARY_FILENAMES=$root/usr/share/glvnd/egl_vendor.d/50_mesa.json
export GBM_BACKENDS_PATH=$lib/gbm LIBGL_DRIVERS_PATH=$lib/dri
QEMU_MODULE_DIR=$lib/qemu exec "$lib/ld-linux-x86-64.so.2" --library-path "$lib:$lib/pulseaudio" \
	"$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/seabios" -L "$root/usr/share/qemu" "$@"
END
chmod +x "$work/qemu"
"$work/qemu" -device help 2>>"$cache/build.log" | grep -q '"vhost-user-gpu-pci"' ||
	die "what was fetched has no vhost-user-gpu-pci; see $cache/build.log"
mv -T "$work" "$folder"
echo "$folder/qemu"
