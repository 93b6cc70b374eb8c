// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/virtio/journal.h"
#include "protocol/virtio_gpu.h"
#include "tests/bench/gpu_scene.h"
#include "tests/lib/gpu3d.h"
#include "tests/lib/journal_open.h"

struct gpu_through {
	const struct gpu_scene *scene;
	struct gpu3d *guest;
	struct journal *journal;
	struct gpu3d_resource target, buffer;
	uint32_t vertices;
};

static const char vertex_draws[] = "VERT\n"
				   "DCL IN[0]\n"
				   "DCL OUT[0], POSITION\n"
				   "DCL OUT[1], GENERIC[0]\n"
				   "DCL CONST[0][0]\n"
				   "IMM[0] FLT32 { 1.0, 0.0, 0.0, 0.0 }\n"
				   "  0: ADD OUT[0].xy, IN[0].xyyy, CONST[0][0].xyyy\n"
				   "  1: MOV OUT[0].zw, IN[0].zzzw\n"
				   "  2: MOV OUT[1].xy, CONST[0][0].zwww\n"
				   "  3: MOV OUT[1].zw, IMM[0].xxxx\n"
				   "  4: END\n";

static const char fragment_draws[] = "FRAG\n"
				     "DCL IN[0], GENERIC[0], PERSPECTIVE\n"
				     "DCL OUT[0], COLOR\n"
				     "  0: MOV OUT[0], IN[0]\n"
				     "  1: END\n";

static const char vertex_fill[] = "VERT\n"
				  "DCL IN[0]\n"
				  "DCL OUT[0], POSITION\n"
				  "DCL OUT[1], GENERIC[0]\n"
				  "  0: MOV OUT[0], IN[0]\n"
				  "  1: MOV OUT[1], IN[0]\n"
				  "  2: END\n";

/* The same operations as the GLSL text of gpu_native.c. */
static char *fill_text(const struct gpu_scene *s)
{
	char *text = malloc(512 + 160 * (size_t)s->iterations);
	unsigned line = 1;
	size_t at;

	if (!text)
		exit(1);
	at = (size_t)sprintf(text, "FRAG\nDCL IN[0], GENERIC[0], PERSPECTIVE\nDCL OUT[0], COLOR\nDCL TEMP[0..1]\n"
				   "IMM[0] FLT32 { 0.75, 0.0, 0.0, 0.0 }\n  0: MOV TEMP[0], |IN[0]|\n");
	for (unsigned i = 0; i < s->iterations; i++, line += 3)
		at += (size_t)sprintf(text + at,
				      "%u: MUL TEMP[1], TEMP[0], TEMP[0].yzwx\n"
				      "%u: MAD TEMP[0], TEMP[1], IMM[0].xxxx, TEMP[0]\n"
				      "%u: FRC TEMP[0], TEMP[0]\n",
				      line, line + 1, line + 2);
	sprintf(text + at, "%u: MOV OUT[0], TEMP[0]\n%u: END\n", line, line + 1);
	return text;
}

int gpu_through_create(const struct gpu_scene *s, size_t journal_bytes, struct gpu_through **out)
{
	const struct fake_guest_options options = {.memory_bytes = 32u << 20, .event_idx = true, .indirect = true};
	struct gpu_through *d = calloc(1, sizeof(*d));
	float vertices[GPU_SCENE_VERTICES][4] = {{0}};
	struct fake_guest *guest;
	char *fill = NULL;
	const char *why;
	int fd;

	if (!d)
		return -1;
	if (journal_bytes) {
		fd = journal_memfd(journal_bytes);
		if (fd < 0 || journal_open(fd, &d->journal) < 0) {
			fprintf(stderr, "bench_gpu: no journal\n");
			free(d);
			return -1;
		}
		close(fd);
	}
	guest = fake_guest_create(&options);
	if (gpu3d_create_on(&d->guest, guest, "virgl", d->journal, &why) < 0) {
		fprintf(stderr, "bench_gpu: no 3D: %s\n", why);
		fake_guest_destroy(guest);
		journal_close(d->journal);
		free(d);
		return -1;
	}
	d->scene = s;
	gpu3d_boot(d->guest);
	d->target = gpu3d_texture(d->guest, 10, VIRGL_FORMAT_R8G8B8A8_UNORM,
				  VIRGL_BIND_RENDER_TARGET | VIRGL_BIND_SAMPLER_VIEW, s->width, s->height, 0);
	d->buffer = gpu3d_buffer(d->guest, 11, VIRGL_BIND_VERTEX_BUFFER, sizeof(vertices));
	d->vertices = gpu_scene_vertices(s, vertices);
	memcpy(d->buffer.pages, vertices, sizeof(vertices));
	gpu3d_upload(d->guest, &d->buffer);
	if (s->kind == GPU_SCENE_FILL)
		fill = fill_text(s);
	gpu3d_plain_state(d->guest);
	gpu3d_draw_to(d->guest, 4, &d->target, VIRGL_FORMAT_R8G8B8A8_UNORM);
	virgl_set_viewport_whole(&d->guest->stream, s->width, s->height, false);
	gpu3d_shaders(d->guest, 5, fill ? vertex_fill : vertex_draws, 6, fill ? fill : fragment_draws);
	gpu3d_vertices(d->guest, 7, &d->buffer, 1);
	gpu3d_finish(d->guest);
	free(fill);
	*out = d;
	return 0;
}

void gpu_through_destroy(struct gpu_through *d)
{
	gpu3d_destroy(d->guest);
	journal_close(d->journal);
	free(d);
}

void gpu_through_frame(struct gpu_through *d)
{
	static const uint32_t black[4] = {VIRGL_FLOAT_0, VIRGL_FLOAT_0, VIRGL_FLOAT_0, VIRGL_FLOAT_1};
	struct virgl_encoder *e = &d->guest->stream;

	virgl_clear(e, PIPE_CLEAR_COLOR0, black, VIRGL_DOUBLE_1, 0);
	for (unsigned i = 0; i < d->scene->draws; i++) {
		float constants[4];
		uint32_t bits[4];

		if (d->scene->kind == GPU_SCENE_DRAWS) {
			gpu_scene_constants(i, constants);
			memcpy(bits, constants, sizeof(bits));
			virgl_set_constants(e, PIPE_SHADER_VERTEX, bits, 4);
		}
		virgl_draw_arrays(e, PIPE_PRIM_TRIANGLES, 0, d->vertices);
	}
	gpu3d_finish(d->guest);
}

void gpu_through_read(struct gpu_through *d, void *pixels)
{
	gpu3d_read_back(d->guest, &d->target);
	memcpy(pixels, d->target.pages, d->target.bytes);
}
