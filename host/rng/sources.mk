# SPDX-License-Identifier: MIT
host-rng-src := host/rng/rng.c
