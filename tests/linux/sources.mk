# SPDX-License-Identifier: MIT
# Tests with stock Linux guests; each prints TAP.
nested-tests := tests/linux/guests tests/linux/arm64 tests/linux/arm64-machine tests/bare/arm64
uml-tests := tests/linux/uml tests/linux/uml-recovery
qemu-tests := tests/linux/qemu
# The User Mode Linux kernel for tests of mullion-gpu; kept outside the checkout.
.PHONY: uml
uml:
	$(Q)tests/linux/uml-build.sh
