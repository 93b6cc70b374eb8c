/* SPDX-License-Identifier: MIT */
/*
 * A device of this machine in processes of its own (--gpu isolate=yes): the device's program is started here, and serves
 * us over a socket pair. It ends when we do.
 */
#ifndef MULLION_VMM_ISOLATE_H
#define MULLION_VMM_ISOLATE_H

struct isolate;

/*
 * @name: "gpu", for the program mullion-gpu beside ours; @options and @display (may be NULL) are what it is to be told.
 * Strings are borrowed until destroy. Returns 0 or a negative errno after a line. Thread: main.
 */
int isolate_create(const char *name, const char *options, const char *display, struct isolate **out);
/* Its connection is closed: wait for its end, 15 s at most, then kill it. NULL is fine. Thread: main. */
void isolate_destroy(struct isolate *i);

/*
 * Start the program, or start it again, and return a connected socket (the caller's), or a negative errno. For
 * struct vhost_user_setup. Thread: any one.
 */
int isolate_connect(void *isolate);

#endif
