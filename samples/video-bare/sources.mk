# SPDX-License-Identifier: MIT
bare-images += video-bare
video-bare-bare-src := samples/video-bare/video.c samples/video-bare/screen.c
