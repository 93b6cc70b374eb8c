# SPDX-License-Identifier: MIT
host-vhost-src := host/vhost/messages.c host/vhost/listener.c host/vhost/lease.c host/vhost/worker.c host/vhost/worker_output.c host/vhost/keeper.c \
	host/vhost/keeper_frontend.c host/vhost/keeper_link.c host/vhost/keeper_shmem.c host/vhost/keeper_objects.c \
	host/vhost/keeper_spare.c
host-vhost-src += host/vhost/inflight_fd.c host/vhost/memory.c host/vhost/requests.c host/vhost/rings.c host/vhost/server.c host/vhost/shmem.c \
	host/vhost/objects.c host/vhost/control_server.c
# What device programs have in common, around a keeper and a device.
host-program-src := host/vhost/program.c
# The sandbox of worker processes; links libseccomp.
host-sandbox-src := host/vhost/landlock.c host/vhost/sandbox.c host/vhost/sandbox_files.c host/vhost/sandbox_tree.c \
	host/vhost/sandbox_user.c host/vhost/seccomp.c
