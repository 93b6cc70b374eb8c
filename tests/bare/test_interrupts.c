// SPDX-License-Identifier: MIT
/*
 * The timer, and a device's interrupts by whatever its transport uses: MSI-X on PCI, a line on MMIO. With "neighbour" on the
 * command line a source of random numbers is on the line of the GPU's pin.
 */
#include <linux/pci_regs.h>

#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/gpu.h"
#include "guest-drivers/bare/io.h"
#include "guest-drivers/bare/irq.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/report.h"
#include "guest-drivers/bare/string.h"

static volatile unsigned ticks;

static void tick(void *arg)
{
	ticks += *(unsigned *)arg;
}

static void timer(void)
{
	unsigned one = 1;
	uint64_t start, took;

	irq_disable();
	for (unsigned i = 0; i < 20; i++) {
		unsigned before = ticks;

		start = clock_us();
		irq_timer(start + 2000, tick, &one);
		while (ticks == before)
			irq_wait();
		took = clock_us() - start;
		if (took < 2000 || ticks != before + 1) {
			report_check(false, "timer_not_early: shot %u after %lu us, %u ticks", i, took, ticks - before);
			return;
		}
	}
	report_check(ticks == 20, "timer_fires_once_each: %u of 20", ticks);

	irq_timer(clock_us() + 3000, tick, &one);
	irq_timer(0, NULL, NULL);
	start = clock_us();
	irq_alarm(start + 10000);
	while (clock_us() - start < 10000)
		irq_wait();
	report_check(ticks == 20, "timer_called_off_stays_off");
	irq_enable();
	irq_timer(clock_us() + 1000, tick, &one);
	for (start = clock_us(); ticks == 20 && clock_us() - start < 1000000;)
		cpu_relax();
	report_check(ticks == 21, "timer_interrupts_running_code");
	irq_disable();
}

/* See the answer in the ring with interrupts off; then its interrupt, and no other, must end a halt. */
static bool interrupt_for_answer(struct gpu *g)
{
	static struct virtio_gpu_ctrl_hdr command = {.type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO};
	static struct virtio_gpu_resp_display_info info;
	struct gpu_request r = {.out = {{&command, sizeof(command)}}, .out_count = 1, .in = {&info, sizeof(info)}};
	uint64_t deadline = clock_us() + 2000000;
	uint32_t before = g->dev.queue_interrupts;

	if (gpu_post(g, VIRTIO_GPU_QUEUE_CONTROL, &r))
		return false;
	while (!r.done && clock_us() < deadline)
		gpu_poll(g);
	if (!r.done || g->dev.queue_interrupts != before)
		return false;
	irq_alarm(deadline);
	while (g->dev.queue_interrupts == before && clock_us() < deadline)
		irq_wait();
	irq_alarm(0);
	return g->dev.queue_interrupts == before + 1;
}

static void device(enum virtio_kind kind)
{
	static struct gpu g;
	struct virtio_gpu_resp_display_info info;
	unsigned answered = 0;

	if (!report_check(!gpu_open(&g, kind, 0, 0), "device_opens"))
		return;
	printf("# transport %s\n", g.dev.ops->name);
	report_check(g.dev.has_interrupts, "device_has_interrupts");
	irq_enable();
	for (unsigned i = 0; i < 100; i++)
		answered += !gpu_display_info(&g, &info);
	irq_disable();
	report_check(answered == 100, "device_answers_100: %u", answered);
	answered = 0;
	for (unsigned i = 0; i < 30; i++)
		answered += interrupt_for_answer(&g);
	report_check(answered == 30, "one_interrupt_an_answer: %u of 30", answered);
	report_check(g.dev.config_interrupts == 0, "no_config_interrupts: %u", g.dev.config_interrupts);
	gpu_close(&g);
	report_check(irq_stray == 0, "no_stray_interrupts: %u", irq_stray);
	report_check(!gpu_open(&g, kind, 0, 0) && !gpu_display_info(&g, &info), "interrupts_work_again_after_reset");
	gpu_close(&g);
}

static bool has_numbers(void *arg)
{
	return virtq_get(*(struct virtq **)arg, NULL);
}

/*
 * It finds the line taken, polls, and must not hold it: the GPU's handler can't let go of it, and would run again and again
 * (KVM slows that down after 10,000 times).
 */
static void neighbour(void)
{
	static struct gpu g;
	static struct virtio_dev d;
	static uint8_t numbers[16];
	const struct virtq_buffer b = {numbers, sizeof(numbers)};
	struct virtio_gpu_resp_display_info info;

	if (!report_check(!gpu_open(&g, VIRTIO_PCI, 0, 0) && !virtio_find(VIRTIO_ID_RNG, 0, VIRTIO_PCI, &d) &&
				  !virtio_start(&d, 0, 1, 8),
			  "both_devices_start"))
		return;
	report_check(g.dev.pci_intx && d.line == g.dev.line && !d.has_interrupts, "they_share_a_line: %u and %u",
		     d.line, g.dev.line);
	report_check(!virtq_add(d.queues[0], &b, 0, 1, numbers), "numbers_are_asked_for");
	virtq_kick(d.queues[0]);
	report_check(!virtio_wait(&d, has_numbers, &d.queues[0], 2000000), "numbers_come");
	report_check(pci_read16(&d.pci, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE, "the_pin_of_one_that_polls_is_off");
	report_check(!gpu_display_info(&g, &info), "the_gpu_still_gets_its_interrupts");
	virtio_stop(&d);
	gpu_close(&g);
}

int main(void)
{
	char option[2];

	report_start("interrupts");
	timer();
	device(VIRTIO_ANY);
	if (boot_option("neighbour", 0, option, sizeof(option)))
		neighbour();
	return report_end();
}
