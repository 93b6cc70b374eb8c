# SPDX-License-Identifier: MIT
host-block-src := host/block/block.c host/block/image.c
