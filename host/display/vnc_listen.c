// SPDX-License-Identifier: MIT
#include "host/display/vnc_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/log.h"

#define FIRST_PORT 5900u
#define LAST_PORT 5999u
#define BACKLOG 4

static int wrong(const char *text)
{
	log_line(LOG_TOPIC_DISPLAY, LOG_ERROR,
		 "vnc: no address '%s'; write [HOST]:NUMBER (below 100 a display, else a port; HOST is a number too, "
		 "like "
		 "127.0.0.1 or [::1]) or unix:PATH",
		 text);
	return -EINVAL;
}

static int parse_number(const char *text, uint16_t *port)
{
	unsigned long v;
	char *end;

	if (*text < '0' || *text > '9' || strlen(text) > 5)
		return -EINVAL;
	v = strtoul(text, &end, 10);
	if (*end || v > UINT16_MAX)
		return -EINVAL;
	*port = (uint16_t)(v < 100 ? FIRST_PORT + v : v);
	return 0;
}

static int parse_host(struct vnc_address *a, const char *host)
{
	char inside[INET6_ADDRSTRLEN + 1];
	size_t n = strlen(host);

	a->family = AF_INET;
	a->host.v4.s_addr = htonl(INADDR_LOOPBACK);
	if (n == 0 || strcmp(host, "localhost") == 0 || inet_pton(AF_INET, host, &a->host.v4) == 1)
		return 0;
	if (n < 3 || n > sizeof(inside) || host[0] != '[' || host[n - 1] != ']')
		return -EINVAL;
	memcpy(inside, host + 1, n - 2);
	inside[n - 2] = '\0';
	a->family = AF_INET6;
	return inet_pton(AF_INET6, inside, &a->host.v6) == 1 ? 0 : -EINVAL;
}

int vnc_address_parse(struct vnc_address *a, const char *text)
{
	char host[INET6_ADDRSTRLEN + 3];
	const char *colon, *bracket;
	size_t n;

	memset(a, 0, sizeof(*a));
	if (strncmp(text, "unix:", 5) == 0) {
		a->family = AF_UNIX;
		n = strlen(text + 5);
		if (n == 0 || n >= sizeof(a->path))
			return wrong(text);
		memcpy(a->path, text + 5, n);
		return 0;
	}
	/* No host is only digits, so a number may stand alone. */
	if (parse_number(text, &a->port) == 0)
		return parse_host(a, "");
	bracket = strrchr(text, ']');
	colon = strrchr(bracket ? bracket : text, ':');
	n = colon ? (size_t)(colon - text) : strlen(text);
	if (n >= sizeof(host))
		return wrong(text);
	memcpy(host, text, n);
	host[n] = '\0';
	if (parse_host(a, host) < 0 || (colon && parse_number(colon + 1, &a->port) < 0))
		return wrong(text);
	return 0;
}

bool vnc_address_is_local(const struct vnc_address *a)
{
	switch (a->family) {
	case AF_INET:
		return ntohl(a->host.v4.s_addr) >> 24 == IN_LOOPBACKNET;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&a->host.v6);
	default:
		return true;
	}
}

/* Returns a bound socket or a negative errno. */
static int bind_to(const struct sockaddr *address, socklen_t bytes)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, err;

	if (fd < 0)
		return -errno;
	if (address->sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* [::] is IPv6 alone: who wants both says so by two servers, and nobody is surprised by one. */
	if (address->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, address, bytes) == 0 && (address->sa_family == AF_UNIX || listen(fd, BACKLOG) == 0))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int bind_port(const struct vnc_address *a, uint16_t port)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;

	memset(&address, 0, sizeof(address));
	address.any.sa_family = a->family;
	if (a->family == AF_INET) {
		address.v4.sin_port = htons(port);
		address.v4.sin_addr = a->host.v4;
		return bind_to(&address.any, sizeof(address.v4));
	}
	address.v6.sin6_port = htons(port);
	address.v6.sin6_addr = a->host.v6;
	return bind_to(&address.any, sizeof(address.v6));
}

/* A socket that nobody listens on was left by a process that died. */
static bool is_dead(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool dead =
		fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return dead;
}

static int bind_path(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, err;

	memcpy(address.sun_path, path, strlen(path));
	fd = bind_to((const struct sockaddr *)&address, sizeof(address));
	if (fd == -EADDRINUSE && is_dead(&address)) {
		unlink(path);
		fd = bind_to((const struct sockaddr *)&address, sizeof(address));
	}
	if (fd < 0)
		return fd;
	/* The user's own, before anybody can connect. */
	if (chmod(path, 0600) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	err = -errno;
	unlink(path);
	close(fd);
	return err;
}

int vnc_listen(const struct vnc_address *a, unsigned scanout, struct vnc_listener *out)
{
	const unsigned first = a->port ? a->port + scanout : FIRST_PORT, last = a->port ? first : LAST_PORT;
	char host[INET6_ADDRSTRLEN] = "";
	unsigned port = first;
	int fd = -EADDRINUSE;

	out->fd = -1;
	out->is_path = a->family == AF_UNIX;
	if (out->is_path) {
		snprintf(out->name, sizeof(out->name), scanout ? "%s-%u" : "%s", a->path, scanout);
		fd = bind_path(out->name);
	} else {
		for (; fd == -EADDRINUSE && port <= last; port++)
			fd = port > UINT16_MAX ? -EINVAL : bind_port(a, (uint16_t)port);
		port--;
		inet_ntop(a->family, &a->host, host, sizeof(host));
		snprintf(out->name, sizeof(out->name), a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
	}
	if (fd < 0) {
		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "vnc: can't listen on %s: %s; name another %s", out->name,
			 strerror(-fd),
			 out->is_path		? "path"
			 : fd == -EADDRNOTAVAIL ? "HOST, which has to be an address of this machine"
			 : a->port		? "port, or none to get a free one"
						: "address");
		return fd;
	}
	out->fd = fd;
	return 0;
}

void vnc_listener_close(struct vnc_listener *l)
{
	if (l->fd < 0)
		return;
	if (l->is_path)
		unlink(l->name);
	close(l->fd);
	l->fd = -1;
}
