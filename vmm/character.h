/* SPDX-License-Identifier: MIT */
/*
 * The host's end of a character device: standard input and output, a UNIX socket, or nothing. Output is queued here
 * (vCPU threads write it) and goes out on the loop; input is read no faster than the device takes it.
 */
#ifndef MULLION_VMM_CHARACTER_H
#define MULLION_VMM_CHARACTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct character;
struct loop;

struct character_ops {
	/* How many bytes of input the device can take now; when it says 0, character_resume() must follow. Thread: loop. */
	size_t (*room)(void *owner);
	void (*input)(void *owner, const uint8_t *bytes, size_t n); /* @n at most what room() said. Thread: loop. */
	void (*drained)(void *owner); /* output is possible again after character_write() said false. Thread: loop. */
	void (*quit)(void *owner);    /* the user typed Ctrl-A X. Thread: loop. */
	void (*power_button)(void *owner); /* Ctrl-A P. Thread: loop. */
};

/*
 * @spec: "stdio", "socket:PATH" or "none". One client of a socket at a time; what the guest writes with none there is
 * dropped. Prints a line and returns a negative errno if it can't. Thread: loop, or before it runs.
 */
int character_create(const char *spec, struct loop *loop, const struct character_ops *ops, void *owner,
		     struct character **out);
/* Writes what is queued (for a second at most), then frees. NULL is fine. */
void character_destroy(struct character *c);

/* Queue a byte for output; false: there is no room for another until ops->drained() is called. Thread: any. */
bool character_write(struct character *c, uint8_t byte);

/* The device has room for input again. Thread: any. */
void character_resume(struct character *c);

/* True for a @spec that character_create() understands. */
bool character_spec_is_valid(const char *spec);

#endif
