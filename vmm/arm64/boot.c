// SPDX-License-Identifier: MIT
/* From an image file to a guest that can take its first step. */
#include <errno.h>
#include <fcntl.h>
#include <libfdt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/virtio/mem.h"
#include "vmm/arch.h"
#include "vmm/arm64/fdt.h"
#include "vmm/arm64/kernel.h"
#include "vmm/arm64/machine.h"
#include "vmm/arm64/zimage.h"
#include "vmm/image.h"
#include "vmm/vm.h"

#define MIB (1024ull * 1024)
#define INITRD_ALIGNMENT 0x10000ull /* of the largest pages */

static int load_flat(const struct image_file *f, const struct guest_mem *mem, struct image_loaded *out)
{
	int err = image_check_flat(f);

	if (err)
		return err;
	*out = (struct image_loaded){
		.entry = LAYOUT_KERNEL,
		.end = LAYOUT_KERNEL + f->size_bytes,
		.initrd_max = LAYOUT_LOW_RAM_END - 1,
		.cmdline_max = LAYOUT_CMDLINE_BYTES - 1,
	};
	return image_file_read(f, 0, f->size_bytes, mem, LAYOUT_KERNEL);
}

static int load_kernel64(const struct image_file *f, const struct vm *vm, struct image_loaded *out)
{
	if (zimage_is(f)) {
		image_error(f, "32-bit Linux kernel: add --aarch32");
		return -ENOEXEC;
	}
	if (!memcmp(f->head, "\x7f" "ELF", 4))
		return elf_load(f, vm_mem(vm), out);
	if (kernel_is(f))
		return kernel_load(f, vm_mem(vm), vm_arch(vm)->page_sizes, out);
	return load_flat(f, vm_mem(vm), out);
}

static int load_kernel(const struct boot_config *c, const struct vm *vm, struct image_loaded *out)
{
	struct image_file f;
	int err = image_file_open("kernel", c->kernel, &f);

	if (err)
		return err;
	if (!vm_get_config(vm)->aarch32) {
		err = load_kernel64(&f, vm, out);
	} else if (zimage_is(&f)) {
		err = zimage_load(&f, vm_mem(vm), out);
	} else {
		image_error(&f, "not a 32-bit Linux kernel (zImage); without --aarch32 64-bit ones start");
		err = -ENOEXEC;
	}
	image_file_close(&f);
	return err;
}

/* Next above the kernel: a 64-bit one maps no more than 32 GiB around itself for it. */
static int load_initrd(const struct boot_config *c, const struct vm *vm, const struct image_loaded *kernel,
		       struct fdt_config *fdt)
{
	uint64_t at = (kernel->end + INITRD_ALIGNMENT - 1) & ~(INITRD_ALIGNMENT - 1);
	struct image_file f;
	int err;

	if (!c->initrd)
		return 0;
	err = image_file_open("initrd", c->initrd, &f);
	if (err)
		return err;
	if (!guest_mem_range(vm_mem(vm), at, f.size_bytes)) {
		image_error(&f, "initrd of %llu MiB doesn't fit above the kernel: more with --memory",
			    (unsigned long long)(f.size_bytes / MIB) + 1);
		err = -ENOMEM;
	} else if (at + f.size_bytes - 1 > kernel->initrd_max) {
		image_error(&f, "initrd of %llu MiB: this kernel takes %llu MiB at most",
			    (unsigned long long)(f.size_bytes / MIB) + 1,
			    (unsigned long long)((kernel->initrd_max + 1 - at) / MIB));
		err = -EFBIG;
	} else {
		err = image_file_read(&f, 0, f.size_bytes, vm_mem(vm), at);
		fdt->initrd = at;
		fdt->initrd_bytes = f.size_bytes;
	}
	image_file_close(&f);
	return err;
}

static int dump(const char *path, const void *fdt)
{
	size_t bytes = fdt_totalsize(fdt);
	FILE *f = fopen(path, "we");
	bool ok = f && fwrite(fdt, 1, bytes, f) == bytes;
	int err = errno;

	if (f && fclose(f) && ok) {
		ok = false;
		err = errno;
	}
	if (ok)
		return 0;
	log_line(LOG_TOPIC_VMM, LOG_ERROR, "--dump-fdt %s: %s", path, strerror(err));
	return err ? -err : -EIO;
}

/* Overlays come last: they may change what the machine says, memory and command line included. */
static int make_fdt(const struct boot_config *c, const struct fdt_config *config, void *to)
{
	int err = c->fdt ? fdt_load(config, c->fdt, to, LAYOUT_FDT_BYTES) : fdt_build(config, to, LAYOUT_FDT_BYTES);

	if (err && !c->fdt)
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "the device tree of %u CPUs doesn't fit", config->cpus);
	for (unsigned i = 0; !err && i < c->fdt_overlay_count; i++)
		err = fdt_add_overlay(c->fdt_overlays[i], to, LAYOUT_FDT_BYTES);
	if (!err)
		(void)fdt_pack(to);
	return err;
}

int arch_boot(struct vm *vm, const struct boot_config *c, struct boot_entry *out)
{
	const struct vm_config *config = vm_get_config(vm);
	const struct arch_vm *a = vm_arch(vm);
	struct fdt_config fdt = {
		.memory_bytes = config->memory_bytes,
		.cpus = config->cpus,
		.mpidr = a->mpidr,
		.gic_version = a->gic.version,
		.has_its = a->gic.has_its,
		.has_pmu = a->has_pmu,
		.aarch32 = config->aarch32,
		.mmio_slots = c->mmio_slots,
		.has_pci = c->has_pci,
		.pci = c->pci,
		.append = c->append,
	};
	struct image_loaded kernel;
	void *to;
	int err = load_kernel(c, vm, &kernel);

	if (!err)
		err = load_initrd(c, vm, &kernel, &fdt);
	if (err)
		return err;
	if (strlen(c->append) > kernel.cmdline_max) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "--append: %zu bytes, but this kernel takes %llu at most",
			 strlen(c->append), (unsigned long long)kernel.cmdline_max);
		return -EINVAL;
	}
	if (getrandom(fdt.seed, sizeof(fdt.seed), 0) != (ssize_t)sizeof(fdt.seed))
		memset(fdt.seed, 0, sizeof(fdt.seed));
	*out = (struct boot_entry){
		.pc = kernel.entry,
		.fdt = config->aarch32 ? LAYOUT_FDT32 : LAYOUT_FDT,
		.aarch32 = config->aarch32,
	};
	to = guest_mem_range(vm_mem(vm), out->fdt, LAYOUT_FDT_BYTES);
	err = to ? make_fdt(c, &fdt, to) : -ENOMEM;
	if (!err && c->dump_fdt)
		err = dump(c->dump_fdt, to);
	return err;
}
