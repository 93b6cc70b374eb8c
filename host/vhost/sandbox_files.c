// SPDX-License-Identifier: MIT
/* The files that a sandboxed program may reach: tables, and which of their rows are there on this host. */
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "host/vhost/sandbox_parts.h"

/* Libraries, and what GL drivers read. None of it is a user's. */
static const struct sandbox_path gpu_paths[] = {
	{"/usr/lib", SANDBOX_READ},
	{"/usr/lib32", SANDBOX_READ},
	{"/usr/lib64", SANDBOX_READ},
	{"/usr/local/lib", SANDBOX_READ},
	{"/lib", SANDBOX_READ},
	{"/lib64", SANDBOX_READ},
	{"/nix/store", SANDBOX_READ},
	{"/run/opengl-driver", SANDBOX_READ},
	{"/etc/ld.so.cache", SANDBOX_READ},
	{"/etc/alternatives", SANDBOX_READ},
	{"/etc/glvnd", SANDBOX_READ},
	{"/etc/egl", SANDBOX_READ},
	{"/etc/drirc", SANDBOX_READ},
	{"/etc/nvidia", SANDBOX_READ},
	{"/usr/share/glvnd", SANDBOX_READ},
	{"/usr/share/egl", SANDBOX_READ},
	{"/usr/share/drirc.d", SANDBOX_READ},
	{"/usr/share/libdrm", SANDBOX_READ},
	{"/usr/share/nvidia", SANDBOX_READ},
	{"/sys/devices/system/cpu", SANDBOX_READ},
	{"/sys/dev/char", SANDBOX_READ},
	{"/dev/null", SANDBOX_DEVICE},
	{"/dev/zero", SANDBOX_DEVICE},
	{"/dev/urandom", SANDBOX_READ},
	{"/dev/udmabuf", SANDBOX_DEVICE},
	{"/dev/nvidiactl", SANDBOX_DEVICE},
	{"/dev/nvidia[0-9]*", SANDBOX_DEVICE},
	{"/dev/nvidia-modeset", SANDBOX_DEVICE},
	{"/dev/nvidia-uvm", SANDBOX_DEVICE},
	{NULL, SANDBOX_READ},
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

static int add_pattern(struct sandbox *s, const char *pattern, enum sandbox_access access, bool gpu)
{
	glob_t found;
	int err = 0;

	if (glob(pattern, GLOB_NOSORT, NULL, &found))
		return 0;
	for (size_t i = 0; !err && i < found.gl_pathc; i++) {
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
		err = add_pattern(s, row->pattern, row->access, false);
	for (const char *const *v = p->path_variables; !err && *v; v++)
		err = add_variable(s, *v);
	if (!err)
		err = add_pattern(s, s->config.device ? s->config.device : p->device_pattern, SANDBOX_DEVICE, true);
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
