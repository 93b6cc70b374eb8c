// SPDX-License-Identifier: MIT
#include "host/virtio/counters.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

void counters_make_printable(char *text)
{
	for (; *text; text++) {
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
	}
}

/* NULL when there is no room. */
static struct counter *append(struct counters *c, const char *part, const char *name, enum counter_kind kind,
			      uint64_t value)
{
	struct counter *n;

	if (c->count == COUNTERS_MAX) {
		c->left_out++;
		return NULL;
	}
	n = &c->list[c->count++];
	*n = (struct counter){.kind = kind, .value = value};
	snprintf(n->part, sizeof(n->part), "%s", part ? part : "");
	snprintf(n->name, sizeof(n->name), "%s", name);
	return n;
}

void counters_add(struct counters *c, const char *part, const char *name, uint64_t value)
{
	append(c, part, name, COUNTER_NUMBER, value);
}

void counters_add_flag(struct counters *c, const char *part, const char *name, bool value)
{
	append(c, part, name, COUNTER_FLAG, value);
}

void counters_add_text(struct counters *c, const char *part, const char *name, const char *text)
{
	struct counter *n = append(c, part, name, COUNTER_TEXT, 0);

	if (!n)
		return;
	snprintf(n->text, sizeof(n->text), "%s", text);
	counters_make_printable(n->text);
}

void counters_add_ratio(struct counters *c, const char *part, const char *name, uint64_t a, uint64_t b)
{
	if (b)
		append(c, part, name, COUNTER_RATIO, (uint64_t)((double)a * 1000 / (double)b + 0.5));
}

void counters_check(struct counters *c)
{
	if (c->count > COUNTERS_MAX)
		c->count = COUNTERS_MAX;
	for (uint32_t i = 0; i < c->count; i++) {
		struct counter *n = &c->list[i];

		n->part[sizeof(n->part) - 1] = n->name[sizeof(n->name) - 1] = n->text[sizeof(n->text) - 1] = '\0';
		counters_make_printable(n->part);
		counters_make_printable(n->name);
		counters_make_printable(n->text);
		if (n->kind > COUNTER_TEXT)
			n->kind = COUNTER_NUMBER;
	}
}
