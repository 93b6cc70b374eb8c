/* SPDX-License-Identifier: MIT */
/* A host without GStreamer's plug-ins. To be called before GStreamer starts, which lists them once a process. */
#ifndef MULLION_TESTS_LIB_NO_PLUGINS_H
#define MULLION_TESTS_LIB_NO_PLUGINS_H

#define NO_PLUGINS_PATH_BYTES 64u

/* @registry: gets the path of an empty list of plug-ins, for the end, which deletes it. 0 or -errno. */
int no_plugins_begin(char registry[NO_PLUGINS_PATH_BYTES]);
void no_plugins_end(const char *registry);

#endif
