// SPDX-License-Identifier: MIT
/*
 * A guest for tests/bare/control: looks at its clock all the time, says how far it is ("tick N"), and says each event of
 * its input devices ("event DEVICE TYPE CODE VALUE"), until the key F12 was let go. That its clock never went back is
 * its own check.
 */
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/virtio.h"
#include "guest-drivers/bare/virtq.h"
#include "protocol/virtio_input.h"

#define DEVICES 3
#define BUFFERS 64
#define TICK_US 100000ull

static struct virtio_dev devs[DEVICES];
static struct virtio_input_event events[DEVICES][BUFFERS];
static unsigned device_count;
static bool is_over;

static void lend(unsigned device, struct virtio_input_event *e)
{
	struct virtq_buffer b = {e, sizeof(*e)};

	virtq_add(devs[device].queues[0], &b, 0, 1, e);
}

static void take_events(unsigned device)
{
	struct virtio_input_event *e;

	while ((e = virtq_get(devs[device].queues[0], NULL))) {
		printf("event %u %u %u %d\n", device, e->type, e->code, (int)e->value);
		is_over |= e->type == EV_KEY && e->code == KEY_F12 && !e->value;
		lend(device, e);
	}
	virtq_kick(devs[device].queues[0]);
}

int main(void)
{
	uint64_t last = clock_us(), next = last;
	unsigned ticks = 0, backwards = 0;

	report_start("control");
	while (device_count < DEVICES && !virtio_find(VIRTIO_ID_INPUT, device_count, VIRTIO_ANY, &devs[device_count])) {
		if (!report_check(!virtio_start(&devs[device_count], 0, 1, BUFFERS), "input %u starts", device_count))
			return report_end();
		for (unsigned i = 0; i < BUFFERS; i++)
			lend(device_count, &events[device_count][i]);
		virtq_kick(devs[device_count].queues[0]);
		device_count++;
	}
	report_check(device_count > 0, "%u input devices", device_count);
	while (!is_over) {
		uint64_t now = clock_us();

		backwards += now < last;
		last = now;
		for (unsigned i = 0; i < device_count; i++)
			take_events(i);
		if (now >= next) {
			printf("tick %u\n", ++ticks);
			next = now + TICK_US;
		}
	}
	report_check(!backwards, "the clock went back %u times", backwards);
	return report_end();
}
