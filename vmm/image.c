// SPDX-License-Identifier: MIT
#include "vmm/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/virtio/mem.h"

void image_error(const struct image_file *f, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_line(LOG_TOPIC_VMM, LOG_ERROR, "%s: %s", f->path, text);
}

/* Up to @n bytes; less only at the end of the file. */
static ssize_t read_at(int fd, void *to, size_t n, uint64_t offset)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(fd, (uint8_t *)to + done, n - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int image_file_open(const char *what, const char *path, struct image_file *out)
{
	struct stat st;
	ssize_t got;
	int err;

	memset(out, 0, sizeof(*out));
	out->path = path;
	out->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (out->fd < 0) {
		err = -errno;
		image_error(out, "can't open the %s: %s%s", what, strerror(-err),
			    err == -ENOENT ? "; check the path"
			    : err == -EACCES
				    ? "; Debian's kernels and initrds may be readable by root only (chmod a+r a copy)"
				    : "");
		return err;
	}
	if (fstat(out->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		image_error(out, "the %s must be a regular file", what);
		err = -EINVAL;
		goto fail;
	}
	if (!st.st_size) {
		image_error(out, "the %s is empty", what);
		err = -ENOEXEC;
		goto fail;
	}
	out->size_bytes = (uint64_t)st.st_size;
	got = read_at(out->fd, out->head, sizeof(out->head), 0);
	if (got < 0) {
		err = (int)got;
		image_error(out, "can't read the %s: %s", what, strerror(-err));
		goto fail;
	}
	return 0;
fail:
	image_file_close(out);
	return err;
}

void image_file_close(struct image_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

int image_file_copy(const struct image_file *f, uint64_t offset, uint64_t bytes, void *to)
{
	ssize_t got = read_at(f->fd, to, bytes, offset);

	if (got < 0 || (uint64_t)got < bytes) {
		image_error(f, "can't read %llu bytes at %llu: %s", (unsigned long long)bytes,
			    (unsigned long long)offset, got < 0 ? strerror((int)-got) : "the file became shorter");
		return got < 0 ? (int)got : -EIO;
	}
	return 0;
}

int image_file_read(const struct image_file *f, uint64_t offset, uint64_t bytes, const struct guest_mem *mem,
		    uint64_t gpa)
{
	void *to = guest_mem_range(mem, gpa, bytes);

	if (!to) {
		image_error(f, "%llu bytes at 0x%llx don't fit the guest's memory: more with --memory?",
			    (unsigned long long)bytes, (unsigned long long)gpa);
		return -ENOMEM;
	}
	return image_file_copy(f, offset, bytes, to);
}

/* ---- what is this file? ---- */

/* Kernels come first: each architecture looks for its own before. */
static const struct {
	size_t offset;
	const char *magic;
	size_t bytes;
	const char *advice;
} mistakes[] = {
	{0x202, "HdrS", 4, "x86 Linux kernel: an arm64 guest needs the arm64 one"},
	{0x38, "ARMd", 4, "arm64 Linux kernel: an x86-64 guest needs the amd64 one"},
	{0x24, "\x18\x28\x6f\x01", 4, "32-bit ARM Linux kernel: mullion runs it on an arm64 host, with --aarch32"},
	{4, "zimg", 4, "EFI zboot kernel, of arm64 most likely: an x86-64 guest needs the amd64 vmlinuz"},
	{0, "MZ", 2, "EFI program without a Linux header: give a Linux kernel, an ELF or a flat image"},
	{0, "\x1f\x8b", 2, "gzip file: an initrd goes with --initrd; unpack a kernel first"},
	{0, "\xfd" "7zXZ", 5, "xz file: an initrd goes with --initrd; unpack a kernel first"},
	{0, "\x28\xb5\x2f\xfd", 4, "zstd file: an initrd goes with --initrd; unpack a kernel first"},
	{0, "0707", 4, "cpio archive: give it with --initrd, and a kernel with --kernel"},
	{0, "!<arch>", 7, "archive (.deb or .a): give the vmlinuz out of it"},
	{0, "QFI\xfb", 4, "qcow2 disk image: --kernel wants a kernel; --disk takes raw images"},
	{0, "hsqs", 4, "squashfs image: give it with --disk, and a kernel with --kernel"},
	{0, "\xd0\x0d\xfe\xed", 4, "device tree: --fdt or --fdt-overlay takes it, on arm64"},
	{0x438, "\x53\xef", 2, "file system image: give it with --disk, and a kernel with --kernel"},
	{0x1fe, "\x55\xaa", 2, "boot sector or disk image: give it with --disk, and a kernel with --kernel"},
};

static bool is_text(const struct image_file *f)
{
	size_t n = f->size_bytes < 256 ? (size_t)f->size_bytes : 256;

	for (size_t i = 0; i < n; i++)
		if (f->head[i] != '\n' && f->head[i] != '\r' && f->head[i] != '\t' &&
		    (f->head[i] < ' ' || f->head[i] > '~'))
			return false;
	return true;
}

int image_check_flat(const struct image_file *f)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		if (f->size_bytes >= mistakes[i].offset + mistakes[i].bytes &&
		    !memcmp(f->head + mistakes[i].offset, mistakes[i].magic, mistakes[i].bytes)) {
			image_error(f, "%s", mistakes[i].advice);
			return -ENOEXEC;
		}
	}
	if (!is_text(f))
		return 0;
	image_error(f, "text file: --kernel wants a Linux vmlinuz, an ELF or a flat image");
	return -ENOEXEC;
}
