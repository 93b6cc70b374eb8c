// SPDX-License-Identifier: MIT
/*
 * The GL program of the Linux guest: a lit, turning cube on the first connected display (KMS, GBM, GLES 2), or without
 * a display. It prints what a person and a test want to know: who renders, frames per second, and checksums of the
 * last frames as read back, to be compared with the pictures that arrived outside.
 *
 *   scene [--frames N] [--checked N] [--device /dev/dri/card0] [--offscreen WxH] [--ppm FILE]
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES2/gl2.h>
#include <drm_fourcc.h>
#include <gbm.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

struct screen {
	int fd; /* -1: offscreen */
	uint32_t connector, crtc;
	drmModeModeInfo mode;
	struct gbm_device *gbm;
	struct gbm_surface *surface;
	struct gbm_bo *shown; /* what the display scans out now */
	uint32_t width, height;
	EGLDisplay display;
	EGLSurface egl_surface;
};

static int fail(const char *what)
{
	fprintf(stderr, "scene: %s (EGL error 0x%x, errno %s)\n", what, (unsigned int)eglGetError(), strerror(errno));
	return -1;
}

/* The first connected connector with a mode (the preferred one), and a CRTC that can drive it. */
static int screen_find(struct screen *s)
{
	drmModeRes *res = drmModeGetResources(s->fd);
	int err = -1;

	if (!res)
		return fail("the device has no display (drmModeGetResources)");
	for (int i = 0; i < res->count_connectors && err; i++) {
		drmModeConnector *c = drmModeGetConnector(s->fd, res->connectors[i]);
		drmModeEncoder *e;

		if (!c)
			continue;
		e = c->count_encoders ? drmModeGetEncoder(s->fd, c->encoders[0]) : NULL;
		if (c->connection == DRM_MODE_CONNECTED && c->count_modes && e) {
			for (int k = 0; k < res->count_crtcs; k++) {
				if (e->possible_crtcs & (1U << k)) {
					s->crtc = res->crtcs[k];
					err = 0;
					break;
				}
			}
			s->connector = c->connector_id;
			s->mode = c->modes[0];
			for (int k = c->count_modes; k-- > 0;) {
				if (c->modes[k].type & DRM_MODE_TYPE_PREFERRED)
					s->mode = c->modes[k];
			}
			s->width = s->mode.hdisplay;
			s->height = s->mode.vdisplay;
		}
		drmModeFreeEncoder(e);
		drmModeFreeConnector(c);
	}
	drmModeFreeResources(res);
	return err ? fail("no connected display") : 0;
}

static EGLDisplay display_of(EGLenum platform, void *native)
{
	PFNEGLGETPLATFORMDISPLAYEXTPROC get =
		(PFNEGLGETPLATFORMDISPLAYEXTPROC)(void (*)(void))eglGetProcAddress("eglGetPlatformDisplayEXT");

	return get ? get(platform, native, NULL) : EGL_NO_DISPLAY;
}

static int screen_open(struct screen *s, const char *device)
{
	EGLint attributes[] = { EGL_SURFACE_TYPE, s->fd < 0 ? 0 : EGL_WINDOW_BIT, EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT,
				EGL_RED_SIZE, 8, EGL_GREEN_SIZE, 8, EGL_BLUE_SIZE, 8, EGL_DEPTH_SIZE, 16, EGL_NONE };
	const EGLint version[] = { EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE };
	EGLConfig configs[64];
	EGLint count = 0, found = -1, visual;
	EGLContext context;

	if (device) {
		s->fd = open(device, O_RDWR | O_CLOEXEC);
		if (s->fd < 0)
			return fail(device);
		attributes[1] = EGL_WINDOW_BIT;
		if (screen_find(s))
			return -1;
		s->gbm = gbm_create_device(s->fd);
		if (!s->gbm)
			return fail("gbm_create_device");
		s->surface = gbm_surface_create(s->gbm, s->width, s->height, GBM_FORMAT_XRGB8888,
						GBM_BO_USE_SCANOUT | GBM_BO_USE_RENDERING);
		if (!s->surface)
			return fail("gbm_surface_create");
		s->display = display_of(EGL_PLATFORM_GBM_KHR, s->gbm);
	} else {
		s->display = display_of(EGL_PLATFORM_SURFACELESS_MESA, NULL);
	}
	if (s->display == EGL_NO_DISPLAY || !eglInitialize(s->display, NULL, NULL))
		return fail("EGL did not start");
	eglBindAPI(EGL_OPENGL_ES_API);
	if (!eglChooseConfig(s->display, attributes, configs, 64, &count) || !count)
		return fail("no EGL configuration");
	for (EGLint i = 0; i < count && found < 0; i++) {
		if (!device || (eglGetConfigAttrib(s->display, configs[i], EGL_NATIVE_VISUAL_ID, &visual) &&
				visual == (EGLint)GBM_FORMAT_XRGB8888))
			found = i;
	}
	if (found < 0)
		return fail("no EGL configuration for XRGB8888");
	context = eglCreateContext(s->display, configs[found], EGL_NO_CONTEXT, version);
	if (context == EGL_NO_CONTEXT)
		return fail("eglCreateContext");
	s->egl_surface = EGL_NO_SURFACE;
	if (device) {
		s->egl_surface = eglCreateWindowSurface(s->display, configs[found],
							(EGLNativeWindowType)s->surface, NULL);
		if (s->egl_surface == EGL_NO_SURFACE)
			return fail("eglCreateWindowSurface");
	}
	return eglMakeCurrent(s->display, s->egl_surface, s->egl_surface, context) ? 0 : fail("eglMakeCurrent");
}

/* Without a display: a framebuffer object of the size asked for. */
static int offscreen_target(const struct screen *s)
{
	GLuint names[2], fbo;

	glGenFramebuffers(1, &fbo);
	glBindFramebuffer(GL_FRAMEBUFFER, fbo);
	glGenTextures(1, names);
	glBindTexture(GL_TEXTURE_2D, names[0]);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA, (GLsizei)s->width, (GLsizei)s->height, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, names[0], 0);
	glGenRenderbuffers(1, names + 1);
	glBindRenderbuffer(GL_RENDERBUFFER, names[1]);
	glRenderbufferStorage(GL_RENDERBUFFER, GL_DEPTH_COMPONENT16, (GLsizei)s->width, (GLsizei)s->height);
	glFramebufferRenderbuffer(GL_FRAMEBUFFER, GL_DEPTH_ATTACHMENT, GL_RENDERBUFFER, names[1]);
	return glCheckFramebufferStatus(GL_FRAMEBUFFER) == GL_FRAMEBUFFER_COMPLETE ? 0 : fail("no offscreen target");
}

static void flipped(int fd, unsigned int sequence, unsigned int sec, unsigned int usec, void *waiting)
{
	(void)fd, (void)sequence, (void)sec, (void)usec;
	*(bool *)waiting = false;
}

static void forget_fb(struct gbm_bo *bo, void *fb)
{
	drmModeRmFB(gbm_device_get_fd(gbm_bo_get_device(bo)), (uint32_t)(uintptr_t)fb);
}

/* The KMS framebuffer of a buffer, made once. 0 on failure. */
static uint32_t fb_of(const struct screen *s, struct gbm_bo *bo)
{
	uint32_t fb = (uint32_t)(uintptr_t)gbm_bo_get_user_data(bo);
	const uint32_t handles[4] = { gbm_bo_get_handle(bo).u32 }, strides[4] = { gbm_bo_get_stride(bo) };
	const uint32_t offsets[4] = { 0 };

	if (!fb && !drmModeAddFB2(s->fd, s->width, s->height, DRM_FORMAT_XRGB8888, handles, strides, offsets, &fb, 0))
		gbm_bo_set_user_data(bo, (void *)(uintptr_t)fb, forget_fb);
	return fb;
}

/* Show what was drawn; returns when the display took it. */
static int screen_show(struct screen *s)
{
	struct gbm_bo *bo;
	uint32_t fb;
	bool waiting = true;
	drmEventContext events = { .version = 2, .page_flip_handler = flipped };

	if (s->fd < 0) {
		glFinish();
		return 0;
	}
	if (!eglSwapBuffers(s->display, s->egl_surface))
		return fail("eglSwapBuffers");
	bo = gbm_surface_lock_front_buffer(s->surface);
	fb = bo ? fb_of(s, bo) : 0;
	if (!fb)
		return fail("no framebuffer for the frame");
	if (!s->shown) {
		if (drmModeSetCrtc(s->fd, s->crtc, fb, 0, 0, &s->connector, 1, &s->mode))
			return fail("drmModeSetCrtc");
	} else {
		if (drmModePageFlip(s->fd, s->crtc, fb, DRM_MODE_PAGE_FLIP_EVENT, &waiting))
			return fail("drmModePageFlip");
		while (waiting) {
			if (drmHandleEvent(s->fd, &events))
				return fail("drmHandleEvent");
		}
		gbm_surface_release_buffer(s->surface, s->shown);
	}
	s->shown = bo;
	return 0;
}

/* highp throughout: renderers may differ in what they make of mediump, and pixels are compared. */
static const char vertex_source[] =
	"attribute highp vec3 position; attribute highp vec3 normal; attribute highp vec2 at;\n"
	"uniform highp mat4 view, turn;\n"
	"varying highp vec3 n, p; varying highp vec2 uv;\n"
	"void main() { highp vec4 w = turn * vec4(position, 1.0); p = w.xyz; n = mat3(turn[0].xyz, turn[1].xyz, turn[2].xyz) * normal;\n"
	"  uv = at; gl_Position = view * w; }\n";
static const char fragment_source[] =
	"precision highp float;\n"
	"uniform vec3 paint; varying vec3 n, p; varying vec2 uv;\n"
	"void main() { vec3 l = normalize(vec3(0.5, 0.8, 0.7)), m = normalize(n), e = normalize(vec3(0.0, 0.0, 5.0) - p);\n"
	"  float d = max(dot(m, l), 0.0), s = max(dot(m, normalize(l + e)), 0.0); s *= s; s *= s; s *= s; s *= s;\n"
	"  vec2 q = abs(uv); float edge = step(max(q.x, q.y), 0.88);\n"
	"  vec3 c = mix(vec3(0.95), paint, edge);\n"
	"  gl_FragColor = vec4(c * (0.25 + 0.75 * d) + vec3(0.35 * s), 1.0); }\n";
static const char back_vertex_source[] =
	"attribute highp vec3 position; varying highp float y;\n"
	"void main() { y = position.y * 0.5 + 0.5; gl_Position = vec4(position.xy, 0.999, 1.0); }\n";
static const char back_fragment_source[] =
	"precision highp float; varying float y;\n"
	"void main() { gl_FragColor = vec4(mix(vec3(0.05, 0.06, 0.09), vec3(0.16, 0.28, 0.42), y), 1.0); }\n";

static GLuint shader(GLenum kind, const char *source)
{
	GLuint name = glCreateShader(kind);
	GLint good = 0;
	char text[512];

	glShaderSource(name, 1, &source, NULL);
	glCompileShader(name);
	glGetShaderiv(name, GL_COMPILE_STATUS, &good);
	if (!good) {
		glGetShaderInfoLog(name, sizeof(text), NULL, text);
		fprintf(stderr, "scene: shader: %s\n", text);
	}
	return name;
}

static GLuint program(const char *vertex, const char *fragment)
{
	GLuint name = glCreateProgram();
	GLint good = 0;

	glAttachShader(name, shader(GL_VERTEX_SHADER, vertex));
	glAttachShader(name, shader(GL_FRAGMENT_SHADER, fragment));
	glBindAttribLocation(name, 0, "position");
	glBindAttribLocation(name, 1, "normal");
	glBindAttribLocation(name, 2, "at");
	glLinkProgram(name);
	glGetProgramiv(name, GL_LINK_STATUS, &good);
	return good ? name : 0;
}

struct vertex {
	float position[3], normal[3], at[2];
};

/* Six faces of two triangles; each face's own normal. */
static void make_cube(struct vertex v[36])
{
	static const float corner[6][2] = { { -1, -1 }, { 1, -1 }, { 1, 1 }, { -1, -1 }, { 1, 1 }, { -1, 1 } };

	for (int face = 0; face < 6; face++) {
		const int axis = face / 2;
		const float side = face % 2 ? -1.0f : 1.0f;

		for (int k = 0; k < 6; k++) {
			struct vertex *o = &v[face * 6 + k];

			memset(o, 0, sizeof(*o));
			o->position[axis] = side;
			o->position[(axis + 1) % 3] = corner[k][0] * side;
			o->position[(axis + 2) % 3] = corner[k][1];
			o->normal[axis] = side;
			o->at[0] = corner[k][0];
			o->at[1] = corner[k][1];
		}
	}
}

struct scene {
	GLuint cube, back, buffers[2];
	GLint view, turn, paint;
};

static int scene_init(struct scene *s)
{
	static const struct vertex quad[4] = { { { -1, -1, 0 }, { 0 }, { 0 } }, { { 1, -1, 0 }, { 0 }, { 0 } },
					       { { -1, 1, 0 }, { 0 }, { 0 } }, { { 1, 1, 0 }, { 0 }, { 0 } } };
	struct vertex cube[36];

	s->cube = program(vertex_source, fragment_source);
	s->back = program(back_vertex_source, back_fragment_source);
	if (!s->cube || !s->back)
		return fail("the shaders did not link");
	s->view = glGetUniformLocation(s->cube, "view");
	s->turn = glGetUniformLocation(s->cube, "turn");
	s->paint = glGetUniformLocation(s->cube, "paint");
	make_cube(cube);
	glGenBuffers(2, s->buffers);
	glBindBuffer(GL_ARRAY_BUFFER, s->buffers[0]);
	glBufferData(GL_ARRAY_BUFFER, sizeof(cube), cube, GL_STATIC_DRAW);
	glBindBuffer(GL_ARRAY_BUFFER, s->buffers[1]);
	glBufferData(GL_ARRAY_BUFFER, sizeof(quad), quad, GL_STATIC_DRAW);
	glEnable(GL_DEPTH_TEST);
	glEnable(GL_CULL_FACE);
	return glGetError() == GL_NO_ERROR ? 0 : fail("GL error at start");
}

static void use_buffer(GLuint buffer)
{
	static const int size[3] = { 3, 3, 2 };
	const struct vertex *zero = NULL;
	const void *offset[3] = { &zero->position, &zero->normal, &zero->at };

	glBindBuffer(GL_ARRAY_BUFFER, buffer);
	for (GLuint i = 0; i < 3; i++) {
		glEnableVertexAttribArray(i);
		glVertexAttribPointer(i, size[i], GL_FLOAT, GL_FALSE, sizeof(struct vertex), offset[i]);
	}
}

/* The picture of one frame depends on its number alone. */
static void scene_draw(const struct scene *s, const struct screen *screen, unsigned int frame)
{
	static const float paint[6][3] = { { 0.85f, 0.25f, 0.2f }, { 0.2f, 0.65f, 0.35f }, { 0.95f, 0.75f, 0.2f },
					   { 0.25f, 0.45f, 0.85f }, { 0.6f, 0.35f, 0.75f }, { 0.2f, 0.7f, 0.75f } };
	const float a = 0.6f + (float)frame * 0.05f, b = 0.5f + (float)frame * 0.02f;
	const float aspect = (float)screen->width / (float)screen->height, f = 2.2f, near = 1.0f, far = 20.0f;
	const float turn[16] = { cosf(a), sinf(b) * sinf(a), -cosf(b) * sinf(a), 0, 0, cosf(b), sinf(b), 0,
				 sinf(a), -sinf(b) * cosf(a), cosf(b) * cosf(a), 0, 0, 0, 0, 1 };
	/* A perspective from 5 units away. */
	const float view[16] = { f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / (near - far), -1, 0, 0,
				 2 * far * near / (near - far) - 5 * (far + near) / (near - far), 5 };

	glViewport(0, 0, (GLsizei)screen->width, (GLsizei)screen->height);
	glClear(GL_COLOR_BUFFER_BIT | GL_DEPTH_BUFFER_BIT);
	glUseProgram(s->back);
	use_buffer(s->buffers[1]);
	glDrawArrays(GL_TRIANGLE_STRIP, 0, 4);
	glUseProgram(s->cube);
	use_buffer(s->buffers[0]);
	glUniformMatrix4fv(s->view, 1, GL_FALSE, view);
	glUniformMatrix4fv(s->turn, 1, GL_FALSE, turn);
	for (int face = 0; face < 6; face++) {
		glUniform3fv(s->paint, 1, paint[face]);
		glDrawArrays(GL_TRIANGLES, face * 6, 6);
	}
}

/* Read the frame back, top row first: prints its checksum (FNV-1a over RGB bytes), writes it as PPM if wanted. */
static int report_pixels(const struct screen *s, unsigned int frame, const char *ppm)
{
	const size_t row = (size_t)s->width * 4;
	uint8_t *pixels = malloc(row * s->height);
	FILE *file = ppm ? fopen(ppm, "wb") : NULL;
	uint64_t hash = 0xcbf29ce484222325u;

	if (!pixels || (ppm && !file)) {
		free(pixels);
		return fail(ppm ? ppm : "memory");
	}
	glReadPixels(0, 0, (GLsizei)s->width, (GLsizei)s->height, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
	if (file)
		fprintf(file, "P6\n%u %u\n255\n", s->width, s->height);
	for (size_t y = s->height; y-- > 0;) {
		for (size_t x = 0; x < s->width; x++) {
			const uint8_t *p = pixels + y * row + x * 4;

			for (int k = 0; k < 3; k++)
				hash = (hash ^ p[k]) * 0x100000001b3u;
			if (file)
				fwrite(p, 1, 3, file);
		}
	}
	printf("scene: frame %u %ux%u checksum %016llx\n", frame, s->width, s->height, (unsigned long long)hash);
	free(pixels);
	return file && fclose(file) ? fail(ppm) : 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	struct screen screen = { .fd = -1 };
	struct scene scene;
	const char *device = "/dev/dri/card0", *ppm = NULL;
	unsigned int frames = 30, checked = 1;
	double began = now(), first = began, last = began;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (value && !strcmp(argv[i], "--frames") && atoi(value) > 0) {
			frames = (unsigned int)atoi(value);
		} else if (value && !strcmp(argv[i], "--checked") && atoi(value) > 0) {
			checked = (unsigned int)atoi(value);
		} else if (value && !strcmp(argv[i], "--device")) {
			device = value;
		} else if (value && !strcmp(argv[i], "--ppm")) {
			ppm = value;
		} else if (value && !strcmp(argv[i], "--offscreen") &&
			   sscanf(value, "%ux%u", &screen.width, &screen.height) == 2 && screen.width && screen.height &&
			   screen.width <= 16384 && screen.height <= 16384) {
			device = NULL;
		} else {
			fprintf(stderr, "usage: scene [--frames N] [--checked N] [--device FILE] [--offscreen WxH] "
					"[--ppm FILE]\n");
			return 2;
		}
	}
	if (screen_open(&screen, device) || (!device && offscreen_target(&screen)) || scene_init(&scene))
		return 1;
	printf("scene: GL_RENDERER: %s\n", (const char *)glGetString(GL_RENDERER));
	printf("scene: GL_VERSION: %s\n", (const char *)glGetString(GL_VERSION));
	for (unsigned int frame = 0; frame < frames; frame++) {
		scene_draw(&scene, &screen, frame);
		if (frame + checked >= frames && report_pixels(&screen, frame, frame == frames - 1 ? ppm : NULL))
			return 1;
		if (screen_show(&screen))
			return 1;
		if (frame == 0) {
			first = now();
			printf("scene: first frame after %.1f s\n", first - began);
		}
		if (frame + checked < frames)
			last = now();
		else if (checked > 1)
			usleep(40000); /* whoever writes them to files can keep up */
	}
	if (glGetError() != GL_NO_ERROR)
		return fail("GL error while drawing"), 1;
	/* The first frame compiles the shaders and the checked ones wait for the readback: they are not counted. */
	if (frames > checked + 1)
		printf("scene: %u frames, %.1f fps\n", frames, (double)(frames - checked - 1) / (last - first));
	printf("scene: done\n");
	return 0;
}
