// SPDX-License-Identifier: MIT
/*
 * 1080p H.264 through the device against the same GStreamer elements without it: frames/s, CPU time a frame, the time a
 * frame takes, copies and memory. The two sides are processes of their own and take turns, so that other load meets
 * both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/log.h"
#include "tests/bench/bench.h"
#include "tests/bench/video_side.h"

#define ROUNDS 9u
#define PACE_TURNS 4u
#define PACED 25u /* frames of a turn */
#define PACE_NS 40000000ull
#define NOTE_BYTES 600

enum order { ORDER_END, ORDER_TURN, ORDER_PACE, ORDER_STATE };

struct answer {
	uint64_t wall_ns, cpu_ns;
	double late_ms; /* median */
	unsigned paced;
	double copies_per_frame;
	double anonymous_mib; /* memory of the process that is its own, guest memory not included */
};

struct process {
	pid_t pid;
	int to, from;
};

/* ---- in the process of a side ---- */

static double anonymous_mib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	unsigned long kib = 0;

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "RssAnon: %lu", &kib) != 1)
		;
	if (f)
		fclose(f);
	return (double)kib / 1024;
}

static void run_side(const struct video_side_ops *ops, const struct video_task *task, unsigned frames, int in, int out)
{
	struct video_side *s = ops->create(task);
	uint8_t order;

	while (read(in, &order, 1) == 1 && order != ORDER_END) {
		struct answer a = {0};
		static double late[PACED];
		const uint64_t wall = bench_now_ns(), cpu = bench_cpu_ns();

		if (order == ORDER_TURN)
			ops->turn(s, frames);
		a.wall_ns = bench_now_ns() - wall;
		a.cpu_ns = bench_cpu_ns() - cpu;
		if (order == ORDER_PACE) {
			a.paced = ops->pace(s, PACED, PACE_NS, late);
			a.late_ms = a.paced ? bench_median(late, a.paced) / 1e6 : 0;
		}
		if (order == ORDER_STATE) {
			a.anonymous_mib = anonymous_mib();
			a.copies_per_frame = ops->copies_per_frame ? ops->copies_per_frame(s) : 0;
		}
		if (write(out, &a, sizeof(a)) != (ssize_t)sizeof(a))
			break;
	}
	/* Nothing is left to measure, and tearing it all down takes time. */
	_exit(0);
}

/* ---- in ours ---- */

static struct process start(const struct video_side_ops *ops, const struct video_task *task, unsigned frames)
{
	int to[2], from[2];
	struct process p;

	if (pipe(to) < 0 || pipe(from) < 0)
		exit(1);
	fflush(NULL);
	p.pid = fork();
	if (p.pid < 0)
		exit(1);
	if (p.pid == 0) {
		close(to[1]);
		close(from[0]);
		run_side(ops, task, frames, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	p.to = to[1];
	p.from = from[0];
	return p;
}

static struct answer ask(const struct process *p, uint8_t order)
{
	struct answer a;

	if (write(p->to, &order, 1) == 1 && read(p->from, &a, sizeof(a)) == (ssize_t)sizeof(a))
		return a;
	fprintf(stderr, "bench_video: a side ended early\n");
	exit(1);
}

static void stop(const struct process *p)
{
	const uint8_t order = ORDER_END;
	int status;

	if (write(p->to, &order, 1) == 1)
		close(p->to);
	close(p->from);
	waitpid(p->pid, &status, 0);
}

/* One task on both sides. */
struct outcome {
	const char *name;
	double speed, min_speed, max_speed; /* ours to theirs */
	double cpu;			    /* a frame, ours to theirs */
	double fps[2], cpu_ms[2];	    /* ours, theirs; medians */
	double added_ms, late_ms[2];	    /* one stream */
	unsigned paced;
	double copies;
	double mib[2];
};

static void compare_latency(const struct process p[2], struct outcome *o)
{
	double late_ms[2][PACE_TURNS];

	for (unsigned r = 0; r < PACE_TURNS; r++) {
		for (unsigned n = 0; n < 2; n++) {
			const unsigned i = (r + n) % 2;
			struct answer a = ask(&p[i], ORDER_PACE);

			late_ms[i][r] = a.late_ms;
			o->paced += i == 0 ? a.paced : 0;
		}
	}
	for (unsigned i = 0; i < 2; i++)
		o->late_ms[i] = bench_median(late_ms[i], PACE_TURNS);
}

static void compare(const char *name, const struct video_task *task, unsigned frames, struct outcome *o)
{
	static const struct video_side_ops *const ops[2] = {&video_through_ops, &video_native_ops};
	double speed[ROUNDS], cpu[ROUNDS], fps[2][ROUNDS], cpu_ms[2][ROUNDS];
	const double total = (double)(frames * task->streams);
	struct process p[2];

	*o = (struct outcome){.name = name};
	for (unsigned i = 0; i < 2; i++)
		p[i] = start(ops[i], task, frames);
	for (unsigned r = 0; r < ROUNDS; r++) {
		struct answer a[2];

		/* Neither is always the one that comes after the other. */
		a[r % 2] = ask(&p[r % 2], ORDER_TURN);
		a[1 - r % 2] = ask(&p[1 - r % 2], ORDER_TURN);
		speed[r] = (double)a[1].wall_ns / (double)a[0].wall_ns;
		cpu[r] = (double)a[0].cpu_ns / (double)a[1].cpu_ns;
		for (unsigned i = 0; i < 2; i++) {
			fps[i][r] = total * 1e9 / (double)a[i].wall_ns;
			cpu_ms[i][r] = (double)a[i].cpu_ns / 1e6 / total;
		}
	}
	o->speed = bench_median(speed, ROUNDS);
	o->min_speed = speed[0];
	o->max_speed = speed[ROUNDS - 1];
	o->cpu = bench_median(cpu, ROUNDS);
	for (unsigned i = 0; i < 2; i++) {
		struct answer state = ask(&p[i], ORDER_STATE);

		o->fps[i] = bench_median(fps[i], ROUNDS);
		o->cpu_ms[i] = bench_median(cpu_ms[i], ROUNDS);
		o->mib[i] = state.anonymous_mib;
		o->copies += state.copies_per_frame;
	}
	if (task->streams == 1)
		compare_latency(p, o);
	o->added_ms = o->late_ms[0] - o->late_ms[1];
	stop(&p[0]);
	stop(&p[1]);
}

/* ---- rows ---- */

/* The worst of @n outcomes, and all of them in the note. */
static void print_speed(const char *id, const struct outcome *o, unsigned n, const char *priority)
{
	struct bench_row row = {.id = id,
				.unit = "ratio",
				.goal = 0.95,
				.higher_is_better = true,
				.peer = "the same elements natively, frames/s"};
	char note[NOTE_BYTES] = "";
	unsigned worst = 0;

	for (unsigned i = 0; i < n; i++) {
		const size_t at = strlen(note);

		worst = o[i].speed < o[worst].speed ? i : worst;
		snprintf(note + at, sizeof(note) - at, "%s%s: %.3f (%.0f of %.0f frames/s)", i ? ", " : "", o[i].name,
			 o[i].speed, o[i].fps[0], o[i].fps[1]);
	}
	snprintf(note + strlen(note), sizeof(note) - strlen(note), "; %s", priority);
	row.value = o[worst].speed;
	row.min = o[worst].min_speed;
	row.max = o[worst].max_speed;
	row.peer_value = o[worst].fps[1];
	row.runs = ROUNDS;
	row.note = note;
	bench_print(&row);
}

static void print_cpu(const struct outcome *o, unsigned n)
{
	struct bench_row row = {.id = "video.cpu_vs_native",
				.unit = "ratio",
				.goal = 1.1,
				.peer = "the same elements natively, ms of CPU a frame"};
	char note[NOTE_BYTES] = "";
	unsigned worst = 0;

	row.min = row.max = o[0].cpu;
	for (unsigned i = 0; i < n; i++) {
		const size_t at = strlen(note);

		worst = o[i].cpu > o[worst].cpu ? i : worst;
		row.min = o[i].cpu < row.min ? o[i].cpu : row.min;
		snprintf(note + at, sizeof(note) - at, "%s%s: %.3f (%.2f against %.2f ms)", i ? ", " : "", o[i].name,
			 o[i].cpu, o[i].cpu_ms[0], o[i].cpu_ms[1]);
	}
	row.value = row.max = o[worst].cpu;
	row.peer_value = o[worst].cpu_ms[1];
	row.runs = ROUNDS;
	row.note = note;
	bench_print(&row);
}

static void print_latency(const struct outcome *decode, const struct outcome *encode)
{
	const struct outcome *worst = encode->added_ms > decode->added_ms ? encode : decode;
	struct bench_row row = {
		.id = "video.added_latency_ms", .unit = "ms", .goal = 1, .peer = "the same elements natively, ms"};
	char note[NOTE_BYTES];

	snprintf(note, sizeof(note),
		 "%u frames at 25 a second in %u turns, medians: decode %.2f against %.2f, encode %.2f against %.2f ms",
		 worst->paced, PACE_TURNS, decode->late_ms[0], decode->late_ms[1], encode->late_ms[0],
		 encode->late_ms[1]);
	row.value = worst->added_ms;
	row.min = worst == encode ? decode->added_ms : encode->added_ms;
	row.max = worst->added_ms;
	row.peer_value = worst->late_ms[1];
	row.runs = worst->paced;
	row.note = note;
	bench_print(&row);
}

static void print_copies(const struct outcome *decode, const struct outcome *encode)
{
	struct bench_row row = {.id = "video.copies_per_frame", .unit = "copies", .goal = 1, .runs = 1};
	char note[NOTE_BYTES];

	row.value = row.max = decode->copies > encode->copies ? decode->copies : encode->copies;
	row.min = decode->copies < encode->copies ? decode->copies : encode->copies;
	snprintf(note, sizeof(note), "outside the codec, as the device counts them: decode %.2f, encode %.2f",
		 decode->copies, encode->copies);
	row.note = note;
	bench_print(&row);
}

/* By the difference between 1 and 16 streams. */
static void print_memory(const struct outcome *one, const struct outcome *many, const struct outcome *encode_one,
			 const struct outcome *encode_many)
{
	const double n = VIDEO_MAX_STREAMS - 1;
	const double ours = (many->mib[0] - one->mib[0]) / n, theirs = (many->mib[1] - one->mib[1]) / n;
	struct bench_row row = {.id = "video.rss_per_stream_mib",
				.value = ours,
				.unit = "MiB",
				.goal = theirs * 1.1,
				.peer = "the same elements natively, MiB",
				.peer_value = theirs,
				.runs = 1,
				.min = ours,
				.max = ours};
	char note[NOTE_BYTES];

	snprintf(note, sizeof(note),
		 "decoder, private memory without the guest's; the goal is a tenth over native; encoder: %.1f against "
		 "%.1f",
		 (encode_many->mib[0] - encode_one->mib[0]) / n, (encode_many->mib[1] - encode_one->mib[1]) / n);
	row.note = note;
	bench_print(&row);
}

/* GStreamer must not be here when sides are forked. Returns NULL, or why there is no material. */
static const char *get_material(struct video_material *out)
{
	static char why[200];
	const char *folder = getenv("O");
	char path[3000];
	int pipes[2];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/video-1080p.clip", folder ? folder : "build");
	if (video_material_load(path, out))
		return NULL;
	if (pipe(pipes) < 0)
		return "no pipe";
	fflush(NULL);
	if (fork() == 0) {
		const char *trouble = video_material_make(path);

		_exit(trouble && write(pipes[1], trouble, strlen(trouble)) < 0 ? 1 : 0);
	}
	close(pipes[1]);
	n = read(pipes[0], why, sizeof(why) - 1);
	close(pipes[0]);
	wait(NULL);
	if (n > 0)
		return why;
	return video_material_load(path, out) ? NULL : "the clip that was made can't be read";
}

static void print_nothing(const char *why)
{
	bench_print_missing("video.decode_vs_native", "ratio", 0.95, true, why);
	bench_print_missing("video.encode_vs_native", "ratio", 0.95, true, why);
	bench_print_missing("video.cpu_vs_native", "ratio", 1.1, false, why);
	bench_print_missing("video.added_latency_ms", "ms", 1, false, why);
	bench_print_missing("video.copies_per_frame", "copies", 1, false, why);
	bench_print_missing("video.rss_per_stream_mib", "MiB", 0, false, why);
}

int main(void)
{
	static const struct {
		const char *name;
		bool encoder, nv12;
		unsigned streams, frames; /* of a turn */
	} tasks[] = {
		{"1 stream", false, false, 1, 30},   {"4 streams", false, false, 4, 10},
		{"16 streams", false, false, 16, 3}, {"1 to NV12", false, true, 1, 30},
		{"1 encoder", true, false, 1, 24},   {"4 encoders", true, false, 4, 6},
		{"16 encoders", true, false, 16, 2},
	};
	enum { DECODES = 4, ENCODES = 3 };
	struct outcome o[DECODES + ENCODES];
	struct video_material material;
	const char *why = get_material(&material), *priority;

	log_set_levels("warn");
	if (why) {
		print_nothing(why);
		return 0;
	}
	priority = bench_take_priority();
	for (unsigned i = 0; i < DECODES + ENCODES; i++) {
		const struct video_task task = {.material = &material,
						.encoder = tasks[i].encoder,
						.nv12 = tasks[i].nv12,
						.streams = tasks[i].streams};

		compare(tasks[i].name, &task, tasks[i].frames, &o[i]);
	}
	print_speed("video.decode_vs_native", o, DECODES, priority);
	print_speed("video.encode_vs_native", o + DECODES, ENCODES, priority);
	print_cpu(o, DECODES + ENCODES);
	print_latency(&o[0], &o[DECODES]);
	print_copies(&o[0], &o[DECODES]);
	print_memory(&o[0], &o[2], &o[DECODES], &o[DECODES + 2]);
	return 0;
}
