# SPDX-License-Identifier: MIT
# Linked into every C test, fuzz target and bench.
test-lib-src := tests/lib/fake_guest.c tests/lib/echo.c
