/* SPDX-License-Identifier: MIT */
/* What the loader told us: command line, RAM, initial RAM disk. Filled before main() and constant after. */
#ifndef MULLION_BARE_BOOT_H
#define MULLION_BARE_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOT_COMMAND_LINE_BYTES 2048
#define BOOT_MAX_RAM 16

struct boot_ram {
	uint64_t base;
	uint64_t bytes;
};

struct boot_info {
	const char *loader; /* which boot contract was used, for messages */
	char command_line[BOOT_COMMAND_LINE_BYTES];
	struct boot_ram ram[BOOT_MAX_RAM];
	unsigned ram_count;
	uint64_t initrd_base;
	uint64_t initrd_bytes;
	bool psci_by_smc;  /* arm64: firmware is called by SMC, not HVC */
	uint64_t pci_ecam; /* arm64: configuration space of PCI bus 0, 0 when there is none */
	uint64_t pvpanic;  /* arm64: the register that takes panics, 0 when there is none */
};

extern struct boot_info boot;

/*
 * The value of the @index-th option "@name=value" on the command line, copied to @out and cut to fit.
 * Returns false when there is none; an option without "=" has an empty value.
 */
bool boot_option(const char *name, unsigned index, char *out, size_t bytes);

/* The first such option as a number (decimal, or hexadecimal after 0x), or @fallback. */
uint64_t boot_option_number(const char *name, uint64_t fallback);

/* Read a number and move *@text behind it: decimal, or hexadecimal after 0x; a K, M or G after it counts. */
uint64_t boot_parse_number(const char **text);

/* The start code's calls: fill `boot` from what the loader handed over. @kind is one of BOOT_KIND_*. */
#define BOOT_KIND_LINUX 0 /* x86-64: struct boot_params */
#define BOOT_KIND_PVH 1	  /* x86-64: struct hvm_start_info */
#define BOOT_KIND_FDT 2	  /* arm64 */
_Noreturn void boot_start(uint64_t kind, uintptr_t info);
void boot_read(uint64_t kind, uintptr_t info);

#endif
