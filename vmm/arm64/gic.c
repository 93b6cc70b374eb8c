// SPDX-License-Identifier: MIT
/* KVM's side of it: Documentation/virt/kvm/devices/arm-vgic*.rst. The frame: Arm's SBSA, appendix E. */
#include "vmm/arm64/gic.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/base/log.h"
#include "vmm/arch.h"
#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/vm.h"

#define GICV2_CPUS 8u
#define V2M_TYPER 0x008u
#define V2M_SETSPI 0x040u

static int set(int device, uint32_t group, uint64_t attribute, void *value)
{
	struct kvm_device_attr a = {.group = group, .attr = attribute, .addr = (uintptr_t)value};

	return ioctl(device, KVM_SET_DEVICE_ATTR, &a) < 0 ? -errno : 0;
}

static int create(int vm_fd, uint32_t type)
{
	struct kvm_create_device d = {.type = type};

	return ioctl(vm_fd, KVM_CREATE_DEVICE, &d) < 0 ? -errno : (int)d.fd;
}

static int set_address(int device, uint64_t type, uint64_t address)
{
	return set(device, KVM_DEV_ARM_VGIC_GRP_ADDR, type, &address);
}

/* Regions by number: number of CPUs, address, number of the region (arm-vgic-v3.rst). */
static int set_redistributors(int device, unsigned cpus)
{
	unsigned second = cpus > LAYOUT_GICR_CPUS ? cpus - LAYOUT_GICR_CPUS : 0;
	int err;

	if (!second)
		return set_address(device, KVM_VGIC_V3_ADDR_TYPE_REDIST, LAYOUT_GICR);
	err = set_address(device, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, (uint64_t)LAYOUT_GICR_CPUS << 52 | LAYOUT_GICR);
	if (!err)
		err = set_address(device, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
				  (uint64_t)second << 52 | LAYOUT_GICR2 | 1);
	return err;
}

unsigned gic_max_cpus(const struct gic *g)
{
	return g->version == 2 ? GICV2_CPUS : ARCH_MAX_CPUS;
}

static int fail(int err, const char *what)
{
	log_line(LOG_TOPIC_VMM, LOG_ERROR, "KVM can't give the machine %s: %s", what, strerror(-err));
	return err;
}

int gic_create(struct gic *g, int vm_fd, unsigned cpus)
{
	uint32_t lines = LAYOUT_SPIS + LAYOUT_FIRST_SPI;
	int err;

	*g = (struct gic){.version = 3, .fd = -1, .its_fd = -1};
	g->fd = create(vm_fd, KVM_DEV_TYPE_ARM_VGIC_V3);
	if (g->fd < 0) {
		g->version = 2;
		g->fd = create(vm_fd, KVM_DEV_TYPE_ARM_VGIC_V2);
	}
	if (g->fd < 0)
		return fail(g->fd, "an interrupt controller (GICv3 or GICv2)");
	if (cpus > gic_max_cpus(g)) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "--cpus %u: this host has a GICv%u, which takes at most %u", cpus,
			 g->version, gic_max_cpus(g));
		err = -EINVAL;
		goto fail;
	}
	if (g->version == 3) {
		err = set_address(g->fd, KVM_VGIC_V3_ADDR_TYPE_DIST, LAYOUT_GICD);
		if (!err)
			err = set_redistributors(g->fd, cpus);
		g->its_fd = create(vm_fd, KVM_DEV_TYPE_ARM_VGIC_ITS);
		g->has_its = g->its_fd >= 0 && ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MSI_DEVID) > 0;
	} else {
		err = set_address(g->fd, KVM_VGIC_V2_ADDR_TYPE_DIST, LAYOUT_GICD);
		if (!err)
			err = set_address(g->fd, KVM_VGIC_V2_ADDR_TYPE_CPU, LAYOUT_GICC);
	}
	if (!err)
		err = set(g->fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &lines);
	if (!err && g->has_its)
		err = set_address(g->its_fd, KVM_VGIC_ITS_ADDR_TYPE, LAYOUT_ITS);
	if (!err)
		return 0;
	fail(err, "its interrupt controller's place");
fail:
	if (g->its_fd >= 0)
		close(g->its_fd);
	close(g->fd);
	g->fd = g->its_fd = -1;
	return err;
}

int gic_ready(struct gic *g)
{
	int err = set(g->fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);

	if (!err && g->has_its)
		err = set(g->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	/* The devices live as long as the machine. */
	if (g->its_fd >= 0)
		close(g->its_fd);
	close(g->fd);
	g->fd = g->its_fd = -1;
	log_line(LOG_TOPIC_VMM, LOG_DEBUG, "GICv%u, messages by %s", g->version, g->has_its ? "ITS" : "GICv2m");
	return err ? fail(err, "a working interrupt controller") : 0;
}

/* ---- GICv2m ---- */

struct v2m {
	struct vm *vm;
	struct bus_range range;
};

static void v2m_access(void *owner, uint64_t offset, void *data, unsigned size, bool write)
{
	struct v2m *v = owner;
	uint32_t value = 0;

	if (size != 4) {
		if (!write)
			memset(data, 0, size);
		return;
	}
	if (!write) {
		if (offset == V2M_TYPER)
			value = (LAYOUT_FIRST_SPI + LAYOUT_GSI_V2M) << 16 | LAYOUT_V2M_SPIS;
		memcpy(data, &value, sizeof(value));
		return;
	}
	memcpy(&value, data, sizeof(value));
	/* Devices' messages never come here (arch_msi_route()); this one is written by a CPU. */
	if (offset == V2M_SETSPI && value >= LAYOUT_FIRST_SPI + LAYOUT_GSI_V2M &&
	    value < LAYOUT_FIRST_SPI + LAYOUT_GSI_V2M + LAYOUT_V2M_SPIS) {
		(void)irq_set_level(v->vm, value - LAYOUT_FIRST_SPI, true);
		(void)irq_set_level(v->vm, value - LAYOUT_FIRST_SPI, false);
	}
}

int v2m_create(struct vm *vm, struct v2m **out)
{
	struct v2m *v = calloc(1, sizeof(*v));
	int err;

	if (!v)
		return -ENOMEM;
	v->vm = vm;
	v->range = (struct bus_range){.base = LAYOUT_V2M, .size = LAYOUT_V2M_SIZE, .access = v2m_access, .owner = v};
	err = bus_add(vm_mmio(vm), &v->range);
	if (err) {
		free(v);
		return err;
	}
	*out = v;
	return 0;
}

void v2m_destroy(struct v2m *v)
{
	if (!v)
		return;
	bus_remove(vm_mmio(v->vm), &v->range);
	free(v);
}

void arch_msi_route(struct kvm_irq_routing_entry *entry, uint32_t requester, uint64_t address, uint32_t data)
{
	if (address == LAYOUT_V2M + V2M_SETSPI && data >= LAYOUT_FIRST_SPI + LAYOUT_GSI_V2M &&
	    data < LAYOUT_FIRST_SPI + LAYOUT_GSI_V2M + LAYOUT_V2M_SPIS) {
		entry->type = KVM_IRQ_ROUTING_IRQCHIP;
		entry->u.irqchip.pin = data - LAYOUT_FIRST_SPI;
		return;
	}
	entry->type = KVM_IRQ_ROUTING_MSI;
	entry->flags = KVM_MSI_VALID_DEVID;
	entry->u.msi.address_lo = (uint32_t)address;
	entry->u.msi.address_hi = (uint32_t)(address >> 32);
	entry->u.msi.data = data;
	entry->u.msi.devid = requester;
}
