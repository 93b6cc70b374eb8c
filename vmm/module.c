// SPDX-License-Identifier: MIT
#include "vmm/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/virtio/module.h"
#include "host/virtio/screen_module.h"

/* The Debian package of each library that a module may ask for; a prefix, so that any version of it matches. */
static const struct {
	const char *library, *package;
} packages[] = {
	{"libvirglrenderer.so", "libvirglrenderer1"},
	{"libepoxy.so", "libepoxy0"},
	{"libEGL.so", "libegl1"},
	{"libGLESv2.so", "libgles2"},
	{"libGL.so", "libgl1"},
	{"libgbm.so", "libgbm1"},
	{"libdrm.so", "libdrm2"},
	{"libpixman-1.so", "libpixman-1-0"},
	{"libpng16.so", "libpng16-16"},
	{"libvncserver.so", "libvncserver1"},
	{"libgstreamer-1.0.so", "libgstreamer1.0-0"},
	{"libgstapp-1.0.so", "libgstreamer-plugins-base1.0-0"},
	{"libgstvideo-1.0.so", "libgstreamer-plugins-base1.0-0"},
	{"libglib-2.0.so", "libglib2.0-0"},
	{"libgobject-2.0.so", "libglib2.0-0"},
};

/* Of the executable: the build tree, a bundle, or $(bindir). */
static int own_folder(char *folder, size_t bytes)
{
	ssize_t n = readlink("/proc/self/exe", folder, bytes - 1);
	char *slash;

	if (n < 0)
		return -errno;
	folder[n] = '\0';
	slash = strrchr(folder, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	return 0;
}

/* Where `make install` puts modules, whatever the prefix was when the program was built. */
#define LIB_BESIDE_BIN "/../lib/mullion"

static int in_folder(const char *folder, const char *name, char *path, size_t bytes)
{
	int n = folder && *folder ? snprintf(path, bytes, "%s/mullion-%s.so", folder, name) : -1;

	return n > 0 && (size_t)n < bytes && access(path, F_OK) == 0 ? 0 : -ENOENT;
}

static int locate(const char *name, char *path, size_t bytes)
{
	char own[PATH_MAX], beside[PATH_MAX + sizeof(LIB_BESIDE_BIN)] = "";
	const char *folders[] = {own, getenv("MULLION_MODULE_DIR"), beside, MULLION_LIBDIR};

	/* A module name is a word: it becomes part of a path. */
	if (!*name || strchr(name, '/'))
		return -EINVAL;
	if (own_folder(own, sizeof(own)))
		*own = '\0';
	else
		snprintf(beside, sizeof(beside), "%s" LIB_BESIDE_BIN, own);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (in_folder(folders[i], name, path, bytes) == 0)
			return 0;
	}
	return -ENOENT;
}

int module_program(const char *name, char *path, size_t bytes)
{
	char folder[PATH_MAX];
	int n = own_folder(folder, sizeof(folder)) ? -1 : snprintf(path, bytes, "%s/mullion-%s", folder, name);

	return n > 0 && (size_t)n < bytes && access(path, X_OK) == 0 ? 0 : -ENOENT;
}

/* dlerror() reads "libfoo.so.1: cannot open shared object file: No such file or directory" when a library is missing. */
static void explain(const char *path, const char *error, char *why, size_t bytes)
{
	for (size_t i = 0; error && i < sizeof(packages) / sizeof(packages[0]); i++) {
		if (strncmp(error, packages[i].library, strlen(packages[i].library)))
			continue;
		snprintf(why, bytes, "%s needs %s, which is not installed: sudo apt-get install %s", path,
			 packages[i].library, packages[i].package);
		return;
	}
	snprintf(why, bytes, "%s can't be loaded: %s; rebuild it (make) or install what it names", path,
		 error ? error : "unknown reason");
}

/* @symbol begins with an interface number, which must be @abi. */
static int find(const char *name, const char *symbol, uint32_t abi, const void **out, char *why, size_t why_bytes)
{
	const uint32_t *found;
	char path[PATH_MAX];
	void *handle;

	*out = NULL;
	if (locate(name, path, sizeof(path))) {
		snprintf(why, why_bytes,
			 "no module mullion-%s.so beside the program, in $MULLION_MODULE_DIR or in %s: build it (make) "
			 "or name "
			 "its folder in MULLION_MODULE_DIR",
			 name, MULLION_LIBDIR);
		return -ENOENT;
	}
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		explain(path, dlerror(), why, why_bytes);
		return -ELIBACC;
	}
	found = dlsym(handle, symbol);
	if (!found) {
		snprintf(why, why_bytes, "%s is not a mullion module (it has no %s): name another folder", path, symbol);
	} else if (*found != abi) {
		snprintf(why, why_bytes,
			 "%s is for another version of mullion (interface %u, this one has %u): rebuild it with make",
			 path, *found, abi);
	} else {
		*out = found;
		return 0;
	}
	dlclose(handle);
	return -ELIBBAD;
}

int module_find(const char *name, const struct device_module **out, char *why, size_t why_bytes)
{
	const void *found;
	int err = find(name, DEVICE_MODULE_SYMBOL, DEVICE_MODULE_ABI, &found, why, why_bytes);

	*out = err ? NULL : found;
	return err;
}

int module_load(const char *name, const struct device_module **out)
{
	char why[PATH_MAX + 512];
	int err = module_find(name, out, why, sizeof(why));

	if (err)
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "%s", why);
	return err;
}

int module_load_screen(const struct screen_module **out)
{
	char why[PATH_MAX + 512];
	const void *found;
	int err = find("display", SCREEN_MODULE_SYMBOL, SCREEN_MODULE_ABI, &found, why, sizeof(why));

	if (err)
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "%s", why);
	*out = err ? NULL : found;
	return err;
}
