# SPDX-License-Identifier: MIT
# The device without its entry point: tests link this.
host-gpu-device-src := host/gpu/backing.c host/gpu/command.c host/gpu/commands_3d.c host/gpu/commands_resource.c \
	host/gpu/commands_scanout.c host/gpu/config.c host/gpu/content.c host/gpu/context.c host/gpu/control.c host/gpu/displays.c \
	host/gpu/edid.c host/gpu/egl.c host/gpu/export.c host/gpu/fence.c host/gpu/format.c host/gpu/gpu.c host/gpu/host_blob.c \
	host/gpu/record.c host/gpu/restore.c \
	host/gpu/renderer.c host/gpu/renderer_2d.c host/gpu/renderer_virgl.c host/gpu/resource.c host/gpu/scanout.c host/gpu/share.c \
	host/gpu/virgl_doctor.c host/gpu/virgl_fences.c host/gpu/virgl_library.c host/gpu/virgl_objects.c host/gpu/virgl_pixels.c \
	host/gpu/virgl_queries.c host/gpu/virgl_rebuild.c host/gpu/virgl_resources.c host/gpu/virgl_shares.c host/gpu/virgl_state.c \
	host/gpu/virgl_stream.c host/gpu/virgl_submit.c host/gpu/warm_up.c
host-gpu-src := $(host-gpu-device-src) host/gpu/module.c
# The program mullion-gpu, on top of the device.
host-gpu-program-src := host/gpu/main.c
# Headers before 1.1 don't say their version.
$(O)/obj/host/gpu/virgl_library.o: CPPFLAGS += \
	-DMULLION_VIRGLRENDERER_VERSION='"$(shell $(PKG_CONFIG) --modversion virglrenderer 2>/dev/null)"'
