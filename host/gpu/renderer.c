// SPDX-License-Identifier: MIT
#include "host/gpu/renderer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/base/log.h"

const struct renderer_ops *const renderers[] = {
	&renderer_virgl_ops,
	&renderer_2d_ops,
	NULL,
};

static void list_names(const struct renderer_ops *const *list, char *buffer, size_t size)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (; *list && used < size; list++)
		used += (size_t)snprintf(buffer + used, size - used, ", %s", (*list)->name);
}

int renderer_start(const struct renderer_ops *const *list, const char *name, const struct renderer_config *config,
		   struct renderer **out)
{
	const bool any = !name || strcmp(name, "auto") == 0;
	char why[256], passed[512] = "", names[64];
	int err = -ENOENT;

	for (const struct renderer_ops *const *ops = list; *ops; ops++) {
		size_t used = strlen(passed);

		if (!any && strcmp((*ops)->name, name) != 0)
			continue;
		why[0] = '\0';
		err = (*ops)->create(config, out, why, sizeof(why));
		if (err == 0) {
			log_line(LOG_TOPIC_GPU, LOG_INFO, "renderer: %s%s", why, passed);
			return 0;
		}
		snprintf(passed + used, sizeof(passed) - used, "%s%s", used ? "; " : " because ", why);
		/* Who names a GPU wants that one, or to know. */
		if (config->render_node)
			break;
	}
	if (err == -ENOENT && passed[0] == '\0') {
		list_names(list, names, sizeof(names));
		log_line(LOG_TOPIC_GPU, LOG_ERROR, "no renderer '%s'; there are auto%s", name ? name : "auto", names);
		return -EINVAL;
	}
	log_line(LOG_TOPIC_GPU, LOG_ERROR, "no renderer%s", passed);
	return err;
}
