/* SPDX-License-Identifier: MIT */
/*
 * Small kernel images that boot.c accepts, for tests to start from and to break.
 */
#ifndef MULLION_TESTS_LIB_IMAGES_H
#define MULLION_TESTS_LIB_IMAGES_H

#include <asm/bootparam.h>
#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Two segments, at 2 MiB (with 32 bytes of the file and zeroes) and at 3 MiB; entered at 0x200010. */
struct elf_image {
	Elf64_Ehdr h;
	Elf64_Phdr p[2];
	uint8_t bytes[64];
};

static inline struct elf_image elf_make(void)
{
	struct elf_image e = {
		.h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		      .e_type = ET_EXEC,
		      .e_machine = EM_X86_64,
		      .e_version = EV_CURRENT,
		      .e_entry = 0x200010,
		      .e_phoff = sizeof(Elf64_Ehdr),
		      .e_ehsize = sizeof(Elf64_Ehdr),
		      .e_phentsize = sizeof(Elf64_Phdr),
		      .e_phnum = 2},
		.p = {{.p_type = PT_LOAD,
		       .p_offset = offsetof(struct elf_image, bytes),
		       .p_paddr = 0x200000,
		       .p_filesz = 32,
		       .p_memsz = 4096},
		      {.p_type = PT_LOAD,
		       .p_offset = offsetof(struct elf_image, bytes) + 32,
		       .p_paddr = 0x300000,
		       .p_filesz = 32,
		       .p_memsz = 32}},
	};

	for (size_t i = 0; i < sizeof(e.bytes); i++)
		e.bytes[i] = (uint8_t)(i + 1);
	return e;
}

/* A Linux kernel for 16 MiB that needs 32 MiB to unpack itself; its code is 0x5c bytes. */
#define SETUP_SECTS 3u
#define KERNEL_BYTES 8192u

struct bzimage {
	uint8_t setup[(SETUP_SECTS + 1) * 512];
	uint8_t kernel[KERNEL_BYTES];
};

static inline struct setup_header *bzimage_header(struct bzimage *b)
{
	return (struct setup_header *)(b->setup + 0x1f1);
}

static inline void bzimage_make(struct bzimage *b)
{
	struct setup_header *h = bzimage_header(b);

	memset(b, 0, sizeof(*b));
	memset(b->kernel, 0x5c, sizeof(b->kernel));
	h->setup_sects = SETUP_SECTS;
	h->boot_flag = 0xaa55;
	memcpy(&h->header, "HdrS", 4);
	h->jump = 0x6aeb; /* the header ends at 0x202 + 0x6a */
	h->version = 0x020f;
	h->loadflags = LOADED_HIGH;
	h->xloadflags = XLF_KERNEL_64;
	h->syssize = KERNEL_BYTES / 16;
	h->pref_address = 0x1000000;
	h->init_size = 0x2000000;
	h->initrd_addr_max = 0x7fffffff;
	h->cmdline_size = 2047;
	h->relocatable_kernel = 1;
}

#endif
