// SPDX-License-Identifier: MIT
#include "host/gpu/virgl_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"

/* The header says its version since 1.1; before, the build says what pkg-config knows. */
#ifdef VIRGL_CHECK_VERSION
#define BUILT_WITH_1_1 1
#else
#define BUILT_WITH_1_1 0
#ifndef MULLION_VIRGLRENDERER_VERSION
#define MULLION_VIRGLRENDERER_VERSION "0.10"
#endif
#endif

static atomic_bool is_quiet;

int virgl_library_error(int returned)
{
	if (returned == -1)
		return -EINVAL;
	return returned > 0 ? -returned : returned;
}

const char *virgl_library_version(void)
{
#if BUILT_WITH_1_1
	static char text[32];

	snprintf(text, sizeof(text), "%d.%d.%d", VIRGL_MAJOR_VERSION, VIRGL_MINOR_VERSION, VIRGL_MICRO_VERSION);
	return text;
#else
	/* A newer library under the same name: what it exports tells. */
	if (dlsym(RTLD_DEFAULT, "virgl_renderer_resource_map_fixed"))
		return "1.3 or later";
	if (dlsym(RTLD_DEFAULT, "virgl_set_log_callback"))
		return "1.1 or later";
	return MULLION_VIRGLRENDERER_VERSION;
#endif
}

/* Most lines are about what a guest did, on whichever thread found it. */
static void print_line(bool warning, const char *line)
{
	static _Thread_local struct log_limit limit;
	int length = (int)strcspn(line, "\n");

	if (length == 0)
		return;
	if (warning && !is_quiet)
		log_guest(LOG_TOPIC_GPU, &limit, "virglrenderer: %.*s", length, line);
	else
		log_line(LOG_TOPIC_GPU, LOG_DEBUG, "virglrenderer: %.*s", length, line);
}

#if BUILT_WITH_1_1
static void library_line(enum virgl_log_level_flags level, const char *message, void *owner)
{
	(void)owner;
	print_line(level >= VIRGL_LOG_LEVEL_WARNING, message);
}
#else
static void library_line(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

static void library_line(const char *format, va_list args)
{
	char line[256];

	vsnprintf(line, sizeof(line), format, args);
	print_line(true, line);
}
#endif

void virgl_library_quiet(bool quiet)
{
	is_quiet = quiet;
	/* Who asks the library itself for debug output wants it whole and on standard error. */
	if (getenv("VREND_DEBUG"))
		return;
#if BUILT_WITH_1_1
	virgl_set_log_callback(library_line, NULL, NULL);
#else
	virgl_set_debug_callback(library_line);
#endif
}
