// SPDX-License-Identifier: MIT
#include "tests/lib/vnc_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/display/format.h"

static void on_key(struct input_sink *base, uint16_t code, bool down)
{
	struct vnc_fake_sink *s = (struct vnc_fake_sink *)base;
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = strlen(s->keys);
	snprintf(s->keys + n, sizeof(s->keys) - n, "%c%u ", down ? '+' : '-', code);
	pthread_mutex_unlock(&s->lock);
}

static void on_pointer(struct input_sink *base, const struct input_pointer *p)
{
	struct vnc_fake_sink *s = (struct vnc_fake_sink *)base;

	pthread_mutex_lock(&s->lock);
	if (s->pointer_count < 64)
		s->pointers[s->pointer_count++] = *p;
	pthread_mutex_unlock(&s->lock);
}

static const struct input_sink_ops sink_ops = {.key = on_key, .pointer = on_pointer};

/* ---- the display's side: every call on its loop ---- */

struct create_call {
	struct vnc_place *p;
	const char *spec;
	int err;
};

static void do_create(void *arg)
{
	struct create_call *c = arg;

	c->err = display_create(c->p->loop, c->spec, &c->p->sink.base, &c->p->output);
}

int vnc_create(struct vnc_place *p, const char *spec)
{
	struct create_call c = {p, spec, 0};

	loop_call(p->loop, do_create, &c);
	return c.err;
}

void vnc_create_here(struct vnc_place *p, const char *options)
{
	char spec[160];

	snprintf(spec, sizeof(spec), "vnc:unix:%s%s", p->socket, options);
	assert_int_equal(vnc_create(p, spec), 0);
}

static void do_destroy(void *arg)
{
	struct vnc_place *p = arg;

	display_destroy(p->output);
	p->output = NULL;
}

void vnc_destroy(struct vnc_place *p)
{
	loop_call(p->loop, do_destroy, p);
}

struct present_call {
	struct vnc_place *p;
	unsigned scanout;
	struct display_frame frame;
	int err;
};

static void do_present(void *arg)
{
	struct present_call *c = arg;

	c->err = c->p->output->ops->present(c->p->output, c->scanout, &c->frame);
}

int vnc_present(struct vnc_place *p, unsigned scanout, uint32_t fourcc, uint32_t width, uint32_t height,
		struct display_rect damage)
{
	struct present_call c = {p, scanout, {p->pixels, width, height, width * 4, fourcc, damage}, 0};

	loop_call(p->loop, do_present, &c);
	return c.err;
}

void vnc_show(struct vnc_place *p)
{
	assert_int_equal(vnc_present(p, 0, DISPLAY_XRGB8888, VNC_WIDTH, VNC_HEIGHT,
				     (struct display_rect){0, 0, VNC_WIDTH, VNC_HEIGHT}),
			 0);
}

static void do_blank(void *arg)
{
	struct vnc_place *p = arg;

	p->output->ops->blank(p->output, 0);
}

void vnc_blank(struct vnc_place *p)
{
	loop_call(p->loop, do_blank, p);
}

struct cursor_call {
	struct vnc_place *p;
	struct display_cursor cursor;
};

static void do_cursor(void *arg)
{
	struct cursor_call *c = arg;

	c->p->output->ops->cursor(c->p->output, 0, &c->cursor);
}

void vnc_set_cursor(struct vnc_place *p, const struct display_cursor *cursor)
{
	struct cursor_call c = {p, *cursor};

	loop_call(p->loop, do_cursor, &c);
}

/* Something that every encoding has work with: flat parts, few colours, many colours. */
void vnc_paint(struct vnc_place *p, uint32_t seed)
{
	for (uint32_t y = 0; y < VNC_HEIGHT; y++) {
		for (uint32_t x = 0; x < VNC_WIDTH; x++) {
			uint32_t v = x < 100   ? 0x204060
				     : x < 200 ? (x / 7 + y / 5) % 3 * 0x5a3c1e
					       : (x * 0x10305 + y * 0x51) * 2654435761u;

			p->pixels[y * VNC_WIDTH + x] = (v ^ seed) & 0xffffff;
		}
	}
}

/* ---- the viewer's side ---- */

static char tag; /* of the viewer among a client's data */

static void quiet(const char *format, ...)
{
	(void)format;
}

static void got_update(rfbClient *c, int x, int y, int w, int h)
{
	struct vnc_watcher *v = rfbClientGetClientData(c, &tag);

	v->last = (struct display_rect){(uint32_t)x, (uint32_t)y, (uint32_t)w, (uint32_t)h};
	v->updates++;
}

static void got_shape(rfbClient *c, int hot_x, int hot_y, int width, int height, int bytes)
{
	struct vnc_watcher *v = rfbClientGetClientData(c, &tag);

	(void)width;
	(void)height;
	assert_int_equal(bytes, 4);
	v->hot_x = hot_x;
	v->hot_y = hot_y;
	v->shapes++;
}

static char *give_password(rfbClient *c)
{
	(void)c;
	return strdup("sesame");
}

rfbClient *vnc_new_client(struct vnc_watcher *v, const char *host, int port)
{
	rfbClient *c = rfbGetClient(8, 3, 4);

	assert_non_null(c);
	*v = (struct vnc_watcher){.client = c};
	rfbClientSetClientData(c, &tag, v);
	free(c->serverHost);
	c->serverHost = strdup(host);
	c->serverPort = port;
	c->format.redShift = 16;
	c->format.greenShift = 8;
	c->format.blueShift = 0;
	c->appData.encodingsString = "raw";
	c->appData.enableJPEG = FALSE;
	c->canHandleNewFBSize = TRUE;
	c->GotFrameBufferUpdate = got_update;
	c->GotCursorShape = got_shape;
	c->GetPassword = give_password;
	return c;
}

void vnc_attach(struct vnc_watcher *v)
{
	if (!rfbInitClient(v->client, NULL, NULL))
		fail_msg("a viewer can't connect");
}

void vnc_look(struct vnc_watcher *v, struct vnc_place *p)
{
	vnc_new_client(v, p->socket, 0);
	vnc_attach(v);
}

void vnc_leave(struct vnc_watcher *v)
{
	free(v->client->frameBuffer);
	/* From 0.9.15 on the library frees these two itself. */
	free(v->client->rcSource);
	free(v->client->rcMask);
	v->client->rcSource = v->client->rcMask = NULL;
	rfbClientCleanup(v->client);
}

/* Handle messages until @done; false after VNC_PATIENCE_MS, or when the server has gone. */
bool vnc_wait_for(struct vnc_watcher *v, bool (*done)(struct vnc_watcher *v, const void *what), const void *what)
{
	const uint64_t end = loop_now_ns() + VNC_PATIENCE_MS * 1000000ull;

	while (!done(v, what)) {
		int n = WaitForMessage(v->client, 50000);

		if (n < 0 || loop_now_ns() > end || (n > 0 && !HandleRFBServerMessage(v->client)))
			return false;
	}
	return true;
}

uint32_t vnc_pixel(const struct vnc_watcher *v, uint32_t x, uint32_t y)
{
	return ((uint32_t *)(void *)v->client->frameBuffer)[y * (uint32_t)v->client->width + x] & 0xffffff;
}

static bool is_seen(struct vnc_watcher *v, const void *what)
{
	const struct vnc_view *w = what;

	if ((uint32_t)v->client->width != w->width || (uint32_t)v->client->height != w->height)
		return false;
	for (uint32_t i = 0; i < w->width * w->height; i++) {
		if (vnc_pixel(v, i % w->width, i / w->width) != (w->pixels[i] & 0xffffff))
			return false;
	}
	return true;
}

bool vnc_sees(struct vnc_watcher *v, const uint32_t *pixels, uint32_t width, uint32_t height)
{
	return vnc_wait_for(v, is_seen, &(struct vnc_view){pixels, width, height});
}

bool vnc_sees_all(struct vnc_watcher *v, struct vnc_place *p)
{
	return vnc_sees(v, p->pixels, VNC_WIDTH, VNC_HEIGHT);
}

/* Take what the server sends meanwhile: one that can't get rid of it doesn't read. */
static void pump(struct vnc_watcher *v)
{
	if (!v)
		poll(NULL, 0, 5);
	else if (WaitForMessage(v->client, 5000) > 0)
		assert_true(HandleRFBServerMessage(v->client));
}

/* Wait until the sink has got exactly these, in the form of fake_sink.keys. @v may have left (NULL). */
void vnc_assert_keys(struct vnc_place *p, struct vnc_watcher *v, const char *keys)
{
	char got[sizeof(p->sink.keys)] = "";

	for (unsigned ms = 0; ms < VNC_PATIENCE_MS; ms += 5) {
		pthread_mutex_lock(&p->sink.lock);
		strcpy(got, p->sink.keys);
		if (strlen(got) >= strlen(keys))
			p->sink.keys[0] = '\0';
		pthread_mutex_unlock(&p->sink.lock);
		if (strlen(got) >= strlen(keys))
			break;
		pump(v);
	}
	assert_string_equal(got, keys);
}

struct input_pointer vnc_pointer_event(struct vnc_place *p, struct vnc_watcher *v, unsigned n)
{
	struct input_pointer got = {-1, -1, 0, 0, 0};

	for (unsigned ms = 0; ms < VNC_PATIENCE_MS && got.x == -1; ms += 5) {
		pthread_mutex_lock(&p->sink.lock);
		if (p->sink.pointer_count > n)
			got = p->sink.pointers[n];
		pthread_mutex_unlock(&p->sink.lock);
		if (got.x == -1)
			pump(v);
	}
	return got;
}

/* A viewer that speaks for itself, up to the server's first message: returns its socket. */
int vnc_raw_viewer(struct vnc_place *p)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char hello[12];

	strcpy(address.sun_path, p->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(recv(fd, hello, sizeof(hello), MSG_WAITALL), sizeof(hello));
	return fd;
}

/* And up to the server's description of its picture. */
int vnc_raw_viewer_inside(struct vnc_place *p)
{
	int fd = vnc_raw_viewer(p);
	char answer[64];

	assert_int_equal(send(fd, "RFB 003.008\n", 12, 0), 12);
	assert_int_equal(recv(fd, answer, 2, MSG_WAITALL), 2); /* one way to authenticate: none */
	assert_int_equal(answer[1], 1);
	assert_int_equal(send(fd, "\1", 1, 0), 1);
	assert_int_equal(recv(fd, answer, 4, MSG_WAITALL), 4);
	assert_int_equal(send(fd, "\1", 1, 0), 1);
	assert_int_equal(recv(fd, answer, 24 + 7, MSG_WAITALL), 24 + 7);
	return fd;
}

int vnc_set_up(void **state)
{
	struct vnc_place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	rfbClientLog = rfbClientErr = quiet;
	p->sink.base.ops = &sink_ops;
	pthread_mutex_init(&p->sink.lock, NULL);
	strcpy(p->path, "/tmp/mullion-vnc-XXXXXX");
	assert_non_null(mkdtemp(p->path));
	snprintf(p->socket, sizeof(p->socket), "%s/vnc", p->path);
	assert_int_equal(loop_create("test", &p->loop), 0);
	assert_int_equal(loop_start(p->loop), 0);
	vnc_paint(p, 0);
	*state = p;
	return 0;
}

int vnc_tear_down(void **state)
{
	struct vnc_place *p = *state;
	char path[128];

	vnc_destroy(p);
	loop_destroy(p->loop);
	pthread_mutex_destroy(&p->sink.lock);
	snprintf(path, sizeof(path), "%s/password", p->path);
	unlink(path);
	/* Its sockets are gone, so the folder is empty. */
	assert_int_equal(rmdir(p->path), 0);
	free(p);
	return 0;
}

void vnc_write_password(struct vnc_place *p, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/password", p->path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

void vnc_type(struct vnc_watcher *v, uint32_t keysym)
{
	SendKeyEvent(v->client, keysym, TRUE);
	SendKeyEvent(v->client, keysym, FALSE);
}
