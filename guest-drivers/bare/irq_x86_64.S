/* SPDX-License-Identifier: MIT */
/*
 * 256 entries of 16 bytes each, from irq_entries on: push an error code where the CPU did not, push the vector,
 * save the general registers and call irq_enter(struct irq_frame *). No vector registers exist here to save.
 */
	.section .text
	.code64
	.balign 16
	.globl irq_entries
irq_entries:
	.set vector, 0
	.rept 256
	.balign 16
	.if vector != 8 && vector != 10 && vector != 11 && vector != 12 && vector != 13 && vector != 14 && vector != 17 && vector != 21
	pushq $0
	.endif
	pushq $vector
	jmp enter
	.set vector, vector + 1
	.endr

enter:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	movq %rsp, %rbp
	andq $-16, %rsp
	call irq_enter
	movq %rbp, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

	.section .note.GNU-stack, "", @progbits
