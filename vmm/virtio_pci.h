/* SPDX-License-Identifier: MIT */
/*
 * virtio over PCI, modern only (virtio 1.4, section 4.1): one 64-bit memory BAR with common, ISR, device and notify
 * structures, one with the MSI-X table; a vector per queue and one for config changes, INTx when MSI-X is off.
 */
#ifndef MULLION_VMM_VIRTIO_PCI_H
#define MULLION_VMM_VIRTIO_PCI_H

struct pci_bus;
struct virtio_device;
struct virtio_pci;
struct vm;

/*
 * Put @d into the next free slot, before the first vCPU runs. Takes the device (destroy destroys it too) unless it
 * fails. Returns 0, -ENOSPC when the bus has no slot or no room for its BARs, or another negative errno.
 */
int virtio_pci_create(struct vm *vm, struct pci_bus *bus, struct virtio_device *d, struct virtio_pci **out);
void virtio_pci_destroy(struct virtio_pci *t);

#endif
