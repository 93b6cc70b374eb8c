/* SPDX-License-Identifier: MIT */
/*
 * The PC's real-time clock and CMOS memory (MC146818), ports 0x70 and 0x71: the host's time in UTC. Setting it moves
 * this guest's clock only. No alarm and no interrupts.
 */
#ifndef MULLION_VMM_X86_64_RTC_H
#define MULLION_VMM_X86_64_RTC_H

struct rtc;
struct vm;

int rtc_create(struct vm *vm, struct rtc **out);
void rtc_destroy(struct rtc *r);

#endif
