// SPDX-License-Identifier: MIT
/*
 * virtio-net with what the host really has: a tap interface in a network namespace of the test's own, and passt.
 * Where the machine allows neither, the cases are skipped and say why.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/base/loop.h"
#include "host/net/net.h"
#include "protocol/virtio_net.h"
#include "tests/device/rings.h"
#include "tests/lib/tap.h"

#define RECEIVE 0
#define TRANSMIT 1
#define TAP "mullion-test0"
#define HOST_IP 0x0a000001u  /* 10.0.0.1 */
#define GUEST_IP 0x0a000002u /* 10.0.0.2 */
#define PORT 4000

static struct fake_guest *g;
static struct virtio_device *d;
static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 2};
static uint8_t host_mac[6];
static const char *no_tap; /* why there is none */

struct frame {
	struct virtio_net_hdr_v1 header;
	uint8_t to[6], from[6];
	uint16_t type;
	/* IPv4 */
	uint8_t version, tos;
	uint16_t bytes, id, fragment;
	uint8_t ttl, protocol;
	uint16_t ip_sum;
	uint32_t source, destination;
	/* UDP */
	uint16_t source_port, port, udp_bytes, udp_sum;
	uint8_t payload[1400];
} __attribute__((packed));

#define FRAME_BYTES(payload_bytes) (offsetof(struct frame, payload) + (payload_bytes))

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t add_up(const void *bytes, size_t n, uint32_t sum)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	return sum;
}

/* Of the pseudo header, as far as a sender with checksum offload computes it. */
static uint16_t pseudo_sum(const struct frame *f)
{
	return fold(add_up(&f->source, 8, 17u + ntohs(f->udp_bytes)));
}

static size_t make_udp(struct frame *f, const char *text, uint16_t port, uint16_t source_port)
{
	uint16_t n = (uint16_t)strlen(text);

	memset(f, 0, sizeof(*f));
	f->type = htons(0x0800);
	f->version = 0x45;
	f->bytes = htons((uint16_t)(28 + n));
	f->ttl = 64;
	f->protocol = 17;
	f->source_port = htons(source_port);
	f->port = htons(port);
	f->udp_bytes = htons((uint16_t)(8 + n));
	memcpy(f->payload, text, n);
	return FRAME_BYTES(n);
}

static void address(struct frame *f, const uint8_t *to, uint32_t source, uint32_t destination)
{
	memcpy(f->to, to, 6);
	memcpy(f->from, guest_mac, 6);
	f->source = htonl(source);
	f->destination = htonl(destination);
	f->ip_sum = htons((uint16_t)~fold(add_up(&f->version, 20, 0)));
}

static void begin(const struct fake_guest_options *options, const struct net_config *config)
{
	g = fake_guest_create(options);
	assert_int_equal(net_create(config, fake_guest_loop(g), fake_guest_mem(g), &d), 0);
	assert_int_equal(fake_guest_start(g, d), 0);
}

static void end(void)
{
	virtio_device_destroy(d);
	fake_guest_destroy(g);
}

/* ---- tap ---- */

static int interface_call(unsigned long number, struct ifreq *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	err = ioctl(fd, number, r) ? -errno : 0;
	close(fd);
	return err;
}

/* Give the host's side of the tap its address, and tell it the guest's. */
static void set_up_interface(void)
{
	struct ifreq r = {.ifr_name = TAP};
	struct sockaddr_in ip = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(HOST_IP)};
	struct arpreq arp = {.arp_flags = ATF_COM | ATF_PERM, .arp_dev = TAP};
	int fd;

	memcpy(&r.ifr_addr, &ip, sizeof(ip));
	assert_int_equal(interface_call(SIOCSIFADDR, &r), 0);
	ip.sin_addr.s_addr = htonl(0xffffff00u);
	memcpy(&r.ifr_netmask, &ip, sizeof(ip));
	assert_int_equal(interface_call(SIOCSIFNETMASK, &r), 0);
	r.ifr_flags = IFF_UP | IFF_RUNNING;
	assert_int_equal(interface_call(SIOCSIFFLAGS, &r), 0);
	assert_int_equal(interface_call(SIOCGIFHWADDR, &r), 0);
	memcpy(host_mac, r.ifr_hwaddr.sa_data, 6);
	ip.sin_addr.s_addr = htonl(GUEST_IP);
	memcpy(&arp.arp_pa, &ip, sizeof(ip));
	arp.arp_ha.sa_family = ARPHRD_ETHER;
	memcpy(arp.arp_ha.sa_data, guest_mac, 6);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSARP, &arp), 0);
	close(fd);
}

static int host_socket(void)
{
	struct sockaddr_in ip = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(HOST_IP), .sin_port = htons(PORT)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&ip, sizeof(ip)), 0);
	return fd;
}

/* In a namespace of its own the test may make interfaces, and nobody else sees them. */
static void enter_namespace(void)
{
	static char why[128];
	struct ifreq r = {.ifr_name = "lo"};

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		snprintf(why, sizeof(why), "no tap: no network namespace of our own: %s", strerror(errno));
		no_tap = why;
	} else if (access("/dev/net/tun", R_OK | W_OK)) {
		snprintf(why, sizeof(why), "no tap: /dev/net/tun: %s", strerror(errno));
		no_tap = why;
	} else {
		struct net_config config = {.tap = TAP, .socket_fd = -1};
		struct fake_guest *h = fake_guest_create(NULL);
		struct virtio_device *out;
		int err = net_create(&config, fake_guest_loop(h), fake_guest_mem(h), &out);

		if (err == -EPERM || err == -ENOENT || err == -ENODEV || err == -ENXIO) {
			snprintf(why, sizeof(why), "no tap: can't make one: %s", strerror(-err));
			no_tap = why;
		} else if (!err) {
			virtio_device_destroy(out);
		}
		fake_guest_destroy(h);
		r.ifr_flags = IFF_UP;
		(void)interface_call(SIOCSIFFLAGS, &r);
	}
}

static void need_tap(void)
{
	static bool entered;

	if (!entered)
		enter_namespace();
	entered = true;
	if (no_tap) {
		tap_skip(no_tap);
	}
}

static void begin_tap(const struct fake_guest_options *options)
{
	struct net_config config = {.tap = TAP, .socket_fd = -1, .mac = guest_mac};

	begin(options, &config);
	set_up_interface();
}

static void a_tap_carries_packets_to_the_host(void **state)
{
	struct frame f;
	char found[64];
	size_t n;
	int fd;

	(void)state;
	need_tap();
	for (size_t r = 0; r < RING_KINDS; r++) {
		begin_tap(&rings[r]);
		assert_true(virtio_device_has(d, VIRTIO_NET_F_CSUM));
		assert_true(virtio_device_has(d, VIRTIO_NET_F_HOST_TSO4));
		fd = host_socket();
		/* No checksum at all is allowed; one left to the device is filled in by the host. */
		for (int offload = 0; offload < 2; offload++) {
			n = make_udp(&f, "from the guest", PORT, 5000);
			address(&f, host_mac, GUEST_IP, HOST_IP);
			if (offload) {
				f.header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
				f.header.csum_start = 34;
				f.header.csum_offset = 6;
				f.udp_sum = htons(pseudo_sum(&f));
			}
			fake_guest_set_split(g, offload ? 7 : 0, 0);
			assert_int_equal(fake_guest_request(g, TRANSMIT, &f, n, NULL, 0, NULL), 0);
			assert_int_equal(recv(fd, found, sizeof(found), 0), 14);
			assert_memory_equal(found, "from the guest", 14);
		}
		/* Offloads that make no sense are dropped. */
		f.header.csum_start = 60;
		f.header.csum_offset = 60;
		assert_int_equal(fake_guest_request(g, TRANSMIT, &f, n, NULL, 0, NULL), 0);
		f.header = (struct virtio_net_hdr_v1){.gso_type = VIRTIO_NET_HDR_GSO_TCPV4};
		assert_int_equal(fake_guest_request(g, TRANSMIT, &f, n, NULL, 0, NULL), 0);
		assert_int_equal(net_counters(d)->tx_packets, 2);
		assert_int_equal(net_counters(d)->tx_dropped, 2);
		close(fd);
		end();
	}
}

static bool is_ours(void *arg)
{
	const struct fake_request *r = arg;

	return r->done;
}

/* The host sends; other packets (neighbour discovery) are passed over. */
static void receive_text(bool offload)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(GUEST_IP), .sin_port = htons(PORT)};
	struct fake_request *r[16];
	int fd = host_socket(), found = -1;

	for (int i = 0; i < 16; i++)
		r[i] = fake_guest_add(g, RECEIVE, NULL, 0, 1600);
	fake_guest_kick(g, RECEIVE);
	assert_int_equal(sendto(fd, "to the guest", 12, 0, (struct sockaddr *)&to, sizeof(to)), 12);
	for (int i = 0; i < 16 && found < 0; i++) {
		const struct frame *f = (const struct frame *)(void *)r[i]->out;
		uint32_t sum;

		assert_true(fake_guest_run_until(g, is_ours, r[i], 5000));
		if (r[i]->used_len != FRAME_BYTES(12) || f->type != htons(0x0800) || f->port != htons(PORT))
			continue;
		found = i;
		assert_memory_equal(f->to, guest_mac, 6);
		assert_memory_equal(f->from, host_mac, 6);
		assert_memory_equal(f->payload, "to the guest", 12);
		assert_int_equal(f->header.num_buffers, 1);
		/* Without the feature, the checksum must be there. */
		assert_int_equal(f->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
				 offload ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0);
		sum = add_up(&f->source_port, 8 + 12, (uint32_t)pseudo_sum(f));
		if (offload)
			assert_int_not_equal(fold(sum), 0xffff);
		else
			assert_int_equal(fold(sum), 0xffff);
	}
	assert_true(found >= 0);
	fake_guest_reset(g);
	for (int i = 0; i < 16; i++)
		fake_guest_free_request(g, r[i]);
	close(fd);
}

static void a_tap_carries_packets_to_the_guest(void **state)
{
	uint64_t tso = VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6) |
		       VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN);
	struct fake_guest_options options;

	(void)state;
	need_tap();
	for (size_t k = 0; k < RING_KINDS; k++) {
		options = rings[k];
		begin_tap(&options);
		receive_text(true);
		end();
		options.refuse = VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF) | tso;
		begin_tap(&options);
		receive_text(true);
		end();
		options.refuse = VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) | tso;
		begin_tap(&options);
		receive_text(false);
		end();
	}
}

static void a_tap_is_used_by_one_only(void **state)
{
	struct net_config config = {.tap = TAP, .socket_fd = -1};
	struct virtio_device *other;

	(void)state;
	need_tap();
	begin_tap(NULL);
	assert_int_equal(net_create(&config, fake_guest_loop(g), fake_guest_mem(g), &other), -EBUSY);
	end();
}

/* ---- passt ---- */

static char socket_path[64];
static pid_t passt;

/* True once @path is bound and listens: a connection between the two is refused. */
static bool listens(const char *path)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char line[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		unsigned long flags;

		/* Num RefCount Protocol Flags Type St Inode Path; the flag is __SO_ACCEPTCON */
		found = strstr(line, path) && sscanf(line, "%*s %*s %*s %lx", &flags) == 1 && (flags & 0x10000);
	}
	if (f)
		fclose(f);
	return found;
}

static const char *start_passt(void)
{
	snprintf(socket_path, sizeof(socket_path), "/tmp/mullion-passt-%d.sock", getpid());
	if (system("command -v passt >/dev/null 2>&1"))
		return "passt is not installed";
	passt = fork();
	if (!passt) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 1);
		dup2(null, 2);
		execlp("passt", "passt", "--foreground", "--quiet", "--socket", socket_path, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 200; i++) {
		int status;

		if (listens(socket_path))
			return NULL;
		if (waitpid(passt, &status, WNOHANG) == passt) {
			passt = 0;
			return "passt does not start here";
		}
		usleep(20000);
	}
	return "passt does not listen here";
}

static void stop_passt(void)
{
	if (passt > 0) {
		kill(passt, SIGTERM);
		waitpid(passt, NULL, 0);
	}
	passt = 0;
	unlink(socket_path);
}

/* The part of a DHCPDISCOVER that matters; passt answers with an address. */
static size_t make_discover(struct frame *f)
{
	static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255};
	size_t n = 236 + 64;

	make_udp(f, "", 67, 68);
	f->bytes = htons((uint16_t)(28 + n));
	f->udp_bytes = htons((uint16_t)(8 + n));
	f->payload[0] = 1; /* request */
	f->payload[1] = 1; /* Ethernet */
	f->payload[2] = 6;
	memcpy(f->payload + 4, "mull", 4);
	memcpy(f->payload + 28, guest_mac, 6);
	memcpy(f->payload + 236, options, sizeof(options));
	address(f, everyone, 0, 0xffffffffu);
	return FRAME_BYTES(n);
}

static bool link_is_down(void *arg)
{
	struct virtio_net_config space;

	(void)arg;
	fake_guest_read_config(g, 0, &space, sizeof(space));
	return !(space.status & VIRTIO_NET_S_LINK_UP);
}

static void passt_answers_dhcp_and_may_die(void **state)
{
	struct net_config config = {.socket_path = socket_path, .socket_fd = -1, .mac = guest_mac};
	const char *why = start_passt();
	struct fake_request *r[32];
	struct frame f;
	bool offered = false;
	size_t n;

	(void)state;
	if (why) {
		stop_passt();
		tap_skip(why);
	}
	begin(&rings[1], &config);
	for (int i = 0; i < 32; i++)
		r[i] = fake_guest_add(g, RECEIVE, NULL, 0, 1600);
	fake_guest_kick(g, RECEIVE);
	n = make_discover(&f);
	assert_int_equal(fake_guest_request(g, TRANSMIT, &f, n, NULL, 0, NULL), 0);
	for (int i = 0; i < 32 && !offered; i++) {
		const struct frame *a = (const struct frame *)(void *)r[i]->out;

		assert_true(fake_guest_run_until(g, is_ours, r[i], 5000));
		offered = a->type == htons(0x0800) && a->source_port == htons(67) && !memcmp(a->payload + 4, "mull", 4);
	}
	assert_true(offered);
	stop_passt();
	assert_true(fake_guest_run_until(g, link_is_down, NULL, 5000));
	fake_guest_reset(g);
	for (int i = 0; i < 32; i++)
		fake_guest_free_request(g, r[i]);
	end();
}

int main(void)
{
	/* passt first: it needs the host's own network. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passt_answers_dhcp_and_may_die),
		cmocka_unit_test(a_tap_carries_packets_to_the_host),
		cmocka_unit_test(a_tap_carries_packets_to_the_guest),
		cmocka_unit_test(a_tap_is_used_by_one_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
