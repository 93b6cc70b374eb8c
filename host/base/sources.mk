# SPDX-License-Identifier: MIT
host-base-src := host/base/accept.c host/base/descriptors.c host/base/log.c host/base/loop.c host/base/pool.c host/base/step.c
