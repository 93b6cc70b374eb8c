# SPDX-License-Identifier: MIT
# The device without its codecs; tests link this and the fake one.
host-video-device-src := host/video/buffer.c host/video/command.c host/video/commands_params.c \
	host/video/commands_stream.c host/video/config.c host/video/dialect.c host/video/format.c host/video/headers.c \
	host/video/picture.c host/video/record.c host/video/stream.c host/video/stream_params.c host/video/units.c \
	host/video/video.c
host-video-device-src += host/video/media.c host/video/media_buffers.c host/video/media_controls.c \
	host/video/media_formats.c host/video/media_ioctl.c host/video/media_record.c host/video/media_session.c \
	host/video/media_window.c
host-video-device-src += host/video/count.c host/video/pages.c
host-video-fake-src := host/video/codec_fake.c
host-video-gst-src := host/video/codec_gst.c host/video/gst_convert.c host/video/gst_elements.c host/video/gst_lend.c \
	host/video/gst_pipeline.c host/video/v4l2_import.c
# The module.
host-video-src := $(host-video-device-src) $(host-video-gst-src) host/video/module.c
# The program mullion-video, on top of that.
host-video-worker-src := host/video/gst_registry.c host/video/prepare.c host/video/warm_up.c
host-video-program-src := $(host-video-worker-src) host/video/main.c
