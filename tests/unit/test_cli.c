// SPDX-License-Identifier: MIT
/* The mullion program from outside: exit statuses, and one clear line for everything that can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tests/lib/command.h"
#include "tests/lib/tap.h"

static char dir[] = "/tmp/mullion-cli-XXXXXX";

static void save(const char *name, const char *bytes, size_t n)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

/* Writes "ok" to the serial port, then byte @value to @port; by hand, so that no assembler is needed. */
static void save_guest(uint16_t port, uint8_t value)
{
	const uint8_t code[] = {
		0x66, 0xba,  0xf8,	    0x03, /* mov $0x3f8, %dx */
		0xb0, 'o',   0xee,	    0xb0,
		'k',  0xee,  0xb0,	    '\n',
		0xee, /* mov $byte, %al; out %al, %dx */
		0x66, 0xba,  (uint8_t)port, (uint8_t)(port >> 8),
		0xb0, value, 0xee, /* the same with @port */
		0xf4, 0xeb,  0xfd, /* hlt, for good */
	};

	save("guest.bin", (const char *)code, sizeof(code));
}

static void help_and_version(void **state)
{
	struct command_result r;

	(void)state;
	command_run("help", &r);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "doctor"));
	command_run("--version", &r);
	assert_int_equal(r.status, 0);
	assert_memory_equal(r.out, "mullion ", 8);
	command_run("run --help", &r);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "--kernel FILE"));
	command_run("", &r);
	assert_int_equal(r.status, 2);
	assert_non_null(strstr(r.err, "Usage:"));
}

static void wrong_usage_exits_with_2(void **state)
{
	(void)state;
	command_says("rnu", 2, "did you mean run?");
	command_says("fly", 2, "mullion help");
	command_says("run", 2, "--kernel");
	command_says("run --kernle x", 2, "did you mean --kernel?");
	command_says("run --kernel x --memory lots", 2, "--memory lots");
	command_says("run x", 2, "--kernel x");
	/* Of 65 letters, of which the first 64 could be another guest's. */
	command_says("ctl --name nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn status", 2, "a name is");
}

/* What `mullion ctl` says of a guest whose process is stopped: its socket's queue is full, as nobody takes clients from it. */
static void a_guest_that_hangs_is_named_and_not_waited_for(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "mullion/stuck.sock"};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), full[8];
	struct command_result r;
	unsigned count = 0;

	(void)state;
	setenv("XDG_RUNTIME_DIR", dir, 1);
	assert_int_equal(mkdir("mullion", 0700), 0);
	assert_int_equal(bind(listener, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 0), 0);
	do {
		assert_true(count < 8);
		full[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	} while (!connect(full[count++], (const struct sockaddr *)&a, sizeof(a)));
	alarm(60);
	command_says("ctl --name stuck status", 1, "mullion run hangs");
	command_says("ctl status", 1, "mullion run hangs");
	command_run("ctl list", &r);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "stuck\n");
	alarm(0);
	while (count > 0)
		close(full[--count]);
	close(listener);
	assert_int_equal(unlink(a.sun_path), 0);
	assert_int_equal(rmdir("mullion"), 0);
	unsetenv("XDG_RUNTIME_DIR");
}

static void every_guest_is_listed(void **state)
{
	enum { GUESTS = 25 };
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct command_result r;
	int listeners[GUESTS];
	unsigned lines = 0;

	(void)state;
	setenv("XDG_RUNTIME_DIR", dir, 1);
	assert_int_equal(mkdir("mullion", 0700), 0);
	for (int i = 0; i < GUESTS; i++) {
		snprintf(a.sun_path, sizeof(a.sun_path), "mullion/g%02d.sock", i);
		listeners[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(listeners[i], (const struct sockaddr *)&a, sizeof(a)), 0);
		assert_int_equal(listen(listeners[i], 4), 0);
	}
	command_run("ctl list", &r);
	assert_int_equal(r.status, 0);
	for (const char *c = r.out; (c = strchr(c, '\n')); c++)
		lines++;
	assert_int_equal(lines, GUESTS);
	assert_non_null(strstr(r.out, "g00\n"));
	assert_non_null(strstr(r.out, "g24\n"));
	command_says("ctl list here", 2, "list takes no arguments");
	command_says("ctl --json list", 2, "list takes no arguments");
	for (int i = 0; i < GUESTS; i++) {
		close(listeners[i]);
		snprintf(a.sun_path, sizeof(a.sun_path), "mullion/g%02d.sock", i);
		assert_int_equal(unlink(a.sun_path), 0);
	}
	assert_int_equal(rmdir("mullion"), 0);
	unsetenv("XDG_RUNTIME_DIR");
}

static void need_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		print_message("# SKIP no access to /dev/kvm\n");
		skip();
	}
	close(fd);
}

static void what_is_missing_is_named(void **state)
{
	char line[PATH_MAX + 64] = "run --kernel guest.bin --ctl /";

	(void)state;
	need_kvm();
	save_guest(0x605, 0x34);
	save("notes", "a text file\n", 12);
	command_says("run --kernel nowhere", 1, "nowhere: can't open the kernel");
	command_says("run --kernel notes", 1, "notes: text file");
	command_says("run --kernel guest.bin --initrd nowhere", 1, "nowhere: can't open the initrd");
	command_says("run --kernel guest.bin --cpus 99999", 1, "--cpus 99999: at most");
	command_says("run --kernel guest.bin --memory 8000000G", 1, "--memory: at most");
	command_says("run --kernel guest.bin --memory 1000000M", 1, "--memory:");
	command_says("run --kernel guest.bin --disk nowhere", 1, "nowhere: ");
	command_says("run --kernel guest.bin --serial socket:no/where", 1, "no/where: ");
	command_says("run --kernel guest.bin --net passt=nowhere", 1, "nowhere: ");
	memset(line + strlen(line), 'c', PATH_MAX);
	command_says(line, 1, "too long for a socket");
}

static void a_gpu_that_was_named_is_used_or_nothing(void **state)
{
	char module[sizeof(command_path) + 16];

	(void)state;
	need_kvm();
	snprintf(module, sizeof(module), "%s-gpu.so", command_path);
	if (access(module, R_OK) != 0)
		tap_skip("mullion-gpu.so is not built");
	save_guest(0x605, 0x34);
	command_says("run --kernel guest.bin --gpu render-node=/dev/nowhere", 1, "/dev/nowhere: No such file");
}

static void exit_status_tells_how_the_guest_ended(void **state)
{
	static const struct {
		uint16_t port;
		uint8_t value;
		int status;
	} cases[] = {
		{0x605, 0x34, 0}, /* the upper half of PM1 control: sleep now, type 5 */
		{0xcf9, 0x06, 3},
		{0x505, 0x01, 4},
	};
	static const char *const transports[] = {"pci", "mmio"};

	(void)state;
	need_kvm();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t k = 0; k < 2; k++) {
			struct command_result r;
			char line[128];

			save_guest(cases[i].port, cases[i].value);
			snprintf(line, sizeof(line), "run --kernel guest.bin --memory 32M --transport %s",
				 transports[k]);
			command_run(line, &r);
			if (r.status != cases[i].status || strcmp(r.out, "ok\n"))
				fail_msg("port 0x%x, %s: status %d, output \"%s\", errors \"%s\"", cases[i].port,
					 transports[k], r.status, r.out, r.err);
		}
	}
	/* Standard output that is closed is no reason to write elsewhere, or to fail. */
	save_guest(0x605, 0x34);
	assert_int_equal(setenv("PROGRAM", command_path, 1), 0);
	assert_int_equal(system("\"$PROGRAM\" run --kernel guest.bin --memory 32M <&- >&- 2>&-"), 0);
}

/* Start the guest on a pseudo terminal of its own; returns the other end, where its "ok" has been read. */
static int run_on_terminal(pid_t *pid, struct termios *before)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	char text[64] = "";
	size_t n = 0;

	assert_true(master >= 0 && !grantpt(master) && !unlockpt(master));
	assert_int_equal(tcgetattr(master, before), 0);
	assert_true(before->c_lflag & ICANON);
	*pid = fork();
	assert_true(*pid >= 0);
	if (!*pid) {
		const struct rlimit no_core = {0};
		int slave;

		setrlimit(RLIMIT_CORE, &no_core);
		setsid();
		slave = open(ptsname(master), O_RDWR); /* becomes the controlling terminal */
		dup2(slave, 0);
		dup2(slave, 1);
		dup2(slave, 2);
		close(master);
		execl(command_path, "mullion", "run", "--kernel", "guest.bin", "--memory", "32M", (char *)NULL);
		_exit(127);
	}
	while (!strstr(text, "ok")) {
		struct pollfd p = {.fd = master, .events = POLLIN};
		ssize_t got;

		assert_int_equal(poll(&p, 1, 10000), 1);
		got = read(master, text + n, sizeof(text) - 1 - n);
		if (got <= 0)
			fail_msg("the guest did not start: %s", text);
		n += (size_t)got;
	}
	return master;
}

/* Ctrl-A X, signals, and a crash: the terminal is as it was. */
static void terminal_is_put_back(void **state)
{
	static const struct {
		const char *typed;
		int signal_number; /* 0: none */
		int status;	   /* as waitpid() tells it */
	} cases[] = {
		{"\x03z\x01h\x01x", 0, 5 << 8},
		{"", SIGTERM, 5 << 8},
		{"", SIGHUP, 5 << 8},
		{"", SIGSEGV, SIGSEGV},
	};

	(void)state;
	need_kvm();
	save_guest(0x80, 0); /* and then it halts */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct termios before, during, after;
		int status, master;
		pid_t pid;

		master = run_on_terminal(&pid, &before);
		assert_int_equal(tcgetattr(master, &during), 0);
		assert_false(during.c_lflag & (ICANON | ECHO | ISIG));
		assert_int_equal(write(master, cases[i].typed, strlen(cases[i].typed)), strlen(cases[i].typed));
		if (cases[i].signal_number)
			kill(pid, cases[i].signal_number);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (cases[i].signal_number != SIGSEGV)
			assert_int_equal(status, cases[i].status);
		else /* a sanitizer exits instead */
			assert_true(WIFEXITED(status) || WTERMSIG(status) == SIGSEGV);
		assert_int_equal(tcgetattr(master, &after), 0);
		assert_int_equal(after.c_lflag, before.c_lflag);
		assert_int_equal(after.c_iflag, before.c_iflag);
		close(master);
	}
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) && !chdir(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	unlink("guest.bin");
	unlink("notes");
	return chdir("/") || rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(help_and_version),
		cmocka_unit_test(wrong_usage_exits_with_2),
		cmocka_unit_test(what_is_missing_is_named),
		cmocka_unit_test(exit_status_tells_how_the_guest_ended),
		cmocka_unit_test(terminal_is_put_back),
		cmocka_unit_test(a_guest_that_hangs_is_named_and_not_waited_for),
		cmocka_unit_test(every_guest_is_listed),
		cmocka_unit_test(a_gpu_that_was_named_is_used_or_nothing),
	};

	if (!command_find("mullion")) {
		puts("1..0 # SKIP the mullion program is not built (make vmm)");
		return 0;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
