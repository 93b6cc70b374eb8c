/* SPDX-License-Identifier: MIT */
/*
 * What the user types for a virtio console on the terminal: standard input without the Ctrl-A escapes, as a pipe.
 * Thread: the VM's loop, or before it runs.
 */
#ifndef MULLION_VMM_KEYBOARD_H
#define MULLION_VMM_KEYBOARD_H

struct keyboard;
struct vm;

int keyboard_create(struct vm *vm, struct keyboard **out);
void keyboard_destroy(struct keyboard *k); /* NULL is fine */

/* The pipe's end to read from; the keyboard's own. */
int keyboard_fd(const struct keyboard *k);

#endif
