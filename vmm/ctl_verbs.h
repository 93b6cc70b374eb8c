/* SPDX-License-Identifier: MIT */
/*
 * The verbs of `mullion ctl`: words to a request, the answer to words. Thread: main.
 */
#ifndef MULLION_VMM_CTL_VERBS_H
#define MULLION_VMM_CTL_VERBS_H

#include <json-c/json.h>

struct ctl_verb {
	const char *verb, *second; /* NULL: one word */
	const char *arguments;	   /* for --help */
	int min, max;		   /* words behind the verb */
	const char *command;	   /* of the protocol */
	/* Add the words to the request. 0, or -EINVAL after a line that says what is wrong. NULL: nothing to add. */
	int (*fill)(struct json_object *request, int n, char **words);
	void (*print)(struct json_object *answer); /* NULL: nothing to say */
	const char *help;
};

/*
 * The verb at the beginning of @argv, which is moved behind it. NULL after a line that says that there is none such or
 * that its arguments are too many or too few.
 */
const struct ctl_verb *ctl_find_verb(int *argc, char ***argv);

/* All of them, for --help. */
void ctl_print_verbs(void);

/* A text of an answer; "" where there is none. */
const char *ctl_answer_text(struct json_object *answer, const char *name);

/* Print one line to standard error; returns -EINVAL. */
int ctl_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
