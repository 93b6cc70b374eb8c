/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine: KVM's VM descriptor, guest memory, buses, and how it ended.
 */
#ifndef MULLION_VMM_VM_H
#define MULLION_VMM_VM_H

#include <stdbool.h>
#include <stdint.h>

struct arch_vm;
struct boot_entry;
struct bus;
struct guest_mem;
struct loop;
struct loop_task;
struct vm;

/* Why the guest stopped; also the exit status of `mullion run` (man page, EXIT STATUS). */
enum vm_end {
	VM_END_POWER_OFF = 0,
	VM_END_ERROR = 1, /* the host failed, or KVM gave up on the guest: one line said why */
	VM_END_USAGE = 2,
	VM_END_REBOOT = 3,
	VM_END_PANIC = 4,
	VM_END_USER = 5, /* Ctrl-A X, SIGINT, SIGTERM */
};

struct vm_config {
	uint64_t memory_bytes; /* 16 MiB..; a multiple of 2 MiB */
	unsigned cpus;	       /* 1.. what KVM allows */
	bool aarch32;	       /* arm64: the guest's kernel is a 32-bit one */
};

/*
 * Open /dev/kvm, make the VM, its irqchip and its memory (a sealed memfd mapped at the slots of layout.h). Prints one
 * line naming what is missing and what to do, and returns a negative errno, if it can't.
 */
int vm_create(const struct vm_config *config, struct vm **out);
/* vCPUs must be gone. NULL is fine. */
void vm_destroy(struct vm *vm);

const struct vm_config *vm_get_config(const struct vm *vm);
int vm_fd(const struct vm *vm);
int vm_kvm_fd(const struct vm *vm);
const struct guest_mem *vm_mem(const struct vm *vm);
struct bus *vm_mmio(struct vm *vm);
struct bus *vm_pio(struct vm *vm);
/* What the architecture keeps with the machine, NULL at first; free() gets it when the machine goes. */
struct arch_vm *vm_arch(const struct vm *vm);
void vm_set_arch(struct vm *vm, struct arch_vm *arch);
/* The loop of the VMM's own small devices (serial, block, net, console, rng, register blocks). */
struct loop *vm_loop(struct vm *vm);

/* Kick a host thread out of KVM_RUN and end the VM; the first reason counts. Thread: any. */
void vm_end(struct vm *vm, enum vm_end why);

/* What the machine's power button does (ACPI on x86-64); set by the architecture's platform. */
void vm_set_power_button(struct vm *vm, void (*press)(void *owner), void *owner);
/* Press it: a guest that listens shuts down in order. False: this machine has none. Thread: any. */
bool vm_power_button(struct vm *vm);

/*
 * Stop all vCPUs; @done is posted to the VM's loop once none runs the guest. Devices go on: what they had begun is
 * finished. Thread: the VM's loop, while vm_run() runs it.
 */
void vm_pause(struct vm *vm, struct loop_task *done);
/*
 * Let them run again. The guest's clocks: x86-64's went on, and the guest is told that it stood still (no soft lockup is
 * reported); arm64's virtual counter goes on where it stopped. Returns 0, also if it runs, or -EBUSY while vm_pause() is
 * still at it. Thread: the VM's loop.
 */
int vm_resume(struct vm *vm);
/* Stopped, or about to be. Thread: the VM's loop. */
bool vm_is_paused(const struct vm *vm);

/*
 * Start the vCPUs at @entry and run the VM's loop on the calling thread until the guest ended; the vCPUs are gone then,
 * devices and memory still there. @stuck is called 5 s after the end if a device still holds a vCPU; it must not
 * return. Thread: main.
 */
enum vm_end vm_run(struct vm *vm, const struct boot_entry *entry, void (*stuck)(void));

/*
 * Memory that the guest sees and that is no RAM: vm_new_slot() gives a number, and vm_set_slot() has KVM show @bytes (0:
 * none any more) at @host there. Devices don't find it in vm_mem(). Returns 0 or a negative errno. Thread: any.
 */
uint32_t vm_new_slot(struct vm *vm);
int vm_set_slot(struct vm *vm, uint32_t slot, uint64_t gpa, void *host, uint64_t bytes);

/*
 * Have KVM signal @eventfd when the guest writes @size bytes (0: any size) at @address, in place of an exit. Returns 0
 * or a negative errno. Thread: any.
 */
int vm_add_ioeventfd(struct vm *vm, uint64_t address, unsigned size, bool pio, int eventfd);
/* The same with a value that must match. */
int vm_add_ioeventfd_match(struct vm *vm, uint64_t address, unsigned size, bool pio, uint64_t value, int eventfd);
void vm_remove_ioeventfd(struct vm *vm, uint64_t address, unsigned size, bool pio, int eventfd);
void vm_remove_ioeventfd_match(struct vm *vm, uint64_t address, unsigned size, bool pio, uint64_t value, int eventfd);

#endif
