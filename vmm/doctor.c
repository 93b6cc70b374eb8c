// SPDX-License-Identifier: MIT
#include "vmm/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/virtio/module.h"
#include "vmm/arch.h"
#include "vmm/module.h"

#define MIB (1024ull * 1024)
/* A driver that takes longer to start than this hangs. */
#define MODULE_TIMEOUT_MS 30000
#define LINE_BYTES 1024
/* Between the fields of a line that the throw-away process sends. */
#define FIELD_SEPARATOR '\x1f'

#define OK "ok"
#define WARN "warn"
#define FAIL "fail"

struct doctor {
	bool json;
	bool can_run; /* nothing that every guest needs is missing */
	unsigned lines;
};

/* ---- output ---- */

static void put_json(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void report(void *owner, const char *verdict, const char *name, const char *text, const char *cure)
{
	struct doctor *d = owner;
	const char *const keys[] = {"verdict", "name", "text", "cure"};
	const char *const values[] = {verdict, name, text, cure ? cure : ""};

	if (d->json) {
		printf("%s\n  {", d->lines++ ? "," : "[");
		for (unsigned i = 0; i < 4; i++) {
			printf("%s\"%s\": ", i ? ", " : "", keys[i]);
			put_json(values[i]);
		}
		putchar('}');
	} else {
		printf("%-4s  %-18s  %s%s%s\n", verdict, name, text, cure && *cure ? ": " : "", cure ? cure : "");
	}
	fflush(stdout);
}

void doctor_say(doctor_report *to, void *owner, const char *verdict, const char *name, const char *cure,
		const char *format, ...)
{
	char text[LINE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	to(owner, verdict, name, text, cure);
}

/* How a user gets at @path, which is there: by the group that may read and write it, if there is one. */
static const char *cure_permission(const char *path, char *text, size_t bytes)
{
	const struct group *g = NULL;
	struct stat st;

	if (!stat(path, &st) && (st.st_mode & 0060) == 0060 && st.st_gid)
		g = getgrgid(st.st_gid);
	if (g)
		snprintf(text, bytes, "sudo usermod -aG %s $USER, then log in again", g->gr_name);
	else
		snprintf(text, bytes, "sudo setfacl -m u:$USER:rw %s", path);
	return text;
}

/* ---- KVM ---- */

static const struct {
	int number;
	const char *name;
} capabilities[] = {
	{KVM_CAP_USER_MEMORY, "USER_MEMORY"},	    {KVM_CAP_IRQCHIP, "IRQCHIP"},
	{KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING"},	    {KVM_CAP_IRQFD, "IRQFD"},
	{KVM_CAP_IOEVENTFD, "IOEVENTFD"},	    {KVM_CAP_SIGNAL_MSI, "SIGNAL_MSI"},
	{KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT"}, {KVM_CAP_IOEVENTFD_ANY_LENGTH, "IOEVENTFD_ANY_LENGTH"},
};

static int check_device(struct doctor *d)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	char cure[LINE_BYTES];

	if (fd >= 0) {
		doctor_say(report, d, OK, "KVM device", NULL, "/dev/kvm opens");
		return fd;
	}
	d->can_run = false;
	if (errno == ENOENT)
		doctor_say(report, d, FAIL, "KVM device", ARCH_NO_KVM "; in a container pass the device in",
			   "/dev/kvm is not there");
	else if (errno == EACCES || errno == EPERM)
		doctor_say(report, d, FAIL, "KVM device", cure_permission("/dev/kvm", cure, sizeof(cure)),
			   "no permission for /dev/kvm");
	else
		doctor_say(report, d, FAIL, "KVM device", "see the kernel's log (dmesg)",
			   "/dev/kvm can't be opened: %s", strerror(errno));
	return -1;
}

static void check_interface(struct doctor *d, int kvm)
{
	int version = ioctl(kvm, KVM_GET_API_VERSION, 0);
	char missing[LINE_BYTES] = "";

	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		size_t used = strlen(missing);

		if (ioctl(kvm, KVM_CHECK_EXTENSION, capabilities[i].number) <= 0)
			snprintf(missing + used, sizeof(missing) - used, " %s", capabilities[i].name);
	}
	if (version == KVM_API_VERSION && !*missing) {
		doctor_say(report, d, OK, "KVM interface", NULL, "version %d with all that is needed", version);
		return;
	}
	d->can_run = false;
	if (version != KVM_API_VERSION)
		doctor_say(report, d, FAIL, "KVM interface", "use a newer host kernel", "version %d, needed is %d",
			   version, KVM_API_VERSION);
	else
		doctor_say(report, d, FAIL, "KVM interface", "use a newer host kernel", "lacks%s", missing);
}

static void check_processor(struct doctor *d, int kvm)
{
	struct doctor_speed speed = {0};
	const char *what = "";
	int err = doctor_measure(kvm, &speed, &what);
	double millions = (double)speed.instructions_per_second / 1e6;

	if (err) {
		d->can_run = false;
		doctor_say(report, d, FAIL, "KVM processor", "see the kernel's log (dmesg)", "can't %s: %s", what,
			   strerror(-err));
	} else if (speed.instructions_per_second >= DOCTOR_EMULATED_BELOW) {
		doctor_say(report, d, OK, "KVM processor", NULL,
			   "runs guest code itself (%.0f million instructions/s or more)", millions);
	} else {
		doctor_say(
			report, d, WARN, "KVM processor",
			"small bare guests run; for Linux use a host with hardware virtualization, or make demo, which "
			"nests one",
			"interprets guest code (%.1f million instructions/s)", millions);
	}
	if (!doctor_architecture(kvm, err ? NULL : &speed, report, d))
		d->can_run = false;
}

static void check_vcpus(struct doctor *d, int kvm)
{
	int advised = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS);
	int most = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	doctor_say(report, d, OK, "vCPUs", NULL, "%d at most, %d advised, %ld host processors",
		   most > advised ? most : advised, advised, sysconf(_SC_NPROCESSORS_ONLN));
}

static void check_kvm(struct doctor *d)
{
	int kvm = check_device(d);

	if (kvm < 0)
		return;
	check_interface(d, kvm);
	check_processor(d, kvm);
	check_vcpus(d, kvm);
	close(kvm);
}

/* ---- the host ---- */

static void check_architecture(struct doctor *d)
{
	struct utsname u;

	if (uname(&u))
		return;
	if (!strcmp(u.machine, "x86_64") || !strcmp(u.machine, "aarch64")) {
		doctor_say(report, d, OK, "architecture", NULL, "%s, Linux %s", u.machine, u.release);
		return;
	}
	d->can_run = false;
	doctor_say(report, d, FAIL, "architecture", "use an x86-64 or arm64 host", "%s: mullion does not run there yet",
		   u.machine);
}

static uint64_t available_mib(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kib / 1024;
}

static const char *limit_text(rlim_t limit, char *text, size_t bytes)
{
	if (limit == RLIM_INFINITY)
		snprintf(text, bytes, "unlimited");
	else
		snprintf(text, bytes, "%llu MiB", (unsigned long long)(limit / MIB));
	return text;
}

static void check_memory(struct doctor *d)
{
	uint64_t mib = available_mib();
	struct rlimit space, locked, files;
	char a[32], b[32];

	doctor_say(report, d, mib < 512 ? WARN : OK, "memory",
		   mib < 512 ? "close programs, or give guests less (--memory)" : NULL, "%llu MiB available",
		   (unsigned long long)mib);
	if (getrlimit(RLIMIT_AS, &space) || getrlimit(RLIMIT_MEMLOCK, &locked) || getrlimit(RLIMIT_NOFILE, &files))
		return;
	if (space.rlim_cur != RLIM_INFINITY && space.rlim_cur < 4096 * MIB)
		doctor_say(report, d, WARN, "address space", "ulimit -v unlimited", "limited to %s",
			   limit_text(space.rlim_cur, a, sizeof(a)));
	doctor_say(report, d, locked.rlim_cur < 8 * MIB ? WARN : OK, "locked memory",
		   locked.rlim_cur < 8 * MIB ? "raise it in /etc/security/limits.conf (memlock)" : NULL,
		   "%s (hard limit %s)", limit_text(locked.rlim_cur, a, sizeof(a)),
		   limit_text(locked.rlim_max, b, sizeof(b)));
	doctor_say(report, d, files.rlim_cur < 1024 ? WARN : OK, "open files",
		   files.rlim_cur < 1024 ? "ulimit -n 4096" : NULL, "%llu", (unsigned long long)files.rlim_cur);
}

/* One device file that a feature needs but a guest does not. @without: what is done then, or what else helps; "": nothing. */
static void check_file(struct doctor *d, const char *name, const char *path, const char *use, const char *if_absent,
		       const char *without)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), err = errno;
	char cure[LINE_BYTES];
	size_t n;

	if (fd >= 0) {
		doctor_say(report, d, OK, name, NULL, "%s opens (%s)", path, use);
		close(fd);
		return;
	}
	if (err == EACCES || err == EPERM)
		cure_permission(path, cure, sizeof(cure));
	else
		snprintf(cure, sizeof(cure), "%s", if_absent);
	n = strlen(cure);
	snprintf(cure + n, sizeof(cure) - n, "%s%s", n && *without ? "; " : "", without);
	doctor_say(report, d, WARN, name, cure, "%s %s (%s)",
		   err == EACCES || err == EPERM ? "no permission for" : "no", path, use);
}

static void check_render_nodes(struct doctor *d)
{
	unsigned found = 0;

	for (unsigned minor = 128; minor < 192; minor++) {
		char path[64];

		snprintf(path, sizeof(path), "/dev/dri/renderD%u", minor);
		if (access(path, F_OK))
			continue;
		found++;
		check_file(d, "render node", path, "hardware OpenGL", "see the kernel's log (dmesg)", "");
	}
	if (!found)
		doctor_say(report, d, WARN, "render node",
			   "load the GPU's driver; without one, rendering is done in software",
			   "no /dev/dri/renderD128 or later");
}

static bool in_path(const char *program, char *found, size_t bytes)
{
	const char *path = getenv("PATH");

	for (const char *p = path ? path : "/usr/bin:/bin"; *p; p += *p == ':') {
		size_t n = strcspn(p, ":");

		snprintf(found, bytes, "%.*s/%s", (int)n, p, program);
		if (access(found, X_OK) == 0)
			return true;
		p += n;
	}
	return false;
}

static void check_program(struct doctor *d, const char *program, const char *use, const char *cure)
{
	char path[PATH_MAX];

	if (in_path(program, path, sizeof(path)))
		doctor_say(report, d, OK, program, NULL, "%s (%s)", path, use);
	else
		doctor_say(report, d, WARN, program, cure, "not installed (%s)", use);
}

/* ---- device modules ---- */

static void send_line(void *owner, const char *verdict, const char *name, const char *text, const char *cure)
{
	const char *const fields[] = {verdict, name, text, cure ? cure : ""};
	char line[LINE_BYTES];
	size_t n = 0;

	for (unsigned f = 0; f < 4; f++) {
		for (const char *s = fields[f]; *s && n < sizeof(line) - 6; s++)
			line[n++] = (unsigned char)*s < 0x20 ? ' ' : *s;
		line[n++] = f < 3 ? FIELD_SEPARATOR : '\n';
	}
	/* The reader has only what came before if this fails; it sees how we ended. */
	if (write(*(int *)owner, line, n) < 0)
		_exit(3);
}

/* In the throw-away process: drivers may crash, hang and print. */
static void run_module(const char *name, int out)
{
	const struct device_module *m;
	char why[PATH_MAX + 512], label[32];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0 && !getenv("MULLION_LOG")) {
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	snprintf(label, sizeof(label), "%s module", name);
	if (module_find(name, &m, why, sizeof(why))) {
		send_line(&out, FAIL, label, why, NULL);
	} else {
		snprintf(why, sizeof(why), "loads (interface %u)", m->abi);
		send_line(&out, OK, label, why, NULL);
		if (m->doctor)
			m->doctor(send_line, &out);
	}
	_exit(0);
}

static void take_line(struct doctor *d, char *line)
{
	char *fields[4] = {line, NULL, NULL, NULL};

	for (unsigned f = 1; f < 4; f++) {
		char *end = strchr(fields[f - 1], FIELD_SEPARATOR);

		if (!end)
			return;
		*end = '\0';
		fields[f] = end + 1;
	}
	report(d, fields[0], fields[1], fields[2], fields[3]);
}

/* Report the lines that come from @fd. Returns false if the writer said nothing for too long. */
static bool take_lines(struct doctor *d, int fd)
{
	char buffer[4 * LINE_BYTES];
	size_t have = 0;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		char *end;
		ssize_t n;

		if (poll(&p, 1, MODULE_TIMEOUT_MS) <= 0)
			return false;
		n = read(fd, buffer + have, sizeof(buffer) - have);
		if (n <= 0)
			return true;
		have += (size_t)n;
		while ((end = memchr(buffer, '\n', have))) {
			size_t line = (size_t)(end - buffer) + 1;

			*end = '\0';
			take_line(d, buffer);
			have -= line;
			memmove(buffer, buffer + line, have);
		}
		if (have == sizeof(buffer))
			have = 0;
	}
}

static void check_module(struct doctor *d, const char *name, const char *cure)
{
	int pipe_fds[2], status = 0;
	bool in_time;
	pid_t child;

	fflush(stdout);
	if (pipe2(pipe_fds, O_CLOEXEC))
		return;
	child = fork();
	if (child == 0) {
		close(pipe_fds[0]);
		run_module(name, pipe_fds[1]);
	}
	close(pipe_fds[1]);
	in_time = take_lines(d, pipe_fds[0]);
	close(pipe_fds[0]);
	if (child < 0)
		return;
	if (!in_time)
		kill(child, SIGKILL);
	waitpid(child, &status, 0);
	if (!in_time)
		doctor_say(report, d, FAIL, name, cure, "the driver hangs (%d s without an answer)",
			   MODULE_TIMEOUT_MS / 1000);
	else if (WIFSIGNALED(status))
		doctor_say(report, d, FAIL, name, cure, "the driver crashes (%s)", strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		doctor_say(report, d, FAIL, name, cure, "the driver ended the process (status %d)",
			   WEXITSTATUS(status));
}

/* ---- */

static void usage(FILE *to)
{
	fputs("usage: mullion doctor [--json] [--pid N]\n"
	      "Check what this host can do for guests, one line each: ok, warn (a feature is missing) or fail.\n"
	      "  --json   print a list of objects instead: verdict, name, text, cure\n"
	      "  --pid N  look at process N instead: what keeps the worker of an isolated device in; of a parent (a\n"
	      "           keeper, mullion-gpu, or mullion), at its children. docs/sandbox.md explains the lines.\n"
	      "Exit status: 0 a guest can run (--pid: the sandbox is there), 1 it can't (isn't), 2 wrong options.\n",
	      to);
}

static long read_pid(const char *word)
{
	char *end = NULL;
	long pid;

	errno = 0;
	pid = word ? strtol(word, &end, 10) : 0;
	return word && !errno && end != word && !*end && pid > 0 && pid <= INT_MAX ? pid : 0;
}

static int check_one_process(struct doctor *d, long pid)
{
	bool confined = doctor_process(pid, report, d);

	if (d->json)
		printf("\n]\n");
	else
		printf("%s\n",
		       confined ? "The sandbox is there." : "The sandbox is not there: see the lines that say fail.");
	return confined ? 0 : 1;
}

int doctor_main(int argc, char **argv)
{
	struct doctor d = {.can_run = true};
	long pid = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json")) {
			d.json = true;
		} else if (!strcmp(argv[i], "--help")) {
			usage(stdout);
			return 0;
		} else if (!strcmp(argv[i], "--pid") || !strncmp(argv[i], "--pid=", 6)) {
			const char *number = argv[i][5] ? argv[i] + 6 : argv[++i];

			pid = read_pid(number);
			if (!pid) {
				fprintf(stderr, "mullion doctor: --pid takes the number of a process, not \"%s\"\n",
					number ? number : "");
				return 2;
			}
		} else {
			fprintf(stderr,
				"mullion doctor: unknown option \"%s\"; --json, --pid and --help are all there are\n",
				argv[i]);
			return 2;
		}
	}
	if (pid)
		return check_one_process(&d, pid);
	check_architecture(&d);
	check_kvm(&d);
	check_memory(&d);
	check_file(&d, "tap network", "/dev/net/tun", "--net tap=NAME", "sudo modprobe tun",
		   "passt needs none (--net passt=SOCKET)");
	check_file(&d, "udmabuf", "/dev/udmabuf", "codecs of V4L2 in the guest's memory", "sudo modprobe udmabuf",
		   "what they read and write is copied without it");
	check_render_nodes(&d);
	check_module(&d, "gpu",
		     "update the graphics driver (Mesa) and virglrenderer; mullion run --gpu renderer=2d needs neither");
	check_module(&d, "video", "update GStreamer's plug-ins, or remove the one that gst-inspect-1.0 names");
	doctor_sandbox(report, &d);
	check_program(&d, "passt", "network without root", "sudo apt-get install passt");
	check_program(&d, ARCH_QEMU, "nested tests and the demo where KVM interprets",
		      "sudo apt-get install " ARCH_QEMU_PACKAGE);
	if (d.json)
		printf("\n]\n");
	else
		printf("%s\n",
		       d.can_run ? "A guest can run here." : "No guest can run here: see the lines that say fail.");
	return d.can_run ? 0 : 1;
}
