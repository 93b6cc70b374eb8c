/* SPDX-License-Identifier: MIT */
/*
 * virtio-console (virtio 1.4, section 5.3) with one port, between the guest and a pair of descriptors or the client
 * of a UNIX socket.
 *
 * Nothing is lost on the way and nothing is buffered without limit. Output: a request stays unfinished until all
 * its bytes were written, so a reader that stops reading stops the guest's console (a Linux guest then waits in
 * its console driver). Input: it is read only into buffers that the guest has posted. Output to a socket without a
 * client, or after the other end of the descriptors has gone, is dropped: a guest must boot with nobody watching.
 * A write to a pipe without a reader raises SIGPIPE unless the program ignores it, which mullion does.
 *
 * One client at a time; the next is accepted when the first has gone. Thread: the device's loop.
 */
#ifndef MULLION_HOST_CONSOLE_CONSOLE_H
#define MULLION_HOST_CONSOLE_CONSOLE_H

#include <stdint.h>

struct guest_mem;
struct loop;
struct virtio_device;

/*
 * Either @socket_path (a UNIX socket to listen on; copied; removed by destroy) or the descriptors, -1 for none. The
 * descriptors stay the caller's and must outlive the device; a terminal's mode is the caller's business.
 */
struct console_config {
	const char *socket_path;
	int in_fd;
	int out_fd;
	uint16_t columns, rows; /* 0: not known */
};

struct console_counters {
	uint64_t bytes_in, bytes_out;
	uint64_t bytes_dropped; /* output with nobody at the other end */
	uint64_t clients;
};

/*
 * Returns 0 or a negative errno after one line with the cure: -EADDRINUSE when another program listens at
 * socket_path (what a dead one left behind is replaced), -ENAMETOOLONG.
 */
int console_create(const struct console_config *config, struct loop *loop, const struct guest_mem *mem,
		   struct virtio_device **out);

/* Tell the guest a new size of the terminal (feature SIZE). */
void console_resize(struct virtio_device *d, uint16_t columns, uint16_t rows);

/* Valid until the device is destroyed. */
const struct console_counters *console_counters(const struct virtio_device *d);

#endif
