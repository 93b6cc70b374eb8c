# SPDX-License-Identifier: MIT
# The images that cases.cfg starts.
bare-test-images := test_library test_interrupts test_rings test_2d test_3d test_fences test_reset test_bad_requests \
	test_broken_ring test_exit test_vhost_block test_control test_recovery test_host_blob test_blob_recovery test_media \
	test_video_recovery test_media_recovery test_video_encode test_lying_device
bare-images += $(bare-test-images)
$(foreach t,$(bare-test-images),$(eval $(t)-bare-src := tests/bare/$(t).c))
test_3d-bare-src += tests/bare/canvas.c
test_fences-bare-src += tests/bare/canvas.c
test_recovery-bare-src += tests/bare/canvas.c
test_media-bare-src += tests/bare/clip.c
test_video_recovery-bare-src += tests/bare/clip.c
test_media_recovery-bare-src += tests/bare/clip.c
bare-flat += test_library
# The guest of tests/bench/gpu_isolation.
bare-images += guest_isolation
guest_isolation-bare-src := tests/bench/guest_isolation.c tests/bare/canvas.c
# The guest of tests/bench/bench_roundtrip.c; it writes x86 ports.
ifeq ($(ARCH),x86_64)
bare-images += guest_roundtrip
guest_roundtrip-bare-src := tests/bench/guest_roundtrip.c
endif
