#!/bin/bash
# SPDX-License-Identifier: MIT
# Boots the Debian 13 guest on this machine's KVM, with OpenGL and a shell on the console.
#
#   run.sh [OPTION...]     options are handed on to `mullion run`. O=DIR: the build folder.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
out=$(cd "${O:-$top/build}" && pwd)
"$top/samples/linux/build.sh" debian13
guest=$("$top/samples/linux/build.sh" --path debian13)
initrd=$out/linux/shell.cpio
"$top/samples/linux/initrd.sh" "$guest/initrd.cpio" "$initrd" "$top/samples/linux/init" scene="$out/linux/scene"
exec "$out/mullion" run --kernel "$guest/vmlinuz" --initrd "$initrd" --memory 2G --cpus 2 \
	--append "console=ttyS0 quiet panic=-1 mullion.mods=base,fs,gpu mullion.root=/dev/vda" \
	--disk "$guest/rootfs.ext4,readonly" --rng --gpu size=1024x768 --serial stdio --console none "$@"
