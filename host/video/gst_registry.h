/* SPDX-License-Identifier: MIT */
/*
 * GStreamer's list of plug-ins, a file, made ready before any worker starts: workers only read it, and start no process
 * to look for plug-ins. It is the program's own, in the user's cache folder, or for the time of the program in /tmp.
 *
 * Thread: main, the only one of the process.
 */
#ifndef MULLION_HOST_VIDEO_GST_REGISTRY_H
#define MULLION_HOST_VIDEO_GST_REGISTRY_H

struct gst_registry {
	char path[512];
	char folder[64]; /* to be removed at the end; "": none */
};

/*
 * Bring it up to date, in a process of its own, which loads the plug-ins that are new: seconds the first time. Then sets
 * GST_REGISTRY, GST_REGISTRY_UPDATE and GST_REGISTRY_FORK in the environment. Where it can't be done a line says so, and
 * each worker looks for plug-ins itself.
 */
void gst_registry_prepare(struct gst_registry *r);
void gst_registry_finish(struct gst_registry *r);

#endif
