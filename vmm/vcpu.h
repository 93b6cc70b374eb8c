/* SPDX-License-Identifier: MIT */
/*
 * A virtual processor: its KVM descriptor and the thread that runs it.
 */
#ifndef MULLION_VMM_VCPU_H
#define MULLION_VMM_VCPU_H

struct vcpu;
struct vm;

/* Make vCPU @index with the state it has after power-on. Returns 0 or a negative errno, after printing a line. */
int vcpu_create(struct vm *vm, unsigned index, struct vcpu **out);

/* Stops nothing: the thread, if there was one, has been joined. NULL is fine. */
void vcpu_destroy(struct vcpu *v);

int vcpu_fd(const struct vcpu *v);

/*
 * Run the guest on a thread of its own until vcpu_kick(). On that thread @parked is called each time it has left the
 * guest for vcpu_pause(), and @ended as its last deed.
 */
int vcpu_start(struct vcpu *v, void (*parked)(struct vm *vm), void (*ended)(struct vm *vm));

/*
 * Leave the guest, now or before it is next entered, and park the thread until vcpu_resume() or vcpu_kick(). Not again
 * before vcpu_resume(). Thread: the VM's loop.
 */
void vcpu_pause(struct vcpu *v);
void vcpu_resume(struct vcpu *v);

/* Leave KVM_RUN, now or before it is next entered, and end the thread. Thread: any. */
void vcpu_kick(struct vcpu *v);

void vcpu_join(struct vcpu *v);

#endif
