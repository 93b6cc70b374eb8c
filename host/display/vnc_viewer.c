// SPDX-License-Identifier: MIT
#include "host/display/vnc_viewer.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <rfb/rfb.h>
#include <rfb/rfbregion.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "host/base/thread.h"
#include "host/display/vnc_keys.h"
#include "host/virtio/input_sink.h"

/* A viewer that takes nothing, or doesn't finish a message, for this long has gone. */
#define SILENCE_MS 20000
/* From connecting to the first picture, the password typed. */
#define HANDSHAKE_MS 60000
/* How long a wrong password costs, so that few can be tried. */
#define WRONG_PASSWORD_MS 500
#define PARTIAL_MS 20

#define BYTES_PER_PIXEL 4
#define OPAQUE 128u /* of a cursor's alpha, for viewers */
#define SECURITY_NONE 1u
#define SECURITY_VNC 2u
#define ENCODING_QEMU_KEYS (-258)
#define MESSAGE_QEMU 255u

/* What the loop has for a viewer. */
struct news {
	bool any, cursor_image;
	struct display_rect damage; /* width 0: none */
};

struct vnc_viewer {
	struct vnc_shared *shared;
	struct loop *loop;
	rfbScreenInfoPtr screen;
	int event;	  /* wakes the thread */
	struct news news; /* under shared->lock */
	atomic_bool stop;

	/* The loop's. */
	bool busy;
	pthread_t thread;
	struct loop_task ended;
	int socket; /* the connection once more, to shut it down by: the library closes its own when it likes */

	/* Constant while there is a thread. */
	unsigned scanout;
	int connection; /* the library's from the start */
	char title[32], peer[64];
	char *passwords[2]; /* the one there is, and NULL: as the library reads it */

	/* The thread's. */
	struct picture copy;		  /* the library's framebuffer */
	uint32_t seen_width, seen_height; /* of the guest's picture at the last time */
	struct display_cursor cursor;
	uint32_t cursor_pixels[VNC_CURSOR_SIZE * VNC_CURSOR_SIZE];
	bool had_cursor;	   /* the guest's */
	bool draws_cursor;	   /* into the picture, for a viewer that can't draw it itself */
	struct display_rect drawn; /* where it did; width 0: nowhere */
	struct vnc_keys keys;
	struct input_pointer pointer;
	unsigned wheels; /* wheel bits of the last button mask */
	bool wrong_password;
	struct log_limit log_limit;
	bool asks_for_keys, promised_keys; /* by scan code */
};

/*
 * The library keeps one list of ways to authenticate for the process and changes it in each handshake. Held while a
 * handshake message is handled that is there as a whole.
 */
static pthread_mutex_t handshake_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- input ---- */

/* A point of the picture among all that is shown: scanouts lie side by side, as the guest is told by the device. */
static void place(struct vnc_viewer *v, int x, int y, struct input_pointer *p)
{
	uint64_t left = 0, width = 0, height = 0;

	pthread_mutex_lock(&v->shared->lock);
	for (unsigned i = 0; i < DISPLAY_MAX_SCANOUTS; i++) {
		const struct vnc_scanout *s = &v->shared->scanouts[i];

		if (!s->is_used && i != v->scanout)
			continue;
		if (i < v->scanout)
			left += s->shown.width;
		width += s->shown.width;
		if (s->shown.height > height)
			height = s->shown.height;
	}
	pthread_mutex_unlock(&v->shared->lock);
	left += (uint64_t)x;
	/* The middle of the pixel, so that scaling it back gives the same one. */
	if (left < width)
		p->x = (int32_t)((2 * left + 1) * (INPUT_POSITION_MAX + 1) / (2 * width));
	if ((uint64_t)y < height)
		p->y = (int32_t)((2 * (uint64_t)y + 1) * (INPUT_POSITION_MAX + 1) / (2 * height));
}

/* RFC 6143, section 7.5.5: buttons 1 to 3 are those of the sink, 4 to 7 steps of the wheels. */
static void on_pointer(int mask, int x, int y, rfbClientPtr client)
{
	struct vnc_viewer *v = client->clientData;
	const unsigned wheels = (unsigned)mask & 0x78, turned = wheels & ~v->wheels;

	v->wheels = wheels;
	place(v, x, y, &v->pointer);
	v->pointer.buttons = (unsigned)mask & (INPUT_BUTTON_LEFT | INPUT_BUTTON_MIDDLE | INPUT_BUTTON_RIGHT);
	v->pointer.wheel = (turned >> 3 & 1) - (turned >> 4 & 1);
	v->pointer.horizontal_wheel = (turned >> 6 & 1) - (turned >> 5 & 1);
	if (v->shared->input)
		v->shared->input->ops->pointer(v->shared->input, &v->pointer);
}

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr client)
{
	struct vnc_viewer *v = client->clientData;

	vnc_keys_symbol(&v->keys, keysym, down);
}

static void release_input(struct vnc_viewer *v)
{
	vnc_keys_release(&v->keys);
	v->pointer.wheel = v->pointer.horizontal_wheel = 0;
	if (v->pointer.buttons && v->shared->input) {
		v->pointer.buttons = 0;
		v->shared->input->ops->pointer(v->shared->input, &v->pointer);
	}
}

/* ---- QEMU's extended key events, as an extension of the library's ---- */

static rfbBool enable_keys(rfbClientPtr client, void **data, int encoding)
{
	struct vnc_viewer *v = client->clientData;

	(void)data;
	if (encoding != ENCODING_QEMU_KEYS)
		return FALSE;
	/* Answered later: the library holds a lock of the process here. */
	v->asks_for_keys = true;
	return TRUE;
}

static rfbBool handle_keys(rfbClientPtr client, void *data, const rfbClientToServerMsg *message)
{
	struct vnc_viewer *v = client->clientData;
	struct __attribute__((packed)) {
		uint8_t kind;
		uint16_t down;
		uint32_t keysym, scan_code;
	} m;

	(void)data;
	if (message->type != MESSAGE_QEMU || rfbReadExact(client, (char *)&m, sizeof(m)) <= 0 || m.kind != 0)
		return FALSE; /* the library ends the connection */
	vnc_keys_scan_code(&v->keys, be32toh(m.scan_code), be32toh(m.keysym), m.down != 0);
	return TRUE;
}

/* An update with one rectangle that has no pixels says that the extension is there. */
static void promise_keys(struct vnc_viewer *v, rfbClientPtr client)
{
	static const uint8_t message[] = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xfe, 0xfe};

	v->promised_keys = true;
	if (rfbWriteExact(client, (const char *)message, sizeof(message)) < 0)
		rfbCloseClient(client);
}

static rfbProtocolExtension *key_extension(void)
{
	static int encodings[] = {ENCODING_QEMU_KEYS, 0};
	static rfbProtocolExtension extension = {
		.pseudoEncodings = encodings,
		.enablePseudoEncoding = enable_keys,
		.handleMessage = handle_keys,
	};

	return &extension;
}

/* ---- the picture ---- */

static bool is_empty(const struct display_rect *r)
{
	return r->width == 0 || r->height == 0;
}

/* The part of @p that the cursor's image covers. */
static struct display_rect cursor_rect(const struct picture *p, const struct display_cursor *c)
{
	const int64_t left = (int32_t)(c->x - c->hot_x), top = (int32_t)(c->y - c->hot_y);
	const int64_t right = left + VNC_CURSOR_SIZE, bottom = top + VNC_CURSOR_SIZE;
	const int64_t x = left < 0 ? 0 : left, y = top < 0 ? 0 : top;
	const int64_t width = (right < p->width ? right : p->width) - x;
	const int64_t height = (bottom < p->height ? bottom : p->height) - y;

	if (!c->pixels || width <= 0 || height <= 0)
		return (struct display_rect){0};
	return (struct display_rect){(uint32_t)x, (uint32_t)y, (uint32_t)width, (uint32_t)height};
}

static uint32_t opaque(uint32_t component, uint32_t alpha)
{
	uint32_t v = component * 255 / alpha;

	return v > 255 ? 255 : v;
}

/* The library's cursor, which it frees; NULL: hidden. It has no shades of transparency for viewers. */
static rfbCursorPtr make_cursor(const struct display_cursor *c)
{
	rfbCursorPtr r = c->pixels ? calloc(1, sizeof(*r)) : NULL;
	uint32_t *to;

	if (!r)
		return NULL;
	r->cleanup = r->cleanupMask = r->cleanupRichSource = TRUE;
	r->width = r->height = VNC_CURSOR_SIZE;
	r->xhot = (unsigned short)c->hot_x;
	r->yhot = (unsigned short)c->hot_y;
	r->mask = calloc(VNC_CURSOR_SIZE / 8, VNC_CURSOR_SIZE);
	to = calloc((size_t)VNC_CURSOR_SIZE * VNC_CURSOR_SIZE, sizeof(*to));
	if (!r->mask || !to) {
		free(r->mask);
		free(to);
		free(r);
		return NULL;
	}
	r->richSource = (unsigned char *)to;
	for (unsigned i = 0; i < VNC_CURSOR_SIZE * VNC_CURSOR_SIZE; i++) {
		const uint32_t p = c->pixels[i], alpha = p >> 24;

		if (alpha < OPAQUE)
			continue;
		to[i] = opaque(p >> 16 & 0xff, alpha) << 16 | opaque(p >> 8 & 0xff, alpha) << 8 |
			opaque(p & 0xff, alpha);
		r->mask[i / 8] |= (unsigned char)(0x80u >> i % 8);
	}
	return r;
}

/* The library would put red first. */
static void set_format(rfbScreenInfoPtr screen)
{
	screen->serverFormat.depth = 24;
	screen->serverFormat.redShift = 16;
	screen->serverFormat.greenShift = 8;
	screen->serverFormat.blueShift = 0;
}

/* The library takes what lies outside for something, and keeps it for ever. */
static void mark(struct vnc_viewer *v, const struct display_rect *r)
{
	if (!is_empty(r) && r->x < v->copy.width && r->y < v->copy.height)
		rfbMarkRectAsModified(v->screen, (int)r->x, (int)r->y, (int)(r->x + r->width), (int)(r->y + r->height));
}

/* The copy has another size; @client is NULL before there is one. */
static void announce_size(struct vnc_viewer *v, rfbClientPtr client)
{
	rfbNewFramebuffer(v->screen, (char *)v->copy.pixels, (int)v->copy.width, (int)v->copy.height, 8, 3,
			  BYTES_PER_PIXEL);
	set_format(v->screen);
	if (client)
		v->screen->setTranslateFunction(client);
}

/*
 * Bring the library's picture up to date. A viewer that can't be told a new size keeps what it began with and sees the
 * part of the picture that fits. Returns 0 or -ENOMEM.
 */
static int take_news(struct vnc_viewer *v, rfbClientPtr client)
{
	const bool draws = client && !client->enableCursorShapeUpdates;
	struct vnc_scanout *s = &v->shared->scanouts[v->scanout];
	struct display_rect old = v->drawn, now = {0};
	struct news news;
	bool resized = false;
	int err = 0;

	pthread_mutex_lock(&v->shared->lock);
	news = v->news;
	v->news = (struct news){0};
	if (!news.any && draws == v->draws_cursor) {
		pthread_mutex_unlock(&v->shared->lock);
		return 0;
	}
	if (news.cursor_image)
		memcpy(v->cursor_pixels, s->cursor_pixels, sizeof(v->cursor_pixels));
	v->cursor = s->cursor;
	v->cursor.pixels = s->cursor.pixels ? v->cursor_pixels : NULL;
	v->had_cursor |= v->cursor.pixels != NULL;
	if ((v->copy.width != s->shown.width || v->copy.height != s->shown.height) &&
	    (!client || client->useNewFBSize)) {
		err = picture_copy(&v->copy, &s->shown);
		resized = err == 0;
		old = (struct display_rect){0};
	} else {
		if (v->seen_width != s->shown.width || v->seen_height != s->shown.height) {
			memset(v->copy.pixels, 0, picture_bytes(&v->copy));
			news.damage = (struct display_rect){0, 0, v->copy.width, v->copy.height};
		}
		picture_copy_rect(&v->copy, &s->shown, &news.damage);
		picture_copy_rect(&v->copy, &s->shown, &old);
	}
	v->seen_width = s->shown.width;
	v->seen_height = s->shown.height;
	if (draws) {
		now = cursor_rect(&v->copy, &v->cursor);
		picture_copy_rect(&v->copy, &s->shown, &now);
	}
	pthread_mutex_unlock(&v->shared->lock);
	if (err < 0)
		return err;

	if (!is_empty(&now))
		picture_draw_cursor(&v->copy, &v->cursor);
	v->drawn = now;
	if (!draws && (news.cursor_image || v->draws_cursor)) {
		rfbSetCursor(v->screen, make_cursor(&v->cursor));
	} else if (draws && v->screen->cursor) {
		/* The library would draw it, too, where it takes the pointer to be. */
		rfbSetCursor(v->screen, NULL);
	}
	v->draws_cursor = draws;
	if (resized) {
		announce_size(v, client);
		return 0;
	}
	mark(v, &news.damage);
	mark(v, &old);
	mark(v, &now);
	return 0;
}

/* ---- messages ---- */

/* Of the messages that the library knows, those that a viewer needs: no files, no chat, no scaling on our side. */
static bool is_served(uint8_t type)
{
	switch (type) {
	case rfbSetPixelFormat:
	case rfbSetEncodings:
	case rfbFramebufferUpdateRequest:
	case rfbKeyEvent:
	case rfbPointerEvent:
	case rfbClientCutText:	/* read, 1 MiB at most, and dropped */
	case rfbSetDesktopSize: /* answered with no */
	case MESSAGE_QEMU:
		return true;
	default:
		return false;
	}
}

/* Bytes that must be there before the library may read; it waits for the rest of a normal message. */
static size_t bytes_wanted(rfbClientPtr client)
{
	switch (client->state) {
	case RFB_PROTOCOL_VERSION:
		return sz_rfbProtocolVersionMsg;
	case RFB_AUTHENTICATION:
		return CHALLENGESIZE;
	default:
		return 1;
	}
}

/* Let the library handle one message. 1: it did; 0: more bytes must come; -EPROTO: the viewer has to go. */
static int handle_message(struct vnc_viewer *v, rfbClientPtr client)
{
	const size_t wanted = bytes_wanted(client);
	uint8_t head[CHALLENGESIZE];
	ssize_t n = recv(client->sock, head, wanted, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -EPROTO;
	if (n > 0 && (size_t)n < wanted)
		return 0;
	if (n > 0 && client->state == RFB_NORMAL && !is_served(head[0])) {
		log_guest(LOG_TOPIC_DISPLAY, &v->log_limit,
			  "vnc: %s sent a message of type %u, which isn't served; it is cut off", v->peer, head[0]);
		return -EPROTO;
	}
	/* The library's list may hold what another server offers. */
	if (n > 0 && client->state == RFB_SECURITY_TYPE &&
	    head[0] != (v->shared->password ? SECURITY_VNC : SECURITY_NONE))
		return -EPROTO;
	if (client->state == RFB_NORMAL) {
		rfbCheckFds(v->screen, 0);
	} else {
		pthread_mutex_lock(&handshake_lock);
		rfbCheckFds(v->screen, 0);
		pthread_mutex_unlock(&handshake_lock);
	}
	return 1;
}

static rfbBool check_password(rfbClientPtr client, const char *response, int bytes)
{
	struct vnc_viewer *v = client->clientData;

	v->wrong_password = !rfbCheckPasswordByList(client, response, bytes);
	return !v->wrong_password;
}

/* After the handshake: everything that the viewer may be owed. Returns 0 or -ENOMEM. */
static int update(struct vnc_viewer *v, rfbClientPtr client)
{
	int err;

	if (v->asks_for_keys && !v->promised_keys)
		promise_keys(v, client);
	if (client->sock < 0 || sraRgnEmpty(client->requestedRegion))
		return 0;
	err = take_news(v, client);
	if (err < 0)
		return err;
	client->enableSupportedMessages = FALSE; /* the library's list has more than we serve */
	/* Until the guest has a cursor, the viewer keeps its own. */
	if (!v->had_cursor)
		client->cursorWasChanged = FALSE;
	/* A new size goes alone, then the pixels. */
	if (rfbUpdateClient(client) && client->sock >= 0)
		rfbUpdateClient(client);
	return 0;
}

/* ---- the thread ---- */

/* @partial: what is there is too little, so only more of it counts, or that there won't be. Returns poll()'s events. */
static short wait_for_more(struct vnc_viewer *v, rfbClientPtr client, bool partial, uint64_t deadline_ns)
{
	struct pollfd fds[] = {
		{.fd = client->sock, .events = partial ? POLLRDHUP : POLLIN},
		{.fd = v->event, .events = POLLIN},
	};
	const uint64_t now = loop_now_ns();
	int timeout_ms = -1;
	eventfd_t count;

	if (partial)
		timeout_ms = PARTIAL_MS;
	else if (client->state != RFB_NORMAL)
		timeout_ms = deadline_ns > now ? (int)((deadline_ns - now) / 1000000 + 1) : 0;
	poll(fds, 2, timeout_ms);
	if (fds[1].revents)
		eventfd_read(v->event, &count);
	return fds[0].revents;
}

static void look(struct vnc_viewer *v, rfbClientPtr client)
{
	const uint64_t deadline_ns = loop_now_ns() + (uint64_t)HANDSHAKE_MS * 1000000;
	bool partial = false, greeted = false;
	short events;
	int err = 0;

	while (err == 0 && client->sock >= 0) {
		events = wait_for_more(v, client, partial, deadline_ns);
		if (atomic_load(&v->stop) || (partial && events))
			break;
		if (events || partial) {
			err = handle_message(v, client);
			partial = err == 0;
			err = err < 0 ? err : 0;
		}
		if (v->wrong_password) {
			log_guest(LOG_TOPIC_DISPLAY, &v->log_limit, "vnc: %s gave a wrong password", v->peer);
			poll(NULL, 0, WRONG_PASSWORD_MS);
			break;
		}
		if (client->sock < 0 || err < 0)
			break;
		if (client->state == RFB_NORMAL) {
			if (!greeted)
				log_line(LOG_TOPIC_DISPLAY, LOG_INFO, "vnc: %s looks at display %u", v->peer,
					 v->scanout);
			greeted = true;
			err = update(v, client);
		} else if (loop_now_ns() >= deadline_ns) {
			break;
		}
	}
	if (err == -ENOMEM)
		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "vnc: no memory for the picture that %s looks at", v->peer);
	if (greeted)
		log_line(LOG_TOPIC_DISPLAY, LOG_INFO, "vnc: %s has gone", v->peer);
}

static enum rfbNewClientAction on_client(rfbClientPtr client)
{
	client->clientData = client->screen->screenData;
	return RFB_CLIENT_ACCEPT;
}

static void *run(void *arg)
{
	struct vnc_viewer *v = arg;
	rfbClientPtr client = NULL;
	int err = take_news(v, NULL);

	if (err == 0)
		client = rfbNewClient(v->screen, v->connection);
	else
		close(v->connection);
	/* WebSockets would hide the messages from handle_message(). */
	if (client && !client->wsctx)
		look(v, client);
	release_input(v);
	if (client) {
		if (client->sock >= 0)
			rfbCloseClient(client);
		/* The library forgets these. */
		while (client->extensions) {
			rfbExtensionData *next = client->extensions->next;

			free(client->extensions);
			client->extensions = next;
		}
		rfbClientConnectionGone(client);
	}
	loop_post(v->loop, &v->ended);
	return NULL;
}

/* ---- from the loop ---- */

/* The thread has ended, or is about to. */
static void end(struct loop_task *t)
{
	struct vnc_viewer *v = t->owner;

	pthread_join(v->thread, NULL);
	close(v->socket);
	rfbSetCursor(v->screen, NULL);
	v->screen->frameBuffer = NULL;
	picture_finish(&v->copy);
	v->busy = false;
}

/* What the library says is for who looks for a fault: viewers can make it say much. */
static void library_says(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void library_says(const char *format, ...)
{
	char text[256];
	va_list args;

	if (!log_enabled(LOG_TOPIC_DISPLAY, LOG_DEBUG))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text[strcspn(text, "\n")] = '\0';
	log_line(LOG_TOPIC_DISPLAY, LOG_DEBUG, "vnc: libvncserver: %s", text);
}

static void set_up_library(void)
{
	rfbLog = library_says;
	rfbErr = library_says;
	rfbRegisterProtocolExtension(key_extension());
}

int vnc_viewer_create(struct vnc_shared *shared, struct loop *loop, struct vnc_viewer **out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct vnc_viewer *v = calloc(1, sizeof(*v));
	int err = -ENOMEM;

	if (!v)
		return -ENOMEM;
	pthread_once(&once, set_up_library);
	v->shared = shared;
	v->loop = loop;
	v->keys.sink = shared->input;
	v->ended = (struct loop_task){.run = end, .owner = v};
	v->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->event < 0) {
		err = -errno;
		goto free_viewer;
	}
	v->screen = rfbGetScreen(NULL, NULL, 4, 4, 8, 3, BYTES_PER_PIXEL); /* the size comes with the picture */
	if (!v->screen)
		goto close_event;
	set_format(v->screen);
	v->screen->screenData = v;
	v->screen->desktopName = v->title;
	v->screen->cursor = NULL;
	v->screen->dontConvertRichCursorToXCursor = TRUE; /* two colours: we draw better */
	v->screen->alwaysShared = TRUE;
	v->screen->deferUpdateTime = 0;
	v->screen->maxClientWait = SILENCE_MS;
	v->screen->newClientHook = on_client;
	v->screen->kbdAddEvent = on_key;
	v->screen->ptrAddEvent = on_pointer;
	if (shared->password) {
		v->passwords[0] = shared->password;
		v->screen->authPasswdData = v->passwords;
		v->screen->passwordCheck = check_password;
	}
	*out = v;
	return 0;

close_event:
	close(v->event);
free_viewer:
	free(v);
	return err;
}

void vnc_viewer_destroy(struct vnc_viewer *v)
{
	if (!v)
		return;
	if (v->busy) {
		atomic_store(&v->stop, true);
		shutdown(v->socket, SHUT_RDWR);
		eventfd_write(v->event, 1);
		end(&v->ended);
		loop_unpost(v->loop, &v->ended);
	}
	rfbScreenCleanup(v->screen);
	close(v->event);
	free(v);
}

bool vnc_viewer_is_free(const struct vnc_viewer *v)
{
	return !v->busy;
}

static void name_peer(struct vnc_viewer *v, int fd)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t bytes = sizeof(address);
	char host[48], port[8];

	if (getpeername(fd, (struct sockaddr *)&address, &bytes) == 0 && address.ss_family != AF_UNIX &&
	    getnameinfo((struct sockaddr *)&address, bytes, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		snprintf(v->peer, sizeof(v->peer), "%s port %s", host, port);
	else
		snprintf(v->peer, sizeof(v->peer), "a local viewer");
}

int vnc_viewer_start(struct vnc_viewer *v, int fd, unsigned scanout)
{
	int one = 1, err;

	v->socket = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	/* The library waits by select(). */
	if (v->socket < 0 || fd >= FD_SETSIZE) {
		err = -EMFILE;
		goto fail;
	}
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	name_peer(v, fd);
	snprintf(v->title, sizeof(v->title), scanout ? "Mullion, display %u" : "Mullion", scanout);
	atomic_store(&v->stop, false);
	v->scanout = scanout;
	v->connection = fd;
	v->had_cursor = v->draws_cursor = v->wrong_password = v->asks_for_keys = v->promised_keys = false;
	v->drawn = (struct display_rect){0};
	v->wheels = 0;
	v->keys.caps_lock = false;
	v->pointer = (struct input_pointer){0};
	v->news = (struct news){.any = true, .cursor_image = true}; /* nobody else looks yet */
	err = thread_start(&v->thread, run, v);
	if (err == 0) {
		v->busy = true;
		return 0;
	}
fail:
	log_line(LOG_TOPIC_DISPLAY, LOG_WARN, "vnc: can't serve another viewer: %s", strerror(-err));
	if (v->socket >= 0)
		close(v->socket);
	close(fd);
	return err;
}

void vnc_viewer_tell(struct vnc_viewer *v, unsigned scanout, const struct display_rect *damage, bool cursor_image)
{
	if (!v->busy || v->scanout != scanout)
		return;
	v->news.any = true;
	v->news.cursor_image |= cursor_image;
	if (damage)
		display_rect_join(&v->news.damage, damage);
}

void vnc_viewer_wake(struct vnc_viewer *v, unsigned scanout)
{
	if (v->busy && v->scanout == scanout)
		eventfd_write(v->event, 1);
}
