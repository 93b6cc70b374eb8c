/* SPDX-License-Identifier: MIT */
/*
 * A guest without a VM: memory, a virtio driver and a loop, for device tests, fuzz targets and benches.
 *
 *	struct fake_guest *g = fake_guest_create(&(struct fake_guest_options){ .packed = true });
 *	struct virtio_device *d;
 *
 *	assert_int_equal(rng_create(fake_guest_loop(g), fake_guest_mem(g), &d), 0);
 *	assert_int_equal(fake_guest_start(g, d), 0);
 *	assert_int_equal(fake_guest_request(g, 0, NULL, 0, buf, sizeof(buf), &used), 0);
 *	virtio_device_destroy(d);
 *	fake_guest_destroy(g);
 *
 * The device lives on the loop, and the loop on the test's own thread: nothing runs but inside fake_guest_wait(),
 * fake_guest_run_until() and fake_guest_request(). (With loop_start() the device runs on a thread of its own; all
 * calls here still work.)
 *
 * It is a strict driver: it kicks only when the device asks for it and looks for used buffers only when it was
 * interrupted, so a lost notification is a timeout. It aborts with a message when the device breaks its side of the
 * ring: an id that is not outstanding, or a used length beyond the buffer. It also aborts when it runs out of
 * memory, so nothing here needs to be checked for that.
 */
#ifndef MULLION_TESTS_LIB_FAKE_GUEST_H
#define MULLION_TESTS_LIB_FAKE_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/virtio/device.h"

struct fake_guest;

/* All zero: a split ring with nothing special, queues as large as the device has, 16 MiB. */
struct fake_guest_options {
	bool packed;
	bool event_idx;
	bool indirect;         /* requests of more than one descriptor use a table */
	uint16_t queue_size;   /* 0, or less than the device's maximum */
	size_t memory_bytes;   /* half from address 0x1000, half from 4 GiB; 0: 16 MiB */
	uint64_t refuse;       /* device features not to accept; all other offered ones are */
};

struct fake_guest *fake_guest_create(const struct fake_guest_options *options); /* NULL: all zero */
/* Destroy the device before. */
void fake_guest_destroy(struct fake_guest *g);

struct loop *fake_guest_loop(struct fake_guest *g);
const struct guest_mem *fake_guest_mem(struct fake_guest *g);

/*
 * Reset @d and bring it up to DRIVER_OK as a driver does. Returns 0, -EPROTO when the device refused the features, or
 * -EPIPE when it needs a reset. May be called again with the same device, or with another one once the first was
 * destroyed.
 */
int fake_guest_start(struct fake_guest *g, struct virtio_device *d);
/*
 * Go on with @d in the place of a device whose process died: as fake_guest_start(), on new rings, but without a reset.
 * Outstanding requests are done, and lost.
 */
int fake_guest_take_over(struct fake_guest *g, struct virtio_device *d);
/* The same, but the rings go on where the device says (virtq_track()), with what is on them. */
int fake_guest_go_on(struct fake_guest *g, struct virtio_device *d);
/* Write status 0. Outstanding requests are done, and lost. */
void fake_guest_reset(struct fake_guest *g);
/* The test destroyed the device with requests outstanding: they are done, and lost. */
void fake_guest_device_is_gone(struct fake_guest *g);
/* Write a status as it is. */
void fake_guest_set_status(struct fake_guest *g, uint8_t status);

/* ---- memory ---- */

/* @bytes of zeroed guest memory below 4 GiB, or above; @align a power of 2 up to a page. */
uint64_t fake_guest_alloc(struct fake_guest *g, size_t bytes, size_t align);
uint64_t fake_guest_alloc_high(struct fake_guest *g, size_t bytes, size_t align);
/* Leave the next @bytes below 4 GiB alone: another process that shares the memory has allocated there. */
void fake_guest_reserve(struct fake_guest *g, size_t bytes);
void fake_guest_free(struct fake_guest *g, uint64_t gpa, size_t bytes);
/* Where the test sees guest memory; aborts for a range outside it. */
void *fake_guest_ptr(struct fake_guest *g, uint64_t gpa, size_t bytes);

/* ---- requests ---- */

/* Read the fields; the memory is the guest's until fake_guest_free_request(). */
struct fake_request {
	unsigned queue;
	bool done;         /* the device gave it back, or a reset took it */
	bool lost;         /* by a reset */
	uint32_t used_len; /* as the device reported it */
	uint8_t *out;      /* out_cap bytes, filled when done; what the device left alone is 0xa5 */
	size_t out_cap;
	uint64_t sequence; /* counts completions over all queues, from 1: who came first */
	struct fake_request_parts *parts; /* private */
};

/*
 * Send @in_len bytes with room for @out_cap bytes of answer, and wait for the answer, copied into @out (all
 * @out_cap bytes). @used_len may be NULL. Returns 0, -EPIPE if the device needs a reset, or -ETIMEDOUT after 60 s (and
 * the device was reset, to get the memory back).
 */
int fake_guest_request(struct fake_guest *g, unsigned queue, const void *in, size_t in_len, void *out, size_t out_cap,
		       uint32_t *used_len);

/* The same in steps. add puts the request on the ring, kick tells the device. */
struct fake_request *fake_guest_add(struct fake_guest *g, unsigned queue, const void *in, size_t in_len,
				    size_t out_cap);
/* True if there is room for one more request as the split settings will make it. */
bool fake_guest_has_room(struct fake_guest *g, unsigned queue, size_t in_len, size_t out_cap);
void fake_guest_kick(struct fake_guest *g, unsigned queue);
/* 0, -ETIMEDOUT or -EPIPE. */
int fake_guest_wait(struct fake_guest *g, struct fake_request *r, int timeout_ms);
/* One that is not done yet must be lost first (reset). What is not freed goes with the guest. */
void fake_guest_free_request(struct fake_guest *g, struct fake_request *r);

/*
 * Let the loop run until @done(@arg) (NULL: never) or for @timeout_ms, if that is more than 0 a few turns at least. True if
 * @done was.
 */
bool fake_guest_run_until(struct fake_guest *g, bool (*done)(void *arg), void *arg, int timeout_ms);
/* Take in what the device has used on @queue, interrupted or not. Returns how many requests that were. */
unsigned fake_guest_poll(struct fake_guest *g, unsigned queue);

/*
 * How requests are cut into descriptors from now on. Readable and writable bytes are counted as one sequence, the
 * readable first. @at: a cut before byte @at (0: none). @piece: a cut every @piece bytes (0: none). Pieces never lie
 * next to each other in memory. Without cuts: one descriptor for each part.
 */
void fake_guest_set_split(struct fake_guest *g, size_t at, size_t piece);

/*
 * Call @request(@arg) once with the request uncut, once for each cut in @total bytes, and once in the smallest pieces
 * the ring takes. @total: the readable plus the writable length of the request that it makes.
 */
void fake_guest_split_each(struct fake_guest *g, unsigned queue, size_t total, void (*request)(void *arg), void *arg);

/* ---- what the transport saw ---- */

unsigned fake_guest_interrupts(struct fake_guest *g, unsigned queue);
unsigned fake_guest_config_changes(struct fake_guest *g);
/* And of how many steps of long works devices told. */
unsigned fake_guest_progress(struct fake_guest *g);
/* Kicks that reached the device, and those that the device had asked to leave out. */
unsigned fake_guest_kicks(struct fake_guest *g, unsigned queue);
unsigned fake_guest_kicks_saved(struct fake_guest *g, unsigned queue);
/* Ask the device for no interrupts (or for them again); use fake_guest_poll() then. */
void fake_guest_mask_interrupts(struct fake_guest *g, unsigned queue, bool masked);

/* Config space through the device, as a driver reads it. */
void fake_guest_read_config(struct fake_guest *g, uint32_t offset, void *buf, size_t n);

/* ---- a hostile driver: the rings themselves ---- */

struct fake_ring {
	uint16_t size;
	struct virtq_setup setup; /* as it was given to the device */
	uint8_t *desc;
	uint8_t *driver; /* split: available ring; packed: driver event suppression */
	uint8_t *device; /* split: used ring; packed: device event suppression */
};

/*
 * The ring of @queue of a started device. Write what you like, then fake_guest_force_kick(). Don't mix with the
 * honest calls on the same queue before the next fake_guest_start().
 */
const struct fake_ring *fake_guest_ring(struct fake_guest *g, unsigned queue);
void fake_guest_force_kick(struct fake_guest *g, unsigned queue);

/* Write descriptor @index; flags are VRING_DESC_F_*; @next is the next index, or a packed descriptor's id. For packed
 * rings the AVAIL and USED bits of the first lap are added. */
void fake_guest_put(struct fake_guest *g, unsigned queue, unsigned index, uint64_t gpa, uint32_t len, uint16_t flags,
		    uint16_t next);
/* Split: make @head available as the next entry. */
void fake_guest_publish(struct fake_guest *g, unsigned queue, uint16_t head);

#endif
