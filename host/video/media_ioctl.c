// SPDX-License-Identifier: MIT
/*
 * V4L2 ioctls from the ring to their handlers and back: the table, lengths and directions.
 */
#include <assert.h>
#include <errno.h>

#include "host/video/media.h"

#define ROW(name, kinds, repeatable, handler)                                                                          \
	{                                                                                                              \
		_IOC_NR(VIDIOC_##name), #name, (uint16_t)_IOC_SIZE(VIDIOC_##name),                                     \
			(_IOC_DIR(VIDIOC_##name) & _IOC_WRITE) != 0, (_IOC_DIR(VIDIOC_##name) & _IOC_READ) != 0,       \
			repeatable, kinds, handler                                                                     \
	}

/* Any other is answered ENOTTY, as V4L2 does for what a device does not have. */
static const struct media_ioctl_row rows[] = {
	ROW(ENUM_FMT, MEDIA_CODEC, true, media_enum_fmt),
	ROW(G_FMT, MEDIA_CODEC, true, media_g_fmt),
	ROW(S_FMT, MEDIA_CODEC, false, media_s_fmt),
	ROW(TRY_FMT, MEDIA_CODEC, true, media_try_fmt),
	ROW(REQBUFS, MEDIA_CODEC, false, media_reqbufs),
	ROW(CREATE_BUFS, MEDIA_CODEC, false, media_create_bufs),
	ROW(QUERYBUF, MEDIA_CODEC, true, media_querybuf),
	ROW(QBUF, MEDIA_CODEC, false, media_qbuf),
	ROW(STREAMON, MEDIA_CODEC, false, media_streamon),
	ROW(STREAMOFF, MEDIA_CODEC, true, media_streamoff),
	ROW(G_PARM, MEDIA_ENCODER, true, media_g_parm),
	ROW(S_PARM, MEDIA_ENCODER, false, media_s_parm),
	ROW(G_SELECTION, MEDIA_CODEC, true, media_g_selection),
	ROW(S_SELECTION, MEDIA_CODEC, true, media_s_selection),
	ROW(ENUM_FRAMESIZES, MEDIA_CODEC, true, media_enum_framesizes),
	ROW(ENUM_FRAMEINTERVALS, MEDIA_ENCODER, true, media_enum_frameintervals),
	ROW(ENCODER_CMD, MEDIA_ENCODER, false, media_encoder_cmd),
	ROW(TRY_ENCODER_CMD, MEDIA_ENCODER, true, media_try_encoder_cmd),
	ROW(DECODER_CMD, MEDIA_DECODER, false, media_decoder_cmd),
	ROW(TRY_DECODER_CMD, MEDIA_DECODER, true, media_try_decoder_cmd),
	ROW(SUBSCRIBE_EVENT, MEDIA_CODEC, false, media_subscribe),
	ROW(UNSUBSCRIBE_EVENT, MEDIA_CODEC, true, media_unsubscribe),
	ROW(QUERYCTRL, MEDIA_CODEC, true, media_queryctrl),
	ROW(QUERY_EXT_CTRL, MEDIA_CODEC, true, media_query_ext_ctrl),
	ROW(QUERYMENU, MEDIA_CODEC, true, media_querymenu),
	ROW(G_CTRL, MEDIA_CODEC, true, media_g_ctrl),
	ROW(S_CTRL, MEDIA_CODEC, false, media_s_ctrl),
	ROW(G_EXT_CTRLS, MEDIA_CODEC, true, media_ext_ctrls),
	ROW(S_EXT_CTRLS, MEDIA_CODEC, false, media_ext_ctrls),
	ROW(TRY_EXT_CTRLS, MEDIA_CODEC, true, media_ext_ctrls),
};

static const struct media_ioctl_row *find_row(const struct media *m, uint32_t code)
{
	const uint8_t kind = m->config.encoder ? MEDIA_ENCODER : MEDIA_DECODER;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].code == code && rows[i].kinds & kind)
			return &rows[i];
	}
	return NULL;
}

bool media_ioctl_is_repeatable(const struct media *m, uint32_t code)
{
	const struct media_ioctl_row *row = find_row(m, code);

	return row && row->repeatable;
}

static int serve(struct media *m, struct media_ioctl *i, uint32_t session)
{
	struct media_session *s = media_find_session(m, session);
	int err;

	if (!s)
		return MEDIA_REFUSE(i, -EINVAL, "no such session; open one");
	if (!i->row)
		return MEDIA_REFUSE(i, -ENOTTY, "this device has no such ioctl");
	assert(i->row->bytes <= sizeof(i->u));
	if (i->row->reads && reader_copy(i->rest, &i->u, i->row->bytes) < 0)
		return MEDIA_REFUSE(i, -EINVAL, "%zu bytes behind the command; it takes %u", reader_left(i->rest),
				    i->row->bytes);
	if (i->row->writes && i->room < i->row->bytes)
		return MEDIA_REFUSE(i, -EINVAL, "room for %zu bytes behind the answer; it gives %u", i->room,
				    i->row->bytes);
	err = i->row->handler(s, i);
	/* Even one that fails may have changed something. */
	media_record_session(s);
	return err;
}

void media_ioctl(struct media *m, struct chain *c, const struct virtio_media_cmd_ioctl *command)
{
	const size_t room = writer_left(chain_writer(c));
	struct media_ioctl i = {
		.row = find_row(m, command->code),
		.chain = c,
		.rest = chain_reader(c),
		.room = room > sizeof(struct virtio_media_resp_ioctl) ? room - sizeof(struct virtio_media_resp_ioctl)
								      : 0,
	};
	const bool trace = log_enabled(LOG_TOPIC_VIDEO, LOG_TRACE);
	int err;

	if (trace)
		log_line(LOG_TOPIC_VIDEO, LOG_TRACE, "#%llu session %u: ioctl %u %s", (unsigned long long)m->serial,
			 command->session_id, command->code, i.row ? i.row->name : "");
	if (room < sizeof(struct virtio_media_resp_ioctl))
		err = MEDIA_REFUSE(&i, -EINVAL, "no room for an answer, which has 8 bytes at least");
	else
		err = serve(m, &i, command->session_id);
	if (err < 0 && *i.why)
		log_guest(LOG_TOPIC_VIDEO, &m->log_limit, "session %u: ioctl %u %s: %s", command->session_id,
			  command->code, i.row ? i.row->name : "", i.why);
	if (!i.row || !i.row->writes || (err < 0 && !i.answer_anyway))
		media_answer(m, c, err, NULL, 0, NULL, 0);
	else
		media_answer(m, c, err, &i.u, i.row->bytes, i.tail, i.tail_bytes);
}
