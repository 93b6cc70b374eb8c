// SPDX-License-Identifier: MIT
#include "host/gpu/egl.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <epoxy/egl.h>
#include <epoxy/gl.h>
#include <gbm.h>

/* EGL_EXT_device_drm_render_node; epoxy in Debian 12 is older. */
#ifndef EGL_DRM_RENDER_NODE_FILE_EXT
#define EGL_DRM_RENDER_NODE_FILE_EXT 0x3377
#endif

/* Linux's list of device numbers. */
#define DRM_CHAR_MAJOR 226u

struct gpu_egl {
	EGLDisplay display;
	EGLConfig config;
	EGLContext own;
	EGLenum api;
	int fd; /* render node, or -1 */
	struct gbm_device *gbm;
	EGLint reset_strategy; /* the attribute by which contexts say that they were lost; EGL_NONE: they don't */
	GLenum (*reset_status)(void);
	struct gpu_egl_info info;
};

/* What is said about the rungs that were passed. */
struct story {
	char *text;
	size_t size, used;
};

static void tell(struct story *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(struct story *s, const char *format, ...)
{
	va_list args;
	int n;

	if (s->used + 1 >= s->size)
		return;
	if (s->used)
		s->used += (size_t)snprintf(s->text + s->used, s->size - s->used, "; ");
	if (s->used + 1 >= s->size)
		return;
	va_start(args, format);
	n = vsnprintf(s->text + s->used, s->size - s->used, format, args);
	va_end(args);
	s->used += n > 0 ? (size_t)n : 0;
	if (s->used >= s->size)
		s->used = s->size - 1;
}

static const char *egl_error(void)
{
	static const char *const names[] = {
		"EGL_SUCCESS",	     "EGL_NOT_INITIALIZED", "EGL_BAD_ACCESS",	     "EGL_BAD_ALLOC",
		"EGL_BAD_ATTRIBUTE", "EGL_BAD_CONFIG",	    "EGL_BAD_CONTEXT",	     "EGL_BAD_CURRENT_SURFACE",
		"EGL_BAD_DISPLAY",   "EGL_BAD_MATCH",	    "EGL_BAD_NATIVE_PIXMAP", "EGL_BAD_NATIVE_WINDOW",
		"EGL_BAD_PARAMETER", "EGL_BAD_SURFACE",	    "EGL_CONTEXT_LOST",
	};
	EGLint error = eglGetError();
	size_t index = (size_t)(error - EGL_SUCCESS);

	/* Success after a failing call: the platform found no driver and says nothing about it. */
	if (error == EGL_SUCCESS)
		return "no driver";
	return index < sizeof(names) / sizeof(names[0]) ? names[index] : "unknown EGL error";
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = list; at && (at = strstr(at, word)); at += n)
		if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return true;
	return false;
}

/* ---- contexts ---- */

static EGLContext new_context(const struct gpu_egl *e, EGLContext share, int major, int minor)
{
	const EGLint desktop[] = {
		EGL_CONTEXT_MAJOR_VERSION,
		major,
		EGL_CONTEXT_MINOR_VERSION,
		minor,
		EGL_CONTEXT_OPENGL_PROFILE_MASK,
		EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT,
		e->reset_strategy,
		EGL_LOSE_CONTEXT_ON_RESET,
		EGL_NONE,
	};
	const EGLint es[] = {
		EGL_CONTEXT_MAJOR_VERSION, major,    EGL_CONTEXT_MINOR_VERSION, minor, e->reset_strategy,
		EGL_LOSE_CONTEXT_ON_RESET, EGL_NONE,
	};

	/* The API is a property of the calling thread. */
	if (!eglBindAPI(e->api))
		return EGL_NO_CONTEXT;
	return eglCreateContext(e->display, e->config, share, e->api == EGL_OPENGL_API ? desktop : es);
}

/* What contexts are asked for, so that they say when they were lost. */
static EGLint reset_strategy_of(EGLenum api, const char *extensions)
{
	if (api == EGL_OPENGL_API)
		return EGL_CONTEXT_OPENGL_RESET_NOTIFICATION_STRATEGY;
	return has_word(extensions, "EGL_EXT_create_context_robustness")
		       ? EGL_CONTEXT_OPENGL_RESET_NOTIFICATION_STRATEGY_EXT
		       : EGL_NONE;
}

/* Contexts of one group must have the same strategy: the first one decides. */
static EGLContext first_context(struct gpu_egl *e, int major, int minor)
{
	EGLContext context = new_context(e, EGL_NO_CONTEXT, major, minor);

	if (context != EGL_NO_CONTEXT || e->reset_strategy == EGL_NONE)
		return context;
	e->reset_strategy = EGL_NONE;
	return new_context(e, EGL_NO_CONTEXT, major, minor);
}

/* NULL: no way. A context is current. */
static const char *reset_status_name(const struct gpu_egl *e)
{
	const int version = e->info.major * 10 + e->info.minor;

	if (!e->info.gles) {
		if (version >= 45 || epoxy_has_gl_extension("GL_KHR_robustness"))
			return "glGetGraphicsResetStatus";
		return epoxy_has_gl_extension("GL_ARB_robustness") ? "glGetGraphicsResetStatusARB" : NULL;
	}
	if (version >= 32)
		return "glGetGraphicsResetStatus";
	if (epoxy_has_gl_extension("GL_KHR_robustness"))
		return "glGetGraphicsResetStatusKHR";
	return epoxy_has_gl_extension("GL_EXT_robustness") ? "glGetGraphicsResetStatusEXT" : NULL;
}

/* By its name: libepoxy would end the process where the driver lacks it. */
static void find_reset_status(struct gpu_egl *e)
{
	const char *name = e->reset_strategy != EGL_NONE ? reset_status_name(e) : NULL;

	e->reset_status = name ? (GLenum(*)(void))eglGetProcAddress(name) : NULL;
	e->info.tells_reset = e->reset_status != NULL;
}

/* libepoxy looks for them at the first call, and ends the process when there is none. */
static bool has_library(const char *const *names)
{
	for (; *names; names++) {
		void *library = dlopen(*names, RTLD_LAZY | RTLD_LOCAL);

		if (library) {
			dlclose(library);
			return true;
		}
	}
	return false;
}

static const char *const egl_libraries[] = {"libEGL.so.1", NULL};
static const char *const desktop_libraries[] = {"libOpenGL.so.0", "libGL.so.1", NULL};
static const char *const es_libraries[] = {"libGLESv2.so.2", NULL};

/*
 * On desktop OpenGL virglrenderer sets GL_TEXTURE_CUBE_MAP_SEAMLESS of every sampler without asking, and where that is an
 * error, each context with a sampler ends in one. On OpenGL ES it does not.
 */
static bool lets_samplers_be_seamless(struct gpu_egl *e)
{
	bool is;

	if (gpu_egl_make_current(e, e->own) < 0)
		return false;
	is = epoxy_has_gl_extension("GL_ARB_seamless_cubemap_per_texture") ||
	     epoxy_has_gl_extension("GL_AMD_seamless_cubemap_per_texture");
	gpu_egl_make_current(e, NULL);
	return is;
}

/* The highest version of desktop OpenGL, else of OpenGL ES; what virglrenderer needs at least is the last of each. */
static int try_versions(struct gpu_egl *e, const char *extensions, bool has_desktop, bool has_es, bool need_seamless)
{
	static const struct {
		EGLenum api;
		int major, minor;
	} versions[] = {
		{EGL_OPENGL_API, 4, 6},	   {EGL_OPENGL_API, 4, 5}, {EGL_OPENGL_API, 4, 4},    {EGL_OPENGL_API, 4, 3},
		{EGL_OPENGL_API, 4, 2},	   {EGL_OPENGL_API, 4, 1}, {EGL_OPENGL_API, 4, 0},    {EGL_OPENGL_API, 3, 3},
		{EGL_OPENGL_API, 3, 2},	   {EGL_OPENGL_API, 3, 1}, {EGL_OPENGL_ES_API, 3, 2}, {EGL_OPENGL_ES_API, 3, 1},
		{EGL_OPENGL_ES_API, 3, 0},
	};

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		e->api = versions[i].api;
		if (e->api == EGL_OPENGL_API ? !has_desktop : !has_es)
			continue;
		e->reset_strategy = reset_strategy_of(e->api, extensions);
		e->own = first_context(e, versions[i].major, versions[i].minor);
		if (e->own == EGL_NO_CONTEXT)
			continue;
		if (e->api == EGL_OPENGL_API && need_seamless && !lets_samplers_be_seamless(e)) {
			eglDestroyContext(e->display, e->own);
			e->own = EGL_NO_CONTEXT;
			has_desktop = false;
			continue;
		}
		e->info.major = versions[i].major;
		e->info.minor = versions[i].minor;
		e->info.gles = e->api == EGL_OPENGL_ES_API;
		return 0;
	}
	return -ENODEV;
}

static int choose_version(struct gpu_egl *e, const char *extensions, struct story *s)
{
	const bool has_desktop = has_library(desktop_libraries), has_es = has_library(es_libraries);

	if (try_versions(e, extensions, has_desktop, has_es, true) == 0 ||
	    try_versions(e, extensions, has_desktop, false, false) == 0)
		return 0;
	tell(s, "%s: neither OpenGL 3.1 nor OpenGL ES 3.0 (%s)", e->info.rung, egl_error());
	return -ENODEV;
}

static void copy_string(char *dst, size_t size, const GLubyte *src)
{
	snprintf(dst, size, "%s", src ? (const char *)src : "unknown");
}

/* A display was got: initialize it, find a version, ask what draws. Undone by close_display(). */
static int open_display(struct gpu_egl *e, struct story *s)
{
	const EGLint wanted[] = {EGL_SURFACE_TYPE, EGL_DONT_CARE, EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT, EGL_NONE};
	const char *extensions;
	EGLint egl_major, egl_minor, count = 0;

	if (e->display == EGL_NO_DISPLAY || !eglInitialize(e->display, &egl_major, &egl_minor)) {
		tell(s, "%s: %s", e->info.rung, egl_error());
		e->display = EGL_NO_DISPLAY;
		return -ENODEV;
	}
	extensions = eglQueryString(e->display, EGL_EXTENSIONS);
	if (!has_word(extensions, "EGL_KHR_surfaceless_context") ||
	    (egl_major * 10 + egl_minor < 15 && !has_word(extensions, "EGL_KHR_create_context"))) {
		tell(s, "%s: EGL %d.%d lacks surfaceless or versioned contexts", e->info.rung, egl_major, egl_minor);
		return -ENODEV;
	}
	if (has_word(extensions, "EGL_KHR_no_config_context")) {
		e->config = EGL_NO_CONFIG_KHR;
	} else if (!eglChooseConfig(e->display, wanted, &e->config, 1, &count) || count != 1) {
		tell(s, "%s: no EGL config (%s)", e->info.rung, egl_error());
		return -ENODEV;
	}
	if (choose_version(e, extensions, s) < 0)
		return -ENODEV;
	if (gpu_egl_make_current(e, e->own) < 0) {
		tell(s, "%s: a context can't be made current (%s)", e->info.rung, egl_error());
		return -ENODEV;
	}
	copy_string(e->info.gl_renderer, sizeof(e->info.gl_renderer), glGetString(GL_RENDERER));
	copy_string(e->info.gl_version, sizeof(e->info.gl_version), glGetString(GL_VERSION));
	e->info.software = strstr(e->info.gl_renderer, "llvmpipe") || strstr(e->info.gl_renderer, "softpipe") ||
			   strstr(e->info.gl_renderer, "swrast") || strstr(e->info.gl_renderer, "SwiftShader");
	e->info.dmabuf_export = has_word(extensions, "EGL_MESA_image_dma_buf_export") &&
				has_word(extensions, "EGL_KHR_gl_texture_2D_image");
	e->info.dmabuf_import = has_word(extensions, "EGL_EXT_image_dma_buf_import");
	find_reset_status(e);
	gpu_egl_make_current(e, NULL);
	return 0;
}

static void close_display(struct gpu_egl *e)
{
	if (e->display != EGL_NO_DISPLAY) {
		gpu_egl_make_current(e, NULL);
		if (e->own != EGL_NO_CONTEXT)
			eglDestroyContext(e->display, e->own);
		eglTerminate(e->display);
	}
	if (e->gbm)
		gbm_device_destroy(e->gbm);
	if (e->fd >= 0)
		close(e->fd);
	memset(e, 0, sizeof(*e));
	e->fd = -1;
}

/* ---- rungs: each says in @s why it can't be had ---- */

static int try_node(struct gpu_egl *e, const char *path, struct story *s)
{
	struct stat st;

	e->info.rung = "render node";
	snprintf(e->info.node, sizeof(e->info.node), "%s", path);
	e->fd = open(path, O_RDWR | O_CLOEXEC);
	if (e->fd < 0) {
		tell(s, "render node %s: %s", path, strerror(errno));
		return -ENODEV;
	}
	/* GBM would take any file and draw by the CPU. */
	if (fstat(e->fd, &st) < 0 || !S_ISCHR(st.st_mode) || major(st.st_rdev) != DRM_CHAR_MAJOR) {
		tell(s, "render node %s: not a DRM device", path);
		return -ENODEV;
	}
	e->gbm = gbm_create_device(e->fd);
	if (!e->gbm) {
		tell(s, "render node %s: GBM knows no driver for it", path);
		return -ENODEV;
	}
	e->display = eglGetPlatformDisplayEXT(EGL_PLATFORM_GBM_KHR, e->gbm, NULL);
	return open_display(e, s);
}

static int by_node_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_render_node(const struct dirent *d)
{
	return strncmp(d->d_name, "renderD", 7) == 0;
}

static int try_nodes(struct gpu_egl *e, const char *clients, struct story *s)
{
	struct dirent **nodes = NULL;
	int count = scandir("/dev/dri", &nodes, is_render_node, by_node_name);
	int err = -ENODEV;

	if (count <= 0)
		tell(s, "no render node in /dev/dri");
	else if (!has_word(clients, "EGL_KHR_platform_gbm") && !has_word(clients, "EGL_MESA_platform_gbm"))
		tell(s, "render node: EGL has no GBM platform");
	for (int i = 0; i < count; i++) {
		char path[sizeof("/dev/dri/") + sizeof(nodes[i]->d_name)];

		snprintf(path, sizeof(path), "/dev/dri/%s", nodes[i]->d_name);
		if (err < 0) {
			err = try_node(e, path, s);
			if (err < 0)
				close_display(e);
		}
		free(nodes[i]);
	}
	free(nodes);
	return err;
}

static int try_devices(struct gpu_egl *e, const char *clients, bool software, struct story *s)
{
	const char *rung = software ? "EGL software device" : "EGL device";
	EGLDeviceEXT devices[16];
	EGLint count = 0;
	unsigned tried = 0;

	if (!has_word(clients, "EGL_EXT_platform_device") ||
	    !(has_word(clients, "EGL_EXT_device_enumeration") || has_word(clients, "EGL_EXT_device_base"))) {
		tell(s, "%s: not in this EGL", rung);
		return -ENODEV;
	}
	if (!eglQueryDevicesEXT(16, devices, &count)) {
		tell(s, "%s: %s", rung, egl_error());
		return -ENODEV;
	}
	for (EGLint i = 0; i < count; i++) {
		const char *extensions = eglQueryDeviceStringEXT(devices[i], EGL_EXTENSIONS);
		const char *node = NULL;

		if (has_word(extensions, "EGL_MESA_device_software") != software)
			continue;
		tried++;
		e->info.rung = rung;
		if (has_word(extensions, "EGL_EXT_device_drm_render_node"))
			node = eglQueryDeviceStringEXT(devices[i], EGL_DRM_RENDER_NODE_FILE_EXT);
		snprintf(e->info.node, sizeof(e->info.node), "%s", node ? node : "");
		e->display = eglGetPlatformDisplayEXT(EGL_PLATFORM_DEVICE_EXT, devices[i], NULL);
		if (open_display(e, s) == 0)
			return 0;
		close_display(e);
	}
	if (!tried)
		tell(s, "%s: none", rung);
	return -ENODEV;
}

static int try_surfaceless(struct gpu_egl *e, const char *clients, struct story *s)
{
	e->info.rung = "EGL surfaceless";
	if (!has_word(clients, "EGL_MESA_platform_surfaceless")) {
		tell(s, "EGL surfaceless: not in this EGL");
		return -ENODEV;
	}
	e->display = eglGetPlatformDisplayEXT(EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY, NULL);
	if (open_display(e, s) == 0)
		return 0;
	close_display(e);
	return -ENODEV;
}

static int climb(struct gpu_egl *e, const char *render_node, struct story *s)
{
	const char *clients = eglQueryString(EGL_NO_DISPLAY, EGL_EXTENSIONS);

	if (!clients || !has_word(clients, "EGL_EXT_platform_base")) {
		tell(s, "EGL can't choose a platform: no driver is installed");
		return -ENODEV;
	}
	if (render_node) {
		if (try_node(e, render_node, s) == 0)
			return 0;
		close_display(e);
		return -ENODEV;
	}
	if (try_nodes(e, clients, s) == 0 || try_devices(e, clients, false, s) == 0 ||
	    try_surfaceless(e, clients, s) == 0 || try_devices(e, clients, true, s) == 0)
		return 0;
	return -ENODEV;
}

/*
 * Drivers keep compiled shaders in the user's home. A guest's shaders don't belong there: what one guest left would be
 * read for the next. Whoever sets these variables decides otherwise. Called before a driver is loaded.
 */
static void leave_users_shader_cache_alone(void)
{
	setenv("MESA_SHADER_CACHE_DISABLE", "true", 0);
	setenv("__GL_SHADER_DISK_CACHE", "0", 0);
}

/* ---- the module ---- */

int gpu_egl_create(const char *render_node, struct gpu_egl **out, char *why, size_t why_size)
{
	char passed[256] = "";
	struct story story = {passed, sizeof(passed), 0};
	struct gpu_egl *e = calloc(1, sizeof(*e));

	if (!e) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	if (!has_library(egl_libraries) || (!has_library(desktop_libraries) && !has_library(es_libraries))) {
		snprintf(why, why_size, "no EGL or OpenGL library: install libegl1 and libopengl0");
		free(e);
		return -ENODEV;
	}
	e->fd = -1;
	leave_users_shader_cache_alone();
	if (climb(e, render_node, &story) < 0) {
		snprintf(why, why_size, "%s: %s", passed,
			 render_node ? "give another render-node=, or none"
				     : "install a GL driver (libegl-mesa0, libgl1-mesa-dri)");
		free(e);
		return -ENODEV;
	}
	snprintf(why, why_size, "%s%s%s, %s, OpenGL%s %d.%d%s%s%s", e->info.rung, e->info.node[0] ? " " : "",
		 e->info.node, e->info.gl_renderer, e->info.gles ? " ES" : "", e->info.major, e->info.minor,
		 e->info.software ? ", the CPU draws" : "", passed[0] ? "; " : "", passed);
	*out = e;
	return 0;
}

void gpu_egl_destroy(struct gpu_egl *e)
{
	if (!e)
		return;
	close_display(e);
	free(e);
}

const struct gpu_egl_info *gpu_egl_info(const struct gpu_egl *e)
{
	return &e->info;
}

void *gpu_egl_context_create(struct gpu_egl *e)
{
	return new_context(e, e->own, e->info.major, e->info.minor);
}

void gpu_egl_context_destroy(struct gpu_egl *e, void *context)
{
	if (context)
		eglDestroyContext(e->display, context);
}

int gpu_egl_make_current(struct gpu_egl *e, void *context)
{
	eglBindAPI(e->api);
	return eglMakeCurrent(e->display, EGL_NO_SURFACE, EGL_NO_SURFACE, context ? context : EGL_NO_CONTEXT) ? 0
													      : -EIO;
}

void *gpu_egl_current(struct gpu_egl *e)
{
	eglBindAPI(e->api);
	return eglGetCurrentContext();
}

bool gpu_egl_was_reset(struct gpu_egl *e)
{
	return e->reset_status && e->reset_status() != GL_NO_ERROR;
}

/* Planes are in descriptors of their own, or behind each other in one; neither has a place in what displays are told. */
static int export_image(const struct gpu_egl *e, EGLImageKHR image, struct gpu_egl_buffer *out)
{
	EGLuint64KHR modifier;
	EGLint stride, offset;
	int fourcc, planes, fd = -1;

	/* Each plane has a modifier, and there is room for one. */
	if (!eglExportDMABUFImageQueryMESA(e->display, image, &fourcc, &planes, NULL) || planes != 1 ||
	    !eglExportDMABUFImageQueryMESA(e->display, image, NULL, NULL, &modifier))
		return -ENOTSUP;
	if (!eglExportDMABUFImageMESA(e->display, image, &fd, &stride, &offset) || fd < 0)
		return -EIO;
	if (offset != 0 || stride <= 0) {
		close(fd);
		return -ENOTSUP;
	}
	*out = (struct gpu_egl_buffer){fd, (uint32_t)stride, (uint32_t)fourcc, modifier};
	return 0;
}

int gpu_egl_export(struct gpu_egl *e, unsigned texture, struct gpu_egl_buffer *out)
{
	const EGLint none[] = {EGL_NONE};
	EGLImageKHR image;
	int err;

	if (!e->info.dmabuf_export)
		return -ENOTSUP;
	image = eglCreateImageKHR(e->display, e->own, EGL_GL_TEXTURE_2D_KHR, (EGLClientBuffer)(uintptr_t)texture, none);
	if (image == EGL_NO_IMAGE_KHR)
		return -ENOTSUP;
	err = export_image(e, image, out);
	eglDestroyImageKHR(e->display, image);
	return err;
}

void *gpu_egl_own_context(struct gpu_egl *e)
{
	return e->own;
}
