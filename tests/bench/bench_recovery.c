// SPDX-License-Identifier: MIT
/*
 * How long a guest sees nothing when the process of its GPU dies: from the kill to the next frame on the display, over
 * 100 kills at random moments while it draws frames in 2D on the virgl renderer, one after another.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/display/display.h"
#include "host/gpu/gpu.h"
#include "host/vhost/keeper.h"
#include "host/vhost/sandbox.h"
#include "host/vhost/server.h"
#include "host/vhost/worker.h"
#include "host/virtio/journal.h"
#include "protocol/virtio_gpu.h"
#include "tests/bench/bench.h"
#include "tests/lib/child_of.h"
#include "tests/lib/fake_guest.h"
#include "tests/lib/vhost_peer.h"

enum { KILLS = 100, SIZE = 256, PICTURE = 1 };

/* Seen by the bench and the workers. */
struct shared {
	atomic_uint spares;	/* that are ready */
	atomic_ullong shown_ns; /* when the last frame came to the display */
};

static struct shared *shared;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench_recovery: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- the worker ---- */

static int present(struct display_output *o, unsigned scanout, const struct display_frame *frame)
{
	(void)o;
	(void)scanout;
	(void)frame;
	shared->shown_ns = bench_now_ns();
	return 0;
}

static void blank(struct display_output *o, unsigned scanout)
{
	(void)o;
	(void)scanout;
}

static void destroy(struct display_output *o)
{
	(void)o;
}

static const struct display_output_ops clock_ops = {
	.name = "clock", .help = "", .present = present, .blank = blank, .destroy = destroy};

static struct worker_pulse pulse;
static struct worker_memory *memory;
static bool is_begun;

static void begun(void *owner)
{
	if (!is_begun)
		worker_pulse_start(&pulse, memory, owner);
	is_begun = true;
}

static void ended(void *owner)
{
	loop_stop(owner);
}

static int work(void *owner, const struct worker_place *place)
{
	struct display_output display = {.ops = &clock_ops};
	struct gpu_config gpu;
	struct vhost_server_config config = {
		.fd = place->link, .inflight = place->memory->rings, .begun = begun, .ended = ended};
	struct vhost_server *server;
	struct guest_mem *mem;
	struct loop *loop;

	(void)owner;
	gpu_config_init(&gpu);
	gpu.renderer = "virgl";
	gpu.display = &display;
	if (loop_create("gpu", &loop) || guest_mem_create(&mem) || journal_map(place->journal, &gpu.journal) ||
	    gpu_create(&gpu, loop, mem, &config.device))
		return 1;
	config.mem = mem;
	config.owner = loop;
	if (vhost_server_create(&config, &server))
		return 1;
	memory = place->memory;
	if (!place->spare)
		begun(loop);
	if (sandbox_lock(place->sandbox))
		return 1;
	if (place->spare)
		shared->spares++;
	loop_run(loop);
	return 0;
}

/* ---- the guest ---- */

static struct vhost_peer *peer;
static pid_t keeper;

/* The keeper's first child; a spare one is younger. In its own world it has another number. */
static pid_t find_worker(void)
{
	const pid_t pid = child_of(keeper, 0);

	if (!pid)
		die("no worker to kill");
	return pid;
}

static void command(void *request, size_t bytes)
{
	struct virtio_gpu_ctrl_hdr answer;

	if (fake_guest_request(peer->guest, VIRTIO_GPU_QUEUE_CONTROL, request, bytes, &answer, sizeof(answer), NULL))
		die("a request got no answer");
}

static void make_picture(void)
{
	struct {
		struct virtio_gpu_resource_attach_backing head;
		struct virtio_gpu_mem_entry entry;
	} attach = {
		.head = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, .resource_id = PICTURE, .nr_entries = 1},
		.entry = {.addr = fake_guest_alloc(peer->guest, SIZE * SIZE * 4, 4096), .length = SIZE * SIZE * 4},
	};
	struct virtio_gpu_resource_create_2d create = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
						       .resource_id = PICTURE,
						       .format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
						       .width = SIZE,
						       .height = SIZE};
	struct virtio_gpu_set_scanout scanout = {
		.hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT, .r = {.width = SIZE, .height = SIZE}, .resource_id = PICTURE};

	command(&create, sizeof(create));
	command(&attach, sizeof(attach));
	command(&scanout, sizeof(scanout));
}

static void frame(void)
{
	struct virtio_gpu_transfer_to_host_2d transfer = {.hdr.type = VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
							  .r = {.width = SIZE, .height = SIZE},
							  .resource_id = PICTURE};
	struct virtio_gpu_resource_flush flush = {.hdr.type = VIRTIO_GPU_CMD_RESOURCE_FLUSH,
						  .r = {.width = SIZE, .height = SIZE},
						  .resource_id = PICTURE};

	command(&transfer, sizeof(transfer));
	command(&flush, sizeof(flush));
}

static void start(bool spare)
{
	const struct keeper_config config = {
		.control = -1,
		.screen = -1,
		.name = "gpu",
		.config_bytes = sizeof(struct virtio_gpu_config),
		.journal_bytes = gpu_limits_default.journal_bytes,
		.max_deaths = KEEPER_MAX_DEATHS,
		.hang_ns = 10000000000ull,
		.work = work,
	};
	int pair[2];

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		die("start");
	keeper = fork();
	switch (keeper) {
	case -1:
		die("fork");
	case 0:
		close(pair[0]);
		/* Each death has a line, and rows are all that belongs on standard output. */
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		{
			const struct sandbox_config sandbox = {.mode = SANDBOX_AUTO, .profile = &sandbox_gpu};
			struct keeper_config mine = config;

			mine.fd = pair[1];
			mine.spare = spare;
			if (sandbox_create(&sandbox, &mine.sandbox))
				_exit(1);
			_exit(keeper_run(&mine));
		}
	default:
		break;
	}
	close(pair[1]);
	peer = vhost_peer_create_gpu(&(struct fake_guest_options){.event_idx = true, .indirect = true}, pair[0]);
	if (fake_guest_start(peer->guest, &peer->device))
		die("the device does not start");
}

static unsigned spares_seen;

/* Milliseconds from a kill to the next frame. */
static double recover(bool spare)
{
	const struct timespec moment = {.tv_nsec = rand() % 3000000};
	uint64_t killed;
	pid_t worker;

	for (unsigned i = 0; i < 5; i++)
		frame();
	/* One that stands by: it has been given the time that it needs. */
	while (spare && shared->spares == spares_seen)
		frame();
	spares_seen = shared->spares;
	nanosleep(&moment, NULL);
	worker = find_worker();
	killed = bench_now_ns();
	kill(worker, SIGKILL);
	do
		frame();
	while (shared->shown_ns < killed);
	return (double)(shared->shown_ns - killed) / 1e6;
}

/* The rows with or without a spare worker. */
static void measure(bool spare, const char *median, const char *max, const char *note)
{
	static double ms[KILLS];
	struct bench_row row = {.unit = "ms", .runs = KILLS, .note = note};

	start(spare);
	make_picture();
	for (unsigned i = 0; i < KILLS; i++)
		ms[i] = recover(spare);
	row.value = bench_median(ms, KILLS);
	row.min = ms[0];
	row.max = ms[KILLS - 1];
	row.id = median;
	row.goal = 300;
	bench_print(&row);
	row.id = max;
	row.value = row.max;
	row.goal = 1000;
	bench_print(&row);
	vhost_peer_disconnect(peer);
	waitpid(keeper, NULL, 0);
}

int main(void)
{
	const char *note = bench_take_priority();

	srand(1);
	measure(false, "gpu.recovery_ms_median", "gpu.recovery_ms_max", note);
	measure(true, "gpu.recovery_ms_spare_median", "gpu.recovery_ms_spare_max", note);
	return 0;
}
