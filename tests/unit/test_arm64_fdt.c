// SPDX-License-Identifier: MIT
/* The device tree of an arm64 guest: ours for each kind of machine, the user's own, and overlays, good and broken. */
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

#include "tests/lib/arm64_images.h"
#include "vmm/arm64/fdt.h"
#include "vmm/arm64/layout.h"
#include "vmm/arm64/space.h"

#define GIB (1ull << 30)
#define ROOM 0x80000u

/* As the bus has it. */
uint32_t pci_intx_gsi(const struct pci_layout *layout, unsigned slot, unsigned pin)
{
	return layout->intx_gsi[(slot + pin) % 4];
}

struct fixture {
	uint64_t mpidr[ARCH_MAX_CPUS];
	struct fdt_config config;
	uint8_t fdt[ROOM];
	uint8_t file[8192];
	char dir[64], path[96];
	char said[1024];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	for (unsigned i = 0; i < ARCH_MAX_CPUS; i++)
		f->mpidr[i] = (i / 16) << 8 | i % 16;
	f->config = (struct fdt_config){
		.memory_bytes = 512ull << 20,
		.cpus = 2,
		.mpidr = f->mpidr,
		.gic_version = 3,
		.has_its = true,
		.has_pmu = true,
		.has_pci = true,
		.pci = {.ecam_base = LAYOUT_PCI_ECAM,
			.mmio32_base = LAYOUT_PCI_MMIO32,
			.mmio32_size = LAYOUT_PCI_MMIO32_SIZE,
			.mmio64_base = 0x800000000,
			.mmio64_size = 0x800000000,
			.intx_gsi = {3, 4, 5, 6}},
		.append = "",
	};
	strcpy(f->dir, "/tmp/mullion-fdt-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/file", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void build(struct fixture *f)
{
	assert_int_equal(fdt_build(&f->config, f->fdt, ROOM), 0);
	assert_int_equal(fdt_check_full(f->fdt, ROOM), 0);
}

static int node(struct fixture *f, const char *path)
{
	int at = fdt_path_offset(f->fdt, path);

	if (at < 0)
		fail_msg("no %s: %s", path, fdt_strerror(at));
	return at;
}

static void has_cells(struct fixture *f, const char *path, const char *name, const uint32_t *want, size_t n)
{
	int bytes;
	const fdt32_t *p = fdt_getprop(f->fdt, node(f, path), name, &bytes);

	assert_non_null(p);
	assert_int_equal(bytes, n * 4);
	for (size_t i = 0; i < n; i++)
		if (fdt32_ld(&p[i]) != want[i])
			fail_msg("%s %s: cell %zu is 0x%x, not 0x%x", path, name, i, fdt32_ld(&p[i]), want[i]);
}
#define CELLS(f, path, name, ...)                                                           \
	do {                                                                                \
		const uint32_t cells_[] = {__VA_ARGS__};                                    \
		has_cells((f), (path), (name), cells_, sizeof(cells_) / sizeof(cells_[0])); \
	} while (0)

static const char *text(struct fixture *f, const char *path, const char *name)
{
	const char *s = fdt_getprop(f->fdt, node(f, path), name, NULL);

	assert_non_null(s);
	return s;
}

/* ---- ours ---- */

static void gicv3_with_its(void **state)
{
	struct fixture *f = *state;

	build(f);
	CELLS(f, "/memory@40000000", "reg", 0, 0x40000000, 0, 0x20000000);
	CELLS(f, "/cpus/cpu@1", "reg", 0, 1);
	CELLS(f, "/interrupt-controller@8000000", "reg", 0, 0x8000000, 0, 0x10000, 0, 0x80a0000, 0, 0x40000);
	assert_string_equal(text(f, "/interrupt-controller@8000000/msi-controller@8080000", "compatible"),
			    "arm,gic-v3-its");
	assert_string_equal(text(f, "/pmu", "compatible"), "arm,armv8-pmuv3");
	CELLS(f, "/gpio-keys/power-button", "linux,code", 116);
	assert_non_null(fdt_getprop(f->fdt, node(f, "/pcie@3f000000"), "msi-map", NULL));
	/* Every label that overlays may use leads somewhere. */
	for (int at = fdt_first_property_offset(f->fdt, node(f, "/__symbols__")); at >= 0;
	     at = fdt_next_property_offset(f->fdt, at))
		node(f, fdt_getprop_by_offset(f->fdt, at, NULL, NULL));
}

static void redistributors_of_many_cpus_have_two_regions(void **state)
{
	struct fixture *f = *state;

	f->config.cpus = 130;
	build(f);
	CELLS(f, "/interrupt-controller@8000000", "#redistributor-regions", 2);
	CELLS(f, "/interrupt-controller@8000000", "reg", 0, 0x8000000, 0, 0x10000, 0, 0x80a0000, 0, 123 * 0x20000, 0,
	      0xc000000, 0, 7 * 0x20000);
	f->config.cpus = ARCH_MAX_CPUS;
	build(f);
}

static void gicv2_has_a_message_frame(void **state)
{
	struct fixture *f = *state;

	f->config.gic_version = 2;
	f->config.has_its = f->config.has_pmu = false;
	build(f);
	assert_string_equal(text(f, "/interrupt-controller@8000000", "compatible"), "arm,cortex-a15-gic");
	assert_string_equal(text(f, "/interrupt-controller@8000000/v2m@8020000", "compatible"), "arm,gic-v2m-frame");
	CELLS(f, "/timer", "interrupts", 1, 13, 0x308, 1, 14, 0x308, 1, 11, 0x308, 1, 10, 0x308);
	assert_non_null(fdt_getprop(f->fdt, node(f, "/pcie@3f000000"), "msi-parent", NULL));
	assert_int_equal(fdt_path_offset(f->fdt, "/pmu"), -FDT_ERR_NOTFOUND);
}

static void cpus_of_a_32_bit_guest_have_one_cell(void **state)
{
	struct fixture *f = *state;

	f->config.aarch32 = true;
	build(f);
	CELLS(f, "/cpus", "#address-cells", 1);
	CELLS(f, "/cpus/cpu@1", "reg", 1);
}

static void small_tree_does_not_fit(void **state)
{
	struct fixture *f = *state;

	for (size_t room = 64; room < 3000; room += 4)
		assert_int_equal(fdt_build(&f->config, f->fdt, room), -ENOSPC);
}

/* Small cores have 32 bits of addresses, Apple's 36, most 40 and more. */
static void memory_and_windows_fit_the_addresses(void **state)
{
	struct fixture *f = *state;

	for (unsigned bits = 32; bits <= 52; bits++) {
		uint64_t most = space_max_memory(bits);
		struct space_window w = space_pci64(bits, most);

		assert_true(most >= 3 * GIB);
		assert_true(LAYOUT_LOW_RAM + most <= 1ull << bits);
		assert_true(!w.size == (bits < 36));
		if (!w.size)
			continue;
		assert_true(w.base >= LAYOUT_LOW_RAM + most && w.base % w.size == 0);
		assert_true(w.base + w.size <= 1ull << bits);
	}
	f->config.pci.mmio64_base = f->config.pci.mmio64_size = 0;
	build(f);
	CELLS(f, "/pcie@3f000000", "ranges", 0x2000000, 0, 0x10000000, 0, 0x10000000, 0, 0x2eff0000);
}

/* ---- files ---- */

static void save(struct fixture *f, const void *bytes, size_t n)
{
	FILE *file = fopen(f->path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, n, file), n);
	fclose(file);
}

/* The tree of the file in place of ours, or the file as overlay; what is said meanwhile goes to f->said. */
static int use(struct fixture *f, bool overlay)
{
	int to = memfd_create("said", 0), kept = dup(STDERR_FILENO), result;
	ssize_t n;

	dup2(to, STDERR_FILENO);
	result = overlay ? fdt_add_overlay(f->path, f->fdt, ROOM) : fdt_load(&f->config, f->path, f->fdt, ROOM);
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	n = pread(to, f->said, sizeof(f->said) - 1, 0);
	f->said[n > 0 ? n : 0] = '\0';
	close(to);
	close(kept);
	return result;
}

static void refused(struct fixture *f, bool overlay, const char *says)
{
	assert_true(use(f, overlay) < 0);
	if (!strstr(f->said, says) || !strstr(f->said, f->path))
		fail_msg("expected \"%s\", got: %s", says, f->said);
	assert_ptr_equal(strchr(f->said, '\n'), f->said + strlen(f->said) - 1);
}

static void users_tree_is_told_of_this_start(void **state)
{
	struct fixture *f = *state;

	tree_make(f->file, sizeof(f->file), 2);
	save(f, f->file, fdt_totalsize(f->file));
	assert_int_equal(use(f, false), 0);
	assert_string_equal(text(f, "/", "model"), "the user's");
	CELLS(f, "/memory@40000000", "reg", 0, 0x40000000, 0, 0x20000000);
	assert_int_equal(fdt_path_offset(f->fdt, "/memory@0"), -FDT_ERR_NOTFOUND);
	assert_int_equal(fdt_path_offset(f->fdt, "/memory@80000000"), -FDT_ERR_NOTFOUND);
	/* No command line was given: the file's counts. Its initrd is of another start. */
	assert_string_equal(text(f, "/chosen", "bootargs"), "of the file");
	assert_null(fdt_getprop(f->fdt, node(f, "/chosen"), "linux,initrd-start", NULL));
	f->config.append = "of the command line";
	f->config.initrd = 0x48000000;
	f->config.initrd_bytes = 100;
	assert_int_equal(use(f, false), 0);
	assert_string_equal(text(f, "/chosen", "bootargs"), "of the command line");
	CELLS(f, "/chosen", "linux,initrd-start", 0, 0x48000000);
	CELLS(f, "/chosen", "linux,initrd-end", 0, 0x48000064);
	assert_non_null(fdt_getprop(f->fdt, node(f, "/chosen"), "rng-seed", NULL));
}

static void users_tree_has_its_own_cells(void **state)
{
	struct fixture *f = *state;

	tree_make(f->file, sizeof(f->file), 1);
	save(f, f->file, fdt_totalsize(f->file));
	assert_int_equal(use(f, false), 0);
	CELLS(f, "/memory@40000000", "reg", 0x40000000, 0x20000000);
	f->config.memory_bytes = 8 * GIB;
	refused(f, false, "can't take this machine's memory");
}

static void our_tree_can_be_the_users(void **state)
{
	struct fixture *f = *state;

	f->config.append = "first";
	build(f);
	save(f, f->fdt, fdt_totalsize(f->fdt));
	f->config.append = "second";
	assert_int_equal(use(f, false), 0);
	assert_string_equal(text(f, "/chosen", "bootargs"), "second");
	assert_string_equal(text(f, "/", "model"), "mullion");
}

static void overlays_add_up(void **state)
{
	struct fixture *f = *state;

	build(f);
	overlay_make(f->file, sizeof(f->file), NULL, "one");
	save(f, f->file, fdt_totalsize(f->file));
	if (use(f, true))
		fail_msg("%s", f->said);
	overlay_make(f->file, sizeof(f->file), "pcie", "two");
	save(f, f->file, fdt_totalsize(f->file));
	if (use(f, true))
		fail_msg("%s", f->said);
	assert_string_equal(text(f, "/added", "text"), "one");
	assert_string_equal(text(f, "/pcie@3f000000/added", "text"), "two");
	/* The same node again: the last overlay counts. */
	overlay_make(f->file, sizeof(f->file), NULL, "three");
	save(f, f->file, fdt_totalsize(f->file));
	if (use(f, true))
		fail_msg("%s", f->said);
	assert_string_equal(text(f, "/added", "text"), "three");
	assert_int_equal(fdt_check_full(f->fdt, ROOM), 0);
}

static void broken_files_are_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t *large = calloc(1, ROOM + 1);
	size_t bytes;

	build(f);
	overlay_make(f->file, sizeof(f->file), "nobody", "lost");
	bytes = fdt_totalsize(f->file);
	save(f, f->file, bytes);
	refused(f, true, "names a node or label that the device tree lacks");
	/* A tree is no overlay. */
	build(f);
	save(f, f->fdt, fdt_totalsize(f->fdt));
	refused(f, true, "no overlay: --fdt takes it");
	/* libfdt's own check fails on trees as old as this. */
	overlay_make(f->file, sizeof(f->file), NULL, "old");
	fdt_set_version(f->file, 3);
	fdt_set_last_comp_version(f->file, 2);
	save(f, f->file, fdt_totalsize(f->file));
	refused(f, true, "(libfdt: FDT_ERR_BADVERSION)");
	refused(f, false, "(libfdt: FDT_ERR_BADVERSION)");
	save(f, "not a tree", 10);
	refused(f, false, "(libfdt: FDT_ERR_");
	refused(f, true, "(libfdt: FDT_ERR_");
	save(f, large, ROOM + 1);
	refused(f, false, "at most 512 KiB");
	refused(f, true, "at most 512 KiB");
	free(large);
	/* Cut anywhere. */
	overlay_make(f->file, sizeof(f->file), NULL, "cut");
	bytes = fdt_totalsize(f->file);
	for (size_t n = 1; n < bytes; n++) {
		build(f);
		save(f, f->file, n);
		refused(f, true, "libfdt: ");
		refused(f, false, "libfdt: ");
	}
}

/* A tree as large as there is room has none for what is set in it; an overlay neither. */
static void full_trees_are_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t *large = malloc(ROOM);
	char filling[300] = "";
	void *at;

	memset(filling, 'x', sizeof(filling) - 1);
	overlay_make(f->file, sizeof(f->file), NULL, filling);
	fdt_create(large, ROOM);
	fdt_finish_reservemap(large);
	fdt_begin_node(large, "");
	assert_int_equal(fdt_property_placeholder(large, "filling", ROOM - 200, &at), 0);
	memset(at, 0, ROOM - 200);
	fdt_end_node(large);
	assert_int_equal(fdt_finish(large), 0);
	save(f, large, fdt_totalsize(large));
	refused(f, false, "leaves no room for the command line within 512 KiB");
	memcpy(f->fdt, large, fdt_totalsize(large));
	save(f, f->file, fdt_totalsize(f->file));
	refused(f, true, "larger than 512 KiB");
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(gicv3_with_its, setup, teardown),
		cmocka_unit_test_setup_teardown(redistributors_of_many_cpus_have_two_regions, setup, teardown),
		cmocka_unit_test_setup_teardown(gicv2_has_a_message_frame, setup, teardown),
		cmocka_unit_test_setup_teardown(cpus_of_a_32_bit_guest_have_one_cell, setup, teardown),
		cmocka_unit_test_setup_teardown(small_tree_does_not_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_and_windows_fit_the_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(users_tree_is_told_of_this_start, setup, teardown),
		cmocka_unit_test_setup_teardown(users_tree_has_its_own_cells, setup, teardown),
		cmocka_unit_test_setup_teardown(our_tree_can_be_the_users, setup, teardown),
		cmocka_unit_test_setup_teardown(overlays_add_up, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_files_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(full_trees_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
