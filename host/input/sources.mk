# SPDX-License-Identifier: MIT
host-input-src := host/input/input.c host/input/identity.c host/input/state.c host/input/evdev.c host/input/seat.c
