// SPDX-License-Identifier: MIT
/* CPUID as the guest sees it: KVM's list with this machine's topology. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/x86_64/cpuid.h"

static struct kvm_cpuid2 *list(void)
{
	static const struct kvm_cpuid_entry2 host[] = {
		{.function = 0, .eax = 0x1f},
		/* APIC ID 7 of 16, MONITOR, VMX and SVM on: the processor that the VMM happened to run on. */
		{.function = 1, .ebx = 0x07100800, .ecx = 1 << 3 | 1 << 5 | 1 << 0, .edx = 1 << 28 | 1 << 4},
		{.function = 4, .index = 0, .eax = 0x1c004121}, /* L1 data, 2 threads, 8 cores */
		{.function = 4, .index = 3, .eax = 0x1c03c163}, /* L3, 16 threads */
		{.function = 4, .index = 4, .eax = 0},
		{.function = 0xb, .index = 0, .eax = 1, .ebx = 2, .edx = 7},
		{.function = 0xb, .index = 1, .eax = 4, .ebx = 16, .edx = 7},
		{.function = 0x1f, .index = 0, .eax = 1, .ebx = 2, .edx = 7},
		{.function = 0x80000001, .ecx = 1 << 2 | 1 << 22},
		{.function = 0x80000008, .eax = 0x3030, .ebx = 1, .ecx = 0x7001},
		{.function = 0x8000000a, .eax = 1, .ebx = 8, .edx = 0xff},
		{.function = 0x8000001d, .index = 0, .eax = 0x121 | 1 << 14},
		{.function = 0x8000001d, .index = 3, .eax = 0x163 | 15 << 14},
		{.function = 0x8000001e, .eax = 7, .ebx = 0x107, .ecx = 1},
		{.function = 0x40000001, .eax = 0x1007efb},
	};
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + CPUID_MAX_ENTRIES * sizeof(c->entries[0]));

	c->nent = sizeof(host) / sizeof(host[0]);
	memcpy(c->entries, host, sizeof(host));
	return c;
}

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	const struct kvm_cpuid_entry2 *found = NULL;

	for (uint32_t i = 0; i < c->nent; i++) {
		if (c->entries[i].function != function || c->entries[i].index != index)
			continue;
		assert_null(found);
		found = &c->entries[i];
	}
	assert_non_null(found);
	return found;
}

static void one_processor(void **state)
{
	struct kvm_cpuid2 *c = list();
	const struct cpuid_machine m = {.index = 0, .cpus = 1};

	(void)state;
	assert_int_equal(cpuid_filter(c, &m), 0);
	assert_int_equal(find(c, 1, 0)->ebx, 0x00010800);
	assert_int_equal(find(c, 1, 0)->edx, 1 << 4);
	assert_int_equal(find(c, 1, 0)->ecx, 1u << 31 | 1 << 21 | 1 << 0);
	assert_int_equal(find(c, 4, 0)->eax, 0x121);
	assert_int_equal(find(c, 4, 3)->eax, 0x163);
	assert_int_equal(find(c, 0xb, 1)->eax, 0);
	assert_int_equal(find(c, 0xb, 1)->ebx, 1);
	assert_int_equal(find(c, 0x80000001, 0)->ecx, 1 << 22);
	assert_int_equal(find(c, 0x80000008, 0)->ecx, 0);
	assert_int_equal(find(c, 0x40000001, 0)->eax, 0x1007efb);
	free(c);
}

static void every_processor_knows_its_place(void **state)
{
	(void)state;
	for (unsigned index = 0; index < 6; index++) {
		struct kvm_cpuid2 *c = list();
		const struct cpuid_machine m = {.index = index, .cpus = 6, .has_tsc_deadline = true};

		assert_int_equal(cpuid_filter(c, &m), 0);
		assert_int_equal(find(c, 1, 0)->ebx, index << 24 | 6 << 16 | 0x0800);
		assert_true(find(c, 1, 0)->edx & 1 << 28);
		assert_true(find(c, 1, 0)->ecx & 1 << 24);
		/* Six cores need three bits of the APIC ID; L3 is shared by all, L1 by nobody. */
		assert_int_equal(find(c, 4, 0)->eax, 0x121 | 7u << 26);
		assert_int_equal(find(c, 4, 3)->eax, 0x163 | 7u << 26 | 7 << 14);
		assert_int_equal(find(c, 4, 4)->eax, 0);
		for (uint32_t leaf = 0xb; leaf <= 0x1f; leaf += 0x1f - 0xb) {
			assert_int_equal(find(c, leaf, 0)->eax, 0);
			assert_int_equal(find(c, leaf, 0)->ebx, 1);
			assert_int_equal(find(c, leaf, 0)->ecx, 0x100);
			assert_int_equal(find(c, leaf, 0)->edx, index);
			assert_int_equal(find(c, leaf, 1)->eax, 3);
			assert_int_equal(find(c, leaf, 1)->ebx, 6);
			assert_int_equal(find(c, leaf, 1)->ecx, 0x201);
			assert_int_equal(find(c, leaf, 1)->edx, index);
			assert_int_equal(find(c, leaf, 2)->ecx, 2);
		}
		assert_true(find(c, 0x80000001, 0)->ecx & 1 << 1);
		assert_int_equal(find(c, 0x80000008, 0)->ecx, 3 << 12 | 5);
		assert_int_equal(find(c, 0x8000000a, 0)->edx, 0);
		assert_int_equal(find(c, 0x8000001d, 0)->eax, 0x121);
		assert_int_equal(find(c, 0x8000001d, 3)->eax, 0x163 | 7 << 14);
		assert_int_equal(find(c, 0x8000001e, 0)->eax, index);
		assert_int_equal(find(c, 0x8000001e, 0)->ebx, index);
		assert_int_equal(find(c, 0x8000001e, 0)->ecx, 0);
		free(c);
	}
}

static void leaves_that_the_host_lacks_are_not_made_up(void **state)
{
	struct kvm_cpuid2 *c = list();
	const struct cpuid_machine m = {.index = 0, .cpus = 2};

	(void)state;
	c->entries[0].eax = 0x0a;
	assert_int_equal(cpuid_filter(c, &m), 0);
	for (uint32_t i = 0; i < c->nent; i++)
		assert_true(c->entries[i].function != 0xb && c->entries[i].function != 0x1f);
	free(c);
}

static void a_full_list_is_an_error(void **state)
{
	struct kvm_cpuid2 *c = list();
	const struct cpuid_machine m = {.index = 0, .cpus = 2};

	(void)state;
	for (; c->nent < CPUID_MAX_ENTRIES; c->nent++)
		c->entries[c->nent].function = 0x50000000 + c->nent;
	/* Three entries of the host's topology make room for three of the six needed. */
	assert_int_equal(cpuid_filter(c, &m), -ENOSPC);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_processor),
		cmocka_unit_test(every_processor_knows_its_place),
		cmocka_unit_test(leaves_that_the_host_lacks_are_not_made_up),
		cmocka_unit_test(a_full_list_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
