# SPDX-License-Identifier: MIT
host-display-src := host/display/display.c host/display/format.c host/display/none.c host/display/picture.c \
	host/display/png.c host/display/remote_buffer.c host/display/remote_pixels.c \
	host/display/vhost_gpu.c host/display/vnc.c host/display/vnc_keys.c host/display/vnc_listen.c host/display/vnc_viewer.c
# With those, the module mullion-display.so.
host-screen-src := host/display/screen.c host/display/module.c
