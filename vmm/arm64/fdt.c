// SPDX-License-Identifier: MIT
/* Nodes and properties as in Linux's Documentation/devicetree/bindings. */
#include "vmm/arm64/fdt.h"

#include <errno.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/arm64/layout.h"

enum { PHANDLE_GIC = 1, PHANDLE_MSI, PHANDLE_CLOCK, PHANDLE_GPIO, PHANDLE_UART, PHANDLE_RTC, PHANDLE_PCI };

#define SPI 0u
#define PPI 1u
#define EDGE_RISING 1u
#define LEVEL_HIGH 4u
#define LEVEL_LOW 8u
#define PCI_SPACE_32 0x02000000u
#define PCI_SPACE_64 0x03000000u
#define PCI_SLOT(n) ((uint32_t)(n) << 11)
#define CLOCK_HZ 24000000u
#define KEY_POWER 116u /* of <linux/input-event-codes.h> */

/* The first error stays, as libfdt's own state would not. */
struct tree {
	void *fdt;
	int err;
};

static void note(struct tree *t, int err)
{
	if (!t->err)
		t->err = err;
}

static void begin(struct tree *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void begin(struct tree *t, const char *format, ...)
{
	char name[64];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	note(t, fdt_begin_node(t->fdt, name));
}

static void end(struct tree *t)
{
	note(t, fdt_end_node(t->fdt));
}

static void bytes(struct tree *t, const char *name, const void *value, size_t n)
{
	note(t, fdt_property(t->fdt, name, value, (int)n));
}

static void text(struct tree *t, const char *name, const char *value)
{
	bytes(t, name, value, strlen(value) + 1);
}

static void empty(struct tree *t, const char *name)
{
	bytes(t, name, "", 0);
}

static void cells_from(struct tree *t, const char *name, const uint32_t *values, size_t n)
{
	void *at;

	note(t, fdt_property_placeholder(t->fdt, name, (int)(n * sizeof(*values)), &at));
	for (size_t i = 0; i < n && !t->err; i++)
		fdt32_st((fdt32_t *)at + i, values[i]);
}

#define CELLS(t, name, ...)                                                                  \
	do {                                                                                 \
		const uint32_t cells_[] = {__VA_ARGS__};                                     \
		cells_from((t), (name), cells_, sizeof(cells_) / sizeof(cells_[0]));         \
	} while (0)
#define HIGH(v) ((uint32_t)((uint64_t)(v) >> 32))
#define LOW(v) ((uint32_t)(v))
#define PAIR(v) HIGH(v), LOW(v)

static void cpus(struct tree *t, const struct fdt_config *c)
{
	begin(t, "cpus");
	CELLS(t, "#address-cells", c->aarch32 ? 1 : 2); /* what older 32-bit kernels read */
	CELLS(t, "#size-cells", 0);
	for (unsigned i = 0; i < c->cpus; i++) {
		begin(t, "cpu@%llx", (unsigned long long)c->mpidr[i]);
		text(t, "device_type", "cpu");
		text(t, "compatible", "arm,armv8");
		if (c->aarch32)
			CELLS(t, "reg", LOW(c->mpidr[i]));
		else
			CELLS(t, "reg", PAIR(c->mpidr[i]));
		text(t, "enable-method", "psci");
		end(t);
	}
	end(t);
}

static void gic(struct tree *t, const struct fdt_config *c)
{
	unsigned second = c->cpus > LAYOUT_GICR_CPUS ? c->cpus - LAYOUT_GICR_CPUS : 0;

	begin(t, "interrupt-controller@%llx", LAYOUT_GICD);
	text(t, "compatible", c->gic_version == 3 ? "arm,gic-v3" : "arm,cortex-a15-gic");
	empty(t, "interrupt-controller");
	CELLS(t, "#interrupt-cells", 3);
	CELLS(t, "#address-cells", 2);
	CELLS(t, "#size-cells", 2);
	empty(t, "ranges");
	CELLS(t, "phandle", PHANDLE_GIC);
	if (c->gic_version == 2) {
		CELLS(t, "reg", PAIR(LAYOUT_GICD), PAIR(LAYOUT_GICD_SIZE), PAIR(LAYOUT_GICC), PAIR(LAYOUT_GICC_SIZE));
	} else if (!second) {
		CELLS(t, "reg", PAIR(LAYOUT_GICD), PAIR(LAYOUT_GICD_SIZE), PAIR(LAYOUT_GICR),
		      PAIR(LAYOUT_GICR_SIZE * c->cpus));
	} else {
		CELLS(t, "#redistributor-regions", 2);
		CELLS(t, "reg", PAIR(LAYOUT_GICD), PAIR(LAYOUT_GICD_SIZE), PAIR(LAYOUT_GICR),
		      PAIR(LAYOUT_GICR_SIZE * LAYOUT_GICR_CPUS), PAIR(LAYOUT_GICR2), PAIR(LAYOUT_GICR_SIZE * second));
	}
	if (c->has_its) {
		begin(t, "msi-controller@%llx", LAYOUT_ITS);
		text(t, "compatible", "arm,gic-v3-its");
		empty(t, "msi-controller");
		CELLS(t, "#msi-cells", 1);
		CELLS(t, "reg", PAIR(LAYOUT_ITS), PAIR(LAYOUT_ITS_SIZE));
	} else {
		begin(t, "v2m@%llx", LAYOUT_V2M);
		text(t, "compatible", "arm,gic-v2m-frame");
		empty(t, "msi-controller");
		CELLS(t, "reg", PAIR(LAYOUT_V2M), PAIR(LAYOUT_V2M_SIZE));
	}
	CELLS(t, "phandle", PHANDLE_MSI);
	end(t);
	end(t);
}

static void timer_and_pmu(struct tree *t, const struct fdt_config *c)
{
	static const uint8_t ppi[4] = LAYOUT_PPI_TIMER;
	/* GICv2 says in the flags which CPUs have it. */
	uint32_t flags = LEVEL_LOW | (c->gic_version == 2 ? ((1u << c->cpus) - 1) << 8 : 0);

	begin(t, "timer");
	text(t, "compatible", "arm,armv8-timer");
	empty(t, "always-on");
	CELLS(t, "interrupts", PPI, ppi[0], flags, PPI, ppi[1], flags, PPI, ppi[2], flags, PPI, ppi[3], flags);
	end(t);
	if (!c->has_pmu)
		return;
	begin(t, "pmu");
	text(t, "compatible", "arm,armv8-pmuv3");
	CELLS(t, "interrupts", PPI, LAYOUT_PPI_PMU, LEVEL_HIGH | (flags & ~0xffu));
	end(t);
}

/* @names: "\0"-separated */
static void primecell(struct tree *t, const char *node, const char *compatible, size_t n, uint64_t base)
{
	begin(t, "%s@%llx", node, (unsigned long long)base);
	bytes(t, "compatible", compatible, n);
	CELLS(t, "reg", PAIR(base), PAIR(0x1000));
}

static void platform(struct tree *t)
{
	static const char psci[] = "arm,psci-1.0\0arm,psci-0.2";
	static const char uart[] = "arm,pl011\0arm,primecell";
	static const char rtc[] = "arm,pl031\0arm,primecell";
	static const char gpio[] = "arm,pl061\0arm,primecell";
	static const char two_clocks[] = "uartclk\0apb_pclk";

	begin(t, "psci");
	bytes(t, "compatible", psci, sizeof(psci));
	text(t, "method", "hvc");
	end(t);

	begin(t, "apb-pclk");
	text(t, "compatible", "fixed-clock");
	CELLS(t, "#clock-cells", 0);
	CELLS(t, "clock-frequency", CLOCK_HZ);
	text(t, "clock-output-names", "clk24mhz");
	CELLS(t, "phandle", PHANDLE_CLOCK);
	end(t);

	primecell(t, "serial", uart, sizeof(uart), LAYOUT_UART);
	CELLS(t, "interrupts", SPI, LAYOUT_GSI_UART, LEVEL_HIGH);
	CELLS(t, "clocks", PHANDLE_CLOCK, PHANDLE_CLOCK);
	bytes(t, "clock-names", two_clocks, sizeof(two_clocks));
	CELLS(t, "phandle", PHANDLE_UART);
	end(t);

	primecell(t, "rtc", rtc, sizeof(rtc), LAYOUT_RTC);
	CELLS(t, "clocks", PHANDLE_CLOCK);
	text(t, "clock-names", "apb_pclk");
	CELLS(t, "phandle", PHANDLE_RTC);
	end(t);

	primecell(t, "gpio", gpio, sizeof(gpio), LAYOUT_GPIO);
	CELLS(t, "interrupts", SPI, LAYOUT_GSI_GPIO, LEVEL_HIGH);
	empty(t, "gpio-controller");
	CELLS(t, "#gpio-cells", 2);
	empty(t, "interrupt-controller");
	CELLS(t, "#interrupt-cells", 2);
	CELLS(t, "#address-cells", 0);
	CELLS(t, "clocks", PHANDLE_CLOCK);
	text(t, "clock-names", "apb_pclk");
	CELLS(t, "phandle", PHANDLE_GPIO);
	end(t);

	begin(t, "gpio-keys");
	text(t, "compatible", "gpio-keys");
	begin(t, "power-button");
	text(t, "label", "power button");
	CELLS(t, "linux,code", KEY_POWER);
	CELLS(t, "gpios", PHANDLE_GPIO, LAYOUT_GPIO_POWER, 0);
	end(t);
	end(t);

	begin(t, "pvpanic@%llx", LAYOUT_PVPANIC);
	text(t, "compatible", "qemu,pvpanic-mmio");
	CELLS(t, "reg", PAIR(LAYOUT_PVPANIC), PAIR(2));
	end(t);
}

static void mmio(struct tree *t, unsigned slot)
{
	uint64_t base = LAYOUT_VIRTIO_MMIO + slot * LAYOUT_VIRTIO_MMIO_SIZE;

	begin(t, "virtio_mmio@%llx", (unsigned long long)base);
	text(t, "compatible", "virtio,mmio");
	CELLS(t, "reg", PAIR(base), PAIR(LAYOUT_VIRTIO_MMIO_SIZE));
	CELLS(t, "interrupts", SPI, LAYOUT_GSI_VIRTIO_MMIO + slot, EDGE_RISING);
	empty(t, "dma-coherent");
	end(t);
}

/* The lines repeat every four slots. */
static void pci_lines(struct tree *t, const struct pci_layout *l)
{
	uint32_t map[4 * 4][10];
	unsigned n = 0;

	for (unsigned slot = 0; slot < 4; slot++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			const uint32_t row[10] = {PCI_SLOT(slot), 0, 0, pin + 1, PHANDLE_GIC,
						  0, 0, SPI, pci_intx_gsi(l, slot, pin), LEVEL_HIGH};

			memcpy(map[n++], row, sizeof(row));
		}
	}
	CELLS(t, "interrupt-map-mask", PCI_SLOT(3), 0, 0, 7);
	cells_from(t, "interrupt-map", &map[0][0], sizeof(map) / sizeof(map[0][0]));
}

static void pci(struct tree *t, const struct fdt_config *c)
{
	const struct pci_layout *l = &c->pci;

	begin(t, "pcie@%llx", (unsigned long long)l->ecam_base);
	text(t, "compatible", "pci-host-ecam-generic");
	text(t, "device_type", "pci");
	CELLS(t, "reg", PAIR(l->ecam_base), PAIR(LAYOUT_PCI_ECAM_SIZE));
	CELLS(t, "#address-cells", 3);
	CELLS(t, "#size-cells", 2);
	CELLS(t, "#interrupt-cells", 1);
	CELLS(t, "bus-range", 0, 0);
	CELLS(t, "linux,pci-domain", 0);
	if (l->mmio64_size)
		CELLS(t, "ranges", PCI_SPACE_32, PAIR(l->mmio32_base), PAIR(l->mmio32_base), PAIR(l->mmio32_size),
		      PCI_SPACE_64, PAIR(l->mmio64_base), PAIR(l->mmio64_base), PAIR(l->mmio64_size));
	else
		CELLS(t, "ranges", PCI_SPACE_32, PAIR(l->mmio32_base), PAIR(l->mmio32_base), PAIR(l->mmio32_size));
	pci_lines(t, l);
	if (c->has_its)
		CELLS(t, "msi-map", 0, PHANDLE_MSI, 0, 0x10000);
	else
		CELLS(t, "msi-parent", PHANDLE_MSI);
	CELLS(t, "phandle", PHANDLE_PCI);
	empty(t, "dma-coherent");
	end(t);
}

static void chosen(struct tree *t, const struct fdt_config *c)
{
	char path[32];

	begin(t, "chosen");
	text(t, "bootargs", c->append);
	snprintf(path, sizeof(path), "/serial@%llx", LAYOUT_UART);
	text(t, "stdout-path", path);
	if (c->initrd_bytes) {
		CELLS(t, "linux,initrd-start", PAIR(c->initrd));
		CELLS(t, "linux,initrd-end", PAIR(c->initrd + c->initrd_bytes));
	}
	bytes(t, "kaslr-seed", c->seed, 8);
	bytes(t, "rng-seed", c->seed + 8, sizeof(c->seed) - 8);
	end(t);
}

static void symbol(struct tree *t, const char *label, const char *node, uint64_t base)
{
	char path[96];

	snprintf(path, sizeof(path), "%s@%llx", node, (unsigned long long)base);
	text(t, label, path);
}

/* The labels that an overlay may refer to; each node has a phandle, or libfdt would not find it. */
static void symbols(struct tree *t, const struct fdt_config *c)
{
	char msi[64];

	begin(t, "__symbols__");
	symbol(t, "gic", "/interrupt-controller", LAYOUT_GICD);
	snprintf(msi, sizeof(msi), "/interrupt-controller@%llx/%s", LAYOUT_GICD, c->has_its ? "msi-controller" : "v2m");
	symbol(t, "msi", msi, c->has_its ? LAYOUT_ITS : LAYOUT_V2M);
	text(t, "clk24mhz", "/apb-pclk");
	symbol(t, "uart0", "/serial", LAYOUT_UART);
	symbol(t, "rtc", "/rtc", LAYOUT_RTC);
	symbol(t, "gpio0", "/gpio", LAYOUT_GPIO);
	if (c->has_pci)
		symbol(t, "pcie", "/pcie", c->pci.ecam_base);
	end(t);
}

int fdt_build(const struct fdt_config *c, void *to, size_t room)
{
	struct tree t = {.fdt = to};

	note(&t, fdt_create(to, (int)room));
	note(&t, fdt_finish_reservemap(to));
	begin(&t, "%s", "");
	text(&t, "compatible", "linux,dummy-virt");
	text(&t, "model", "mullion");
	CELLS(&t, "#address-cells", 2);
	CELLS(&t, "#size-cells", 2);
	CELLS(&t, "interrupt-parent", PHANDLE_GIC);
	chosen(&t, c);
	begin(&t, "memory@%llx", LAYOUT_LOW_RAM);
	text(&t, "device_type", "memory");
	CELLS(&t, "reg", PAIR(LAYOUT_LOW_RAM), PAIR(c->memory_bytes));
	end(&t);
	cpus(&t, c);
	gic(&t, c);
	timer_and_pmu(&t, c);
	platform(&t);
	for (unsigned i = 0; i < c->mmio_slots; i++)
		mmio(&t, i);
	if (c->has_pci)
		pci(&t, c);
	symbols(&t, c);
	end(&t);
	note(&t, fdt_finish(to));
	return t.err ? -ENOSPC : 0;
}
