// SPDX-License-Identifier: MIT
/* mullion-display.so */
#include <errno.h>
#include <string.h>

#include "host/base/log.h"
#include "host/display/screen.h"
#include "host/virtio/screen_module.h"

static int create(struct loop *loop, const char *spec, struct input_sink *input, struct screen **out)
{
	struct display_output *output;
	int err = display_create(loop, spec, input, &output);

	if (err)
		return err;
	err = screen_create(loop, output, out);
	if (err)
		log_line(LOG_TOPIC_DISPLAY, LOG_ERROR, "no screen: %s", strerror(-err));
	return err;
}

extern const struct screen_module mullion_screen_module;

const struct screen_module mullion_screen_module = {
	.abi = SCREEN_MODULE_ABI,
	.create = create,
	.connect = screen_connect,
	.destroy = screen_destroy,
};
