/* SPDX-License-Identifier: MIT */
/*
 * What a guest has told a device, kept in memory that outlives the device's process: a bounded table of records by
 * key in a memfd. A process that takes over after a death opens the same memfd, goes through the live records
 * and builds the device again.
 *
 *	journal_put(j, &key, &record, sizeof(record));
 *	journal_drop(j, &other_key);
 *	journal_commit(j, tag);		both changes are there from now on, or neither
 *
 * It is written as a log in one of two halves. A record is a header, the payload and padding to 8 bytes; a commit is
 * a trailer with the tag of the request that made the change, and then one release-store of the half's length.
 * Nothing behind the length is ever read, so a process may die at any instruction. When a half is full, the live
 * records are copied to the other half, its length is stored, and one release-store makes it the active one.
 *
 * A taken-over process may have written anything into the memory, so journal_load() trusts none of it: it takes a
 * copy, checks that, and writes the memory anew from what was good. Later nothing is read back but payloads, by lengths
 * that the process keeps to itself.
 *
 * Thread: any one at a time per journal; one process at a time per memfd.
 */
#ifndef MULLION_HOST_VIRTIO_JOURNAL_H
#define MULLION_HOST_VIRTIO_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))

struct journal;

/*
 * The size of the memfd. Live records may fill 3/8 of it: 3/4 of a half. The rest is for changes: until a change is
 * committed, what it takes the place of has to be there as well.
 */
#define JOURNAL_MIN_BYTES (64u << 10)
#define JOURNAL_MAX_BYTES (1u << 30)

/* What a record is about. Types are the owner's, from 1 to JOURNAL_MAX_TYPE; words it doesn't need are 0. */
struct journal_key {
	uint16_t type;
	uint32_t id[3];
};

#define JOURNAL_MAX_TYPE 0x7fffu

/* A new memfd of @bytes, sealed against shrinking, growing and further seals. Returns it or a negative errno. */
int journal_memfd(size_t bytes) MUST_CHECK;

/*
 * For what is in @fd, which stays the caller's. It reads and writes nothing there, where another process may still write;
 * until journal_load() nothing else may be done with it but to close it. Returns 0, -EINVAL (no memory file of a size that
 * is possible), -ENOMEM or the errno of mmap().
 */
int journal_map(int fd, struct journal **out) MUST_CHECK;
/*
 * Read what is there, or start empty when it is zeroed. What is damaged is left out: a transaction that is not whole and
 * everything behind it; one log line says so. Returns 0, also when it is loaded already, or -ENOMEM.
 */
int journal_load(struct journal *j) MUST_CHECK;
/* The records stay in the memfd. NULL is fine. */
void journal_close(struct journal *j);

/* ---- changes: seen by the next journal_load() once committed ---- */

/*
 * Set the record of @key. Returns 0, -ENOSPC when the live records don't fit, as they will be after the commit, or the
 * changes of one transaction are more than there is room for, a quarter of a half at least (nothing is changed; the old
 * record is still there), -ENOMEM.
 */
int journal_put(struct journal *j, const struct journal_key *key, const void *payload, size_t bytes) MUST_CHECK;
/* As one payload. */
int journal_put2(struct journal *j, const struct journal_key *key, const void *first, size_t first_bytes,
		 const void *second, size_t second_bytes) MUST_CHECK;

/*
 * Take the record of @key out, if there is one. There is always room for a drop, but for transactions that change
 * more than a quarter of a half: then what was changed so far is committed, without a tag.
 */
void journal_drop(struct journal *j, const struct journal_key *key);
/*
 * All records of types @first to @last whose first @words (0 to 3) ids are those of @ids. As journal_drop(), but it looks
 * at every record there is: not for each request.
 */
void journal_drop_all(struct journal *j, uint16_t first, uint16_t last, const uint32_t *ids, unsigned words);

/*
 * Commit what was changed since the last commit. @tag is the owner's name for the cause, 0 for none. A few
 * nanoseconds when nothing was changed.
 */
void journal_commit(struct journal *j, uint64_t tag);

/* Take all records out, in one step. What was not committed goes as well; the last tag stays. */
void journal_clear(struct journal *j);

/* ---- what is there ---- */

/* The last tag that was committed and was not 0; 0: none. */
uint64_t journal_last_tag(const struct journal *j);

/* Is @key's record there, committed? */
bool journal_has(const struct journal *j, const struct journal_key *key);

/*
 * The last record of @key, committed or not, or NULL. It lies in the memfd until the next call that changes something; a put
 * may be given it. What is not committed is looked for one by one: commit often.
 */
const void *journal_get(const struct journal *j, const struct journal_key *key, size_t *bytes);
/* How many changes are not committed. */
unsigned journal_pending(const struct journal *j);

/*
 * The records as journal_load() found them, in the order of their last put: start with *at = 0. Returns false after
 * the last. @payload is 8-byte aligned, in memory of this process, until journal_restored(). Changes made meanwhile don't show here.
 */
bool journal_next(const struct journal *j, size_t *at, struct journal_key *key, const void **payload, size_t *bytes);
/* Forget that copy: journal_next() gives nothing any more. */
void journal_restored(struct journal *j);

struct journal_stats {
	size_t records, live_bytes, limit_bytes; /* committed; live_bytes never exceeds limit_bytes */
	uint64_t compactions;
};
void journal_get_stats(const struct journal *j, struct journal_stats *out);

#endif
