// SPDX-License-Identifier: MIT
#include "vmm/x86_64/tables.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/base/log.h"
#include "vmm/arch.h"
#include "vmm/x86_64/aml.h"

#define PACKED __attribute__((packed))

/* Section 5.2.6 */
struct PACKED table_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
};

/* Section 5.2.5.3 */
struct PACKED rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
};

/* Section 5.2.3.2 */
struct PACKED generic_address {
	uint8_t space, bit_width, bit_offset, access_size;
	uint64_t address;
};

#define SPACE_IO 1
#define ACCESS_BYTE 1
#define ACCESS_WORD 2
#define ACCESS_DWORD 3

/* Section 5.2.9 */
struct PACKED fadt {
	struct table_header header;
	uint32_t facs, dsdt;
	uint8_t reserved1, pm_profile;
	uint16_t sci;
	uint32_t smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
	uint8_t pm1_event_bytes, pm1_control_bytes, pm2_control_bytes, pm_timer_bytes, gpe0_bytes, gpe1_bytes,
		gpe1_base, cst;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_flags;
	uint8_t reserved2;
	uint32_t flags;
	struct generic_address reset_register;
	uint8_t reset_value;
	uint16_t arm_boot_flags;
	uint8_t minor_revision;
	uint64_t x_facs, x_dsdt;
	struct generic_address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control, x_pm_timer,
		x_gpe0, x_gpe1, sleep_control, sleep_status;
	uint8_t hypervisor[8];
};
_Static_assert(sizeof(struct fadt) == 276, "section 5.2.9");

#define BOOT_LEGACY_DEVICES (1u << 0) /* and not bit 1: no keyboard controller */
#define BOOT_NO_VGA (1u << 2)
#define BOOT_NO_ASPM (1u << 4)
#define FADT_WBINVD (1u << 0)
#define FADT_C1 (1u << 2)
#define FADT_NO_SLEEP_BUTTON (1u << 5) /* and not bit 4: the power button is fixed hardware */
#define FADT_NO_RTC_WAKE (1u << 6)
#define FADT_TIMER_32_BITS (1u << 8)
#define FADT_RESET_REGISTER (1u << 10)
#define LATENCY_NONE 0xffff
#define RESET_VALUE 6

/* Section 5.2.10 */
struct PACKED facs {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
};
_Static_assert(sizeof(struct facs) == 64, "section 5.2.10");

/* Section 5.2.12 */
struct PACKED madt {
	struct table_header header;
	uint32_t lapic, flags;
};
#define MADT_HAS_PIC 1u

struct PACKED madt_lapic {
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
};

struct PACKED madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
};

struct PACKED madt_override {
	uint8_t type, length, bus, source;
	uint32_t gsi;
	uint16_t flags;
};

struct PACKED madt_nmi {
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
};

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_NMI = 4 };
#define OVERRIDE_AS_BUS 0
#define OVERRIDE_HIGH_LEVEL 0x0d
#define UID_ALL 0xff

/* PCI Firmware Specification 3.3, section 4.1.2 */
struct PACKED mcfg {
	struct table_header header;
	uint64_t reserved;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved2;
};

struct writer {
	uint8_t *to;
	size_t room, used;
	uint64_t gpa;
	uint64_t tables[8]; /* for the XSDT */
	unsigned table_count;
	bool overflow;
};

static void put(struct writer *w, const void *bytes, size_t n)
{
	if (w->overflow || n > w->room - w->used) {
		w->overflow = true;
		return;
	}
	memcpy(w->to + w->used, bytes, n);
	w->used += n;
}

static void align(struct writer *w, size_t to)
{
	size_t pad = -w->used & (to - 1);

	if (pad > w->room - w->used)
		w->overflow = true;
	else if (!w->overflow)
		memset(w->to + w->used, 0, pad), w->used += pad;
}

static uint8_t sum(const void *bytes, size_t n)
{
	const uint8_t *b = bytes;
	unsigned s = 0;

	while (n--)
		s += *b++;
	return (uint8_t)-s;
}

static struct table_header header(const char *signature, uint8_t revision)
{
	struct table_header h = {
		.revision = revision,
		.oem_id = {'M', 'U', 'L', 'L', 'I', 'O'},
		.oem_table_id = {'M', 'U', 'L', 'L', 'I', 'O', 'N', ' '},
		.oem_revision = 1,
		.creator_id = {'M', 'U', 'L', 'N'},
		.creator_revision = 1,
	};

	memcpy(h.signature, signature, sizeof(h.signature));
	return h;
}

/* Fill in the length and the checksum of the table that started at @start, and note it for the XSDT. */
static uint64_t finish(struct writer *w, size_t start)
{
	struct table_header h;

	if (w->overflow)
		return 0;
	memcpy(&h, w->to + start, sizeof(h));
	h.length = (uint32_t)(w->used - start);
	h.checksum = 0;
	memcpy(w->to + start, &h, sizeof(h));
	h.checksum = sum(w->to + start, h.length);
	memcpy(w->to + start, &h, sizeof(h));
	return w->gpa + start;
}

static void list(struct writer *w, uint64_t table)
{
	w->tables[w->table_count++] = table;
}

/* ---- DSDT ---- */

static void add_pci(struct aml *a, const struct pci_layout *pci)
{
	aml_begin_device(a, "PCI0");
	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0A08");
	aml_name(a, "_CID");
	aml_eisa_id(a, "PNP0A03");
	aml_name(a, "_UID");
	aml_integer(a, 0);
	aml_name(a, "_SEG");
	aml_integer(a, 0);
	aml_name(a, "_BBN");
	aml_integer(a, 0);
	aml_name(a, "_CCA");
	aml_integer(a, 1);
	aml_name(a, "_CRS");
	aml_begin_resources(a);
	aml_bus_numbers(a, 0, (uint16_t)(LAYOUT_PCI_ECAM_SIZE / 0x100000 - 1));
	if (pci->has_ports) {
		aml_io(a, 0xcf8, 8); /* used by the bridge itself */
		aml_io_window(a, 0, 0xcf7);
		aml_io_window(a, 0xd00, 0xffff);
	}
	aml_memory_window32(a, (uint32_t)pci->mmio32_base, (uint32_t)pci->mmio32_size);
	aml_memory_window64(a, pci->mmio64_base, pci->mmio64_size);
	aml_end(a);

	/* Section 6.2.13: who raises which interrupt; source 0 means that the index is a GSI. */
	aml_name(a, "_PRT");
	aml_begin_package(a, PCI_SLOTS * 4);
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			aml_begin_package(a, 4);
			aml_integer(a, (uint64_t)slot << 16 | 0xffff);
			aml_integer(a, pin);
			aml_integer(a, 0);
			aml_integer(a, pci_intx_gsi(pci, slot, pin));
			aml_end(a);
		}
	}
	aml_end(a);
	aml_end(a);

	/* The ECAM range is taken, which Linux looks for before it uses the MCFG table. */
	aml_begin_device(a, "MBRD");
	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0C02");
	aml_name(a, "_CRS");
	aml_begin_resources(a);
	aml_memory32(a, (uint32_t)pci->ecam_base, (uint32_t)LAYOUT_PCI_ECAM_SIZE);
	aml_end(a);
	aml_end(a);
}

static void add_legacy(struct aml *a)
{
	aml_begin_device(a, "COM1");
	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0501");
	aml_name(a, "_UID");
	aml_integer(a, 1);
	aml_name(a, "_CRS");
	aml_begin_resources(a);
	aml_io(a, LAYOUT_PORT_SERIAL, 8);
	aml_irq(a, LAYOUT_GSI_SERIAL);
	aml_end(a);
	aml_end(a);

	aml_begin_device(a, "RTC");
	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0B00");
	aml_name(a, "_CRS");
	aml_begin_resources(a);
	aml_io(a, LAYOUT_PORT_RTC, 2);
	aml_end(a);
	aml_end(a);

	aml_begin_device(a, "PEVT");
	aml_name(a, "_HID");
	aml_string(a, "QEMU0001");
	aml_name(a, "_STA");
	aml_integer(a, 0x0f); /* present, enabled, shown, working */
	aml_name(a, "_CRS");
	aml_begin_resources(a);
	aml_io(a, LAYOUT_PORT_PVPANIC, 1);
	aml_end(a);
	aml_end(a);
}

static void add_virtio_mmio(struct aml *a, unsigned slot)
{
	char name[5];
	uint64_t base;
	uint32_t gsi;

	if (!arch_mmio_slot(slot, &base, &gsi))
		return;
	snprintf(name, sizeof(name), "VR%02X", slot & 0xff);
	aml_begin_device(a, name);
	aml_name(a, "_HID");
	aml_string(a, "LNRO0005");
	aml_name(a, "_UID");
	aml_integer(a, slot);
	aml_name(a, "_CCA");
	aml_integer(a, 1);
	aml_name(a, "_CRS");
	aml_begin_resources(a);
	aml_memory32(a, (uint32_t)base, (uint32_t)LAYOUT_VIRTIO_MMIO_SIZE);
	aml_interrupt(a, gsi);
	aml_end(a);
	aml_end(a);
}

static uint64_t build_dsdt(struct writer *w, const struct tables_config *c)
{
	struct table_header h = header("DSDT", 2); /* 2: integers have 64 bits */
	struct aml a;
	size_t start;

	align(w, 64);
	start = w->used;
	put(w, &h, sizeof(h));
	aml_init(&a, w->to + w->used, w->room - w->used);
	aml_begin_scope(&a, "\\_SB");
	if (c->has_pci)
		add_pci(&a, &c->pci);
	add_legacy(&a);
	for (unsigned slot = 0; slot < c->mmio_slots; slot++)
		add_virtio_mmio(&a, slot);
	aml_end(&a);
	aml_name(&a, "\\_S5");
	aml_begin_package(&a, 4);
	aml_integer(&a, LAYOUT_S5_SLEEP_TYPE);
	aml_integer(&a, LAYOUT_S5_SLEEP_TYPE);
	aml_integer(&a, 0);
	aml_integer(&a, 0);
	aml_end(&a);
	w->overflow |= a.overflow;
	w->used += a.used;
	return finish(w, start);
}

/* ---- the other tables ---- */

static struct generic_address port(uint64_t address, uint8_t bytes, uint8_t access_size)
{
	return (struct generic_address){
		.space = SPACE_IO,
		.bit_width = (uint8_t)(bytes * 8),
		.access_size = access_size,
		.address = address,
	};
}

static uint64_t build_facs(struct writer *w)
{
	struct facs f = {.signature = {'F', 'A', 'C', 'S'}, .length = sizeof(f), .version = 2};
	uint64_t at;

	align(w, 64);
	at = w->gpa + w->used;
	put(w, &f, sizeof(f));
	return at;
}

static void build_fadt(struct writer *w, uint64_t facs, uint64_t dsdt)
{
	struct fadt f = {
		.header = header("FACP", 6),
		.minor_revision = 5,
		.facs = (uint32_t)facs,
		.dsdt = (uint32_t)dsdt,
		.x_dsdt = dsdt,
		.sci = LAYOUT_GSI_SCI,
		.pm1a_event = LAYOUT_PORT_PM_EVENT,
		.pm1a_control = LAYOUT_PORT_PM_CONTROL,
		.pm_timer = LAYOUT_PORT_PM_TIMER,
		.pm1_event_bytes = 4,
		.pm1_control_bytes = 2,
		.pm_timer_bytes = 4,
		.c2_latency = LATENCY_NONE,
		.c3_latency = LATENCY_NONE,
		.century = LAYOUT_CMOS_CENTURY,
		.boot_flags = BOOT_LEGACY_DEVICES | BOOT_NO_VGA | BOOT_NO_ASPM,
		.flags = FADT_WBINVD | FADT_C1 | FADT_NO_SLEEP_BUTTON | FADT_NO_RTC_WAKE | FADT_TIMER_32_BITS |
			 FADT_RESET_REGISTER,
		.reset_register = port(LAYOUT_PORT_RESET, 1, ACCESS_BYTE),
		.reset_value = RESET_VALUE,
		.x_pm1a_event = port(LAYOUT_PORT_PM_EVENT, 4, ACCESS_WORD),
		.x_pm1a_control = port(LAYOUT_PORT_PM_CONTROL, 2, ACCESS_WORD),
		.x_pm_timer = port(LAYOUT_PORT_PM_TIMER, 4, ACCESS_DWORD),
		.hypervisor = {'M', 'u', 'l', 'l', 'i', 'o', 'n', 0},
	};
	size_t start;

	align(w, 16);
	start = w->used;
	put(w, &f, sizeof(f));
	list(w, finish(w, start));
}

static void build_madt(struct writer *w, unsigned cpus)
{
	struct madt m = {.header = header("APIC", 5), .lapic = (uint32_t)LAYOUT_LAPIC, .flags = MADT_HAS_PIC};
	const struct madt_ioapic ioapic = {
		.type = MADT_IOAPIC,
		.length = sizeof(ioapic),
		.address = (uint32_t)LAYOUT_IOAPIC,
	};
	const struct madt_override overrides[] = {
		{MADT_OVERRIDE, sizeof(overrides[0]), 0, 0, 2, OVERRIDE_AS_BUS}, /* PIT */
		{MADT_OVERRIDE, sizeof(overrides[0]), 0, LAYOUT_GSI_SCI, LAYOUT_GSI_SCI, OVERRIDE_HIGH_LEVEL},
	};
	const struct madt_nmi nmi = {.type = MADT_NMI, .length = sizeof(nmi), .uid = UID_ALL, .lint = 1};
	size_t start;

	align(w, 16);
	start = w->used;
	put(w, &m, sizeof(m));
	/* APIC IDs below 255 have this entry in xAPIC and x2APIC mode alike (section 5.2.12.12). */
	for (unsigned i = 0; i < cpus; i++) {
		struct madt_lapic lapic = {
			.type = MADT_LAPIC,
			.length = sizeof(lapic),
			.uid = (uint8_t)i,
			.apic_id = (uint8_t)i,
			.flags = 1,
		};

		put(w, &lapic, sizeof(lapic));
	}
	put(w, &ioapic, sizeof(ioapic));
	put(w, overrides, sizeof(overrides));
	put(w, &nmi, sizeof(nmi));
	list(w, finish(w, start));
}

static void build_mcfg(struct writer *w, const struct pci_layout *pci)
{
	struct mcfg m = {
		.header = header("MCFG", 1),
		.base = pci->ecam_base,
		.last_bus = (uint8_t)(LAYOUT_PCI_ECAM_SIZE / 0x100000 - 1),
	};
	size_t start;

	align(w, 16);
	start = w->used;
	put(w, &m, sizeof(m));
	list(w, finish(w, start));
}

static uint64_t build_xsdt(struct writer *w)
{
	struct table_header h = header("XSDT", 1);
	size_t start;

	align(w, 16);
	start = w->used;
	put(w, &h, sizeof(h));
	put(w, w->tables, w->table_count * sizeof(w->tables[0]));
	return finish(w, start);
}

int tables_build(const struct tables_config *c, void *to, size_t room, uint64_t gpa, uint64_t *rsdp)
{
	struct writer w = {.to = to, .room = room, .gpa = gpa};
	struct rsdp r = {
		.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
		.oem_id = {'M', 'U', 'L', 'L', 'I', 'O'},
		.revision = 2,
		.length = sizeof(r),
	};
	uint64_t facs;

	put(&w, &r, sizeof(r));
	facs = build_facs(&w);
	build_fadt(&w, facs, build_dsdt(&w, c));
	build_madt(&w, c->cpus);
	if (c->has_pci)
		build_mcfg(&w, &c->pci);
	r.xsdt = build_xsdt(&w);
	if (w.overflow) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "the ACPI tables don't fit %zu bytes", room);
		return -ENOSPC;
	}
	r.checksum = sum(&r, 20);
	r.extended_checksum = sum(&r, sizeof(r));
	memcpy(to, &r, sizeof(r));
	*rsdp = gpa;
	return 0;
}
