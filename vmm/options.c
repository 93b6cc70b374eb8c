// SPDX-License-Identifier: MIT
#include "vmm/options.h"

#include <errno.h>
#include <getopt.h>
#include <linux/virtio_blk.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/arch.h"
#include "vmm/character.h"
#include "vmm/ctl_path.h"
#include "vmm/nearest.h"
#include "vmm/vhost_user_kinds.h"

#define MIB (1024ull * 1024)
#define MEMORY_MIN (16 * MIB)
#define MEMORY_UNIT (2 * MIB)

static int wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("mullion run: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return -EINVAL;
}

/* ---- splitting "FIRST,key=value,flag" ---- */

/*
 * Cut the next part off *@rest, in place; two commas stand for one that belongs to the part. NULL at the end.
 */
static char *next_part(char **rest)
{
	char *part = *rest, *from = part, *to = part;

	if (!part)
		return NULL;
	for (; *from; from++) {
		if (*from == ',' && from[1] != ',')
			break;
		if (*from == ',')
			from++;
		*to++ = *from;
	}
	*rest = *from ? from + 1 : NULL;
	*to = '\0';
	return part;
}

/* The value of @part if it reads "@key=value". */
static char *value_of(char *part, const char *key)
{
	size_t n = strlen(key);

	return !strncmp(part, key, n) && part[n] == '=' ? part + n + 1 : NULL;
}

/* ---- one function an option ---- */

static int set_kernel(struct options *o, char *arg)
{
	o->kernel = arg;
	return 0;
}

static int set_initrd(struct options *o, char *arg)
{
	o->initrd = arg;
	return 0;
}

static int set_append(struct options *o, char *arg)
{
	o->append = arg;
	return 0;
}

/* 0 where guests are arm64 ones. */
static int for_arm64(const char *option, const char *why)
{
	if (!strcmp(ARCH_NAME, "arm64"))
		return 0;
	return wrong("--%s is for arm64 guests; this mullion runs " ARCH_NAME " ones%s", option, why);
}

static int for_device_trees(const char *option)
{
	return for_arm64(option, ", which have ACPI tables and no device tree");
}

static int set_fdt(struct options *o, char *arg)
{
	o->fdt = arg;
	return for_device_trees("fdt");
}

static int add_fdt_overlay(struct options *o, char *arg)
{
	if (o->fdt_overlay_count == OPTIONS_MAX_FDT_OVERLAYS)
		return wrong("--fdt-overlay %s: at most %u overlays; fdtoverlay(1) makes one of several", arg,
			     OPTIONS_MAX_FDT_OVERLAYS);
	o->fdt_overlays[o->fdt_overlay_count++] = arg;
	return for_device_trees("fdt-overlay");
}

static int set_aarch32(struct options *o, char *arg)
{
	(void)arg;
	o->aarch32 = true;
	return for_arm64("aarch32", "");
}

static int set_dump_fdt(struct options *o, char *arg)
{
	o->dump_fdt = arg;
	return for_device_trees("dump-fdt");
}

static int set_memory(struct options *o, char *arg)
{
	unsigned long long v;
	char *end;
	unsigned shift;

	errno = 0;
	v = strtoull(arg, &end, 10);
	shift = *end == 'M' || *end == 'm' ? 20 : *end == 'G' || *end == 'g' ? 30 : 0;
	if (end == arg || *arg == '-' || errno || !shift || end[1] || v > UINT64_MAX >> shift)
		return wrong("--memory %s: write a number with M or G, like 512M or 2G", arg);
	o->memory_bytes = (uint64_t)v << shift;
	if (o->memory_bytes < MEMORY_MIN || o->memory_bytes % MEMORY_UNIT)
		return wrong("--memory %s: at least 16M, and a multiple of 2M", arg);
	return 0;
}

static int set_cpus(struct options *o, char *arg)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(arg, &end, 10);
	if (end == arg || *arg == '-' || *end || errno || !v || v > 100000)
		return wrong("--cpus %s: write a number from 1 up", arg);
	o->cpus = (unsigned)v;
	return 0;
}

static int add_disk(struct options *o, char *arg)
{
	struct disk_option *d = &o->disks[o->disk_count];
	char *rest, *part;

	if (o->disk_count == OPTIONS_MAX_DISKS)
		return wrong("--disk %s: at most %u disks", arg, OPTIONS_MAX_DISKS);
	rest = strdup(arg);
	if (!rest)
		return wrong("--disk %s: out of memory", arg);
	d->path = next_part(&rest);
	o->disk_count++;
	if (!*d->path)
		return wrong("--disk %s: name an image file or block device", arg);
	while ((part = next_part(&rest))) {
		if (!strcmp(part, "readonly"))
			d->read_only = true;
		else if (value_of(part, "serial"))
			d->serial = value_of(part, "serial");
		else
			return wrong("--disk: no \"%s\"; after the file go readonly and serial=TEXT (a comma in a "
				     "file's name is written twice)",
				     part);
	}
	if (d->serial && strlen(d->serial) > VIRTIO_BLK_ID_BYTES)
		return wrong("--disk: serial=%s: at most %u bytes are possible", d->serial, VIRTIO_BLK_ID_BYTES);
	return 0;
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
	int used = 0;

	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
		      &mac[5], &used) == 6 &&
	       !text[used] && !(mac[0] & 1);
}

static int add_net(struct options *o, char *arg)
{
	struct net_option *n = &o->nets[o->net_count];
	char *rest, *part, *value;

	if (o->net_count == OPTIONS_MAX_NETS)
		return wrong("--net %s: at most %u cards", arg, OPTIONS_MAX_NETS);
	rest = strdup(arg);
	if (!rest)
		return wrong("--net %s: out of memory", arg);
	part = next_part(&rest);
	o->net_count++;
	n->tap = value_of(part, "tap");
	n->passt = value_of(part, "passt");
	if ((!n->tap || !*n->tap) && (!n->passt || !*n->passt)) {
		free(part);
		n->tap = n->passt = NULL;
		return wrong("--net %s: write tap=NAME (a tap interface) or passt=SOCKET (of a running passt)", arg);
	}
	while ((part = next_part(&rest))) {
		if ((value = value_of(part, "mac"))) {
			if (!parse_mac(value, n->mac))
				return wrong("--net: mac=%s isn't a card's address; write it like 52:54:00:12:34:56",
					     value);
			n->has_mac = true;
		} else if ((value = value_of(part, "mtu"))) {
			char *end;
			unsigned long v = strtoul(value, &end, 10);

			if (*end || end == value || v < 68 || v > 65535)
				return wrong("--net: mtu=%s isn't a number from 68 to 65535", value);
			n->mtu = (uint16_t)v;
		} else {
			return wrong("--net: no \"%s\"; after tap=NAME or passt=SOCKET go mac=ADDRESS and mtu=BYTES",
				     part);
		}
	}
	return 0;
}

static int set_vhost_user_part(struct vhost_user_option *v, char *part)
{
	char *value, *end;

	if ((value = value_of(part, "socket"))) {
		v->socket = value;
	} else if (v->kind->has_tag && (value = value_of(part, "tag"))) {
		v->tag = value;
		if (!*value || strlen(value) > VHOST_USER_TAG_MAX)
			return wrong("--vhost-user: tag=%s: 1 to %u bytes are possible", value, VHOST_USER_TAG_MAX);
	} else if (v->kind->request_queues && (value = value_of(part, "queues"))) {
		unsigned long n = strtoul(value, &end, 10);

		if (*end || *value < '0' || *value > '9' || n < 1 || n > v->kind->request_queues)
			return wrong("--vhost-user: queues=%s isn't a number from 1 to %u", value,
				     v->kind->request_queues);
		v->queues = (unsigned)n;
	} else if (v->kind->has_mac && (value = value_of(part, "mac"))) {
		if (!parse_mac(value, v->mac))
			return wrong("--vhost-user: mac=%s isn't a card's address; write it like 52:54:00:12:34:56",
				     value);
		v->has_mac = true;
	} else {
		return wrong("--vhost-user %s: no \"%s\"; after the kind go socket=PATH%s%s%s", v->kind->name, part,
			     v->kind->has_tag ? ", tag=NAME" : "", v->kind->request_queues ? ", queues=N" : "",
			     v->kind->has_mac ? ", mac=ADDRESS" : "");
	}
	return 0;
}

static int add_vhost_user(struct options *o, char *arg)
{
	struct vhost_user_option *v = &o->vhost_users[o->vhost_user_count];
	char *rest, *part;
	int err = 0;

	if (o->vhost_user_count == OPTIONS_MAX_VHOST_USERS)
		return wrong("--vhost-user %s: at most %u devices", arg, OPTIONS_MAX_VHOST_USERS);
	rest = strdup(arg);
	if (!rest)
		return wrong("--vhost-user %s: out of memory", arg);
	v->storage = rest;
	o->vhost_user_count++;
	part = next_part(&rest);
	v->kind = vhost_user_find_kind(part);
	if (!v->kind)
		return wrong("--vhost-user: no kind \"%s\"; write fs, blk, net, rng, vsock, input, gpu, video-decoder, "
			     "video-encoder or media, then ,socket=PATH",
			     part);
	while (!err && (part = next_part(&rest)))
		err = set_vhost_user_part(v, part);
	if (!err && (!v->socket || !*v->socket))
		return wrong("--vhost-user %s: add socket=PATH, the socket of the device's program", v->kind->name);
	if (!err && v->kind->has_tag && !v->tag)
		return wrong("--vhost-user %s: add tag=NAME, by which the guest mounts it", v->kind->name);
	return err;
}

static int add_input(struct options *o, char *arg)
{
	struct input_option *in = &o->inputs[o->input_count];
	char *rest, *part;

	if (o->input_count == OPTIONS_MAX_INPUTS)
		return wrong("--input %s: at most %u devices", arg, OPTIONS_MAX_INPUTS);
	rest = strdup(arg);
	if (!rest)
		return wrong("--input %s: out of memory", arg);
	in->storage = rest;
	o->input_count++;
	part = next_part(&rest);
	while (in->kind < INPUT_KIND_COUNT && strcmp(part, input_kind_name(in->kind)))
		in->kind++;
	if (in->kind == INPUT_KIND_COUNT)
		return wrong("--input: no kind \"%s\"; write keyboard, tablet, multitouch or mouse", part);
	while ((part = next_part(&rest))) {
		in->evdev = value_of(part, "evdev");
		if (!in->evdev || !*in->evdev)
			return wrong("--input: no \"%s\"; after the kind goes evdev=PATH, a node like /dev/input/event3", part);
	}
	return 0;
}

static int set_console(struct options *o, char *arg)
{
	o->console = arg;
	return character_spec_is_valid(arg) ? 0 : wrong("--console %s: write stdio, socket:PATH or none", arg);
}

static int set_serial(struct options *o, char *arg)
{
	o->serial = arg;
	return character_spec_is_valid(arg) ? 0 : wrong("--serial %s: write stdio, socket:PATH or none", arg);
}

static int set_rng(struct options *o, char *arg)
{
	(void)arg;
	o->has_rng = true;
	return 0;
}

static int clear_rng(struct options *o, char *arg)
{
	(void)arg;
	o->has_rng = false;
	return 0;
}

/* Words for the processes that an isolated device has: options of its program, which judges the values. */
static const struct {
	const char *key, *option;
	const char *only; /* of this device; NULL: of all */
	bool is_flag;	  /* yes or no here, and there or not in the program's options */
} home_words[] = {
	{"sandbox=", "--sandbox", NULL, false},
	{"max-deaths=", "--max-deaths", NULL, false},
	{"hang-limit=", "--hang-limit", NULL, false},
	{"shader-cache=", "--shader-cache", "gpu", false},
	{"spare=", "--spare", NULL, true},
};
#define HOME_WORD_COUNT (sizeof(home_words) / sizeof(home_words[0]))
_Static_assert(2 * HOME_WORD_COUNT <= OPTIONS_MAX_HOME_ARGUMENTS, "each once");

/* A device's home, as its option says: @device "gpu" or "video". */
struct home {
	const char *device;
	enum isolate_option *isolate;
	const char **arguments; /* [OPTIONS_MAX_HOME_ARGUMENTS + 1] */
};

static int add_home_argument(const struct home *h, const char *option, bool is_flag, const char *value)
{
	unsigned n = 0;

	while (h->arguments[n] && strcmp(h->arguments[n], option))
		n++;
	if (h->arguments[n])
		return wrong("--%s %s= twice", h->device, option + strlen("--"));
	if (is_flag && strcmp(value, "yes") && strcmp(value, "no"))
		return wrong("--%s %s=yes or %s=no, not %s", h->device, option + strlen("--"), option + strlen("--"), value);
	if (is_flag && !strcmp(value, "no"))
		return 0;
	h->arguments[n++] = option;
	if (!is_flag)
		h->arguments[n] = value;
	return 0;
}

static void begin_home(const struct home *h)
{
	memset(h->arguments, 0, (OPTIONS_MAX_HOME_ARGUMENTS + 1) * sizeof(*h->arguments));
	*h->isolate = ISOLATE_DEFAULT;
}

/* A word for the home of the device: 1 when it was one, 0, or -EINVAL after a line. */
static int take_home_word(const struct home *h, const char *word)
{
	static const char key[] = "isolate=";

	if (!strncmp(word, key, strlen(key))) {
		const char *value = word + strlen(key);

		*h->isolate = !strcmp(value, "yes") ? ISOLATE_YES : ISOLATE_NO;
		if (*h->isolate == ISOLATE_YES || !strcmp(value, "no"))
			return 1;
		return wrong("--%s isolate=yes or isolate=no: whether the device has processes of its own", h->device);
	}
	for (size_t i = 0; i < HOME_WORD_COUNT; i++) {
		if (!strncmp(word, home_words[i].key, strlen(home_words[i].key)) &&
		    (!home_words[i].only || !strcmp(home_words[i].only, h->device)))
			return add_home_argument(h, home_words[i].option, home_words[i].is_flag,
						 word + strlen(home_words[i].key))
				       ? -EINVAL
				       : 1;
	}
	return 0;
}

static int end_home(const struct home *h)
{
	if (*h->isolate == ISOLATE_NO && h->arguments[0])
		return wrong("--%s %s= is for a device in processes of its own: leave out either it or isolate=no", h->device,
			     h->arguments[0] + strlen("--"));
	/* Who asks for a sandbox is not to go without. */
	if (h->arguments[0])
		*h->isolate = ISOLATE_YES;
	return 0;
}

static int set_gpu(struct options *o, char *arg)
{
	const struct home home = {"gpu", &o->isolate_gpu, o->gpu_arguments};
	char *words, *word;
	size_t used = 0;

	o->has_gpu = true;
	if (!arg)
		return 0;
	/* What isn't for the device's home is the device's own to judge. The words, then all of it again to be cut. */
	free(o->gpu_storage);
	begin_home(&home);
	o->gpu = o->gpu_storage = calloc(2, strlen(arg) + 1);
	if (!o->gpu)
		return wrong("no memory for --gpu");
	words = strcpy(o->gpu_storage + strlen(arg) + 1, arg);
	while ((word = strsep(&words, ",")) != NULL) {
		int took = take_home_word(&home, word);

		if (took < 0)
			return took;
		if (!took)
			used += (size_t)sprintf(o->gpu_storage + used, "%s%s", used ? "," : "", word);
	}
	return end_home(&home);
}

static int set_video(struct options *o, char *arg)
{
	const struct home home = {"video", &o->isolate_video, o->video_arguments};
	size_t used = 0;
	char *part;

	if (o->video_decoder || o->video_encoder)
		return wrong("--video twice: name both devices in one, decoder,encoder, with the keys of both");
	begin_home(&home);
	if (strlen(arg) >= sizeof(o->video))
		return wrong("--video %s: longer than %u bytes", arg, OPTIONS_MAX_VIDEO - 1);
	for (char *rest = arg; (part = next_part(&rest));) {
		const int taken = take_home_word(&home, part);

		if (taken < 0)
			return taken;
		/* The last one counts, as for the device. */
		if (!strncmp(part, "proto=", strlen("proto=")))
			o->video_is_media = !strcmp(part, "proto=virtio-media");
		if (!strcmp(part, "decoder"))
			o->video_decoder = true;
		else if (!strcmp(part, "encoder"))
			o->video_encoder = true;
		else if (!strchr(part, '=') || value_of(part, "kind"))
			return wrong(
				"--video: what is \"%s\"? Write decoder, encoder, or decoder,encoder, then KEY=VALUE",
				part);
		else if (!taken) /* what may follow is the module's own business */
			used += (size_t)snprintf(o->video + used, sizeof(o->video) - used, "%s%s", used ? "," : "", part);
	}
	if (!o->video_decoder && !o->video_encoder)
		return wrong("--video: name the devices: decoder, encoder, or decoder,encoder");
	return end_home(&home);
}

static int set_display(struct options *o, char *arg)
{
	static const char *const outputs[] = {"none", "png", "vnc"};
	const size_t n = strcspn(arg, ":=,");
	bool known = false;

	/* mullion-gpu knows more, but its descriptors and who listens to it are none of the user's here. */
	for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++)
		known |= strlen(outputs[i]) == n && !strncmp(arg, outputs[i], n);
	if (!known)
		return wrong("--display %s: write none, png:DIR[,every=N] or vnc[:ADDR][,password=FILE]", arg);
	o->display = arg;
	return 0; /* what may follow is the outputs' own business */
}

static int set_transport(struct options *o, char *arg)
{
	if (!strcmp(arg, "pci"))
		o->transport = TRANSPORT_PCI;
	else if (!strcmp(arg, "mmio"))
		o->transport = TRANSPORT_MMIO;
	else
		return wrong("--transport %s: write pci or mmio", arg);
	return 0;
}

static int set_name(struct options *o, char *arg)
{
	o->name = arg;
	return ctl_name_is_valid(arg) ? 0
				      : wrong("--name %s: write a letter, then up to %u letters, digits, '.', '-' or '_'", arg,
					      CTL_NAME_MAX - 1);
}

static int set_ctl(struct options *o, char *arg)
{
	o->ctl = arg;
	return *arg ? 0 : wrong("--ctl: write the socket's path, or none");
}

static int set_help(struct options *o, char *arg)
{
	(void)arg;
	o->wants_help = true;
	return 0;
}

static int set_version(struct options *o, char *arg)
{
	(void)arg;
	o->wants_version = true;
	return 0;
}

/* All of them: parsing and help come from here. */
static const struct {
	const char *name;
	const char *argument; /* NULL: none; in brackets: may be left out */
	const char *help;     /* lines after the first are indented by the printer */
	int (*set)(struct options *o, char *arg);
} table[] = {
	{"kernel", "FILE", "Linux vmlinuz, ELF executable or flat image to start (needed); arm64: also packed\nby gzip or zstd", set_kernel},
	{"initrd", "FILE", "initial RAM disk for the kernel", set_initrd},
	{"append", "STRING", "kernel command line", set_append},
	{"fdt", "FILE", "arm64: the guest's device tree (.dtb) in place of the one that mullion makes", set_fdt},
	{"fdt-overlay", "FILE", "arm64: add this overlay (.dtbo) to the guest's device tree; up to 8 times, in order",
	 add_fdt_overlay},
	{"dump-fdt", "FILE", "arm64: write the guest's device tree to FILE instead of starting it", set_dump_fdt},
	{"memory", "SIZE", "guest memory, like 512M or 2G (default 1G)", set_memory},
	{"cpus", "N", "virtual CPUs (default 1)", set_cpus},
	{"aarch32", NULL, "arm64: the guest is a 32-bit Linux (zImage); not every arm64 processor can run it", set_aarch32},
	{"disk", "FILE[,readonly][,serial=TEXT]",
	 "raw image or block device as virtio disk; up to 8 times: vda, vdb, ...", add_disk},
	{"net", "tap=NAME|passt=SOCKET[,mac=ADDRESS][,mtu=BYTES]",
	 "virtio network card on a tap interface, or on passt's socket\n(passt needs no privileges: passt --socket "
	 "PATH); up to 4 "
	 "times",
	 add_net},
	{"vhost-user", "KIND,socket=PATH[,KEY=VALUE,...]",
	 "virtio device of another program (virtiofsd, qemu-storage-daemon, ...) that\nlistens at PATH; up to 8 times. KIND: fs, blk, net, rng, vsock, input, gpu,\nvideo-decoder, video-encoder or media. Keys: "
	 "tag=NAME (fs: mount -t virtiofs NAME /mnt),\nqueues=N (fs, blk), mac=ADDRESS (net)",
	 add_vhost_user},
	{"serial", "stdio|socket:PATH|none", "serial port, ttyS0 in Linux (ttyAMA0 on arm64; default stdio)", set_serial},
	{"console", "stdio|socket:PATH|none",
	 "virtio console, hvc0 in Linux (default none; with stdio the\nserial port goes to none)", set_console},
	{"input", "keyboard|tablet|multitouch|mouse[,evdev=PATH]",
	 "virtio input device; up to 8 times. With evdev the guest alone gets what that\ndevice of the host (/dev/input/eventN) does",
	 add_input},
	{"rng", NULL, "virtio random numbers (default)", set_rng},
	{"no-rng", NULL, "without them", clear_rng},
	{"gpu", "[KEY=VALUE,...]",
	 "virtio GPU that draws with the host's OpenGL. Keys: renderer=auto|virgl|2d,\nrender-node=PATH, "
	 "scanouts=1..16\n(connectors for displays), size=WIDTHxHEIGHT (of display 0; sizeN= plugs in display N),\nmemory=MIB (what "
	 "the guest's pictures may take on the host),\nshare=PERCENT (of the time in which it may draw; default 100),\n"
	 "host-visible=MIB (of the memory, what can be mapped into the guest; default 256),\n"
	 "isolate=no (inside this process instead of in sandboxed ones that may\ndie and are replaced), and of those: "
	 "sandbox=auto|strict|off, max-deaths=N,\nhang-limit=SECONDS, shader-cache=MIB, spare=yes (one more, ready to\ntake over)",
	 set_gpu},
	{"video", "decoder|encoder|decoder,encoder[,KEY=VALUE,...]",
	 "the host's codecs (GStreamer) as V4L2 devices of the guest. Keys:\nproto=virtio-video|virtio-media (what the guest's "
	 "driver speaks; default\nvirtio-video), dialect=agl (a virtio-video driver of Automotive Grade Linux,\nnot that of ChromeOS), "
	 "codec=ELEMENT (one by name; default: hardware first,\nthen by rank), streams=N (at a time), memory=MIB (that buffers may take),\n"
	 "timeout=SECONDS (for a codec that does nothing),\nisolate=no (inside this process instead of in sandboxed ones that may\n"
	 "die and are replaced), and of those: sandbox=auto|strict|off, max-deaths=N,\nhang-limit=SECONDS, spare=yes",
	 set_video},
	{"display", "none|png:DIR[,every=N]|vnc[:ADDR][,password=FILE]",
	 "where the GPU's pictures go: every N-th one as a file in DIR, to VNC viewers\n(ADDR: [HOST]:NUMBER, default 127.0.0.1 "
	 "and the first free port from 5900; or\nunix:PATH), or nowhere (default). png and vnc imply --gpu; vnc without "
	 "--input\nadds a keyboard and a tablet, so that viewers can use the guest",
	 set_display},
	{"transport", "pci|mmio", "how virtio devices are attached (default pci)", set_transport},
	{"name", "NAME", "what the guest is called, as in mullion ctl --name NAME (default: its process number)", set_name},
	{"ctl", "PATH|none", "where the control socket of mullion ctl is, instead of its usual place", set_ctl},
	{"help", NULL, "this text", set_help},
	{"version", NULL, "the version", set_version},
};
#define OPTION_COUNT (sizeof(table) / sizeof(table[0]))

void options_print_help(FILE *to)
{
	fputs("Usage: mullion run --kernel FILE [OPTION...]\n"
	      "Run a guest under KVM until it powers off.\n\nOptions:\n",
	      to);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		fprintf(to, "  --%s%s%s\n      ", table[i].name, table[i].argument ? " " : "",
			table[i].argument ? table[i].argument : "");
		for (const char *c = table[i].help; *c; c++) {
			fputc(*c, to);
			if (*c == '\n')
				fputs("      ", to);
		}
		fputc('\n', to);
	}
	fputs("\nKeys on a terminal: Ctrl-A X ends the guest, Ctrl-A P presses its power button,\n"
	      "  Ctrl-A H lists the keys.\n"
	      "Exit status: 0 power-off, 1 error, 2 wrong usage, 3 reboot, 4 guest panic, 5 ended by the user.\n"
	      "Environment: MULLION_LOG=LEVEL or TOPIC:LEVEL,... (error, warn, info, debug, trace) sets what\n"
	      "  is printed; MULLION_MODULE_DIR is a folder with mullion-gpu.so, mullion-display.so and\n"
	      "  mullion-video.so.\n"
	      "\nExamples:\n"
	      "  mullion run --kernel vmlinuz --initrd initrd.img --append console=ttyS0\n"
	      "  mullion run --kernel vmlinuz --initrd initrd.img --append 'console=ttyS0 root=/dev/vda rw' \\\n"
	      "      --memory 2G --cpus 2 --disk guest.img --gpu --display png:frames\n"
	      "  mullion run --kernel vmlinuz --initrd initrd.img --append console=tty0 --display vnc\n"
	      "  mullion run --kernel triangle.elf --memory 64M --gpu renderer=virgl --display png:frames,every=10\n"
	      "\n`mullion doctor` tells what this host can do. More: man mullion\n",
	      to);
}

/* ---- parsing ---- */

static int unknown(const char *arg)
{
	const char *names[OPTION_COUNT + 1] = {NULL};
	char word[32];
	const char *nearest;

	for (size_t i = 0; i < OPTION_COUNT; i++)
		names[i] = table[i].name;
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(arg + strspn(arg, "-"), "="), arg + strspn(arg, "-"));
	nearest = nearest_word(word, names);
	if (nearest)
		return wrong("no option %.*s; did you mean --%s?", (int)strcspn(arg, "="), arg, nearest);
	return wrong("no option %.*s; mullion run --help lists them", (int)strcspn(arg, "="), arg);
}

static int parse_arguments(struct options *o, int argc, char **argv)
{
	struct option longs[OPTION_COUNT + 1] = {0};
	int c, i, at;

	for (size_t k = 0; k < OPTION_COUNT; k++) {
		const char *a = table[k].argument;

		longs[k] = (struct option){
			.name = table[k].name,
			.has_arg = !a	       ? no_argument
				   : *a == '[' ? optional_argument
					       : required_argument,
			.val = (int)(256 + k),
		};
	}
	optind = 0; /* start over, also when called twice */
	opterr = 0;
	for (;;) {
		char *value;
		int err;

		/* The word about to be read: in the middle of "-kernel" optind doesn't move on. */
		at = optind ? optind : 1;
		c = getopt_long(argc, argv, "+:h", longs, NULL);
		if (c == -1)
			break;
		value = optarg;

		if (c == ':') {
			i = optopt >= 256 ? optopt - 256 : -1;
			return i < 0 ? unknown(argv[at])
				     : wrong("--%s needs a value: %s", table[i].name, table[i].argument);
		}
		if (c == 'h') {
			o->wants_help = true;
			continue;
		}
		if (c == '?') {
			if (optopt >= 256)
				return wrong("--%s takes no value", table[optopt - 256].name);
			return unknown(argv[at]);
		}
		i = c - 256;
		/* A value that may be left out may also stand alone: there are no other bare words. */
		if (longs[i].has_arg == optional_argument && !value && optind < argc && argv[optind][0] != '-')
			value = argv[optind++];
		err = table[i].set(o, value);
		if (err)
			return err;
	}
	if (optind < argc)
		return wrong("what is \"%s\"? Every value follows its option; a kernel is --kernel %s", argv[optind],
			     argv[optind]);
	return 0;
}

int options_parse(struct options *o, int argc, char **argv)
{
	bool has_viewers;
	int err;

	*o = (struct options){
		.append = "",
		.memory_bytes = 1024 * MIB,
		.cpus = 1,
		.has_rng = true,
		.gpu = "",
		.transport = TRANSPORT_PCI,
	};
	err = parse_arguments(o, argc, argv);
	if (err || o->wants_help || o->wants_version)
		return err;
	if (!o->kernel)
		return wrong("--kernel FILE is needed; mullion run --help lists all options");
	if (!o->console)
		o->console = "none";
	if (!o->serial)
		o->serial = !strcmp(o->console, "stdio") ? "none" : "stdio";
	if (!strcmp(o->console, "stdio") && !strcmp(o->serial, "stdio"))
		return wrong("--console stdio and --serial stdio: only one of them can have the terminal");
	if (o->display && strcmp(o->display, "none"))
		o->has_gpu = true;
	has_viewers = o->display && strcspn(o->display, ":=,") == strlen("vnc") && !strncmp(o->display, "vnc", 3);
	/* A display with a user: what they type and point at is to arrive. */
	if (has_viewers && !o->input_count) {
		o->inputs[o->input_count++] = (struct input_option){.kind = INPUT_KEYBOARD};
		o->inputs[o->input_count++] = (struct input_option){.kind = INPUT_TABLET};
	}
	return 0;
}

void options_finish(struct options *o)
{
	free(o->gpu_storage);
	for (unsigned i = 0; i < o->input_count; i++)
		free(o->inputs[i].storage);
	o->input_count = 0;
	for (unsigned i = 0; i < o->disk_count; i++)
		free(o->disks[i].path);
	for (unsigned i = 0; i < o->net_count; i++) {
		/* The storage begins with its first part. */
		if (o->nets[i].tap)
			free(o->nets[i].tap - strlen("tap="));
		else if (o->nets[i].passt)
			free(o->nets[i].passt - strlen("passt="));
	}
	for (unsigned i = 0; i < o->vhost_user_count; i++)
		free(o->vhost_users[i].storage);
	o->disk_count = o->net_count = o->vhost_user_count = 0;
}
