#!/bin/sh
# SPDX-License-Identifier: MIT
# Dependencies point one way: protocol <- host <- vmm, protocol <- guest-drivers; inside host, base <- virtio <- the
# devices, which never include each other. Reads every #include "..." in the tree and names those that point back.
set -u
cd "$(dirname "$0")/../.." || exit 2

# folder  what it may include (extended regular expression on the path)
rules='
protocol/              ^protocol/
host/base/             ^(protocol|host/base)/
host/virtio/           ^(protocol|host/base|host/virtio)/
host/display/          ^(protocol|host/base|host/virtio|host/display)/
host/vhost/            ^(protocol|host/base|host/virtio|host/vhost)/
host/gpu/              ^(protocol|host/base|host/virtio|host/vhost|host/display|host/gpu)/
host/block/            ^(protocol|host/base|host/virtio|host/block)/
host/net/              ^(protocol|host/base|host/virtio|host/net)/
host/console/          ^(protocol|host/base|host/virtio|host/console)/
host/rng/              ^(protocol|host/base|host/virtio|host/rng)/
host/input/            ^(protocol|host/base|host/virtio|host/input)/
host/video/            ^(protocol|host/base|host/virtio|host/vhost|host/video)/
vmm/                   ^(protocol|host/base|host/virtio|host/block|host/net|host/console|host/rng|host/input|vmm)/
guest-drivers/         ^(protocol|guest-drivers)/
'
wrong=$(printf '%s' "$rules" | while read -r folder allowed; do
	[ -n "$folder" ] || continue
	find "$folder" -name '*.[chS]' -exec grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' {} + 2>/dev/null |
		while IFS= read -r hit; do
			file=${hit%%:*}
			path=$(printf '%s' "$hit" | sed 's/.*"\(.*\)".*/\1/')
			# A path without a folder is a neighbour, which is always allowed.
			case $path in */*) ;; *) continue ;; esac
			printf '%s' "$path" | grep -qE "$allowed" || echo "$file includes $path; $folder may only include $allowed"
		done
done)
kvm=$(grep -rlE '#[[:space:]]*include <linux/kvm.h>' protocol host guest-drivers --include='*.[ch]' 2>/dev/null)
[ -z "$kvm" ] || wrong="$wrong
only vmm/ may include <linux/kvm.h>: $kvm"
if [ -n "$wrong" ]; then
	printf 'lint: includes that point the wrong way:\n%s\n' "$wrong"
	exit 1
fi
echo "lint: include directions are right"
