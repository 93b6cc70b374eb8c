// SPDX-License-Identifier: MIT
/*
 * The 3D commands reach the renderer as the guest sent them, whatever descriptors they come in; displays, config
 * space and events; resets in the middle. The renderer is the fake one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/virgl.h"
#include "tests/lib/gpu_world.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA

static const struct gpu_world_options fake_3d = {.fake_3d = true};

static void capsets_come_whole(void **state)
{
	struct gpu_world *w = gpu_world_create(&fake_3d);
	struct virtio_gpu_config config;

	(void)state;
	fake_guest_read_config(w->guest, 0, &config, sizeof(config));
	assert_int_equal(config.num_capsets, 2);
	for (uint32_t i = 0; i < config.num_capsets; i++) {
		struct virtio_gpu_get_capset_info c = {.capset_index = i};
		struct virtio_gpu_resp_capset_info info;
		struct virtio_gpu_get_capset get;
		uint8_t answer[1024];

		assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_CAPSET_INFO, &c, sizeof(c), &info, sizeof(info)),
				 VIRTIO_GPU_RESP_OK_CAPSET_INFO);
		assert_int_equal(w->used, sizeof(info));
		assert_int_equal(info.capset_id, i + 1);
		assert_int_equal(info.capset_max_version, i + 1);
		assert_int_equal(info.capset_max_size, FAKE_CAPSET_BYTES + 4 * i);
		get = (struct virtio_gpu_get_capset){.capset_id = info.capset_id, .capset_version = info.capset_max_version};
		assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_CAPSET, &get, sizeof(get), answer, sizeof(answer)),
				 VIRTIO_GPU_RESP_OK_CAPSET);
		assert_int_equal(w->used, 24 + info.capset_max_size);
		for (uint32_t b = 0; b < info.capset_max_size; b++)
			assert_int_equal(answer[24 + b], (uint8_t)(b * 3 + info.capset_id));
	}
	gpu_world_destroy(w);
}

static void contexts_have_names_and_capsets(void **state)
{
	struct gpu_world *w = gpu_world_create(&fake_3d);
	char long_name[70];
	const struct fake_context *c;

	(void)state;
	assert_int_equal(gpu_context(w, 1, 0, "plain"), OK);
	assert_int_equal(gpu_context(w, 0xffffffff, 2, "a\nb\x80\x1b[31m"), OK);
	memset(long_name, 'x', 64);
	long_name[64] = '\0';
	assert_int_equal(gpu_context(w, 2, 1, long_name), OK);
	c = fake_renderer_context(w->renderer, 1);
	assert_string_equal(c->name, "plain");
	assert_int_equal(c->capset_id, 0);
	c = fake_renderer_context(w->renderer, 0xffffffff);
	/* Fit for a log: nothing that a terminal would act on. */
	assert_string_equal(c->name, "a?b??[31m");
	assert_int_equal(c->capset_id, 2);
	assert_int_equal(strlen(fake_renderer_context(w->renderer, 2)->name), 63);
	assert_int_equal(gpu_context_gone(w, 1), OK);
	assert_null(fake_renderer_context(w->renderer, 1));
	assert_int_equal(gpu_context(w, 1, 0, "again"), OK);
	gpu_world_destroy(w);
}

static void resources_join_and_leave_contexts(void **state)
{
	struct gpu_world *w = gpu_world_create(&fake_3d);
	struct virtio_gpu_ctx_resource c = {.resource_id = 5};

	(void)state;
	assert_int_equal(gpu_context(w, 3, 2, "c"), OK);
	assert_int_equal(gpu_create_3d(w, 5, 64, 32), OK);
	w->ctx_id = 3;
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, &c, sizeof(c)), OK);
	assert_int_equal(w->renderer->attaches, 1);
	assert_int_equal(fake_renderer_context(w->renderer, 3)->attached, 5);
	assert_int_equal(gpu_command(w, VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, &c, sizeof(c)), OK);
	assert_int_equal(w->renderer->detaches, 1);
	gpu_world_destroy(w);
}

static uint32_t attachment(struct gpu_world *w, uint32_t type, uint32_t ctx_id, uint32_t id)
{
	struct virtio_gpu_ctx_resource c = {.resource_id = id};

	w->ctx_id = ctx_id;
	return gpu_command(w, type, &c, sizeof(c));
}

/* Whether the result of a query of @ctx_id that is lost is written to where @pages is what the guest sees of resource 5. */
static bool is_given(struct gpu_world *w, uint32_t ctx_id, uint32_t *pages)
{
	pages[0] = 2;
	w->renderer->config.query_lost(w->renderer->config.owner, ctx_id, 5);
	return pages[0] == VIRGL_QUERY_DONE;
}

static void results_of_queries_go_to_what_is_attached(void **state)
{
	struct gpu_world *w = gpu_world_create(&fake_3d);
	uint32_t *pages;

	(void)state;
	assert_int_equal(gpu_context(w, 3, 2, "a"), OK);
	assert_int_equal(gpu_context(w, 4, 2, "b"), OK);
	assert_int_equal(gpu_create_3d(w, 5, 64, 32), OK);
	pages = gpu_back(w, 5, 4096, NULL);
	assert_false(is_given(w, 3, pages));
	assert_int_equal(attachment(w, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, 3, 5), OK);
	assert_true(is_given(w, 3, pages));
	assert_false(is_given(w, 4, pages));
	assert_false(is_given(w, 99, pages));
	assert_int_equal(attachment(w, VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, 3, 5), OK);
	assert_false(is_given(w, 3, pages));
	/* What has its number later is another one. */
	assert_int_equal(attachment(w, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, 3, 5), OK);
	assert_int_equal(gpu_unref(w, 5), OK);
	assert_int_equal(gpu_create_3d(w, 5, 64, 32), OK);
	pages = gpu_back(w, 5, 4096, NULL);
	assert_false(is_given(w, 3, pages));
	gpu_world_destroy(w);
}

static void transfers_say_what_the_guest_said(void **state)
{
	struct gpu_world *w = gpu_world_create(&fake_3d);

	(void)state;
	assert_int_equal(gpu_context(w, 3, 2, "c"), OK);
	assert_int_equal(gpu_create_3d(w, 5, 64, 32), OK);
	gpu_back(w, 5, 16384, NULL);
	for (unsigned i = 0; i < 2; i++) {
		struct virtio_gpu_transfer_host_3d c = {
			.resource_id = 5, .box = {1, 2, 0, 3, 4, 1}, .offset = 100, .stride = 256, .layer_stride = 8192,
		};
		const struct renderer_transfer *t = &w->renderer->transfer;

		w->ctx_id = i ? 3 : 0;
		assert_int_equal(gpu_command(w, i ? VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D : VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D, &c,
					     sizeof(c)), OK);
		assert_int_equal(w->renderer->to_host, i == 0);
		assert_int_equal(t->ctx_id, w->ctx_id);
		assert_int_equal(t->offset, 100);
		assert_int_equal(t->stride, 256);
		assert_int_equal(t->layer_stride, 8192);
		assert_memory_equal(&t->box, (&(struct renderer_box){1, 2, 0, 3, 4, 1}), sizeof(t->box));
	}
	gpu_world_destroy(w);
}

static void what_the_renderer_draws_is_shown(void **state)
{
	struct gpu_world *w = gpu_world_create(&fake_3d);
	const struct shown *s = &w->display->shown[0];

	(void)state;
	assert_int_equal(gpu_create_3d(w, 5, 64, 32), OK);
	assert_int_equal(gpu_scan(w, 0, 5, gpu_rect(8, 4, 50, 20)), OK);
	assert_int_equal(gpu_flush(w, 5, gpu_rect(0, 0, 64, 32)), OK);
	for (uint32_t p = 0; p < 50 * 20; p++)
		assert_int_equal(s->pixels[p], fake_renderer_pixel(5, 8 + p % 50, 4 + p / 50));
	gpu_world_destroy(w);
}

/* ---- requests in pieces ---- */

struct cut {
	struct gpu_world *w;
	unsigned submits;
};

static void submit_once(void *arg)
{
	struct cut *c = arg;
	uint32_t commands[16];

	for (uint32_t i = 0; i < 16; i++)
		commands[i] = i * 0x01010101 + ++c->submits;
	assert_int_equal(gpu_submit(c->w, 3, commands, sizeof(commands)), OK);
	assert_int_equal(c->w->renderer->command_bytes, sizeof(commands));
	assert_int_equal(c->w->renderer->submit_ctx, 3);
	assert_memory_equal(c->w->renderer->commands, commands, sizeof(commands));
}

static void attach_once(void *arg)
{
	struct cut *c = arg;
	struct virtio_gpu_mem_entry entries[4];

	for (unsigned i = 0; i < 4; i++)
		entries[i] = (struct virtio_gpu_mem_entry){.addr = 0x100000 + (3 - i) * 8192, .length = 4096};
	assert_int_equal(gpu_attach(c->w, 5, entries, 4), OK);
	assert_int_equal(gpu_detach(c->w, 5), OK);
}

static void context_once(void *arg)
{
	struct cut *c = arg;

	assert_int_equal(gpu_context(c->w, 9, 2, "a context"), OK);
	assert_string_equal(fake_renderer_context(c->w->renderer, 9)->name, "a context");
	assert_int_equal(gpu_context_gone(c->w, 9), OK);
}

static void blob_once(void *arg)
{
	struct cut *c = arg;
	struct virtio_gpu_mem_entry entries[2] = {{.addr = 0x200000, .length = 4096}, {.addr = 0x300000, .length = 4096}};
	struct virtio_gpu_set_scanout_blob s = {
		.r = {.width = 30, .height = 20}, .resource_id = 8, .width = 32, .height = 20, .format = 2, .strides = {400}, .offsets = {16},
	};

	assert_int_equal(gpu_create_blob(c->w, 8, 8192, entries, 2), OK);
	assert_int_equal(gpu_command(c->w, VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, &s, sizeof(s)), OK);
	assert_int_equal(gpu_flush(c->w, 8, gpu_rect(0, 0, 32, 20)), OK);
	assert_int_equal(gpu_unref(c->w, 8), OK);
}

static void info_once(void *arg)
{
	struct cut *c = arg;
	struct virtio_gpu_ctrl_hdr request;
	struct virtio_gpu_resp_display_info info;

	assert_int_equal(gpu_send(c->w, VIRTIO_GPU_CMD_GET_DISPLAY_INFO, &request, sizeof(request), &info, sizeof(info)),
			 VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	assert_int_equal(c->w->used, sizeof(info));
	assert_int_equal(info.pmodes[0].r.height, 800);
	assert_int_equal(info.pmodes[0].enabled, 1);
}

static void refused_once(void *arg)
{
	struct cut *c = arg;

	assert_int_equal(gpu_submit(c->w, 77, "abcdefgh", 8), VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID);
}

static void a_request_may_be_cut_anywhere(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 4; kind++) {
		struct gpu_world_options options = {.fake_3d = true, .guest = {.packed = kind & 1, .indirect = kind & 2}};
		struct cut c = {.w = gpu_world_create(&options)};

		assert_int_equal(gpu_context(c.w, 3, 2, "c"), OK);
		assert_int_equal(gpu_create_3d(c.w, 5, 64, 32), OK);
		fake_guest_split_each(c.w->guest, 0, 32 + 64 + 24, submit_once, &c);
		fake_guest_split_each(c.w->guest, 0, 32 + 64 + 24, attach_once, &c);
		fake_guest_split_each(c.w->guest, 0, 96 + 24, context_once, &c);
		fake_guest_split_each(c.w->guest, 0, 96 + 24, blob_once, &c);
		fake_guest_split_each(c.w->guest, 0, 24 + 408, info_once, &c);
		fake_guest_split_each(c.w->guest, 0, 40 + 24, refused_once, &c);
		assert_true(c.submits > 120);
		gpu_world_destroy(c.w);
	}
}

/* ---- displays ---- */

static struct virtio_gpu_resp_display_info display_info(struct gpu_world *w)
{
	struct virtio_gpu_ctrl_hdr request;
	struct virtio_gpu_resp_display_info info;

	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_DISPLAY_INFO, &request, sizeof(request), &info, sizeof(info)),
			 VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
	return info;
}

static uint32_t edid_size(struct gpu_world *w, uint32_t scanout, struct virtio_gpu_resp_edid *answer)
{
	struct virtio_gpu_cmd_get_edid c = {.scanout = scanout};

	assert_int_equal(gpu_send(w, VIRTIO_GPU_CMD_GET_EDID, &c, sizeof(c), answer, sizeof(*answer)), VIRTIO_GPU_RESP_OK_EDID);
	assert_int_equal(w->used, sizeof(*answer));
	return answer->size;
}

static uint32_t dtd_width(const struct virtio_gpu_resp_edid *e)
{
	return e->edid[56] | (uint32_t)(e->edid[58] >> 4) << 8;
}

static void the_guest_learns_of_every_display(void **state)
{
	struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.scanouts = 16, .width = 640, .height = 480});
	struct virtio_gpu_resp_display_info info = display_info(w);
	struct virtio_gpu_resp_edid edid;
	struct virtio_gpu_config config;

	(void)state;
	fake_guest_read_config(w->guest, 0, &config, sizeof(config));
	assert_int_equal(config.num_scanouts, 16);
	assert_int_equal(config.events_read, 0);
	for (uint32_t i = 0; i < 16; i++) {
		assert_int_equal(info.pmodes[i].enabled, 1);
		assert_int_equal(info.pmodes[i].r.x, i * 640);
		assert_int_equal(info.pmodes[i].r.width, 640);
		assert_int_equal(edid_size(w, i, &edid), 128);
		assert_int_equal(dtd_width(&edid), 640);
		assert_int_equal(edid.edid[12], i + 1); /* serial numbers tell them apart */
	}
	gpu_world_destroy(w);
}

static void a_resized_display_is_an_event(void **state)
{
	struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.scanouts = 3});
	struct virtio_gpu_resp_display_info info;
	struct virtio_gpu_resp_edid edid;
	struct virtio_gpu_config config;
	unsigned changes = fake_guest_config_changes(w->guest);
	uint32_t word;

	(void)state;
	assert_int_equal(gpu_set_mode(w->device, 1, &(struct gpu_mode){800, 600}), 0);
	assert_int_equal(gpu_set_mode(w->device, 2, &(struct gpu_mode){0, 0}), 0);
	assert_int_equal(fake_guest_config_changes(w->guest), changes + 2);
	fake_guest_read_config(w->guest, 0, &config, sizeof(config));
	assert_int_equal(config.events_read, VIRTIO_GPU_EVENT_DISPLAY);
	assert_int_equal(config.events_clear, 0);
	info = display_info(w);
	assert_int_equal(info.pmodes[1].r.width, 800);
	assert_int_equal(info.pmodes[1].r.height, 600);
	assert_int_equal(info.pmodes[2].enabled, 0);
	assert_int_equal(info.pmodes[2].r.width, 0);
	assert_int_equal(info.pmodes[3].enabled, 0);
	assert_int_equal(edid_size(w, 1, &edid), 128);
	assert_int_equal(dtd_width(&edid), 800);
	assert_int_equal(edid_size(w, 2, &edid), 0);

	/* Only events_clear can be written, and only what is 1 in it is cleared. */
	word = 0xffffffff;
	virtio_device_config(w->device, 0, &word, 4, true);
	virtio_device_config(w->device, 8, &word, 4, true);
	word = 2;
	virtio_device_config(w->device, 4, &word, 4, true);
	fake_guest_read_config(w->guest, 0, &config, sizeof(config));
	assert_int_equal(config.events_read, VIRTIO_GPU_EVENT_DISPLAY);
	assert_int_equal(config.num_scanouts, 3);
	word = VIRTIO_GPU_EVENT_DISPLAY;
	virtio_device_config(w->device, 4, &word, 4, true);
	fake_guest_read_config(w->guest, 0, &config, sizeof(config));
	assert_int_equal(config.events_read, 0);

	/* Bigger than a detailed timing can say: a second block. */
	assert_int_equal(gpu_set_mode(w->device, 0, &(struct gpu_mode){5120, 2880}), 0);
	assert_int_equal(edid_size(w, 0, &edid), 256);
	assert_int_equal(gpu_set_mode(w->device, 3, &(struct gpu_mode){800, 600}), -22);
	assert_int_equal(gpu_set_mode(w->device, 0, &(struct gpu_mode){800, 0}), -22);
	assert_int_equal(gpu_set_mode(w->device, 0, &(struct gpu_mode){16385, 1}), -22);
	gpu_world_destroy(w);
}

/* ---- reset ---- */

static void a_reset_forgets_the_guest(void **state)
{
	struct gpu_world *w = gpu_world_create(&(struct gpu_world_options){.fake_3d = true, .scanouts = 2});

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		struct virtio_gpu_update_cursor cursor = {
			.hdr.type = VIRTIO_GPU_CMD_UPDATE_CURSOR, .resource_id = 6,
		};
		struct virtio_gpu_mem_entry entry = {.addr = 0x200000, .length = 4096};
		unsigned blanks = w->display->shown[1].blanks;

		assert_int_equal(gpu_context(w, 3, 2, "c"), OK);
		assert_int_equal(gpu_create_3d(w, 5, 64, 32), OK);
		assert_int_equal(gpu_create_2d(w, 6, 1, 64, 64), OK);
		assert_int_equal(gpu_create_blob(w, 7, 4096, &entry, 1), OK);
		assert_int_equal(gpu_attach(w, 5, &entry, 1), OK);
		assert_int_equal(gpu_scan(w, 1, 5, gpu_rect(0, 0, 64, 32)), OK);
		assert_int_equal(gpu_flush(w, 5, gpu_rect(0, 0, 64, 32)), OK);
		assert_int_equal(fake_guest_request(w->guest, 1, &cursor, sizeof(cursor), NULL, 0, NULL), 0);
		assert_int_equal(w->renderer->backings, 1);
		assert_non_null(w->display->shown[0].cursor.pixels);
		fake_guest_reset(w->guest);
		assert_int_equal(w->renderer->context_count, 0);
		assert_int_equal(w->renderer->resource_count, 0);
		assert_int_equal(w->renderer->backings, 0);
		assert_int_equal(w->display->shown[1].blanks, blanks + 1);
		assert_null(w->display->shown[0].cursor.pixels);
		assert_int_equal(fake_guest_start(w->guest, w->device), 0);
		assert_int_equal(gpu_flush(w, 5, gpu_rect(0, 0, 64, 32)), VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID);
	}
	gpu_world_destroy(w);
}

static void a_broken_ring_stops_the_device_until_reset(void **state)
{
	struct gpu_world *w = gpu_world_create(&fake_3d);

	(void)state;
	assert_int_equal(gpu_create_3d(w, 5, 64, 32), OK);
	/* A descriptor that points outside guest memory. */
	fake_guest_put(w->guest, 0, 0, 0x7000000000ull, 24, 0, 0);
	fake_guest_publish(w->guest, 0, 0);
	fake_guest_force_kick(w->guest, 0);
	fake_guest_run_until(w->guest, NULL, NULL, 1);
	assert_true(w->device->broken);
	assert_int_equal(fake_guest_start(w->guest, w->device), 0);
	assert_false(w->device->broken);
	assert_int_equal(w->renderer->resource_count, 0);
	assert_int_equal(gpu_create_3d(w, 5, 64, 32), OK);
	gpu_world_destroy(w);
}

/* ---- construction ---- */

static void a_renderer_that_is_not_there_is_named(void **state)
{
	struct fake_guest *guest = fake_guest_create(NULL);
	struct virtio_device *d = NULL;
	struct gpu_config config;

	(void)state;
	gpu_config_init(&config);
	config.renderers = fake_renderers;
	config.renderer = "vulkan";
	assert_int_equal(gpu_create(&config, fake_guest_loop(guest), fake_guest_mem(guest), &d), -22);
	config.renderer = "auto";
	config.scanouts = 0;
	assert_int_equal(gpu_create(&config, fake_guest_loop(guest), fake_guest_mem(guest), &d), -22);
	config.scanouts = 17;
	assert_int_equal(gpu_create(&config, fake_guest_loop(guest), fake_guest_mem(guest), &d), -22);
	config.scanouts = 1;
	assert_int_equal(gpu_create(&config, fake_guest_loop(guest), fake_guest_mem(guest), &d), 0);
	virtio_device_destroy(d);
	fake_guest_destroy(guest);
}

static void options_are_read_and_wrong_ones_refused(void **state)
{
	static const char *const wrong[] = {
		"renderer", "renderer=", "colour=red", "scanouts=0", "scanouts=17", "scanouts=2x", "size=1280", "size=1280x",
		"size=0x5", "size=16385x1", "size=-1x5", "size16=1x1", "sizeq=1x1", "memory=0", "memory=99999999999999999999",
		"share=4", "share=101", "share=",
	};
	char good[] = "renderer=2d,scanouts=3,size=800x600,size1=0x0,,size2=1920x1080,memory=64,share=40,render-node=/dev/dri/x";
	/* A display with a size has a connector; those that are only reserved are not plugged in. */
	char spare[] = "scanouts=2,size4=800x480";
	struct gpu_config config;

	(void)state;
	gpu_config_init(&config);
	assert_int_equal(config.scanouts, 1);
	assert_int_equal(config.share, 100);
	assert_int_equal(config.modes[0].width, 1280);
	assert_int_equal(gpu_config_parse(&config, good), 0);
	assert_string_equal(config.renderer, "2d");
	assert_string_equal(config.render_node, "/dev/dri/x");
	assert_int_equal(config.share, 40);
	assert_int_equal(config.scanouts, 3);
	assert_int_equal(config.modes[0].width, 800);
	assert_int_equal(config.modes[1].width, 0);
	assert_int_equal(config.modes[2].height, 1080);
	assert_int_equal(config.limits.resource_bytes, 64u << 20);
	assert_int_equal(gpu_config_parse(&config, spare), 0);
	assert_int_equal(config.scanouts, 5);
	assert_int_equal(config.modes[3].width, 0);
	assert_int_equal(config.modes[4].width, 800);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char *copy = strdup(wrong[i]);

		gpu_config_init(&config);
		assert_int_equal(gpu_config_parse(&config, copy), -22);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capsets_come_whole),
		cmocka_unit_test(contexts_have_names_and_capsets),
		cmocka_unit_test(resources_join_and_leave_contexts),
		cmocka_unit_test(results_of_queries_go_to_what_is_attached),
		cmocka_unit_test(transfers_say_what_the_guest_said),
		cmocka_unit_test(what_the_renderer_draws_is_shown),
		cmocka_unit_test(a_request_may_be_cut_anywhere),
		cmocka_unit_test(the_guest_learns_of_every_display),
		cmocka_unit_test(a_resized_display_is_an_event),
		cmocka_unit_test(a_reset_forgets_the_guest),
		cmocka_unit_test(a_broken_ring_stops_the_device_until_reset),
		cmocka_unit_test(a_renderer_that_is_not_there_is_named),
		cmocka_unit_test(options_are_read_and_wrong_ones_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
