#!/bin/bash
# SPDX-License-Identifier: MIT
# `make demo`: two guests draw with OpenGL on this host, and their frames are written as PNG files.
#
#   O=DIR         the build folder; pictures go to $O/demo
#   NESTED=1      run Linux under mullion in an emulated machine that has KVM, whatever else works
#
# 1. samples/cluster, a bare-metal instrument cluster, on /dev/kvm (any KVM will do).
# 2. Debian 13 with Mesa and samples/linux/scene.c, on /dev/kvm if it boots a stock kernel; else in QEMU's emulation with
#    mullion-gpu as its GPU, so that only the guest's own code is emulated and drawing is not; else nested.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
out=$(cd "${O:-build}" && pwd) || exit 1
mullion=$out/mullion
pictures=$out/demo
began=$SECONDS
# shellcheck source=tests/lib/linux.sh
. "$top/tests/lib/linux.sh"

say() { printf '%4d s  %s\n' $((SECONDS - began)) "$*"; }
# Lines of a guest, indented, as they come.
guest_lines() {
	while IFS= read -r line; do say "  | $line"; done
}
for f in mullion mullion-gpu mullion-gpu.so bare/cluster.elf linux/scene; do
	[ -e "$out/$f" ] || { echo "demo: $out/$f is missing: make (it says what it skipped and why)" >&2; exit 1; }
done
rm -rf "$pictures"
mkdir -p "$pictures/cluster" "$pictures/linux" "$pictures/job"
failed=0
cluster_size=800x480 cluster_log=$pictures/cluster.log

# cluster_command DIR LOG: how the cluster is run, the same here and in the nested machine
cluster_command() {
	echo "timeout -k 5 240 '$mullion' run --kernel '$out/bare/cluster.elf' --memory 128M --serial stdio --console none" \
		"--gpu size=$cluster_size --display 'png:$1,every=2' </dev/null"
}
cluster_done() { # STATUS
	local last
	last=$(find "$pictures/cluster" -name '*.png' | LC_ALL=C sort | tail -n 1)
	if [ "$1" = 0 ] && [ -n "$last" ]; then
		say "the cluster drew $(find "$pictures/cluster" -name '*.png' | wc -l) frames"
		cluster_picture=$last
	else
		say "the cluster failed (exit status $1); its log is $cluster_log"
		failed=1
	fi
}

cluster_picture=
if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
	say "bare-metal cluster: on /dev/kvm, which every KVM can do"
	set -o pipefail
	eval "$(cluster_command "$pictures/cluster" "$cluster_log")" 2>&1 | sed -u 's,\r,,g' | tee "$cluster_log" | guest_lines
	cluster_done $?
	set +o pipefail
	cluster_here=yes
else
	say "bare-metal cluster: no usable /dev/kvm, so it runs in the emulated machine, with the Linux guest"
	cluster_here=no
fi

# qemu_run DIR: Debian in QEMU, which emulates the processor; the GPU is mullion-gpu, outside. Console in DIR/console.log
qemu_run() {
	local dir=$1 gpu vm status sockets ticks=200
	# A socket's path must be short.
	sockets=$(mktemp -d /tmp/mullion-demo-XXXXXX)
	mkdir "$dir/linux"
	: >"$dir/console.log"
	"$out/mullion-gpu" --socket-path "$sockets/gpu" --gpu renderer=virgl --display "png:$dir/linux,every=$every" \
		>"$dir/gpu.log" 2>&1 &
	gpu=$!
	until [ -S "$sockets/gpu" ] || ! kill -0 $gpu 2>/dev/null || [ $((ticks -= 1)) = 0 ]; do sleep 0.05; done
	timeout -k 5 "$limit" "$qemu" -M q35,accel=tcg,memory-backend=mem -cpu max -m 1024 \
		-object memory-backend-memfd,id=mem,size=1G,share=on \
		-nodefaults -no-user-config -no-reboot -display none -vga none -serial stdio \
		-chardev "socket,path=$sockets/gpu,id=gpu" -device "vhost-user-gpu-pci,chardev=gpu,xres=${size%x*},yres=${size#*x}" \
		-drive "file=$guest/rootfs.ext4,format=raw,readonly=on,if=none,id=root" -device virtio-blk-pci,drive=root \
		-kernel "$guest/vmlinuz" -initrd "$dir/guest.cpio" -append "$append" </dev/null >"$dir/console.log" 2>"$dir/qemu.log" &
	vm=$!
	tail -f --pid=$vm -s 0.2 "$dir/console.log" 2>/dev/null | sed -u 's,\r,,g' | guest_lines
	wait $vm
	status=$?
	kill $gpu 2>/dev/null
	wait $gpu 2>/dev/null
	rm -rf "$sockets"
	tr -d '\r' <"$dir/console.log" >"$dir/console" && mv "$dir/console" "$dir/console.log"
	# QEMU's own status is 0 whatever happened in the guest.
	[ $status != 0 ] || grep -q 'mullion-guest: gl ended with 0' "$dir/console.log" || status=1
	return $status
}

say "Linux guest: Debian 13 with Mesa"
linux_where
way=$where qemu=
if [ "$where" != here ] && [ "${NESTED:-0}" != 1 ] && [ "$linux_arch" = x86_64 ] && qemu=$("$top/tests/linux/qemu-build.sh"); then
	way=qemu
fi
if [ $way = none ] || { [ "$where" = none ] && [ $cluster_here = no ]; }; then
	say "the Linux guest can't run: $where_why"
	exit 1
fi
guest=$("$nested_build" --path "$linux_guest")
case $way in
here) size=1024x768 gpu='' frames=300 checked=24 cpus=2 every=10 limit=300 ;;
qemu) size=640x480 gpu='' frames=120 checked=12 cpus=1 every=4 limit=900 ;;
nested) size=320x240 gpu=,hang-limit=120 frames=24 checked=3 cpus=1 every=1 limit=1200 ;;
esac
case $way in
here) ran="on this machine's KVM: $where_why" ;;
qemu) ran="in QEMU's emulation, with mullion-gpu drawing outside of it at full speed: $where_why" ;;
nested) ran="in an emulated machine that has a KVM (QEMU; slow, so $frames small frames): $where_why" ;;
esac
say "Linux runs $ran"

job=$pictures/job
append="console=$linux_console quiet panic=-1 vt.global_cursor_default=0 mullion.do=gl mullion.mods=base,fs,gpu"
append="$append mullion.root=/dev/vda mullion.frames=$frames mullion.checked=$checked"
"$top/samples/linux/initrd.sh" "$guest/initrd.cpio" "$job/guest.cpio" "$top/samples/linux/init" \
	gl="$top/tests/linux/gl.guest" scene="$out/linux/scene"
{
	[ "$cluster_here" = yes ] || cat <<END
mkdir -p "\$JOB/cluster"
$(cluster_command "\$JOB/cluster" '' | sed "s/'png:\([^']*\)'/\"png:\1\"/") >"\$JOB/cluster.log" 2>&1
echo \$? >"\$JOB/cluster.status"
END
	[ $way = qemu ] || cat <<END
mkdir -p "\$JOB/linux"
echo "demo: mullion boots Debian 13"
timeout -k 5 $limit '$mullion' run --kernel '$guest/vmlinuz' --initrd "\$JOB/guest.cpio" --memory 1G --cpus $cpus \
	--append "$append" --disk '$guest/rootfs.ext4,readonly' --rng --gpu size=$size$gpu --display "png:\$JOB/linux,every=$every" \
	--serial stdio --console none </dev/null
END
} >"$job/script"
status=0
[ ! -s "$job/script" ] || linux_run "$job" 1500 guest_lines || status=$?
[ "$cluster_here" = yes ] || { mv "$job/cluster" "$pictures/"; cluster_log=$job/cluster.log; cluster_done "$(cat "$job/cluster.status" 2>/dev/null)"; }
if [ $way = qemu ]; then
	say "QEMU boots Debian 13"
	qemu_run "$job"
	status=$?
fi
rm -f "$job"/*.cpio
rmdir "$pictures/linux" 2>/dev/null
mv "$job/linux" "$pictures/linux" 2>/dev/null

log=$job/console.log
renderer=$(sed -n 's/^scene: GL_RENDERER: //p' "$log")
fps=$(sed -n 's/^scene: [0-9]* frames, //p' "$log")
# Width, height and checksum of each frame that the guest read back, a line each.
drawn=$(sed -n 's/^scene: frame [0-9]* \(.*\) checksum \(.*\)/\1 \2/p' "$log")
scene_picture=
if [ -n "$drawn" ]; then
	# Only some frames become files, and the kernel's console comes back at the end: look for one that was drawn.
	for file in $(find "$pictures/linux" -name '*.png' | LC_ALL=C sort -r | head -n 12); do
		sum=$("$top/tests/linux/pixels" checksum "$file")
		grep -qxF "${sum#* }" <<<"$drawn" && scene_picture=$file && break
	done
fi
if [ $status != 0 ] || [ -z "$renderer" ] || [ -z "$scene_picture" ]; then
	say "the Linux guest failed (status $status); its log is $log"
	failed=1
fi

echo
echo "Linux guest   ran $ran"
echo "GL_RENDERER   ${renderer:-none} (as the guest sees it)"
echo "speed         ${fps:-none} at $size"
echo "time          $((SECONDS - began)) s"
echo "pictures      ${cluster_picture:-no cluster}"
echo "              ${scene_picture:-no scene}"
exit $failed
