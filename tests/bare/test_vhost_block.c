// SPDX-License-Identifier: MIT
/*
 * A disk that another process serves (tests/bare/vhost_user started it). Byte n of sector s is (s * 7 + n) & 0xff; what
 * is written here, the inverse, is for the host to find in sectors 64 to 95. With die=1 on the command line the
 * process is ended by the host once it reads the marker.
 */
#include <linux/errno.h>

#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"
#include "guest-drivers/bare/virtio.h"
#include "guest-drivers/bare/virtq.h"
#include "protocol/virtio_block.h"

#define SECTORS_A_REQUEST 4
#define BYTES (SECTORS_A_REQUEST * 512)
#define IN_FLIGHT 8
#define WRITTEN_FROM 64
#define WRITTEN_TO 96
#define WAIT_US 20000000ull

struct request {
	struct {
		uint32_t type, priority;
		uint64_t sector;
	} header;
	uint8_t data[BYTES];
	uint8_t status;
	bool done;
};

static struct request requests[IN_FLIGHT];
static struct virtio_dev dev;

static bool collect(void *arg)
{
	struct request *r;

	while ((r = virtq_get(dev.queues[0], NULL)))
		r->done = true;
	return ((struct request *)arg)->done;
}

static int post(struct request *r, bool write, uint64_t sector)
{
	struct virtq_buffer b[3] = {
		{&r->header, sizeof(r->header)},
		{r->data, BYTES},
		{&r->status, 1},
	};

	r->header.type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	r->header.priority = 0;
	r->header.sector = sector;
	r->status = 0xff;
	r->done = false;
	return virtq_add(dev.queues[0], b, write ? 2 : 1, write ? 1 : 2, r);
}

static bool finish(struct request *r)
{
	virtq_kick(dev.queues[0]);
	return !virtio_wait(&dev, collect, r, WAIT_US) && r->status == VIRTIO_BLK_S_OK;
}

static uint8_t pattern(uint64_t sector, unsigned at)
{
	return (uint8_t)((sector + at / 512) * 7 + at % 512);
}

static bool holds(const struct request *r, uint8_t invert)
{
	for (unsigned i = 0; i < BYTES; i++)
		if (r->data[i] != (pattern(r->header.sector, i) ^ invert))
			return false;
	return true;
}

static void reads(const char *name)
{
	unsigned good = 0;

	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < IN_FLIGHT; i++) {
			memset(requests[i].data, 0, BYTES);
			post(&requests[i], false, (uint64_t)SECTORS_A_REQUEST * (i + round * IN_FLIGHT) % WRITTEN_FROM);
		}
		for (unsigned i = 0; i < IN_FLIGHT; i++)
			good += finish(&requests[i]) && holds(&requests[i], 0);
	}
	report_check(good == 4 * IN_FLIGHT, "%s: %u of %u reads hold what the host wrote, %u interrupts", name, good,
		     4 * IN_FLIGHT, dev.queue_interrupts);
}

static void writes(const char *name)
{
	unsigned good = 0;
	struct request *r = &requests[0];

	for (uint64_t s = WRITTEN_FROM; s < WRITTEN_TO; s += SECTORS_A_REQUEST) {
		for (unsigned i = 0; i < BYTES; i++)
			r->data[i] = pattern(s, i) ^ 0xff;
		post(r, true, s);
		if (!finish(r))
			continue;
		memset(r->data, 0, BYTES);
		post(r, false, s);
		good += finish(r) && holds(r, 0xff);
	}
	report_check(good == (WRITTEN_TO - WRITTEN_FROM) / SECTORS_A_REQUEST, "%s: %u writes can be read again", name,
		     good);
}

static void round_trip(const char *name, uint64_t features)
{
	struct {
		uint32_t low, high;
	} capacity;
	int rc = virtio_start(&dev, features, 1, 64);

	if (!report_check(!rc, "%s: starts: %d", name, rc))
		return;
	rc = virtio_config_read(&dev, 0, &capacity, 4, 2);
	report_check(!rc && capacity.low == boot_option_number("sectors", 0) && !capacity.high, "%s: %u sectors", name,
		     capacity.low);
	reads(name);
	writes(name);
	report_check(!virtio_broken(&dev), "%s: device is well", name);
	virtio_stop(&dev);
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

/* The host ends the process: the device must ask for a reset, and with the process back it must work again. */
static void survives_a_death(void)
{
	int rc = virtio_start(&dev, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX), 1, 64);

	if (!report_check(!rc, "death: starts: %d", rc))
		return;
	reads("before death");
	printf("# host: end it\n");
	rc = virtio_wait(&dev, never, NULL, WAIT_US);
	report_check(rc == -EIO, "death: the device needs a reset: %d", rc);
	virtio_stop(&dev);
	rc = virtio_start(&dev, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX), 1, 64);
	report_check(!rc && virtio_broken(&dev), "death: started without its process it needs a reset at once");
	virtio_stop(&dev);
	printf("# host: begin it\n");
	for (unsigned i = 0; i < 600; i++) {
		rc = virtio_start(&dev, VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX), 1, 64);
		if (!rc && !virtio_broken(&dev))
			break;
		virtio_wait(&dev, never, NULL, 100000);
		virtio_stop(&dev);
	}
	reads("after death");
	virtio_stop(&dev);
}

int main(void)
{
	report_start("vhost_block");
	if (!report_check(!virtio_find(VIRTIO_ID_BLOCK, 0, VIRTIO_ANY, &dev), "a disk is found"))
		return report_end();
	if (boot_option_number("die", 0)) {
		survives_a_death();
		return report_end();
	}
	round_trip("plain", 0);
	round_trip("event_idx", VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX));
	round_trip("event_idx+indirect",
		   VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC));
	return report_end();
}
