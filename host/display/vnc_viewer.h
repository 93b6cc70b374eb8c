/* SPDX-License-Identifier: MIT */
/*
 * One person who looks: a connection, a thread, and a server of libvncserver's with a picture of its own. So a viewer that
 * reads nothing, or stops in the middle of a message, delays nobody but itself.
 *
 * What loop and threads share is struct vnc_shared and each viewer's news, under one lock that is held to copy and never
 * to wait. A viewer takes the news when it asked for an update, so one that doesn't read costs nothing; news of a viewer
 * that lags add up to one rectangle.
 *
 * Thread: the loop, except where a line says otherwise.
 */
#ifndef MULLION_HOST_DISPLAY_VNC_VIEWER_H
#define MULLION_HOST_DISPLAY_VNC_VIEWER_H

#include <pthread.h>

#include "host/display/picture.h"

struct input_sink;
struct loop;
struct vnc_viewer;

#define VNC_CURSOR_SIZE 64u

struct vnc_scanout {
	struct picture shown; /* without cursor */
	bool is_used;	      /* by the guest, now */
	struct display_cursor cursor;
	uint32_t cursor_pixels[VNC_CURSOR_SIZE * VNC_CURSOR_SIZE];
};

struct vnc_shared {
	struct input_sink *input; /* constant; NULL: nobody */
	char *password;		  /* constant; NULL: none is asked for */
	pthread_mutex_t lock;	  /* of what follows */
	struct vnc_scanout scanouts[DISPLAY_MAX_SCANOUTS];
};

/*
 * A place for a viewer, without one. To be made before any viewer is there: the library sets up a lock of its own at each
 * call. Returns 0 or -ENOMEM, or the errno of eventfd().
 */
int vnc_viewer_create(struct vnc_shared *shared, struct loop *loop, struct vnc_viewer **out);
/* End its viewer, in a second or so; NULL is fine. */
void vnc_viewer_destroy(struct vnc_viewer *v);

bool vnc_viewer_is_free(const struct vnc_viewer *v);
/* Serve the connection @fd, which is taken in any case. Returns 0 or a negative errno after one line. */
int vnc_viewer_start(struct vnc_viewer *v, int fd, unsigned scanout);

/*
 * What is new on @scanout, if it is the one that is looked at: @damage (NULL: nothing) of the picture, the cursor's image
 * or place. Called with the lock held; vnc_viewer_wake() follows when it isn't any more.
 */
void vnc_viewer_tell(struct vnc_viewer *v, unsigned scanout, const struct display_rect *damage, bool cursor_image);
void vnc_viewer_wake(struct vnc_viewer *v, unsigned scanout);

#endif
