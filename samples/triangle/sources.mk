# SPDX-License-Identifier: MIT
bare-images += triangle
triangle-bare-src := samples/triangle/triangle.c
