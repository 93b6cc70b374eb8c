// SPDX-License-Identifier: MIT
/* The ACPI tables: checksums and links by our own eyes, form and meaning by iasl's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/x86_64/tables.h"

#define ROOM 0x20000u
#define GPA 0xe0000ull

static const struct tables_config small = {.cpus = 1};
static const struct tables_config big = {
	.cpus = 255,
	.mmio_slots = 13,
	.has_pci = true,
	.pci = {.ecam_base = LAYOUT_PCI_ECAM,
		.mmio32_base = LAYOUT_PCI_MMIO32,
		.mmio32_size = LAYOUT_PCI_MMIO32_SIZE,
		.mmio64_base = 0x1000000000ull,
		.mmio64_size = LAYOUT_PCI_MMIO64_SIZE,
		.intx_gsi = {16, 17, 18, 19},
		.has_ports = true},
};

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint8_t *build(const struct tables_config *c)
{
	uint8_t *memory = calloc(1, ROOM);
	uint64_t rsdp;

	assert_non_null(memory);
	assert_int_equal(tables_build(c, memory, ROOM, GPA, &rsdp), 0);
	assert_int_equal(rsdp, GPA);
	return memory;
}

/* The table with @signature that the XSDT, or the FADT, points to. */
static uint8_t *table(uint8_t *memory, const char *signature)
{
	uint8_t *xsdt = memory + (get64(memory + 24) - GPA);
	uint32_t count = (get32(xsdt + 4) - 36) / 8;

	for (uint32_t i = 0; i < count; i++) {
		uint8_t *t = memory + (get64(xsdt + 36 + 8 * i) - GPA);

		if (!memcmp(t, signature, 4))
			return t;
		if (!memcmp(t, "FACP", 4) && !strcmp(signature, "DSDT"))
			return memory + (get64(t + 140) - GPA);
		if (!memcmp(t, "FACP", 4) && !strcmp(signature, "FACS"))
			return memory + (get32(t + 36) - GPA);
	}
	return NULL;
}

static void check_tables(const struct tables_config *c)
{
	static const char *const names[] = {"FACP", "APIC", "MCFG", "DSDT"};
	uint8_t *memory = build(c);

	assert_memory_equal(memory, "RSD PTR ", 8);
	assert_int_equal(sum(memory, 20), 0);
	assert_int_equal(sum(memory, get32(memory + 20)), 0);
	assert_memory_equal(memory + (get64(memory + 24) - GPA), "XSDT", 4);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint8_t *t = table(memory, names[i]);

		if (!strcmp(names[i], "MCFG") && !c->has_pci) {
			assert_null(t);
			continue;
		}
		assert_non_null(t);
		assert_true(t + get32(t + 4) <= memory + ROOM);
		assert_int_equal(sum(t, get32(t + 4)), 0);
	}
	assert_memory_equal(table(memory, "FACS"), "FACS", 4);
	assert_int_equal((table(memory, "FACS") - memory) % 64, 0);
	free(memory);
}

static void tables_are_linked_and_summed(void **state)
{
	(void)state;
	check_tables(&small);
	check_tables(&big);
}

static void madt_lists_every_processor(void **state)
{
	uint8_t *memory = build(&big);
	uint8_t *madt = table(memory, "APIC"), *end = madt + get32(madt + 4);
	unsigned cpus = 0, ioapics = 0, overrides = 0, nmis = 0;

	(void)state;
	for (uint8_t *e = madt + 44; e < end; e += e[1]) {
		assert_true(e[1] >= 2 && e + e[1] <= end);
		switch (e[0]) {
		case 0:
			assert_int_equal(e[3], cpus);
			assert_int_equal(get32(e + 4), 1);
			cpus++;
			break;
		case 1:
			assert_int_equal(get32(e + 4), LAYOUT_IOAPIC);
			ioapics++;
			break;
		case 2:
			overrides++;
			break;
		case 4:
			nmis++;
			break;
		default:
			fail_msg("entry of type %u", e[0]);
		}
	}
	assert_int_equal(cpus, 255);
	assert_int_equal(ioapics, 1);
	assert_int_equal(overrides, 2);
	assert_int_equal(nmis, 1);
	free(memory);
}

static void too_little_room_is_an_error(void **state)
{
	uint8_t *memory = calloc(1, ROOM);
	uint64_t rsdp;

	(void)state;
	for (size_t room = 0; room < 4000; room += 499)
		assert_int_equal(tables_build(&big, memory, room, GPA, &rsdp), -ENOSPC);
	free(memory);
}

static void save(const char *dir, const char *name, const uint8_t *t)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.dat", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(t, 1, get32(t + 4), f), get32(t + 4));
	fclose(f);
}

/* Disassembled, and the DSDT assembled again (shorter: package lengths have several forms), without a warning. */
static void iasl_finds_nothing_wrong(void **state)
{
	static const char *const names[] = {"FACP", "APIC", "MCFG", "DSDT"};
	char dir[] = "/tmp/mullion-acpi-XXXXXX";
	char command[1024];
	uint8_t *memory;
	int result;

	(void)state;
	if (system("command -v iasl >/dev/null 2>&1")) {
		print_message("# SKIP iasl is missing (package acpica-tools)\n");
		skip();
	}
	assert_non_null(mkdtemp(dir));
	memory = build(&big);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		save(dir, names[i], table(memory, names[i]));
	save(dir, "FACS", table(memory, "FACS"));
	free(memory);
	snprintf(command, sizeof(command),
		 "cd %s && iasl -d *.dat >log 2>&1 && ! grep -iE 'warning|error|invalid|incorrect|unknown|overrun' log "
		 "*.dsl && "
		 "iasl -oa -p again DSDT.dsl >log2 2>&1 && grep -q ' 0 Errors, 0 Warnings' log2; r=$?; "
		 "[ $r = 0 ] || tail -n 20 log log2; exit $r",
		 dir);
	result = system(command);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		print_message("# %s stays\n", dir);
	assert_int_equal(result, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_linked_and_summed),
		cmocka_unit_test(madt_lists_every_processor),
		cmocka_unit_test(too_little_room_is_an_error),
		cmocka_unit_test(iasl_finds_nothing_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
