/* SPDX-License-Identifier: MIT */
/*
 * The device's state as records of a journal (host/virtio/journal.h): which streams the guest has, with their parameters
 * and buffers, so that a new process can give them back. What a codec held is not there: a stream whose codec died
 * with its process has FAILED, the guest gets an ERROR event, and may clear it and go on with the next key frame; one
 * without a codec goes on as if nothing had happened. Without a journal these calls do nothing.
 *
 * A record that does not fit (video_limits.journal_bytes) is left out: the guest goes on, but that stream or buffer is not
 * there after a death.
 *
 * Thread: the device's loop.
 */
#ifndef MULLION_HOST_VIDEO_RECORD_H
#define MULLION_HOST_VIDEO_RECORD_H

#include <stdint.h>

struct video;
struct video_command;
struct video_stream_entry;

/* For rows of the dispatch table (command.h), after the command has succeeded and before it is answered. */
void video_record_stream(struct video *v, const struct video_command *cmd);
void video_record_stream_gone(struct video *v, const struct video_command *cmd);
void video_record_buffer(struct video *v, const struct video_command *cmd);
void video_record_buffers_gone(struct video *v, const struct video_command *cmd);

/* The stream has changed, not by a command: its state, its size, what was told of it, its parameter sets. Cheap. */
void video_record_progress(struct video *v, struct video_stream_entry *e);

/* All of it counts from now on. @tag: the request's (chain_tag()), 0 for none. */
void video_record_commit(struct video *v, uint64_t tag);

/*
 * Give back what v->journal holds. What is not possible is left out, with a line that says how much. It was written by
 * a process that the guest may have taken over, so all of it is checked as requests are.
 */
void video_restore(struct video *v);

#endif
