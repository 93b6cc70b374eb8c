/* SPDX-License-Identifier: MIT */
/*
 * How many descriptors this process may have. The kernel holds that against another number as well: how many descriptors of
 * all processes of the user are on their way in sockets, sent and not received. A process that leaves as many there as it may
 * keeps all others of the user that may have fewer from sending one (ETOOMANYREFS). So whoever must go on beside a process that
 * a guest may have taken over must be allowed more than that one (host/vhost/sandbox.c: 4096).
 */
#ifndef MULLION_HOST_BASE_DESCRIPTORS_H
#define MULLION_HOST_BASE_DESCRIPTORS_H

/* Allow this process all that it may allow itself: programs start with less, for select(). Thread: any. */
void descriptors_allow_all(void);

#endif
