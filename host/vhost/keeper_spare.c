// SPDX-License-Identifier: MIT
/*
 * The spare worker: its driver is loaded, its first shader compiled and its sandbox closed, so that all there is to do when
 * the other dies is what the guest had done. It is the guest's as the other is: it knows the same memory and journal.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/vhost/keeper_parts.h"

/* Not while the worker that took over still has its hands full. */
#define AFTER_TAKE_NS 200000000ull
/* What ends one that does nothing is likely to end the next. */
#define AFTER_DEATH_NS 10000000000ull

static void close_ends(struct keeper *k)
{
	close(k->spare_link);
	keeper_close_fd(k->spare_control);
}

static void ended(void *owner, int status)
{
	struct keeper *k = owner;

	(void)status;
	close_ends(k);
	if (k->spare_dropped) {
		k->spare_dropped = false;
		return;
	}
	k->spare_due_ns = loop_now_ns() + AFTER_DEATH_NS;
	log_line(LOG_TOPIC_VHOST, LOG_WARN, "%s: the spare worker died; another one will be started", k->config->name);
}

static int start(struct keeper *k)
{
	struct worker_place place = {
		.memory = k->memory,
		.journal = k->journal,
		.shared = k->shared,
		.sandbox = k->config->sandbox,
		.screen = k->config->screen,
		.spare = true,
	};
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	k->spare_link = pair[0];
	place.link = pair[1];
	k->spare = (struct worker){.loop = k->loop, .ended = ended, .owner = k};
	err = keeper_make_control(k, &k->spare_control, &place.control);
	if (err) {
		close(pair[0]);
		close(pair[1]);
		return err;
	}
	err = worker_start(&k->spare, k->config->work, k->config->owner, &place);
	close(pair[1]);
	keeper_close_fd(place.control);
	if (err)
		close_ends(k);
	return err;
}

void keeper_look_for_spare(struct keeper *k)
{
	uint64_t now = loop_now_ns();
	int err;

	if (!k->config->spare || k->spare.pid)
		return;
	/* Without a guest there is nothing to take over, and its journal is not this one. */
	if (!k->ready || k->leaving || !lease_has_state(&k->lease) || now < k->spare_due_ns)
		return;
	k->spare_due_ns = now + AFTER_DEATH_NS;
	err = start(k);
	if (err)
		log_line(LOG_TOPIC_VHOST, LOG_WARN, "%s: no spare worker can be started: %s", k->config->name,
			 strerror(-err));
}

bool keeper_take_spare(struct keeper *k, int *link, int *control)
{
	k->spare_due_ns = loop_now_ns() + AFTER_TAKE_NS;
	if (!k->spare.pid || k->spare_dropped)
		return false;
	if (worker_take(&k->worker, &k->spare)) {
		close_ends(k);
		return false;
	}
	worker_memory_still(k->memory);
	*link = k->spare_link;
	*control = k->spare_control;
	return true;
}

void keeper_drop_spare(struct keeper *k)
{
	if (!k->spare.pid)
		return;
	/*
	 * It is not to end in order: that would be the end of a guest. A process that is killed in the midst of a driver may
	 * take its time all the same, so nobody waits for it here; it is of no use from now on.
	 */
	k->spare_dropped = true;
	worker_kill(&k->spare);
}

void keeper_end_spare(struct keeper *k)
{
	if (!k->spare.pid)
		return;
	worker_stop(&k->spare, 0);
	close_ends(k);
}
