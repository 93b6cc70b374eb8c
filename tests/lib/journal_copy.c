// SPDX-License-Identifier: MIT
#include "tests/lib/journal_copy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/lib/journal_open.h"

void journal_copy_keep(struct journal_copy *c, int fd)
{
	struct journal *j;
	struct journal_key key;
	const void *payload;
	size_t at = 0, bytes;

	for (unsigned i = 0; i < c->count; i++)
		free(c->records[i].payload);
	c->count = 0;
	assert_int_equal(journal_open(fd, &j), 0);
	while (journal_next(j, &at, &key, &payload, &bytes)) {
		struct journal_copy_record *r = &c->records[c->count];

		assert_true(c->count < JOURNAL_COPY_RECORDS);
		*r = (struct journal_copy_record){.key = key, .bytes = bytes, .payload = malloc(bytes + 1)};
		assert_non_null(r->payload);
		memcpy(r->payload, payload, bytes);
		c->count++;
	}
	journal_close(j);
}

int journal_copy_write(const struct journal_copy *c, size_t bytes)
{
	int fd = journal_memfd(bytes);
	struct journal *j;

	assert_true(fd >= 0);
	assert_int_equal(journal_open(fd, &j), 0);
	for (unsigned i = 0; i < c->count; i++) {
		if (journal_put(j, &c->records[i].key, c->records[i].payload, c->records[i].bytes))
			continue;
	}
	journal_commit(j, 0);
	journal_close(j);
	return fd;
}

void journal_copy_damage(struct journal_copy *c, unsigned *seed, unsigned rarity)
{
	for (unsigned n = 1 + (unsigned)rand_r(seed) % 4; n > 0; n--) {
		struct journal_copy_record *r = &c->records[(unsigned)rand_r(seed) % c->count];

		switch ((unsigned)rand_r(seed) % rarity) {
		case 0:
			r->bytes = r->bytes ? (unsigned)rand_r(seed) % r->bytes : 0;
			break;
		case 1:
			r->key.id[rand_r(seed) % 3] ^= 1u << rand_r(seed) % 32;
			break;
		default:
			if (r->bytes)
				r->payload[(unsigned)rand_r(seed) % r->bytes] ^= (uint8_t)(1u << rand_r(seed) % 8);
			break;
		}
	}
}

/* See the layout in host/virtio/journal.c. */
uint64_t journal_copy_tear(int fd, size_t bytes, uint64_t cut, bool rubbish)
{
	const size_t head_bytes = 4096;
	uint8_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint64_t whole, *committed;
	uint32_t active;

	assert_ptr_not_equal(at, MAP_FAILED);
	memcpy(&active, at + 8, sizeof(active));
	committed = (uint64_t *)(void *)(at + 16) + (active & 1);
	whole = *committed;
	assert_true(whole > 0 && whole < bytes / 2 && whole % 8 == 0);
	if (cut < whole && rubbish)
		memset(at + head_bytes + (active & 1) * ((bytes - head_bytes) / 2) + cut, 0xee, 8);
	else if (cut < whole)
		*committed = cut;
	munmap(at, bytes);
	return whole;
}
