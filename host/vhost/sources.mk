# SPDX-License-Identifier: MIT
host-vhost-src := host/vhost/memory.c host/vhost/messages.c host/vhost/requests.c host/vhost/rings.c host/vhost/server.c
