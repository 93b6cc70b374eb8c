// SPDX-License-Identifier: MIT
#include "vmm/ctl_verbs.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/virtio/input_sink.h"
#include "vmm/nearest.h"

int ctl_wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("mullion ctl: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return -EINVAL;
}

/* ---- words to requests: each takes the words behind the verb ---- */

/* @text is a whole number: -1 when not. The server knows what it may be. */
static bool read_number(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return end != text && !*end && !errno;
}

static int add_number(struct json_object *o, const char *name, const char *word)
{
	int64_t v;

	if (!read_number(word, &v))
		return ctl_wrong("\"%s\" isn't a number: the %s is expected there", word, name);
	json_object_object_add(o, name, json_object_new_int64(v));
	return 0;
}

/* "800x480" */
static int add_size(struct json_object *o, const char *word)
{
	unsigned width, height;
	int used = 0;

	if (sscanf(word, "%5ux%5u%n", &width, &height, &used) != 2 || word[used])
		return ctl_wrong("\"%s\" isn't a size; write it like 800x480", word);
	json_object_object_add(o, "width", json_object_new_int64(width));
	json_object_object_add(o, "height", json_object_new_int64(height));
	return 0;
}

/* 0 to INPUT_POSITION_MAX, or a share of that like 50% */
static int add_position(struct json_object *o, const char *name, const char *word)
{
	double percent;
	int used = 0;

	if (sscanf(word, "%lf%%%n", &percent, &used) != 1 || !used || word[used])
		return add_number(o, name, word);
	if (!(percent >= 0 && percent <= 100))
		return ctl_wrong("%s is off the screen; write 0%% to 100%%", word);
	json_object_object_add(o, name, json_object_new_int64((int64_t)(percent * INPUT_POSITION_MAX / 100 + 0.5)));
	return 0;
}

static int fill_screenshot(struct json_object *o, int n, char **words)
{
	char path[PATH_MAX], folder[PATH_MAX / 2];
	bool is_absolute = *words[0] == '/';

	if (!is_absolute && !getcwd(folder, sizeof(folder)))
		return ctl_wrong("this folder has no name: %s; write the whole path", strerror(errno));
	if ((size_t)snprintf(path, sizeof(path), "%s%s%s", is_absolute ? "" : folder, is_absolute ? "" : "/",
			     words[0]) >= sizeof(path))
		return ctl_wrong("%s: the path is too long", words[0]);
	json_object_object_add(o, "path", json_object_new_string(path));
	return n > 1 ? add_number(o, "display", words[1]) : 0;
}

static int fill_display_add(struct json_object *o, int n, char **words)
{
	int err = n > 0 ? add_size(o, words[0]) : 0;

	return err || n < 2 ? err : add_number(o, "display", words[1]);
}

static int fill_display_remove(struct json_object *o, int n, char **words)
{
	(void)n;
	return add_number(o, "display", words[0]);
}

static int fill_display_resize(struct json_object *o, int n, char **words)
{
	int err = add_number(o, "display", words[0]);

	(void)n;
	return err ? err : add_size(o, words[1]);
}

static int fill_key(struct json_object *o, int n, char **words)
{
	json_object_object_add(o, "key", json_object_new_string(words[0]));
	if (n < 2)
		return 0;
	if (strcmp(words[1], "down") && strcmp(words[1], "up"))
		return ctl_wrong("\"%s\": after the key goes down or up", words[1]);
	json_object_object_add(o, "down", json_object_new_boolean(!strcmp(words[1], "down")));
	return 0;
}

static int fill_pointer(struct json_object *o, int n, char **words)
{
	int err = add_position(o, "x", words[0]);

	if (!err)
		err = add_position(o, "y", words[1]);
	if (n > 2)
		json_object_object_add(o, "buttons", json_object_new_string(words[2]));
	return err;
}

static int fill_wheel(struct json_object *o, int n, char **words)
{
	int err = fill_pointer(o, 2, words + 1);

	(void)n;
	return err ? err : add_number(o, "wheel", words[0]);
}

static int fill_touch(struct json_object *o, int n, char **words)
{
	int err = add_number(o, "finger", words[0]);

	if (err)
		return err;
	if (n == 2 && !strcmp(words[1], "up")) {
		json_object_object_add(o, "up", json_object_new_boolean(true));
		return 0;
	}
	if (n < 3)
		return ctl_wrong("touch: after the finger go its place, X Y, or up");
	err = add_position(o, "x", words[1]);
	return err ? err : add_position(o, "y", words[2]);
}

/* ---- answers to words ---- */

static int64_t number(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) ? json_object_get_int64(v) : 0;
}

const char *ctl_answer_text(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) ? json_object_get_string(v) : "";
}

static void print_displays(struct json_object *list)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *d = json_object_array_get_idx(list, i), *shows;

		printf("display %lld  ", (long long)number(d, "display"));
		if (number(d, "width"))
			printf("%lldx%lld", (long long)number(d, "width"), (long long)number(d, "height"));
		else
			printf("not plugged in");
		if (json_object_object_get_ex(d, "shows", &shows))
			printf(", the guest shows %lldx%lld", (long long)number(shows, "width"),
			       (long long)number(shows, "height"));
		putchar('\n');
	}
}

static void print_status(struct json_object *o)
{
	struct json_object *list, *gpu;

	printf("state      %s\n", ctl_answer_text(o, "state"));
	if (*ctl_answer_text(o, "name"))
		printf("name       %s\n", ctl_answer_text(o, "name"));
	printf("process    %lld\n", (long long)number(o, "pid"));
	printf("uptime     %.1f s\n", (double)number(o, "uptime-ms") / 1000);
	printf("cpus       %lld\n", (long long)number(o, "cpus"));
	printf("memory     %lld MiB\n", (long long)number(o, "memory-bytes") >> 20);
	if (json_object_object_get_ex(o, "devices", &list)) {
		printf("devices   ");
		for (size_t i = 0; i < json_object_array_length(list); i++)
			printf(" %s", json_object_get_string(json_object_array_get_idx(list, i)));
		putchar('\n');
	}
	if (json_object_object_get_ex(o, "displays", &list))
		print_displays(list);
	if (!json_object_object_get_ex(o, "gpu", &gpu))
		return;
	if (number(gpu, "worker-pid"))
		printf("isolation  the GPU is in process %lld, after %lld that died\n", (long long)number(gpu, "worker-pid"),
		       (long long)number(gpu, "deaths"));
	else
		puts("isolation  none: the GPU is in mullion's process");
	if (*ctl_answer_text(gpu, "error"))
		printf("gpu        does not answer: %s\n", ctl_answer_text(gpu, "error"));
	else
		printf("gpu        %s: %lld commands (%lld errors), %lld frames, %lld pixel copies (%.1f MiB)\n",
		       ctl_answer_text(gpu, "renderer"), (long long)number(gpu, "commands"),
		       (long long)number(gpu, "errors"), (long long)number(gpu, "frames"),
		       (long long)number(gpu, "pixel-copies"), (double)number(gpu, "pixel-copy-bytes") / (1 << 20));
}

/* "1234567 (1.2 MiB)": bytes as people read them too. */
static void print_counter(const char *name, struct json_object *v)
{
	const bool is_bytes = json_object_is_type(v, json_type_int) && strstr(name, "bytes");

	printf("  %-18s %s", name, json_object_is_type(v, json_type_boolean) ? json_object_get_boolean(v) ? "yes" : "no"
									 : json_object_get_string(v));
	if (is_bytes && json_object_get_int64(v) >= 1 << 20)
		printf(" (%.1f MiB)", (double)json_object_get_int64(v) / (1 << 20));
	putchar('\n');
}

static void print_counters(struct json_object *o)
{
	struct json_object_iterator i, end;
	struct json_object *counters;

	if (!json_object_object_get_ex(o, "counters", &counters))
		return;
	i = json_object_iter_begin(counters);
	end = json_object_iter_end(counters);
	for (; !json_object_iter_equal(&i, &end); json_object_iter_next(&i))
		print_counter(json_object_iter_peek_name(&i), json_object_iter_peek_value(&i));
}

static void print_stats(struct json_object *o)
{
	struct json_object *devices, *parts;

	if (!json_object_object_get_ex(o, "devices", &devices))
		return;
	if (!json_object_array_length(devices))
		puts("no device of this guest counts anything here");
	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		printf("%s", ctl_answer_text(d, "is"));
		if (json_object_object_get_ex(d, "error", NULL))
			printf(": %s", ctl_answer_text(d, "error"));
		else if (json_object_object_get_ex(d, "socket", NULL))
			printf(": %s to %s", number(d, "connected") ? "connected" : "not connected",
			       ctl_answer_text(d, "socket"));
		puts("");
		print_counters(d);
		for (size_t p = 0; json_object_object_get_ex(d, "parts", &parts) && p < json_object_array_length(parts); p++) {
			struct json_object *part = json_object_array_get_idx(parts, p);

			printf(" %s\n", ctl_answer_text(part, "part"));
			print_counters(part);
		}
		if (number(d, "left-out"))
			printf("  and %lld more that have no room here\n", (long long)number(d, "left-out"));
	}
}

static void print_display_list(struct json_object *o)
{
	struct json_object *list;

	if (json_object_object_get_ex(o, "displays", &list))
		print_displays(list);
	else
		puts("the guest has no displays");
}

static void print_display(struct json_object *o)
{
	if (number(o, "width"))
		printf("display %lld: %lldx%lld\n", (long long)number(o, "display"), (long long)number(o, "width"),
		       (long long)number(o, "height"));
	else
		printf("display %lld: plugged out\n", (long long)number(o, "display"));
}

static void print_screenshot(struct json_object *o)
{
	printf("%s: %lldx%lld\n", ctl_answer_text(o, "path"), (long long)number(o, "width"),
	       (long long)number(o, "height"));
}

static void print_paused(struct json_object *o)
{
	(void)o;
	puts("paused");
}

static void print_running(struct json_object *o)
{
	(void)o;
	puts("running");
}

/* ---- the verbs ---- */

static const struct ctl_verb verbs[] = {
	{"status", NULL, "", 0, 0, "status", NULL, print_status, "how the guest is"},
	{"stats", NULL, "", 0, 0, "stats", NULL, print_stats, "what each device did: frames, bytes, copies, which codec ran"},
	{"pause", NULL, "", 0, 0, "pause", NULL, print_paused, "stop its processors"},
	{"resume", NULL, "", 0, 0, "resume", NULL, print_running, "let them run again"},
	{"power-button", NULL, "", 0, 0, "power-button", NULL, NULL,
	 "press it: a guest that listens shuts down in order"},
	{"reset", NULL, "", 0, 0, "reset", NULL, NULL, "end it as its own reboot would (mullion run ends with 3)"},
	{"quit", NULL, "", 0, 0, "quit", NULL, NULL, "end it at once (mullion run ends with 5)"},
	{"screenshot", NULL, "FILE [DISPLAY]", 1, 2, "screenshot", fill_screenshot, print_screenshot,
	 "write what a display shows to a PNG file"},
	{"display", "list", "", 0, 0, "status", NULL, print_display_list, "the displays"},
	{"display", "add", "[WIDTHxHEIGHT [DISPLAY]]", 0, 2, "display-add", fill_display_add, print_display,
	 "plug one in (1280x800 in the first free place)"},
	{"display", "remove", "DISPLAY", 1, 1, "display-remove", fill_display_remove, print_display, "plug one out"},
	{"display", "resize", "DISPLAY WIDTHxHEIGHT", 2, 2, "display-resize", fill_display_resize, print_display,
	 "give one another size"},
	{"key", NULL, "KEY[+KEY...] [down|up]", 1, 2, "key", fill_key, NULL,
	 "press and release keys, like ctrl+alt+f2"},
	{"pointer", NULL, "X Y [BUTTON[+BUTTON]]", 2, 3, "pointer", fill_pointer, NULL,
	 "move the pointer, with left, middle, right held; X and Y from 0 to 32767, or like 50%"},
	{"wheel", NULL, "STEPS X Y", 3, 3, "pointer", fill_wheel, NULL, "turn the wheel there; up is positive"},
	{"touch", NULL, "FINGER X Y | FINGER up", 2, 3, "touch", fill_touch, NULL,
	 "a finger, from 0 to 9, on the touch screen"},
};
#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

void ctl_print_verbs(void)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		printf("  %s%s%s%s%s\n      %s\n", verbs[i].verb, verbs[i].second ? " " : "",
		       verbs[i].second ? verbs[i].second : "", *verbs[i].arguments ? " " : "", verbs[i].arguments,
		       verbs[i].help);
}

const struct ctl_verb *ctl_find_verb(int *argc, char ***argv)
{
	const char *names[VERB_COUNT + 1] = {NULL}, *word = (*argv)[0], *nearest;
	const struct ctl_verb *half = NULL;

	for (size_t i = 0; i < VERB_COUNT; i++) {
		const struct ctl_verb *v = &verbs[i];

		names[i] = v->verb;
		if (strcmp(v->verb, word))
			continue;
		half = v;
		if (v->second && (*argc < 2 || strcmp(v->second, (*argv)[1])))
			continue;
		*argc -= 1 + (v->second != NULL);
		*argv += 1 + (v->second != NULL);
		if (*argc >= v->min && *argc <= v->max)
			return v;
		ctl_wrong("usage: mullion ctl [OPTION...] %s%s%s%s%s", v->verb, v->second ? " " : "",
			  v->second ? v->second : "", *v->arguments ? " " : "", v->arguments);
		return NULL;
	}
	nearest = nearest_word(word, names);
	if (half)
		ctl_wrong("%s: write %s list, add, remove or resize", word, word);
	else if (nearest)
		ctl_wrong("no verb \"%s\"; did you mean %s?", word, nearest);
	else
		ctl_wrong("no verb \"%s\"; mullion ctl --help lists them", word);
	return NULL;
}
