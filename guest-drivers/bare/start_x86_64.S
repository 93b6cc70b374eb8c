/* SPDX-License-Identifier: MIT */
/*
 * Two ways in:
 *   _start      64-bit long mode, the low 4 GiB identity-mapped, interrupts off, RSI = struct boot_params (mullion);
 *               a flat image is entered here too, at its first byte.
 *   pvh_start   32-bit protected mode, paging off, EBX = struct hvm_start_info (PVH, named by the ELF note).
 * Both end in boot_start(kind, info) on our own stack and descriptor table.
 */
#define BOOT_KIND_LINUX 0
#define BOOT_KIND_PVH 1

#define CODE64 0x08
#define DATA 0x10
#define CODE32 0x18

#define STACK_BYTES 65536

	.section .text.start, "ax"
	.code64
	.globl _start
_start:
	cld
	movl $BOOT_KIND_LINUX, %edi

	/* A flat image brings no zeroed memory along. */
	movq %rdi, %r8
	movq %rsi, %r9
	leaq bss_start(%rip), %rdi
	leaq bss_end(%rip), %rcx
	subq %rdi, %rcx
	shrq $3, %rcx
	xorl %eax, %eax
	rep stosq
	movq %r8, %rdi
	movq %r9, %rsi

start64:
	leaq stack_top(%rip), %rsp
	lgdt gdt_pointer(%rip)
	pushq $CODE64
	leaq 1f(%rip), %rax
	pushq %rax
	lretq
1:
	movl $DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %ebp, %ebp
	call boot_start
2:	cli
	hlt
	jmp 2b

	.code32
	.globl pvh_start
pvh_start:
	cld
	/* The loader zeroed .bss, but one that did not would leave stale page tables: clear what is built here. */
	movl $page_tables, %edi
	movl $(6 * 4096 / 4), %ecx
	xorl %eax, %eax
	rep stosl

	/* One level-4 and one level-3 table, four level-2 tables of 2 MiB pages: 4 GiB. */
	movl $(page_tables + 0x1003), page_tables
	movl $(page_tables + 0x2003), page_tables + 0x1000
	movl $(page_tables + 0x3003), page_tables + 0x1008
	movl $(page_tables + 0x4003), page_tables + 0x1010
	movl $(page_tables + 0x5003), page_tables + 0x1018
	movl $(page_tables + 0x2000), %edi
	movl $0x83, %eax
	movl $2048, %ecx
1:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	decl %ecx
	jnz 1b

	movl $page_tables, %eax
	movl %eax, %cr3
	movl %cr4, %eax
	orl $0x20, %eax			/* PAE */
	movl %eax, %cr4
	movl $0xc0000080, %ecx		/* EFER */
	rdmsr
	orl $0x100, %eax		/* LME */
	wrmsr
	movl %cr0, %eax
	orl $0x80000000, %eax		/* PG */
	movl %eax, %cr0

	lgdt gdt_pointer
	movl $BOOT_KIND_PVH, %edi
	movl %ebx, %esi
	ljmp $CODE64, $start64

	.section .data
	.balign 16
gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* CODE64 */
	.quad 0x00cf93000000ffff	/* DATA */
	.quad 0x00cf9b000000ffff	/* CODE32 */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt

	.section .note.pvh, "a", @note
	.balign 4
	.long 4				/* name bytes */
	.long 8				/* descriptor bytes */
	.long 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad pvh_start

	.section .noclear, "aw", @nobits
	.balign 4096
page_tables:
	.skip 6 * 4096
	.skip STACK_BYTES
stack_top:

	.section .note.GNU-stack, "", @progbits
