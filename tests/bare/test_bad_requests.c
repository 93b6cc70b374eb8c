// SPDX-License-Identifier: MIT
/* Requests that make no sense get the error that the specification names, and the device goes on. */
#include "guest-drivers/bare/alloc.h"
#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"

enum { GOOD = 1, GONE = 77, FAR = 1000 };

static struct gpu g;

static void answers(uint32_t want, const char *what, int rc)
{
	(void)rc;
	report_check(g.answer == want, "%s: answer 0x%x, want 0x%x", what, g.answer, want);
}

#define BAD_RESOURCE VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
#define BAD_SCANOUT VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID
#define BAD_CONTEXT VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID
#define BAD_PARAMETER VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
#define BAD_UNSPEC VIRTIO_GPU_RESP_ERR_UNSPEC

static void two_d(void)
{
	struct gpu_rect whole = {0, 0, 64, 64}, outside = {60, 60, 8, 8}, wraps = {0xfffffff0u, 0, 64, 64};
	struct virtio_gpu_mem_entry nowhere = {.addr = 1ull << 50, .length = 4096};
	static uint8_t memory[64 * 64 * 4];

	answers(VIRTIO_GPU_RESP_OK_NODATA, "a good resource",
		gpu_create_2d(&g, GOOD, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 64, 64));
	answers(BAD_RESOURCE, "create: id 0", gpu_create_2d(&g, 0, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 64, 64));
	answers(BAD_RESOURCE, "create: id in use", gpu_create_2d(&g, GOOD, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 64, 64));
	answers(BAD_PARAMETER, "create: no such format", gpu_create_2d(&g, GONE, 9999, 64, 64));
	answers(BAD_PARAMETER, "create: no width", gpu_create_2d(&g, GONE, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 0, 64));
	answers(BAD_PARAMETER, "create: 4G pixels wide",
		gpu_create_2d(&g, GONE, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, ~0u, ~0u));
	answers(BAD_RESOURCE, "unref: no such resource", gpu_unref(&g, GONE));
	answers(BAD_RESOURCE, "attach: no such resource", gpu_attach_backing(&g, GONE, memory, sizeof(memory)));
	answers(BAD_PARAMETER, "attach: memory outside of RAM", gpu_attach_pages(&g, GOOD, &nowhere, 1));
	answers(BAD_UNSPEC, "detach: nothing attached", gpu_detach_backing(&g, GOOD));
	answers(BAD_UNSPEC, "transfer: no backing", gpu_transfer_to_host_2d(&g, GOOD, whole, 0));
	answers(VIRTIO_GPU_RESP_OK_NODATA, "a good backing", gpu_attach_backing(&g, GOOD, memory, sizeof(memory)));
	answers(BAD_UNSPEC, "attach: twice", gpu_attach_backing(&g, GOOD, memory, sizeof(memory)));
	answers(BAD_PARAMETER, "transfer: outside of the resource", gpu_transfer_to_host_2d(&g, GOOD, outside, 0));
	answers(BAD_PARAMETER, "transfer: rectangle wraps", gpu_transfer_to_host_2d(&g, GOOD, wraps, 0));
	answers(BAD_PARAMETER, "transfer: offset behind the backing",
		gpu_transfer_to_host_2d(&g, GOOD, whole, sizeof(memory)));
	answers(BAD_PARAMETER, "transfer: offset near 2^64", gpu_transfer_to_host_2d(&g, GOOD, whole, ~0ull - 15));
	answers(BAD_RESOURCE, "transfer: no such resource", gpu_transfer_to_host_2d(&g, GONE, whole, 0));
	answers(BAD_SCANOUT, "scanout: no such scanout", gpu_set_scanout(&g, 16, GOOD, whole));
	answers(BAD_RESOURCE, "scanout: no such resource", gpu_set_scanout(&g, 0, GONE, whole));
	answers(BAD_PARAMETER, "scanout: outside of the resource", gpu_set_scanout(&g, 0, GOOD, outside));
	answers(BAD_RESOURCE, "flush: no such resource", gpu_flush(&g, GONE, whole));
	answers(BAD_PARAMETER, "flush: outside of the resource", gpu_flush(&g, GOOD, outside));
	answers(VIRTIO_GPU_RESP_OK_NODATA, "the good resource still works",
		gpu_transfer_to_host_2d(&g, GOOD, whole, 0));
}

static void form(void)
{
	struct virtio_gpu_ctrl_hdr unknown = {.type = 0x0666}, info = {.type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO}, answer;
	struct virtio_gpu_resource_attach_backing many = {
		.hdr.type = VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, .resource_id = GOOD, .nr_entries = 0x10000001u};
	struct virtio_gpu_update_cursor cursor = {.hdr.type = VIRTIO_GPU_CMD_MOVE_CURSOR};
	struct gpu_request r = {.out = {{&info, 5}}, .out_count = 1, .in = {&answer, sizeof(answer)}};

	answers(BAD_UNSPEC, "no such command", gpu_command(&g, &unknown, sizeof(unknown)));
	answers(BAD_PARAMETER, "more entries than bytes", gpu_command(&g, &many, sizeof(many)));
	answers(BAD_PARAMETER, "half a command", gpu_command(&g, &many, sizeof(many) - 4));
	answers(BAD_PARAMETER, "no room for the answer", gpu_command(&g, &info, sizeof(info)));
	answers(BAD_UNSPEC, "a cursor command on the control queue", gpu_command(&g, &cursor, sizeof(cursor)));
	memset(&answer, 0, sizeof(answer));
	report_check(!gpu_transact(&g, VIRTIO_GPU_QUEUE_CONTROL, &r) && answer.type == BAD_PARAMETER,
		     "5 bytes of a header: answer 0x%x", answer.type);
	r.in.bytes = 0;
	r.out[0].bytes = sizeof(info);
	report_check(!gpu_transact(&g, VIRTIO_GPU_QUEUE_CONTROL, &r) && r.written == 0,
		     "no answer buffer at all is survived");
}

static void three_d(void)
{
	static const struct gpu_resource_3d r = {
		.target = 2, .format = 1, .bind = 2, .width = 16, .height = 16, .depth = 1, .array_size = 1};
	struct gpu_transfer_3d t = {.box = {.w = 16, .h = 16, .d = 1}};
	static uint32_t words[64];
	struct virtio_gpu_resp_capset_info info;
	int rc;

	answers(BAD_PARAMETER, "capset info: no such index", gpu_capset_info(&g, FAR, &info));
	answers(BAD_PARAMETER, "capset: no such id", gpu_capset(&g, FAR, 0, words, sizeof(words)));
	answers(BAD_CONTEXT, "context: id 0", gpu_context_create(&g, 0, 0, "zero"));
	answers(BAD_CONTEXT, "destroy: no such context", gpu_context_destroy(&g, GONE));
	answers(BAD_CONTEXT, "submit: no such context", gpu_submit_3d(&g, GONE, words, 4));
	answers(BAD_CONTEXT, "attach: no such context", gpu_context_attach(&g, GONE, GOOD));
	answers(VIRTIO_GPU_RESP_OK_NODATA, "a good context", gpu_context_create(&g, 1, 0, "good"));
	answers(BAD_CONTEXT, "context: id in use", gpu_context_create(&g, 1, 0, "again"));
	answers(BAD_RESOURCE, "attach: no such resource", gpu_context_attach(&g, 1, GONE));
	answers(BAD_RESOURCE, "create 3D: id in use", gpu_create_3d(&g, GOOD, &r));
	answers(BAD_RESOURCE, "transfer: no such resource", gpu_transfer_to_host_3d(&g, 1, GONE, &t));
	answers(BAD_PARAMETER, "submit: not a multiple of 4", gpu_submit_3d(&g, 1, words, 7));

	/* Bytes that are no commands: the context may be lost by them, nothing else. */
	for (unsigned i = 0; i < 64; i++)
		words[i] = 0xdeadbeefu * (i + 1);
	rc = gpu_submit_3d(&g, 1, words, sizeof(words));
	report_check(rc != -110 && !g.stopped, "submit: noise is answered: 0x%x", g.answer); /* not -ETIMEDOUT */
	answers(VIRTIO_GPU_RESP_OK_NODATA, "the context goes", gpu_context_destroy(&g, 1));
	answers(VIRTIO_GPU_RESP_OK_NODATA, "another context comes", gpu_context_create(&g, 2, 0, "other"));
	words[0] = 0; /* a no-operation */
	answers(VIRTIO_GPU_RESP_OK_NODATA, "and runs", gpu_submit_3d(&g, 2, words, 4));
	gpu_context_destroy(&g, 2);
}

static void too_much(void)
{
	uint32_t made = 0;

	/* More than any host gives: the device says so before it runs out. */
	while (made < 100000 && !gpu_create_2d(&g, FAR + made, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 4096, 4096))
		made++;
	answers(VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY, "64 MiB resources without end", 0);
	for (uint32_t i = 0; i < made; i++)
		gpu_unref(&g, FAR + i);
	answers(VIRTIO_GPU_RESP_OK_NODATA, "and they can be given back", 0);
}

int main(void)
{
	struct virtio_gpu_resp_display_info info;
	int rc;

	report_start("bad_requests");
	rc = gpu_open(&g, VIRTIO_ANY, 0, VIRTIO_BIT(VIRTIO_GPU_F_VIRGL));
	if (report_check(!rc, "gpu_opens: error %d", rc)) {
		two_d();
		form();
		if (virtio_has(&g.dev, VIRTIO_GPU_F_VIRGL))
			three_d();
		else
			report_skip("3D requests: the renderer is 2D");
		too_much();
		report_check(!gpu_display_info(&g, &info) && !virtio_broken(&g.dev), "the device goes on");
		gpu_close(&g);
	}
	return report_end();
}
