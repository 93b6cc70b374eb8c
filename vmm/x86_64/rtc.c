// SPDX-License-Identifier: MIT
#include "vmm/x86_64/rtc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/bus.h"
#include "vmm/vm.h"
#include "vmm/x86_64/layout.h"

#define INDEX_MASK 0x7f /* the top bit masks NMI */
#define CMOS_BYTES 128

enum {
	SECONDS = 0,
	MINUTES = 2,
	HOURS = 4,
	DAY_OF_WEEK = 6,
	DAY = 7,
	MONTH = 8,
	YEAR = 9,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
};

#define A_UPDATING 0x80
#define A_32KHZ_1024HZ 0x26 /* what firmware leaves: time base and rate */
#define B_SET 0x80	    /* the clock stands while it is being set */
#define B_BINARY 0x04
#define B_24_HOURS 0x02
#define D_VALID 0x80
#define HOURS_PM 0x80

struct rtc {
	struct vm *vm;
	struct bus_range range;
	pthread_mutex_t lock; /* all below */
	uint8_t index;
	uint8_t memory[CMOS_BYTES];
	int64_t offset_s; /* the guest's clock less the host's */
	struct tm set;	  /* the time while B_SET holds the clock */
};

static time_t guest_time(const struct rtc *r)
{
	return (time_t)((int64_t)time(NULL) + r->offset_s);
}

static uint8_t encode(const struct rtc *r, int value)
{
	return (uint8_t)(r->memory[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static int decode(const struct rtc *r, uint8_t value)
{
	return r->memory[REG_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static uint8_t encode_hours(const struct rtc *r, int hours)
{
	if (r->memory[REG_B] & B_24_HOURS)
		return encode(r, hours);
	return (uint8_t)(encode(r, hours % 12 ? hours % 12 : 12) | (hours >= 12 ? HOURS_PM : 0));
}

static int decode_hours(const struct rtc *r, uint8_t value)
{
	if (r->memory[REG_B] & B_24_HOURS)
		return decode(r, value);
	return decode(r, value & (uint8_t)~HOURS_PM) % 12 + (value & HOURS_PM ? 12 : 0);
}

/* Of a century, which a guest may set to the year 0 and before 1900. */
static int year_of_century(const struct tm *t)
{
	return (t->tm_year + 1900) % 100;
}

static uint8_t read_cmos(struct rtc *r)
{
	struct tm now = r->set;
	time_t t = guest_time(r);

	if (!(r->memory[REG_B] & B_SET))
		gmtime_r(&t, &now);
	switch (r->index) {
	case SECONDS:
		return encode(r, now.tm_sec);
	case MINUTES:
		return encode(r, now.tm_min);
	case HOURS:
		return encode_hours(r, now.tm_hour);
	case DAY_OF_WEEK:
		return encode(r, now.tm_wday + 1);
	case DAY:
		return encode(r, now.tm_mday);
	case MONTH:
		return encode(r, now.tm_mon + 1);
	case YEAR:
		return encode(r, year_of_century(&now));
	case LAYOUT_CMOS_CENTURY:
		return encode(r, (now.tm_year + 1900) / 100);
	case REG_A:
		return r->memory[REG_A] & (uint8_t)~A_UPDATING; /* each access sees one whole second */
	case REG_C:
		return 0; /* no interrupt is pending, ever */
	case REG_D:
		return D_VALID;
	}
	return r->memory[r->index];
}

/* The guest writes one field at a time; a field changes the others' meaning only when the whole is taken over. */
static void write_cmos(struct rtc *r, uint8_t value)
{
	struct tm now = r->set;
	time_t t = guest_time(r);
	bool is_time = true;

	if (!(r->memory[REG_B] & B_SET))
		gmtime_r(&t, &now);
	switch (r->index) {
	case SECONDS:
		now.tm_sec = decode(r, value);
		break;
	case MINUTES:
		now.tm_min = decode(r, value);
		break;
	case HOURS:
		now.tm_hour = decode_hours(r, value);
		break;
	case DAY_OF_WEEK:
		return; /* follows from the date */
	case DAY:
		now.tm_mday = decode(r, value);
		break;
	case MONTH:
		now.tm_mon = decode(r, value) - 1;
		break;
	case YEAR:
		now.tm_year += decode(r, value) % 100 - year_of_century(&now);
		break;
	case LAYOUT_CMOS_CENTURY:
		now.tm_year = decode(r, value) * 100 - 1900 + year_of_century(&now);
		break;
	default:
		is_time = false;
		break;
	}
	if (is_time && (r->memory[REG_B] & B_SET)) {
		r->set = now;
	} else if (is_time) {
		r->offset_s = (int64_t)timegm(&now) - (int64_t)time(NULL);
	} else if (r->index == REG_B) {
		if ((value & B_SET) && !(r->memory[REG_B] & B_SET))
			r->set = now;
		else if (!(value & B_SET) && (r->memory[REG_B] & B_SET))
			r->offset_s = (int64_t)timegm(&now) - (int64_t)time(NULL);
		r->memory[REG_B] = value;
	} else if (r->index != REG_C && r->index != REG_D) {
		r->memory[r->index] = value;
	}
}

/* Index at 0, data at 1. */
static void access_rtc(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct rtc *r = owner;
	uint8_t *bytes = data;

	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; i < size; i++) {
		if (offset + i == 0 && write)
			r->index = bytes[i] & INDEX_MASK;
		else if (offset + i == 0)
			bytes[i] = 0xff; /* write-only on PCs */
		else if (write)
			write_cmos(r, bytes[i]);
		else
			bytes[i] = read_cmos(r);
	}
	pthread_mutex_unlock(&r->lock);
}

int rtc_create(struct vm *vm, struct rtc **out)
{
	struct rtc *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->vm = vm;
	r->memory[REG_A] = A_32KHZ_1024HZ;
	r->memory[REG_B] = B_24_HOURS;
	pthread_mutex_init(&r->lock, NULL);
	r->range = (struct bus_range){.base = LAYOUT_PORT_RTC, .size = 2, .access = access_rtc, .owner = r};
	err = bus_add(vm_pio(vm), &r->range);
	if (err) {
		free(r);
		return err;
	}
	*out = r;
	return 0;
}

void rtc_destroy(struct rtc *r)
{
	if (!r)
		return;
	bus_remove(vm_pio(r->vm), &r->range);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
