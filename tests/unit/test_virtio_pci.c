// SPDX-License-Identifier: MIT
/* virtio-pci (virtio 1.4, section 4.1) as a guest sees it, without KVM: found through its capabilities only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/base/loop.h"
#include "protocol/virtio.h"
#include "tests/lib/test_device.h"
#include "tests/lib/vm_stub.h"
#include "vmm/pci.h"
#include "vmm/virtio_pci.h"

#define ECAM 0xe0000000ull
#define WINDOW 0xc0000000ull
#define READY (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define MESSAGE 0xfee01000ull

static const struct pci_layout layout = {
	.ecam_base = ECAM,
	.mmio32_base = WINDOW,
	.mmio32_size = 0x10000000,
	.mmio64_base = 0x800000000,
	.mmio64_size = 0x100000000,
	.intx_gsi = {16, 17, 18, 19},
};

struct fixture {
	struct vm *vm;
	struct pci_bus *bus;
	struct test_device *device;
	struct virtio_pci *pci;
	unsigned destroyed;
	/* Offsets of capabilities in configuration space */
	unsigned shmem_cap;
	unsigned common_cap, isr_cap, device_cap, notify_cap, window_cap, msix_cap, express_cap;
	uint64_t common, isr, config, notify, table, pending;
};

static uint32_t cfg(struct fixture *f, unsigned offset, unsigned size)
{
	return (uint32_t)stub_read(f->vm, ECAM + (1u << 15) + offset, size);
}

static void set_cfg(struct fixture *f, unsigned offset, unsigned size, uint32_t value)
{
	stub_write(f->vm, ECAM + (1u << 15) + offset, size, value);
}

static uint64_t bar_address(struct fixture *f, unsigned bar)
{
	uint32_t low = cfg(f, PCI_BASE_ADDRESS_0 + 4 * bar, 4);
	uint64_t high = low & PCI_BASE_ADDRESS_MEM_TYPE_64 ? cfg(f, PCI_BASE_ADDRESS_0 + 4 * bar + 4, 4) : 0;

	return high << 32 | (low & ~0xfu);
}

static uint64_t structure(struct fixture *f, unsigned cap)
{
	return bar_address(f, cfg(f, cap + 4, 1)) + cfg(f, cap + 8, 4);
}

/* What a driver does: walk the list, keep what it knows. */
static void find_capabilities(struct fixture *f)
{
	unsigned cap = cfg(f, PCI_CAPABILITY_LIST, 1), steps = 0;

	assert_true(cfg(f, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	for (; cap; cap = cfg(f, cap + PCI_CAP_LIST_NEXT, 1)) {
		unsigned id = cfg(f, cap, 1);

		assert_true(++steps < 32);
		assert_int_equal(cap % 4, 0);
		if (id == PCI_CAP_ID_MSIX)
			f->msix_cap = cap;
		if (id == PCI_CAP_ID_EXP)
			f->express_cap = cap;
		if (id != PCI_CAP_ID_VNDR)
			continue;
		switch (cfg(f, cap + 3, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			f->common_cap = cap;
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			f->notify_cap = cap;
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			f->isr_cap = cap;
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			f->device_cap = cap;
			break;
		case VIRTIO_PCI_CAP_PCI_CFG:
			f->window_cap = cap;
			break;
		case 8: /* VIRTIO_PCI_CAP_SHARED_MEMORY_CFG */
			f->shmem_cap = cap;
			break;
		default:
			fail();
		}
	}
	f->common = structure(f, f->common_cap);
	f->isr = structure(f, f->isr_cap);
	f->config = structure(f, f->device_cap);
	f->notify = structure(f, f->notify_cap);
	f->table = bar_address(f, cfg(f, f->msix_cap + PCI_MSIX_TABLE, 4) & 7) +
		   (cfg(f, f->msix_cap + PCI_MSIX_TABLE, 4) & ~7u);
	f->pending = bar_address(f, cfg(f, f->msix_cap + PCI_MSIX_PBA, 4) & 7) +
		     (cfg(f, f->msix_cap + PCI_MSIX_PBA, 4) & ~7u);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->vm = stub_create();
	assert_int_equal(pci_bus_create(f->vm, &layout, &f->bus), 0);
	f->device = test_device_create(vm_loop(f->vm), vm_mem(f->vm));
	f->device->destroyed = &f->destroyed;
	assert_int_equal(virtio_pci_create(f->vm, f->bus, &f->device->base, &f->pci), 0);
	find_capabilities(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	virtio_pci_destroy(f->pci);
	assert_int_equal(f->destroyed, 1);
	pci_bus_destroy(f->bus);
	stub_destroy(f->vm);
	free(f);
	return 0;
}

/* Fields of the common configuration by offset. */
static uint32_t get(struct fixture *f, unsigned offset, unsigned size)
{
	return (uint32_t)stub_read(f->vm, f->common + offset, size);
}

static void put(struct fixture *f, unsigned offset, unsigned size, uint64_t value)
{
	stub_write(f->vm, f->common + offset, size, value);
}

static void set_queue(struct fixture *f, unsigned queue, unsigned size)
{
	uint64_t at = STUB_RAM + queue * 0x4000;

	put(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	put(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	put(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4, at);
	put(f, VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0);
	put(f, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, at + 0x1000);
	put(f, VIRTIO_PCI_COMMON_Q_USEDLO, 8, at + 0x2000);
	put(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void start(struct fixture *f)
{
	put(f, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	put(f, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	put(f, VIRTIO_PCI_COMMON_GF, 4, 1);
	put(f, VIRTIO_PCI_COMMON_STATUS, 1, READY);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), READY);
	set_queue(f, 0, 16);
	set_queue(f, 1, 64);
	put(f, VIRTIO_PCI_COMMON_STATUS, 1, READY | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), READY | VIRTIO_CONFIG_S_DRIVER_OK);
	/* The kick that the device class gives every queue at the start. */
	stub_read(f->vm, f->isr, 1);
	f->device->kicks[0] = 0;
	f->device->kicks[1] = 0;
}

static void ring(struct fixture *f, unsigned queue)
{
	put(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	stub_write_exit(f->vm, f->notify + get(f, VIRTIO_PCI_COMMON_Q_NOFF, 2) * cfg(f, f->notify_cap + 16, 4), 2,
			queue);
}

static void set_vector(struct fixture *f, unsigned vector, uint32_t data, bool masked)
{
	stub_write(f->vm, f->table + 16 * vector + 12, 4, 1);
	stub_write(f->vm, f->table + 16 * vector, 8, MESSAGE);
	stub_write(f->vm, f->table + 16 * vector + 8, 4, data);
	stub_write(f->vm, f->table + 16 * vector + 12, 4, masked);
}

/* Vector @v for queue @v, the last one for config changes; data 0x40 + vector; MSI-X on. */
static void set_msix(struct fixture *f)
{
	set_cfg(f, f->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	for (unsigned v = 0; v < 3; v++)
		set_vector(f, v, 0x40 + v, false);
	set_cfg(f, f->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	put(f, VIRTIO_PCI_COMMON_MSIX, 2, 2);
	for (unsigned q = 0; q < 2; q++) {
		put(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
		put(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, q);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), q);
	}
}

static uint64_t messages(struct fixture *f, unsigned vector)
{
	uint32_t gsi = stub_msi_gsi(f->vm, MESSAGE, 0x40 + vector);

	return gsi ? stub_edges(f->vm, gsi) : 0;
}

static void says_what_it_is(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(cfg(f, 0, 4), (0x1040 + TEST_DEVICE_ID) << 16 | 0x1af4);
	assert_int_equal(cfg(f, PCI_REVISION_ID, 1), 1);
	assert_true(cfg(f, PCI_SUBSYSTEM_ID, 2) >= 0x40);
	assert_int_equal(cfg(f, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(cfg(f, f->common_cap + 12, 4), 64);
	assert_int_equal(cfg(f, f->device_cap + 12, 4), TEST_DEVICE_CONFIG);
	assert_int_equal(cfg(f, f->notify_cap + 12, 4), 8);
	assert_int_equal(cfg(f, f->msix_cap + PCI_MSIX_FLAGS, 2), 2); /* three vectors */
	assert_int_equal(cfg(f, f->express_cap + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_TYPE, PCI_EXP_TYPE_RC_END << 4);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_NUMQ, 2), 2);
}

static void the_queue_registers_read_back(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), TEST_DEVICE_QUEUE_SIZE);
	put(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 65);
	put(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), TEST_DEVICE_QUEUE_SIZE);
	put(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 32);
	put(f, VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0x11223344);
	put(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x55667788);
	put(f, VIRTIO_PCI_COMMON_Q_AVAILLO, 8, 0x99aabbccddeeff00);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), 32);
	assert_int_equal(stub_read(f->vm, f->common + VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0x1122334455667788);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_AVAILHI, 4), 0x99aabbcc);
	/* Writes narrower or wider than the field, and to read-only ones, change nothing. */
	put(f, VIRTIO_PCI_COMMON_Q_SIZE, 1, 8);
	put(f, VIRTIO_PCI_COMMON_Q_SIZE, 4, 8);
	put(f, VIRTIO_PCI_COMMON_Q_DESCLO, 2, 8);
	put(f, VIRTIO_PCI_COMMON_Q_DESCLO + 2, 4, 8);
	put(f, VIRTIO_PCI_COMMON_NUMQ, 2, 9);
	put(f, 56, 8, 0xffffffff);
	put(f, 64, 4, 1);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), 32);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0x55667788);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_NUMQ, 2), 2);
	assert_int_equal(stub_read(f->vm, f->common + 60, 8), 0);
	/* An enabled queue stays enabled and keeps its registers. */
	put(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	put(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	put(f, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), 32);
	/* A queue that is not there has size 0. */
	put(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	put(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
}

static void vectors_past_the_table_are_refused(void **state)
{
	struct fixture *f = *state;
	static const uint32_t vectors[] = {3, 17, 0x100, 0xfffe, 0xffff};

	for (unsigned i = 0; i < 5; i++) {
		put(f, VIRTIO_PCI_COMMON_MSIX, 2, vectors[i]);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		put(f, VIRTIO_PCI_COMMON_Q_MSIX, 2, vectors[i]);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	}
	put(f, VIRTIO_PCI_COMMON_MSIX, 2, 2);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_MSIX, 2), 2);
}

static void doorbells_move_with_the_bar(void **state)
{
	struct fixture *f = *state;
	uint32_t multiplier = cfg(f, f->notify_cap + 16, 4);
	uint64_t old = f->notify;

	start(f);
	assert_int_equal(stub_ioeventfds(f->vm), 2);
	stub_write(f->vm, f->notify + multiplier, 2, 1);
	assert_true(stub_wait(&f->device->kicks[1], 1));
	set_cfg(f, PCI_BASE_ADDRESS_0, 4, WINDOW + 0x400000);
	find_capabilities(f);
	assert_int_not_equal(f->notify, old);
	assert_int_equal(stub_ioeventfds(f->vm), 2);
	stub_write(f->vm, f->notify + multiplier, 2, 1);
	assert_true(stub_wait(&f->device->kicks[1], 2));
	stub_write(f->vm, old + multiplier, 2, 1);
	stub_write_exit(f->vm, f->notify, 4, 0);
	assert_int_equal(f->device->kicks[0], 1);
	assert_int_equal(f->device->kicks[1], 2);
	set_cfg(f, PCI_COMMAND, 2, 0);
	assert_int_equal(stub_ioeventfds(f->vm), 0);
	set_cfg(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(stub_ioeventfds(f->vm), 2);
}

static void a_vector_sends_its_message(void **state)
{
	struct fixture *f = *state;

	set_msix(f);
	start(f);
	assert_int_equal(messages(f, 0), 1); /* the first kick */
	assert_int_equal(messages(f, 1), 1);
	ring(f, 1);
	assert_int_equal(messages(f, 0), 0);
	assert_int_equal(messages(f, 1), 1);
	assert_int_equal(messages(f, 2), 0);
	assert_int_equal(stub_read(f->vm, f->isr, 1), 0);
	assert_false(stub_level(f->vm, 17));
	/* Another destination, written under the mask. */
	set_vector(f, 1, 0x99, false);
	ring(f, 1);
	assert_int_equal(stub_edges(f->vm, stub_msi_gsi(f->vm, MESSAGE, 0x99)), 1);
}

static void change_config(void *arg)
{
	virtio_device_config_changed(arg);
}

static void a_config_change_has_its_own_vector(void **state)
{
	struct fixture *f = *state;

	set_msix(f);
	start(f);
	loop_call(vm_loop(f->vm), change_config, &f->device->base);
	assert_int_equal(messages(f, 2), 1);
	put(f, VIRTIO_PCI_COMMON_MSIX, 2, VIRTIO_MSI_NO_VECTOR);
	loop_call(vm_loop(f->vm), change_config, &f->device->base);
	assert_int_equal(messages(f, 2), 0);
}

static void a_masked_vector_waits(void **state)
{
	struct fixture *f = *state;

	set_msix(f);
	start(f);
	messages(f, 0);
	messages(f, 1);
	stub_write(f->vm, f->table + 12, 4, 1);
	assert_int_equal(stub_read(f->vm, f->table + 12, 4), 1);
	ring(f, 0);
	ring(f, 0);
	assert_int_equal(messages(f, 0), 0);
	assert_int_equal(stub_read(f->vm, f->pending, 8), 1);
	ring(f, 1);
	assert_int_equal(messages(f, 1), 1);
	stub_write(f->vm, f->table + 12, 4, 0);
	assert_int_equal(messages(f, 0), 1);
	assert_int_equal(stub_read(f->vm, f->pending, 8), 0);
}

static void the_function_mask_holds_all(void **state)
{
	struct fixture *f = *state;

	set_msix(f);
	start(f);
	messages(f, 0);
	messages(f, 1);
	set_cfg(f, f->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	ring(f, 0);
	ring(f, 1);
	assert_int_equal(messages(f, 0) + messages(f, 1), 0);
	assert_int_equal(stub_read(f->vm, f->pending, 4), 3);
	stub_write(f->vm, f->table + 12, 4, 1);
	set_cfg(f, f->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(messages(f, 0), 0);
	assert_int_equal(messages(f, 1), 1);
	assert_int_equal(stub_read(f->vm, f->pending, 4), 1);
	/* The pending bits are read-only, and so is what follows the table. */
	stub_write(f->vm, f->pending, 4, 0);
	stub_write(f->vm, f->table + 16 * 3, 8, 1);
	assert_int_equal(stub_read(f->vm, f->pending, 4), 1);
	assert_int_equal(stub_read(f->vm, f->table + 16 * 3, 8), 0);
	assert_int_equal(stub_read(f->vm, f->table + 1, 2), 0);
}

static void without_msix_the_line_is_held_until_isr_is_read(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_false(stub_level(f->vm, 17));
	ring(f, 0);
	assert_true(stub_level(f->vm, 17));
	assert_true(cfg(f, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_int_equal(stub_read(f->vm, f->isr, 1), 1);
	assert_false(stub_level(f->vm, 17));
	assert_int_equal(stub_read(f->vm, f->isr, 1), 0);
	loop_call(vm_loop(f->vm), change_config, &f->device->base);
	assert_int_equal(stub_read(f->vm, f->isr, 1), 2);
	/* INTx disable keeps the line low, not the status. */
	set_cfg(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	ring(f, 0);
	assert_false(stub_level(f->vm, 17));
	set_cfg(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(stub_level(f->vm, 17));
	/* As does MSI-X. */
	set_cfg(f, f->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_false(stub_level(f->vm, 17));
	set_cfg(f, f->msix_cap + PCI_MSIX_FLAGS, 2, 0);
	assert_true(stub_level(f->vm, 17));
	put(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_false(stub_level(f->vm, 17));
}

static void the_window_reaches_the_bars(void **state)
{
	struct fixture *f = *state;
	unsigned bar = f->window_cap + 4, offset = f->window_cap + 8, length = f->window_cap + 12;
	unsigned data = f->window_cap + 16;
	uint32_t config = cfg(f, f->device_cap + 8, 4);

	set_cfg(f, bar, 1, cfg(f, f->device_cap + 4, 1));
	set_cfg(f, offset, 4, config + 1);
	set_cfg(f, length, 4, 1);
	assert_int_equal(cfg(f, data, 1), 0x11);
	set_cfg(f, data, 1, 0x77);
	assert_int_equal(stub_read(f->vm, f->config + 1, 1), 0x77);
	set_cfg(f, offset, 4, config + 4);
	set_cfg(f, length, 4, 4);
	assert_int_equal(cfg(f, data, 4), 0x17161514);
	/* The doorbell and the MSI-X table too. */
	start(f);
	set_cfg(f, offset, 4, cfg(f, f->notify_cap + 8, 4) + 4);
	set_cfg(f, data, 4, 1);
	assert_int_equal(f->device->kicks[1], 1);
	set_cfg(f, bar, 1, cfg(f, f->msix_cap + PCI_MSIX_TABLE, 4) & 7);
	set_cfg(f, offset, 4, 16 + 8);
	set_cfg(f, data, 4, 0xabcd);
	assert_int_equal(stub_read(f->vm, f->table + 16 + 8, 4), 0xabcd);
	/* Nonsense does nothing. */
	static const uint32_t wrong[][3] = {{0, 0, 0},	    {0, 0, 3}, {0, 2, 4}, {0, 0x4000, 4}, {0, 0xfffffffc, 4},
					    {2, 0x1000, 4}, {1, 0, 4}, {6, 0, 4}, {255, 0, 4},	  {0, 0, 0xffffffff}};
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		set_cfg(f, bar, 1, wrong[i][0]);
		set_cfg(f, offset, 4, wrong[i][1]);
		set_cfg(f, length, 4, wrong[i][2]);
		set_cfg(f, data, 4, 0x5a5a5a5a);
		assert_int_equal(cfg(f, data, 4), 0x5a5a5a5a);
	}
}

static void a_reset_forgets_everything(void **state)
{
	struct fixture *f = *state;

	set_msix(f);
	start(f);
	ring(f, 0);
	put(f, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	assert_int_equal(f->device->resets, 1);
	for (unsigned q = 0; q < 2; q++) {
		put(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
		assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SIZE, 2), TEST_DEVICE_QUEUE_SIZE);
	}
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_GFSELECT, 4), 0);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_Q_SELECT, 2), 1); /* selected above, after the reset */
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_GF, 4), 0);
	/* A reset of the virtio device leaves MSI-X, which is the bus's, alone. */
	assert_int_equal(stub_read(f->vm, f->table + 8, 4), 0x40);
	start(f);
}

/* ---- two vCPUs and the loop at once: nothing may wait in a circle (vmm/pci.h) ---- */

#define STRESS_ROUNDS 300u

static void *move_bars(void *arg)
{
	struct fixture *f = arg;

	for (unsigned i = 0; i < STRESS_ROUNDS; i++) {
		set_cfg(f, PCI_BASE_ADDRESS_0, 4, WINDOW + 0x400000 * (1 + i % 3));
		set_cfg(f, PCI_COMMAND, 2, i % 5 ? PCI_COMMAND_MEMORY : 0);
		set_cfg(f, f->msix_cap + PCI_MSIX_FLAGS, 2, i % 2 ? PCI_MSIX_FLAGS_ENABLE : 0);
		cfg(f, PCI_STATUS, 2);
	}
	set_cfg(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	return NULL;
}

static void *use_bars(void *arg)
{
	struct fixture *f = arg;

	for (unsigned i = 0; i < STRESS_ROUNDS; i++) {
		/* Wherever the BAR is now; often it has moved on, and nobody answers. */
		uint64_t at = WINDOW + 0x400000 * (1 + i % 3);

		stub_write(f->vm, at + 0x3000, 2, 0);
		stub_read(f->vm, at + VIRTIO_PCI_COMMON_STATUS, 1);
		stub_read(f->vm, at + 0x1000, 1);
		set_vector(f, 0, 0x40, i % 2);
	}
	return NULL;
}

static void bars_move_under_access(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[2];

	set_msix(f);
	start(f);
	alarm(60); /* a deadlock must end the test, not hang it */
	assert_int_equal(pthread_create(&threads[0], NULL, move_bars, f), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, use_bars, f), 0);
	for (unsigned i = 0; i < STRESS_ROUNDS; i++)
		loop_call(vm_loop(f->vm), change_config, &f->device->base);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	alarm(0);
	find_capabilities(f);
	assert_int_equal(get(f, VIRTIO_PCI_COMMON_STATUS, 1), READY | VIRTIO_CONFIG_S_DRIVER_OK);
	f->device->kicks[0] = 0;
	ring(f, 0);
	assert_true(f->device->kicks[0] >= 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Section 4.1.4.7: a capability of 64 bits names id, BAR, offset and length. */
static void shared_memory_is_a_bar_of_its_own(void **state)
{
	struct fixture *f = *state;
	unsigned cap = f->shmem_cap, bar = cfg(f, cap + 4, 1);
	uint64_t at = bar_address(f, bar);
	uint8_t *memory = stub_slot(f->vm, at);

	assert_int_equal(cfg(f, cap + 2, 1), 24);
	assert_int_equal(cfg(f, cap + 5, 1), TEST_DEVICE_SHMEM);
	assert_int_equal(cfg(f, cap + 8, 4), 0);
	assert_int_equal(cfg(f, cap + 12, 4), TEST_DEVICE_SHMEM_BYTES);
	assert_int_equal(cfg(f, cap + 16, 4), 0);
	assert_int_equal(cfg(f, cap + 20, 4), 0);
	assert_true(at >= layout.mmio64_base);
	assert_int_equal(at % TEST_DEVICE_SHMEM_BYTES, 0);
	assert_non_null(memory);
	/* The guest moves it, hides it, and shows it again. */
	set_cfg(f, PCI_BASE_ADDRESS_0 + 4 * bar, 4, 0x40000000);
	assert_null(stub_slot(f->vm, at));
	at = bar_address(f, bar);
	assert_ptr_equal(stub_slot(f->vm, at), memory);
	set_cfg(f, PCI_COMMAND, 2, 0);
	assert_null(stub_slot(f->vm, at));
	set_cfg(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_ptr_equal(stub_slot(f->vm, at), memory);
	/* Sizing, as every driver does it. */
	set_cfg(f, PCI_BASE_ADDRESS_0 + 4 * bar, 4, 0xffffffff);
	assert_int_equal(cfg(f, PCI_BASE_ADDRESS_0 + 4 * bar, 4) & ~0xfu, (uint32_t)-TEST_DEVICE_SHMEM_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(says_what_it_is),
		TEST(the_queue_registers_read_back),
		TEST(vectors_past_the_table_are_refused),
		TEST(doorbells_move_with_the_bar),
		TEST(shared_memory_is_a_bar_of_its_own),
		TEST(a_vector_sends_its_message),
		TEST(a_config_change_has_its_own_vector),
		TEST(a_masked_vector_waits),
		TEST(the_function_mask_holds_all),
		TEST(without_msix_the_line_is_held_until_isr_is_read),
		TEST(the_window_reaches_the_bars),
		TEST(a_reset_forgets_everything),
		TEST(bars_move_under_access),
	};

	return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
