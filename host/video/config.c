// SPDX-License-Identifier: MIT
/*
 * The device's options: "kind=decoder,dialect=agl,codec=avdec_h264,streams=4,memory=256".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "host/video/dialect.h"
#include "host/video/media_window.h"
#include "host/video/video.h"

/* Those that mullion run takes itself are asked for here when they are misspelt. */
#define KEYS                                                                                                           \
	"proto, dialect, codec, streams, memory and timeout; of mullion-video also kind, of mullion run isolate, "     \
	"sandbox, spare, max-deaths and hang-limit"

void video_config_init(struct video_config *config)
{
	*config = (struct video_config){
		.dialect = &video_dialect_chromeos,
		/* Linux drivers give a command 5 s. */
		.timeout_ms = 4000,
		.limits = {.streams = 32, .buffers = 64, .buffer_entries = 1u << 16, .buffer_bytes = 2ull << 30,
			   .journal_bytes = VIDEO_JOURNAL_BYTES},
	};
}

uint64_t video_shared_bytes(const struct video_config *config)
{
	return config->media ? media_heap_bytes(config->limits.buffer_bytes) : 0;
}

/* The whole of @text as a decimal number in 1..@max. */
static bool read_number(const char *text, unsigned long max, unsigned long *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoul(text, &end, 10);
	return errno == 0 && *end == '\0' && *out >= 1 && *out <= max;
}

static int wrong(const char *key, const char *value, const char *allowed)
{
	log_line(LOG_TOPIC_VIDEO, LOG_ERROR, "option %s=%s: %s", key, value, allowed);
	return -EINVAL;
}

int video_config_parse(struct video_config *config, char *options)
{
	char *rest = options, *word;
	unsigned long number;

	while ((word = strsep(&rest, ",")) != NULL) {
		char *value = strchr(word, '=');

		if (*word == '\0')
			continue;
		if (!value || value[1] == '\0') {
			log_line(LOG_TOPIC_VIDEO, LOG_ERROR, "option '%s' is not KEY=VALUE; there are " KEYS, word);
			return -EINVAL;
		}
		*value++ = '\0';
		if (strcmp(word, "kind") == 0) {
			if (strcmp(value, "decoder") != 0 && strcmp(value, "encoder") != 0)
				return wrong(word, value, "write decoder or encoder");
			config->encoder = strcmp(value, "encoder") == 0;
		} else if (strcmp(word, "dialect") == 0) {
			if (strcmp(value, "chromeos") != 0 && strcmp(value, "agl") != 0)
				return wrong(word, value,
					     "write chromeos, or agl for the drivers of Automotive Grade Linux");
			config->dialect = strcmp(value, "agl") == 0 ? &video_dialect_agl : &video_dialect_chromeos;
		} else if (strcmp(word, "proto") == 0) {
			if (strcmp(value, "virtio-video") != 0 && strcmp(value, "virtio-media") != 0)
				return wrong(word, value, "write virtio-video or virtio-media");
			config->media = strcmp(value, "virtio-media") == 0;
		} else if (strcmp(word, "codec") == 0) {
			config->element = value;
		} else if (strcmp(word, "streams") == 0) {
			if (!read_number(value, 1024, &number))
				return wrong(word, value, "1 to 1024 are possible");
			config->limits.streams = (unsigned)number;
		} else if (strcmp(word, "memory") == 0) {
			if (!read_number(value, 1u << 20, &number))
				return wrong(word, value, "a number of MiB, 1 to 1048576");
			config->limits.buffer_bytes = (uint64_t)number << 20;
		} else if (strcmp(word, "timeout") == 0) {
			if (!read_number(value, 3600, &number))
				return wrong(word, value, "a number of seconds, 1 to 3600");
			config->timeout_ms = (unsigned)number * 1000;
		} else {
			return wrong(word, value, "no such option; there are " KEYS);
		}
	}
	return 0;
}
