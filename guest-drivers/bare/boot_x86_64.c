// SPDX-License-Identifier: MIT
/* The two ways in on x86-64: a Linux boot_params page (mullion), or PVH's hvm_start_info (QEMU, others). */
#include <asm/bootparam.h>

#include "guest-drivers/bare/boot.h"
#include "guest-drivers/bare/platform.h"
#include "guest-drivers/bare/string.h"

#define E820_RAM 1u

/* The PVH boot contract (Xen's public/arch-x86/hvm/start_info.h describes it): version 1 adds the memory map. */
#define PVH_MAGIC 0x336ec578u

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t module_count;
	uint64_t modules;
	uint64_t command_line;
	uint64_t rsdp;
	uint64_t memory_map;
	uint32_t memory_map_count;
	uint32_t reserved;
};

struct pvh_module {
	uint64_t base;
	uint64_t bytes;
	uint64_t command_line;
	uint64_t reserved;
};

struct pvh_memory {
	uint64_t base;
	uint64_t bytes;
	uint32_t type;
	uint32_t reserved;
};

static void copy_command_line(uint64_t from)
{
	const char *s = (const char *)(uintptr_t)from;
	size_t n = 0;

	if (!from)
		return;
	for (; n < sizeof(boot.command_line) - 1 && s[n]; n++)
		boot.command_line[n] = s[n] == '\t' || s[n] == '\n' ? ' ' : s[n];
	boot.command_line[n] = '\0';
}

static void add_ram(uint64_t base, uint64_t bytes, uint32_t type)
{
	if (type != E820_RAM || boot.ram_count == BOOT_MAX_RAM)
		return;
	boot.ram[boot.ram_count++] = (struct boot_ram){base, bytes};
}

static void read_linux(const struct boot_params *p)
{
	boot.loader = "boot_params";
	for (unsigned i = 0; i < p->e820_entries && i < E820_MAX_ENTRIES_ZEROPAGE; i++)
		add_ram(p->e820_table[i].addr, p->e820_table[i].size, p->e820_table[i].type);
	boot.initrd_base = p->hdr.ramdisk_image | (uint64_t)p->ext_ramdisk_image << 32;
	boot.initrd_bytes = p->hdr.ramdisk_size | (uint64_t)p->ext_ramdisk_size << 32;
	copy_command_line(p->hdr.cmd_line_ptr | (uint64_t)p->ext_cmd_line_ptr << 32);
}

static void read_pvh(const struct pvh_start_info *p)
{
	if (p->magic != PVH_MAGIC)
		panic("boot: the PVH start information at %p has magic 0x%08x, not 0x%08x", (const void *)p, p->magic,
		      PVH_MAGIC);
	boot.loader = "PVH";
	if (p->version >= 1) {
		const struct pvh_memory *m = (const struct pvh_memory *)(uintptr_t)p->memory_map;

		for (uint32_t i = 0; i < p->memory_map_count; i++)
			add_ram(m[i].base, m[i].bytes, m[i].type);
	}
	if (p->module_count) {
		const struct pvh_module *m = (const struct pvh_module *)(uintptr_t)p->modules;

		boot.initrd_base = m->base;
		boot.initrd_bytes = m->bytes;
	}
	copy_command_line(p->command_line);
}

void boot_read(uint64_t kind, uintptr_t info)
{
	if (kind == BOOT_KIND_PVH)
		read_pvh((const struct pvh_start_info *)info);
	else
		read_linux((const struct boot_params *)info);
}
