// SPDX-License-Identifier: MIT
/* mullion doctor: what it prints has its form on any host, whatever that host can do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/doctor.h"

static char output[65536];

/* doctor_main() with its standard output in @output. */
static int doctor(const char *option)
{
	char word[] = "doctor", copy[32];
	char *argv[] = {word, NULL, NULL};
	FILE *f = tmpfile();
	int saved, status;
	size_t n;

	if (option) {
		snprintf(copy, sizeof(copy), "%s", option);
		argv[1] = copy;
	}
	assert_non_null(f);
	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	assert_true(saved >= 0 && dup2(fileno(f), STDOUT_FILENO) >= 0);
	status = doctor_main(option ? 2 : 1, argv);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(f);
	n = fread(output, 1, sizeof(output) - 1, f);
	output[n] = '\0';
	fclose(f);
	return status;
}

static void every_line_has_a_verdict(void **state)
{
	int status = doctor(NULL);
	unsigned lines = 0;
	bool kvm = false, landlock = false, seccomp = false, programs = false;
	char *rest, *line;

	(void)state;
	for (line = strtok_r(output, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strstr(line, "guest can run here")) {
			assert_int_equal(status, strncmp(line, "No ", 3) ? 0 : 1);
			assert_null(strtok_r(NULL, "\n", &rest));
			break;
		}
		lines++;
		kvm |= strstr(line, "KVM device") != NULL;
		landlock |= strstr(line, "  Landlock ") != NULL;
		seccomp |= strstr(line, "  seccomp ") != NULL;
		programs |= strstr(line, "  mullion-gpu ") != NULL;
		assert_true(!strncmp(line, "ok    ", 6) || !strncmp(line, "warn  ", 6) || !strncmp(line, "fail  ", 6));
		/* What is wrong comes with a cure, after a colon. */
		if (strncmp(line, "ok", 2))
			assert_non_null(strchr(line, ':'));
	}
	assert_non_null(line);
	assert_true(kvm);
	/* What an isolated device is kept in by. */
	assert_true(landlock && seccomp && programs);
	assert_true(lines >= 10);
}

/* One string with its escapes; returns what follows it. */
static const char *skip_string(const char *s)
{
	assert_int_equal(*s, '"');
	for (s++; *s && *s != '"'; s++) {
		assert_true((unsigned char)*s >= 0x20);
		if (*s == '\\')
			s++;
	}
	assert_int_equal(*s, '"');
	return s + 1;
}

static const char *skip_space(const char *s)
{
	return s + strspn(s, " \n");
}

static void json_is_a_list_of_objects(void **state)
{
	static const char *const keys[] = {"\"verdict\"", "\"name\"", "\"text\"", "\"cure\""};
	const char *s;
	unsigned objects = 0;

	(void)state;
	assert_in_range(doctor("--json"), 0, 1);
	s = skip_space(output);
	assert_int_equal(*s++, '[');
	do {
		s = skip_space(s);
		assert_int_equal(*s++, '{');
		for (unsigned k = 0; k < 4; k++) {
			s = skip_space(s);
			assert_memory_equal(s, keys[k], strlen(keys[k]));
			s = skip_space(s + strlen(keys[k]));
			assert_int_equal(*s++, ':');
			s = skip_string(skip_space(s));
			s = skip_space(s);
			assert_int_equal(*s++, k < 3 ? ',' : '}');
		}
		objects++;
		s = skip_space(s);
	} while (*s++ == ',');
	assert_int_equal(s[-1], ']');
	assert_int_equal(*skip_space(s), '\0');
	assert_true(objects >= 10);
}

/* Without user namespaces a device's worker is kept in less well: that is said, and what to do. */
static void a_host_without_user_namespaces_is_told(void **state)
{
	pid_t child;
	int status;

	(void)state;
	fflush(stdout);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const char *line;

		/* Nobody here has a number that could be that of somebody in another one. */
		(void)!unshare(CLONE_NEWUSER);
		doctor(NULL);
		line = strstr(output, "warn  user namespaces");
		_exit(line && strstr(line, "worker") && strcspn(line, ":") < strcspn(line, "\n") ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void other_options_are_refused(void **state)
{
	(void)state;
	assert_int_equal(doctor("--jsn"), 2);
	assert_string_equal(output, "");
	assert_int_equal(doctor("--help"), 0);
	assert_non_null(strstr(output, "--json"));
	assert_non_null(strstr(output, "--pid"));
	/* And a process that no number names. */
	assert_int_equal(doctor("--pid"), 2);
	assert_string_equal(output, "");
	assert_int_equal(doctor("--pid=x"), 2);
	assert_int_equal(doctor("--pid=2147483647"), 1);
	assert_non_null(strstr(output, "there is no process 2147483647"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_line_has_a_verdict),
		cmocka_unit_test(json_is_a_list_of_objects),
		cmocka_unit_test(a_host_without_user_namespaces_is_told),
		cmocka_unit_test(other_options_are_refused),
	};

	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
