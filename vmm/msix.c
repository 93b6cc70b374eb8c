// SPDX-License-Identifier: MIT
#include "vmm/msix.h"

#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/base/log.h"
#include "vmm/irq.h"

void msix_init(struct msix *m, struct vm *vm, const char *name, unsigned count)
{
	assert(count >= 1 && count <= MSIX_MAX_VECTORS);
	memset(m, 0, sizeof(*m));
	m->vm = vm;
	m->name = name;
	m->count = count;
	for (unsigned i = 0; i < count; i++) {
		m->vectors[i].control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
		m->vectors[i].irqfd = -1;
	}
}

static void release(struct msix *m, struct msix_vector *v)
{
	if (v->has_gsi) {
		if (v->irqfd >= 0)
			irq_remove_fd(m->vm, v->gsi, v->irqfd);
		irq_msi_free(m->vm, v->gsi);
	}
	if (v->irqfd >= 0)
		close(v->irqfd);
	v->has_gsi = false;
	v->irqfd = -1;
}

void msix_finish(struct msix *m)
{
	for (unsigned i = 0; i < m->count; i++)
		release(m, &m->vectors[i]);
	m->count = 0;
}

static bool can_send(const struct msix *m, const struct msix_vector *v)
{
	return m->enabled && !m->masked && !(v->control & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

/* Have KVM know where @v goes. Returns 0 or a negative errno; then the vector has no eventfd. */
static int route(struct msix *m, struct msix_vector *v)
{
	int err;

	if (!v->has_gsi) {
		err = irq_msi_alloc(m->vm, m->requester, &v->gsi);
		if (err)
			return err;
		v->has_gsi = true;
	}
	err = irq_msi_route(m->vm, v->gsi, v->address, v->data);
	if (!err && v->irqfd < 0) {
		v->irqfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		err = v->irqfd < 0 ? -errno : irq_add_fd(m->vm, v->gsi, v->irqfd);
		if (err && v->irqfd >= 0) {
			close(v->irqfd);
			v->irqfd = -1;
		}
	}
	return err;
}

static void send(const struct msix *m, const struct msix_vector *v)
{
	uint64_t one = 1;

	/* It can only fail with the counter at its maximum, when a message is already on its way. */
	if (v->irqfd >= 0 && write(v->irqfd, &one, sizeof(one)) < 0)
		log_line(LOG_TOPIC_VIRTIO, LOG_ERROR, "%s: cannot signal its MSI-X vector: %s", m->name,
			 strerror(errno));
}

/* Route and, where something waited, send what may be sent now. */
static void update(struct msix *m, struct msix_vector *v)
{
	int err;

	if (!can_send(m, v))
		return;
	err = route(m, v);
	if (err)
		log_line(LOG_TOPIC_VIRTIO, LOG_ERROR, "%s: no route for MSI-X vector %u: %s; its interrupts are lost",
			 m->name, (unsigned)(v - m->vectors), strerror(-err));
	if (v->pending) {
		v->pending = false;
		send(m, v);
	}
}

void msix_set_control(struct msix *m, bool enabled, bool masked)
{
	m->enabled = enabled;
	m->masked = masked;
	for (unsigned i = 0; i < m->count; i++)
		update(m, &m->vectors[i]);
}

void msix_signal(struct msix *m, unsigned v)
{
	assert(v < m->count);
	if (!m->enabled)
		return;
	if (can_send(m, &m->vectors[v]))
		send(m, &m->vectors[v]);
	else
		m->vectors[v].pending = true;
}

bool msix_is_open(const struct msix *m, unsigned v, uint32_t *gsi)
{
	if (v >= m->count || !can_send(m, &m->vectors[v]) || m->vectors[v].irqfd < 0)
		return false;
	*gsi = m->vectors[v].gsi;
	return true;
}

static uint32_t read_table(const struct msix_vector *v, unsigned field)
{
	switch (field) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		return (uint32_t)v->address;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		return (uint32_t)(v->address >> 32);
	case PCI_MSIX_ENTRY_DATA:
		return v->data;
	default:
		return v->control;
	}
}

static void write_table(struct msix *m, struct msix_vector *v, unsigned field, uint32_t value)
{
	switch (field) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		v->address = (v->address & ~0xffffffffull) | (value & ~3u);
		break;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		v->address = (v->address & 0xffffffffu) | ((uint64_t)value << 32);
		break;
	case PCI_MSIX_ENTRY_DATA:
		v->data = value;
		break;
	default:
		v->control = value & PCI_MSIX_ENTRY_CTRL_MASKBIT;
		break;
	}
	/*
	 * A guest masks a vector before it changes where it goes; one that doesn't gets each half as it is written,
	 * as from a card.
	 */
	update(m, v);
}

static uint32_t read_pending(const struct msix *m, unsigned word)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < 32 && 32 * word + i < m->count; i++)
		bits |= (uint32_t)m->vectors[32 * word + i].pending << i;
	return bits;
}

static void access_word(struct msix *m, unsigned offset, uint8_t *data, bool write)
{
	unsigned v = (offset - MSIX_TABLE_OFFSET) / PCI_MSIX_ENTRY_SIZE;
	uint32_t value = 0;

	if (write) {
		memcpy(&value, data, sizeof(value));
		if (v < m->count)
			write_table(m, &m->vectors[v], offset % PCI_MSIX_ENTRY_SIZE, value);
		return;
	}
	if (v < m->count)
		value = read_table(&m->vectors[v], offset % PCI_MSIX_ENTRY_SIZE);
	else if (offset >= MSIX_PENDING_OFFSET)
		value = read_pending(m, (offset - MSIX_PENDING_OFFSET) / 4);
	memcpy(data, &value, sizeof(value));
}

void msix_access(struct msix *m, uint64_t offset, void *data, unsigned size, bool write)
{
	if (size < 4 || offset % size) {
		if (!write)
			memset(data, 0, size);
		return;
	}
	for (unsigned done = 0; done < size; done += 4)
		access_word(m, (unsigned)offset + done, (uint8_t *)data + done, write);
}
