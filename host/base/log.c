// SPDX-License-Identifier: MIT
#include "host/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 512
#define BURST 10u
#define NS_PER_LINE 1000000000ull

static const char *const topic_names[LOG_TOPIC_COUNT] = {
	[LOG_TOPIC_BASE] = "base",       [LOG_TOPIC_VIRTIO] = "virtio",   [LOG_TOPIC_GPU] = "gpu",
	[LOG_TOPIC_DISPLAY] = "display", [LOG_TOPIC_BLOCK] = "block",     [LOG_TOPIC_NET] = "net",
	[LOG_TOPIC_CONSOLE] = "console", [LOG_TOPIC_RNG] = "rng",         [LOG_TOPIC_VMM] = "vmm",
	[LOG_TOPIC_VHOST] = "vhost",   [LOG_TOPIC_INPUT] = "input",     [LOG_TOPIC_VIDEO] = "video",
};

static const char *const level_names[] = {
	[LOG_ERROR] = "error", [LOG_WARN] = "warn",   [LOG_INFO] = "info",
	[LOG_DEBUG] = "debug", [LOG_TRACE] = "trace",
};

#define LEVEL_COUNT ((int)(sizeof(level_names) / sizeof(level_names[0])))

/* One more than the level, so that zero means the default, INFO. */
static unsigned char levels[LOG_TOPIC_COUNT];

static int find(const char *const *names, int count, const char *word, size_t length)
{
	for (int i = 0; i < count; i++)
		if (strlen(names[i]) == length && !strncmp(names[i], word, length))
			return i;
	return -1;
}

static int set_word(const char *word, size_t length, unsigned char *out)
{
	const char *colon = memchr(word, ':', length);
	const char *level_word = colon ? colon + 1 : word;
	size_t level_length = length - (size_t)(level_word - word);
	int level = find(level_names, LEVEL_COUNT, level_word, level_length);
	int topic = colon ? find(topic_names, LOG_TOPIC_COUNT, word, (size_t)(colon - word)) : -1;

	if (level < 0) {
		fprintf(stderr, "MULLION_LOG: '%.*s' is no level; use error, warn, info, debug or trace\n",
			(int)level_length, level_word);
		return -EINVAL;
	}
	if (colon && topic < 0) {
		fprintf(stderr, "MULLION_LOG: '%.*s' is no topic; there are", (int)(colon - word), word);
		for (int i = 0; i < LOG_TOPIC_COUNT; i++)
			fprintf(stderr, " %s", topic_names[i]);
		fputc('\n', stderr);
		return -EINVAL;
	}
	if (topic >= 0) {
		out[topic] = (unsigned char)(level + 1);
		return 0;
	}
	for (int i = 0; i < LOG_TOPIC_COUNT; i++)
		out[i] = (unsigned char)(level + 1);
	return 0;
}

int log_set_levels(const char *spec)
{
	unsigned char wanted[LOG_TOPIC_COUNT] = { 0 };

	/* A level for all topics first, so that "gpu:trace,warn" means what it says in any order. */
	for (int pass = 0; pass < 2; pass++) {
		for (const char *p = spec; p && *p;) {
			size_t length = strcspn(p, ",");

			if (length && !memchr(p, ':', length) == (pass == 0)) {
				int err = set_word(p, length, wanted);

				if (err)
					return err;
			}
			p += length;
			p += *p == ',';
		}
	}
	memcpy(levels, wanted, sizeof(levels));
	return 0;
}

bool log_enabled(enum log_topic topic, enum log_level level)
{
	unsigned limit = levels[topic] ? levels[topic] - 1u : (unsigned)LOG_INFO;

	return (unsigned)level <= limit;
}

/* One write() a line: lines of several threads and processes don't mix. */
static void write_line(enum log_topic topic, uint32_t held_back, const char *format, va_list args)
{
	char line[LINE_BYTES];
	size_t room = sizeof(line) - 1;
	int n = snprintf(line, room, "%s: ", topic_names[topic]);
	size_t used = (size_t)n;

	n = vsnprintf(line + used, room - used, format, args);
	if (n > 0)
		used += (size_t)n < room - used ? (size_t)n : room - used - 1;
	if (held_back && used < room - 1) {
		n = snprintf(line + used, room - used, " (%u like it held back)", held_back);
		used += (size_t)n < room - used ? (size_t)n : room - used - 1;
	}
	/* A guest's string could hold anything: keep the line one line and the terminal unharmed. */
	for (size_t i = 0; i < used; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[used++] = '\n';
	/* Nobody to tell when standard error is gone. */
	if (write(STDERR_FILENO, line, used) < 0)
		return;
}

void log_line(enum log_topic topic, enum log_level level, const char *format, ...)
{
	va_list args;
	int saved = errno;

	if (!log_enabled(topic, level))
		return;
	va_start(args, format);
	write_line(topic, 0, format, args);
	va_end(args);
	errno = saved;
}

bool log_limit_passes(struct log_limit *limit, uint32_t burst, uint64_t ns_per_line)
{
	struct timespec ts;
	uint64_t now;
	uint64_t earned;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
	earned = (now - limit->last_ns) / ns_per_line;
	if (earned >= limit->used) {
		limit->used = 0;
		limit->last_ns = now;
	} else {
		limit->used -= (uint32_t)earned;
		limit->last_ns += earned * ns_per_line;
	}
	if (limit->used >= burst)
		return false;
	limit->used++;
	return true;
}

void log_guest(enum log_topic topic, struct log_limit *limit, const char *format, ...)
{
	va_list args;
	int saved = errno;

	if (!log_enabled(topic, LOG_WARN))
		return;
	if (!log_limit_passes(limit, BURST, NS_PER_LINE)) {
		limit->held_back++;
		return;
	}
	va_start(args, format);
	write_line(topic, limit->held_back, format, args);
	va_end(args);
	limit->held_back = 0;
	errno = saved;
}
