/* SPDX-License-Identifier: MIT */
/*
 * For the tests of --display vnc: the display on a loop of its own, with a sink that notes what the guest would get, and
 * viewers made of libvncclient. Thread: the test's.
 */
#ifndef MULLION_TESTS_LIB_VNC_WORLD_H
#define MULLION_TESTS_LIB_VNC_WORLD_H

#include <pthread.h>
#include <rfb/rfbclient.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/base/loop.h"
#include "host/display/display.h"
#include "host/virtio/input_sink.h"

#define VNC_WIDTH 321u
#define VNC_HEIGHT 203u
#define VNC_PATIENCE_MS 20000 /* until something must have happened */
#define VNC_CASE(name) cmocka_unit_test_setup_teardown(name, vnc_set_up, vnc_tear_down)

/* What the guest's input devices would get. */
struct vnc_fake_sink {
	struct input_sink base;
	pthread_mutex_t lock;
	char keys[1024]; /* "+30 -30 ": pressed and let go, by KEY_* */
	struct input_pointer pointers[64];
	unsigned pointer_count;
};

struct vnc_place {
	char path[64], socket[96]; /* a folder of its own, and where vnc_create_here() listens */
	struct loop *loop;
	struct display_output *output;
	struct vnc_fake_sink sink;
	uint32_t pixels[VNC_WIDTH * VNC_HEIGHT]; /* what is presented */
};

struct vnc_watcher; /* below: a viewer */

/* cmocka fixtures; *state is the place. */
int vnc_set_up(void **state);
int vnc_tear_down(void **state);

/* ---- the display's side; calls go to its loop ---- */

int vnc_create(struct vnc_place *p, const char *spec);
void vnc_create_here(struct vnc_place *p, const char *options);
void vnc_destroy(struct vnc_place *p);
/* Present p->pixels as a frame of that shape, without gaps between rows. */
int vnc_present(struct vnc_place *p, unsigned scanout, uint32_t fourcc, uint32_t width, uint32_t height,
		struct display_rect damage);
void vnc_show(struct vnc_place *p); /* all of them, on scanout 0 */
void vnc_blank(struct vnc_place *p);
void vnc_set_cursor(struct vnc_place *p, const struct display_cursor *cursor);
/* Fill p->pixels with what every encoding has work with: flat parts, few colours, many colours. */
void vnc_paint(struct vnc_place *p, uint32_t seed);
void vnc_write_password(struct vnc_place *p, const char *text); /* to PATH/password */

/* What the sink got, waited for: all keys since the last time, and pointer event number @n. @v is served; NULL: none. */
void vnc_assert_keys(struct vnc_place *p, struct vnc_watcher *v, const char *keys);
struct input_pointer vnc_pointer_event(struct vnc_place *p, struct vnc_watcher *v, unsigned n);

/* ---- viewers ---- */

struct vnc_watcher {
	rfbClient *client;
	unsigned updates; /* rectangles with pixels */
	struct display_rect last;
	unsigned shapes; /* of the cursor */
	int hot_x, hot_y;
};

struct vnc_view {
	const uint32_t *pixels;
	uint32_t width, height;
};

/* To be set up further, then attached: @host is a path or an address. */
rfbClient *vnc_new_client(struct vnc_watcher *v, const char *host, int port);
void vnc_attach(struct vnc_watcher *v);
void vnc_look(struct vnc_watcher *v, struct vnc_place *p); /* both, at p->socket */
void vnc_leave(struct vnc_watcher *v);
/* Handle messages until @done; false after VNC_PATIENCE_MS, or when the server has gone. */
bool vnc_wait_for(struct vnc_watcher *v, bool (*done)(struct vnc_watcher *v, const void *what), const void *what);
uint32_t vnc_pixel(const struct vnc_watcher *v, uint32_t x, uint32_t y);
bool vnc_sees(struct vnc_watcher *v, const uint32_t *pixels, uint32_t width, uint32_t height);
bool vnc_sees_all(struct vnc_watcher *v, struct vnc_place *p); /* p->pixels */
void vnc_type(struct vnc_watcher *v, uint32_t keysym);

/* Viewers that speak for themselves, by socket: up to the server's first message, and up to its picture's description. */
int vnc_raw_viewer(struct vnc_place *p);
int vnc_raw_viewer_inside(struct vnc_place *p);

#endif
