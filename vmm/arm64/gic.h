/* SPDX-License-Identifier: MIT */
/*
 * The guest's interrupt controller, which is KVM's: GICv3 with an ITS for messages where the host has them, else GICv2
 * and a GICv2m frame (whose one register the VMM answers). Thread: main, before the guest runs.
 */
#ifndef MULLION_VMM_ARM64_GIC_H
#define MULLION_VMM_ARM64_GIC_H

#include <stdbool.h>
#include <stdint.h>

struct vm;

struct gic {
	unsigned version; /* 2 or 3 */
	bool has_its;     /* else messages go by the GICv2m frame */
	int fd, its_fd;   /* of KVM's devices; closed by gic_ready() */
};

/* Before the first vCPU exists; @cpus of them will. Prints a line and returns a negative errno if it can't. */
int gic_create(struct gic *g, int vm_fd, unsigned cpus);
/* When all vCPUs exist. */
int gic_ready(struct gic *g);
/* Most vCPUs that this version takes. */
unsigned gic_max_cpus(const struct gic *g);

struct v2m;
int v2m_create(struct vm *vm, struct v2m **out);
void v2m_destroy(struct v2m *v);

#endif
