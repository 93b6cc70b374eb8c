// SPDX-License-Identifier: MIT
/*
 * The smallest thing that draws by the host's OpenGL: one context, one picture, one triangle.
 *
 *	mullion run --kernel build/bare/triangle.elf --gpu size=640x480 --display png:/tmp/frames
 */
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/virgl.h"

enum { WIDTH = 640, HEIGHT = 480 };
enum { CONTEXT = 1, PICTURE = 1, VERTICES = 2 };
enum { SURFACE = 1, BLEND, RASTERIZER, DSA, LAYOUT, VERTEX_SHADER, FRAGMENT_SHADER };

static const char vertex_shader[] = "VERT\n"
				    "DCL IN[0]\n"
				    "DCL IN[1]\n"
				    "DCL OUT[0], POSITION\n"
				    "DCL OUT[1], COLOR\n"
				    "  0: MOV OUT[0], IN[0]\n"
				    "  1: MOV OUT[1], IN[1]\n"
				    "  2: END\n";
static const char fragment_shader[] = "FRAG\n"
				      "DCL IN[0], COLOR, LINEAR\n"
				      "DCL OUT[0], COLOR\n"
				      "  0: MOV OUT[0], IN[0]\n"
				      "  1: END\n";

/* Position x y z w, colour r g b a, as the bits of floats: no floating point is needed to write them. */
#define F0 VIRGL_FLOAT_0
#define F1 VIRGL_FLOAT_1
#define PLUS_08 0x3f4ccccdu
#define MINUS_08 0xbf4ccccdu
static const uint32_t triangle[3][8] = {
	{MINUS_08, MINUS_08, F0, F1, F1, F0, F0, F1},
	{PLUS_08, MINUS_08, F0, F1, F0, F1, F0, F1},
	{F0, PLUS_08, F0, F1, F0, F0, F1, F1},
};

static uint32_t commands[1024];

static uint32_t draw(void)
{
	static const struct virgl_vertex_element layout[] = {
		{.offset = 0, .format = VIRGL_FORMAT_R32G32B32A32_FLOAT},
		{.offset = 16, .format = VIRGL_FORMAT_R32G32B32A32_FLOAT},
	};
	static const uint32_t night[4] = {0x3d4ccccd, 0x3d4ccccd, 0x3dcccccd, F1};
	struct virgl_vertex_buffer buffer = {.stride = sizeof(triangle[0]), .resource = VERTICES};
	struct virgl_region all = {.width = sizeof(triangle), .height = 1, .depth = 1};
	uint32_t surface = SURFACE;
	struct virgl_encoder e;

	virgl_encoder_init(&e, commands, sizeof(commands) / sizeof(commands[0]));
	virgl_create_sub_context(&e, 1);
	virgl_set_sub_context(&e, 1);
	virgl_inline_write(&e, VERTICES, 0, &all, 0, 0, triangle, sizeof(triangle));

	virgl_create_surface(&e, SURFACE, PICTURE, VIRGL_FORMAT_B8G8R8X8_UNORM, 0, 0, 0);
	virgl_set_framebuffer(&e, &surface, 1, 0);
	virgl_set_viewport_whole(&e, WIDTH, HEIGHT, true);
	virgl_clear(&e, PIPE_CLEAR_COLOR0, night, VIRGL_DOUBLE_1, 0);

	virgl_create_blend(&e, BLEND, &virgl_blend_opaque);
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
	virgl_draw_arrays(&e, PIPE_PRIM_TRIANGLES, 0, 3);
	return e.failed ? 0 : (uint32_t)(e.used * sizeof(uint32_t));
}

int main(void)
{
	static struct gpu g;
	static const struct gpu_resource_3d picture = {.target = PIPE_TEXTURE_2D,
						       .format = VIRGL_FORMAT_B8G8R8X8_UNORM,
						       .bind = VIRGL_BIND_RENDER_TARGET | VIRGL_BIND_SCANOUT,
						       .width = WIDTH,
						       .height = HEIGHT,
						       .depth = 1,
						       .array_size = 1};
	static const struct gpu_resource_3d vertices = {.target = PIPE_BUFFER,
							.format = VIRGL_FORMAT_R8_UNORM,
							.bind = VIRGL_BIND_VERTEX_BUFFER,
							.width = sizeof(triangle),
							.height = 1,
							.depth = 1,
							.array_size = 1};
	static const struct gpu_rect all = {0, 0, WIDTH, HEIGHT};
	uint32_t bytes;
	int rc = gpu_open(&g, VIRTIO_ANY, 0, VIRTIO_BIT(VIRTIO_GPU_F_VIRGL));

	if (rc) {
		printf("triangle: no virtio-gpu to use (error %d); give the machine one with --gpu\n", rc);
		return 1;
	}
	if (!virtio_has(&g.dev, VIRTIO_GPU_F_VIRGL)) {
		printf("triangle: this GPU has no 3D (VIRTIO_GPU_F_VIRGL); start it with --gpu renderer=virgl\n");
		return 1;
	}
	bytes = draw();
	if (!bytes) {
		printf("triangle: the commands do not fit into %zu bytes\n", sizeof(commands));
		return 1;
	}
	if ((rc = gpu_context_create(&g, CONTEXT, 0, "triangle")) || (rc = gpu_create_3d(&g, PICTURE, &picture)) ||
	    (rc = gpu_context_attach(&g, CONTEXT, PICTURE)) || (rc = gpu_create_3d(&g, VERTICES, &vertices)) ||
	    (rc = gpu_context_attach(&g, CONTEXT, VERTICES)) || (rc = gpu_submit_3d(&g, CONTEXT, commands, bytes)) ||
	    (rc = gpu_set_scanout(&g, 0, PICTURE, all)) || (rc = gpu_flush(&g, PICTURE, all))) {
		printf("triangle: the GPU answered 0x%04x (error %d)\n", g.answer, rc);
		return 1;
	}
	printf("PASS triangle: drawn, %dx%d\n", WIDTH, HEIGHT);
	return 0;
}
