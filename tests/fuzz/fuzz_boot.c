// SPDX-License-Identifier: MIT
/*
 * Kernel images: any file is refused, or leaves a guest whose entry point, command line, initrd and memory map make sense.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/virtio/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/images.h"
#include "vmm/arch.h"
#include "vmm/vm.h"

#define RAM_BYTES (64ull << 20)
#define INITRD_BYTES 5000

const unsigned fuzz_runs = 20000;

struct vm {
	struct vm_config config;
	struct guest_mem *mem;
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

uint32_t pci_intx_gsi(const struct pci_layout *layout, unsigned slot, unsigned pin)
{
	return layout->intx_gsi[(slot + pin) % 4];
}

static void check(bool ok)
{
	if (!ok)
		abort();
}

static struct vm *machine(void)
{
	static struct vm vm = {.config = {.memory_bytes = RAM_BYTES, .cpus = 2}};
	struct guest_mem_region low = {.size_bytes = RAM_BYTES, .fd = -1};

	if (vm.ram) {
		check(!madvise(vm.ram, RAM_BYTES, MADV_DONTNEED));
		return &vm;
	}
	vm.ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(vm.ram != MAP_FAILED && !guest_mem_create(&vm.mem));
	low.host = vm.ram;
	check(!guest_mem_add(vm.mem, &low));
	return &vm;
}

/* A file with @size bytes of @data; returns its descriptor and path. */
static int file(const uint8_t *data, size_t size, char path[32])
{
	int fd = memfd_create("image", 0);

	check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

/* Sanitizers report to it even while standard error is closed to lines about broken images. */
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
	static const uint8_t initrd[INITRD_BYTES];
	char kernel_path[32], initrd_path[32];
	int kernel = file(data, size, kernel_path), disk = file(initrd, sizeof(initrd), initrd_path);
	struct boot_config config = {
		.kernel = kernel_path, .initrd = initrd_path, .append = "console=ttyS0", .mmio_slots = 1};
	struct vm *vm = machine();
	struct boot_entry entry;

	if (!boot(vm, &config, &entry)) {
		const struct boot_params *p = guest_mem_range(vm->mem, entry.rsi, sizeof(*p));

		check(p && entry.rip >= LAYOUT_KERNEL && entry.rip < RAM_BYTES);
		check(p->hdr.ramdisk_size == INITRD_BYTES && p->hdr.ramdisk_image >= LAYOUT_KERNEL);
		check(p->hdr.ramdisk_image <= RAM_BYTES - INITRD_BYTES);
		check(p->e820_entries >= 3 && !memcmp(vm->ram + LAYOUT_CMDLINE, config.append, strlen(config.append)));
		check(!memcmp(vm->ram + p->acpi_rsdp_addr, "RSD PTR ", 8));
	}
	close(kernel);
	close(disk);
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *buf, size_t cap)
{
	struct elf_image elf = elf_make();
	struct bzimage linux_image;

	bzimage_make(&linux_image);
	if (index == 0 && cap >= sizeof(elf)) {
		memcpy(buf, &elf, sizeof(elf));
		return sizeof(elf);
	}
	if (index == 1 && cap >= sizeof(linux_image)) {
		memcpy(buf, &linux_image, sizeof(linux_image));
		return sizeof(linux_image);
	}
	if (index == 2) {
		memcpy(buf, "\xf4\xeb\xfd\x90", 4);
		return 4;
	}
	return 0;
}
