# SPDX-License-Identifier: MIT
# Tests with stock Linux guests; each prints TAP.
nested-tests := tests/linux/guests
