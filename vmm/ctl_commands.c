// SPDX-License-Identifier: MIT
/* What a control socket can be asked for: the table, the check of requests against it, and the short commands. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "host/virtio/display_control.h"
#include "host/virtio/input_sink.h"
#include "vmm/ctl_request.h"
#include "vmm/vm.h"

#define DEPTH_MAX 8
#define ID_BYTES_MAX 128
#define VCPU_LIMIT_S 10u

static void list_commands(struct ctl_client *client, struct json_object *request);

/* ---- the machine's life ---- */

static bool finish_pause(struct ctl_call *call, struct ctl_client *client)
{
	(void)call;
	if (client)
		ctl_answer(client, NULL);
	return true;
}

static void pause_guest(struct ctl_client *client, struct json_object *request)
{
	struct ctl_call *call = calloc(1, sizeof(*call));

	(void)request;
	if (!call) {
		ctl_refuse(client, "out of memory");
		return;
	}
	call->finish = finish_pause;
	if (ctl_defer(client, call, VCPU_LIMIT_S,
		      "a virtual processor waits for a device that doesn't answer; it stops when the "
		      "device does"))
		vm_pause(ctl_client_config(client)->vm, &call->back);
	else
		free(call);
}

static void resume_guest(struct ctl_client *client, struct json_object *request)
{
	(void)request;
	if (vm_resume(ctl_client_config(client)->vm))
		ctl_refuse(client, "the guest is just being paused: resume it when that is done");
	else
		ctl_answer(client, NULL);
}

static void power_button(struct ctl_client *client, struct json_object *request)
{
	(void)request;
	if (vm_power_button(ctl_client_config(client)->vm))
		ctl_answer(client, NULL);
	else
		ctl_refuse(client, "this machine has no power button: shut the guest down from inside, or use quit");
}

static void reset(struct ctl_client *client, struct json_object *request)
{
	(void)request;
	vm_end(ctl_client_config(client)->vm, VM_END_REBOOT);
	ctl_answer(client, NULL);
}

static void quit(struct ctl_client *client, struct json_object *request)
{
	(void)request;
	vm_end(ctl_client_config(client)->vm, VM_END_USER);
	ctl_answer(client, NULL);
}

/* ---- the table ---- */

/* clang-format off */
#define NUMBER(name, needed, min, max) {name, CTL_NUMBER, needed, min, max}
#define TEXT(name, needed, bytes) {name, CTL_TEXT, needed, 1, bytes}
#define FLAG(name) {name, CTL_FLAG, false, 0, 0}
/* clang-format on */
#define DISPLAY(needed) NUMBER("display", needed, 0, DISPLAY_CONTROL_MAX - 1)
#define SIDE(name, needed) NUMBER(name, needed, 1, DISPLAY_CONTROL_SIZE_MAX)
#define POSITION(name, needed) NUMBER(name, needed, 0, INPUT_POSITION_MAX)

const struct ctl_command ctl_commands[] = {
	{"help", "list the commands and their arguments", {{0}}, list_commands},
	{"status", "running or paused, memory, processors, devices, displays, GPU counters", {{0}}, ctl_status},
	{"stats", "what each device counted", {{0}}, ctl_stats},
	{"pause", "stop the virtual processors; answered when none runs", {{0}}, pause_guest},
	{"resume", "let them run again", {{0}}, resume_guest},
	{"power-button", "press it: a guest that listens shuts down in order", {{0}}, power_button},
	{"reset", "end the guest as its own reboot would: mullion run ends with 3", {{0}}, reset},
	{"quit", "end the guest at once: mullion run ends with 5", {{0}}, quit},
	{"screenshot",
	 "write what a display shows to a PNG file",
	 {TEXT("path", true, PATH_MAX - 16), DISPLAY(false)},
	 ctl_screenshot},
	{"display-add",
	 "plug in a display, of 1280x800 unless said otherwise",
	 {SIDE("width", false), SIDE("height", false), DISPLAY(false)},
	 ctl_display_add},
	{"display-remove", "plug a display out", {DISPLAY(true)}, ctl_display_remove},
	{"display-resize",
	 "give a display another size",
	 {DISPLAY(true), SIDE("width", true), SIDE("height", true)},
	 ctl_display_resize},
	{"key",
	 "press and release keys, like ctrl+alt+delete; down: only press (true) or only release (false)",
	 {TEXT("key", true, 128), FLAG("down")},
	 ctl_key},
	{"pointer",
	 "put the pointer somewhere, with these buttons held (left+right) and the wheel turned",
	 {POSITION("x", true), POSITION("y", true), TEXT("buttons", false, 64), NUMBER("wheel", false, -100, 100),
	  NUMBER("horizontal-wheel", false, -100, 100)},
	 ctl_pointer},
	{"touch",
	 "put a finger on the touch screen or move it; up: take it off",
	 {NUMBER("finger", false, 0, INPUT_FINGERS - 1), POSITION("x", false), POSITION("y", false), FLAG("up")},
	 ctl_touch},
	{0},
};

static const char *type_name(const struct ctl_argument *a)
{
	static const char *const names[] = {[CTL_NUMBER] = "number", [CTL_TEXT] = "text", [CTL_FLAG] = "flag"};

	return names[a->type];
}

static void list_commands(struct ctl_client *client, struct json_object *request)
{
	struct json_object *fields = json_object_new_object(), *list = json_object_new_array();

	(void)request;
	for (const struct ctl_command *c = ctl_commands; c->name; c++) {
		struct json_object *o = json_object_new_object(), *arguments = json_object_new_array();

		json_object_object_add(o, "command", json_object_new_string(c->name));
		json_object_object_add(o, "help", json_object_new_string(c->help));
		for (const struct ctl_argument *a = c->arguments; a->name; a++) {
			struct json_object *argument = json_object_new_object();

			json_object_object_add(argument, "name", json_object_new_string(a->name));
			json_object_object_add(argument, "type", json_object_new_string(type_name(a)));
			json_object_object_add(argument, "needed", json_object_new_boolean(a->is_needed));
			if (a->type == CTL_NUMBER) {
				json_object_object_add(argument, "min", json_object_new_int64(a->min));
				json_object_object_add(argument, "max", json_object_new_int64(a->max));
			}
			json_object_array_add(arguments, argument);
		}
		json_object_object_add(o, "arguments", arguments);
		json_object_array_add(list, o);
	}
	json_object_object_add(fields, "commands", list);
	ctl_answer(client, fields);
}

/* ---- arguments ---- */

bool ctl_has(struct json_object *request, const char *name)
{
	return json_object_object_get_ex(request, name, NULL);
}

int64_t ctl_number(struct json_object *request, const char *name, int64_t otherwise)
{
	struct json_object *v;

	return json_object_object_get_ex(request, name, &v) ? json_object_get_int64(v) : otherwise;
}

const char *ctl_text(struct json_object *request, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(request, name, &v) ? json_object_get_string(v) : NULL;
}

bool ctl_flag(struct json_object *request, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(request, name, &v) && json_object_get_boolean(v);
}

/* ---- requests ---- */

/* False after a refusal. */
static bool check_argument(struct ctl_client *client, const struct ctl_command *c, const struct ctl_argument *a,
			   struct json_object *v)
{
	int64_t number;
	size_t n;

	switch (a->type) {
	case CTL_NUMBER:
		number = json_object_get_int64(v);
		if (json_object_is_type(v, json_type_int) && number >= a->min && number <= a->max)
			return true;
		ctl_refuse(client, "%s: \"%s\" is a number from %lld to %lld", c->name, a->name, (long long)a->min,
			   (long long)a->max);
		return false;
	case CTL_TEXT:
		n = json_object_is_type(v, json_type_string) ? (size_t)json_object_get_string_len(v) : 0;
		/* A text with a 0 inside would be cut there. */
		if (n >= (size_t)a->min && n <= (size_t)a->max && strlen(json_object_get_string(v)) == n)
			return true;
		ctl_refuse(client, "%s: \"%s\" is a text of 1 to %lld bytes", c->name, a->name, (long long)a->max);
		return false;
	case CTL_FLAG:
		if (json_object_is_type(v, json_type_boolean))
			return true;
		ctl_refuse(client, "%s: \"%s\" is true or false", c->name, a->name);
		return false;
	}
	return false;
}

/* "display, width, height" */
static void name_arguments(const struct ctl_command *c, char *text, size_t bytes)
{
	*text = '\0';
	for (const struct ctl_argument *a = c->arguments; a->name; a++) {
		if (a != c->arguments)
			strncat(text, ", ", bytes - strlen(text) - 1);
		strncat(text, a->name, bytes - strlen(text) - 1);
	}
}

static bool check_arguments(struct ctl_client *client, const struct ctl_command *c, struct json_object *request)
{
	struct json_object_iterator i = json_object_iter_begin(request), end = json_object_iter_end(request);
	char names[128];

	for (; !json_object_iter_equal(&i, &end); json_object_iter_next(&i)) {
		const char *key = json_object_iter_peek_name(&i);
		const struct ctl_argument *a = c->arguments;

		if (!strcmp(key, "id") || !strcmp(key, "command"))
			continue;
		while (a->name && strcmp(a->name, key))
			a++;
		if (!a->name) {
			name_arguments(c, names, sizeof(names));
			ctl_refuse(client, "%s has no argument \"%.64s\"; it takes %s", c->name, key,
				   *names ? names : "none");
			return false;
		}
		if (!check_argument(client, c, a, json_object_iter_peek_value(&i)))
			return false;
	}
	for (const struct ctl_argument *a = c->arguments; a->name; a++) {
		if (a->is_needed && !ctl_has(request, a->name)) {
			ctl_refuse(client, "%s needs \"%s\", a %s", c->name, a->name, type_name(a));
			return false;
		}
	}
	return true;
}

static void run_request(struct ctl_client *client, struct json_object *request)
{
	const struct ctl_command *c = ctl_commands;
	struct json_object *id, *command;

	if (!json_object_is_type(request, json_type_object)) {
		ctl_refuse(client, "a request is an object, like {\"id\":1,\"command\":\"status\"}");
		return;
	}
	if (json_object_object_get_ex(request, "id", &id)) {
		bool is_text =
			json_object_is_type(id, json_type_string) && json_object_get_string_len(id) <= ID_BYTES_MAX;

		if (!is_text && !json_object_is_type(id, json_type_int)) {
			ctl_refuse(client, "\"id\" is a whole number or a text of at most %d bytes", ID_BYTES_MAX);
			return;
		}
		ctl_set_id(client, json_object_get(id));
	}
	if (!json_object_object_get_ex(request, "command", &command) ||
	    !json_object_is_type(command, json_type_string)) {
		ctl_refuse(client, "a request needs \"command\", a text; {\"command\":\"help\"} lists them");
		return;
	}
	while (c->name && strcmp(c->name, json_object_get_string(command)))
		c++;
	if (!c->name)
		ctl_refuse(client, "no command \"%.64s\"; help lists them", json_object_get_string(command));
	else if (check_arguments(client, c, request))
		c->run(client, request);
}

void ctl_run_line(struct ctl_client *client, const char *line, size_t n)
{
	struct json_tokener *t = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *request;
	enum json_tokener_error error;

	if (!t) {
		ctl_refuse(client, "out of memory");
		return;
	}
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	request = json_tokener_parse_ex(t, line, (int)n);
	error = json_tokener_get_error(t);
	/* A number at the end of the line could go on: its end is the line's. */
	if (error == json_tokener_continue) {
		request = json_tokener_parse_ex(t, "", 1);
		error = json_tokener_get_error(t);
	}
	if (error != json_tokener_success)
		ctl_refuse(client, "not JSON: %s; write one object a line", json_tokener_error_desc(error));
	else
		run_request(client, request);
	json_object_put(request);
	json_tokener_free(t);
}
