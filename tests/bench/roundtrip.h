/* SPDX-License-Identifier: MIT */
/* What bench_roundtrip.c and its guest, guest_roundtrip.c, agree on. */
#ifndef MULLION_TESTS_BENCH_ROUNDTRIP_H
#define MULLION_TESTS_BENCH_ROUNDTRIP_H

#define ROUNDTRIP_PAIRS 301u
#define ROUNDTRIP_ROUNDS 20u /* in each half of a pair */

/* An address with nothing behind it but an ioeventfd. */
#define ROUNDTRIP_DOORBELL 0xef000000u

/* Ports, 32 bits each: the message that the raw loop is to send, and what the guest does now. */
#define ROUNDTRIP_PORT 0x5f0u
#define ROUNDTRIP_PORT_BYTES 12u
#define ROUNDTRIP_MESSAGE_ADDRESS 0u
#define ROUNDTRIP_MESSAGE_DATA 4u
#define ROUNDTRIP_PHASE 8u

enum roundtrip_phase { ROUNDTRIP_RAW, ROUNDTRIP_VIRTIO, ROUNDTRIP_BREAK };

#endif
