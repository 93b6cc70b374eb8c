// SPDX-License-Identifier: MIT
/* From an image file to a guest that can take its first step. */
#include <asm/bootparam.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/log.h"
#include "host/virtio/mem.h"
#include "vmm/arch.h"
#include "vmm/image.h"
#include "vmm/vm.h"
#include "vmm/x86_64/bzimage.h"
#include "vmm/x86_64/tables.h"

#define PAGE 4096ull
#define MIB (1024ull * 1024)
#define PTE_PRESENT_WRITE 3ull
#define PTE_LARGE (1ull << 7)

enum e820_type { E820_USABLE = 1, E820_RESERVED = 2 };

/* ---- what is this file? ---- */

static bool has(const struct image_file *f, size_t offset, const char *magic, size_t n)
{
	return f->size_bytes >= offset + n && !memcmp(f->head + offset, magic, n);
}

static int load_flat(const struct image_file *f, const struct guest_mem *mem, struct image_loaded *out)
{
	int err = image_check_flat(f);

	if (err)
		return err;
	err = image_file_read(f, 0, f->size_bytes, mem, LAYOUT_KERNEL);
	*out = (struct image_loaded){
		.entry = LAYOUT_KERNEL,
		.end = LAYOUT_KERNEL + f->size_bytes,
		.initrd_max = LAYOUT_LOW_RAM_END - 1,
		.cmdline_max = LAYOUT_CMDLINE_BYTES - 1,
	};
	return err;
}

static int load_kernel(const struct boot_config *c, const struct guest_mem *mem, struct boot_params *params,
		       bool *is_linux, struct image_loaded *out)
{
	struct image_file f;
	int err = image_file_open("kernel", c->kernel, &f);

	if (err)
		return err;
	*is_linux = has(&f, 0x202, "HdrS", 4) && has(&f, 0x1fe, "\x55\xaa", 2);
	if (has(&f, 0,
		"\x7f"
		"ELF",
		4))
		err = elf_load(&f, mem, out);
	else if (*is_linux)
		err = bzimage_load(&f, mem, params, out);
	else
		err = load_flat(&f, mem, out);
	image_file_close(&f);
	return err;
}

/* ---- what goes with it ---- */

/* As high as the kernel allows: it unpacks itself and builds its first tables low. */
static int load_initrd(const struct boot_config *c, const struct vm *vm, const struct image_loaded *kernel,
		       struct boot_params *params)
{
	const struct guest_mem_region *low = guest_mem_find(vm_mem(vm), 0);
	uint64_t top = low->size_bytes;
	uint64_t at;
	struct image_file f;
	int err;

	if (!c->initrd)
		return 0;
	err = image_file_open("initrd", c->initrd, &f);
	if (err)
		return err;
	if (kernel->initrd_max < top)
		top = kernel->initrd_max + 1;
	if (f.size_bytes > top || (at = (top - f.size_bytes) & ~(PAGE - 1)) < kernel->end) {
		image_error(&f, "initrd of %llu MiB doesn't fit above the kernel: more with --memory",
			    (unsigned long long)(f.size_bytes / MIB) + 1);
		err = -ENOMEM;
	} else {
		err = image_file_read(&f, 0, f.size_bytes, vm_mem(vm), at);
		params->hdr.ramdisk_image = (uint32_t)at;
		params->hdr.ramdisk_size = (uint32_t)f.size_bytes;
	}
	image_file_close(&f);
	return err;
}

/* Bare guests learn of virtio-mmio devices here, as Linux does where it has no ACPI. */
static int write_cmdline(const struct boot_config *c, const struct guest_mem *mem, bool is_linux,
			 const struct image_loaded *kernel, struct boot_params *params)
{
	char *line = guest_mem_range(mem, LAYOUT_CMDLINE, LAYOUT_CMDLINE_BYTES);
	size_t n = strlen(c->append);

	if (!line)
		return -ENOMEM;
	for (unsigned slot = 0; n <= kernel->cmdline_max; slot++) {
		uint64_t base;
		uint32_t gsi;

		if (!slot)
			memcpy(line, c->append, n + 1);
		if (is_linux || slot >= c->mmio_slots || !arch_mmio_slot(slot, &base, &gsi))
			break;
		n += (size_t)snprintf(line + n, LAYOUT_CMDLINE_BYTES - n, "%svirtio_mmio.device=4K@0x%llx:%u",
				      n ? " " : "", (unsigned long long)base, gsi);
	}
	if (n > kernel->cmdline_max) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "--append: %zu bytes, but this kernel takes %llu at most", n,
			 (unsigned long long)kernel->cmdline_max);
		return -EINVAL;
	}
	params->hdr.cmd_line_ptr = (uint32_t)LAYOUT_CMDLINE;
	return 0;
}

static void add_e820(struct boot_params *params, uint64_t start, uint64_t end, enum e820_type type)
{
	if (start < end)
		params->e820_table[params->e820_entries++] =
			(struct boot_e820_entry){.addr = start, .size = end - start, .type = (uint32_t)type};
}

static void write_e820(const struct vm_config *config, struct boot_params *params)
{
	uint64_t bytes = config->memory_bytes;

	add_e820(params, 0, LAYOUT_EBDA, E820_USABLE);
	add_e820(params, LAYOUT_EBDA, 0xa0000, E820_RESERVED);
	add_e820(params, LAYOUT_ACPI, LAYOUT_ACPI + LAYOUT_ACPI_SIZE, E820_RESERVED);
	add_e820(params, LAYOUT_KERNEL, bytes < LAYOUT_LOW_RAM_END ? bytes : LAYOUT_LOW_RAM_END, E820_USABLE);
	/* Linux trusts the MCFG table only where the range is reserved. */
	add_e820(params, LAYOUT_PCI_ECAM, LAYOUT_PCI_ECAM + LAYOUT_PCI_ECAM_SIZE, E820_RESERVED);
	if (bytes > LAYOUT_LOW_RAM_END)
		add_e820(params, LAYOUT_HIGH_RAM, LAYOUT_HIGH_RAM + bytes - LAYOUT_LOW_RAM_END, E820_USABLE);
}

/* Identity map of the low 4 GiB in 2 MiB pages, and the descriptors that the segment registers already hold. */
static int write_cpu_tables(const struct guest_mem *mem)
{
	static const uint64_t gdt[] = {
		0,
		0,
		0x00af9b000000ffffull, /* 0x10: 64-bit code */
		0x00cf93000000ffffull, /* 0x18: data */
		0x00008b0000000067ull,
		0, /* 0x20: task, of two slots */
	};
	uint64_t *table = guest_mem_range(mem, LAYOUT_PAGE_TABLES, 6 * PAGE);
	uint8_t *descriptors = guest_mem_range(mem, LAYOUT_GDT, sizeof(gdt));

	_Static_assert(sizeof(gdt) == LAYOUT_GDT_BYTES, "vcpu.c sets the limit");
	if (!table || !descriptors)
		return -ENOMEM;
	memcpy(descriptors, gdt, sizeof(gdt));
	table[0] = (LAYOUT_PAGE_TABLES + PAGE) | PTE_PRESENT_WRITE;
	for (unsigned i = 0; i < 4; i++)
		table[512 + i] = (LAYOUT_PAGE_TABLES + (2 + i) * PAGE) | PTE_PRESENT_WRITE;
	for (uint64_t i = 0; i < 4 * 512; i++)
		table[1024 + i] = i << 21 | PTE_PRESENT_WRITE | PTE_LARGE;
	return 0;
}

static int write_acpi(const struct boot_config *c, const struct vm *vm, struct boot_params *params)
{
	struct tables_config config = {
		.cpus = vm_get_config(vm)->cpus,
		.mmio_slots = c->mmio_slots,
		.has_pci = c->has_pci,
		.pci = c->pci,
	};
	void *to = guest_mem_range(vm_mem(vm), LAYOUT_ACPI, LAYOUT_ACPI_SIZE);
	uint64_t rsdp;
	int err = to ? tables_build(&config, to, LAYOUT_ACPI_SIZE, LAYOUT_ACPI, &rsdp) : -ENOMEM;

	if (!err)
		params->acpi_rsdp_addr = rsdp;
	return err;
}

int arch_boot(struct vm *vm, const struct boot_config *c, struct boot_entry *out)
{
	const struct guest_mem *mem = vm_mem(vm);
	struct boot_params *params = guest_mem_range(mem, LAYOUT_BOOT_PARAMS, sizeof(*params));
	struct image_loaded kernel;
	bool is_linux;
	int err;

	if (!params)
		return -ENOMEM;
	params->hdr.boot_flag = 0xaa55;
	memcpy(&params->hdr.header, "HdrS", 4);
	err = load_kernel(c, mem, params, &is_linux, &kernel);
	if (!err)
		err = load_initrd(c, vm, &kernel, params);
	if (!err)
		err = write_cmdline(c, mem, is_linux, &kernel, params);
	if (!err)
		err = write_cpu_tables(mem);
	if (!err)
		err = write_acpi(c, vm, params);
	if (err)
		return err;
	write_e820(vm_get_config(vm), params);
	out->rip = kernel.entry;
	out->rsi = LAYOUT_BOOT_PARAMS;
	return 0;
}
