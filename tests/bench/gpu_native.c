// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <epoxy/gl.h>

#include "host/gpu/egl.h"
#include "tests/bench/gpu_scene.h"

struct gpu_native {
	const struct gpu_scene *scene;
	struct gpu_egl *egl;
	void *context;
	GLuint texture, framebuffer, buffer, array, program;
	GLint constants;
	GLsizei vertices;
};

static const char version[] = "#version 330 core\n";
static const char version_es[] = "#version 300 es\nprecision highp float;\n";

static const char vertex_draws[] = "layout(location = 0) in vec4 position;\n"
				   "uniform vec4 constants;\n"
				   "out vec4 color;\n"
				   "void main() {\n"
				   "	gl_Position = position + vec4(constants.xy, 0.0, 0.0);\n"
				   "	color = vec4(constants.zw, 1.0, 1.0);\n"
				   "}\n";

static const char fragment_draws[] = "in vec4 color;\n"
				     "out vec4 result;\n"
				     "void main() { result = color; }\n";

static const char vertex_fill[] = "layout(location = 0) in vec4 position;\n"
				  "out vec4 color;\n"
				  "void main() { gl_Position = position; color = position; }\n";

static GLuint compile(GLenum type, bool es, const char *text)
{
	const char *parts[2] = {es ? version_es : version, text};
	GLuint shader = glCreateShader(type);
	GLint ok = 0;
	char log[512];

	glShaderSource(shader, 2, parts, NULL);
	glCompileShader(shader);
	glGetShaderiv(shader, GL_COMPILE_STATUS, &ok);
	if (!ok) {
		glGetShaderInfoLog(shader, sizeof(log), NULL, log);
		fprintf(stderr, "bench_gpu: native shader: %s\n", log);
		exit(1);
	}
	return shader;
}

/* The same operations as the TGSI text of gpu_through.c. */
static char *fill_text(const struct gpu_scene *s)
{
	char *text = malloc(512 + 160 * (size_t)s->iterations);
	size_t at;

	if (!text)
		exit(1);
	at = (size_t)sprintf(text,
			     "in vec4 color;\nout vec4 result;\nvoid main() {\n	vec4 a, b;\n	a = abs(color);\n");
	for (unsigned i = 0; i < s->iterations; i++)
		at += (size_t)sprintf(text + at,
				      "	b = a * a.yzwx;\n	a = b * vec4(0.75) + a;\n	a = fract(a);\n");
	sprintf(text + at, "	result = a;\n}\n");
	return text;
}

static void make_program(struct gpu_native *n)
{
	const bool es = gpu_egl_info(n->egl)->gles;
	char *fill = n->scene->kind == GPU_SCENE_FILL ? fill_text(n->scene) : NULL;
	GLint ok = 0;

	n->program = glCreateProgram();
	glAttachShader(n->program, compile(GL_VERTEX_SHADER, es, fill ? vertex_fill : vertex_draws));
	glAttachShader(n->program, compile(GL_FRAGMENT_SHADER, es, fill ? fill : fragment_draws));
	glLinkProgram(n->program);
	glGetProgramiv(n->program, GL_LINK_STATUS, &ok);
	if (!ok) {
		fprintf(stderr, "bench_gpu: native program does not link\n");
		exit(1);
	}
	n->constants = glGetUniformLocation(n->program, "constants");
	free(fill);
}

int gpu_native_create(const struct gpu_scene *s, struct gpu_native **out, const char **renderer)
{
	struct gpu_native *n = calloc(1, sizeof(*n));
	float vertices[GPU_SCENE_VERTICES][4] = {{0}};
	char why[256];

	if (!n || gpu_egl_create(NULL, &n->egl, why, sizeof(why)) < 0) {
		fprintf(stderr, "bench_gpu: no OpenGL: %s\n", n ? why : "out of memory");
		free(n);
		return -1;
	}
	n->scene = s;
	n->context = gpu_egl_context_create(n->egl);
	gpu_egl_make_current(n->egl, n->context);
	glGenTextures(1, &n->texture);
	glBindTexture(GL_TEXTURE_2D, n->texture);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA8, (GLsizei)s->width, (GLsizei)s->height, 0, GL_RGBA, GL_UNSIGNED_BYTE,
		     NULL);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAX_LEVEL, 0);
	glGenFramebuffers(1, &n->framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, n->framebuffer);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, n->texture, 0);
	glViewport(0, 0, (GLsizei)s->width, (GLsizei)s->height);
	n->vertices = (GLsizei)gpu_scene_vertices(s, vertices);
	glGenVertexArrays(1, &n->array);
	glBindVertexArray(n->array);
	glGenBuffers(1, &n->buffer);
	glBindBuffer(GL_ARRAY_BUFFER, n->buffer);
	glBufferData(GL_ARRAY_BUFFER, sizeof(vertices), vertices, GL_STATIC_DRAW);
	glVertexAttribPointer(0, 4, GL_FLOAT, GL_FALSE, 16, NULL);
	glEnableVertexAttribArray(0);
	make_program(n);
	glUseProgram(n->program);
	/* As the blend object of the other side. */
	glDisable(GL_DITHER);
	*renderer = gpu_egl_info(n->egl)->gl_renderer;
	*out = n;
	return 0;
}

void gpu_native_destroy(struct gpu_native *n)
{
	gpu_egl_make_current(n->egl, NULL);
	gpu_egl_context_destroy(n->egl, n->context);
	gpu_egl_destroy(n->egl);
	free(n);
}

void gpu_native_frame(struct gpu_native *n)
{
	glClearColor(0, 0, 0, 1);
	glClear(GL_COLOR_BUFFER_BIT);
	for (unsigned i = 0; i < n->scene->draws; i++) {
		float constants[4];

		if (n->scene->kind == GPU_SCENE_DRAWS) {
			gpu_scene_constants(i, constants);
			glUniform4fv(n->constants, 1, constants);
		}
		glDrawArrays(GL_TRIANGLES, 0, n->vertices);
	}
	glFinish();
}

void gpu_native_read(struct gpu_native *n, void *pixels)
{
	glReadPixels(0, 0, (GLsizei)n->scene->width, (GLsizei)n->scene->height, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
}
