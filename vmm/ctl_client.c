// SPDX-License-Identifier: MIT
/* `mullion ctl`: words to a request, the answer to words. */
#include "vmm/ctl_client.h"

#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/virtio/input_sink.h"
#include "vmm/ctl.h"
#include "vmm/ctl_path.h"
#include "vmm/options.h"
#include "vmm/vm.h"

#define SUFFIX ".sock"
#define GUESTS_SHOWN 20u
/* The guest answers or refuses in less. */
#define ANSWER_LIMIT_MS 70000

static int wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int wrong(const char *format, ...)
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
		return wrong("\"%s\" isn't a number: the %s is expected there", word, name);
	json_object_object_add(o, name, json_object_new_int64(v));
	return 0;
}

/* "800x480" */
static int add_size(struct json_object *o, const char *word)
{
	unsigned width, height;
	int used = 0;

	if (sscanf(word, "%5ux%5u%n", &width, &height, &used) != 2 || word[used])
		return wrong("\"%s\" isn't a size; write it like 800x480", word);
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
		return wrong("%s is off the screen; write 0%% to 100%%", word);
	json_object_object_add(o, name, json_object_new_int64((int64_t)(percent * INPUT_POSITION_MAX / 100 + 0.5)));
	return 0;
}

static int fill_screenshot(struct json_object *o, int n, char **words)
{
	char path[PATH_MAX], folder[PATH_MAX / 2];
	bool is_absolute = *words[0] == '/';

	if (!is_absolute && !getcwd(folder, sizeof(folder)))
		return wrong("this folder has no name: %s; write the whole path", strerror(errno));
	if ((size_t)snprintf(path, sizeof(path), "%s%s%s", is_absolute ? "" : folder, is_absolute ? "" : "/", words[0]) >=
	    sizeof(path))
		return wrong("%s: the path is too long", words[0]);
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
		return wrong("\"%s\": after the key goes down or up", words[1]);
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
		return wrong("touch: after the finger go its place, X Y, or up");
	err = add_position(o, "x", words[1]);
	return err ? err : add_position(o, "y", words[2]);
}

/* ---- answers to words ---- */

static int64_t number(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) ? json_object_get_int64(v) : 0;
}

static const char *text(struct json_object *o, const char *name)
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

	printf("state      %s\n", text(o, "state"));
	if (*text(o, "name"))
		printf("name       %s\n", text(o, "name"));
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
	if (json_object_object_get_ex(o, "gpu", &gpu))
		printf("gpu        %s: %lld commands (%lld errors), %lld frames, %lld pixel copies (%.1f MiB)\n",
		       text(gpu, "renderer"), (long long)number(gpu, "commands"), (long long)number(gpu, "errors"),
		       (long long)number(gpu, "frames"), (long long)number(gpu, "pixel-copies"),
		       (double)number(gpu, "pixel-copy-bytes") / (1 << 20));
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
	printf("%s: %lldx%lld\n", text(o, "path"), (long long)number(o, "width"), (long long)number(o, "height"));
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

static const struct verb {
	const char *verb, *second; /* NULL: one word */
	const char *arguments;     /* for --help */
	int min, max;              /* words behind the verb */
	const char *command;
	int (*fill)(struct json_object *request, int n, char **words); /* NULL: nothing to fill in */
	void (*print)(struct json_object *answer);                     /* NULL: nothing to say */
	const char *help;
} verbs[] = {
	{"status", NULL, "", 0, 0, "status", NULL, print_status, "how the guest is"},
	{"pause", NULL, "", 0, 0, "pause", NULL, print_paused, "stop its processors"},
	{"resume", NULL, "", 0, 0, "resume", NULL, print_running, "let them run again"},
	{"power-button", NULL, "", 0, 0, "power-button", NULL, NULL, "press it: a guest that listens shuts down in order"},
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
	{"key", NULL, "KEY[+KEY...] [down|up]", 1, 2, "key", fill_key, NULL, "press and release keys, like ctrl+alt+f2"},
	{"pointer", NULL, "X Y [BUTTON[+BUTTON]]", 2, 3, "pointer", fill_pointer, NULL,
	 "move the pointer, with left, middle, right held; X and Y from 0 to 32767, or like 50%"},
	{"wheel", NULL, "STEPS X Y", 3, 3, "pointer", fill_wheel, NULL, "turn the wheel there; up is positive"},
	{"touch", NULL, "FINGER X Y | FINGER up", 2, 3, "touch", fill_touch, NULL, "a finger, from 0 to 9, on the touch screen"},
};
#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static void print_help(void)
{
	fputs("Usage: mullion ctl [--name NAME | --socket PATH] [--json] VERB [ARGUMENT...]\n"
	      "Control a running guest. Without --name or --socket: the only one that runs.\n\nVerbs:\n"
	      "  list\n      the guests that run\n",
	      stdout);
	for (size_t i = 0; i < VERB_COUNT; i++)
		printf("  %s%s%s%s%s\n      %s\n", verbs[i].verb, verbs[i].second ? " " : "",
		       verbs[i].second ? verbs[i].second : "", *verbs[i].arguments ? " " : "", verbs[i].arguments,
		       verbs[i].help);
	fputs("\n--json prints the answer as it came. Exit status: 0 done, 1 refused or no such guest, 2 wrong usage.\n"
	      "The protocol: docs/mullion-ctl.md. More: man mullion-ctl\n",
	      stdout);
}

static const struct verb *find_verb(int *argc, char ***argv)
{
	const char *names[VERB_COUNT + 1] = {NULL}, *word = (*argv)[0], *nearest;
	const struct verb *half = NULL;

	for (size_t i = 0; i < VERB_COUNT; i++) {
		const struct verb *v = &verbs[i];

		names[i] = v->verb;
		if (strcmp(v->verb, word))
			continue;
		half = v;
		if (v->second && (*argc < 2 || strcmp(v->second, (*argv)[1])))
			continue;
		*argc -= 1 + (v->second != NULL);
		*argv += 1 + (v->second != NULL);
		return v;
	}
	nearest = options_nearest(word, names);
	if (half)
		wrong("%s: write %s list, add, remove or resize", word, word);
	else if (nearest)
		wrong("no verb \"%s\"; did you mean %s?", word, nearest);
	else
		wrong("no verb \"%s\"; mullion ctl --help lists them", word);
	return NULL;
}

/* ---- guests ---- */

/* Call @found for each guest that listens, until it returns false. Returns 0 or a negative errno of the folder. */
static int each_guest(char *folder, size_t bytes, bool (*found)(void *owner, const char *name, int fd), void *owner)
{
	int err = ctl_folder(folder, bytes, false);
	struct dirent *e;
	DIR *dir;

	if (err == -ENOENT)
		return 0;
	dir = err ? NULL : opendir(folder);
	if (!dir)
		return err ? err : -errno;
	while ((e = readdir(dir))) {
		size_t n = strlen(e->d_name), tail = strlen(SUFFIX);
		char path[PATH_MAX + NAME_MAX + 2];
		int fd;

		if (n <= tail || strcmp(e->d_name + n - tail, SUFFIX))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		fd = ctl_connect(path);
		if (fd < 0)
			continue; /* left by a guest that died */
		e->d_name[n - tail] = '\0';
		if (!found(owner, e->d_name, fd))
			break;
	}
	closedir(dir);
	return 0;
}

struct guests {
	unsigned count;
	int fd; /* of the first; -1: none */
	char names[GUESTS_SHOWN * (CTL_NAME_MAX + 2)];
};

static bool note_guest(void *owner, const char *name, int fd)
{
	struct guests *g = owner;
	size_t used = strlen(g->names);

	snprintf(g->names + used, sizeof(g->names) - used, "%s%s", g->count ? ", " : "", name);
	if (g->count++)
		close(fd);
	else
		g->fd = fd;
	return g->count < GUESTS_SHOWN;
}

static int folder_failed(const char *folder, int err)
{
	wrong("%s: %s", folder, err == -EPERM ? "not a folder of this user alone; name the socket with --socket" : strerror(-err));
	return err;
}

static int list_guests(void)
{
	struct guests g = {.fd = -1};
	char folder[PATH_MAX];
	int err = each_guest(folder, sizeof(folder), note_guest, &g);

	if (err)
		return folder_failed(folder, err);
	if (g.fd >= 0)
		close(g.fd);
	for (char *rest = g.names, *name; g.count && (name = strsep(&rest, ","));)
		puts(name + strspn(name, " "));
	return 0;
}

static int connect_only_guest(void)
{
	struct guests g = {.fd = -1};
	char folder[PATH_MAX];
	int err = each_guest(folder, sizeof(folder), note_guest, &g);

	if (err)
		return folder_failed(folder, err);
	if (g.count == 1)
		return g.fd;
	if (g.fd >= 0)
		close(g.fd);
	if (!g.count)
		wrong("no guest runs (none listens in %s)", folder);
	else
		wrong("%u guests run: choose by --name or --socket: %s", g.count, g.names);
	return -ENOENT;
}

static int connect_guest(const char *socket_path, const char *name)
{
	char folder[PATH_MAX - CTL_NAME_MAX - 8], path[PATH_MAX];
	int fd;

	if (!socket_path && !name)
		return connect_only_guest();
	if (!socket_path) {
		fd = ctl_folder(folder, sizeof(folder), false);
		if (fd && fd != -ENOENT)
			return folder_failed(folder, fd);
		snprintf(path, sizeof(path), "%s/%.*s" SUFFIX, folder, (int)CTL_NAME_MAX, name);
		socket_path = path;
	}
	fd = ctl_connect(socket_path);
	if (fd >= 0)
		return fd;
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		wrong("no guest listens at %s; mullion ctl list tells which run", socket_path);
	else
		wrong("%s: %s", socket_path, strerror(-fd));
	return fd;
}

/* ---- talking ---- */

struct talk {
	int fd;
	char line[CTL_OUTPUT_MAX + 1];
	size_t bytes;
};

/* The next line without its end; it is good until the next call. NULL after a line that says why there is none. */
static char *read_line(struct talk *t, size_t *used)
{
	char *end;

	memmove(t->line, t->line + *used, t->bytes - *used);
	t->bytes -= *used;
	while (!(end = memchr(t->line, '\n', t->bytes))) {
		struct pollfd p = {.fd = t->fd, .events = POLLIN};
		ssize_t n = t->bytes == sizeof(t->line) ? -1 : poll(&p, 1, ANSWER_LIMIT_MS);

		if (n == 0) {
			wrong("the guest doesn't answer: mullion run hangs, or something else listens there");
			return NULL;
		}
		n = n < 0 ? -1 : read(t->fd, t->line + t->bytes, sizeof(t->line) - t->bytes);
		if (n <= 0) {
			wrong("the guest hung up: it ended, or something else listens there");
			return NULL;
		}
		t->bytes += (size_t)n;
	}
	*end = '\0';
	*used = (size_t)(end - t->line) + 1;
	return t->line;
}

static int check_greeting(const char *line)
{
	struct json_object *o = json_tokener_parse(line), *protocol = NULL;
	int err = 0;

	if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, "protocol", &protocol))
		err = wrong("what listens there isn't mullion");
	else if (json_object_get_int64(protocol) != CTL_PROTOCOL)
		err = wrong("the guest's mullion %s speaks protocol %lld, this one %d: use the mullion that started it",
			    text(o, "mullion"), (long long)json_object_get_int64(protocol), CTL_PROTOCOL);
	json_object_put(o);
	return err;
}

static int talk_to(int fd, const struct verb *v, struct json_object *request, bool json)
{
	struct talk *t = calloc(1, sizeof(*t));
	const char *words = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN);
	struct json_object *answer = NULL, *ok = NULL;
	size_t used = 0;
	char *line;
	int err = -EIO;

	if (!t)
		return -ENOMEM;
	t->fd = fd;
	line = read_line(t, &used);
	if (!line || check_greeting(line))
		goto out;
	if (send(fd, words, strlen(words), MSG_NOSIGNAL) < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) < 0) {
		wrong("can't send: %s", strerror(errno));
		goto out;
	}
	line = read_line(t, &used);
	if (!line)
		goto out;
	answer = json_tokener_parse(line);
	if (!json_object_is_type(answer, json_type_object) || !json_object_object_get_ex(answer, "ok", &ok)) {
		wrong("what listens there isn't mullion");
		goto out;
	}
	err = json_object_get_boolean(ok) ? 0 : -EPERM;
	if (json)
		puts(line);
	else if (err)
		wrong("%s", text(answer, "error"));
	else if (v->print)
		v->print(answer);
out:
	json_object_put(answer);
	free(t);
	return err;
}

static int run_verb(const char *socket_path, const char *name, bool json, int argc, char **argv)
{
	const struct verb *v = find_verb(&argc, &argv);
	struct json_object *request;
	int fd, status = VM_END_USAGE;

	if (!v)
		return status;
	if (argc < v->min || argc > v->max) {
		wrong("usage: mullion ctl [OPTION...] %s%s%s%s%s", v->verb, v->second ? " " : "", v->second ? v->second : "",
		      *v->arguments ? " " : "", v->arguments);
		return status;
	}
	request = json_object_new_object();
	json_object_object_add(request, "command", json_object_new_string(v->command));
	if (!v->fill || !v->fill(request, argc, argv)) {
		fd = connect_guest(socket_path, name);
		status = fd < 0 || talk_to(fd, v, request, json) ? VM_END_ERROR : 0;
		if (fd >= 0)
			close(fd);
	}
	json_object_put(request);
	return status;
}

int ctl_main(int argc, char **argv)
{
	const char *socket_path = NULL, *name = NULL;
	bool json = false;
	int i;

	for (i = 1; i < argc && !strncmp(argv[i], "--", 2); i++) {
		const char *option = argv[i] + 2;
		const char **to = !strncmp(option, "socket", 6) ? &socket_path : !strncmp(option, "name", 4) ? &name : NULL;
		size_t n = to == &socket_path ? 6 : 4;

		if (!strcmp(option, "help")) {
			print_help();
			return 0;
		}
		if (!strcmp(option, "json")) {
			json = true;
		} else if (to && option[n] == '=') {
			*to = option + n + 1;
		} else if (to && !option[n] && i + 1 < argc) {
			*to = argv[++i];
		} else {
			wrong(to && !option[n] ? "--%s needs a value" : "no option --%s; mullion ctl --help lists them", option);
			return VM_END_USAGE;
		}
	}
	if (name && (!*name || strchr(name, '/'))) {
		wrong("--name %s: a name is what mullion run --name got, or a process number", name);
		return VM_END_USAGE;
	}
	if (i < argc && !strcmp(argv[i], "list") && i + 1 == argc)
		return list_guests() ? VM_END_ERROR : 0;
	if (i < argc)
		return run_verb(socket_path, name, json, argc - i, argv + i);
	wrong("say what to do; mullion ctl --help lists the verbs");
	return VM_END_USAGE;
}
