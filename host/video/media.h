/* SPDX-License-Identifier: MIT */
/*
 * Inside the virtio-media device (protocol/virtio_media.h): what its files share. A session is an open file of a V4L2
 * codec: one stream of the session core, with V4L2's two queues of buffers around it. The OUTPUT queue is the stream's
 * input and the CAPTURE queue its output. Nothing outside host/video includes this.
 * Thread: the device's loop.
 */
#ifndef MULLION_HOST_VIDEO_MEDIA_H
#define MULLION_HOST_VIDEO_MEDIA_H

#include <stdio.h>

#include "host/base/log.h"
#include "host/video/media_window.h"
#include "host/video/stream.h"
#include "host/video/video.h"
#include "host/virtio/chain.h"
#include "host/virtio/device.h"
#include "protocol/virtio_media.h"

/* Of a picture: those that V4L2 keeps in memory of their own. */
#define MEDIA_MAX_PLANES VIDEO_MAX_PICTURE_PLANES
/* Of one bitstream buffer: the host makes a copy. */
#define MEDIA_MAX_CODED_BYTES (32u << 20)
/* Of a plane: the largest picture, in 10 bits; and no guest's wish is more. */
#define MEDIA_MAX_PLANE_BYTES (VIDEO_MAX_SIDE * VIDEO_MAX_SIDE * 3u)
/* V4L2's own limits. */
#define MEDIA_MAX_BUFFERS 32u
#define MEDIA_MAX_CONTROLS 1024u
/* Open at a time, for each stream that may run: V4L2 clients open a device just to look at it. */
#define MEDIA_SESSIONS_A_STREAM 8u
/* Inputs that are remembered until what is made of them comes out: more than any codec holds. */
#define MEDIA_STAMPS 64u
/* Rows of media_controls.c's table, at most. */
#define MEDIA_CONTROL_ROWS 24u

/* Deaths one after the other, each before the next process has looked at all that was in flight. */
#define MEDIA_DONE_TAGS 8u

struct journal;
struct media;
struct media_session;

/* ---- what the guest is told: events wait for a buffer of the event queue, in order ---- */

enum media_note_kind { MEDIA_NOTE_BUFFER, MEDIA_NOTE_EOS, MEDIA_NOTE_SOURCE_CHANGE, MEDIA_NOTE_CONTROL };

/* Embedded in what it is about; the same one twice is once. */
struct media_note {
	enum media_note_kind kind;
	struct media_session *session;
	unsigned index; /* of the buffer or the control's row */
	enum video_queue queue;
	bool waiting;
	struct media_note *next;
};

void media_post_note(struct media *m, struct media_note *n);
/* Forget it, if it waits. */
void media_drop_note(struct media *m, struct media_note *n);
/* As far as there are buffers for them. */
void media_send_notes(struct media *m);

/* ---- buffers ---- */

enum media_buffer_state {
	MEDIA_FREE,    /* the guest's */
	MEDIA_PENDING, /* queued; the stream does not have it yet */
	MEDIA_QUEUED,  /* the stream's */
	MEDIA_DONE,    /* back from the stream, the guest is to be told */
};

struct media_plane {
	uint32_t length;
	size_t offset;	  /* in the memory, of MMAP buffers */
	uint64_t userptr; /* the guest's word for SHARED_PAGES, which it gets back */
	uint32_t bytes_used, data_offset;
};

struct media_buffer {
	enum media_buffer_state state;
	struct video_buffer *core;   /* the stream owns it */
	size_t piece_capacity;	     /* of core->pieces */
	struct media_memory *memory; /* MMAP */
	struct media_plane planes[MEDIA_MAX_PLANES];
	uint32_t flags; /* V4L2_BUF_FLAG_*, but for its state */
	uint32_t sequence;
	uint64_t timestamp_ns;
	struct v4l2_timecode timecode; /* with V4L2_BUF_FLAG_TIMECODE */
	struct media_buffer *next_pending;
	struct media_note note;
};

struct media_queue {
	bool streaming;
	bool clearing;	 /* what the stream gives back is not told to the guest */
	uint32_t memory; /* V4L2_MEMORY_*; 0: no buffers */
	unsigned count, plane_count;
	struct media_buffer *buffers[MEDIA_MAX_BUFFERS];
	struct media_buffer *first_pending, **last_pending;
	uint32_t sequence;
};

/* ---- sessions ---- */

/* A coded format of V4L2: what its bitstreams are called there. */
struct media_coded_format {
	uint32_t fourcc;
	const char *name; /* the row of format.h */
	const char *description;
	uint32_t colorspace; /* unless the guest says which */
};

/* A picture format of V4L2: where its planes lie in memory. */
struct media_raw_format {
	uint32_t fourcc;
	const char *name; /* the row of format.h */
	bool apart;	  /* each plane in memory of its own */
	const char *description;
};

/* What V4L2 has copied from an OUTPUT buffer to the CAPTURE buffer that is made of it. */
struct media_stamp {
	uint64_t timestamp_ns;
	uint32_t flags;
	struct v4l2_timecode timecode;
};
#define MEDIA_COPIED_FLAGS (V4L2_BUF_FLAG_TIMECODE | V4L2_BUF_FLAG_TSTAMP_SRC_MASK)

struct media_session {
	struct media *media;
	uint32_t id;
	struct video_stream *stream;
	struct media_queue queues[VIDEO_QUEUE_COUNT];
	const struct media_coded_format *coded;
	const struct media_raw_format *raw;
	uint32_t coded_bytes; /* of a bitstream buffer */
	/* As the guest set it, on the OUTPUT queue, or as is usual: it means nothing here, and goes along. */
	struct {
		uint32_t space;
		uint8_t encoding, quantization, transfer;
	} color;
	struct media_stamp stamps[MEDIA_STAMPS]; /* of the last inputs */
	unsigned next_stamp;
	bool draining; /* STOP was said, and the stream works on it */
	bool stopped;  /* it is over: what is queued on OUTPUT waits for START, or for a restart of a queue */
	bool failed;   /* OUTPUT has to be restarted */
	bool lost;     /* because its codec died with a process before this one; of use while it is restored */
	int32_t controls[MEDIA_CONTROL_ROWS];
	bool level_chosen; /* by the guest */
	bool wants_eos, wants_source_change;
	uint32_t wants_control[MEDIA_CONTROL_ROWS]; /* V4L2_EVENT_SUB_FL_* | MEDIA_SUBSCRIBED */
	struct media_note eos, source_change, control[MEDIA_CONTROL_ROWS];
	uint32_t event_sequence;
	unsigned recorded_headers; /* what its record has (media_record.c) */
	struct media_session *next;
};

#define MEDIA_SUBSCRIBED 0x80000000u

struct media {
	struct virtio_device device;
	struct video_config config;
	char element[48]; /* config.element */
	struct video_offer offers[VIDEO_MAX_CODED];
	unsigned offer_count;
	struct media_session *sessions;
	unsigned session_count, running; /* those whose OUTPUT queue is on */
	uint32_t last_id;
	struct media_store store;
	struct media_window window;
	struct media_note *first_note, **last_note;
	bool hold_notes;	    /* a command is at work: its answer goes first */
	bool paused;		    /* streams are, while the command queue is stopped */
	bool again;		    /* a process before this one died at that command */
	struct chain *event_buffer; /* that a process before this one had taken, and for which there is nothing yet */
	struct journal *journal;    /* NULL: none */
	struct journal *unrestored; /* until the first start */
	/* Of the last requests that processes before this one have done, and may not have given back. 0: none. */
	uint64_t done_tags[MEDIA_DONE_TAGS];
	uint64_t refuse_until_ns;			      /* no stream is switched on before; 0: they are */
	struct v4l2_ext_control controls[MEDIA_MAX_CONTROLS]; /* of the command at work */
	struct video_stats stats;
	uint64_t serial;
	struct log_limit log_limit;
};

/* ---- ioctls ---- */

struct media_ioctl;

/* One ioctl: a row of the dispatch table (media_ioctl.c). */
struct media_ioctl_row {
	uint32_t code; /* _IOC_NR() */
	const char *name;
	uint16_t bytes;	    /* of the payload */
	bool reads, writes; /* the payload: from the guest, to the guest */
	/*
	 * It changes nothing, or only lets go: when the process dies that is at it, the next one does it again. Any other is
	 * refused then.
	 */
	bool repeatable;
	uint8_t kinds; /* MEDIA_DECODER | MEDIA_ENCODER: others do not know it */
	/* Returns 0 or a negative errno, which the guest gets. */
	int (*handler)(struct media_session *s, struct media_ioctl *i);
};

#define MEDIA_DECODER 1u
#define MEDIA_ENCODER 2u
#define MEDIA_CODEC (MEDIA_DECODER | MEDIA_ENCODER)

struct media_ioctl {
	const struct media_ioctl_row *row;
	struct chain *chain;
	struct reader *rest; /* behind the payload */
	size_t room;	     /* for the answer, behind its header */
	/* The guest's copy on the way in, the answer on the way out. */
	union {
		struct v4l2_fmtdesc fmtdesc;
		struct v4l2_format format;
		struct v4l2_requestbuffers reqbufs;
		struct v4l2_create_buffers create;
		struct v4l2_buffer buffer;
		struct v4l2_selection selection;
		struct v4l2_streamparm parm;
		struct v4l2_frmsizeenum frmsize;
		struct v4l2_frmivalenum frmival;
		struct v4l2_decoder_cmd decoder_cmd;
		struct v4l2_encoder_cmd encoder_cmd;
		struct v4l2_event_subscription subscription;
		struct v4l2_control control;
		struct v4l2_queryctrl queryctrl;
		struct v4l2_query_ext_ctrl query_ext_ctrl;
		struct v4l2_querymenu querymenu;
		struct v4l2_ext_controls ext_controls;
		int32_t number;
	} u;
	struct v4l2_plane planes[VIDEO_MAX_PLANES];
	/* What follows the payload in the answer. */
	const void *tail;
	size_t tail_bytes;
	bool answer_anyway; /* the payload goes with an error too */
	char why[120];	    /* of an error: the reason and a hint */
};

/* Note why in @i, and be @err for the handler to return. */
#define MEDIA_REFUSE(i, err, ...) (snprintf((i)->why, sizeof((i)->why), __VA_ARGS__), (err))

/*
 * Serve the ioctl in @c, of which @command was read; answers it. media_ioctl.c
 */
void media_ioctl(struct media *m, struct chain *c, const struct virtio_media_cmd_ioctl *command);
bool media_ioctl_is_repeatable(const struct media *m, uint32_t code);
/* Answer @c with @err (0 or a negative errno) and finish it. media.c */
void media_answer(struct media *m, struct chain *c, int err, const void *payload, size_t bytes, const void *tail,
		  size_t tail_bytes);

/* Which of a session's queues V4L2's buffer type means. Returns false for none. */
bool media_find_queue(uint32_t type, enum video_queue *q);
static inline uint32_t media_queue_type(enum video_queue q)
{
	return q == VIDEO_INPUT ? V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
}

/* media_session.c. 0 or a negative errno. */
int media_session_open(struct media *m, struct media_session **out);
/* With the number @id, which is not in use. */
int media_session_open_as(struct media *m, uint32_t id, struct media_session **out);
void media_session_close(struct media_session *s);
struct media_session *media_find_session(const struct media *m, uint32_t id);
/* Give the stream what waits on @q, as far as it may have it. */
void media_feed(struct media_session *s, enum video_queue q);
/* The buffer is back, with V4L2_BUF_FLAG_* in b->flags. */
void media_buffer_done(struct media_session *s, enum video_queue q, struct media_buffer *b);
int media_streamon(struct media_session *s, struct media_ioctl *i);
int media_streamoff(struct media_session *s, struct media_ioctl *i);
/* The stream has FAILED: what waits on OUTPUT comes back in error, and OUTPUT has to be restarted. */
void media_session_failed(struct media_session *s);
/* Its stream, which is IDLE, has failed, as if it had had a codec. */
void media_session_lose(struct media_session *s);
/* @b waits on its queue for the stream. */
void media_pend(struct media_queue *queue, struct media_buffer *b);
/* Take every buffer of the queue back, without a word to the guest, and stop it. */
void media_stop_queue(struct media_session *s, enum video_queue q);
int media_decoder_cmd(struct media_session *s, struct media_ioctl *i);
int media_try_decoder_cmd(struct media_session *s, struct media_ioctl *i);
int media_encoder_cmd(struct media_session *s, struct media_ioctl *i);
int media_try_encoder_cmd(struct media_session *s, struct media_ioctl *i);

/* media_buffers.c */
int media_reqbufs(struct media_session *s, struct media_ioctl *i);
int media_create_bufs(struct media_session *s, struct media_ioctl *i);
int media_querybuf(struct media_session *s, struct media_ioctl *i);
int media_qbuf(struct media_session *s, struct media_ioctl *i);
void media_free_buffers(struct media_session *s, enum video_queue q);
/*
 * One more buffer with planes of @sizes, a new one's or those of a process before this one; of MMAP its planes lie in @memory
 * from @offset on. Returns 0 or -ENOMEM.
 */
int media_add_buffer(struct media_session *s, enum video_queue q, const uint32_t *sizes, struct media_memory *memory,
		     size_t offset);
/* Bytes of memory that planes of @sizes take. */
size_t media_buffer_bytes(const struct media_queue *queue, const uint32_t *sizes);
/* What lies where in @b, for the stream, as its planes say. Returns 0 or a negative errno with a reason, if @why has room. */
int media_place(struct media_session *s, enum video_queue q, struct media_buffer *b);
/* What is made of @b is to get its time. */
void media_keep_stamp(struct media_session *s, const struct media_buffer *b);
/* What an event, QUERYBUF and QBUF say of a buffer. @planes: VIDEO_MAX_PLANES of them. */
void media_describe_buffer(const struct media_session *s, enum video_queue q, unsigned index, struct v4l2_buffer *b,
			   struct v4l2_plane *planes);
/* The plane at @offset as QUERYBUF tells them, or NULL, and the memory that it is in. */
const struct media_plane *media_find_plane(const struct media_session *s, uint32_t offset,
					   struct media_memory **memory);

/* media_formats.c */
void media_init_formats(struct media_session *s);
/* By V4L2's name: what this device offers, or NULL. Raw ones are those that pictures of @coded can have. */
const struct media_coded_format *media_find_coded(const struct media *m, uint32_t fourcc);
const struct media_raw_format *media_find_raw(const struct media *m, const struct video_coded_format *coded,
					      uint32_t fourcc);
/* What V4L2's name stands for; a coded one is NULL if this host can't. */
const struct video_coded_format *media_format_of(const struct media *m, const struct media_coded_format *coded);
const struct video_picture_format *media_picture_of(const struct media_raw_format *raw);
/* Is @bytes what a bitstream buffer can have? */
bool media_coded_bytes_are_good(uint32_t bytes);
/* Is @rate what S_PARM could have set? */
bool media_frame_rate_is_good(uint32_t rate);
int media_enum_fmt(struct media_session *s, struct media_ioctl *i);
int media_g_fmt(struct media_session *s, struct media_ioctl *i);
int media_s_fmt(struct media_session *s, struct media_ioctl *i);
int media_try_fmt(struct media_session *s, struct media_ioctl *i);
int media_enum_framesizes(struct media_session *s, struct media_ioctl *i);
int media_enum_frameintervals(struct media_session *s, struct media_ioctl *i);
int media_g_selection(struct media_session *s, struct media_ioctl *i);
int media_s_selection(struct media_session *s, struct media_ioctl *i);
int media_g_parm(struct media_session *s, struct media_ioctl *i);
int media_s_parm(struct media_session *s, struct media_ioctl *i);
/* Planes of memory that a buffer of @q has now, and how many bytes each needs. */
unsigned media_plane_sizes(const struct media_session *s, enum video_queue q, uint32_t sizes[MEDIA_MAX_PLANES]);
/* True if V4L2 has a name for it. */
bool media_has_fourcc(const struct video_coded_format *format);

/* media_controls.c */
void media_init_controls(struct media_session *s);
/* The coded format was set: what the controls say of it is to hold. */
void media_apply_controls(struct media_session *s);
/* Set them as they were in a process before this one. Returns false if one can't have been so. */
bool media_restore_controls(struct media_session *s, const int32_t *values, const uint32_t *wants);
int media_queryctrl(struct media_session *s, struct media_ioctl *i);
int media_query_ext_ctrl(struct media_session *s, struct media_ioctl *i);
int media_querymenu(struct media_session *s, struct media_ioctl *i);
int media_g_ctrl(struct media_session *s, struct media_ioctl *i);
int media_s_ctrl(struct media_session *s, struct media_ioctl *i);
int media_ext_ctrls(struct media_session *s, struct media_ioctl *i);
int media_subscribe(struct media_session *s, struct media_ioctl *i);
int media_unsubscribe(struct media_session *s, struct media_ioctl *i);
/* What the event about control row @row says. */
void media_describe_control(const struct media_session *s, unsigned row, struct v4l2_event *event);

/*
 * media_record.c: the sessions, their buffers and what is mapped as records of a journal (host/virtio/journal.h), so that a
 * new process can give them back. Mapped memory is there as it was. What a codec held is lost: a session whose stream had one
 * has failed, what it had queued comes back in error, and it goes on when OUTPUT is restarted; one without goes on as if
 * nothing had happened. Buffers of guest pages that were queued come back in error. Without a journal these calls do nothing.
 *
 * A record that does not fit (video_limits.journal_bytes) is left out: the guest goes on, but that session or buffer is not
 * there after a death.
 */
/* All of it that is no buffer; cheap if nothing changed. */
void media_record_session(struct media_session *s);
void media_record_session_gone(struct media_session *s);
void media_record_buffer(struct media_session *s, enum video_queue q, const struct media_buffer *b);
void media_record_buffer_gone(struct media_session *s, enum video_queue q, unsigned index);
void media_record_mapping(struct media *m, uint64_t offset, const struct media_mapping_record *r);
/* All of it counts from now on. @tag: the request's (chain_tag()), 0 for none. */
void media_record_commit(struct media *m, uint64_t tag);
/*
 * @c was taken by a process before this one, which was at it: is that all done, and only the chain not given back? Then
 * chain_was_applied() is called.
 */
bool media_was_done(const struct media *m, struct chain *c);
/*
 * Give back what m->journal holds. What is not possible is left out, with a line that says how much. It was written by a
 * process that the guest may have taken over, so all of it is checked as requests are.
 */
void media_restore(struct media *m);

#endif
