// SPDX-License-Identifier: MIT
/*
 * From image files to a guest that can start: what is loaded where, what the boot parameters say, and what is said
 * about files that can't be started. Over plain memory, without KVM.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/virtio/mem.h"
#include "tests/lib/images.h"
#include "vmm/arch.h"
#include "vmm/vm.h"

#define MIB (1024ull * 1024)
#define GIB (1024 * MIB)

/* All that booting asks of a machine. */
struct vm {
	struct vm_config config;
	struct guest_mem *mem;
	uint8_t *memory;
	uint64_t low_bytes;
};

const struct vm_config *vm_get_config(const struct vm *vm)
{
	return &vm->config;
}

const struct guest_mem *vm_mem(const struct vm *vm)
{
	return vm->mem;
}

/* These machines have no PCI bus. */
uint32_t pci_intx_gsi(const struct pci_layout *layout, unsigned slot, unsigned pin)
{
	(void)layout;
	(void)slot;
	(void)pin;
	fail();
	return 0;
}

struct fixture {
	char dir[64];
	char kernel[96], initrd[96];
	struct vm vm;
	struct boot_config boot;
	struct boot_entry entry;
	char said[1024]; /* on standard error by the last boot() */
};

static void make_memory(struct vm *vm, uint64_t bytes)
{
	struct guest_mem_region low = {.fd = -1};

	vm->config = (struct vm_config){.memory_bytes = bytes, .cpus = 2};
	vm->low_bytes = bytes < LAYOUT_LOW_RAM_END ? bytes : LAYOUT_LOW_RAM_END;
	vm->memory =
		mmap(NULL, vm->low_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(vm->memory, MAP_FAILED);
	assert_int_equal(guest_mem_create(&vm->mem), 0);
	low.size_bytes = vm->low_bytes;
	low.host = vm->memory;
	assert_int_equal(guest_mem_add(vm->mem, &low), 0);
}

static void drop_memory(struct vm *vm)
{
	guest_mem_destroy(vm->mem);
	munmap(vm->memory, vm->low_bytes);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/mullion-boot-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->kernel, sizeof(f->kernel), "%s/kernel", f->dir);
	snprintf(f->initrd, sizeof(f->initrd), "%s/initrd", f->dir);
	make_memory(&f->vm, 128 * MIB);
	f->boot = (struct boot_config){.kernel = f->kernel, .append = ""};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->kernel);
	unlink(f->initrd);
	rmdir(f->dir);
	drop_memory(&f->vm);
	free(f);
	return 0;
}

static void save(const char *path, const void *bytes, size_t n)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, n, file), n);
	fclose(file);
}

static int boot(struct fixture *f)
{
	int to = memfd_create("said", 0), kept = dup(STDERR_FILENO), result;
	ssize_t n;

	dup2(to, STDERR_FILENO);
	result = arch_boot(&f->vm, &f->boot, &f->entry);
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	n = pread(to, f->said, sizeof(f->said) - 1, 0);
	f->said[n > 0 ? n : 0] = '\0';
	close(to);
	close(kept);
	return result;
}

static void refused(struct fixture *f, const char *says)
{
	assert_true(boot(f) < 0);
	if (!strstr(f->said, says))
		fail_msg("expected \"%s\", got: %s", says, f->said);
	/* One line, which names the file or the option. */
	assert_ptr_equal(strchr(f->said, '\n'), f->said + strlen(f->said) - 1);
	assert_true(strstr(f->said, f->dir) || strstr(f->said, "--"));
}

static struct boot_params *params(struct fixture *f)
{
	return (struct boot_params *)(f->vm.memory + f->entry.rsi);
}

/* ---- flat images ---- */

static const uint8_t code[] = {0xf4, 0xeb, 0xfd, 0x90};

static void flat_image_starts_at_1_mib(void **state)
{
	struct fixture *f = *state;

	save(f->kernel, code, sizeof(code));
	f->boot.append = "one two";
	f->boot.mmio_slots = 2;
	assert_int_equal(boot(f), 0);
	assert_int_equal(f->entry.rip, 0x100000);
	assert_memory_equal(f->vm.memory + 0x100000, code, sizeof(code));
	assert_int_equal(params(f)->hdr.boot_flag, 0xaa55);
	assert_string_equal((char *)f->vm.memory + params(f)->hdr.cmd_line_ptr,
			    "one two virtio_mmio.device=4K@0xe8000000:5 virtio_mmio.device=4K@0xe8001000:6");
	assert_memory_equal(f->vm.memory + params(f)->acpi_rsdp_addr, "RSD PTR ", 8);
	assert_int_equal(params(f)->hdr.ramdisk_size, 0);
}

/* The tables that the processor starts with map each of the low 4 GiB onto itself. */
static void page_tables_are_an_identity_map(void **state)
{
	struct fixture *f = *state;

	save(f->kernel, code, sizeof(code));
	assert_int_equal(boot(f), 0);
	for (uint64_t address = 0; address < 4 * GIB; address += 2 * MIB + 4096 * 3) {
		uint64_t table = LAYOUT_PAGE_TABLES, e = 0;

		for (unsigned level = 4; level >= 2; level--) {
			memcpy(&e, f->vm.memory + table + 8 * ((address >> (12 + 9 * (level - 1))) & 511), sizeof(e));
			assert_int_equal(e & 3, 3);
			table = e & 0xffffffffff000;
		}
		assert_true(e & 0x80);
		assert_int_equal(table, address & ~(2 * MIB - 1));
	}
}

static void initrd_lies_at_the_top(void **state)
{
	struct fixture *f = *state;
	uint8_t *bytes = malloc(10000);

	memset(bytes, 0xa5, 10000);
	save(f->kernel, code, sizeof(code));
	save(f->initrd, bytes, 10000);
	f->boot.initrd = f->initrd;
	assert_int_equal(boot(f), 0);
	assert_int_equal(params(f)->hdr.ramdisk_size, 10000);
	assert_int_equal(params(f)->hdr.ramdisk_image, 128 * MIB - 3 * 4096);
	assert_memory_equal(f->vm.memory + params(f)->hdr.ramdisk_image, bytes, 10000);
	free(bytes);
	/* One that doesn't fit. */
	assert_int_equal(truncate(f->initrd, 128 * MIB), 0);
	refused(f, "doesn't fit above the kernel");
	unlink(f->initrd);
	refused(f, "can't open the initrd");
}

static void memory_map_leaves_the_holes_out(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint64_t bytes, last_start, last_end;
	} cases[] = {
		{128 * MIB, 0, 128 * MIB},
		{3 * GIB, 0, 3 * GIB},
		{3 * GIB + 2 * MIB, 4 * GIB, 4 * GIB + 2 * MIB},
		{8 * GIB, 4 * GIB, 9 * GIB},
	};

	save(f->kernel, code, sizeof(code));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t usable = 0, end = 0, last_start = 0, last_end = 0;
		struct boot_params *p;

		drop_memory(&f->vm);
		make_memory(&f->vm, cases[i].bytes);
		assert_int_equal(boot(f), 0);
		p = params(f);
		for (unsigned k = 0; k < p->e820_entries; k++) {
			struct boot_e820_entry e = p->e820_table[k];

			assert_true(e.addr >= end);
			end = e.addr + e.size;
			assert_true(end <= LAYOUT_LOW_RAM_END || e.addr >= 4 * GIB || e.type != 1);
			if (e.type != 1)
				continue;
			usable += e.size;
			last_start = e.addr;
			last_end = end;
		}
		assert_true(usable > cases[i].bytes - MIB && usable <= cases[i].bytes);
		assert_int_equal(last_end, cases[i].last_end);
		if (cases[i].last_start)
			assert_int_equal(last_start, cases[i].last_start);
	}
}

static void command_line_has_a_limit(void **state)
{
	struct fixture *f = *state;
	char *line = malloc(70000);

	memset(line, 'a', 70000);
	line[69999] = '\0';
	save(f->kernel, code, sizeof(code));
	f->boot.append = line;
	refused(f, "--append: 69999 bytes");
	/* What just fits is taken, but not with what is added to it. */
	line[65535] = '\0';
	assert_int_equal(boot(f), 0);
	f->boot.mmio_slots = 1;
	refused(f, "--append");
	free(line);
}

static void other_files_are_told_apart(void **state)
{
	struct fixture *f = *state;
	static const struct {
		size_t offset;
		const char *magic;
		size_t n;
		const char *says;
	} cases[] = {
		{0x38, "ARMd", 4, "arm64 Linux kernel"},
		{0x24, "\x18\x28\x6f\x01", 4, "32-bit ARM Linux kernel"},
		{4, "zimg", 4, "EFI zboot kernel"},
		{0, "\xd0\x0d\xfe\xed", 4, "device tree"},
		{0, "MZ", 2, "EFI program"},
		{0, "\x1f\x8b", 2, "gzip"},
		{0, "070701", 6, "cpio archive"},
		{0x438, "\x53\xef", 2, "file system"},
		{0x1fe, "\x55\xaa", 2, "boot sector"},
		{0, "QFI\xfb", 4, "qcow2"},
	};
	uint8_t image[4096];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(image, 0, sizeof(image));
		memcpy(image + cases[i].offset, cases[i].magic, cases[i].n);
		save(f->kernel, image, sizeof(image));
		refused(f, cases[i].says);
	}
	save(f->kernel, "#!/bin/sh\necho\n", 15);
	refused(f, "text file");
	save(f->kernel, "", 0);
	refused(f, "is empty");
	unlink(f->kernel);
	refused(f, "can't open the kernel");
	f->boot.kernel = f->dir;
	refused(f, "must be a regular file");
}

/* ---- ELF ---- */

static void elf_segments_go_to_their_addresses(void **state)
{
	struct fixture *f = *state;
	struct elf_image e = elf_make();

	save(f->kernel, &e, sizeof(e));
	assert_int_equal(boot(f), 0);
	assert_int_equal(f->entry.rip, 0x200010);
	assert_memory_equal(f->vm.memory + 0x200000, e.bytes, 32);
	assert_int_equal(f->vm.memory[0x200020], 0);
	assert_memory_equal(f->vm.memory + 0x300000, e.bytes + 32, 32);
}

static void broken_elf_is_refused(void **state)
{
	struct fixture *f = *state;
	struct elf_image e;

#define BREAK(field, value, says)                                                                                      \
	do {                                                                                                           \
		e = elf_make();                                                                                        \
		e.field = (value);                                                                                     \
		save(f->kernel, &e, sizeof(e));                                                                        \
		refused(f, says);                                                                                      \
	} while (0)
	BREAK(h.e_machine, EM_AARCH64, "another processor");
	BREAK(h.e_ident[EI_CLASS], ELFCLASS32, "another processor");
	BREAK(h.e_type, ET_DYN, "-no-pie");
	BREAK(h.e_phnum, 0, "broken ELF header");
	BREAK(h.e_phnum, 65000, "broken ELF header");
	BREAK(h.e_phentsize, 8, "broken ELF header");
	BREAK(h.e_phoff, UINT64_MAX - 8, "broken ELF header");
	BREAK(h.e_phoff, 4090, "broken ELF header");
	BREAK(h.e_entry, 0x400000, "entry point");
	BREAK(p[0].p_filesz, 5000, "truncated or broken ELF segment");
	BREAK(p[0].p_offset, UINT64_MAX, "truncated or broken ELF segment");
	BREAK(p[1].p_offset, sizeof(e) - 8, "truncated or broken ELF segment");
	BREAK(p[0].p_paddr, 0x8000, "below 0x100000");
	BREAK(p[0].p_paddr, 128 * MIB - 4095, "--memory");
	BREAK(p[0].p_paddr, UINT64_MAX - 100, "--memory");
	BREAK(p[0].p_memsz, UINT64_MAX, "--memory");
	BREAK(p[1].p_paddr, 0x200fff, "overlap");
#undef BREAK
	e = elf_make();
	save(f->kernel, &e, 40);
	refused(f, "truncated ELF");
}

/* ---- bzImage ---- */

static void bzimage_is_entered_in_64_bit_mode(void **state)
{
	struct fixture *f = *state;
	struct bzimage b;

	bzimage_make(&b);
	save(f->kernel, &b, sizeof(b));
	save(f->initrd, code, sizeof(code));
	f->boot.initrd = f->initrd;
	f->boot.append = "console=ttyS0";
	f->boot.mmio_slots = 2;
	assert_int_equal(boot(f), 0);
	assert_int_equal(f->entry.rip, 0x1000200);
	assert_memory_equal(f->vm.memory + 0x1000000, b.kernel, KERNEL_BYTES);
	assert_int_equal(params(f)->hdr.type_of_loader, 0xff);
	assert_int_equal(params(f)->hdr.version, 0x020f);
	assert_int_equal(params(f)->hdr.ramdisk_size, sizeof(code));
	assert_true(params(f)->hdr.ramdisk_image >= 0x3000000);
	/* Linux learns of virtio-mmio from ACPI alone. */
	assert_string_equal((char *)f->vm.memory + params(f)->hdr.cmd_line_ptr, "console=ttyS0");
	/* An initrd stays below the kernel's limit. */
	bzimage_header(&b)->initrd_addr_max = 0x4ffffff;
	save(f->kernel, &b, sizeof(b));
	assert_int_equal(boot(f), 0);
	assert_int_equal(params(f)->hdr.ramdisk_image, 0x4fff000);
}

static void broken_bzimage_is_refused(void **state)
{
	struct fixture *f = *state;
	struct bzimage b;

#define BREAK(field, value, says)                                                                                      \
	do {                                                                                                           \
		bzimage_make(&b);                                                                                      \
		bzimage_header(&b)->field = (value);                                                                   \
		save(f->kernel, &b, sizeof(b));                                                                        \
		refused(f, says);                                                                                      \
	} while (0)
	BREAK(version, 0x0206, "boot protocol 2.06");
	BREAK(xloadflags, 0, "32-bit Linux kernel");
	BREAK(loadflags, 0, "32-bit Linux kernel");
	BREAK(syssize, 0, "truncated");
	BREAK(syssize, UINT32_MAX, "truncated");
	BREAK(setup_sects, 200, "truncated");
	BREAK(pref_address, 0x1000, "broken Linux kernel header");
	BREAK(pref_address, 0x1000001, "broken Linux kernel header");
	BREAK(pref_address, UINT64_MAX & ~4095ull, "broken Linux kernel header");
	BREAK(init_size, 16, "broken Linux kernel header");
	BREAK(init_size, 0xfffff000, "more with --memory");
	BREAK(pref_address, 127 * MIB, "more with --memory");
#undef BREAK
	/* Cut off anywhere, it is never started. */
	bzimage_make(&b);
	for (size_t n = 0x210; n < sizeof(b); n += 731) {
		save(f->kernel, &b, n);
		assert_true(boot(f) < 0);
	}
	bzimage_make(&b);
	save(f->kernel, &b, sizeof(b));
	f->boot.append = calloc(1, 3000);
	memset((char *)f->boot.append, 'a', 2048);
	refused(f, "takes 2047 at most");
	free((char *)f->boot.append);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(flat_image_starts_at_1_mib, setup, teardown),
		cmocka_unit_test_setup_teardown(page_tables_are_an_identity_map, setup, teardown),
		cmocka_unit_test_setup_teardown(initrd_lies_at_the_top, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_map_leaves_the_holes_out, setup, teardown),
		cmocka_unit_test_setup_teardown(command_line_has_a_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(other_files_are_told_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(elf_segments_go_to_their_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_elf_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(bzimage_is_entered_in_64_bit_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_bzimage_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
