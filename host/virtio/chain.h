/* SPDX-License-Identifier: MIT */
/*
 * One request: a descriptor chain taken off a ring, as two cursors. The reader goes over what the driver wrote,
 * the writer over what the device may write (virtio 1.4, section 2.7.4: readable parts come first).
 *
 * The descriptors were read once and checked when the chain was popped; the bytes behind them are still the
 * guest's and may change at any moment. So: copy, check the copy, then act. No layout of a request is assumed;
 * a header may be split anywhere.
 *
 * Whoever pops a chain finishes it, once. Thread: the loop of the device, except reader and writer calls, which
 * any one thread at a time may make while the chain is unfinished.
 */
#ifndef MULLION_HOST_VIRTIO_CHAIN_H
#define MULLION_HOST_VIRTIO_CHAIN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define MUST_CHECK __attribute__((warn_unused_result))

struct chain;
struct reader;
struct writer;

struct reader *chain_reader(struct chain *c);
struct writer *chain_writer(struct chain *c);

/* Bytes between the cursor and the end; at most UINT32_MAX. */
size_t reader_left(const struct reader *r) MUST_CHECK;
size_t writer_left(const struct writer *w) MUST_CHECK;

/* Copy all @n bytes and move the cursor, or move nothing: -ENODATA (reader), -ENOSPC (writer). */
int reader_copy(struct reader *r, void *dst, size_t n) MUST_CHECK;
int writer_copy(struct writer *w, const void *src, size_t n) MUST_CHECK;
int reader_skip(struct reader *r, size_t n) MUST_CHECK;

/*
 * The next @n bytes as ranges of guest memory, for bulk data that is not parsed (a disk block, pixels); moves the
 * cursor. Returns how many of @v were filled, -ENODATA or -ENOSPC as above, -E2BIG if @cap are too few (nothing
 * moved). Ranges got from a writer count as written.
 */
int reader_iov(struct reader *r, size_t n, struct iovec *v, int cap) MUST_CHECK;
int writer_iov(struct writer *w, size_t n, struct iovec *v, int cap) MUST_CHECK;

#define read_obj(r, p) reader_copy((r), (p), sizeof(*(p)))
#define write_obj(w, p) writer_copy((w), (p), sizeof(*(p)))

/* Bytes written so far: what chain_finish() reports as the used length. */
uint32_t chain_written(const struct chain *c);

/*
 * Give the chain back to the driver (used length = bytes written), with an interrupt if the driver wants one.
 * After a reset of the queue it only frees. The chain is gone afterwards.
 */
void chain_finish(struct chain *c);

/*
 * Say how many bytes were really written, at most what the ranges got so far hold: for a range that was handed out
 * whole and filled in part (a received packet). Does not move the cursor.
 */
void chain_set_written(struct chain *c, uint32_t n);

/*
 * Finish @n chains of one queue so that the driver sees all of them or none, in this order, with one interrupt
 * (a packet spread over merged receive buffers, section 5.1.6.4). @n is not 0; no reset lies between their pops.
 */
void chain_finish_all(struct chain *const *c, unsigned n);

/*
 * How far a request got, for devices whose queues are tracked (virtq_track()): a process that takes over gets the
 * requests of the one before it first, in their order, with the stage that each had reached. Without tracking all are
 * taken, and setting a stage does nothing.
 */
enum chain_stage {
	CHAIN_TAKEN,     /* nothing was done */
	CHAIN_EXECUTING, /* what was done of it is not known: it is not to be done again */
	CHAIN_APPLIED,   /* done, and what the writer got is the answer: it only waits to be finished */
};
enum chain_stage chain_stage(const struct chain *c);
/* Going on from stage to stage, no further than CHAIN_APPLIED, after which nothing more is written. */
void chain_set_stage(struct chain *c, enum chain_stage stage);
/*
 * Between the stages: the answer is in guest memory, and the change that goes with it is about to be committed
 * somewhere else. A process that takes over then finds the request CHAIN_EXECUTING, looks there, and if the change is
 * there says chain_was_applied(): the request is CHAIN_APPLIED.
 */
void chain_keep_answer(struct chain *c);
void chain_was_applied(struct chain *c);
/* A number that no other request of the device has; 0 without tracking. */
uint64_t chain_tag(const struct chain *c);

/* A device's own word on a chain that it keeps pending; NULL after virtq_pop(). */
void chain_set_owner(struct chain *c, void *owner);
void *chain_owner(const struct chain *c);

#endif
