/* SPDX-License-Identifier: MIT */
/*
 * Keys by name. Thread: any.
 */
#ifndef MULLION_VMM_CTL_KEYS_H
#define MULLION_VMM_CTL_KEYS_H

#include <stddef.h>
#include <stdint.h>

/*
 * The code of the key called @name, @n bytes: as in <linux/input-event-codes.h>, in small letters without KEY_, a few
 * short names (ctrl, shift, alt, meta, del, ...), or the code itself as two or three digits (028 is enter). 0: there is
 * none.
 */
uint16_t ctl_key_code(const char *name, size_t n);

#endif
