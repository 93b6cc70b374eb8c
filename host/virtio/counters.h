/* SPDX-License-Identifier: MIT */
/*
 * What a device counted, for its user (mullion ctl stats): a list of names and values that needs no knowledge of the
 * device to be shown. It is plain data without pointers, so a process can hand it to another as it is, in a file
 * (host/virtio/control_socket.h).
 *
 * Names are words in small letters with hyphens, and end in their unit where they have one: "bytes-in", "latency-us".
 */
#ifndef MULLION_HOST_VIRTIO_COUNTERS_H
#define MULLION_HOST_VIRTIO_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#define COUNTERS_MAX 384u

enum counter_kind {
	COUNTER_NUMBER,
	COUNTER_RATIO, /* in thousandths */
	COUNTER_FLAG,
	COUNTER_TEXT, /* value: unused */
};

struct counter {
	uint32_t kind; /* enum counter_kind */
	char part[24]; /* what of the device it is about ("stream 3"); "": all of it. One part's follow one another. */
	char name[28];
	char text[48]; /* COUNTER_TEXT: printable ASCII */
	uint64_t value;
};

struct counters {
	uint32_t count;
	uint32_t left_out; /* there was no room for them */
	struct counter list[COUNTERS_MAX];
};

/*
 * Append one; @part may be NULL for "". What is too long is cut. Text: anything that isn't printable ASCII becomes '?'.
 * Thread: whoever has @c.
 */
void counters_add(struct counters *c, const char *part, const char *name, uint64_t value);
void counters_add_flag(struct counters *c, const char *part, const char *name, bool value);
void counters_add_text(struct counters *c, const char *part, const char *name, const char *text);
/* @a / @b, or nothing when @b is 0. */
void counters_add_ratio(struct counters *c, const char *part, const char *name, uint64_t a, uint64_t b);

/* In @text, anything that isn't printable ASCII becomes '?'. */
void counters_make_printable(char *text);
/* Make @c, which came from another process, what this file promises, whatever it is. */
void counters_check(struct counters *c);

struct loop;

/* A device in another process, to be asked what it counted. */
struct counter_source {
	/*
	 * Ask it and wait, a second or two. Whatever comes back, *out is what this file promises. Returns 0, or
	 * -ETIMEDOUT, -EPIPE or what else is wrong with the other process. Thread: @loop.
	 */
	int (*count)(void *owner, struct counters *out);
	void *owner;
	struct loop *loop;
};

#endif
