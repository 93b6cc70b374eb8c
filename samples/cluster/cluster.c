// SPDX-License-Identifier: MIT
/*
 * An instrument cluster on a bare machine: two dials, lamps and text, drawn by the host's OpenGL, 60 frames of an
 * acceleration through the gears. All geometry is uploaded once; a frame is some sixty words of constants and draws.
 *
 *	mullion run --kernel build/bare/cluster.elf --gpu size=800x480 --display png:/tmp/frames
 *
 * Options on the command line: frames=N (60).
 */
#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/virgl.h"
#include "samples/cluster/scene.h"

enum { CONTEXT = 1, PICTURE = 1, VERTICES, INDICES };
enum { SURFACE = 1, BLEND, RASTERIZER, DSA, LAYOUT, VERTEX_SHADER, FRAGMENT_SHADER };
enum { MAX_VERTICES = 24576, MAX_INDICES = 98304, MAX_WORDS = 4096 };

/* CONST 0 and 1: rows of the transform from pixels to the picture; 2: a colour to multiply by. */
static const char vertex_shader[] = "VERT\n"
				    "DCL IN[0]\n"
				    "DCL IN[1]\n"
				    "DCL OUT[0], POSITION\n"
				    "DCL OUT[1], COLOR\n"
				    "DCL CONST[0][0..2]\n"
				    "IMM[0] FLT32 { 0.0, 1.0, 0.0, 0.0 }\n"
				    "  0: DP4 OUT[0].x, IN[0], CONST[0][0]\n"
				    "  1: DP4 OUT[0].y, IN[0], CONST[0][1]\n"
				    "  2: MOV OUT[0].zw, IMM[0].xxxy\n"
				    "  3: MUL OUT[1], IN[1], CONST[0][2]\n"
				    "  4: END\n";
static const char fragment_shader[] = "FRAG\n"
				      "DCL IN[0], COLOR, LINEAR\n"
				      "DCL OUT[0], COLOR\n"
				      "  0: MOV OUT[0], IN[0]\n"
				      "  1: END\n";

static uint32_t words[MAX_WORDS];
static struct virgl_encoder e;
static struct scene scene;

/* What the car does in frame @n of 60: whole gears of 12 frames, the revs falling at each change. */
struct car {
	int32_t speed; /* km/h times 16 */
	int32_t revs;
	int32_t gear; /* 0: parked */
};

static struct car drive(int32_t n)
{
	static const int32_t top[6] = {0, 38, 66, 98, 134, 220}; /* km/h at 6400 rpm */
	struct car c = {.speed = 0, .revs = 850, .gear = 0};
	int32_t t = n - 6;

	if (t <= 0)
		return c;
	/* Strong at first, then less and less: t * (2 * 54 - t) / 54^2 of 152 km/h. */
	c.speed = 152 * 16 * t * (108 - t) / (54 * 54);
	for (c.gear = 1; c.gear < 5 && c.speed > top[c.gear] * 16; c.gear++)
		;
	c.revs = 400 * c.speed / top[c.gear];
	if (c.revs < 1100)
		c.revs = 1100;
	return c;
}

/* Draw @p turned by @angle and moved to (@x, @y) in 1/256 pixels, with its colours dimmed to @light of 256. */
static void draw(struct part p, int32_t x, int32_t y, int32_t angle, int32_t light)
{
	int64_t c = cosine(angle), s = sine(angle);
	uint32_t constants[12] = {
		virgl_float((int32_t)((c << 16) * 2 / SCENE_WIDTH), 30),
		virgl_float((int32_t)(-(s << 16) * 2 / SCENE_WIDTH), 30),
		0,
		virgl_float((int32_t)((int64_t)x * 2 * (1 << 16) / SCENE_WIDTH - (1 << 24)), 24),
		virgl_float((int32_t)(-(s << 16) * 2 / SCENE_HEIGHT), 30),
		virgl_float((int32_t)(-(c << 16) * 2 / SCENE_HEIGHT), 30),
		0,
		virgl_float((int32_t)((1 << 24) - (int64_t)y * 2 * (1 << 16) / SCENE_HEIGHT), 24),
		VIRGL_FLOAT_1,
		VIRGL_FLOAT_1,
		VIRGL_FLOAT_1,
		virgl_float(light, 8),
	};
	struct virgl_draw d = {.mode = PIPE_PRIM_TRIANGLES, .count = p.count, .indexed = true};

	/* Renderers take an indexed draw's start from the index buffer's offset, not from the draw. */
	virgl_set_index_buffer(&e, INDICES, sizeof(uint16_t), p.first * (uint32_t)sizeof(uint16_t));
	virgl_set_constants(&e, PIPE_SHADER_VERTEX, constants, 12);
	virgl_draw(&e, &d);
}

static void readout(int32_t x, int32_t y, const char *text)
{
	int32_t advance = font_advance(PX(36)), width = 0;

	/* A dot is narrow: it takes the room of half a digit. */
	for (const char *c = text; *c; c++)
		width += *c == '.' ? advance / 2 : advance;
	x -= width / 2;
	for (; *text; text++) {
		int32_t room = *text == '.' ? advance / 2 : advance;

		draw(*text == '.' ? scene.dot : scene.digits[*text - '0'], x + room / 2, y, 0, 256);
		x += room;
	}
}

static void frame(int32_t n)
{
	struct car car = drive(n);
	int32_t value[DIAL_COUNT] = {[DIAL_SPEED] = car.speed, [DIAL_REVS] = car.revs * 16};
	bool lamp_test = n < 6;
	char text[8];

	virgl_encoder_init(&e, words, MAX_WORDS);
	draw(scene.backdrop, 0, 0, 0, 256);
	for (int i = 0; i < DIAL_COUNT; i++) {
		int64_t part = (int64_t)value[i] * TRAIL_SEGMENTS / (dials[i].full * 16);
		struct part trail = {scene.trail[i].first, (uint32_t)part * TRAIL_INDICES};

		if (trail.count)
			draw(trail, 0, 0, 0, 256);
		draw(scene.needle, PX(dials[i].x), PX(dials[i].y),
		     DIAL_FROM + (int32_t)((int64_t)DIAL_SWEEP * value[i] / (dials[i].full * 16)), 256);
	}
	snprintf(text, sizeof(text), "%d", car.speed / 16);
	readout(PX(dials[DIAL_SPEED].x), PX(dials[DIAL_SPEED].y - 4), text);
	snprintf(text, sizeof(text), "%d.%d", car.revs / 1000, car.revs / 100 % 10);
	readout(PX(dials[DIAL_REVS].x), PX(dials[DIAL_REVS].y - 4), text);
	draw(scene.gears[car.gear], PX(400), PX(250), 0, 256);
	for (int i = 0; i < SYMBOL_COUNT; i++) {
		bool on = lamp_test || i == SYMBOL_BEAM || (i == SYMBOL_LEFT && n >= 12 && n < 36 && n % 8 < 4) ||
			  (i == SYMBOL_ENGINE && n < 10);

		if (on)
			draw(scene.symbols[i], 0, 0, 0, 256);
	}
}

/* State that stays: shaders, vertex layout, blending, where the picture is. */
static void set_up(void)
{
	static const struct virgl_vertex_element layout[] = {
		{.offset = 0, .format = VIRGL_FORMAT_R32G32_FLOAT},
		{.offset = 8, .format = VIRGL_FORMAT_R8G8B8A8_UNORM},
	};
	struct virgl_vertex_buffer buffer = {.stride = sizeof(struct vertex), .resource = VERTICES};
	uint32_t surface = SURFACE;

	virgl_encoder_init(&e, words, MAX_WORDS);
	virgl_create_sub_context(&e, 1);
	virgl_set_sub_context(&e, 1);
	virgl_create_surface(&e, SURFACE, PICTURE, VIRGL_FORMAT_B8G8R8X8_UNORM, 0, 0, 0);
	virgl_set_framebuffer(&e, &surface, 1, 0);
	virgl_set_viewport_whole(&e, SCENE_WIDTH, SCENE_HEIGHT, true);
	virgl_create_blend(&e, BLEND, &virgl_blend_over);
	virgl_bind_object(&e, VIRGL_OBJECT_BLEND, BLEND);
	virgl_create_rasterizer(&e, RASTERIZER, &virgl_rasterizer_default);
	virgl_bind_object(&e, VIRGL_OBJECT_RASTERIZER, RASTERIZER);
	virgl_create_dsa(&e, DSA, &virgl_dsa_off);
	virgl_bind_object(&e, VIRGL_OBJECT_DSA, DSA);
	virgl_create_shader(&e, VERTEX_SHADER, PIPE_SHADER_VERTEX, vertex_shader);
	virgl_bind_shader(&e, PIPE_SHADER_VERTEX, VERTEX_SHADER);
	virgl_create_shader(&e, FRAGMENT_SHADER, PIPE_SHADER_FRAGMENT, fragment_shader);
	virgl_bind_shader(&e, PIPE_SHADER_FRAGMENT, FRAGMENT_SHADER);
	virgl_create_vertex_elements(&e, LAYOUT, layout, 2);
	virgl_bind_object(&e, VIRGL_OBJECT_VERTEX_ELEMENTS, LAYOUT);
	virgl_set_vertex_buffers(&e, &buffer, 1);
}

/* Send what the encoder holds and wait until it is drawn. */
static int submit(struct gpu *g)
{
	if (e.failed) {
		printf("cluster: the commands of one submission do not fit into %u words\n", (unsigned)MAX_WORDS);
		return -1;
	}
	return gpu_submit_3d(g, CONTEXT, words, (uint32_t)(e.used * sizeof(words[0])));
}

/* A buffer resource holding @bytes at @data. */
static int upload(struct gpu *g, uint32_t resource, uint32_t bind, const void *data, uint32_t bytes)
{
	struct gpu_resource_3d r = {.target = PIPE_BUFFER,
				    .format = VIRGL_FORMAT_R8_UNORM,
				    .bind = bind,
				    .width = bytes,
				    .height = 1,
				    .depth = 1,
				    .array_size = 1};
	struct gpu_transfer_3d all = {.box = {.w = bytes, .h = 1, .d = 1}};
	int rc;

	if ((rc = gpu_create_3d(g, resource, &r)) || (rc = gpu_attach_backing(g, resource, data, bytes)) ||
	    (rc = gpu_context_attach(g, CONTEXT, resource)))
		return rc;
	return gpu_transfer_to_host_3d(g, CONTEXT, resource, &all);
}

static int run(struct gpu *g, struct mesh *m, int32_t frames)
{
	static const struct gpu_rect all = {0, 0, SCENE_WIDTH, SCENE_HEIGHT};
	static const struct gpu_resource_3d picture = {.target = PIPE_TEXTURE_2D,
						       .format = VIRGL_FORMAT_B8G8R8X8_UNORM,
						       .bind = VIRGL_BIND_RENDER_TARGET | VIRGL_BIND_SCANOUT,
						       .width = SCENE_WIDTH,
						       .height = SCENE_HEIGHT,
						       .depth = 1,
						       .array_size = 1};
	uint64_t start;
	int rc;

	if ((rc = gpu_context_create(g, CONTEXT, 0, "cluster")) || (rc = gpu_create_3d(g, PICTURE, &picture)) ||
	    (rc = gpu_context_attach(g, CONTEXT, PICTURE)) ||
	    (rc = upload(g, VERTICES, VIRGL_BIND_VERTEX_BUFFER, m->vertices,
			 m->vertex_count * (uint32_t)sizeof(m->vertices[0]))) ||
	    (rc = upload(g, INDICES, VIRGL_BIND_INDEX_BUFFER, m->indices,
			 m->index_count * (uint32_t)sizeof(m->indices[0]))))
		return rc;
	set_up();
	if ((rc = submit(g)))
		return rc;

	start = clock_us();
	for (int32_t n = 0; n < frames; n++) {
		frame(n * 60 / frames);
		if ((rc = submit(g)) || (n == 0 && (rc = gpu_set_scanout(g, 0, PICTURE, all))) ||
		    (rc = gpu_flush(g, PICTURE, all)))
			return rc;
		if (n % 20 == 0)
			printf("cluster: frame %d\n", n);
	}
	printf("cluster: %d frames, %lu ms\n", frames, (clock_us() - start) / 1000);
	return 0;
}

int main(void)
{
	static struct gpu g;
	struct mesh m = {.vertex_max = MAX_VERTICES, .index_max = MAX_INDICES};
	int32_t frames = (int32_t)boot_option_number("frames", 60);
	int rc = gpu_open(&g, VIRTIO_ANY, 0, VIRTIO_BIT(VIRTIO_GPU_F_VIRGL) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX));

	if (rc) {
		printf("cluster: no virtio-gpu to use (error %d); give the machine one with --gpu\n", rc);
		return 1;
	}
	if (!virtio_has(&g.dev, VIRTIO_GPU_F_VIRGL)) {
		printf("cluster: this GPU has no 3D (VIRTIO_GPU_F_VIRGL); start it with --gpu renderer=virgl\n");
		return 1;
	}
	m.vertices = alloc(MAX_VERTICES * sizeof(m.vertices[0]), PAGE_BYTES);
	m.indices = alloc(MAX_INDICES * sizeof(m.indices[0]), PAGE_BYTES);
	if (!m.vertices || !m.indices) {
		printf("cluster: %zu bytes of memory are too few; give the machine 16 MiB\n", alloc_left());
		return 1;
	}
	scene_build(&m, &scene);
	printf("cluster: %u vertices, %u triangles, built in %lu ms\n", m.vertex_count, m.index_count / 3,
	       clock_us() / 1000);
	if (m.full) {
		printf("cluster: the scene does not fit; raise MAX_VERTICES or MAX_INDICES\n");
		return 1;
	}
	rc = run(&g, &m, frames);
	if (rc) {
		printf("cluster: the GPU answered 0x%04x (error %d)\n", g.answer, rc);
		return 1;
	}
	printf("PASS\n");
	return 0;
}
