// SPDX-License-Identifier: MIT
/*
 * virtio-gpu: any command with any words, in any cut, on either renderer, with fences done in any order, failures of
 * the renderer, resizes and resets in between, and a home for its shared memory that answers at once or late. The fake renderer aborts when it is given what the device should have
 * refused. Every request must come back once the fences are done, and after a reset the device must work and hold
 * nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/display/display.h"
#include "host/gpu/gpu.h"
#include "protocol/virtio_gpu.h"
#include "tests/fuzz/requests.h"
#include "tests/lib/fake_renderer.h"
#include "tests/lib/fake_shmem.h"

#define MEMORY_BYTES (2u << 20)
#define TAIL_MAX 64u

enum operation { OP_COMMAND, OP_AGAIN, OP_TURN, OP_FENCE, OP_FAIL, OP_RESET, OP_MODE, OP_CONFIG, OP_HOME, OP_COUNT };

static const struct {
	uint32_t type;
	uint8_t bytes; /* the fixed part */
} commands[] = {
	{VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 24}, {VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, 40}, {VIRTIO_GPU_CMD_RESOURCE_UNREF, 32},
	{VIRTIO_GPU_CMD_SET_SCANOUT, 48}, {VIRTIO_GPU_CMD_RESOURCE_FLUSH, 48}, {VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, 56},
	{VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, 32}, {VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 32},
	{VIRTIO_GPU_CMD_GET_CAPSET_INFO, 32}, {VIRTIO_GPU_CMD_GET_CAPSET, 32}, {VIRTIO_GPU_CMD_GET_EDID, 32},
	{VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, 32}, {VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, 56},
	{VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, 96}, {VIRTIO_GPU_CMD_CTX_CREATE, 96}, {VIRTIO_GPU_CMD_CTX_DESTROY, 24},
	{VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, 32}, {VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, 32},
	{VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, 72}, {VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, 72},
	{VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, 72}, {VIRTIO_GPU_CMD_SUBMIT_3D, 32}, {VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, 40},
	{VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 32}, {VIRTIO_GPU_CMD_UPDATE_CURSOR, 56}, {VIRTIO_GPU_CMD_MOVE_CURSOR, 56},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

struct world {
	struct requests r;
	struct virtio_device *device;
	struct fake_shmem home;
	struct fake_renderer *renderer; /* NULL: 2d */
	uint64_t pages; /* guest memory for backings */
	/* The last command, to be sent again. */
	uint8_t bytes[96 + TAIL_MAX * 16];
	size_t size;
};

static void check(bool good)
{
	if (!good)
		abort();
}

/* ---- a display that looks at every pixel it is lent ---- */

static int present(struct display_output *o, unsigned scanout, const struct display_frame *f)
{
	const struct display_rect *d = &f->damage;
	const uint32_t *pixels = f->pixels;
	uint32_t sum;

	(void)o;
	check(scanout < 4 && f->stride_bytes == f->width * 4 && d->width > 0 && d->height > 0);
	check(d->x + d->width <= f->width && d->y + d->height <= f->height);
	sum = pixels[0] + pixels[(size_t)f->width * f->height - 1];
	return sum % 16 == 3 ? -EIO : 0;
}

static void blank(struct display_output *o, unsigned scanout)
{
	(void)o;
	check(scanout < 4);
}

static void cursor(struct display_output *o, unsigned scanout, const struct display_cursor *c)
{
	uint32_t copy[64 * 64];

	(void)o;
	check(scanout < 4);
	if (c->pixels)
		memcpy(copy, c->pixels, sizeof(copy));
	check(!c->pixels || memcmp(copy, c->pixels, sizeof(copy)) == 0);
}

static void destroy(struct display_output *o)
{
	(void)o;
}

static const struct display_output_ops display_ops = {
	.name = "fuzz", .present = present, .blank = blank, .cursor = cursor, .destroy = destroy,
};

/* Mostly small numbers, as ids and sizes are; else ones from the edges, or any. */
static uint32_t word(struct fuzz_input *in)
{
	static const uint32_t edges[] = {64, 255, 256, 1024, 4096, 16384, 16385, 65536, 1u << 31, UINT32_MAX, UINT32_MAX - 3, 16777216};
	uint8_t b = fuzz_u8(in);

	if (b < 0xe0)
		return b & 0x3f;
	if (b < 0xe0 + sizeof(edges) / sizeof(edges[0]))
		return edges[b - 0xe0];
	return fuzz_u32(in);
}

static void make_command(struct world *w, struct fuzz_input *in)
{
	uint8_t number = fuzz_u8(in), flags = fuzz_u8(in), ids = fuzz_u8(in), tail = fuzz_u8(in);
	struct virtio_gpu_ctrl_hdr header = {.flags = flags & 3};
	uint32_t words[18];
	size_t fixed;

	if (number < 0xf0) {
		header.type = commands[number % COMMANDS].type;
		fixed = commands[number % COMMANDS].bytes;
	} else {
		header.type = fuzz_u32(in);
		fixed = 96;
	}
	header.fence_id = flags & 4 ? fuzz_u64(in) : flags >> 4;
	header.ctx_id = ids & 7;
	header.ring_idx = ids & 8 ? fuzz_u8(in) : ids >> 6;
	memcpy(w->bytes, &header, sizeof(header));
	for (size_t i = 0; i < (fixed - sizeof(header)) / 4; i++)
		words[i] = word(in);
	memcpy(w->bytes + sizeof(header), words, fixed - sizeof(header));
	w->size = fixed;
	for (uint8_t i = 0; i < tail % TAIL_MAX; i++) {
		struct virtio_gpu_mem_entry entry;
		uint8_t place = fuzz_u8(in);

		entry.addr = place < 0xf8 ? w->pages + (place & 0x7f) * 4096u : fuzz_u64(in);
		entry.length = place & 0x80 ? word(in) : 4096;
		entry.padding = 0;
		memcpy(w->bytes + w->size, &entry, sizeof(entry));
		w->size += sizeof(entry);
	}
	/* Counts that agree with the tail, more often than not. */
	if (tail & 0x80)
		return;
	if (header.type == VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING)
		memcpy(w->bytes + 28, &(uint32_t){tail % TAIL_MAX}, 4);
	else if (header.type == VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB && ids & 0x10)
		memcpy(w->bytes + 28, (uint32_t[]){2, ids >> 5, 0, 0, 0, tail % TAIL_MAX * 1024u, 0}, 28);
	else if (header.type == VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB && ids & 0x10)
		memcpy(w->bytes + 32, &(uint64_t){(tail % TAIL_MAX) * 4096ull}, 8);
	else if (header.type == VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB)
		memcpy(w->bytes + 28, (uint32_t[]){1, 0, tail % TAIL_MAX, 0, 0, tail % TAIL_MAX * 4096u, 0}, 28);
	else if (header.type == VIRTIO_GPU_CMD_SUBMIT_3D)
		memcpy(w->bytes + 24, &(uint32_t){tail % TAIL_MAX * 16u}, 4);
}

static void send(struct world *w, struct fuzz_input *in)
{
	uint8_t cut = fuzz_u8(in), how = fuzz_u8(in);
	unsigned queue = w->size >= 24 && w->bytes[1] == 3 ? 1 : 0;
	size_t room = how & 0x40 ? how & 0x3f : 1100, n = w->size;

	if (how & 0x80) {
		queue = cut & 1;
		n -= n < (how & 0x3fu) ? n : how & 0x3fu;
	}
	fake_guest_set_split(w->r.g, cut & 0x7f, cut & 0x80 ? 1 + (n + room) / 8 : 0);
	if (w->r.count < REQUESTS_MAX && fake_guest_has_room(w->r.g, queue, n, room)) {
		w->r.list[w->r.count++] = fake_guest_add(w->r.g, queue, w->bytes, n, room);
		fake_guest_kick(w->r.g, queue);
	}
	fake_guest_set_split(w->r.g, 0, 0);
}

static void step(struct world *w, struct fuzz_input *in)
{
	uint8_t op = fuzz_u8(in), argument;
	static const int errors[] = {-EINVAL, -ENOMEM, -ENOENT, -EIO, -ENOSYS};
	uint8_t bytes[8];

	switch (op & 0x80 ? OP_COMMAND : op % OP_COUNT) {
	case OP_COMMAND:
		make_command(w, in);
		send(w, in);
		requests_turn(&w->r);
		break;
	case OP_AGAIN:
		send(w, in);
		break;
	case OP_TURN:
		requests_turn(&w->r);
		break;
	case OP_FENCE:
		argument = fuzz_u8(in);
		if (w->renderer && w->renderer->fence_count > 0)
			fake_renderer_finish_one(w->renderer, argument % w->renderer->fence_count);
		break;
	case OP_FAIL:
		if (w->renderer)
			w->renderer->fail_next = errors[op / OP_COUNT % 5];
		break;
	case OP_RESET:
		requests_restart(&w->r, w->device);
		if (w->renderer)
			check(w->renderer->context_count == 0 && w->renderer->resource_count == 0);
		break;
	case OP_MODE:
		(void)gpu_set_mode(w->device, fuzz_u8(in), &(struct gpu_mode){word(in), word(in)});
		break;
	case OP_CONFIG:
		argument = fuzz_u8(in);
		fuzz_take(in, bytes, sizeof(bytes));
		virtio_device_config(w->device, argument, bytes, 1 + (op >> 4), op & 8);
		break;
	case OP_HOME:
		argument = fuzz_u8(in);
		w->home.later = argument & 1;
		if (argument & 2)
			w->home.fail = errors[(argument >> 4) % 5];
		if (argument & 4)
			fake_shmem_answer(&w->home);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {.data = data, .left = size};
	uint8_t kind = fuzz_u8(&in);
	struct fake_guest_options options = {
		.packed = kind & 1, .event_idx = kind & 2, .indirect = kind & 4, .memory_bytes = MEMORY_BYTES,
	};
	struct virtio_gpu_resource_create_2d alive = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, .resource_id = 1, .format = 1, .width = 1, .height = 1,
	};
	struct world w = {.r.g = fake_guest_create(&options)};
	struct virtio_gpu_ctrl_hdr answer;
	struct display_output display = {&display_ops};
	struct gpu_config config;

	gpu_config_init(&config);
	config.display = &display;
	config.renderer = "auto";
	config.renderers = kind & 8 ? fake_renderers : (const struct renderer_ops *const[]){&renderer_2d_ops, NULL};
	config.scanouts = 1 + (kind >> 4) % 4;
	config.modes[1] = config.modes[2] = config.modes[0];
	config.limits = (struct gpu_limits){
		.resources = 12, .resource_bytes = 1u << 20, .contexts = 4, .backing_entries = 40, .command_bytes = 512, .pending = 20,
	};
	config.host_visible_bytes = kind & 0x40 ? 0x10000 : 0x100000;
	check(!gpu_create(&config, fake_guest_loop(w.r.g), fake_guest_mem(w.r.g), &w.device));
	fake_shmem_settle(&w.home, w.device);
	w.renderer = kind & 8 ? fake_renderer_current : NULL;
	w.pages = fake_guest_alloc(w.r.g, 128 * 4096, 4096);
	check(!fake_guest_start(w.r.g, w.device));
	while (in.left)
		step(&w, &in);

	/* Nothing waits but for fences, and for the home. */
	w.home.later = false;
	do
		requests_turn(&w.r);
	while (fake_shmem_answer(&w.home));
	requests_turn(&w.r);
	if (w.renderer)
		fake_renderer_finish(w.renderer, FAKE_FENCES);
	for (unsigned i = 0; i < w.r.count; i++)
		check(!fake_guest_wait(w.r.g, w.r.list[i], 10000));
	requests_restart(&w.r, w.device);
	check(!w.renderer || (w.renderer->context_count == 0 && w.renderer->resource_count == 0 && w.renderer->backings == 0));
	if (w.renderer)
		w.renderer->fail_next = 0;
	check(!fake_guest_request(w.r.g, 0, &alive, sizeof(alive), &answer, sizeof(answer), NULL));
	check(answer.type == VIRTIO_GPU_RESP_OK_NODATA);
	virtio_device_destroy(w.device);
	fake_shmem_finish(&w.home);
	fake_guest_destroy(w.r.g);
	return 0;
}

/* ---- seeds: sound sequences, written with the bytes that word() turns into small numbers ---- */

struct seed {
	uint8_t *p;
};

static void put(struct seed *s, const void *bytes, size_t n)
{
	memcpy(s->p, bytes, n);
	s->p += n;
}

/* Command number @index of the table with small @words, @tail entries, on context 1 with @flags. */
static void put_command(struct seed *s, uint8_t index, uint8_t flags, const uint8_t *words, size_t count, uint8_t tail)
{
	const size_t all = (commands[index].bytes - 24u) / 4;

	put(s, (uint8_t[]){0x80, index, flags, 1, tail}, 5);
	for (size_t i = 0; i < all; i++)
		*s->p++ = i < count ? words[i] : 0;
	for (uint8_t i = 0; i < tail; i++)
		*s->p++ = (uint8_t)((tail - i) * 2); /* pages that don't touch */
	put(s, (uint8_t[]){0, 0}, 2); /* uncut, with room */
}

#define COMMAND(s, index, flags, tail, ...) \
	put_command(s, index, flags, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), tail)

size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	struct seed s = {buf};

	if (index >= 16 || cap < 2048)
		return 0;
	*s.p++ = (uint8_t)(index | (index & 3) << 5);
	/* A 2D screen. */
	COMMAND(&s, 1, 1, 0, 1, 2, 30, 20);
	COMMAND(&s, 6, 0, 2, 1, 2);
	COMMAND(&s, 3, 1, 0, 2, 1, 20, 10, 0, 1);
	COMMAND(&s, 5, 1, 0, 0, 0, 30, 20, 0, 0, 1);
	COMMAND(&s, 4, 1, 0, 0, 0, 30, 20, 1);
	COMMAND(&s, 0, 0, 0, 0);
	COMMAND(&s, 10, 0, 0, 0);
	COMMAND(&s, 11, 0, 0, 1);
	/* A blob on the screen (its count, type and size are filled in), then gone. */
	COMMAND(&s, 12, 0, 4, 5);
	COMMAND(&s, 13, 0, 0, 0, 0, 4, 6, 0, 5, 4, 6, 2, 0, 0xe3, 0, 0, 0, 0xe0);
	COMMAND(&s, 4, 0, 0, 0, 0, 4, 6, 5);
	COMMAND(&s, 2, 1, 0, 5);
	/* A cursor of 64x64 (word() gives 0xe0 as 64). */
	COMMAND(&s, 1, 0, 0, 6, 1, 0xe0, 0xe0);
	COMMAND(&s, 24, 0, 0, 0, 5, 5, 0, 6, 1, 1);
	COMMAND(&s, 25, 0, 0, 0, 9, 9);
	/* Host blobs: mapped, on the screen, and gone while they are mapped. */
	put(&s, (uint8_t[]){OP_HOME, index & 2 ? 1 : 0}, 2);
	put(&s, (uint8_t[]){0x80, 12, 0, 0x31, 8, 8, 2, 1, 0, 0, 0, 32, 0}, 13);
	for (unsigned i = 0; i < 8; i++)
		*s.p++ = 0;
	put(&s, (uint8_t[]){0, 0}, 2);
	put(&s, (uint8_t[]){0x80, 22, 0, 0x11, 3, 8, 0, 3, 0}, 9);
	for (unsigned i = 0; i < 3; i++)
		*s.p++ = 0;
	put(&s, (uint8_t[]){0, 0, OP_HOME, 5}, 4);
	COMMAND(&s, 13, 0, 0, 0, 0, 4, 6, 0, 8, 4, 6, 2, 0, 0xe3, 0, 0, 0, 0xe0);
	COMMAND(&s, 4, 0, 0, 0, 0, 4, 6, 8);
	COMMAND(&s, 23, 0, 0, 8);
	COMMAND(&s, 2, 1, 0, 8);
	put(&s, (uint8_t[]){OP_HOME, 4, OP_HOME, 4}, 4);
	/* 3D. */
	COMMAND(&s, 14, 0, 0, 4, 2, 'a', 'b');
	/* Objects of its as blobs, the second with pages; one is shown. */
	put(&s, (uint8_t[]){0x80, 12, 0, 1, 0x80, 9, 2, 2, 0, 5, 0, 32, 0, 0, 0}, 15);
	put(&s, (uint8_t[]){0x80, 12, 0, 1, 0x82, 10, 3, 2, 2, 6, 0, 32, 0, 0, 2, 0, 0}, 17);
	COMMAND(&s, 13, 0, 0, 0, 0, 32, 16, 0, 9, 32, 16, 2);
	COMMAND(&s, 4, 0, 0, 0, 0, 32, 16, 9);
	COMMAND(&s, 16, 0, 0, 10);
	COMMAND(&s, 19, 0, 0, 0, 0, 0, 32, 16, 1, 0, 0, 10);
	COMMAND(&s, 2, 0, 0, 9);
	COMMAND(&s, 18, 1, 0, 7, 2, 1, 2, 16, 16, 1, 1);
	COMMAND(&s, 6, 0, 1, 7, 1);
	COMMAND(&s, 16, 0, 0, 7);
	COMMAND(&s, 19, 3, 0, 0, 0, 0, 16, 16, 1, 0, 0, 7);
	COMMAND(&s, 21, 3, 2, 32);
	COMMAND(&s, 20, 1, 0, 0, 0, 0, 16, 16, 1, 0, 0, 7);
	put(&s, (uint8_t[]){OP_FENCE, 1, OP_FENCE, 0}, 4);
	COMMAND(&s, 8, 0, 0, 1);
	COMMAND(&s, 9, 0, 0, 2, 1);
	COMMAND(&s, 15, 3, 0, 0);
	if (index & 8)
		*s.p++ = OP_RESET;
	COMMAND(&s, 3, 0, 0, 0, 0, 0, 0, 0, 0);
	put(&s, (uint8_t[]){OP_MODE, 0, 20, 30}, 4);
	return (size_t)(s.p - buf);
}

const unsigned fuzz_runs = 4000;
