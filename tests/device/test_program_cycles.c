// SPDX-License-Identifier: MIT
/*
 * The programs mullion-gpu and mullion-video, with their workers in the sandbox, under guests that start the device, use it
 * and reset it a thousand times: none of their processes keeps a descriptor, a thread, or memory that grows with the number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/virtio_media.h"
#include "tests/lib/gpu_world.h"
#include "tests/lib/program_path.h"
#include "tests/lib/tap.h"
#include "tests/lib/usage.h"
#include "tests/lib/vhost_peer.h"
#include "tests/lib/video_world.h"

/*
 * What is in use differs from one look to the next: codecs of streams that are gone are still stopping, and libraries keep
 * something for each of their threads. So the least of some looks counts.
 */
enum { LOOKS = 20, TRIES = 3, MOST_PROCESSES = 8 };
#ifdef __SANITIZE_ADDRESS__
enum { WARM_UP = 20, CYCLES = 100 }; /* each is slow */
#else
enum { WARM_UP = 200, CYCLES = 1000 };
#endif
/* What drivers allocate stays theirs. */
#define GUEST_BYTES (128u << 20)
/* What the processes may have more of: KiB of memory that is theirs alone, and threads that GLib keeps for the next. */
enum { MOST_KIB = CYCLES, MOST_THREADS = 8 };

struct served {
	pid_t keeper;
	struct vhost_peer *peer;
};

static void begin(struct served *s, const char *name, char *const *words,
		  struct vhost_peer *(*create)(const struct fake_guest_options *options, int fd))
{
	static char program[512];
	int pair[2];

	if (!program_path(name, program, sizeof(program)) || access(program, X_OK))
		tap_skip("the program is not built in this folder");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	s->keeper = fork();
	assert_true(s->keeper >= 0);
	if (!s->keeper) {
		char *argv[8] = {program, (char *)(uintptr_t) "--fd", (char *)(uintptr_t) "3"};

		for (unsigned i = 0; words[i]; i++)
			argv[3 + i] = words[i];
		/* Heaps of so many threads take a thousand cycles until each has grown to what it needs. */
		setenv("MALLOC_ARENA_MAX", "1", 1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!getenv("MULLION_LOG"))
			dup2(open("/dev/null", O_RDWR), STDERR_FILENO);
		if (dup2(pair[1], 3) == 3)
			execv(program, argv);
		_exit(127);
	}
	close(pair[1]);
	s->peer = create(&(struct fake_guest_options){.event_idx = true, .indirect = true, .memory_bytes = GUEST_BYTES},
			 pair[0]);
}

static void end(struct served *s)
{
	int status;

	vhost_peer_disconnect(s->peer);
	assert_int_equal(waitpid(s->keeper, &status, 0), s->keeper);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	virtio_device_finish(&s->peer->device);
	vhost_peer_destroy(s->peer);
}

/* ---- what its processes use ---- */

struct use {
	unsigned processes, fds, threads;
	unsigned long kib; /* without the guest's memory */
};

static unsigned long own_kib(pid_t pid)
{
	unsigned long kib = 0;
	char text[128];
	FILE *f;

	snprintf(text, sizeof(text), "/proc/%d/status", (int)pid);
	f = fopen(text, "re");
	assert_non_null(f);
	while (fgets(text, sizeof(text), f) && sscanf(text, "RssAnon: %lu", &kib) != 1)
		;
	fclose(f);
	return kib;
}

/* Of @pid and all below it. False: this kernel doesn't tell. */
static bool add_use(pid_t pid, struct use *u)
{
	bool good = true;
	char path[64];
	int child;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	if (++u->processes > MOST_PROCESSES)
		return false;
	f = fopen(path, "re");
	if (!f)
		return false;
	u->fds += usage_count(pid, "fd");
	u->threads += usage_count(pid, "task");
	u->kib += own_kib(pid);
	while (good && fscanf(f, "%d", &child) == 1)
		good = add_use(child, u);
	fclose(f);
	return good;
}

typedef void cycle_fn(struct vhost_peer *p, unsigned n);

static void cycles(struct served *s, cycle_fn *cycle, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(fake_guest_start(s->peer->guest, &s->peer->device), 0);
		cycle(s->peer, i);
		/* The others leave that to the next driver. */
		if (i % 2)
			fake_guest_reset(s->peer->guest);
	}
}

/* The least of some looks. */
static struct use least_use(struct served *s, cycle_fn *cycle)
{
	struct use least = {~0u, ~0u, ~0u, ~0ul};

	for (unsigned i = 0; i < LOOKS; i++) {
		struct use u = {0};

		cycles(s, cycle, 2);
		usleep(5000);
		if (!add_use(s->keeper, &u)) {
			end(s);
			tap_skip("this kernel does not list the children of a process");
		}
		least.processes = u.processes < least.processes ? u.processes : least.processes;
		least.fds = u.fds < least.fds ? u.fds : least.fds;
		least.threads = u.threads < least.threads ? u.threads : least.threads;
		least.kib = u.kib < least.kib ? u.kib : least.kib;
	}
	return least;
}

static void check(const char *program, char *const *words,
		  struct vhost_peer *(*create)(const struct fake_guest_options *options, int fd), cycle_fn *cycle)
{
	struct use before, after;
	struct served s;
	bool more = true;

	begin(&s, program, words, create);
	cycles(&s, cycle, WARM_UP);
	after = least_use(&s, cycle);
	/* An allocator may take more once, for good; what leaks grows each time. */
	for (unsigned i = 0; i < TRIES && more; i++) {
		before = after;
		cycles(&s, cycle, CYCLES);
		after = least_use(&s, cycle);
		printf("# %u processes; %d cycles more: %+d descriptors, %+d threads, %+ld KiB\n", after.processes,
		       CYCLES, (int)(after.fds - before.fds), (int)(after.threads - before.threads),
		       (long)(after.kib - before.kib));
		/* A keeper and a worker, the same ones all the time: what others had would be gone with them. */
		assert_true(after.processes >= 2);
		assert_int_equal(after.processes, before.processes);
		more = after.fds > before.fds || after.threads > before.threads + MOST_THREADS ||
		       (USAGE_MEMORY_TELLS && after.kib > before.kib + MOST_KIB);
	}
	assert_false(more);
	end(&s);
}

/* ---- the guests ---- */

static void show_a_picture(struct vhost_peer *p, unsigned n)
{
	struct gpu_world w = {.guest = p->guest, .device = &p->device};
	const struct virtio_gpu_rect all = {0, 0, 64, 32};
	uint32_t *pixels;

	assert_int_equal(gpu_create_2d(&w, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 64, 32), VIRTIO_GPU_RESP_OK_NODATA);
	pixels = gpu_back(&w, 1, 64 * 32 * 4, NULL);
	memset(pixels, (int)n, 64 * 32 * 4);
	assert_int_equal(gpu_scan(&w, 0, 1, all), VIRTIO_GPU_RESP_OK_NODATA);
	assert_int_equal(gpu_transfer(&w, 1, all, 0), VIRTIO_GPU_RESP_OK_NODATA);
	assert_int_equal(gpu_flush(&w, 1, all), VIRTIO_GPU_RESP_OK_NODATA);
	if (n % 3 == 0)
		assert_int_equal(gpu_unref(&w, 1), VIRTIO_GPU_RESP_OK_NODATA);
}

/* A codec begins with the first input: it is reset while it looks for a picture in what is none. */
static void begin_to_decode(struct vhost_peer *p, unsigned n)
{
	struct video_world w = {.guest = p->guest, .device = &p->device};
	uint64_t gpa;

	assert_int_equal(video_create_stream(&w, 1, VIRTIO_VIDEO_FORMAT_H264), VIDEO_OK);
	assert_int_equal(video_create_buffer(&w, 1, VIDEO_IN, 1, 4096, &gpa), VIDEO_OK);
	memset(fake_guest_ptr(p->guest, gpa, 4096), (int)n, 4096);
	assert_int_equal(video_create_buffer(&w, 1, VIDEO_OUT, 1, 4096, NULL), VIDEO_OK);
	video_queue(&w, 1, VIDEO_IN, 1, 1024, n);
	video_settle(&w);
	if (n % 3 == 0)
		assert_int_equal(video_simple(&w, VIRTIO_VIDEO_CMD_STREAM_DESTROY, 1), VIDEO_OK);
}

static void open_two_sessions(struct vhost_peer *p, unsigned n)
{
	const struct virtio_media_cmd_open open = {.hdr.cmd = VIRTIO_MEDIA_CMD_OPEN};
	struct virtio_media_resp_open opened;

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fake_guest_request(p->guest, 0, &open, sizeof(open), &opened, sizeof(opened), NULL),
				 0);
		assert_int_equal(opened.hdr.status, 0);
	}
	if (n % 3 == 0) {
		const struct virtio_media_cmd_close close = {.hdr.cmd = VIRTIO_MEDIA_CMD_CLOSE,
							     .session_id = opened.session_id};

		assert_int_equal(fake_guest_request(p->guest, 0, &close, sizeof(close), NULL, 0, NULL), 0);
	}
}

#define WORD(text) ((char *)(uintptr_t)(text))

static void a_thousand_drivers_leave_a_gpu_as_it_was(void **state)
{
	char *const words[] = {NULL};

	(void)state;
	check("mullion-gpu", words, vhost_peer_create_gpu, show_a_picture);
}

static void a_thousand_drivers_leave_a_decoder_as_it_was(void **state)
{
	char *const words[] = {WORD("--role"), WORD("decoder"), NULL};

	(void)state;
	check("mullion-video", words, vhost_peer_create_video, begin_to_decode);
}

static void a_thousand_drivers_leave_a_media_device_as_it_was(void **state)
{
	char *const words[] = {WORD("--video"), WORD("proto=virtio-media"), NULL};

	(void)state;
	check("mullion-video", words, vhost_peer_create_media, open_two_sessions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thousand_drivers_leave_a_gpu_as_it_was),
		cmocka_unit_test(a_thousand_drivers_leave_a_decoder_as_it_was),
		cmocka_unit_test(a_thousand_drivers_leave_a_media_device_as_it_was),
	};

	return cmocka_run_group_tests_name("program cycles", tests, NULL, NULL);
}
