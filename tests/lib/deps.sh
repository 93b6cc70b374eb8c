#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages that Mullion needs. Called by `make deps`, `make demo` and `make check`.
#
#   deps.sh build|demo|check|bench|lint|arm64...    one or several groups; all include build; arm64: to cross-build
#
# Says which packages are missing and why each is wanted, then installs them with apt-get (by sudo when not
# root). DEPS=no only prints: exit 0 when nothing is missing, 1 otherwise. Debian 12 and 13 alike.
set -u

# package | groups | why.  "nested" rows count only where this machine's KVM can't run Linux (see below).
table='
build-essential        | build      | C compiler, linker, make, C library headers
pkg-config             | build      | finds the compiler flags of the libraries below
libvirglrenderer-dev   | build      | the OpenGL renderer of the virtio-gpu device
libepoxy-dev           | build      | OpenGL and EGL entry points for the renderer
libegl-dev             | build      | EGL headers: how the device gets a GL context without a window
libgbm-dev             | build      | GBM: GL on a render node (/dev/dri)
libpixman-1-dev        | build      | the software 2D renderer
libpng-dev             | build      | --display png: frames as PNG files
libjson-c-dev          | build      | the JSON of the control socket (mullion ctl)
libvncserver-dev       | build      | --display vnc; its client library looks at it in the tests
libseccomp-dev         | build      | the sandbox of device programs: which system calls are left to them
libdrm-dev             | build      | headers for the scene program of the Linux guest (KMS)
libgles-dev            | build      | GLES headers for the same program
libgstreamer1.0-dev    | build      | GStreamer: the codecs of the virtio-video devices
libgstreamer-plugins-base1.0-dev | build | its libraries for raw video, and for feeding pipelines
gstreamer1.0-tools     | check      | makes clips for the video tests
gstreamer1.0-plugins-base | check | videoconvert, and the elements that feed pipelines
gstreamer1.0-plugins-good | check | VP8 and VP9 codecs
gstreamer1.0-plugins-bad | check | bitstream parsers, the HEVC encoder
gstreamer1.0-plugins-ugly | check | the H.264 encoder
gstreamer1.0-libav     | check | the H.264 and HEVC decoders (FFmpeg)
forensics-samples-files | check | films of cameras, which the video tests decode
libcmocka-dev          | check      | the C unit and device tests
libegl1                | demo check | EGL at run time
libegl-mesa0           | demo check | the EGL driver (Mesa)
libgl1-mesa-dri        | demo check | the GL drivers, with a software one for machines without a GPU
mmdebstrap             | demo check arm64 | builds the Debian 13 guest and gets the kernels that are booted
debian-archive-keyring | demo check arm64 | the keys that the packages of that guest are checked against
cpio                   | demo check | writes initramfs images
xz-utils               | demo check | unpacks kernel modules
zstd                   | demo check | packs the initramfs form of the Debian guest
e2fsprogs              | demo check | writes the disk image of the Debian guest (mke2fs)
uidmap                 | demo check | lets mmdebstrap work without root (user namespaces)
qemu-system-x86        | nested     | this machine has no KVM that runs Linux: an emulated machine that has one
seabios                | nested     | the firmware of that emulated machine
perl                   | demo check | runs the tests (TAP::Harness) and reads the PNGs that guests make
edid-decode            | check      | checks the EDID blocks that the GPU device generates
acpica-tools           | check      | disassembles and so checks the ACPI tables
linux-source           | check      | the kernel source of the User Mode Linux tests
flex                   | check      | builds that kernel
bison                  | check      | builds that kernel
bc                     | check      | builds that kernel
libelf-dev             | check      | builds that kernel
kmscube                | check      | a GL program of others in that guest
glmark2-es2-drm        | check      | another
passt                  | check      | user-mode network for the virtio-net tests
qemu-utils             | check-13   | qemu-storage-daemon: a disk over vhost-user
virtiofsd              | check-13   | a folder over vhost-user (Debian 12 has it in qemu-system-common)
gcc-aarch64-linux-gnu  | check arm64 | compiles for arm64: bare-metal guests, and all with make ARCH=arm64
libfdt-dev             | check native-arm64 | writes the device tree of an arm64 guest
zlib1g-dev             | check native-arm64 | unpacks arm64 kernels (gzip)
libzstd-dev            | check native-arm64 | unpacks arm64 kernels (zstd)
device-tree-compiler   | check      | reads the device trees that we write, and makes overlays for them
dt-schema              | check-12   | checks those trees against the schemas of the device tree bindings (Debian 13 has none)
qemu-system-arm        | check      | an emulated arm64 machine with KVM, for the arm64 guests
virgl-server           | bench      | the renderer as a process without a VM, to measure against
qemu-system-gui        | bench      | the vhost-user-gpu program, to measure against
clang                  | check lint | the second compiler every file must be clean with
clang-tidy             | lint       | static checks of make lint
cppcheck               | lint       | static checks of make lint
'

[ $# -gt 0 ] || { echo "usage: deps.sh build|demo|check|bench|lint..." >&2; exit 2; }
want=" build "
for g in "$@"; do
	case $g in
	build|demo|check|bench|lint|arm64) want="$want$g " ;;
	*) echo "deps.sh: no group '$g'; there are build, demo, check, bench, lint and arm64" >&2; exit 2 ;;
	esac
done

# A usable /dev/kvm with a hardware module behind it runs Linux. Anything else (no KVM, or one that only emulates
# instructions) needs the emulated machine for the Linux guests. NESTED=1 asks for it everywhere.
hardware_kvm() {
	[ "${NESTED:-0}" != 1 ] && [ -r /dev/kvm ] && [ -w /dev/kvm ] &&
		{ [ -d /sys/module/kvm_intel ] || [ -d /sys/module/kvm_amd ]; }
}
[ "$(uname -m)" = aarch64 ] && want="${want}native-arm64 "
case $want in
*" check "*) if grep -q '^VERSION_CODENAME=bookworm' /etc/os-release; then want="${want}check-12 "; else want="${want}check-13 "; fi ;;
esac
case $want in
*" demo "*|*" check "*) hardware_kvm || want="${want}nested " ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "deps: not a Debian system: install the equivalents of these yourself:"
	echo "$table" | sed '/^$/d'
	exit 0
fi

# The rows of the wanted groups, one package a line; then those that dpkg does not have.
wanted=$(echo "$table" | awk -F'|' -v want="$want" '
	NF == 3 { n = split($2, g, " "); for (i = 1; i <= n; i++) if (index(want, " " g[i] " ")) {
		gsub(/ /, "", $1); print $1; break } }')
# shellcheck disable=SC2086
have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p')
missing=$(printf '%s\n---\n%s\n' "$have" "$wanted" | awk '/^---$/ { second = 1; next } !second { has[$1] = 1; next } !($1 in has)')
[ -n "$missing" ] || exit 0

echo "deps: missing Debian packages:"
for p in $missing; do
	echo "$table" | awk -F'|' -v p="$p" 'NF == 3 { n = $1; gsub(/ /, "", n); if (n == p) printf "  %-22s %s\n", p, $3 }'
done
# shellcheck disable=SC2086
set -- $missing

if [ "${DEPS:-yes}" = no ]; then
	echo "deps: DEPS=no: nothing installed. To install:  apt-get install --no-install-recommends $*"
	exit 1
fi

as_root=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "deps: not root, and there is no sudo. As root:  apt-get install --no-install-recommends $*" >&2
		exit 1
	fi
	as_root=sudo
fi
apt() {
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o APT::Install-Recommends=false "$@"
}

echo "deps: installing them with ${as_root:+sudo }apt-get (DEPS=no only prints)"
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
# Fresh lists first: an old list names versions that the mirror no longer has.
if ! { apt update && apt install "$@"; } >"$log" 2>&1; then
	tail -n 15 "$log" | sed 's/^/  /' >&2
	echo "deps: apt-get could not install them (its last lines are above)." >&2
	exit 1
fi
echo "deps: installed $# packages"
