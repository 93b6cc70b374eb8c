// SPDX-License-Identifier: MIT
/*
 * From arm kernels of each form to a guest that can start: what is loaded where, and what is said about files that can't
 * be started. Over plain memory, without KVM.
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
#include "tests/lib/arm64_images.h"
#include "vmm/arch.h"
#include "vmm/arm64/machine.h"
#include "vmm/image.h"
#include "vmm/vm.h"

#define MIB (1024ull * 1024)
#define PAGES_4K_ONLY 0x0f000000ull  /* ID_AA64MMFR0_EL1: no 64K, no 16K */
#define PAGES_16K_TOO 0x0f100000ull

/* All that booting asks of a machine. */
struct vm {
	struct vm_config config;
	struct guest_mem *mem;
	struct arch_vm arch;
	uint8_t *ram;
};

const struct vm_config *vm_get_config(const struct vm *vm)
{
	return &vm->config;
}

const struct guest_mem *vm_mem(const struct vm *vm)
{
	return vm->mem;
}

struct arch_vm *vm_arch(const struct vm *vm)
{
	return (struct arch_vm *)(uintptr_t)&vm->arch;
}

uint32_t pci_intx_gsi(const struct pci_layout *layout, unsigned slot, unsigned pin)
{
	(void)layout;
	(void)slot;
	(void)pin;
	fail();
	return 0;
}

/* test_boot has the ELF images; this build's elf.c is for another architecture. */
int elf_load(const struct image_file *f, const struct guest_mem *mem, struct image_loaded *out)
{
	(void)mem;
	(void)out;
	image_error(f, "ELF");
	return -ENOEXEC;
}

struct fixture {
	char dir[64], kernel[96], initrd[96];
	struct vm vm;
	struct boot_config boot;
	struct boot_entry entry;
	uint8_t file[0x10000];
	char said[1024];
};

static void make_memory(struct vm *vm, uint64_t bytes)
{
	struct guest_mem_region region = {.gpa = LAYOUT_LOW_RAM, .size_bytes = bytes, .fd = -1};

	vm->config.memory_bytes = bytes;
	vm->ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(vm->ram, MAP_FAILED);
	assert_int_equal(guest_mem_create(&vm->mem), 0);
	region.host = vm->ram;
	assert_int_equal(guest_mem_add(vm->mem, &region), 0);
}

static void drop_memory(struct vm *vm)
{
	guest_mem_destroy(vm->mem);
	munmap(vm->ram, vm->config.memory_bytes);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/mullion-boot-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->kernel, sizeof(f->kernel), "%s/kernel", f->dir);
	snprintf(f->initrd, sizeof(f->initrd), "%s/initrd", f->dir);
	f->vm.config.cpus = 1;
	f->vm.arch.gic.version = 3;
	f->vm.arch.page_sizes = PAGES_4K_ONLY;
	make_memory(&f->vm, 256 * MIB);
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
	assert_ptr_equal(strchr(f->said, '\n'), f->said + strlen(f->said) - 1);
	assert_true(strstr(f->said, f->dir) || strstr(f->said, "--"));
}

static uint8_t *at(struct fixture *f, uint64_t gpa)
{
	return f->vm.ram + (gpa - LAYOUT_LOW_RAM);
}

static void starts_at(struct fixture *f, uint64_t pc, const struct arm64_image *image)
{
	if (boot(f))
		fail_msg("%s", f->said);
	assert_int_equal(f->entry.pc, pc);
	assert_int_equal(f->entry.fdt, LAYOUT_FDT);
	assert_memory_equal(at(f, pc), image, sizeof(*image));
	assert_int_equal(fdt_check_full(at(f, LAYOUT_FDT), LAYOUT_FDT_BYTES), 0);
}

static void image_starts_at_its_offset(void **state)
{
	struct fixture *f = *state;
	struct arm64_image image = arm64_image_make();

	save(f->kernel, &image, sizeof(image));
	starts_at(f, LAYOUT_KERNEL, &image);
	image.text_offset = 0x80000;
	save(f->kernel, &image, sizeof(image));
	starts_at(f, LAYOUT_KERNEL + 0x80000, &image);
}

static void packed_images_start(void **state)
{
	static const char *const zboot[] = {NULL, "gzip", NULL, "zstd"};
	struct fixture *f = *state;
	struct arm64_image image = arm64_image_make();

	image.text_offset = 0x3000;
	for (int i = 0; i < 4; i++) {
		size_t n = arm64_image_pack(&image, i >= 2, zboot[i], f->file, sizeof(f->file));

		memset(at(f, LAYOUT_KERNEL), 0, 0x10000);
		save(f->kernel, f->file, n);
		starts_at(f, LAYOUT_KERNEL + 0x3000, &image);
		/* Cut anywhere: never started. */
		for (size_t cut = 80; cut < n; cut++) {
			save(f->kernel, f->file, cut);
			refused(f, "truncated or broken");
		}
	}
	/* What is packed must be a kernel. */
	memset(image.magic, 0, 4);
	save(f->kernel, f->file, arm64_image_pack(&image, 1, NULL, f->file, sizeof(f->file)));
	refused(f, "what it holds is no arm64 kernel");
	save(f->kernel, f->file, arm64_image_pack(&image, 1, "lzma\n", f->file, sizeof(f->file)));
	refused(f, "kernel packed by \"lzma?\"");
}

/* 1 GiB of zeroes in a few bytes: no more than the guest's memory is filled. */
static void packed_file_is_bounded_by_memory(void **state)
{
	struct fixture *f = *state;
	ZSTD_CStream *z = ZSTD_createCStream();
	static const uint8_t zeroes[1 << 17];
	ZSTD_outBuffer out = {.dst = f->file, .size = sizeof(f->file)};

	drop_memory(&f->vm);
	make_memory(&f->vm, 16 * MIB);
	for (unsigned i = 0; i < 256; i++) {
		ZSTD_inBuffer in = {.src = zeroes, .size = sizeof(zeroes)};

		assert_false(ZSTD_isError(ZSTD_compressStream2(z, &out, &in, i == 255 ? ZSTD_e_end : ZSTD_e_continue)));
		assert_int_equal(in.pos, in.size);
	}
	ZSTD_freeCStream(z);
	save(f->kernel, f->file, out.pos);
	refused(f, "doesn't fit the guest's memory");
}

static void kernel_must_suit_the_processor(void **state)
{
	struct fixture *f = *state;
	struct arm64_image image = arm64_image_make();

	image.flags = 2 << 1;
	save(f->kernel, &image, sizeof(image));
	refused(f, "kernel for 16K pages, which this processor does not have");
	f->vm.arch.page_sizes = PAGES_16K_TOO;
	starts_at(f, LAYOUT_KERNEL, &image);
	image.flags = 3 << 1;
	save(f->kernel, &image, sizeof(image));
	refused(f, "kernel for 64K pages");
	image.flags = 1;
	save(f->kernel, &image, sizeof(image));
	refused(f, "big-endian kernel");
}

static void broken_headers_are_refused(void **state)
{
	struct fixture *f = *state;
	struct arm64_image image = arm64_image_make();

	save(f->kernel, &image, 60);
	refused(f, "truncated kernel");
	image.text_offset = 0x123;
	save(f->kernel, &image, sizeof(image));
	refused(f, "broken kernel: text offset");
	image = arm64_image_make();
	image.image_size = UINT64_MAX - 100;
	save(f->kernel, &image, sizeof(image));
	refused(f, "broken kernel: image size");
	image.image_size = 512 * MIB;
	save(f->kernel, &image, sizeof(image));
	refused(f, "the kernel needs 515 MiB");
}

static void initrd_follows_the_kernel(void **state)
{
	struct fixture *f = *state;
	struct arm64_image image = arm64_image_make();
	int bytes;

	image.image_size = 0x123456;
	save(f->kernel, &image, sizeof(image));
	save(f->initrd, "disk", 4);
	f->boot.initrd = f->initrd;
	starts_at(f, LAYOUT_KERNEL, &image);
	assert_memory_equal(at(f, LAYOUT_KERNEL + 0x130000), "disk", 4);
	assert_non_null(fdt_getprop(at(f, LAYOUT_FDT), fdt_path_offset(at(f, LAYOUT_FDT), "/chosen"),
				    "linux,initrd-end", &bytes));
	assert_int_equal(bytes, 8);
}

static void zimage_starts_in_32_bit_mode(void **state)
{
	struct fixture *f = *state;

	zimage_make(f->file, 4096);
	save(f->kernel, f->file, 4096);
	save(f->initrd, "disk", 4);
	f->boot.initrd = f->initrd;
	refused(f, "32-bit Linux kernel: add --aarch32");
	f->vm.config.aarch32 = true;
	assert_int_equal(boot(f), 0);
	assert_true(f->entry.aarch32);
	assert_int_equal(f->entry.pc, LAYOUT_ZIMAGE);
	assert_memory_equal(at(f, LAYOUT_ZIMAGE), f->file, 4096);
	/* Out of the way of the kernel, which unpacks itself below. */
	assert_int_equal(f->entry.fdt, LAYOUT_LOW_RAM + 128 * MIB);
	assert_int_equal(fdt_check_full(at(f, f->entry.fdt), LAYOUT_FDT_BYTES), 0);
	assert_memory_equal(at(f, LAYOUT_INITRD32), "disk", 4);
	for (size_t n = 52; n < 4096; n += 97) {
		save(f->kernel, f->file, n);
		refused(f, "truncated or broken 32-bit kernel");
	}
	save(f->kernel, f->file, 4096);
	drop_memory(&f->vm);
	make_memory(&f->vm, 64 * MIB);
	refused(f, "a 32-bit kernel needs 130 MiB");
}

static void aarch32_takes_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct arm64_image image = arm64_image_make();

	f->vm.config.aarch32 = true;
	save(f->kernel, &image, sizeof(image));
	refused(f, "not a 32-bit Linux kernel");
	zimage_make(f->file, 4096);
	memset(f->file + 0x30, 0, 4);
	save(f->kernel, f->file, 4096);
	refused(f, "big-endian or very old");
}

static void kernels_of_x86_are_refused(void **state)
{
	struct fixture *f = *state;

	memcpy(f->file, "MZ", 2);
	memcpy(f->file + 0x1fe, "\x55\xaa\0\0HdrS", 8);
	save(f->kernel, f->file, 4096);
	refused(f, "x86 Linux kernel");
}

static void dump_holds_the_tree_with_its_overlays(void **state)
{
	struct fixture *f = *state;
	struct arm64_image image = arm64_image_make();
	const char *overlays[] = {f->initrd};
	char dumped[96];
	FILE *file;

	save(f->kernel, &image, sizeof(image));
	overlay_make(f->file, sizeof(f->file), NULL, "added");
	save(f->initrd, f->file, fdt_totalsize(f->file));
	snprintf(dumped, sizeof(dumped), "%s/dumped", f->dir);
	f->boot.fdt_overlays = overlays;
	f->boot.fdt_overlay_count = 1;
	f->boot.dump_fdt = dumped;
	assert_int_equal(boot(f), 0);
	file = fopen(dumped, "r");
	assert_non_null(file);
	assert_true(fread(f->file, 1, sizeof(f->file), file) > 1000);
	fclose(file);
	unlink(dumped);
	assert_int_equal(fdt_check_full(f->file, sizeof(f->file)), 0);
	assert_true(fdt_path_offset(f->file, "/added") > 0);
	f->boot.dump_fdt = "/nowhere/at/all";
	refused(f, "--dump-fdt /nowhere/at/all");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(image_starts_at_its_offset, setup, teardown),
		cmocka_unit_test_setup_teardown(packed_images_start, setup, teardown),
		cmocka_unit_test_setup_teardown(packed_file_is_bounded_by_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(kernel_must_suit_the_processor, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_headers_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(initrd_follows_the_kernel, setup, teardown),
		cmocka_unit_test_setup_teardown(zimage_starts_in_32_bit_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(aarch32_takes_nothing_else, setup, teardown),
		cmocka_unit_test_setup_teardown(kernels_of_x86_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(dump_holds_the_tree_with_its_overlays, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
