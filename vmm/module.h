/* SPDX-License-Identifier: MIT */
/*
 * Devices that mullion loads into itself (host/virtio/module.h): mullion-NAME.so, looked for beside the executable,
 * in $MULLION_MODULE_DIR, and where `make install` puts it: ../lib/mullion from there, and the libdir of the build.
 */
#ifndef MULLION_VMM_MODULE_H
#define MULLION_VMM_MODULE_H

#include <stddef.h>

struct device_module;

struct screen_module;

/* The module with displays that are this process's (host/virtio/screen_module.h). As module_load(). */
int module_load_screen(const struct screen_module **out);

/*
 * Load module @name ("gpu"); it stays loaded until the process ends. Returns 0 or a negative errno after printing one
 * line that says what is missing and what to do. Thread: any.
 */
int module_load(const char *name, const struct device_module **out);

/* The same with the line in @why instead of the log. */
int module_find(const char *name, const struct device_module **out, char *why, size_t why_bytes);

/* The path of program mullion-NAME, which belongs beside this one. Returns 0 or -ENOENT. Thread: any. */
int module_program(const char *name, char *path, size_t bytes);

#endif
