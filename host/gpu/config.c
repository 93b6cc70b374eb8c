// SPDX-License-Identifier: MIT
/*
 * The device's options: "renderer=virgl,scanouts=2,size=1280x800".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "host/gpu/gpu.h"
#include "host/gpu/share.h"

#define MAX_SCANOUTS 16u
#define MAX_SIZE 16384u
#define DEFAULT_WIDTH 1280u
#define DEFAULT_HEIGHT 800u
#define DEFAULT_HOST_VISIBLE_MIB 256ull
#define MAX_HOST_VISIBLE_MIB 16384u
/* Those that mullion run takes itself are asked for here when they are misspelt. */
#define KEYS                                                                                                           \
	"renderer, render-node, scanouts, size, sizeN, memory, share, host-visible and dmabuf; of mullion run also "   \
	"isolate, sandbox, spare, max-deaths, hang-limit and shader-cache"

void gpu_config_init(struct gpu_config *config)
{
	memset(config, 0, sizeof(*config));
	config->renderer = "auto";
	config->scanouts = 1;
	config->modes[0] = (struct gpu_mode){DEFAULT_WIDTH, DEFAULT_HEIGHT};
	config->limits = gpu_limits_default;
	config->share = 100;
	config->host_visible_bytes = DEFAULT_HOST_VISIBLE_MIB << 20;
}

/* The whole of @text as a decimal number in @min..@max. */
static bool read_number(const char *text, unsigned long min, unsigned long max, unsigned long *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoul(text, &end, 10);
	return errno == 0 && *end == '\0' && *out >= min && *out <= max;
}

static bool read_mode(char *text, struct gpu_mode *out)
{
	char *x = strchr(text, 'x');
	unsigned long width, height;
	bool good;

	if (!x)
		return false;
	*x = '\0';
	good = read_number(text, 0, MAX_SIZE, &width) && read_number(x + 1, 0, MAX_SIZE, &height) &&
	       (width == 0) == (height == 0);
	*x = 'x';
	if (good)
		*out = (struct gpu_mode){(uint32_t)width, (uint32_t)height};
	return good;
}

static int wrong(const char *key, const char *value, const char *allowed)
{
	log_line(LOG_TOPIC_GPU, LOG_ERROR, "option %s=%s: %s", key, value, allowed);
	return -EINVAL;
}

static int read_option(struct gpu_config *config, const char *key, char *value)
{
	static const char size_help[] = "a size is WIDTHxHEIGHT, 1 to 16384 each (0x0: nothing plugged in)";
	unsigned long number;
	struct gpu_mode mode;

	if (strcmp(key, "renderer") == 0) {
		config->renderer = value;
	} else if (strcmp(key, "render-node") == 0) {
		config->render_node = value;
	} else if (strcmp(key, "scanouts") == 0) {
		if (!read_number(value, 1, MAX_SCANOUTS, &number))
			return wrong(key, value, "1 to 16 are possible");
		config->scanouts = (unsigned)number;
	} else if (strcmp(key, "memory") == 0) {
		if (!read_number(value, 1, 1u << 20, &number))
			return wrong(key, value, "a number of MiB, 1 to 1048576");
		config->limits.resource_bytes = (uint64_t)number << 20;
	} else if (strcmp(key, "share") == 0) {
		if (!read_number(value, GPU_SHARE_MIN, 100, &number))
			return wrong(key, value, "a percentage, 5 to 100 (no limit)");
		config->share = (unsigned)number;
	} else if (strcmp(key, "host-visible") == 0) {
		if (!read_number(value, 0, MAX_HOST_VISIBLE_MIB, &number) || (number & (number - 1)))
			return wrong(key, value, "a number of MiB that is a power of two, up to 16384, or 0 for none");
		config->host_visible_bytes = (uint64_t)number << 20;
	} else if (strcmp(key, "dmabuf") == 0) {
		if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
			return wrong(key, value, "on or off");
		config->dmabuf = strcmp(value, "on") == 0;
	} else if (strcmp(key, "size") == 0) {
		if (!read_mode(value, &mode))
			return wrong(key, value, size_help);
		config->modes[0] = mode;
	} else if (strncmp(key, "size", 4) == 0 && read_number(key + 4, 0, MAX_SCANOUTS - 1, &number)) {
		if (!read_mode(value, &config->modes[number]))
			return wrong(key, value, size_help);
	} else {
		return wrong(key, value, "no such option; there are " KEYS);
	}
	return 0;
}

int gpu_config_parse(struct gpu_config *config, char *options)
{
	char *rest = options, *word;

	while ((word = strsep(&rest, ",")) != NULL) {
		char *value = strchr(word, '=');
		int err;

		if (*word == '\0')
			continue;
		if (!value || value[1] == '\0') {
			log_line(LOG_TOPIC_GPU, LOG_ERROR, "option '%s' is not KEY=VALUE; there are " KEYS, word);
			return -EINVAL;
		}
		*value++ = '\0';
		err = read_option(config, word, value);
		if (err < 0)
			return err;
	}
	/* A display that was given a size has a connector. */
	for (unsigned i = config->scanouts; i < MAX_SCANOUTS; i++) {
		if (config->modes[i].width)
			config->scanouts = i + 1;
	}
	return 0;
}
