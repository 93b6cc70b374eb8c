/* SPDX-License-Identifier: MIT */
/*
 * A device of this machine in processes of its own, unless isolate=no: the device's program is started here, and serves
 * us over a socket pair. It ends when we do. What a user asks of it goes over another one (isolate_control.h). A
 * display that needs what the device's sandbox takes away (vnc) is here, on a thread of its own: its frames come over a third.
 */
#ifndef MULLION_VMM_ISOLATE_H
#define MULLION_VMM_ISOLATE_H

#include <stdbool.h>
#include <stdint.h>

struct counter_source;
struct display_control;
struct input_sink;
struct isolate;

/* The program of device @name ("gpu", "video") is there. Thread: any. */
bool isolate_is_possible(const char *name);

/*
 * @name: "gpu", for the program mullion-gpu beside ours, whose option --gpu takes @options; that, @display (may be NULL) and
 * @arguments (until a NULL) are what it is to be told; @input takes what a user of the display types. All is
 * borrowed until destroy. Returns 0 or a negative errno after a line. Thread: main.
 */
int isolate_create(const char *name, const char *options, const char *display, const char *const *arguments,
		   struct input_sink *input, struct isolate **out);
/*
 * Before the devices go that @input of isolate_create() leads to, and after the last isolate_connect(): a display that is here
 * goes. No-op without one. NULL is fine. Thread: main.
 */
void isolate_close_screen(struct isolate *i);
/*
 * Its connection is closed: wait for its end until @until_ns (loop_now_ns()), then kill it. Those of one machine end side by
 * side, and have one such time, ISOLATE_END_NS from when the last connection was closed. NULL is fine. Thread: main.
 */
void isolate_destroy(struct isolate *i, uint64_t until_ns);
#define ISOLATE_END_NS 15000000000ull

/*
 * Start the program, or start it again, and return a connected socket (the caller's), or a negative errno. One from before
 * that has not ended is killed, not waited for. For struct vhost_user_setup. Thread: any one.
 */
int isolate_connect(void *isolate);

/* Lives until destroy. Thread: any. */
const struct display_control *isolate_display(const struct isolate *i);
const struct counter_source *isolate_counters(const struct isolate *i);

#endif
