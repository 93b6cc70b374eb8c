/* SPDX-License-Identifier: MIT */
/*
 * What a fuzz target defines and tests/fuzz/driver.c runs. Add the driver to its sources:
 *
 *	fuzz-targets += fuzz_x
 *	fuzz_x-src := tests/fuzz/driver.c
 *
 * The program then mutates its seeds: without arguments a fixed number of inputs from a fixed random seed (in
 * `make check`), for FUZZ_SECONDS from a new one (`make fuzz`), or the files that are its arguments, once each.
 * FUZZ_SEED and FUZZ_RUNS set the random seed and the number of inputs. An input that crashes, or takes 30 s, is kept
 * in a file that is named in the last line. With clang's -fsanitize=fuzzer leave the driver out.
 */
#ifndef MULLION_TESTS_FUZZ_FUZZ_H
#define MULLION_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Feed @data to the code under test. Returns 0. Must not exit, leak or keep anything. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Optional: an input to start from. Write seed number @index into @buf; returns its length, 0 when there are no more.
 */
size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap) __attribute__((weak));

/* Optional: inputs of a run in `make check`; it should take 5 s at most. Default 20000. */
extern const unsigned fuzz_runs __attribute__((weak));

/* Read the input piece by piece, zeros after its end. */
struct fuzz_input {
	const uint8_t *data;
	size_t left;
};

static inline void fuzz_take(struct fuzz_input *in, void *to, size_t n)
{
	uint8_t *p = to;

	for (; n && in->left; n--, in->left--)
		*p++ = *in->data++;
	while (n--)
		*p++ = 0;
}

static inline uint8_t fuzz_u8(struct fuzz_input *in)
{
	uint8_t v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

static inline uint16_t fuzz_u16(struct fuzz_input *in)
{
	uint16_t v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

static inline uint32_t fuzz_u32(struct fuzz_input *in)
{
	uint32_t v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

static inline uint64_t fuzz_u64(struct fuzz_input *in)
{
	uint64_t v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

#endif
