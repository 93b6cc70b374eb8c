# SPDX-License-Identifier: MIT
device-tests += test_virtio_ring
device-tests += test_rng
device-tests += test_block
device-tests += test_block_reset
device-tests += test_gpu_2d
test_gpu_2d-src = $(gpu-test-src)
# The virgl renderer behind the real device, driven by the bare guests' encoder.
gpu3d-src := tests/lib/gpu3d.c tests/lib/gpu3d_test.c tests/lib/frame_output.c tests/lib/driver_leaks.c guest-drivers/bare/virgl.c $(host-display-src) $(host-gpu-device-src)
device-tests += test_gpu_virgl_draw test_gpu_virgl_fence test_gpu_virgl_poll test_gpu_virgl_2d test_gpu_virgl_robust test_gpu_virgl_restore \
	test_gpu_virgl_garbage test_gpu_virgl_cycles test_gpu_virgl_reset test_gpu_virgl_blob test_gpu_virgl_flush \
	test_gpu_virgl_lost_queries
test_gpu_virgl_blob-src := $(gpu3d-src)
test_gpu_virgl_flush-src := $(gpu3d-src)
test_gpu_virgl_reset-src := $(gpu3d-src)
test_gpu_virgl_cycles-src := $(gpu3d-src)
test_gpu_virgl_restore-src := tests/lib/died_request.c tests/lib/gpu3d_deaths.c $(gpu3d-src)
test_gpu_virgl_lost_queries-src := tests/lib/gpu3d_deaths.c $(gpu3d-src)
test_gpu_virgl_garbage-src := $(gpu3d-src)
device-tests += test_gpu_sandbox
test_gpu_sandbox-src = tests/lib/elsewhere.c $(host-sandbox-src) $(gpu3d-src)
test_gpu_virgl_robust-src := $(gpu3d-src)
test_gpu_virgl_poll-src := $(gpu3d-src)
test_gpu_virgl_draw-src := $(gpu3d-src)
test_gpu_virgl_fence-src := $(gpu3d-src)
test_gpu_virgl_2d-src := $(gpu3d-src)
device-tests += test_gpu_frontend
test_gpu_frontend-src = tests/lib/display_peer.c $(gpu-test-src)
device-tests += test_console test_input
device-tests += test_virtio_bad_ring test_virtio_takeover
device-tests += test_gpu_errors
test_gpu_errors-src = $(gpu-test-src)
device-tests += test_net test_net_receive
test_net-src = tests/lib/net_world.c
test_net_receive-src = tests/lib/net_world.c
device-tests += test_virtio_status
device-tests += test_net_host
device-tests += test_gpu_fence test_gpu_3d test_gpu_restore test_gpu_degraded
test_gpu_degraded-src = $(gpu-test-src)
test_gpu_restore-src = tests/lib/journal_copy.c $(gpu-test-src)
device-tests += test_gpu_cursor_deaths test_gpu_deaths
test_gpu_cursor_deaths-src = $(gpu-test-src)
test_gpu_deaths-src = $(gpu-test-src)
device-tests += test_gpu_again
test_gpu_again-src = $(gpu-test-src)
device-tests += test_gpu_host_blob
test_gpu_host_blob-src = $(gpu-test-src)
device-tests += test_gpu_control
test_gpu_control-src = $(gpu-test-src)
test_gpu_fence-src = $(gpu-test-src)
test_gpu_3d-src = $(gpu-test-src)
device-tests += test_gpu_share
test_gpu_share-src = $(gpu-test-src)
vhost-test-src := tests/lib/vhost_peer.c $(filter host/vhost/%,$(host-vhost-src)) $(host-sandbox-src)
device-tests += test_vhost_messages test_vhost_rings test_vhost_inflight test_vhost_leaks
device-tests += test_keeper test_keeper_memory test_keeper_reset test_keeper_sandbox test_keeper_hostile test_keeper_output
keeper-test-src := tests/lib/keeper_world.c $(vhost-test-src)
test_vhost_inflight-src := $(vhost-test-src)
device-tests += test_vhost_shmem
test_vhost_shmem-src := $(vhost-test-src)
device-tests += test_vhost_objects
test_vhost_objects-src := tests/lib/keeper_inside.c $(vhost-test-src)
device-tests += test_vhost_spare
test_vhost_spare-src := $(vhost-test-src)
# All that listen on sockets.
device-tests += test_accept
test_accept-src = tests/lib/keeper_inside.c vmm/character.c vmm/terminal.c $(host-display-src) $(vhost-test-src)
# Both ends of what is asked of an isolated device.
device-tests += test_control_socket
test_control_socket-src := host/vhost/control_server.c vmm/isolate_control.c
test_vhost_messages-src := $(vhost-test-src)
test_vhost_rings-src := $(vhost-test-src)
test_keeper-src := $(keeper-test-src)
test_keeper_memory-src := $(keeper-test-src)
test_keeper_reset-src := $(keeper-test-src)
test_keeper_sandbox-src := $(keeper-test-src)
test_keeper_output-src := $(keeper-test-src)
test_keeper_hostile-src := tests/lib/keeper_inside.c $(vhost-test-src)
test_vhost_leaks-src := $(vhost-test-src)
# Video over the fake codec.
video-test-src = tests/lib/video_world.c $(host-video-device-src) $(host-video-fake-src)
device-tests += test_video_commands test_video_pictures test_video_stream test_video_trouble test_video_states
device-tests += test_video_count test_video_lending
test_video_lending-src = $(video-test-src)
test_video_count-src = $(media-test-src)
test_video_commands-src = $(video-test-src)
test_video_pictures-src = tests/lib/film.c $(video-test-src)
test_video_stream-src = tests/lib/film.c $(video-test-src)
test_video_trouble-src = tests/lib/film.c $(video-test-src)
test_video_states-src = tests/lib/film.c $(video-test-src)
# A frontend that stops the rings.
device-tests += test_video_stop
test_video_stop-src = tests/lib/film.c $(vhost-test-src) $(video-test-src)
# Pictures of the GPU as its buffers.
device-tests += test_video_objects
test_video_objects-src = tests/lib/film.c tests/lib/shared_pictures.c $(video-test-src) $(gpu3d-src)
# And over GStreamer's codecs.
codec-test-src = tests/lib/codec_leaks.c tests/lib/codec_run.c tests/lib/codec_tests.c tests/lib/clip.c tests/lib/video_client.c $(video-test-src) \
	$(host-video-gst-src)
device-tests += test_codec_parts test_codec_conformance test_codec_encode test_codec_broken test_codec_formats test_codec_controls
test_codec_conformance-src = $(codec-test-src)
test_codec_encode-src = tests/lib/round_trip.c tests/lib/soft_picture.c $(codec-test-src)
test_codec_broken-src = $(codec-test-src)
test_codec_parts-src = $(codec-test-src)
test_codec_formats-src = $(codec-test-src)
test_codec_controls-src = $(codec-test-src)
media-test-src = tests/lib/media_world.c tests/lib/fake_shmem.c $(video-test-src)
device-tests += test_media_commands test_media_formats test_media_buffers test_media_controls
test_media_commands-src = $(media-test-src)
test_media_formats-src = $(media-test-src)
test_media_buffers-src = $(media-test-src)
test_media_controls-src = $(media-test-src)
device-tests += test_media_stream test_media_sizes test_media_trouble test_media_encode test_media_window test_media_states
device-tests += test_media_stop
test_media_states-src = tests/lib/media_player.c $(media-test-src)
test_media_stream-src = tests/lib/media_player.c $(media-test-src)
test_media_sizes-src = tests/lib/media_player.c $(media-test-src)
test_media_trouble-src = tests/lib/media_player.c $(media-test-src)
test_media_encode-src = tests/lib/media_player.c $(media-test-src)
test_media_window-src = tests/lib/media_player.c $(media-test-src)
test_media_stop-src = tests/lib/media_player.c $(media-test-src)
device-tests += test_media_codec test_media_ten_bits test_media_restore
test_media_restore-src = tests/lib/journal_copy.c tests/lib/media_player.c $(media-test-src)
test_media_ten_bits-src = tests/lib/media_client.c tests/lib/codec_leaks.c tests/lib/codec_run.c $(media-test-src) $(host-video-gst-src)
test_media_codec-src = tests/lib/media_client.c tests/lib/soft_picture.c tests/lib/clip.c tests/lib/codec_leaks.c tests/lib/codec_run.c $(media-test-src) $(host-video-gst-src)
device-tests += test_media_lending test_video_lent_output
test_video_lent_output-src = tests/lib/film.c $(video-test-src)
test_media_lending-src = tests/lib/media_player.c $(media-test-src)
device-tests += test_media_broken
test_media_broken-src = tests/lib/media_client.c tests/lib/clip.c tests/lib/codec_leaks.c tests/lib/codec_run.c $(media-test-src) $(host-video-gst-src)
# The same over a codec of the kernel, which few machines have: tests/linux/uml-codec.
device-tests += test_media_fwht
test_media_fwht-src = tests/lib/media_client.c tests/lib/soft_picture.c tests/lib/codec_leaks.c tests/lib/codec_run.c $(media-test-src) $(host-video-gst-src) \
	$(host-sandbox-src)
device-tests += test_codec_missing test_codec_choice test_video_batch test_video_leaks
test_video_leaks-src = tests/lib/round_trip.c tests/lib/soft_picture.c $(codec-test-src)
test_codec_missing-src = tests/lib/no_plugins.c $(codec-test-src)
test_codec_choice-src = tests/lib/no_plugins.c $(codec-test-src)
test_video_batch-src = tests/lib/film.c $(video-test-src)
device-tests += test_codec_lend_end
test_codec_lend_end-src = $(codec-test-src)
device-tests += test_codec_films test_codec_endless
test_codec_endless-src = $(codec-test-src)
test_codec_films-src = $(codec-test-src)
device-tests += test_video_restore
test_video_restore-src = tests/lib/journal_copy.c $(video-test-src)
# The program mullion-video but its main().
device-tests += test_video_keeper test_video_keeper_encode
video-keeper-test-src = tests/lib/codec_leaks.c tests/lib/clip.c tests/lib/stuck_decoder.c tests/lib/video_client.c \
	tests/lib/video_keeper.c $(vhost-test-src) $(host-program-src) $(video-test-src) $(host-video-gst-src) \
	$(host-video-worker-src) host/video/module.c
test_video_keeper-src = $(video-keeper-test-src) vmm/isolate_control.c
device-tests += test_media_keeper
test_media_keeper-src = tests/lib/media_keeper.c tests/lib/media_player.c tests/lib/media_world.c tests/lib/fake_shmem.c \
	$(video-keeper-test-src)
device-tests += test_media_deaths
# Its own word on leaks.
test_media_deaths-src = $(filter-out tests/lib/codec_leaks.c,$(test_media_keeper-src))
test_video_keeper_encode-src = tests/lib/round_trip.c tests/lib/soft_picture.c $(video-keeper-test-src)
# Guests beside each other, each with a mullion-gpu of its own.
gpu-neighbour-src := tests/lib/gpu_neighbour.c $(sort $(vhost-test-src) $(gpu3d-src))
device-tests += test_gpu_neighbours
test_gpu_neighbours-src := $(gpu-neighbour-src)
device-tests += test_gpu_display
test_gpu_display-src = tests/lib/display_peer.c $(sort $(vhost-test-src) $(gpu-test-src))
# The same, with each of the two devices in processes of its own.
device-tests += test_video_across
test_video_across-src = tests/lib/film.c tests/lib/shared_pictures.c tests/lib/isolated_pair.c vmm/vhost_user.c vmm/event.c vmm/vhost_user_session.c \
	vmm/vhost_user_kinds.c vmm/shared_objects.c $(host-program-src) $(sort $(vhost-test-src) $(video-test-src) $(gpu3d-src))
# Both programs, started and reset by many drivers.
device-tests += test_program_cycles
test_program_cycles-src = $(sort $(vhost-test-src) $(video-test-src) $(gpu-test-src))
# The program mullion-gpu, and a VMM's display on the same GPU.
device-tests += test_gpu_dmabuf
test_gpu_dmabuf-src := tests/lib/dmabuf_viewer.c $(gpu-neighbour-src)
