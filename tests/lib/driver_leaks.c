// SPDX-License-Identifier: MIT
/*
 * For tests under the leak checker that start EGL: what OpenGL drivers leak is not ours to mend. The checker tells
 * drivers from us by their file's name, which it no longer has once they are unloaded; so they stay.
 */
#include <dlfcn.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define CHECKS_LEAKS
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define CHECKS_LEAKS
#endif

#ifdef CHECKS_LEAKS
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:_dri.so\nleak:libgallium\nleak:libLLVM\nleak:libEGL\nleak:libGL\nleak:libvirglrenderer\n";
}

int dlclose(void *handle)
{
	(void)handle;
	return 0;
}
#else
typedef int driver_leaks_are_not_checked;
#endif
