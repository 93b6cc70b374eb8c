#!/bin/bash
# SPDX-License-Identifier: MIT
# Boots the Debian 13 guest with OpenGL: on this machine's KVM with a shell on the console; where there is no KVM for it,
# or ARCH names the other architecture, in an emulated machine, where it draws a few frames and ends.
#
#   run.sh [OPTION...]     options are handed on to `mullion run`
#
#   O=DIR           the build folder (default: build)
#   ARCH=...        x86_64 or arm64 (default: this machine's); the other one's must have been built: make ARCH=arm64
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
out=$(cd "${O:-$top/build}" && pwd)
[ "${ARCH:-$(uname -m | sed s/aarch64/arm64/)}" = "$(uname -m | sed s/aarch64/arm64/)" ] || out=$out/$ARCH
mullion=$out/mullion
[ -x "$mullion" ] || { echo "run.sh: $mullion is missing: make${ARCH:+ ARCH=$ARCH}" >&2; exit 1; }
# shellcheck source=tests/lib/linux.sh
. "$top/tests/lib/linux.sh"
linux_where || { echo "run.sh: no guest can run: $where_why" >&2; exit 1; }
guest=$("$nested_build" --path "$linux_guest")
job=$out/linux/run
rm -rf "$job"
mkdir -p "$job" # its frames are made inside, where a sandbox must be able to write into them
"$top/samples/linux/initrd.sh" "$guest/initrd.cpio" "$job/initrd" "$top/samples/linux/init" scene="$out/linux/scene" \
	gl="$top/tests/linux/gl.guest"
append="console=$linux_console quiet panic=-1 mullion.mods=base,fs,gpu,share,input mullion.root=/dev/vda"
if [ "$where" = here ]; then
	exec "$mullion" run --kernel "$guest/vmlinuz" --initrd "$job/initrd" --memory 2G --cpus 2 --append "$append" \
		--disk "$guest/rootfs.ext4,readonly" --rng --gpu size=1024x768 --serial stdio --console none "$@"
fi
echo "run.sh: in an emulated machine: $where_why" >&2
{
	printf 'exec'
	printf ' %q' "$inside$mullion" run --kernel "$inside$guest/vmlinuz" --initrd /run/job/initrd --memory 1G \
		--append "$append vt.global_cursor_default=0 mullion.do=gl mullion.frames=6 mullion.checked=1" \
		--disk "$inside$guest/rootfs.ext4,readonly" --rng --gpu size=160x120,hang-limit=120 --display png:/run/job/frames \
		--serial stdio --console none "$@"
	echo ' </dev/null'
} >"$job/script"
status=0
linux_run "$job" 1500 cat || status=$?
echo "run.sh: status $status; frames in $job/frames" >&2
exit $status
