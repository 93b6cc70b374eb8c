/* SPDX-License-Identifier: MIT */
/*
 * A machine for tests of the control socket: vm_stub.h with what vmm/ctl_*.c needs besides, and devices whose calls are
 * kept. All on one thread: run the loop of stub_create_still() with loop_run_once().
 */
#ifndef MULLION_TESTS_LIB_CTL_STUB_H
#define MULLION_TESTS_LIB_CTL_STUB_H

#include "host/virtio/counters.h"
#include "host/virtio/device.h"
#include "host/virtio/display_control.h"
#include "tests/lib/vm_stub.h"
#include "vmm/devices.h"

struct loop_task;

struct ctl_stub {
	struct loop_task *pausing; /* vm_pause()'s caller waits: post it to let the guest stop */
	bool hold_pauses;	   /* else it is posted at once */
	bool paused, has_button;
	unsigned presses;
	bool has_displays;
	struct display_device_status status;
	int status_err;
	int shot_err;	 /* what screenshots end with */
	bool hold_shots; /* they don't end, but are kept in: */
	struct display_screenshot *shot;
	struct input_seat *seat;
	struct display_control control;
	struct virtio_device devices[2]; /* all; on the machine's loop unless a test says otherwise */
	struct counters counters[2];     /* what they say */
	struct counter_source elsewhere[2]; /* ctl_stub_isolate() */
	int count_err;			    /* that those end with */
	const char *sockets[2];		    /* NULL: not of a process started elsewhere */
	bool is_connected;		    /* that is */
};

extern struct ctl_stub ctl_stub;

/* Reset it, for @vm. */
void ctl_stub_init(struct vm *vm);
void ctl_stub_finish(void);
/* Device @n is in another process from here on, which is asked on @loop. */
void ctl_stub_isolate(unsigned n, struct loop *loop);

#endif
