/* SPDX-License-Identifier: MIT */
/*
 * The differences between the versions of virglrenderer, in one place: 0.10.4 (Debian 12), 1.1 (Debian 13), 1.3.
 */
#ifndef MULLION_HOST_GPU_VIRGL_LIBRARY_H
#define MULLION_HOST_GPU_VIRGL_LIBRARY_H

#include <stdbool.h>
#include <stdint.h>

#include <virglrenderer.h>

/* Declared but not defined by the library's header. */
struct virgl_box {
	uint32_t x, y, z;
	uint32_t w, h, d;
};

/* Later versions of the library append to the structure, also for programs built with an older header. */
union virgl_library_resource_info {
	struct virgl_renderer_resource_info info;
	uint8_t room[256];
};

/* Calls return 0, a positive errno (0.10), a negative errno (1.x), or -1: as 0 or a negative errno. */
int virgl_library_error(int returned);

/* Of the library that is loaded, as far as it can be told ("0.10.4", "1.1.0"). */
const char *virgl_library_version(void);

/* Send the library's own lines to our log: warnings, at the rate of log_guest(); nothing but debug while @quiet. */
void virgl_library_quiet(bool quiet);

#endif
