# SPDX-License-Identifier: MIT
host-net-src := host/net/net.c host/net/receive.c host/net/transmit.c host/net/backend_tap.c host/net/backend_passt.c
