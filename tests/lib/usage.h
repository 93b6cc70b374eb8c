/* SPDX-License-Identifier: MIT */
/*
 * What a process uses, for tests of leaks: descriptors, threads, memory. Include after <cmocka.h>.
 */
#ifndef MULLION_TESTS_LIB_USAGE_H
#define MULLION_TESTS_LIB_USAGE_H

#include <dirent.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

/* Does memory tell of leaks? A sanitizer keeps what was freed, to see who uses it still, and finds leaks itself. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define USAGE_MEMORY_TELLS false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define USAGE_MEMORY_TELLS false
#endif
#endif
#ifndef USAGE_MEMORY_TELLS
#define USAGE_MEMORY_TELLS true
#endif

/* A constant more than there are, the same for each call. @what: "fd" or "task" (threads). */
static inline unsigned usage_count(pid_t pid, const char *what)
{
	unsigned count = 0;
	char path[64];
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	d = opendir(path);
	assert_non_null(d);
	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

struct usage_pages {
	unsigned long all, resident;
};

static inline struct usage_pages usage_pages(pid_t pid)
{
	struct usage_pages p = {0};
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &p.all, &p.resident), 2);
	fclose(f);
	return p;
}

#endif
