// SPDX-License-Identifier: MIT
#include "vmm/keyboard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "vmm/character.h"
#include "vmm/vm.h"

#define PIPE_BYTES 4096
#define RETRY_NS 20000000ull

struct keyboard {
	struct vm *vm;
	struct character *character;
	int pipe[2];
	struct loop_timer retry;
};

/* A guest that doesn't read leaves the pipe full: look again later, the terminal keeps what is typed. */
static size_t room(void *owner)
{
	struct keyboard *k = owner;
	int queued;

	if (ioctl(k->pipe[0], FIONREAD, &queued) < 0 || queued >= PIPE_BYTES) {
		loop_arm_timer(vm_loop(k->vm), &k->retry, loop_now_ns() + RETRY_NS);
		return 0;
	}
	return (size_t)(PIPE_BYTES - queued);
}

static void look_again(struct loop_timer *t)
{
	struct keyboard *k = t->owner;

	character_resume(k->character);
}

static void input(void *owner, const uint8_t *bytes, size_t n)
{
	struct keyboard *k = owner;

	/* There is room: a pipe holds 16 pages by default, and one at least. */
	if (write(k->pipe[1], bytes, n) < 0)
		log_line(LOG_TOPIC_CONSOLE, LOG_DEBUG, "typed bytes lost: %s", strerror(errno));
}

static void drained(void *owner)
{
	(void)owner; /* nothing is written this way */
}

static void quit(void *owner)
{
	struct keyboard *k = owner;

	vm_end(k->vm, VM_END_USER);
}

static void power_button(void *owner)
{
	struct keyboard *k = owner;

	vm_power_button(k->vm);
}

static const struct character_ops ops = {
	.room = room,
	.input = input,
	.drained = drained,
	.quit = quit,
	.power_button = power_button,
};

int keyboard_create(struct vm *vm, struct keyboard **out)
{
	struct keyboard *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return -ENOMEM;
	k->vm = vm;
	k->retry = (struct loop_timer){.expired = look_again, .owner = k};
	if (pipe2(k->pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
		err = -errno;
		free(k);
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "--console: can't make a pipe: %s", strerror(-err));
		return err;
	}
	err = character_create("stdio", vm_loop(vm), &ops, k, &k->character);
	if (err) {
		keyboard_destroy(k);
		return err;
	}
	*out = k;
	return 0;
}

void keyboard_destroy(struct keyboard *k)
{
	if (!k)
		return;
	character_destroy(k->character);
	loop_cancel_timer(vm_loop(k->vm), &k->retry);
	close(k->pipe[0]);
	close(k->pipe[1]);
	free(k);
}

int keyboard_fd(const struct keyboard *k)
{
	return k->pipe[0];
}
