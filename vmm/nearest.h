/* SPDX-License-Identifier: MIT */
/* What was meant by a word that was mistyped: an option, a command, a verb. Thread: any. */
#ifndef MULLION_VMM_NEAREST_H
#define MULLION_VMM_NEAREST_H

/* The nearest of @names (NULL-terminated) to the mistyped @word, or NULL if none is near. */
const char *nearest_word(const char *word, const char *const *names);

#endif
