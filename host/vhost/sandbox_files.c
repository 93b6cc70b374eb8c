// SPDX-License-Identifier: MIT
/* The files that a sandboxed program may reach: tables, and which of their rows are there on this host. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/videodev2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "host/vhost/sandbox_parts.h"

/* Libraries, what GL drivers and codecs read, and the devices that both use. None of it is a user's. */
#define COMMON_PATHS \
	{.pattern = "/usr/lib", .access = SANDBOX_READ}, \
	{.pattern = "/usr/lib32", .access = SANDBOX_READ}, \
	{.pattern = "/usr/lib64", .access = SANDBOX_READ}, \
	{.pattern = "/usr/local/lib", .access = SANDBOX_READ}, \
	{.pattern = "/lib", .access = SANDBOX_READ}, \
	{.pattern = "/lib64", .access = SANDBOX_READ}, \
	{.pattern = "/nix/store", .access = SANDBOX_READ}, \
	{.pattern = "/run/opengl-driver", .access = SANDBOX_READ}, \
	{.pattern = "/etc/ld.so.cache", .access = SANDBOX_READ}, \
	{.pattern = "/etc/alternatives", .access = SANDBOX_READ}, \
	{.pattern = "/etc/glvnd", .access = SANDBOX_READ}, \
	{.pattern = "/etc/egl", .access = SANDBOX_READ}, \
	{.pattern = "/etc/drirc", .access = SANDBOX_READ}, \
	{.pattern = "/etc/nvidia", .access = SANDBOX_READ}, \
	{.pattern = "/usr/share/glvnd", .access = SANDBOX_READ}, \
	{.pattern = "/usr/share/egl", .access = SANDBOX_READ}, \
	{.pattern = "/usr/share/drirc.d", .access = SANDBOX_READ}, \
	{.pattern = "/usr/share/libdrm", .access = SANDBOX_READ}, \
	{.pattern = "/usr/share/nvidia", .access = SANDBOX_READ}, \
	{.pattern = "/sys/devices/system/cpu", .access = SANDBOX_READ}, \
	{.pattern = "/sys/dev/char", .access = SANDBOX_READ}, \
	{.pattern = "/dev/null", .access = SANDBOX_DEVICE}, \
	{.pattern = "/dev/zero", .access = SANDBOX_DEVICE}, \
	{.pattern = "/dev/urandom", .access = SANDBOX_READ}, \
	{.pattern = "/dev/udmabuf", .access = SANDBOX_DEVICE}, \
	{.pattern = "/dev/nvidiactl", .access = SANDBOX_DEVICE}, \
	{.pattern = "/dev/nvidia[0-9]*", .access = SANDBOX_DEVICE}, \
	{.pattern = "/dev/nvidia-modeset", .access = SANDBOX_DEVICE}, \
	{.pattern = "/dev/nvidia-uvm", .access = SANDBOX_DEVICE}

static const struct sandbox_path gpu_paths[] = {COMMON_PATHS, {.pattern = NULL}};

/* Whether the V4L2 device @path is a codec. Cameras and tuners have nodes of the same name. */
static bool is_codec(const char *path)
{
	struct v4l2_capability cap = {0};
	const uint32_t m2m = V4L2_CAP_VIDEO_M2M | V4L2_CAP_VIDEO_M2M_MPLANE;
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	bool is = fd >= 0 && ioctl(fd, VIDIOC_QUERYCAP, &cap) == 0;

	if (fd >= 0)
		close(fd);
	return is && (cap.capabilities & V4L2_CAP_DEVICE_CAPS ? cap.device_caps : cap.capabilities) & m2m;
}

/*
 * By the folders in sysfs plug-ins learn which devices there are, and by media nodes how stateless codecs are set up. They
 * ask libudev, which looks for devices in every folder of /sys/bus and /sys/class that it may list.
 */
static const struct sandbox_path video_paths[] = {
	COMMON_PATHS,
	{.pattern = "/sys/devices/system/node", .access = SANDBOX_READ},
	{.pattern = "/sys/bus", .access = SANDBOX_LIST},
	{.pattern = "/sys/class", .access = SANDBOX_LIST},
	{.pattern = "/sys/class/drm/renderD*", .access = SANDBOX_READ},
	{.pattern = "/sys/class/video4linux/*", .access = SANDBOX_READ},
	{.pattern = "/dev/video[0-9]*", .access = SANDBOX_DEVICE, .is_wanted = is_codec},
	{.pattern = "/dev/media[0-9]*", .access = SANDBOX_DEVICE},
	{.pattern = NULL},
};

/* For whom tries a driver of his own. */
static const char *const gpu_path_variables[] = {
	"LD_LIBRARY_PATH",
	"LIBGL_DRIVERS_PATH",
	"GBM_BACKENDS_PATH",
	"__EGL_VENDOR_LIBRARY_DIRS",
	"__EGL_VENDOR_LIBRARY_FILENAMES",
	NULL,
};

static const struct sandbox_ioctl gpu_ioctls[] = {
	{"drm", 'd'},	 {"dma-buf", 'b'},	  {"sync_file", '>'}, {"udmabuf", 'u'},
	{"nvidia", 'F'}, {"nvidia-modeset", 'm'}, {NULL, 0},
};

const struct sandbox_profile sandbox_gpu = {
	.paths = gpu_paths,
	.device_pattern = "/dev/dri/renderD*",
	.path_variables = gpu_path_variables,
	.ioctls = gpu_ioctls,
	.processes = 512,
};

/* Plug-ins of one's own, and the list of all (host/video/gst_registry.h). */
static const char *const video_path_variables[] = {
	"LD_LIBRARY_PATH",	  "GST_PLUGIN_PATH",	 "GST_PLUGIN_PATH_1_0", "GST_PLUGIN_SYSTEM_PATH",
	"GST_PLUGIN_SYSTEM_PATH_1_0", "GST_REGISTRY", "LIBVA_DRIVERS_PATH",  NULL,
};

static const struct sandbox_ioctl video_ioctls[] = {
	{"v4l2", 'V'},	    {"media", '|'},  {"drm", 'd'},	       {"dma-buf", 'b'},
	{"sync_file", '>'}, {"udmabuf", 'u'}, {"nvidia", 'F'}, {NULL, 0},
};

const struct sandbox_profile sandbox_video = {
	.paths = video_paths,
	.device_pattern = "/dev/dri/renderD*",
	.path_variables = video_path_variables,
	.ioctls = video_ioctls,
	/* Each of 32 streams may have a thread for each processor. */
	.processes = 8192,
	.reopens_devices = true,
	.socket_pairs = true,
};

static int add(struct sandbox *s, const char *path, enum sandbox_access access)
{
	struct sandbox_file f = {.access = access, .real = realpath(path, NULL)};

	if (!f.real)
		return errno == ENOMEM ? -ENOMEM : 0;
	for (unsigned i = 0; i < s->file_count; i++) {
		if (!strcmp(s->files[i].given, path)) {
			free(f.real);
			return 0;
		}
	}
	f.given = strdup(path);
	if (!f.given || s->file_count == SANDBOX_MAX_FILES) {
		free(f.given);
		free(f.real);
		return f.given ? -E2BIG : -ENOMEM;
	}
	s->files[s->file_count++] = f;
	return 0;
}

/* A GPU's folder in sysfs: by it drivers learn which GPU they have. */
static int add_sysfs(struct sandbox *s, const char *node)
{
	char path[64];
	struct stat st;

	if (stat(node, &st) || !S_ISCHR(st.st_mode))
		return 0;
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/device", major(st.st_rdev), minor(st.st_rdev));
	return add(s, path, SANDBOX_READ);
}

static int add_pattern(struct sandbox *s, const char *pattern, enum sandbox_access access,
		       bool (*is_wanted)(const char *path), bool gpu)
{
	glob_t found;
	int err = 0;

	if (glob(pattern, GLOB_NOSORT, NULL, &found))
		return 0;
	for (size_t i = 0; !err && i < found.gl_pathc; i++) {
		if (is_wanted && !is_wanted(found.gl_pathv[i]))
			continue;
		err = add(s, found.gl_pathv[i], access);
		if (!err && gpu)
			err = add_sysfs(s, found.gl_pathv[i]);
	}
	globfree(&found);
	return err;
}

static int add_variable(struct sandbox *s, const char *name)
{
	const char *list = getenv(name);
	int err = 0;

	while (!err && list && *list) {
		size_t n = strcspn(list, ":");
		char *path = strndup(list, n);

		if (!path)
			return -ENOMEM;
		if (*path == '/')
			err = add(s, path, SANDBOX_READ);
		free(path);
		list += n + (list[n] == ':');
	}
	return err;
}

int sandbox_find_files(struct sandbox *s)
{
	const struct sandbox_profile *p = s->config.profile;
	int err = 0;

	for (const struct sandbox_path *row = p->paths; !err && row->pattern; row++)
		err = add_pattern(s, row->pattern, row->access, row->is_wanted, false);
	for (const char *const *v = p->path_variables; !err && *v; v++)
		err = add_variable(s, *v);
	if (!err)
		err = add_pattern(s, s->config.device ? s->config.device : p->device_pattern, SANDBOX_DEVICE, NULL, true);
	if (!err && s->config.writable)
		err = add(s, s->config.writable, SANDBOX_WRITE);
	return err;
}

void sandbox_forget_files(struct sandbox *s)
{
	for (unsigned i = 0; i < s->file_count; i++) {
		free(s->files[i].given);
		free(s->files[i].real);
	}
	s->file_count = 0;
}
