/* SPDX-License-Identifier: MIT */
/*
 * Inside the control socket: what the server and its commands share. Only vmm/ctl_*.c includes this.
 * Thread: the VM's loop, except where a line says otherwise.
 */
#ifndef MULLION_VMM_CTL_REQUEST_H
#define MULLION_VMM_CTL_REQUEST_H

#include <json-c/json.h>
#include <stdint.h>
#include <time.h>

#include "host/base/loop.h"
#include "vmm/ctl.h"

struct ctl_client;

struct ctl_argument {
	const char *name;
	enum { CTL_NUMBER, CTL_TEXT, CTL_FLAG } type;
	bool is_needed;
	int64_t min, max; /* of a number; bytes of a text */
};

#define CTL_MAX_ARGUMENTS 6

struct ctl_command {
	const char *name;
	const char *help;				  /* one line */
	struct ctl_argument arguments[CTL_MAX_ARGUMENTS]; /* ended by one without name */
	/* The arguments were checked. Calls ctl_answer() or ctl_refuse() once, or ctl_defer() and one of them later. */
	void (*run)(struct ctl_client *client, struct json_object *request);
};

/* All of them; ended by one without name. */
extern const struct ctl_command ctl_commands[];

/* Check @line, @n bytes, and run what it asks for. Every line gets one answer. */
void ctl_run_line(struct ctl_client *client, const char *line, size_t n);

/* The machine that @client speaks to. */
const struct ctl_config *ctl_client_config(const struct ctl_client *client);
uint64_t ctl_client_uptime_ns(const struct ctl_client *client);

/* What the answer to the request that is run now will be called by; taken. NULL: nothing. */
void ctl_set_id(struct ctl_client *client, struct json_object *id);

/* Answer with @fields, which it takes; NULL: none. */
void ctl_answer(struct ctl_client *client, struct json_object *fields);
/* Answer that it can't be, and why: what, which, what to do. */
void ctl_refuse(struct ctl_client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Arguments of a checked request. */
bool ctl_has(struct json_object *request, const char *name);
int64_t ctl_number(struct json_object *request, const char *name, int64_t otherwise);
const char *ctl_text(struct json_object *request, const char *name); /* NULL: not given */
bool ctl_flag(struct json_object *request, const char *name);

/*
 * A request that something else is at. Allocated by the command with calloc(), first in whatever it needs; freed by the
 * server after @finish. @back is posted once, by whoever has done the work.
 */
struct ctl_call {
	struct loop_task back; /* to the VM's loop */
	struct loop *loop;
	/* Answer. @client is NULL when nobody waits any more. Returns false when there is more to do before the end. */
	bool (*finish)(struct ctl_call *call, struct ctl_client *client);
	/* What was done so far is of no use, and the call is freed: the machine ends. NULL: nothing to do. */
	void (*cancel)(struct ctl_call *call);
	struct ctl_client *client; /* the server's, as the rest */
	struct ctl *ctl;
	struct ctl_call *next;
};

/*
 * The request of @client is answered when @call comes back, within @limit_s, else it is refused with @late. False: too
 * many are under way; the request was refused, and @call is the caller's still.
 */
bool ctl_defer(struct ctl_client *client, struct ctl_call *call, unsigned limit_s, const char *late);
/* Post @call->back. Thread: any. */
void ctl_call_back(struct ctl_call *call);

struct pool;
/* The thread for what may block, or NULL where none can be had. */
struct pool *ctl_pool(struct ctl_client *client);

/* ctl_display.c */
void ctl_status(struct ctl_client *client, struct json_object *request);
void ctl_screenshot(struct ctl_client *client, struct json_object *request);
void ctl_display_add(struct ctl_client *client, struct json_object *request);
void ctl_display_remove(struct ctl_client *client, struct json_object *request);
void ctl_display_resize(struct ctl_client *client, struct json_object *request);
/* ctl_stats.c */
void ctl_stats(struct ctl_client *client, struct json_object *request);
/* ctl_input.c */
void ctl_key(struct ctl_client *client, struct json_object *request);
void ctl_pointer(struct ctl_client *client, struct json_object *request);
void ctl_touch(struct ctl_client *client, struct json_object *request);

#endif
