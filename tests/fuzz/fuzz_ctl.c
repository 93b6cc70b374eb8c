// SPDX-License-Identifier: MIT
/*
 * The control socket: any bytes, cut anywhere, get one JSON line each or a hang-up. The first byte of the input says
 * how long the pieces are.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/ctl_stub.h"
#include "vmm/ctl.h"

const unsigned fuzz_runs = 4000;

static const char *const seeds[] = {
	"\x7f{\"id\":1,\"command\":\"status\"}\n{\"id\":\"x\",\"command\":\"help\"}\n",
	"\x05{\"command\":\"display-resize\",\"display\":1,\"width\":800,\"height\":480}\n",
	"\x01{\"command\":\"display-add\",\"width\":800,\"height\":480}\n{\"command\":\"display-remove\",\"display\":1}"
	"\n",
	"\x40{\"command\":\"key\",\"key\":\"ctrl+alt+del\",\"down\":true}\n{\"command\":\"pause\"}\n{\"command\":"
	"\"resume\"}",
	"\x11{\"command\":\"pointer\",\"x\":1,\"y\":2,\"buttons\":\"left+right\"}\n{\"command\":\"touch\",\"finger\":1,"
	"\"up\":true}\n",
	"\x30{\"command\":\"screenshot\",\"path\":\"relative\",\"display\":0}\n{\"command\":\"power-button\"}\n",
};

size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	size_t n;

	if (index >= sizeof(seeds) / sizeof(seeds[0]))
		return 0;
	n = strlen(seeds[index]);
	n = n < cap ? n : cap;
	memcpy(buf, seeds[index], n);
	return n;
}

static void check(bool good)
{
	if (!good)
		abort();
}

/* Every line must be an object that says "ok", but for the greeting. */
static void read_answers(int fd)
{
	static char answers[CTL_OUTPUT_MAX * 2];
	size_t bytes = 0;
	ssize_t n;

	while (bytes < sizeof(answers) - 1 &&
	       (n = recv(fd, answers + bytes, sizeof(answers) - 1 - bytes, MSG_DONTWAIT)) > 0)
		bytes += (size_t)n;
	answers[bytes] = '\0';
	for (char *rest = answers, *line; (line = strsep(&rest, "\n")) && rest;) {
		struct json_object *o = json_tokener_parse(line);

		check(json_object_object_get_ex(o, line == answers ? "protocol" : "ok", NULL));
		json_object_put(o);
	}
}

static void run(struct vm *vm)
{
	for (unsigned i = 0; i < 4; i++)
		check(!loop_run_once(vm_loop(vm), 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	size_t piece = fuzz_u8(&in) + 1u;
	struct vm *vm = stub_create_still();
	struct ctl_config config = {.vm = vm};
	char path[64];
	struct ctl *ctl;
	int fds[2];

	/* Screenshots would write files where the input says. */
	ctl_stub_init(vm);
	ctl_stub.has_displays = !memmem(data, size, "screenshot", 10) && !memmem(data, size, "\\u", 2);
	snprintf(path, sizeof(path), "/tmp/mullion-fuzz-%u.sock", (unsigned)getpid());
	config.path = path;
	check(!ctl_create(&config, &ctl));
	check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	ctl_serve(ctl, fds[1]);
	while (in.left) {
		size_t n = in.left < piece ? in.left : piece;

		if (send(fds[0], in.data, n, MSG_DONTWAIT | MSG_NOSIGNAL) <= 0)
			break; /* it was dropped */
		in.data += n;
		in.left -= n;
		run(vm);
	}
	shutdown(fds[0], SHUT_WR);
	for (unsigned i = 0; i < 16; i++)
		run(vm);
	read_answers(fds[0]);
	close(fds[0]);
	ctl_close(ctl);
	ctl_destroy(ctl);
	ctl_stub_finish();
	stub_destroy(vm);
	return 0;
}
