/* SPDX-License-Identifier: MIT */
/*
 * Entry at EL1 or EL2 with the MMU off and x0 = flattened device tree (the Linux boot protocol; a loader that gives
 * none leaves 0 or garbage, boot_arm64.c looks elsewhere then). The first words are a Linux Image header, so that
 * a flat copy of the image can be started as a kernel.
 *
 * Builds a flat mapping: the first GiB as device memory, the next three as normal cached memory (a guest whose
 * caches are off would not see what a device writes on hosts without forced write-back).
 */
#define STACK_BYTES 65536

#define MAIR_DEVICE 0x00		/* index 0: Device-nGnRnE */
#define MAIR_NORMAL 0xff		/* index 1: write-back, allocate */
#define BLOCK_DEVICE 0x0060000000000401	/* block, index 0, access flag, never executed */
#define BLOCK_NORMAL 0x0000000000000705	/* block, index 1, inner shareable, access flag */
/* 39-bit addresses below, 4 KiB granule, inner shareable, write-back walks; nothing above (EPD1); 40-bit output */
#define TCR 0x0000000200803519

	.section .text.start, "ax"
	.globl _start
_start:
	b	enter
	.long	0
	.quad	0			/* offset of the image from a 2 MiB boundary */
	.quad	image_bytes
	.quad	0x0a			/* little-endian, 4 KiB pages, anywhere in RAM */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

enter:
	mov	x19, x0
	msr	daifset, #0xf

	mrs	x1, CurrentEL
	cmp	x1, #(2 << 2)
	b.ne	at_el1
	mov	x1, #(1 << 31)		/* EL1 is AArch64 */
	msr	hcr_el2, x1
	mov	x1, #3			/* EL1 may use the physical timer and counter */
	msr	cnthctl_el2, x1
	msr	cntvoff_el2, xzr
	mrs	x1, id_aa64pfr0_el1
	ubfx	x1, x1, #24, #4		/* GIC system registers */
	cbz	x1, 1f
	mrs	x1, S3_4_C12_C9_5	/* ICC_SRE_EL2 */
	orr	x1, x1, #1		/* SRE */
	orr	x1, x1, #8		/* Enable: EL1 may use them */
	msr	S3_4_C12_C9_5, x1
	isb
1:	mov	x1, #0x3c5		/* EL1h, all masked */
	msr	spsr_el2, x1
	adr	x1, at_el1
	msr	elr_el2, x1
	eret

at_el1:
	/* Zero .bss and the page tables (a flat image brings no zeroed memory along). */
	adrp	x1, bss_start
	add	x1, x1, :lo12:bss_start
	adrp	x2, bss_end
	add	x2, x2, :lo12:bss_end
1:	cmp	x1, x2
	b.hs	2f
	stp	xzr, xzr, [x1], #16
	b	1b
2:
	adrp	x1, page_table
	ldr	x2, =BLOCK_DEVICE
	str	x2, [x1]
	ldr	x2, =BLOCK_NORMAL
	mov	x3, #0x40000000
	add	x4, x2, x3
	str	x4, [x1, #8]
	add	x4, x4, x3
	str	x4, [x1, #16]
	add	x4, x4, x3
	str	x4, [x1, #24]
	dsb	sy

	mov	x2, #(MAIR_NORMAL << 8 | MAIR_DEVICE)
	msr	mair_el1, x2
	ldr	x2, =TCR
	msr	tcr_el1, x2
	msr	ttbr0_el1, x1
	isb
	tlbi	vmalle1
	dsb	nsh
	ic	iallu
	dsb	nsh
	isb
	ldr	x2, =0x30d0198d		/* MMU, caches, alignment and stack checks as the architecture resets them */
	bic	x2, x2, #2		/* no alignment faults on normal memory */
	msr	sctlr_el1, x2
	isb

	ldr	x1, =vectors
	msr	vbar_el1, x1
	ldr	x1, =stack_top
	mov	sp, x1
	mov	x29, xzr
	mov	x30, xzr
	mov	x0, #2			/* BOOT_KIND_FDT */
	mov	x1, x19
	bl	boot_start
3:	wfi
	b	3b

/* Save what a C function may change, call @handler with a pointer to it, restore, return. */
	.macro	entry kind, handler
	.balign	128
	sub	sp, sp, #208
	stp	x0, x1, [sp, #0]
	mov	x0, #\kind
	b	\handler
	.endm

	.section .text
	.balign	2048
vectors:
	entry 0, fault_entry		/* current EL, SP0 */
	entry 1, fault_entry
	entry 2, fault_entry
	entry 3, fault_entry
	entry 4, fault_entry		/* current EL, SPx: synchronous */
	entry 5, irq_entry		/* IRQ */
	entry 6, fault_entry		/* FIQ */
	entry 7, fault_entry		/* SError */
	entry 8, fault_entry		/* lower EL: nothing runs there */
	entry 9, fault_entry
	entry 10, fault_entry
	entry 11, fault_entry
	entry 12, fault_entry
	entry 13, fault_entry
	entry 14, fault_entry
	entry 15, fault_entry

irq_entry:
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x29, [sp, #144]
	mrs	x2, elr_el1
	mrs	x3, spsr_el1
	stp	x30, x2, [sp, #160]
	str	x3, [sp, #176]
	bl	irq_enter
	ldp	x30, x2, [sp, #160]
	ldr	x3, [sp, #176]
	msr	elr_el1, x2
	msr	spsr_el1, x3
	ldp	x18, x29, [sp, #144]
	ldp	x16, x17, [sp, #128]
	ldp	x14, x15, [sp, #112]
	ldp	x12, x13, [sp, #96]
	ldp	x10, x11, [sp, #80]
	ldp	x8, x9, [sp, #64]
	ldp	x6, x7, [sp, #48]
	ldp	x4, x5, [sp, #32]
	ldp	x2, x3, [sp, #16]
	ldp	x0, x1, [sp, #0]
	add	sp, sp, #208
	eret

fault_entry:
	mrs	x1, esr_el1
	mrs	x2, elr_el1
	mrs	x3, far_el1
	bl	exception		/* does not return */

	.section .noclear, "aw", @nobits
	.balign	4096
	.globl	page_table
page_table:
	.skip	4096
	.balign	16
	.skip	STACK_BYTES
stack_top:

	.section .note.GNU-stack, "", @progbits
