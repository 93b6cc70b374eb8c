#!/bin/bash
# SPDX-License-Identifier: MIT
# Completes an initramfs of samples/linux/build.sh with our /init and the files that one use needs.
#
#   initrd.sh BASE.cpio OUT.cpio INIT [NAME=FILE...]    INIT becomes /init; each FILE becomes /mullion/NAME
#
# The kernel unpacks one archive after another, so the base is copied and a small archive follows it.
set -euo pipefail

[ $# -ge 3 ] || { echo "usage: initrd.sh BASE.cpio OUT.cpio INIT [NAME=FILE...]" >&2; exit 2; }
base=$1 out=$2 init=$3
shift 3
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir "$tree/mullion"
install -m 755 "$init" "$tree/init"
for pair in "$@"; do
	install -m 755 "${pair#*=}" "$tree/mullion/${pair%%=*}"
done
mkdir -p "$(dirname "$out")"
{ cat "$base" && (cd "$tree" && find init mullion | cpio --quiet -o -H newc -R 0:0); } >"$out.part"
mv "$out.part" "$out"
