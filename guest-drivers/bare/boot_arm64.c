// SPDX-License-Identifier: MIT
/*
 * arm64: everything comes from the device tree. virtio-mmio nodes are turned into the options that
 * virtio_mmio.c reads on every architecture.
 */
#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/console.h"
#include "guest-drivers/bare/fdt.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/string.h"

#define GIC_SPI 0u
#define GIC_FIRST_SPI 32u
#define GIC_FIRST_PPI 16u

struct walk {
	uint32_t node; /* that the following were seen in */
	const char *compatible;
	uint64_t reg_base, reg_bytes;
	uint32_t line;
};

static void append(const char *text)
{
	size_t n = strlen(boot.command_line), add = strlen(text);

	if (n + add + 2 > sizeof(boot.command_line))
		return;
	if (n)
		boot.command_line[n++] = ' ';
	memcpy(boot.command_line + n, text, add + 1);
}

static bool is_compatible(const struct walk *w, const char *with)
{
	return w->compatible && !strcmp(w->compatible, with);
}

/* All that is known of a node has been seen: note the devices that the library drives. */
static void finish_node(struct walk *w)
{
	char option[80];

	if (is_compatible(w, "pci-host-ecam-generic"))
		boot.pci_ecam = w->reg_base;
	if (is_compatible(w, "qemu,pvpanic-mmio"))
		boot.pvpanic = w->reg_base;
	if (is_compatible(w, "virtio,mmio") && w->reg_base && w->line) {
		snprintf(option, sizeof(option), "virtio_mmio.device=0x%lx@0x%lx:%u", w->reg_bytes, w->reg_base,
			 w->line);
		append(option);
	}
	*w = (struct walk){.node = w->node};
}

static uint64_t number_of_any_size(const struct fdt_property *p)
{
	return p->bytes == 4 ? fdt_u32(p, 0) : fdt_u64(p, 0);
}

static void chosen(const struct fdt_property *p)
{
	if (!strcmp(p->name, "bootargs"))
		append((const char *)p->value);
	else if (!strcmp(p->name, "linux,initrd-start"))
		boot.initrd_base = number_of_any_size(p);
	else if (!strcmp(p->name, "linux,initrd-end"))
		boot.initrd_bytes = number_of_any_size(p); /* its end, until both are known */
}

static bool property(const struct fdt_property *p, void *arg)
{
	struct walk *w = arg;

	if (p->node_id != w->node) {
		finish_node(w);
		w->node = p->node_id;
	}
	if (!strcmp(p->node, "chosen")) {
		chosen(p);
	} else if (!strncmp(p->node, "memory", 6) && p->depth == 1 && !strcmp(p->name, "reg")) {
		for (unsigned i = 0; i < p->bytes / 16 && boot.ram_count < BOOT_MAX_RAM; i++)
			boot.ram[boot.ram_count++] = (struct boot_ram){fdt_u64(p, 2 * i), fdt_u64(p, 2 * i + 1)};
	} else if (!strcmp(p->node, "psci") && !strcmp(p->name, "method")) {
		boot.psci_by_smc = !strcmp((const char *)p->value, "smc");
	} else if (!strcmp(p->name, "compatible")) {
		w->compatible = (const char *)p->value;
	} else if (!strcmp(p->name, "reg")) {
		w->reg_base = fdt_u64(p, 0);
		w->reg_bytes = fdt_u64(p, 1);
	} else if (!strcmp(p->name, "interrupts") && p->bytes >= 12) {
		w->line = fdt_u32(p, 1) + (fdt_u32(p, 0) == GIC_SPI ? GIC_FIRST_SPI : GIC_FIRST_PPI);
	}
	return true;
}

void boot_read(uint64_t kind, uintptr_t info)
{
	const void *fdt = (const void *)info;
	struct walk w = {.node = 0};

	(void)kind;
	boot.loader = "device tree";
	if (!fdt_is(fdt)) {
		fdt = (const void *)(uintptr_t)PLATFORM_RAM_BASE;
		if (!fdt_is(fdt))
			panic("boot: no device tree at %p (x0) nor at %p (start of RAM)", (const void *)info, fdt);
	}
	fdt_walk(fdt, property, &w);
	finish_node(&w);
	boot.initrd_bytes -= boot.initrd_bytes > boot.initrd_base ? boot.initrd_base : boot.initrd_bytes;
}
