/*
 * DPDK's virtio-user driver and, for the handshake alone, its vhost library, in one process.
 *
 * The driver connects to the library over a socket, which maps the rings; from then on the device
 * models drive them, and the library has no part in it.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_vhost.h>

#define QUEUE 256
#define POOL 4095
#define EVENT_IDX (1ull << 29)
#define INDIRECT (1ull << 28)

/* As `Port` in dpdk.rs. Queue 0 receives, 1 sends. */
struct ring_bench_port {
	uint64_t areas[2][3];
	int32_t kick[2];
	uint32_t port;
};

static struct rte_mempool *pool;
static volatile int connected = -1;

static int new_device(int vid)
{
	connected = vid;
	return 0;
}

static void destroy_device(int vid)
{
	(void)vid;
}

static const struct rte_vhost_device_ops ops = {
	.new_device = new_device,
	.destroy_device = destroy_device,
};

/* The same kind of pages as the other drivers have, on the processor where we are. */
int ring_bench_dpdk_start(void)
{
	char cpu[32], prefix[48];

	snprintf(cpu, sizeof(cpu), "--lcores=0@%d", sched_getcpu());
	snprintf(prefix, sizeof(prefix), "--file-prefix=ring-bench-%d", (int)getpid());
	char *args[] = {"ring-bench", cpu, prefix, "--no-pci", "--no-huge", "-m", "256",
		"--single-file-segments", "--no-telemetry", "--no-shconf",
		"--log-level=*:critical"};

	if (rte_eal_init(sizeof(args) / sizeof(args[0]), args) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("packets", POOL, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	return pool ? 0 : -2;
}

static void chunk(struct rte_mempool *of, void *range, struct rte_mempool_memhdr *memory,
	unsigned int number)
{
	uint64_t *ends = range;
	uint64_t start = (uint64_t)memory->addr, end = start + memory->len;

	(void)of;
	(void)number;
	ends[0] = start < ends[0] ? start : ends[0];
	ends[1] = end > ends[1] ? end : ends[1];
}

/* Start and end of the memory of all packets. */
void ring_bench_dpdk_memory(uint64_t *ends)
{
	ends[0] = UINT64_MAX;
	ends[1] = 0;
	rte_mempool_mem_iter(pool, chunk, ends);
}

static int vhost(const char *path)
{
	connected = -1;
	if (rte_vhost_driver_register(path, 0))
		return -1;
	if (rte_vhost_driver_disable_features(path, EVENT_IDX | INDIRECT))
		return -2;
	if (rte_vhost_driver_callback_register(path, &ops))
		return -3;
	return rte_vhost_driver_start(path) ? -4 : 0;
}

static int start(uint16_t port)
{
	struct rte_eth_conf conf;

	memset(&conf, 0, sizeof(conf));
	if (rte_eth_dev_configure(port, 1, 1, &conf))
		return -5;
	if (rte_eth_rx_queue_setup(port, 0, QUEUE, SOCKET_ID_ANY, NULL, pool))
		return -6;
	if (rte_eth_tx_queue_setup(port, 0, QUEUE, SOCKET_ID_ANY, NULL))
		return -7;
	return rte_eth_dev_start(port) ? -8 : 0;
}

int ring_bench_dpdk_open(const char *path, const char *name, int packed, int mergeable,
	struct ring_bench_port *out)
{
	char args[512];
	uint16_t port;
	int error = vhost(path);

	if (error)
		return error;
	snprintf(args, sizeof(args),
		"path=%s,queues=1,queue_size=%d,mrg_rxbuf=%d,in_order=0,packed_vq=%d,vectorized=0",
		path, QUEUE, mergeable, packed);
	if (rte_eal_hotplug_add("vdev", name, args))
		return -9;
	if (rte_eth_dev_get_port_by_name(name, &port))
		return -10;
	error = start(port);
	if (error)
		return error;
	for (int i = 0; connected < 0 && i < 10000; i++)
		usleep(1000);
	if (connected < 0)
		return -11;
	for (int queue = 0; queue < 2; queue++) {
		struct rte_vhost_vring ring;

		if (rte_vhost_get_vhost_vring(connected, queue, &ring) || ring.size != QUEUE)
			return -12;
		out->areas[queue][0] = (uint64_t)ring.desc;
		out->areas[queue][1] = (uint64_t)ring.avail;
		out->areas[queue][2] = (uint64_t)ring.used;
		out->kick[queue] = ring.kickfd;
	}
	out->port = port;
	return 0;
}

/* Packets to send: `bytes` long, with the numbers from `number` on in front. */
int ring_bench_dpdk_packets(struct rte_mbuf **packets, uint32_t count, uint32_t bytes,
	uint64_t number)
{
	if (rte_pktmbuf_alloc_bulk(pool, packets, count))
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t of_packet = (number + i) % QUEUE;

		packets[i]->data_len = bytes;
		packets[i]->pkt_len = bytes;
		memcpy(rte_pktmbuf_mtod(packets[i], void *), &of_packet, sizeof(of_packet));
	}
	return 0;
}

uint32_t ring_bench_dpdk_send(uint32_t port, struct rte_mbuf **packets, uint32_t count)
{
	return rte_eth_tx_burst(port, 0, packets, count);
}

uint32_t ring_bench_dpdk_receive(uint32_t port, struct rte_mbuf **packets, uint32_t count)
{
	return rte_eth_rx_burst(port, 0, packets, count);
}

void ring_bench_dpdk_free(struct rte_mbuf **packets, uint32_t count)
{
	rte_pktmbuf_free_bulk(packets, count);
}

/* How often the doorbell rang since the last call. */
uint64_t ring_bench_dpdk_rings(int kick)
{
	uint64_t count = 0;

	if (read(kick, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}
