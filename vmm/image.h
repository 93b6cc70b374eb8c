/* SPDX-License-Identifier: MIT */
/*
 * A kernel image on its way into guest memory. The file is untrusted: every number in it is checked before use, and
 * what is wrong is said in one line that names the file. Thread: main, before the guest runs.
 */
#ifndef MULLION_VMM_IMAGE_H
#define MULLION_VMM_IMAGE_H

#include <stddef.h>
#include <stdint.h>

struct guest_mem;

#define IMAGE_HEAD_BYTES 4096u

struct image_file {
	const char *path;
	int fd;
	uint64_t size_bytes;
	uint8_t head[IMAGE_HEAD_BYTES]; /* the first bytes, zeroes after a shorter file's end */
};

/* Where the image ended up. */
struct image_loaded {
	uint64_t entry;
	uint64_t end;	      /* first byte above what the image needs */
	uint64_t initrd_max;  /* last address an initrd may use */
	uint64_t cmdline_max; /* most bytes of a command line, without its end */
};

/* Open @path for reading; -errno after a line. @what: "kernel", "initrd", "device tree". */
int image_file_open(const char *what, const char *path, struct image_file *out);
void image_file_close(struct image_file *f);

/* Read [offset, offset + bytes) of the file to @gpa. All of it, or a line and a negative errno. */
int image_file_read(const struct image_file *f, uint64_t offset, uint64_t bytes, const struct guest_mem *mem,
		    uint64_t gpa);

/* The same to memory of ours. */
int image_file_copy(const struct image_file *f, uint64_t offset, uint64_t bytes, void *to);

/* Refuse, with a line, what is passed by mistake and would run as garbage if it were taken for a flat image. */
int image_check_flat(const struct image_file *f);

/* One line "PATH: ..." */
void image_error(const struct image_file *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ELF64 executable: segments at their physical addresses, LAYOUT_KERNEL and up. */
int elf_load(const struct image_file *f, const struct guest_mem *mem, struct image_loaded *out);

#endif
