// SPDX-License-Identifier: MIT
#include "vmm/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
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

int image_file_read(const struct image_file *f, uint64_t offset, uint64_t bytes, const struct guest_mem *mem,
		    uint64_t gpa)
{
	void *to = guest_mem_range(mem, gpa, bytes);
	ssize_t got;

	if (!to) {
		image_error(f, "%llu bytes at 0x%llx don't fit the guest's memory: more with --memory?",
			    (unsigned long long)bytes, (unsigned long long)gpa);
		return -ENOMEM;
	}
	got = read_at(f->fd, to, bytes, offset);
	if (got < 0 || (uint64_t)got < bytes) {
		image_error(f, "can't read %llu bytes at %llu: %s", (unsigned long long)bytes,
			    (unsigned long long)offset, got < 0 ? strerror((int)-got) : "the file became shorter");
		return got < 0 ? (int)got : -EIO;
	}
	return 0;
}
