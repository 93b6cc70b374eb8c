// SPDX-License-Identifier: MIT
/* `mullion ctl`: which guest, one request, its answer. */
#include "vmm/ctl_client.h"

#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/ctl.h"
#include "vmm/ctl_path.h"
#include "vmm/ctl_verbs.h"
#include "vmm/vm.h"

#define SUFFIX ".sock"
#define GUESTS_SHOWN 20u
/* The guest answers or refuses in less. */
#define ANSWER_LIMIT_MS 70000
#define HANGS ": the guest takes no clients: mullion run hangs, or is stopped"

static void print_help(void)
{
	fputs("Usage: mullion ctl [--name NAME | --socket PATH] [--json] VERB [ARGUMENT...]\n"
	      "Control a running guest. Without --name or --socket: the only one that runs.\n\nVerbs:\n"
	      "  list\n      the guests that run\n",
	      stdout);
	ctl_print_verbs();
	fputs("\n--json prints the answer as it came. Exit status: 0 done, 1 refused or no such guest, 2 wrong usage.\n"
	      "The protocol: docs/mullion-ctl.md. More: man mullion-ctl\n",
	      stdout);
}

/* ---- guests ---- */

/*
 * Call @found for each guest that listens, until it returns false; @fd is its own, or -EAGAIN where the guest hangs. Returns
 * 0 or a negative errno of the folder.
 */
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
		if (fd < 0 && fd != -EAGAIN)
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
	int fd; /* of the first, if that is there */
	char names[GUESTS_SHOWN * (CTL_NAME_MAX + 2)];
};

static bool note_guest(void *owner, const char *name, int fd)
{
	struct guests *g = owner;
	size_t used = strlen(g->names);

	snprintf(g->names + used, sizeof(g->names) - used, "%s%s", g->count ? ", " : "", name);
	if (!g->count++)
		g->fd = fd;
	else if (fd >= 0)
		close(fd);
	return g->count < GUESTS_SHOWN;
}

static int folder_failed(const char *folder, int err)
{
	ctl_wrong("%s: %s", folder,
		  err == -EPERM ? "not a folder of this user alone; name the socket with --socket" : strerror(-err));
	return err;
}

static bool print_guest(void *owner, const char *name, int fd)
{
	(void)owner;
	puts(name);
	if (fd >= 0)
		close(fd);
	return true;
}

static int list_guests(void)
{
	char folder[PATH_MAX];
	int err = each_guest(folder, sizeof(folder), print_guest, NULL);

	return err ? folder_failed(folder, err) : 0;
}

static int connect_only_guest(void)
{
	struct guests g = {.fd = -1};
	char folder[PATH_MAX];
	int err = each_guest(folder, sizeof(folder), note_guest, &g);

	if (err)
		return folder_failed(folder, err);
	if (g.count == 1 && g.fd < 0)
		ctl_wrong("%s" HANGS, g.names);
	if (g.count == 1)
		return g.fd;
	if (g.fd >= 0)
		close(g.fd);
	if (!g.count)
		ctl_wrong("no guest runs (none listens in %s)", folder);
	else
		ctl_wrong("%u guests run: choose by --name or --socket: %s", g.count, g.names);
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
	if (fd == -EAGAIN)
		ctl_wrong("%s" HANGS, socket_path);
	else if (fd == -ENOENT || fd == -ECONNREFUSED)
		ctl_wrong("no guest listens at %s; mullion ctl list tells which run", socket_path);
	else
		ctl_wrong("%s: %s", socket_path, strerror(-fd));
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
			ctl_wrong("the guest doesn't answer: mullion run hangs, or something else listens there");
			return NULL;
		}
		n = n < 0 ? -1 : read(t->fd, t->line + t->bytes, sizeof(t->line) - t->bytes);
		if (n <= 0) {
			ctl_wrong("the guest hung up: it ended, or something else listens there");
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
		err = ctl_wrong("what listens there isn't mullion");
	else if (json_object_get_int64(protocol) != CTL_PROTOCOL)
		err = ctl_wrong(
			"the guest's mullion %s speaks protocol %lld, this one %d: use the mullion that started it",
			ctl_answer_text(o, "mullion"), (long long)json_object_get_int64(protocol), CTL_PROTOCOL);
	json_object_put(o);
	return err;
}

static int talk_to(int fd, const struct ctl_verb *v, struct json_object *request, bool json)
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
		ctl_wrong("can't send: %s", strerror(errno));
		goto out;
	}
	line = read_line(t, &used);
	if (!line)
		goto out;
	answer = json_tokener_parse(line);
	if (!json_object_is_type(answer, json_type_object) || !json_object_object_get_ex(answer, "ok", &ok)) {
		ctl_wrong("what listens there isn't mullion");
		goto out;
	}
	err = json_object_get_boolean(ok) ? 0 : -EPERM;
	if (json)
		puts(line);
	else if (err)
		ctl_wrong("%s", ctl_answer_text(answer, "error"));
	else if (v->print)
		v->print(answer);
out:
	json_object_put(answer);
	free(t);
	return err;
}

static int run_verb(const char *socket_path, const char *name, bool json, int argc, char **argv)
{
	const struct ctl_verb *v = ctl_find_verb(&argc, &argv);
	struct json_object *request;
	int fd, status = VM_END_USAGE;

	if (!v)
		return status;
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
		const char **to = !strncmp(option, "socket", 6) ? &socket_path
				  : !strncmp(option, "name", 4) ? &name
								: NULL;
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
			ctl_wrong(to && !option[n] ? "--%s needs a value"
						   : "no option --%s; mullion ctl --help lists them",
				  option);
			return VM_END_USAGE;
		}
	}
	if (name && (!*name || strchr(name, '/') || strlen(name) > CTL_NAME_MAX)) {
		ctl_wrong("--name %s: a name is what mullion run --name got, or a process number", name);
		return VM_END_USAGE;
	}
	if (i < argc && !strcmp(argv[i], "list")) {
		if (i + 1 == argc && !json && !socket_path && !name)
			return list_guests() ? VM_END_ERROR : 0;
		ctl_wrong("list takes no arguments and no options: it asks no guest");
		return VM_END_USAGE;
	}
	if (i < argc)
		return run_verb(socket_path, name, json, argc - i, argv + i);
	ctl_wrong("say what to do; mullion ctl --help lists the verbs");
	return VM_END_USAGE;
}
