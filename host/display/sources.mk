# SPDX-License-Identifier: MIT
host-display-src := host/display/display.c host/display/format.c host/display/none.c host/display/picture.c \
	host/display/png.c
