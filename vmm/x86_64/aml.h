/* SPDX-License-Identifier: MIT */
/*
 * A writer of ACPI Machine Language (specification 6.5, chapter 20) into a buffer of fixed size. Blocks nest: every
 * aml_begin_*() needs an aml_end(). Names are single segments, "_SB" is padded to "_SB_"; a leading '\' is kept.
 */
#ifndef MULLION_VMM_X86_64_AML_H
#define MULLION_VMM_X86_64_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AML_MAX_DEPTH 8u

struct aml {
	uint8_t *buffer;
	size_t room, used;
	bool overflow; /* something did not fit: the result is of no use */
	unsigned depth;
	struct {
		size_t length_at; /* of the PkgLength to fill in */
		size_t size_at;	  /* of a resource template's buffer size; 0: another kind of block */
	} open[AML_MAX_DEPTH];
};

void aml_init(struct aml *a, void *buffer, size_t room);
void aml_end(struct aml *a);

void aml_begin_scope(struct aml *a, const char *name);
void aml_begin_device(struct aml *a, const char *name);
void aml_begin_package(struct aml *a, uint8_t elements);

/* Name (name, ...): one value must follow. */
void aml_name(struct aml *a, const char *name);
void aml_integer(struct aml *a, uint64_t value);
void aml_string(struct aml *a, const char *s);
void aml_eisa_id(struct aml *a, const char *id); /* "PNP0A08" */

/* Resource template (section 6.4): a value; aml_end() closes it. */
void aml_begin_resources(struct aml *a);
void aml_io(struct aml *a, uint16_t port, uint8_t length);
void aml_irq(struct aml *a, unsigned line); /* ISA: edge, active high */
void aml_memory32(struct aml *a, uint32_t base, uint32_t length);
void aml_interrupt(struct aml *a, uint32_t gsi); /* edge, active high, exclusive */
/* Windows of a bridge. */
void aml_bus_numbers(struct aml *a, uint16_t first, uint16_t last);
void aml_io_window(struct aml *a, uint16_t first, uint16_t last);
void aml_memory_window32(struct aml *a, uint32_t base, uint32_t length);
void aml_memory_window64(struct aml *a, uint64_t base, uint64_t length);

#endif
