// SPDX-License-Identifier: MIT
/* Runs a fuzz target without a fuzzing engine, so with any compiler; see fuzz.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/base/log.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 4096u
#define SEEDS_MAX 256u
#define DEFAULT_RUNS 20000u
#define HANG_SECONDS 30u

struct seed {
	size_t size;
	uint8_t *data;
};

static struct seed seeds[SEEDS_MAX];
static unsigned seed_count;
static uint64_t state;

/* The input that runs now, for the handlers below. */
static const uint8_t *current;
static size_t current_size;
static char crash_path[512];

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void keep_input(void)
{
	static const char text[] = "# the input is in ";
	static bool done;
	int fd;

	if (done || !current)
		return;
	done = true;
	fd = open(crash_path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, current, current_size) != (ssize_t)current_size)
		return;
	close(fd);
	if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0 &&
	    write(STDERR_FILENO, crash_path, strlen(crash_path)) > 0 && write(STDERR_FILENO, "\n", 1) > 0)
		return;
}

static void on_signal(int number)
{
	keep_input();
	signal(number, SIG_DFL);
	raise(number);
}

/* xorshift64*: the same numbers everywhere. */
static uint64_t next_random(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

static size_t below(size_t n)
{
	return n ? (size_t)(next_random() >> 16) % n : 0;
}

static void put_number(uint8_t *data, size_t size)
{
	static const uint64_t interesting[] = {
		0, 1, 2, 7, 8, 15, 16, 17, 63, 64, 255, 256, 1023, 1024, 4095, 4096, 0x7fff, 0x8000, 0xffff, 0x10000,
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, UINT64_MAX,
	};
	uint64_t v = interesting[below(sizeof(interesting) / sizeof(interesting[0]))];
	size_t width = (size_t)1 << below(4);

	if (below(4) == 0)
		v = (uint64_t)0 - v;
	if (width <= size)
		memcpy(data + below(size - width + 1), &v, width);
}

static size_t mutate(uint8_t *data, size_t size)
{
	size_t at = below(size + 1);
	size_t n = 1 + below(16);
	size_t from;

	switch (below(8)) {
	case 0:
		if (size)
			data[below(size)] ^= (uint8_t)(1u << below(8));
		break;
	case 1:
		if (size)
			data[below(size)] = (uint8_t)next_random();
		break;
	case 2:
	case 3:
		put_number(data, size);
		break;
	case 4: /* insert */
		if (size + n > INPUT_MAX)
			break;
		memmove(data + at + n, data + at, size - at);
		for (size_t i = 0; i < n; i++)
			data[at + i] = (uint8_t)next_random();
		return size + n;
	case 5: /* remove */
		n = n < size - at ? n : size - at;
		memmove(data + at, data + at + n, size - at - n);
		return size - n;
	case 6: /* copy a part to elsewhere */
		from = below(size + 1);
		n = below(64);
		n = n < size - at ? n : size - at;
		n = n < size - from ? n : size - from;
		memmove(data + at, data + from, n);
		break;
	default: { /* the tail of another seed */
		const struct seed *other = &seeds[below(seed_count)];

		from = below(other->size + 1);
		n = other->size - from;
		n = n < INPUT_MAX - at ? n : INPUT_MAX - at;
		memcpy(data + at, other->data + from, n);
		return at + n;
	}
	}
	return size;
}

static size_t make_input(uint8_t *data)
{
	const struct seed *s = &seeds[below(seed_count)];
	size_t size = s->size;

	memcpy(data, s->data, size);
	if (below(16) == 0) {
		size = below(512);
		for (size_t i = 0; i < size; i++)
			data[i] = (uint8_t)next_random();
	}
	for (size_t n = below(12); n; n--)
		size = mutate(data, size);
	return size;
}

static void add_seed(const uint8_t *data, size_t size)
{
	struct seed *s = &seeds[seed_count];

	s->data = malloc(size ? size : 1);
	if (!s->data)
		abort();
	memcpy(s->data, data, size);
	s->size = size;
	seed_count++;
}

/* In memory of its exact size, so that a sanitizer sees a read past the end. */
static void run_one(const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);

	if (!exact)
		abort();
	memcpy(exact, data, size);
	current = exact;
	current_size = size;
	LLVMFuzzerTestOneInput(exact, size);
	current = NULL;
	free(exact);
}

static int run_files(int count, char **paths)
{
	static uint8_t data[1 << 20];

	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		FILE *f = fopen(paths[i], "rb");
		size_t size;

		if (!f) {
			fprintf(stderr, "%s: %s\n", paths[i], strerror(errno));
			return 1;
		}
		size = fread(data, 1, sizeof(data), f);
		fclose(f);
		run_one(data, size);
		printf("ok %d - %s\n", i + 1, paths[i]);
	}
	return 0;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	char *end;
	uint64_t v;

	if (!text || !*text)
		return otherwise;
	v = strtoull(text, &end, 0);
	if (*end) {
		fprintf(stderr, "%s=%s is not a number\n", name, text);
		exit(2);
	}
	return v;
}

int main(int argc, char **argv)
{
	static uint8_t data[INPUT_MAX];
	static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM };
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	const char *directory = getenv("TMPDIR");
	uint64_t seconds = number_from("FUZZ_SECONDS", 0);
	uint64_t seed = number_from("FUZZ_SEED", seconds ? (uint64_t)time(NULL) : 1);
	uint64_t runs = number_from("FUZZ_RUNS", &fuzz_runs ? fuzz_runs : DEFAULT_RUNS);
	time_t end = time(NULL) + (time_t)seconds;
	uint64_t count;

	if (log_set_levels(getenv("MULLION_LOG") ? getenv("MULLION_LOG") : "error"))
		return 2;
	snprintf(crash_path, sizeof(crash_path), "%s/%s-%llu.input", directory ? directory : "/tmp", name,
		 (unsigned long long)seed);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(keep_input);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (signals[i] == SIGALRM || signals[i] == SIGABRT || !__sanitizer_set_death_callback)
			signal(signals[i], on_signal);
	if (argc > 1)
		return run_files(argc - 1, argv + 1);

	while (fuzz_seed && seed_count < SEEDS_MAX) {
		size_t size = fuzz_seed(seed_count, data, sizeof(data));

		if (!size)
			break;
		add_seed(data, size);
	}
	for (unsigned i = 0; i < seed_count; i++)
		run_one(seeds[i].data, seeds[i].size);
	if (!seed_count)
		add_seed(data, 64);

	state = seed * 0x9e3779b97f4a7c15ull + 1;
	printf("1..1\n# random seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	for (count = 0; seconds ? time(NULL) < end : count < runs; count++) {
		if (count % 16 == 0)
			alarm(HANG_SECONDS);
		run_one(data, make_input(data));
	}
	alarm(0);
	printf("ok 1 - %llu inputs\n", (unsigned long long)count);
	for (unsigned i = 0; i < seed_count; i++)
		free(seeds[i].data);
	return 0;
}
