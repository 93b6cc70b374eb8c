// SPDX-License-Identifier: MIT
#include "host/gpu/warm_up.h"

#include <errno.h>
#include <stdio.h>

#include <epoxy/gl.h>

#include "host/gpu/egl.h"

#define SIZE 16

static const char vertex_text[] =
	"void main()\n"
	"{\n"
	"	vec2 corner = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);\n"
	"	gl_Position = vec4(corner, 0.0, 1.0);\n"
	"}\n";
static const char fragment_text[] = "out vec4 color;\n"
				    "void main()\n"
				    "{\n"
				    "	color = vec4(1.0, 0.0, 1.0, 1.0);\n"
				    "}\n";

/* 0: it does not compile. */
static GLuint make_shader(GLenum stage, bool gles, const char *text)
{
	const char *const parts[] = {gles ? "#version 300 es\nprecision highp float;\n" : "#version 140\n", text};
	GLuint shader = glCreateShader(stage);
	GLint good = 0;

	glShaderSource(shader, 2, parts, NULL);
	glCompileShader(shader);
	glGetShaderiv(shader, GL_COMPILE_STATUS, &good);
	if (good)
		return shader;
	glDeleteShader(shader);
	return 0;
}

static GLuint make_program(bool gles)
{
	GLuint vertex = make_shader(GL_VERTEX_SHADER, gles, vertex_text);
	GLuint fragment = make_shader(GL_FRAGMENT_SHADER, gles, fragment_text);
	GLuint program = glCreateProgram();
	GLint good = 0;

	if (vertex && fragment) {
		glAttachShader(program, vertex);
		glAttachShader(program, fragment);
		glLinkProgram(program);
		glGetProgramiv(program, GL_LINK_STATUS, &good);
	}
	glDeleteShader(vertex);
	glDeleteShader(fragment);
	if (good)
		return program;
	glDeleteProgram(program);
	return 0;
}

static const char *draw(bool gles)
{
	GLubyte pixel[4] = {0};
	GLuint array, texture, framebuffer, program = make_program(gles);

	if (!program)
		return "a shader does not compile";
	glGenVertexArrays(1, &array);
	glBindVertexArray(array);
	glGenTextures(1, &texture);
	glBindTexture(GL_TEXTURE_2D, texture);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA, SIZE, SIZE, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
	glGenFramebuffers(1, &framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, framebuffer);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, texture, 0);
	glViewport(0, 0, SIZE, SIZE);
	glUseProgram(program);
	glDrawArrays(GL_TRIANGLES, 0, 3);
	glReadPixels(SIZE / 2, SIZE / 2, 1, 1, GL_RGBA, GL_UNSIGNED_BYTE, pixel);
	glUseProgram(0);
	glBindFramebuffer(GL_FRAMEBUFFER, 0);
	glDeleteFramebuffers(1, &framebuffer);
	glDeleteTextures(1, &texture);
	glBindVertexArray(0);
	glDeleteVertexArrays(1, &array);
	glDeleteProgram(program);
	return pixel[0] == 255 && pixel[1] == 0 && pixel[2] == 255 ? NULL : "a triangle is not what was drawn";
}

int gpu_warm_up(struct gpu_egl *egl, char *why, size_t why_size)
{
	const struct gpu_egl_info *info = gpu_egl_info(egl);
	const char *wrong = "its context can't be used";

	if (gpu_egl_make_current(egl, gpu_egl_own_context(egl)) == 0) {
		wrong = draw(info->gles);
		gpu_egl_make_current(egl, NULL);
	}
	if (!wrong)
		return 0;
	snprintf(why, why_size, "%s (%s): %s", info->rung, info->gl_renderer, wrong);
	return -EIO;
}
