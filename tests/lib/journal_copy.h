/* SPDX-License-Identifier: MIT */
/*
 * The records of a journal, kept to be changed and written again: who wrote a journal may have been the guest. For cmocka
 * tests; calls assert that they succeed.
 */
#ifndef MULLION_TESTS_LIB_JOURNAL_COPY_H
#define MULLION_TESTS_LIB_JOURNAL_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/virtio/journal.h"

enum { JOURNAL_COPY_RECORDS = 128 };

/* Zeroed: empty. */
struct journal_copy {
	unsigned count;
	struct journal_copy_record {
		struct journal_key key;
		size_t bytes;
		uint8_t *payload;
	} records[JOURNAL_COPY_RECORDS];
};

/* What is in the journal @fd, in the place of what @c had. */
void journal_copy_keep(struct journal_copy *c, int fd);
/* As much of it as a new journal of @bytes takes. Returns its descriptor, the caller's. */
int journal_copy_write(const struct journal_copy *c, size_t bytes);
/* One to four changes: a length and a key each once in @rarity times, else a byte. */
void journal_copy_damage(struct journal_copy *c, unsigned *seed, unsigned rarity);

/*
 * Tear the journal @fd of @bytes, as if its last writes had not got there: only the first @cut bytes of its records count. Or,
 * if @rubbish, 8 bytes there are rubbish, in the midst of the rest. Returns how many counted before, a multiple of 8.
 */
uint64_t journal_copy_tear(int fd, size_t bytes, uint64_t cut, bool rubbish);

#endif
