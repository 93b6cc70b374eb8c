// SPDX-License-Identifier: MIT
/* `mullion run`: options, then construction in plain order, the guest, and the way back. */
#include "vmm/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/loop.h"
#include "vmm/arch.h"
#include "vmm/ctl.h"
#include "vmm/devices.h"
#include "vmm/options.h"
#include "vmm/terminal.h"
#include "vmm/vm.h"

struct machine {
	struct vm *vm;
	struct pci_bus *pci;
	struct platform *platform;
	struct devices *devices;
	struct ctl *ctl; /* NULL: none */
	struct loop_fd signals; /* fd 0: none */
};

/* ---- signals ---- */

static void on_signal(struct loop_fd *f, uint32_t events)
{
	struct machine *m = f->owner;
	struct signalfd_siginfo info;

	(void)events;
	while (read(f->fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGWINCH:
			devices_resize_console(m->devices);
			break;
		case SIGCONT:
			terminal_continue();
			break;
		default:
			vm_end(m->vm, VM_END_USER);
			break;
		}
	}
}

/* Before any thread is started: all inherit the mask, so that only the loop sees these signals. */
static int catch_signals(struct machine *m)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT};
	sigset_t set;
	int fd, err;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&set, numbers[i]);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	m->signals = (struct loop_fd){.fd = fd, .ready = on_signal, .owner = m};
	err = loop_add_fd(vm_loop(m->vm), &m->signals, EPOLLIN);
	return err;
}

static void stuck(void)
{
	terminal_restore();
	_exit(VM_END_ERROR);
}

/*
 * Once the guest is gone nobody waits for its devices but us: one that never ends its work, a GPU in an endless shader,
 * must not keep a process that no signal but SIGKILL reaches. What is left to write, such as pictures, has this long.
 */
#define TEAR_DOWN_S 60u

static void on_late(int signal_number)
{
	static const char line[] = "vmm: a device doesn't end its work; ending without it\n";
	ssize_t done = write(STDERR_FILENO, line, sizeof(line) - 1);

	(void)signal_number;
	(void)done; /* nobody to tell */
	stuck();
}

/* ---- the machine ---- */

static void tear_down(struct machine *m)
{
	signal(SIGALRM, on_late);
	alarm(TEAR_DOWN_S);
	ctl_close(m->ctl);
	devices_destroy(m->devices);
	ctl_destroy(m->ctl);
	arch_platform_destroy(m->platform);
	pci_bus_destroy(m->pci);
	if (m->signals.fd > 0) {
		loop_remove_fd(vm_loop(m->vm), &m->signals);
		close(m->signals.fd);
	}
	vm_destroy(m->vm);
	alarm(0);
	terminal_restore();
}

/* A guest that nobody named a socket for runs without one where none can be made. */
static int make_ctl(struct machine *m, const struct options *o)
{
	struct ctl_config config = {.path = o->ctl, .name = o->name, .vm = m->vm, .devices = m->devices};
	int err = o->ctl && !strcmp(o->ctl, "none") ? 0 : ctl_create(&config, &m->ctl);

	return o->ctl || o->name ? err : 0;
}

/* The image comes before the devices: what is wrong with it is known before a renderer takes its time. */
static int build(struct machine *m, const struct options *o, struct boot_entry *entry)
{
	struct vm_config config = {.memory_bytes = o->memory_bytes, .cpus = o->cpus, .aarch32 = o->aarch32};
	struct boot_config boot = {
		.kernel = o->kernel,
		.initrd = o->initrd,
		.append = o->append,
		.fdt = o->fdt,
		.fdt_overlays = o->fdt_overlays,
		.fdt_overlay_count = o->fdt_overlay_count,
		.dump_fdt = o->dump_fdt,
		.has_pci = o->transport == TRANSPORT_PCI,
		.mmio_slots = o->transport == TRANSPORT_MMIO ? devices_count(o) : 0,
	};
	int err = vm_create(&config, &m->vm);

	if (err)
		return err;
	arch_pci_layout(vm_kvm_fd(m->vm), &config, &boot.pci);
	err = arch_boot(m->vm, &boot, entry);
	if (err)
		return err;
	err = catch_signals(m);
	if (!err && boot.has_pci)
		err = pci_bus_create(m->vm, &boot.pci, &m->pci);
	if (err) {
		log_line(LOG_TOPIC_VMM, LOG_ERROR, "can't build the machine: %s", strerror(-err));
		return err;
	}
	err = devices_create(m->vm, m->pci, o, &m->devices);
	if (!err)
		err = arch_platform_create(m->vm, o->serial, &m->platform);
	if (!err && !o->dump_fdt)
		err = make_ctl(m, o);
	return err;
}

int run_main(int argc, char **argv)
{
	struct machine machine = {0};
	struct boot_entry entry;
	struct options options;
	enum vm_end end = VM_END_USAGE;

	if (options_parse(&options, argc, argv))
		goto out;
	end = VM_END_POWER_OFF;
	if (options.wants_help) {
		options_print_help(stdout);
		goto out;
	}
	if (options.wants_version) {
		puts("mullion " MULLION_VERSION);
		goto out;
	}
	end = VM_END_ERROR;
	/* For --dump-fdt all was made as for a start: the tree is the one of this very machine. */
	if (!build(&machine, &options, &entry))
		end = options.dump_fdt ? VM_END_POWER_OFF : vm_run(machine.vm, &entry, stuck);
	tear_down(&machine);
out:
	options_finish(&options);
	return (int)end;
}
