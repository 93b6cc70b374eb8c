// SPDX-License-Identifier: MIT
/*
 * What mullion costs before and beside a guest: the time from exec to the guest's first port write, above that of the
 * smallest KVM program (floor.c), and its memory without the guest's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/floor.h"

#define PAIRS 21u
#define MEMORY_MIB 256u
#define TIMEOUT_MS 10000
#define START_ID "vmm.first_instruction_over_floor_ms"
#define START_GOAL 4.0
#define RSS_ID "vmm.rss_mib"
#define RSS_GOAL 2.0

extern char **environ;

/* mov dx, 0x3f8; mov al, '!'; out dx, al; cli; hlt; jmp to the hlt: the same bytes in 32-bit and 64-bit mode */
static const uint8_t image[] = {0x66, 0xba, 0xf8, 0x03, 0xb0, '!', 0xee, 0xfa, 0xf4, 0xeb, 0xfd};

struct child {
	pid_t pid;
	int out;
};

static int spawn(char *const argv[], struct child *c)
{
	posix_spawn_file_actions_t actions;
	int fds[2] = {-1, -1}, err;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	err = posix_spawn(&c->pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	c->out = fds[0];
	if (err)
		close(fds[0]);
	return -err;
}

static void end(struct child *c)
{
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	close(c->out);
}

/* Milliseconds from exec to the first byte, or a negative number. @then, if not NULL, gives *@result at that moment. */
static double first_byte(char *const argv[], double (*then)(pid_t), double *result)
{
	uint64_t start = bench_now_ns();
	struct child c = {.out = -1};
	struct pollfd p;
	double ms = -1;
	char byte;

	if (spawn(argv, &c))
		return -1;
	p = (struct pollfd){.fd = c.out, .events = POLLIN};
	if (poll(&p, 1, TIMEOUT_MS) == 1 && read(c.out, &byte, 1) == 1) {
		ms = (double)(bench_now_ns() - start) / 1e6;
		if (then)
			*result = then(c.pid);
	}
	end(&c);
	return ms;
}

/* MiB that @pid has for itself: Pss of everything but the guest's memory (a memfd). */
static double own_memory(pid_t pid)
{
	char path[64], line[512];
	unsigned long kib = 0, n;
	bool guest = false;
	FILE *f;

	usleep(20000); /* what it still does after the guest's first byte */
	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			guest = strstr(line, "memfd:guest-memory") != NULL;
		else if (!guest && sscanf(line, "Pss: %lu kB", &n) == 1)
			kib += n;
	}
	fclose(f);
	return (double)kib / 1024;
}

/* $O/tests/bench/bench_vmm -> $O/mullion */
static int find_mullion(char *self, char *path, size_t bytes)
{
	ssize_t n = readlink("/proc/self/exe", self, PATH_MAX - 1);
	char folder[PATH_MAX];

	if (n < 0)
		return -errno;
	self[n] = '\0';
	memcpy(folder, self, (size_t)n + 1);
	for (unsigned i = 0; i < 3; i++) {
		char *slash = strrchr(folder, '/');

		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	if ((size_t)snprintf(path, bytes, "%.*s/mullion", PATH_MAX - 16, folder) >= bytes)
		return -ENAMETOOLONG;
	return access(path, X_OK) ? -errno : 0;
}

static int write_image(char *path)
{
	int fd = mkstemp(path);
	bool ok = fd >= 0 && write(fd, image, sizeof(image)) == (ssize_t)sizeof(image);

	if (fd >= 0)
		close(fd);
	return ok ? 0 : -EIO;
}

static void missing(const char *why)
{
	bench_print_missing(START_ID, "ms", START_GOAL, false, why);
	bench_print_missing(RSS_ID, "MiB", RSS_GOAL, false, why);
}

static void measure(char *const ours[], char *const floor[])
{
	double own[PAIRS], base[PAIRS], over[PAIRS], memory[PAIRS] = {0};
	char note[256];
	const char *priority = bench_take_priority();

	/* One of each first: the files are in the page cache afterwards, as for any second start. */
	if (first_byte(ours, NULL, NULL) < 0) {
		missing("mullion run did not reach the guest's first port write");
		return;
	}
	if (first_byte(floor, NULL, NULL) < 0) {
		missing("the minimal KVM program did not reach the guest's first port write");
		return;
	}
	for (unsigned i = 0; i < PAIRS; i++) {
		base[i] = first_byte(floor, NULL, NULL);
		own[i] = first_byte(ours, own_memory, &memory[i]);
		if (base[i] < 0 || own[i] < 0 || memory[i] < 0) {
			missing("a run ended early");
			return;
		}
		over[i] = own[i] - base[i];
	}
	snprintf(note, sizeof(note),
		 "exec to first port write: mullion %.1f ms, minimal KVM program %.1f ms (%s); %u MiB guest",
		 bench_median(own, PAIRS), bench_median(base, PAIRS), priority, MEMORY_MIB);
	bench_print(&(struct bench_row){
		.id = START_ID,
		.value = bench_median(over, PAIRS),
		.unit = "ms",
		.goal = START_GOAL,
		.peer = "kvmtool, exec to first KVM_RUN, elsewhere",
		.peer_value = 14,
		.runs = PAIRS,
		.min = over[0],
		.max = over[PAIRS - 1],
		.note = note,
	});
	bench_print(&(struct bench_row){
		.id = RSS_ID,
		.value = bench_median(memory, PAIRS),
		.unit = "MiB",
		.goal = RSS_GOAL,
		.peer = "kvmtool, elsewhere",
		.peer_value = 1.1,
		.runs = PAIRS,
		.min = memory[0],
		.max = memory[PAIRS - 1],
		.note = "Pss without the guest's memory; rng, serial, PCI; no renderer",
	});
}

int main(int argc, char **argv)
{
	char self[PATH_MAX], mullion[PATH_MAX], path[] = "/tmp/mullion-bench-XXXXXX", memory[16];
	char floor_word[] = "floor", run[] = "run", kernel_option[] = "--kernel", memory_option[] = "--memory";

	if (argc == 2 && !strcmp(argv[1], floor_word))
		return floor_main((uint64_t)MEMORY_MIB << 20);
	if (access("/dev/kvm", R_OK | W_OK)) {
		missing("no /dev/kvm, or no permission for it");
		return 0;
	}
	if (find_mullion(self, mullion, sizeof(mullion))) {
		missing("no mullion two folders above this program: run make first");
		return 0;
	}
	if (write_image(path)) {
		missing("no room in /tmp for a guest image");
		return 0;
	}
	snprintf(memory, sizeof(memory), "%uM", MEMORY_MIB);
	measure((char *const[]){mullion, run, kernel_option, path, memory_option, memory, NULL},
		(char *const[]){self, floor_word, NULL});
	unlink(path);
	return 0;
}
