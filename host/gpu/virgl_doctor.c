// SPDX-License-Identifier: MIT
/* What `mullion doctor` says about 3D: each line from a real start of EGL and virglrenderer, not from file names. */
#include <stdio.h>
#include <string.h>

#include "host/base/loop.h"
#include "host/gpu/egl.h"
#include "host/gpu/renderer.h"
#include "host/gpu/virgl_library.h"

static void no_fence(void *owner, const struct renderer_timeline *timeline, uint64_t seq)
{
	(void)owner;
	(void)timeline;
	(void)seq;
}

static const char *capset_name(uint32_t id)
{
	static const char *const names[] = {"?", "virgl", "virgl2", "gfxstream", "venus", "cross-domain", "drm"};

	return id < sizeof(names) / sizeof(names[0]) ? names[id] : "?";
}

void renderer_virgl_doctor(void (*report)(void *owner, const char *verdict, const char *name, const char *text,
					  const char *cure),
			   void *owner)
{
	const struct renderer_ops *ops = &renderer_virgl_ops;
	struct renderer_config config = {.fence_done = no_fence};
	struct renderer_capset set;
	struct renderer *r = NULL;
	struct gpu_egl *egl = NULL;
	const struct gpu_egl_info *info;
	char text[256];

	if (gpu_egl_create(NULL, &egl, text, sizeof(text)) < 0) {
		report(owner, "fail", "EGL", text,
		       "install libegl-mesa0 and libgl1-mesa-dri; until then guests have 2D only");
		return;
	}
	info = gpu_egl_info(egl);
	report(owner, "ok", "EGL", text, "");
	if (info->node[0])
		report(owner, "ok", "render node", info->node, "");
	else
		report(owner, "warn", "render node", "none is used",
		       "for a hardware GPU: load its driver, and be a member of group render");
	snprintf(text, sizeof(text), "%s (%s)", info->gl_version, info->gles ? "OpenGL ES" : "core profile");
	report(owner, "ok", "OpenGL version", text, "");
	report(owner, info->software ? "warn" : "ok", "OpenGL renderer", info->gl_renderer,
	       info->software ? "the CPU draws: right, but slow" : "");
	report(owner, info->dmabuf_export ? "ok" : "warn", "dma-buf export",
	       info->dmabuf_export ? "yes" : "no: one copy of what changed, per frame",
	       info->dmabuf_export ? "" : "a driver with EGL_MESA_image_dma_buf_export avoids the copy");
	gpu_egl_destroy(egl);

	if (loop_create("doctor", &config.loop) < 0)
		return;
	if (ops->create(&config, &r, text, sizeof(text)) < 0) {
		report(owner, "fail", "virglrenderer", text, "guests have 2D only");
		loop_destroy(config.loop);
		return;
	}
	report(owner, "ok", "virglrenderer", virgl_library_version(), "");
	for (uint32_t i = 0; ops->capset_info(r, i, &set) == 0; i++) {
		char name[32];

		snprintf(name, sizeof(name), "capset %s", capset_name(set.id));
		snprintf(text, sizeof(text), "version %u, %u bytes", set.max_version, set.max_size);
		report(owner, "ok", name, text, "");
	}
	ops->destroy(r);
	loop_destroy(config.loop);
}
