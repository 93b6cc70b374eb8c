// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/virtio/journal.h"
#include "tests/lib/journal_open.h"

#define BYTES JOURNAL_MIN_BYTES
#define HEAD_BYTES 4096u
#define HALF_BYTES ((BYTES - HEAD_BYTES) / 2)

/* Where the head has the active half and the two lengths. */
#define ACTIVE_AT 8u
#define LENGTH_AT(half) (16u + 8u * (half))

struct world {
	int fd;
	uint8_t *memory;
};

static int setup(void **state)
{
	static struct world w;

	w.fd = journal_memfd(BYTES);
	assert_true(w.fd >= 0);
	w.memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, w.fd, 0);
	assert_ptr_not_equal(w.memory, MAP_FAILED);
	log_set_levels("error");
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	munmap(w->memory, BYTES);
	close(w->fd);
	return 0;
}

static struct journal *open_it(struct world *w)
{
	struct journal *j;

	assert_int_equal(journal_open(w->fd, &j), 0);
	return j;
}

static struct journal_key key(uint32_t a)
{
	return (struct journal_key){.type = 1, .id = {a, 2, 3}};
}

static void put(struct journal *j, uint32_t a, const char *text)
{
	const struct journal_key k = key(a);

	assert_int_equal(journal_put(j, &k, text, strlen(text) + 1), 0);
}

static void drop(struct journal *j, uint32_t a)
{
	const struct journal_key k = key(a);

	journal_drop(j, &k);
}

/* "1=one 2=two", as a new process finds it. */
static const char *found(struct world *w, uint64_t *tag)
{
	static char text[4096];
	struct journal *j = open_it(w);
	const void *payload;
	size_t at = 0, used = 0, bytes;
	struct journal_key k;

	text[0] = '\0';
	while (journal_next(j, &at, &k, &payload, &bytes)) {
		assert_int_equal(k.type, 1);
		assert_int_equal((uintptr_t)payload % 8, 0);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u=%.*s", used ? " " : "", k.id[0],
					 (int)bytes, (const char *)payload);
	}
	if (tag)
		*tag = journal_last_tag(j);
	journal_close(j);
	return text;
}

static void only_what_was_committed_is_found(void **state)
{
	struct world *w = *state;
	struct journal *j = open_it(w);
	uint64_t tag;

	assert_string_equal(found(w, &tag), "");
	assert_int_equal(tag, 0);
	journal_close(j);

	j = open_it(w);
	put(j, 1, "one");
	put(j, 2, "two");
	journal_commit(j, 77);
	put(j, 3, "three");
	drop(j, 1);
	journal_close(j);
	assert_string_equal(found(w, &tag), "1=one 2=two");
	assert_int_equal(tag, 77);
	assert_string_equal(found(w, &tag), "1=one 2=two");
	assert_int_equal(tag, 77);
}

static void records_come_in_the_order_of_their_last_put(void **state)
{
	struct world *w = *state;
	struct journal *j = open_it(w);

	put(j, 1, "a");
	put(j, 2, "b");
	journal_commit(j, 0);
	put(j, 3, "c");
	put(j, 1, "d");
	drop(j, 4);
	journal_commit(j, 0);
	journal_close(j);
	assert_string_equal(found(w, NULL), "2=b 3=c 1=d");
	j = open_it(w);
	drop(j, 3);
	put(j, 2, "e");
	put(j, 2, "f");
	put(j, 9, "g");
	drop(j, 9);
	journal_commit(j, 0);
	journal_close(j);
	assert_string_equal(found(w, NULL), "1=d 2=f");
}

static void tag_is_the_last_one_given(void **state)
{
	struct world *w = *state;
	struct journal *j = open_it(w);
	uint64_t tag;

	put(j, 1, "a");
	journal_commit(j, 5);
	put(j, 2, "b");
	journal_commit(j, 0);
	journal_close(j);
	found(w, &tag);
	assert_int_equal(tag, 5);
	j = open_it(w);
	journal_commit(j, 6); /* nothing changed: the tag alone */
	journal_close(j);
	assert_string_equal(found(w, &tag), "1=a 2=b");
	assert_int_equal(tag, 6);
}

static void records_of_a_kind_go_together(void **state)
{
	const uint32_t two = 2;
	struct world *w = *state;
	struct journal *j = open_it(w);

	for (uint32_t type = 1; type <= 2; type++) {
		for (uint32_t a = 1; a <= 3; a++) {
			for (uint32_t b = 1; b <= 3; b++) {
				const struct journal_key k = {.type = (uint16_t)type, .id = {a, b}};

				assert_int_equal(journal_put(j, &k, "x", 1), 0);
				if (b == 2)
					journal_commit(j, 0); /* the third of each is pending when they are dropped */
			}
		}
	}
	journal_drop_all(j, 2, 2, &two, 1);
	for (uint32_t b = 1; b <= 3; b++)
		assert_true(journal_has(j, &(struct journal_key){.type = 2, .id = {1, b}}));
	journal_commit(j, 0);
	for (uint32_t a = 1; a <= 3; a++)
		for (uint32_t b = 1; b <= 3; b++) {
			assert_int_equal(journal_has(j, &(struct journal_key){.type = 2, .id = {a, b}}), a != 2);
			assert_true(journal_has(j, &(struct journal_key){.type = 1, .id = {a, b}}));
		}
	journal_drop_all(j, 1, 2, NULL, 0);
	journal_commit(j, 0);
	journal_close(j);
	assert_string_equal(found(w, NULL), "");
}

static void clear_takes_everything_but_the_tag(void **state)
{
	struct world *w = *state;
	struct journal *j = open_it(w);
	uint64_t tag;

	put(j, 1, "a");
	journal_commit(j, 5);
	put(j, 2, "b");
	journal_clear(j);
	put(j, 3, "c");
	journal_commit(j, 0);
	journal_close(j);
	assert_string_equal(found(w, &tag), "3=c");
	assert_int_equal(tag, 5);
}

/* Transactions 1..8 as "1=v1 ..": what a reader may find is the state after a whole number of them. */
static void transactions(struct journal *j)
{
	for (uint32_t i = 1; i <= 8; i++) {
		char text[24];

		snprintf(text, sizeof(text), "v%u%.*s", i, (int)i, "........");
		put(j, i, text);
		put(j, 100, text);
		drop(j, i - 4);
		journal_commit(j, i);
	}
	journal_close(j);
}

static void cut_anywhere_whole_transactions_are_left(void **state)
{
	struct world *w = *state;
	uint8_t *image = malloc(BYTES);
	uint64_t length, tag, last = 0;
	char states[9][256] = {""};
	uint32_t active;

	assert_non_null(image);
	transactions(open_it(w));
	memcpy(image, w->memory, BYTES);
	memcpy(&active, image + ACTIVE_AT, sizeof(active));
	memcpy(&length, image + LENGTH_AT(active), sizeof(length));
	for (uint64_t cut = 0; cut <= length; cut++) {
		const char *text;

		memcpy(w->memory, image, BYTES);
		memcpy(w->memory + LENGTH_AT(active), &cut, sizeof(cut));
		text = found(w, &tag);
		/* A length that was never stored: nothing is believed. */
		if (cut % 8 != 0) {
			assert_string_equal(text, "");
			continue;
		}
		assert_true(tag == last || tag == last + 1);
		last = tag;
		if (states[tag][0] == '\0')
			snprintf(states[tag], sizeof(states[tag]), "%s", text);
		assert_string_equal(text, states[tag]);
	}
	assert_int_equal(last, 8);
	assert_string_equal(states[2], "1=v1. 2=v2.. 100=v2..");
	assert_string_equal(states[8], "5=v5..... 6=v6...... 7=v7....... 8=v8........ 100=v8........");
	free(image);
}

static void any_byte_may_be_wrong(void **state)
{
	static const uint8_t patterns[] = {0x01, 0x80, 0xff, 0x08};
	struct world *w = *state;
	uint8_t *image = malloc(BYTES);
	uint64_t length;
	uint32_t active;

	assert_non_null(image);
	transactions(open_it(w));
	memcpy(image, w->memory, BYTES);
	memcpy(&active, image + ACTIVE_AT, sizeof(active));
	memcpy(&length, image + LENGTH_AT(active), sizeof(length));
	for (size_t at = 0; at < 64 + length; at++) {
		const size_t where = at < 64 ? at : HEAD_BYTES + (size_t)active * HALF_BYTES + at - 64;

		for (unsigned p = 0; p < sizeof(patterns); p++) {
			struct journal *j;

			memcpy(w->memory, image, BYTES);
			w->memory[where] ^= patterns[p];
			/* Whatever is found, it can be written to and is found again. */
			j = open_it(w);
			journal_drop_all(j, 1, 1, NULL, 0);
			put(j, 1000, "after");
			journal_commit(j, 0);
			assert_true(journal_has(j, &(struct journal_key){.type = 1, .id = {1000, 2, 3}}));
			journal_close(j);
			j = open_it(w);
			assert_true(journal_has(j, &(struct journal_key){.type = 1, .id = {1000, 2, 3}}));
			journal_close(j);
		}
	}
	free(image);
}

static void sizes_that_wrap_end_the_journal(void **state)
{
	static const uint32_t sizes[] = {0xffffffff, 0xfffffff8, 0xffffffe8, 0xffffffe0, 0x80000000, HALF_BYTES};
	struct world *w = *state;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t active;

		memset(w->memory, 0, BYTES);
		transactions(open_it(w));
		memcpy(&active, w->memory + ACTIVE_AT, sizeof(active));
		/* Of the first record behind the trailer that an empty journal starts with. */
		memcpy(w->memory + HEAD_BYTES + (size_t)active * HALF_BYTES + 32 + 4, &sizes[i], sizeof(sizes[i]));
		assert_string_equal(found(w, NULL), "");
	}
}

static void compaction_may_stop_anywhere(void **state)
{
	struct world *w = *state;
	struct journal *j = open_it(w);
	uint8_t *before = malloc(BYTES), *after = malloc(BYTES);
	char text[2][4096];
	struct journal_stats stats;
	uint32_t old;
	size_t other;

	assert_true(before && after);
	do {
		memcpy(before, w->memory, BYTES);
		put(j, 1, "some text that is written again and again");
		put(j, 2, "more");
		journal_get_stats(j, &stats);
	} while (stats.compactions == 0 ? (journal_commit(j, 3), true) : false);
	memcpy(after, w->memory, BYTES);
	journal_close(j);
	memcpy(w->memory, before, BYTES);
	snprintf(text[0], sizeof(text[0]), "%s", found(w, NULL));
	memcpy(&old, before + ACTIVE_AT, sizeof(old));
	assert_memory_not_equal(after + ACTIVE_AT, &old, sizeof(old));
	other = HEAD_BYTES + (size_t)!old * HALF_BYTES;
	/* So many bytes of the other half are written, then its length, then the flip. */
	for (size_t n = 0; n <= 256 + 2; n++) {
		memcpy(w->memory, before, BYTES);
		memcpy(w->memory + other, after + other, n < 256 ? n : HALF_BYTES);
		if (n > 256)
			memcpy(w->memory + LENGTH_AT(!old), after + LENGTH_AT(!old), 8);
		if (n > 257)
			memcpy(w->memory + ACTIVE_AT, after + ACTIVE_AT, 4);
		snprintf(text[1], sizeof(text[1]), "%s", found(w, NULL));
		assert_string_equal(text[0], text[1]);
	}
	free(before);
	free(after);
}

static void full_journal_keeps_what_it_has(void **state)
{
	struct world *w = *state;
	struct journal *j = open_it(w);
	uint8_t block[1000] = {0};
	struct journal_stats stats;
	struct journal_key k;
	uint32_t n = 0, left = 0;
	const void *payload;
	size_t at = 0, bytes;
	int err;

	for (;; n++) {
		k = key(n);
		memset(block, (int)n, sizeof(block));
		err = journal_put(j, &k, block, sizeof(block));
		if (err < 0)
			break;
		journal_commit(j, n);
	}
	assert_int_equal(err, -ENOSPC);
	journal_get_stats(j, &stats);
	assert_true(stats.live_bytes <= stats.limit_bytes && stats.live_bytes + 1100 > stats.limit_bytes);
	k = key(0);
	assert_int_equal(journal_put(j, &k, block, HALF_BYTES), -ENOSPC);
	assert_int_equal(journal_put(j, &k, block, SIZE_MAX), -ENOSPC);
	/* Smaller ones still fit where one was dropped. */
	drop(j, 0);
	journal_commit(j, 0);
	put(j, 5000, "small");
	journal_commit(j, 0);
	/* Over and over, so that both halves are used again. */
	for (unsigned i = 0; i < 3000; i++) {
		put(j, 5000, "small");
		journal_commit(j, i);
	}
	journal_close(j);
	j = open_it(w);
	while (journal_next(j, &at, &k, &payload, &bytes)) {
		if (k.id[0] == 5000)
			continue;
		assert_int_equal(bytes, sizeof(block));
		memset(block, (int)k.id[0], sizeof(block));
		assert_memory_equal(payload, block, sizeof(block));
		left++;
	}
	assert_int_equal(left, n - 1);
	journal_close(j);
}

/* Puts blocks of 1000 bytes until there is no room for one. Returns how many they are. */
static uint32_t fill_up(struct journal *j)
{
	const uint8_t block[1000] = {0};
	uint32_t n = 0;

	for (struct journal_key k = key(0); journal_put(j, &k, block, sizeof(block)) == 0; k = key(++n))
		journal_commit(j, 0);
	return n;
}

/* What there will be is what has to fit, not that and what it takes the place of. */
static void full_journal_takes_a_record_in_the_place_of_another(void **state)
{
	struct world *w = *state;
	struct journal *j = open_it(w);
	uint8_t block[HALF_BYTES] = {0};
	const uint32_t count = fill_up(j);
	struct journal_stats full, stats;
	struct journal_key k = key(3);
	size_t bytes;

	journal_get_stats(j, &full);
	/* As large, over compactions; smaller, and as large as before; and more than once in one step. */
	for (unsigned i = 0; i < 300; i++) {
		memset(block, (int)i, sizeof(block));
		assert_int_equal(journal_put(j, &k, block, 1000), 0);
		if (i % 3 == 1)
			assert_int_equal(journal_put(j, &k, block, 500), 0);
		if (i % 3)
			assert_int_equal(journal_put(j, &k, block, 1000), 0);
		journal_commit(j, i);
		assert_memory_equal(journal_get(j, &k, &bytes), block, 1000);
		journal_get_stats(j, &stats);
		assert_int_equal(stats.live_bytes, full.live_bytes);
	}
	/* Another is taken out in the same step. */
	drop(j, 4);
	k = key(count);
	assert_int_equal(journal_put(j, &k, block, 1000), 0);
	/* Once: the room of that one is used up, and this one is there no more. */
	k = key(count + 1);
	assert_int_equal(journal_put(j, &k, block, 1000), -ENOSPC);
	k = key(4);
	assert_int_equal(journal_put(j, &k, block, 1000), -ENOSPC);
	journal_commit(j, 0);
	journal_get_stats(j, &stats);
	assert_int_equal(stats.live_bytes, full.live_bytes);
	/* Larger by more than is left, or too large to be there beside the old one. */
	k = key(3);
	assert_int_equal(journal_put(j, &k, block, 1000 + full.limit_bytes - full.live_bytes + 8), -ENOSPC);
	assert_int_equal(journal_put(j, &k, block, HALF_BYTES / 2), -ENOSPC);
	assert_memory_equal(journal_get(j, &k, &bytes), block, 1000);
	/* A process that dies before the commit leaves the old ones. */
	memset(block, 0xee, sizeof(block));
	assert_int_equal(journal_put(j, &k, block, 1000), 0);
	journal_close(j);
	j = open_it(w);
	assert_int_equal(((const uint8_t *)journal_get(j, &k, &bytes))[0], 299 & 0xff);
	journal_get_stats(j, &stats);
	assert_int_equal(stats.live_bytes, full.live_bytes);
	journal_close(j);
}

/* Whatever is put and dropped in whatever steps, what counts as live is what is there. */
static void what_is_counted_is_what_is_there(void **state)
{
	enum { KEYS = 60, MOST = 2000 };
	struct world *w = *state;
	struct journal *j = open_it(w);
	uint8_t block[MOST] = {0};
	size_t live[KEYS] = {0}, next[KEYS] = {0}, refused = 0;
	struct journal_stats stats;

	srand(7);
	for (unsigned i = 0; i < 20000; i++) {
		const unsigned a = (unsigned)rand() % KEYS, bytes = (unsigned)rand() % MOST;
		const struct journal_key k = key(a);
		size_t sum = 0;

		if (rand() % 8 == 0) {
			drop(j, a);
			next[a] = 0;
		} else if (journal_put(j, &k, block, bytes) == 0) {
			next[a] = 24 + (bytes + 7) / 8 * 8;
		} else {
			refused++;
		}
		if (rand() % 3)
			continue;
		journal_commit(j, i);
		memcpy(live, next, sizeof(live));
		for (unsigned n = 0; n < KEYS; n++)
			sum += live[n];
		if (rand() % 50 == 0) {
			journal_close(j);
			j = open_it(w);
			journal_restored(j);
		}
		journal_get_stats(j, &stats);
		assert_int_equal(stats.live_bytes, sum);
		assert_true(sum <= stats.limit_bytes);
	}
	assert_true(refused > 100);
	journal_close(j);
}

static void there_is_always_room_to_drop(void **state)
{
	struct world *w = *state;
	struct journal *j = open_it(w);
	struct journal_stats stats;
	uint32_t n = 0;

	for (;; n++) {
		const struct journal_key k = key(n);

		if (journal_put(j, &k, NULL, 0) < 0)
			break;
		if (n % 7 == 0)
			journal_commit(j, 0);
	}
	journal_commit(j, 0);
	assert_true(n > 500);
	/* Drops as large as the records: more than the rest of the half. */
	for (uint32_t i = 0; i < n; i++)
		drop(j, i);
	journal_commit(j, 9);
	journal_get_stats(j, &stats);
	assert_int_equal(stats.records, 0);
	journal_close(j);
	assert_string_equal(found(w, NULL), "");
}

/* Against a plain array, with a new process now and then. */
static void random_changes_are_found(void **state)
{
	enum { KEYS = 40 };
	struct world *w = *state;
	struct journal *j = open_it(w);
	uint32_t committed[KEYS] = {0}, now[KEYS] = {0}, seen[KEYS];
	uint64_t random = 1;

	for (unsigned i = 0; i < 60000; i++) {
		uint32_t r, n, payload[64];

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		r = (uint32_t)(random >> 33);
		n = (r >> 8) % KEYS;
		if (r % 16 < 9) {
			const struct journal_key k = key(n);

			for (unsigned word = 0; word < 64; word++)
				payload[word] = i + 1;
			assert_int_equal(journal_put(j, &k, payload, 4 + (r >> 20) % 60 * 4), 0);
			now[n] = i + 1;
		} else if (r % 16 < 12) {
			drop(j, n);
			now[n] = 0;
		} else if (r % 16 < 15 || r % 512 != 511) {
			journal_commit(j, i);
			memcpy(committed, now, sizeof(now));
		} else {
			struct journal_key k;
			const void *found_payload;
			size_t at = 0, bytes;

			journal_close(j);
			j = open_it(w);
			memset(seen, 0, sizeof(seen));
			while (journal_next(j, &at, &k, &found_payload, &bytes)) {
				memcpy(payload, found_payload, bytes);
				for (size_t word = 0; word < bytes / 4; word++)
					assert_int_equal(payload[word], payload[0]);
				assert_true(k.id[0] < KEYS);
				seen[k.id[0]] = payload[0];
			}
			assert_memory_equal(seen, committed, sizeof(seen));
			memcpy(now, committed, sizeof(now));
			journal_restored(j);
		}
	}
	journal_close(j);
}

/* Two records that are always equal, and the tag with them. */
static void killed_writer_leaves_whole_transactions(void **state)
{
	struct world *w = *state;
	uint64_t last = 0;

	for (unsigned round = 0; round < 20; round++) {
		uint64_t values[2] = {0}, tag;
		const void *payload;
		struct journal_key k;
		size_t at = 0, bytes;
		struct journal *j;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			j = open_it(w);
			for (uint64_t i = last + 1;; i++) {
				for (uint32_t n = 0; n < 2; n++) {
					k = key(n);
					if (journal_put(j, &k, &i, sizeof(i)) < 0)
						_exit(1);
				}
				journal_commit(j, i);
			}
		}
		usleep(1000 + round * 371);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		j = open_it(w);
		while (journal_next(j, &at, &k, &payload, &bytes)) {
			assert_int_equal(bytes, 8);
			memcpy(&values[k.id[0]], payload, 8);
		}
		tag = journal_last_tag(j);
		journal_close(j);
		assert_int_equal(values[0], values[1]);
		assert_int_equal(values[0], tag);
		assert_true(tag >= last);
		last = tag;
	}
	assert_true(last > 0);
}

static void file_that_is_no_journal_is_refused(void **state)
{
	struct journal *j;
	int fd = memfd_create("short", MFD_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(journal_open(fd, &j), -EINVAL);
	assert_int_equal(ftruncate(fd, JOURNAL_MIN_BYTES), 0);
	assert_int_equal(journal_open(fd, &j), 0);
	journal_close(j);
	close(fd);
	assert_int_equal(journal_open(fd, &j), -EBADF);
	journal_close(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(only_what_was_committed_is_found),
		CASE(records_come_in_the_order_of_their_last_put),
		CASE(tag_is_the_last_one_given),
		CASE(records_of_a_kind_go_together),
		CASE(clear_takes_everything_but_the_tag),
		CASE(cut_anywhere_whole_transactions_are_left),
		CASE(any_byte_may_be_wrong),
		CASE(sizes_that_wrap_end_the_journal),
		CASE(compaction_may_stop_anywhere),
		CASE(full_journal_keeps_what_it_has),
		CASE(full_journal_takes_a_record_in_the_place_of_another),
		CASE(what_is_counted_is_what_is_there),
		CASE(there_is_always_room_to_drop),
		CASE(random_changes_are_found),
		CASE(killed_writer_leaves_whole_transactions),
		CASE(file_that_is_no_journal_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
