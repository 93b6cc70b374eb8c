/* SPDX-License-Identifier: MIT */
/*
 * A journal at once, where no other process may still write to it: journal_map() and journal_load().
 */
#ifndef MULLION_TESTS_LIB_JOURNAL_OPEN_H
#define MULLION_TESTS_LIB_JOURNAL_OPEN_H

#include "host/virtio/journal.h"

static inline int MUST_CHECK journal_open(int fd, struct journal **out)
{
	int err = journal_map(fd, out);

	if (err < 0)
		return err;
	err = journal_load(*out);
	if (err < 0)
		journal_close(*out);
	return err;
}

#endif
