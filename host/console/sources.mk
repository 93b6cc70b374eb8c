# SPDX-License-Identifier: MIT
host-console-src := host/console/console.c host/console/stream.c
