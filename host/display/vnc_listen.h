/* SPDX-License-Identifier: MIT */
/*
 * Where VNC viewers connect: "[HOST]:NUMBER", "NUMBER", "HOST", "unix:PATH" or "". HOST is a numeric address (IPv6 in
 * brackets) or localhost; without it, the loopback address. A NUMBER below 100 is a display, as VNC viewers count them
 * (port 5900 + NUMBER), any other a TCP port; without it, the first port from 5900 that is free.
 *
 * Thread: the loop.
 */
#ifndef MULLION_HOST_DISPLAY_VNC_LISTEN_H
#define MULLION_HOST_DISPLAY_VNC_LISTEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct vnc_address {
	sa_family_t family; /* AF_INET, AF_INET6, AF_UNIX */
	union {
		struct in_addr v4;
		struct in6_addr v6;
	} host;
	uint16_t port;						    /* 0: any */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) - 4]; /* room for "-15" */
};

struct vnc_listener {
	int fd;		/* nonblocking; -1: none */
	char name[128]; /* as a viewer is told it: "127.0.0.1:5900", "[::1]:5900", a path */
	bool is_path;	/* to be removed at the end */
};

/* Returns 0, or -EINVAL after one line that says what to write. */
int vnc_address_parse(struct vnc_address *a, const char *text);

/* Nobody on another machine can connect. */
bool vnc_address_is_local(const struct vnc_address *a);

/*
 * Listen there for viewers of @scanout: with a port given, on that many ports above it; with a path, at "PATH-N" for
 * those above 0. Returns 0, or a negative errno after one line.
 */
int vnc_listen(const struct vnc_address *a, unsigned scanout, struct vnc_listener *out);
void vnc_listener_close(struct vnc_listener *l); /* fd -1 is fine */

#endif
