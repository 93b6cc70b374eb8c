// SPDX-License-Identifier: MIT
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "host/virtio/mem.h"
#include "vmm/arch.h"
#include "vmm/image.h"

#define MAX_SEGMENTS 64u

static int check_header(const struct image_file *f, const Elf64_Ehdr *h)
{
	if (f->size_bytes < sizeof(*h)) {
		image_error(f, "truncated ELF file (%llu bytes)", (unsigned long long)f->size_bytes);
		return -ENOEXEC;
	}
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != LAYOUT_ELF_MACHINE) {
		image_error(
			f,
			"ELF file for another processor (machine %u, class %u): this mullion runs 64-bit " ARCH_NAME " images",
			h->e_machine, h->e_ident[EI_CLASS]);
		return -ENOEXEC;
	}
	if (h->e_type != ET_EXEC) {
		image_error(f,
			    "ELF file of type %u, not an executable with fixed addresses: link it with -static -no-pie",
			    h->e_type);
		return -ENOEXEC;
	}
	if (!h->e_phnum || h->e_phnum > MAX_SEGMENTS || h->e_phentsize != sizeof(Elf64_Phdr) ||
	    h->e_phoff < sizeof(*h) || h->e_phoff > IMAGE_HEAD_BYTES - h->e_phnum * sizeof(Elf64_Phdr)) {
		image_error(f, "broken ELF header (%u program headers of %u bytes at 0x%llx)", h->e_phnum,
			    h->e_phentsize, (unsigned long long)h->e_phoff);
		return -ENOEXEC;
	}
	return 0;
}

static int load_segment(const struct image_file *f, const struct guest_mem *mem, const Elf64_Phdr *p)
{
	uint8_t *at;

	if (p->p_filesz > p->p_memsz || p->p_offset > f->size_bytes || p->p_filesz > f->size_bytes - p->p_offset) {
		image_error(f, "truncated or broken ELF segment (%llu bytes at 0x%llx of a file of %llu)",
			    (unsigned long long)p->p_filesz, (unsigned long long)p->p_offset,
			    (unsigned long long)f->size_bytes);
		return -ENOEXEC;
	}
	if (p->p_paddr < LAYOUT_KERNEL) {
		image_error(f, "ELF segment at 0x%llx: below 0x%llx is mullion's; link it there or above",
			    (unsigned long long)p->p_paddr, (unsigned long long)LAYOUT_KERNEL);
		return -ENOEXEC;
	}
	at = p->p_paddr < LAYOUT_LOW_RAM_END ? guest_mem_range(mem, p->p_paddr, p->p_memsz) : NULL;
	if (!at) {
		image_error(f,
			    "ELF segment of %llu bytes at 0x%llx doesn't fit the guest's memory: more with --memory?",
			    (unsigned long long)p->p_memsz, (unsigned long long)p->p_paddr);
		return -ENOMEM;
	}
	/* What follows the file's bytes (.bss) is zero already: fresh guest memory, and segments don't overlap. */
	return p->p_filesz ? image_file_read(f, p->p_offset, p->p_filesz, mem, p->p_paddr) : 0;
}

int elf_load(const struct image_file *f, const struct guest_mem *mem, struct image_loaded *out)
{
	Elf64_Ehdr h;
	Elf64_Phdr p[MAX_SEGMENTS];
	uint64_t end = 0;
	bool has_entry = false;
	int err;

	memcpy(&h, f->head, sizeof(h));
	err = check_header(f, &h);
	if (err)
		return err;
	memcpy(p, f->head + h.e_phoff, h.e_phnum * sizeof(*p));
	for (unsigned i = 0; i < h.e_phnum; i++) {
		if (p[i].p_type != PT_LOAD || !p[i].p_memsz)
			continue;
		err = load_segment(f, mem, &p[i]);
		if (err)
			return err;
		for (unsigned k = 0; k < i; k++) {
			if (p[k].p_type != PT_LOAD || !p[k].p_memsz || p[i].p_paddr >= p[k].p_paddr + p[k].p_memsz ||
			    p[k].p_paddr >= p[i].p_paddr + p[i].p_memsz)
				continue;
			image_error(f, "ELF segments %u and %u overlap in memory", k, i);
			return -ENOEXEC;
		}
		if (p[i].p_paddr + p[i].p_memsz > end)
			end = p[i].p_paddr + p[i].p_memsz;
		if (h.e_entry >= p[i].p_paddr && h.e_entry - p[i].p_paddr < p[i].p_memsz)
			has_entry = true;
	}
	if (!has_entry) {
		image_error(f, "ELF entry point 0x%llx lies in no loaded segment (physical addresses count)",
			    (unsigned long long)h.e_entry);
		return -ENOEXEC;
	}
	*out = (struct image_loaded){
		.entry = h.e_entry,
		.end = end,
		.initrd_max = LAYOUT_LOW_RAM_END - 1,
		.cmdline_max = LAYOUT_CMDLINE_BYTES - 1,
	};
	return 0;
}
