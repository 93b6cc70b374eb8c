// SPDX-License-Identifier: MIT
/* Keys, pointer and fingers from the control socket, to the guest's seat. */
#include <string.h>

#include "host/input/seat.h"
#include "vmm/ctl_keys.h"
#include "vmm/ctl_request.h"
#include "vmm/devices.h"

#define KEYS_AT_ONCE 8u

static struct input_seat *seat(const struct ctl_client *client)
{
	return devices_seat(ctl_client_config(client)->devices);
}

/* Cut the next word off *@rest, up to a '+'. Returns its length, 0 at the end. */
static size_t next_word(const char **rest, const char **word)
{
	size_t n = strcspn(*rest, "+");

	*word = *rest;
	*rest += n + ((*rest)[n] == '+');
	return n;
}

void ctl_key(struct ctl_client *client, struct json_object *request)
{
	struct input_sink *sink = input_seat_sink(seat(client));
	const char *rest = ctl_text(request, "key"), *word;
	uint16_t codes[KEYS_AT_ONCE];
	unsigned n = 0;
	size_t bytes;

	if (!input_seat_has(seat(client), INPUT_KEYBOARD)) {
		ctl_refuse(client, "the guest has no keyboard: start it with --input keyboard");
		return;
	}
	while ((bytes = next_word(&rest, &word)) && n < KEYS_AT_ONCE) {
		codes[n] = ctl_key_code(word, bytes);
		if (!codes[n++]) {
			ctl_refuse(
				client,
				"no key \"%.*s\"; keys are named as in linux/input-event-codes.h without KEY_, like a, "
				"enter, leftshift, f1",
				(int)bytes, word);
			return;
		}
	}
	if (!n || *rest || bytes) {
		ctl_refuse(client, "\"key\" is 1 to %u names with + between them", KEYS_AT_ONCE);
		return;
	}
	if (!ctl_has(request, "down") || ctl_flag(request, "down")) {
		for (unsigned i = 0; i < n; i++)
			sink->ops->key(sink, codes[i], true);
	}
	if (!ctl_has(request, "down") || !ctl_flag(request, "down")) {
		while (n--)
			sink->ops->key(sink, codes[n], false);
	}
	ctl_answer(client, NULL);
}

static const struct {
	const char *name;
	unsigned button;
} buttons[] = {
	{"left", INPUT_BUTTON_LEFT},
	{"middle", INPUT_BUTTON_MIDDLE},
	{"right", INPUT_BUTTON_RIGHT},
};
#define BUTTON_COUNT (sizeof(buttons) / sizeof(buttons[0]))

void ctl_pointer(struct ctl_client *client, struct json_object *request)
{
	struct input_sink *sink = input_seat_sink(seat(client));
	struct input_pointer p = {
		.x = (int32_t)ctl_number(request, "x", 0),
		.y = (int32_t)ctl_number(request, "y", 0),
		.wheel = (int32_t)ctl_number(request, "wheel", 0),
		.horizontal_wheel = (int32_t)ctl_number(request, "horizontal-wheel", 0),
	};
	const char *rest = ctl_has(request, "buttons") ? ctl_text(request, "buttons") : "", *word;
	size_t bytes;

	if (!input_seat_has(seat(client), INPUT_TABLET) && !input_seat_has(seat(client), INPUT_MULTITOUCH) &&
	    !input_seat_has(seat(client), INPUT_MOUSE)) {
		ctl_refuse(client, "the guest has no pointer: start it with --input tablet");
		return;
	}
	while ((bytes = next_word(&rest, &word))) {
		unsigned i = 0;

		while (i < BUTTON_COUNT && (strlen(buttons[i].name) != bytes || strncmp(buttons[i].name, word, bytes)))
			i++;
		if (i == BUTTON_COUNT) {
			ctl_refuse(client, "no button \"%.*s\"; there are left, middle and right", (int)bytes, word);
			return;
		}
		p.buttons |= buttons[i].button;
	}
	sink->ops->pointer(sink, &p);
	ctl_answer(client, NULL);
}

void ctl_touch(struct ctl_client *client, struct json_object *request)
{
	struct input_sink *sink = input_seat_sink(seat(client));
	struct input_touch t = {
		.finger = (unsigned)ctl_number(request, "finger", 0),
		.down = !ctl_flag(request, "up"),
		.x = (int32_t)ctl_number(request, "x", 0),
		.y = (int32_t)ctl_number(request, "y", 0),
	};

	if (!input_seat_has(seat(client), INPUT_MULTITOUCH)) {
		ctl_refuse(client, "the guest has no touch screen: start it with --input multitouch");
		return;
	}
	if (t.down && !(ctl_has(request, "x") && ctl_has(request, "y"))) {
		ctl_refuse(client, "touch needs \"x\" and \"y\", or \"up\":true");
		return;
	}
	sink->ops->touch(sink, &t);
	ctl_answer(client, NULL);
}
