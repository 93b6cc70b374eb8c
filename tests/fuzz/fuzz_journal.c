// SPDX-License-Identifier: MIT
/*
 * The journal's memory as a taken-over process leaves it: it must open, what is found must lie in bounds, and it must
 * work as a journal afterwards, over several compactions.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/base/log.h"
#include "host/virtio/journal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/journal_open.h"

#define BYTES JOURNAL_MIN_BYTES
#define HEAD_BYTES 4096u
/* As much of the head, and of each half, as an input covers. */
#define HEAD_INPUT 32u
#define HALF_INPUT 1024u

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void use(struct journal *j)
{
	struct journal_key key, last = {0};
	unsigned sum = 0;
	const void *payload;
	size_t at = 0, bytes;
	uint64_t value;

	while (journal_next(j, &at, &key, &payload, &bytes)) {
		for (size_t i = 0; i < bytes; i++)
			sum += ((const uint8_t *)payload)[i];
		check(journal_has(j, &key));
		check(sum <= 255 * bytes);
		sum = 0;
		last = key;
	}
	if (last.type)
		journal_drop(j, &last);
	journal_commit(j, 1);
	check(!last.type || !journal_has(j, &last));
	key = (struct journal_key){.type = 1, .id = {77, 78, 79}};
	for (value = 0; value < 2000; value++) {
		if (journal_put(j, &key, &value, sizeof(value)) < 0)
			journal_clear(j);
		journal_commit(j, value);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *memory;
	static int fd;
	struct journal *j;
	const size_t half = (BYTES - HEAD_BYTES) / 2;
	size_t n;

	if (!memory) {
		fd = journal_memfd(BYTES);
		check(fd >= 0);
		memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		check(memory != MAP_FAILED);
		log_set_levels("error");
	}
	memset(memory, 0, BYTES);
	n = size < HEAD_INPUT ? size : HEAD_INPUT;
	memcpy(memory, data, n);
	for (unsigned which = 0; which < 2; which++) {
		data += n;
		size -= n;
		n = size < HALF_INPUT ? size : HALF_INPUT;
		memcpy(memory + HEAD_BYTES + which * half, data, n);
	}
	check(journal_open(fd, &j) == 0);
	use(j);
	journal_close(j);
	check(journal_open(fd, &j) == 0);
	check(journal_has(j, &(struct journal_key){.type = 1, .id = {77, 78, 79}}));
	journal_close(j);
	return 0;
}

/* A journal that an honest writer left, and one that was cleared. */
size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	int fd = journal_memfd(BYTES);
	uint8_t *memory;
	struct journal *j;

	if (index > 1 || cap < HEAD_INPUT + 2 * HALF_INPUT)
		return 0;
	check(fd >= 0 && journal_open(fd, &j) == 0);
	for (uint32_t i = 0; i < 8; i++) {
		const struct journal_key key = {.type = (uint16_t)(i % 3 + 1), .id = {i, i * i}};

		check(journal_put(j, &key, "some payload that is long enough", i * 4) == 0);
		if (i == 5)
			journal_drop(j, &key);
		if (i % 2)
			journal_commit(j, i);
	}
	if (index == 1)
		journal_clear(j);
	journal_close(j);
	memory = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
	check(memory != MAP_FAILED);
	memcpy(buf, memory, HEAD_INPUT);
	for (unsigned which = 0; which < 2; which++)
		memcpy(buf + HEAD_INPUT + which * HALF_INPUT, memory + HEAD_BYTES + which * ((BYTES - HEAD_BYTES) / 2),
		       HALF_INPUT);
	munmap(memory, BYTES);
	return HEAD_INPUT + 2 * HALF_INPUT;
}
