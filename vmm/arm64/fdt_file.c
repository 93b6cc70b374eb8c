// SPDX-License-Identifier: MIT
/* Devicetree specification 0.4, chapter 5; overlays: Linux's Documentation/devicetree/overlay-notes.rst. */
#include <errno.h>
#include <libfdt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/arm64/fdt.h"
#include "vmm/arm64/layout.h"
#include "vmm/image.h"

#define KIB 1024u
#define MIN_VERSION 16u

/* From end to end; 0 or libfdt's error. */
static int check(const void *fdt, size_t bytes)
{
	if (bytes < sizeof(struct fdt_header))
		return -FDT_ERR_TRUNCATED;
	if (fdt_magic(fdt) != FDT_MAGIC)
		return -FDT_ERR_BADMAGIC;
	/* Of older ones, which nobody has made for long, libfdt's check may crash. */
	if (fdt_version(fdt) < MIN_VERSION)
		return -FDT_ERR_BADVERSION;
	return fdt_check_full(fdt, bytes);
}

/* The whole file, checked from end to end, for the caller to free. */
static int take(const char *what, const char *path, size_t most, struct image_file *f, void **out)
{
	int err = image_file_open(what, path, f);
	void *fdt;

	if (err)
		return err;
	if (f->size_bytes > most) {
		image_error(f, "%s of %llu KiB: at most %zu KiB are possible", what,
			    (unsigned long long)(f->size_bytes / KIB), most / KIB);
		return -EFBIG;
	}
	fdt = malloc((size_t)f->size_bytes);
	err = fdt ? image_file_copy(f, 0, f->size_bytes, fdt) : -ENOMEM;
	if (!err) {
		int wrong = check(fdt, (size_t)f->size_bytes);

		if (wrong) {
			image_error(f, "no %s, or a broken one (libfdt: %s); dtc makes it of its source", what,
				    fdt_strerror(wrong));
			err = -EINVAL;
		}
	}
	if (err)
		free(fdt);
	else
		*out = fdt;
	return err;
}

/* ---- a tree of the user's own ---- */

static bool is_memory(const void *fdt, int node)
{
	int n;
	const char *type = fdt_getprop(fdt, node, "device_type", &n);

	return type && n == sizeof("memory") && !memcmp(type, "memory", sizeof("memory"));
}

static int set_memory(const struct fdt_config *c, void *fdt)
{
	char name[32];
	int node, err;

	for (node = fdt_first_subnode(fdt, 0); node >= 0;) {
		if (!is_memory(fdt, node)) {
			node = fdt_next_subnode(fdt, node);
			continue;
		}
		err = fdt_del_node(fdt, node);
		if (err)
			return err;
		node = fdt_first_subnode(fdt, 0);
	}
	snprintf(name, sizeof(name), "memory@%llx", LAYOUT_LOW_RAM);
	node = fdt_add_subnode(fdt, 0, name);
	if (node < 0)
		return node;
	/* It takes the tree's own numbers of cells; what doesn't fit into them is an error. */
	err = fdt_appendprop_addrrange(fdt, 0, node, "reg", LAYOUT_LOW_RAM, c->memory_bytes);
	return err ? err : fdt_setprop_string(fdt, node, "device_type", "memory");
}

static int set_chosen(const struct fdt_config *c, void *fdt)
{
	int node = fdt_path_offset(fdt, "/chosen"), err = 0;

	if (node == -FDT_ERR_NOTFOUND)
		node = fdt_add_subnode(fdt, 0, "chosen");
	if (node < 0)
		return node;
	if (*c->append)
		err = fdt_setprop(fdt, node, "bootargs", c->append, (int)strlen(c->append) + 1);
	if (c->initrd_bytes) {
		if (!err)
			err = fdt_setprop_u64(fdt, node, "linux,initrd-start", c->initrd);
		if (!err)
			err = fdt_setprop_u64(fdt, node, "linux,initrd-end", c->initrd + c->initrd_bytes);
	} else {
		/* One of an earlier start would point at nothing. */
		(void)fdt_delprop(fdt, node, "linux,initrd-start");
		(void)fdt_delprop(fdt, node, "linux,initrd-end");
	}
	if (!err)
		err = fdt_setprop(fdt, node, "kaslr-seed", c->seed, 8);
	return err ? err : fdt_setprop(fdt, node, "rng-seed", c->seed + 8, (int)sizeof(c->seed) - 8);
}

int fdt_load(const struct fdt_config *c, const char *path, void *to, size_t room)
{
	struct image_file f;
	void *fdt = NULL;
	int err = take("device tree", path, room, &f, &fdt), wrong;

	if (err)
		goto out;
	wrong = fdt_open_into(fdt, to, (int)room);
	if (!wrong)
		wrong = set_memory(c, to);
	if (!wrong)
		wrong = set_chosen(c, to);
	if (wrong == -FDT_ERR_NOSPACE) {
		image_error(&f, "the device tree leaves no room for the command line within %zu KiB", room / KIB);
		err = -ENOSPC;
	} else if (wrong) {
		image_error(&f, "the device tree can't take this machine's memory and /chosen (libfdt: %s)",
			    fdt_strerror(wrong));
		err = -EINVAL;
	}
out:
	free(fdt);
	image_file_close(&f);
	return err;
}

/* ---- overlays ---- */

/* Any tree may be taken for an overlay that changes nothing. */
static bool is_overlay(const void *fdt)
{
	int node;

	fdt_for_each_subnode (node, fdt, 0)
		if (fdt_subnode_offset(fdt, node, "__overlay__") >= 0)
			return true;
	return false;
}

int fdt_add_overlay(const char *path, void *fdt, size_t room)
{
	struct image_file f;
	void *overlay = NULL;
	int err = take("device tree overlay", path, room, &f, &overlay), wrong;

	if (err)
		goto out;
	if (!is_overlay(overlay)) {
		image_error(&f, "a device tree, but no overlay: --fdt takes it in place of mullion's");
		err = -EINVAL;
		goto out;
	}
	wrong = fdt_open_into(fdt, fdt, (int)room);
	/* It changes both, and leaves neither to be used after an error. */
	if (!wrong)
		wrong = fdt_overlay_apply(fdt, overlay);
	if (wrong == -FDT_ERR_NOSPACE) {
		image_error(&f, "the device tree with this overlay is larger than %zu KiB", room / KIB);
		err = -ENOSPC;
	} else if (wrong == -FDT_ERR_NOTFOUND) {
		image_error(&f, "the overlay names a node or label that the device tree lacks (dtc -@ keeps labels); "
				"--dump-fdt shows the tree");
		err = -EINVAL;
	} else if (wrong) {
		image_error(&f, "the overlay can't be added (libfdt: %s)", fdt_strerror(wrong));
		err = -EINVAL;
	}
out:
	free(overlay);
	image_file_close(&f);
	return err;
}
