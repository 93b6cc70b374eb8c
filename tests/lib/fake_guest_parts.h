/* SPDX-License-Identifier: MIT */
/* What the files of the fake guest know of each other: its memory, its rings, its driver. */
#ifndef MULLION_TESTS_LIB_FAKE_GUEST_PARTS_H
#define MULLION_TESTS_LIB_FAKE_GUEST_PARTS_H

#include <stdatomic.h>

#include "host/virtio/mem.h"
#include "tests/lib/fake_guest.h"

#define LOW_GPA 0x1000ull
#define HIGH_GPA 0x100000000ull
#define PAGE 4096u
#define SIZE_CLASSES 32

struct free_range {
	struct free_range *next;
	uint64_t gpa;
};

/* One half of the memory: handed out from the bottom; what comes back is kept by power of 2. */
struct arena {
	uint64_t next;
	uint64_t end;
	struct free_range *free[SIZE_CLASSES];
};

struct piece {
	uint64_t gpa;
	uint32_t len;
	bool writable;
};

struct fake_request_parts {
	struct piece *pieces;
	unsigned count;
	unsigned slots; /* ring entries taken */
	uint16_t id;
	uint64_t memory_gpa;
	size_t memory_bytes;
	uint64_t table_gpa;
	size_t table_bytes;
	/* In the list of all that were not freed. */
	struct fake_request *next;
	struct fake_request **link;
};

struct queue {
	struct fake_ring ring;
	size_t desc_bytes;
	size_t driver_bytes;
	size_t device_bytes;
	unsigned free_slots;
	struct fake_request **by_id;
	/* split */
	uint16_t *next_free; /* links of unused descriptors */
	uint16_t first_free;
	uint16_t avail;
	uint16_t used;
	/* packed */
	bool avail_wrap;
	bool used_wrap;
	/* both */
	unsigned added; /* available entries since the last kick, to tell whether the device asked for one */
	bool masked;
	atomic_uint interrupts;
	unsigned interrupts_seen;
	unsigned kicks;
	unsigned kicks_saved;
};

struct fake_guest {
	struct fake_guest_options options;
	struct loop *loop;
	struct guest_mem *mem;
	int memfd;
	uint8_t *host;
	size_t bytes;
	struct arena low;
	struct arena high;
	struct virtio_device *device;
	unsigned queue_count;
	struct queue queues[VIRTIO_DEVICE_MAX_QUEUES];
	atomic_uint config_changes;
	atomic_uint progress;
	size_t split_at;
	size_t split_piece;
	uint64_t sequence;
	struct fake_request *requests;
};

/* Abort with a message. */
_Noreturn void fake_guest_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Zeroed. */
void *fake_guest_must_alloc(size_t n, size_t size);

/* ---- memory ---- */

/* @bytes and @align as they were allocated. */
void fake_guest_free_aligned(struct fake_guest *g, uint64_t gpa, size_t bytes, size_t align);
/* What is kept of memory that came back. */
void fake_guest_free_arenas(struct fake_guest *g);

/* ---- rings ---- */

/* In guest memory, empty, as large as options and device say. */
void fake_ring_make(struct fake_guest *g, unsigned index);
void fake_ring_free(struct fake_guest *g, struct queue *q);
/* Ask for an interrupt at the next used element, or for none. */
void fake_ring_set_event(struct fake_guest *g, struct queue *q);
/* Would a request of @count pieces go through an indirect table? */
bool fake_request_uses_table(const struct fake_guest *g, unsigned count);
/* Show @p, which has all but its id, to the device. */
void fake_ring_add(struct fake_guest *g, struct queue *q, struct fake_request_parts *p);
/* Did the device ask for a kick for what was added? */
bool fake_ring_wants_kick(struct fake_guest *g, struct queue *q);
/* The next used element; false if there is none. */
bool fake_ring_next_used(struct fake_guest *g, struct queue *q, uint32_t *id, uint32_t *len);
/* Go behind that, which was @p; its descriptors are free again. */
void fake_ring_give_back(struct fake_guest *g, struct queue *q, struct fake_request_parts *p);

#endif
