// SPDX-License-Identifier: MIT
#include "vmm/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define CTRL_A 0x01

static struct termios saved, raw;
static atomic_bool is_raw;

/* The signals that end a process on the spot, with a terminal that nobody else would put back. */
static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ};

/* Does nothing from the background: the terminal then is the shell's. A job brought back gets SIGCONT. */
static void set(const struct termios *mode)
{
	sigset_t block, old;

	if (tcgetpgrp(STDIN_FILENO) != getpgrp())
		return;
	/* Should the foreground change just now: no change is worth being stopped in a signal handler. */
	sigemptyset(&block);
	sigaddset(&block, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &block, &old);
	while (tcsetattr(STDIN_FILENO, TCSANOW, mode) < 0 && errno == EINTR)
		;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void terminal_restore(void)
{
	if (atomic_exchange(&is_raw, false))
		set(&saved);
}

static void on_fatal(int signal_number)
{
	terminal_restore();
	/* The handler was for one time: now the signal's own effect, with its core dump and exit status. */
	raise(signal_number);
}

bool terminal_raw(void)
{
	struct sigaction action = {.sa_handler = on_fatal, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) < 0)
		return false;
	raw = saved;
	raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INLCR | IGNCR | INPCK | ISTRIP | IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
	raw.c_cflag |= CS8;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	atexit(terminal_restore);
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		sigaction(fatal[i], &action, NULL);
	set(&raw);
	atomic_store(&is_raw, true);
	return true;
}

void terminal_continue(void)
{
	if (atomic_load(&is_raw))
		set(&raw);
}

static void print_help(void)
{
	/* Output processing stays on: a line feed is enough. */
	static const char help[] = "\nCtrl-A X  end the guest\nCtrl-A P  press its power button\nCtrl-A H  this help\n"
				   "Ctrl-A Ctrl-A  send Ctrl-A\n";
	ssize_t done = write(STDERR_FILENO, help, sizeof(help) - 1);

	(void)done; /* nobody to tell */
}

enum terminal_action terminal_filter(struct terminal_filter *f, uint8_t *bytes, size_t *n)
{
	enum terminal_action action = TERMINAL_NONE;
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++) {
		uint8_t c = bytes[i];

		if (!f->escaped) {
			if (c == CTRL_A)
				f->escaped = true;
			else
				bytes[kept++] = c;
			continue;
		}
		f->escaped = false;
		if (c == 'x' || c == 'X') {
			*n = kept;
			return TERMINAL_QUIT;
		}
		if (c == 'p' || c == 'P')
			action = TERMINAL_POWER_BUTTON;
		else if (c == 'h' || c == 'H' || c == '?')
			print_help();
		else if (c == CTRL_A || c == 'a' || c == 'A')
			bytes[kept++] = CTRL_A;
		/* Any other key is not an escape and not the guest's. */
	}
	*n = kept;
	return action;
}
