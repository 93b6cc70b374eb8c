// SPDX-License-Identifier: MIT
/*
 * Seven scenes by OpenGL ES 2, without a window: one program for this machine, for guests, and for vtest. A frame ends
 * with glFinish(), or with the pixels that were read.
 *
 *   gles2_scenes [--ms N] [SCENE...]    frames a second of each scene, measured for N ms (default 1000)
 *   gles2_scenes --turns                does what lines on standard input say, each answered by a line:
 *     frames SCENE MS    "frames: SCENE FRAMES_PER_SECOND"
 *     picture SCENE      "picture: SCENE" and the mean red, green and blue of 4x4 parts of a frame, bottom row first
 *     end
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES2/gl2.h>

#include "tests/bench/gpu_scene.h"

enum {
	WIDTH = 800,
	HEIGHT = 600,
	PARTS = 4,	 /* of a picture, each way */
	MESH = 96,	 /* squares each way: 18432 triangles */
	TEXTURE = 512,	 /* pixels each way: 1 MiB */
	DRAWS = 500,	 /* of the draws scene */
	WARM_UP = 3,	 /* frames */
	BATCH_US = 5000, /* the clock is read about as often: in some guests that is a slow system call */
};

struct scene {
	const char *name;
	void (*prepare)(struct scene *s);
	void (*frame)(struct scene *s, unsigned number);
	const char *vertex, *fragment;
	bool prepared;
	GLuint program, buffer, indices, texture;
	GLint constants;
	GLsizei count;
};

static uint8_t pixels[WIDTH * HEIGHT * 4];
static uint8_t image[TEXTURE * TEXTURE * 4];

static int fail(const char *what)
{
	fprintf(stderr, "gles2_scenes: %s (EGL error 0x%x)\n", what, (unsigned)eglGetError());
	return -1;
}

/* ---- what scenes share ---- */

static GLuint compile(GLenum type, const char *text)
{
	GLuint shader = glCreateShader(type);
	GLint ok = 0;
	char log[512];

	glShaderSource(shader, 1, &text, NULL);
	glCompileShader(shader);
	glGetShaderiv(shader, GL_COMPILE_STATUS, &ok);
	if (!ok) {
		glGetShaderInfoLog(shader, sizeof(log), NULL, log);
		fprintf(stderr, "gles2_scenes: shader: %s\n", log);
		exit(1);
	}
	return shader;
}

/* Attribute 0 is "position"; highp, because with less the same arithmetic gives other pixels on other drivers. */
static void make_program(struct scene *s, const char *vertex, const char *fragment)
{
	GLint ok = 0;

	s->program = glCreateProgram();
	glAttachShader(s->program, compile(GL_VERTEX_SHADER, vertex));
	glAttachShader(s->program, compile(GL_FRAGMENT_SHADER, fragment));
	glBindAttribLocation(s->program, 0, "position");
	glLinkProgram(s->program);
	glGetProgramiv(s->program, GL_LINK_STATUS, &ok);
	if (!ok) {
		fprintf(stderr, "gles2_scenes: the program of scene %s does not link\n", s->name);
		exit(1);
	}
	s->constants = glGetUniformLocation(s->program, "constants");
}

static void make_buffer(struct scene *s, const void *vertices, size_t bytes)
{
	glGenBuffers(1, &s->buffer);
	glBindBuffer(GL_ARRAY_BUFFER, s->buffer);
	glBufferData(GL_ARRAY_BUFFER, (GLsizeiptr)bytes, vertices, GL_STATIC_DRAW);
}

static void use(const struct scene *s)
{
	glUseProgram(s->program);
	glBindBuffer(GL_ARRAY_BUFFER, s->buffer);
	glBindBuffer(GL_ELEMENT_ARRAY_BUFFER, s->indices);
	glVertexAttribPointer(0, 4, GL_FLOAT, GL_FALSE, 16, NULL);
	glEnableVertexAttribArray(0);
}

static void prepare_quad(struct scene *s)
{
	float vertices[GPU_SCENE_VERTICES][4];

	s->count = (GLsizei)gpu_scene_vertices(&gpu_scenes[1], vertices);
	make_buffer(s, vertices, (size_t)s->count * 16);
	if (s->vertex)
		make_program(s, s->vertex, s->fragment);
}

static void clear(void)
{
	glClearColor(0.05f, 0.05f, 0.1f, 1.0f);
	glClear(GL_COLOR_BUFFER_BIT | GL_DEPTH_BUFFER_BIT);
}

/* ---- clear, readback ---- */

static void clear_frame(struct scene *s, unsigned number)
{
	(void)s;
	glClearColor((float)(number % 64) / 64.0f, 0.5f, 0.25f, 1.0f);
	glClear(GL_COLOR_BUFFER_BIT | GL_DEPTH_BUFFER_BIT);
	glFinish();
}

static void readback_frame(struct scene *s, unsigned number)
{
	const uint8_t red = (uint8_t)number;

	(void)s;
	glClearColor((float)red / 255.0f, 0.5f, 0.25f, 1.0f);
	glClear(GL_COLOR_BUFFER_BIT | GL_DEPTH_BUFFER_BIT);
	glReadPixels(0, 0, WIDTH, HEIGHT, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
	if (pixels[0] != red || pixels[sizeof(pixels) - 4] != red) {
		fprintf(stderr, "gles2_scenes: frame %u was read back with red %u and %u\n", number, pixels[0],
			pixels[sizeof(pixels) - 4]);
		exit(1);
	}
}

/* ---- mesh: a lit sheet with waves, seen from above ---- */

static const char mesh_vertex[] =
	"attribute highp vec4 position;\n"
	"uniform highp vec4 constants;\n"
	"varying highp float light;\n"
	"void main() {\n"
	"	highp vec2 p = position.xy;\n"
	"	highp float z = 0.2 * sin(6.0 * p.x + constants.x) * cos(5.0 * p.y);\n"
	"	highp vec3 n = normalize(vec3(-1.2 * cos(6.0 * p.x + constants.x) * cos(5.0 * p.y),\n"
	"		1.0 * sin(6.0 * p.x + constants.x) * sin(5.0 * p.y), 1.0));\n"
	"	light = max(dot(n, vec3(0.4, 0.4, 0.82)), 0.0);\n"
	"	gl_Position = vec4(0.9 * p.x, 0.9 * p.y + z, -0.5 * z, 1.0);\n"
	"}\n";
static const char mesh_fragment[] = "varying highp float light;\n"
				    "void main() { gl_FragColor = vec4(light * vec3(0.9, 0.7, 0.3), 1.0); }\n";

static void mesh_prepare(struct scene *s)
{
	static float vertices[(MESH + 1) * (MESH + 1)][4];
	static uint16_t indices[MESH * MESH * 6];
	uint16_t *at = indices;

	for (unsigned y = 0; y <= MESH; y++) {
		for (unsigned x = 0; x <= MESH; x++) {
			float *v = vertices[y * (MESH + 1) + x];

			v[0] = -1.0f + 2.0f * (float)x / MESH;
			v[1] = -1.0f + 2.0f * (float)y / MESH;
			v[3] = 1.0f;
		}
	}
	for (unsigned y = 0; y < MESH; y++) {
		for (unsigned x = 0; x < MESH; x++) {
			uint16_t corner = (uint16_t)(y * (MESH + 1) + x);

			*at++ = corner;
			*at++ = (uint16_t)(corner + 1);
			*at++ = (uint16_t)(corner + MESH + 1);
			*at++ = (uint16_t)(corner + 1);
			*at++ = (uint16_t)(corner + MESH + 2);
			*at++ = (uint16_t)(corner + MESH + 1);
		}
	}
	make_buffer(s, vertices, sizeof(vertices));
	glGenBuffers(1, &s->indices);
	glBindBuffer(GL_ELEMENT_ARRAY_BUFFER, s->indices);
	glBufferData(GL_ELEMENT_ARRAY_BUFFER, sizeof(indices), indices, GL_STATIC_DRAW);
	s->count = MESH * MESH * 6;
	make_program(s, s->vertex, s->fragment);
}

static void mesh_frame(struct scene *s, unsigned number)
{
	use(s);
	clear();
	glEnable(GL_DEPTH_TEST);
	glUniform4f(s->constants, 0.1f * (float)(number % 64), 0, 0, 0);
	glDrawElements(GL_TRIANGLES, s->count, GL_UNSIGNED_SHORT, NULL);
	glDisable(GL_DEPTH_TEST);
	glFinish();
}

/* ---- draws: discs as bench_gpu's but bigger, each a draw with constants of its own ---- */

static const char draws_vertex[] = "attribute highp vec4 position;\n"
				   "uniform highp vec4 constants;\n"
				   "varying highp vec4 color;\n"
				   "void main() {\n"
				   "	gl_Position = vec4(4.0 * position.xy + constants.xy, 0.0, 1.0);\n"
				   "	color = vec4(constants.zw, 1.0, 1.0);\n"
				   "}\n";
static const char draws_fragment[] = "varying highp vec4 color;\n"
				     "void main() { gl_FragColor = color; }\n";

static void draws_prepare(struct scene *s)
{
	float vertices[GPU_SCENE_VERTICES][4];

	s->count = (GLsizei)gpu_scene_vertices(&gpu_scenes[0], vertices);
	make_buffer(s, vertices, (size_t)s->count * 16);
	make_program(s, s->vertex, s->fragment);
}

static void draws_frame(struct scene *s, unsigned number)
{
	(void)number;
	use(s);
	clear();
	for (unsigned i = 0; i < DRAWS; i++) {
		float constants[4];

		gpu_scene_constants(i * gpu_scenes[0].draws / DRAWS, constants);
		glUniform4fv(s->constants, 1, constants);
		glDrawArrays(GL_TRIANGLES, 0, s->count);
	}
	glFinish();
}

/* ---- fill: a long shader on every pixel ---- */

static const char fill_vertex[] = "attribute highp vec4 position;\n"
				  "varying highp vec4 color;\n"
				  "void main() { gl_Position = position; color = position; }\n";

/* The loop of bench_gpu's, unrolled. */
static void fill_prepare(struct scene *s)
{
	static char text[8192];
	size_t at = (size_t)sprintf(text, "precision highp float;\nvarying highp vec4 color;\nvoid main() {\n"
					  "	vec4 a = abs(color), b;\n");

	for (unsigned i = 0; i < gpu_scenes[1].iterations; i++)
		at += (size_t)sprintf(text + at, "	b = a * a.yzwx;\n	a = fract(b * 0.75 + a);\n");
	sprintf(text + at, "	gl_FragColor = a;\n}\n");
	prepare_quad(s);
	make_program(s, fill_vertex, text);
}

/* Nothing is seen of what was there before, so nothing is cleared. */
static void quad_frame(struct scene *s, unsigned number)
{
	(void)number;
	use(s);
	glDrawArrays(GL_TRIANGLES, 0, s->count);
	glFinish();
}

/* ---- texture: filtered, repeated and blended; upload: a new one each frame ---- */

static const char texture_vertex[] = "attribute highp vec4 position;\n"
				     "uniform highp vec4 constants;\n"
				     "varying highp vec2 at;\n"
				     "void main() {\n"
				     "	gl_Position = position;\n"
				     "	at = position.xy * constants.x + constants.yz;\n"
				     "}\n";
static const char texture_fragment[] = "precision highp float;\n"
				       "varying highp vec2 at;\n"
				       "uniform sampler2D image;\n"
				       "void main() { gl_FragColor = texture2D(image, at); }\n";

static void texture_prepare(struct scene *s)
{
	for (unsigned y = 0; y < TEXTURE; y++) {
		for (unsigned x = 0; x < TEXTURE; x++) {
			uint8_t *p = image + (y * TEXTURE + x) * 4;

			p[0] = (uint8_t)(x / 2);
			p[1] = (uint8_t)(y / 2);
			p[2] = (x / 32 + y / 32) % 2 ? 0xc0 : 0x20;
			p[3] = 0x80;
		}
	}
	prepare_quad(s);
	glGenTextures(1, &s->texture);
	glBindTexture(GL_TEXTURE_2D, s->texture);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_LINEAR);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA, TEXTURE, TEXTURE, 0, GL_RGBA, GL_UNSIGNED_BYTE, image);
	glGenerateMipmap(GL_TEXTURE_2D);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER,
			strcmp(s->name, "upload") ? GL_LINEAR_MIPMAP_LINEAR : GL_LINEAR);
}

static void texture_frame(struct scene *s, unsigned number)
{
	use(s);
	glBindTexture(GL_TEXTURE_2D, s->texture);
	clear();
	glEnable(GL_BLEND);
	glBlendFunc(GL_SRC_ALPHA, GL_ONE_MINUS_SRC_ALPHA);
	glUniform4f(s->constants, 1.5f, 0.01f * (float)(number % 64), 0.3f, 0);
	glDrawArrays(GL_TRIANGLES, 0, s->count);
	glDisable(GL_BLEND);
	glFinish();
}

static void upload_frame(struct scene *s, unsigned number)
{
	use(s);
	glBindTexture(GL_TEXTURE_2D, s->texture);
	image[0] = (uint8_t)number;
	glTexSubImage2D(GL_TEXTURE_2D, 0, 0, 0, TEXTURE, TEXTURE, GL_RGBA, GL_UNSIGNED_BYTE, image);
	glUniform4f(s->constants, 0.5f, 0.5f, 0.5f, 0);
	glDrawArrays(GL_TRIANGLES, 0, s->count);
	glFinish();
}

/* ---- all of them ---- */

static struct scene scenes[] = {
	{.name = "clear", .frame = clear_frame},
	{.name = "mesh",
	 .prepare = mesh_prepare,
	 .frame = mesh_frame,
	 .vertex = mesh_vertex,
	 .fragment = mesh_fragment},
	{.name = "draws",
	 .prepare = draws_prepare,
	 .frame = draws_frame,
	 .vertex = draws_vertex,
	 .fragment = draws_fragment},
	{.name = "fill", .prepare = fill_prepare, .frame = quad_frame},
	{.name = "texture",
	 .prepare = texture_prepare,
	 .frame = texture_frame,
	 .vertex = texture_vertex,
	 .fragment = texture_fragment},
	{.name = "upload",
	 .prepare = texture_prepare,
	 .frame = upload_frame,
	 .vertex = texture_vertex,
	 .fragment = texture_fragment},
	{.name = "readback", .frame = readback_frame},
};

enum { SCENES = sizeof(scenes) / sizeof(scenes[0]) };

static struct scene *find(const char *name)
{
	for (unsigned i = 0; i < SCENES; i++) {
		if (strcmp(scenes[i].name, name) == 0)
			return &scenes[i];
	}
	fprintf(stderr, "gles2_scenes: no scene '%s'\n", name);
	exit(2);
}

static void prepare(struct scene *s)
{
	if (!s->prepared && s->prepare)
		s->prepare(s);
	s->prepared = true;
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void measure(struct scene *s, unsigned ms)
{
	unsigned frames = 0, batch = 1;
	double begin, before, now;

	prepare(s);
	for (unsigned i = 0; i < WARM_UP; i++)
		s->frame(s, i);
	begin = before = now = now_us();
	while (now - begin < (double)ms * 1e3) {
		for (unsigned i = 0; i < batch; i++)
			s->frame(s, frames++);
		now = now_us();
		if (now - before < BATCH_US / 2)
			batch *= 2;
		before = now;
	}
	if (glGetError() != GL_NO_ERROR) {
		fprintf(stderr, "gles2_scenes: GL error in scene %s\n", s->name);
		exit(1);
	}
	printf("frames: %s %.2f\n", s->name, (double)frames * 1e6 / (now - begin));
}

static void picture(struct scene *s)
{
	prepare(s);
	s->frame(s, 1);
	glReadPixels(0, 0, WIDTH, HEIGHT, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
	printf("picture: %s", s->name);
	for (unsigned part = 0; part < PARTS * PARTS; part++) {
		const unsigned left = part % PARTS * (WIDTH / PARTS), bottom = part / PARTS * (HEIGHT / PARTS);

		for (unsigned channel = 0; channel < 3; channel++) {
			unsigned long sum = 0;

			for (unsigned y = bottom; y < bottom + HEIGHT / PARTS; y++) {
				for (unsigned x = left; x < left + WIDTH / PARTS; x++)
					sum += pixels[(y * WIDTH + x) * 4 + channel];
			}
			printf(" %lu", sum / (WIDTH / PARTS * HEIGHT / PARTS));
		}
	}
	putchar('\n');
}

static int start(void)
{
	PFNEGLGETPLATFORMDISPLAYEXTPROC get =
		(PFNEGLGETPLATFORMDISPLAYEXTPROC)(void (*)(void))eglGetProcAddress("eglGetPlatformDisplayEXT");
	const EGLint attributes[] = {EGL_SURFACE_TYPE, 0, EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT, EGL_NONE};
	const EGLint version[] = {EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE};
	EGLDisplay display = get ? get(EGL_PLATFORM_SURFACELESS_MESA, NULL, NULL) : EGL_NO_DISPLAY;
	EGLContext context;
	EGLConfig config;
	EGLint count = 0;
	GLuint framebuffer, color, depth;

	if (display == EGL_NO_DISPLAY || !eglInitialize(display, NULL, NULL))
		return fail("EGL did not start without a surface");
	eglBindAPI(EGL_OPENGL_ES_API);
	if (!eglChooseConfig(display, attributes, &config, 1, &count) || !count)
		return fail("no EGL configuration");
	context = eglCreateContext(display, config, EGL_NO_CONTEXT, version);
	if (context == EGL_NO_CONTEXT || !eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, context))
		return fail("no context");
	glGenFramebuffers(1, &framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, framebuffer);
	glGenTextures(1, &color);
	glBindTexture(GL_TEXTURE_2D, color);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA, WIDTH, HEIGHT, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, color, 0);
	glGenRenderbuffers(1, &depth);
	glBindRenderbuffer(GL_RENDERBUFFER, depth);
	glRenderbufferStorage(GL_RENDERBUFFER, GL_DEPTH_COMPONENT16, WIDTH, HEIGHT);
	glFramebufferRenderbuffer(GL_FRAMEBUFFER, GL_DEPTH_ATTACHMENT, GL_RENDERBUFFER, depth);
	if (glCheckFramebufferStatus(GL_FRAMEBUFFER) != GL_FRAMEBUFFER_COMPLETE)
		return fail("the framebuffer is incomplete");
	glViewport(0, 0, WIDTH, HEIGHT);
	glDisable(GL_DITHER);
	printf("renderer: %s\n", (const char *)glGetString(GL_RENDERER));
	return 0;
}

static int take_turns(void)
{
	char line[80], name[32];
	unsigned ms;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "frames %31s %u", name, &ms) == 2)
			measure(find(name), ms);
		else if (sscanf(line, "picture %31s", name) == 1)
			picture(find(name));
		else if (strncmp(line, "end", 3) == 0)
			return 0;
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned ms = 1000;
	int first = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (start())
		return 1;
	if (argc == 2 && strcmp(argv[1], "--turns") == 0)
		return take_turns();
	if (argc > 2 && strcmp(argv[1], "--ms") == 0) {
		ms = (unsigned)atoi(argv[2]);
		first = 3;
	}
	for (unsigned i = 0; first == argc && i < SCENES; i++)
		measure(&scenes[i], ms);
	for (int i = first; i < argc; i++)
		measure(find(argv[i]), ms);
	return 0;
}
