// SPDX-License-Identifier: MIT
/* The mullion program: its commands. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/descriptors.h"
#include "host/base/log.h"
#include "vmm/ctl_client.h"
#include "vmm/doctor.h"
#include "vmm/nearest.h"
#include "vmm/run.h"
#include "vmm/vm.h"

static int print_help(int argc, char **argv);
static int print_version(int argc, char **argv);

static const struct {
	const char *name;
	const char *help;
	int (*main)(int argc, char **argv); /* argv[0] is the name; returns the exit status */
} commands[] = {
	{"run", "run a guest; mullion run --help lists the options", run_main},
	{"ctl", "control a running guest: pause, screenshot, displays, keys; mullion ctl --help", ctl_main},
	{"doctor", "tell what this host can do, and the cure for what it can't", doctor_main},
	{"help", "this text", print_help},
	{"version", "the version", print_version},
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *to)
{
	fputs("Usage: mullion COMMAND [OPTION...]\n"
	      "Runs Linux and bare-metal guests under KVM and lends them the host's GPU.\n\nCommands:\n",
	      to);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(to, "  %-8s  %s\n", commands[i].name, commands[i].help);
	fputs("\nStart with: mullion doctor\n", to);
}

static int print_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	print_usage(stdout);
	return 0;
}

static int print_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("mullion " MULLION_VERSION);
	return 0;
}

/*
 * A program started with a standard descriptor closed would get /dev/kvm or guest memory under that number, and write
 * its output there.
 */
static int open_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	const char *names[COMMAND_COUNT + 1] = {NULL};
	const char *nearest;
	const char *word;

	if (open_standard_descriptors()) {
		fprintf(stderr, "mullion: can't open /dev/null: %s; in a container, pass it in\n", strerror(errno));
		return VM_END_ERROR;
	}
	/* A device's process that a guest has taken over must not keep us from handing memory to others. */
	descriptors_allow_all();
	if (log_set_levels(getenv("MULLION_LOG")))
		return VM_END_USAGE;
	if (argc < 2) {
		print_usage(stderr);
		return VM_END_USAGE;
	}
	/* --help and --version are commands as well. */
	word = argv[1] + (!strncmp(argv[1], "--", 2) ? 2 : 0);
	if (!strcmp(word, "-h"))
		word = "help";
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		names[i] = commands[i].name;
		if (!strcmp(word, names[i]))
			return commands[i].main(argc - 1, argv + 1);
	}
	nearest = nearest_word(word, names);
	fprintf(stderr, "mullion: no command \"%s\"; %s%s%s\n", argv[1],
		nearest ? "did you mean " : "mullion help lists them", nearest ? nearest : "", nearest ? "?" : "");
	return VM_END_USAGE;
}
