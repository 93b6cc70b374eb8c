// SPDX-License-Identifier: MIT
/* Loading a device module: what is said when it isn't there, or isn't one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/virtio/module.h"
#include "vmm/module.h"

static char folder[] = "/tmp/mullion-modules-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/mullion-%s.so", folder, name);
	return path;
}

static int set_up(void **state)
{
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(setenv("MULLION_MODULE_DIR", folder, 1), 0);
	f = fopen(path_of("text"), "we");
	assert_non_null(f);
	fputs("not a shared object\n", f);
	fclose(f);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path_of("text"));
	unlink(path_of("math"));
	rmdir(folder);
	return 0;
}

static void a_missing_module_says_where_it_was_looked_for(void **state)
{
	const struct device_module *m = (void *)1;
	char why[512];

	(void)state;
	assert_int_equal(module_find("nowhere", &m, why, sizeof(why)), -ENOENT);
	assert_null(m);
	assert_non_null(strstr(why, "mullion-nowhere.so"));
	assert_non_null(strstr(why, "MULLION_MODULE_DIR"));
	assert_null(strchr(why, '\n'));
}

static void a_name_is_no_path(void **state)
{
	const struct device_module *m;
	char why[512];

	(void)state;
	assert_int_not_equal(module_find("../text", &m, why, sizeof(why)), 0);
	assert_int_not_equal(module_find("", &m, why, sizeof(why)), 0);
}

static void a_file_that_is_no_library_is_named(void **state)
{
	const struct device_module *m;
	char why[512];

	(void)state;
	assert_int_equal(module_find("text", &m, why, sizeof(why)), -ELIBACC);
	assert_non_null(strstr(why, path_of("text")));
	assert_null(m);
}

static void a_library_that_is_no_module_is_refused(void **state)
{
	static const char *const libraries[] = {"/lib/x86_64-linux-gnu/libm.so.6", "/lib64/libm.so.6",
						"/lib/aarch64-linux-gnu/libm.so.6", "/usr/lib/libm.so.6"};
	const struct device_module *m;
	char why[512];
	unsigned i = 0;

	(void)state;
	while (i < 4 && access(libraries[i], R_OK))
		i++;
	if (i == 4 || symlink(libraries[i], path_of("math")))
		skip();
	assert_int_equal(module_find("math", &m, why, sizeof(why)), -ELIBBAD);
	assert_non_null(strstr(why, DEVICE_MODULE_SYMBOL));
	assert_null(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_module_says_where_it_was_looked_for),
		cmocka_unit_test(a_name_is_no_path),
		cmocka_unit_test(a_file_that_is_no_library_is_named),
		cmocka_unit_test(a_library_that_is_no_module_is_refused),
	};

	return cmocka_run_group_tests_name("module", tests, set_up, tear_down);
}
