// SPDX-License-Identifier: MIT
/*
 * arm64's kernel images, device trees and overlays: any file is refused, or leaves a guest whose entry point and device
 * tree make sense. The first byte says what the rest of the input is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/virtio/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/arm64_images.h"
#include "vmm/arch.h"
#include "vmm/arm64/machine.h"
#include "vmm/image.h"
#include "vmm/vm.h"

#define RAM_BYTES (192ull << 20)

enum { KERNEL, KERNEL32, TREE, OVERLAY, KINDS };

const unsigned fuzz_runs = 10000;

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
	return layout->intx_gsi[(slot + pin) % 4];
}

/* fuzz_boot has the ELF images. */
int elf_load(const struct image_file *f, const struct guest_mem *mem, struct image_loaded *out)
{
	(void)f;
	(void)mem;
	(void)out;
	return -ENOEXEC;
}

static void check(bool ok)
{
	if (!ok)
		abort();
}

static struct vm *machine(void)
{
	static struct vm vm = {.config = {.memory_bytes = RAM_BYTES, .cpus = 2}, .arch = {.gic = {.version = 3}}};
	struct guest_mem_region ram = {.gpa = LAYOUT_LOW_RAM, .size_bytes = RAM_BYTES, .fd = -1};

	if (vm.ram) {
		check(!madvise(vm.ram, RAM_BYTES, MADV_DONTNEED));
		return &vm;
	}
	vm.ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(vm.ram != MAP_FAILED && !guest_mem_create(&vm.mem));
	ram.host = vm.ram;
	check(!guest_mem_add(vm.mem, &ram));
	return &vm;
}

static int file(const void *data, size_t size, char path[32])
{
	int fd = memfd_create("file", 0);

	check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

/* Sanitizers report to it even while standard error is closed to lines about broken files. */
void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

static int boot(struct vm *vm, const struct boot_config *config, struct boot_entry *entry)
{
	static int kept = -1, nowhere = -1;
	int err;

	if (kept < 0) {
		kept = dup(STDERR_FILENO);
		nowhere = open("/dev/null", O_WRONLY);
		check(kept >= 0 && nowhere >= 0);
		if (__sanitizer_set_report_fd)
			__sanitizer_set_report_fd((void *)(intptr_t)kept);
	}
	dup2(nowhere, STDERR_FILENO);
	err = arch_boot(vm, config, entry);
	dup2(kept, STDERR_FILENO);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t initrd[5000];
	const struct arm64_image good = arm64_image_make();
	unsigned kind = size ? data[0] % KINDS : KERNEL;
	char input_path[32], kernel_path[32], initrd_path[32];
	const char *overlays[] = {input_path};
	int input = file(data + !!size, size - !!size, input_path), kernel = file(&good, sizeof(good), kernel_path);
	int disk = file(initrd, sizeof(initrd), initrd_path);
	struct boot_config config = {
		.kernel = kind <= KERNEL32 ? input_path : kernel_path,
		.initrd = initrd_path,
		.append = "console=ttyAMA0",
		.mmio_slots = 1,
		.fdt = kind == TREE ? input_path : NULL,
		.fdt_overlays = overlays,
		.fdt_overlay_count = kind == OVERLAY,
	};
	struct vm *vm = machine();
	struct boot_entry entry;

	vm->config.aarch32 = kind == KERNEL32;
	if (!boot(vm, &config, &entry)) {
		const uint8_t *fdt = guest_mem_range(vm->mem, entry.fdt, LAYOUT_FDT_BYTES);

		check(fdt && entry.pc >= LAYOUT_KERNEL && entry.pc < LAYOUT_LOW_RAM + RAM_BYTES);
		check(entry.aarch32 == (kind == KERNEL32));
		/* Of what an overlay changed only the frame is certain. */
		check(!fdt_check_header(fdt) && fdt_totalsize(fdt) <= LAYOUT_FDT_BYTES);
		check(kind == OVERLAY || !fdt_check_full(fdt, LAYOUT_FDT_BYTES));
	}
	close(input);
	close(kernel);
	close(disk);
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *to, size_t cap)
{
	static _Alignas(8) uint8_t buf[4095];
	struct arm64_image image = arm64_image_make();
	size_t n;

	if (index >= 10 || cap < 4096)
		return 0;
	to[0] = index == 5 ? KERNEL32 : index < 5 ? KERNEL : index < 8 ? TREE : OVERLAY;
	switch (index) {
	case 0:
		n = sizeof(image);
		memcpy(buf, &image, n);
		break;
	case 1:
	case 2:
		n = arm64_image_pack(&image, index == 2, NULL, buf, sizeof(buf));
		break;
	case 3:
	case 4:
		n = arm64_image_pack(&image, index == 4, index == 4 ? "zstd" : "gzip", buf, sizeof(buf));
		break;
	case 5:
		n = 512;
		zimage_make(buf, 512);
		break;
	case 6:
	case 7:
		tree_make(buf, (int)sizeof(buf), index - 5);
		n = fdt_totalsize(buf);
		break;
	default:
		overlay_make(buf, (int)sizeof(buf), index == 8 ? NULL : "gic", "text");
		n = fdt_totalsize(buf);
		break;
	}
	memcpy(to + 1, buf, n);
	return 1 + n;
}
