// SPDX-License-Identifier: MIT
#include "vmm/irq.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/irq_table.h"
#include "vmm/vm.h"

/* Far more than 32 PCI slots of 17 vectors need; what KVM allows may be less. */
#define MSI_MAX 1024u

struct msi {
	bool used, routed;
	uint32_t requester;
	uint64_t address;
	uint32_t data;
};

struct irq_table {
	int vm_fd;
	pthread_mutex_t lock;
	unsigned msi_limit; /* how many KVM has room for */
	unsigned msi_count; /* entries of msi[] in use or freed */
	struct msi msi[MSI_MAX];
	struct kvm_irq_routing *routing; /* room for the pins' entries and msi_count more */
	unsigned routing_room;
};

int irq_table_create(int vm_fd, struct irq_table **out)
{
	struct irq_table *t = calloc(1, sizeof(*t));
	int limit = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING);

	if (!t)
		return -ENOMEM;
	t->vm_fd = vm_fd;
	t->msi_limit = limit > (int)ARCH_IRQ_ROUTES ? (unsigned)limit - ARCH_IRQ_ROUTES : 0;
	if (t->msi_limit > MSI_MAX)
		t->msi_limit = MSI_MAX;
	pthread_mutex_init(&t->lock, NULL);
	*out = t;
	return 0;
}

void irq_table_destroy(struct irq_table *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t->routing);
	free(t);
}

/* KVM takes the whole table at once. The lock is held. */
static int install(struct irq_table *t)
{
	unsigned room = ARCH_IRQ_ROUTES + t->msi_count;
	unsigned n;

	if (room > t->routing_room) {
		size_t bytes = sizeof(*t->routing) + (room + 16) * sizeof(t->routing->entries[0]);
		struct kvm_irq_routing *bigger = realloc(t->routing, bytes);

		if (!bigger)
			return -ENOMEM;
		t->routing = bigger;
		t->routing_room = room + 16;
	}
	t->routing->flags = 0;
	n = arch_irq_routes(t->routing->entries);
	for (unsigned i = 0; i < t->msi_count; i++) {
		if (!t->msi[i].used || !t->msi[i].routed)
			continue;
		t->routing->entries[n] = (struct kvm_irq_routing_entry){.gsi = ARCH_IRQ_PINS + i};
		arch_msi_route(&t->routing->entries[n++], t->msi[i].requester, t->msi[i].address, t->msi[i].data);
	}
	t->routing->nr = n;
	return ioctl(t->vm_fd, KVM_SET_GSI_ROUTING, t->routing) < 0 ? -errno : 0;
}

int irq_table_install(struct irq_table *t)
{
	int err;

	pthread_mutex_lock(&t->lock);
	err = install(t);
	pthread_mutex_unlock(&t->lock);
	return err;
}

int irq_set_level(struct vm *vm, uint32_t gsi, bool high)
{
	struct kvm_irq_level level = {.irq = arch_irq_line(gsi), .level = high};

	return ioctl(vm_fd(vm), KVM_IRQ_LINE, &level) < 0 ? -errno : 0;
}

static int irqfd(struct vm *vm, uint32_t gsi, int eventfd, uint32_t flags)
{
	struct kvm_irqfd fd = {.fd = (uint32_t)eventfd, .gsi = gsi, .flags = flags};

	return ioctl(vm_fd(vm), KVM_IRQFD, &fd) < 0 ? -errno : 0;
}

int irq_add_fd(struct vm *vm, uint32_t gsi, int eventfd)
{
	return irqfd(vm, gsi, eventfd, 0);
}

void irq_remove_fd(struct vm *vm, uint32_t gsi, int eventfd)
{
	(void)irqfd(vm, gsi, eventfd, KVM_IRQFD_FLAG_DEASSIGN);
}

int irq_msi_alloc(struct vm *vm, uint32_t requester, uint32_t *gsi)
{
	struct irq_table *t = vm_irq_table(vm);
	int err = -ENOSPC;

	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < t->msi_limit; i++) {
		if (t->msi[i].used)
			continue;
		t->msi[i] = (struct msi){.used = true, .requester = requester};
		if (i >= t->msi_count)
			t->msi_count = i + 1;
		*gsi = ARCH_IRQ_PINS + i;
		err = 0;
		break;
	}
	pthread_mutex_unlock(&t->lock);
	return err;
}

static struct msi *find(struct irq_table *t, uint32_t gsi)
{
	uint32_t i = gsi - ARCH_IRQ_PINS;

	return gsi >= ARCH_IRQ_PINS && i < t->msi_count && t->msi[i].used ? &t->msi[i] : NULL;
}

void irq_msi_free(struct vm *vm, uint32_t gsi)
{
	struct irq_table *t = vm_irq_table(vm);
	struct msi *m;

	pthread_mutex_lock(&t->lock);
	m = find(t, gsi);
	if (m) {
		bool was_routed = m->routed;

		m->used = false;
		if (was_routed)
			(void)install(t);
	}
	pthread_mutex_unlock(&t->lock);
}

int irq_msi_route(struct vm *vm, uint32_t gsi, uint64_t address, uint32_t data)
{
	struct irq_table *t = vm_irq_table(vm);
	struct msi *m;
	int err = -EINVAL;

	pthread_mutex_lock(&t->lock);
	m = find(t, gsi);
	if (m && m->routed && m->address == address && m->data == data) {
		err = 0;
	} else if (m) {
		struct msi old = *m;

		m->routed = true;
		m->address = address;
		m->data = data;
		err = install(t);
		if (err)
			*m = old;
	}
	pthread_mutex_unlock(&t->lock);
	return err;
}
