//! Traffic between guest and peer: a TCP connection that carries bytes both ways, and pings.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, ensure};
use devices::wire::Peer;
use devices::wire::stack::{
    ByteSource, PingId, PingPlan, PingReport, StreamId, StreamPlan, StreamReport,
};
use ndis_host::sched;
use neighbours::tcpip::TcpIp;

use super::{MILLISECOND_NS, PEER_ADDRESS, SECOND_NS, World};

/// The peer's ports, one for each connection.
static NEXT_PORT: AtomicU16 = AtomicU16::new(5001);
/// Time between two pings.
pub(super) const PING_INTERVAL_NS: u64 = 100_000;
/// How long frames under way are waited for.
const DRAIN_NS: u64 = 2 * SECOND_NS;

/// A connection with pings beside it.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    guest: StreamId,
    peer: StreamId,
    ping: PingId,
}

/// How it is doing.
#[derive(Clone, Debug)]
pub struct TrafficReport {
    /// The guest's end.
    pub guest: StreamReport,
    /// The peer's end.
    pub peer: StreamReport,
    /// The pings.
    pub ping: PingReport,
}

impl TrafficReport {
    /// Payload bytes that have arrived, both ways.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.guest.received + self.peer.received
    }

    /// Whether both ends have finished.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.guest.is_finished() && self.peer.is_finished()
    }

    /// Whether both directions arrived complete and unchanged.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.is_finished()
            && self.guest.sent_sha256 == self.peer.received_sha256
            && self.peer.sent_sha256 == self.guest.received_sha256
    }
}

/// Bytes that depend on their position.
struct Pattern(u64);

impl Pattern {
    /// A pattern of its own for each `seed`.
    fn new(seed: u64) -> Self {
        Self(seed << 40)
    }
}

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
            self.0 = self.0.wrapping_add(1);
        }
        Ok(buffer.len())
    }
}

impl Traffic {
    /// Opens a connection from the guest to its peer; the guest sends `up` bytes of its source, the peer
    /// `down` of its own. Pings go beside it until [`Traffic::stop_pings`], with that time from one to the
    /// next.
    pub fn start(
        tcpip: &TcpIp,
        peer: &Peer,
        [up, down]: [u64; 2],
        [of_guest, of_peer]: [ByteSource; 2],
        ping_interval_ns: u64,
    ) -> Self {
        let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let plan = |source, send, receive| StreamPlan::Exchange {
            source,
            send,
            receive,
        };
        let peer = peer.with(|stack, _| stack.listen(port, plan(of_peer, down, up)));
        let (guest, ping) = tcpip.with(|stack, now| {
            let guest = stack.connect(PEER_ADDRESS, port, plan(of_guest, up, down));
            let pings = PingPlan::new(PEER_ADDRESS, ping_interval_ns);
            (guest, stack.start_ping(pings, now))
        });
        Self { guest, peer, ping }
    }

    /// How it is doing.
    #[must_use]
    pub fn report(&self, tcpip: &TcpIp, peer: &Peer) -> TrafficReport {
        let (guest, ping) =
            tcpip.inspect(|stack| (stack.stream(self.guest), stack.ping(self.ping)));
        let peer = peer.inspect(|stack| stack.stream(self.peer));
        TrafficReport { guest, peer, ping }
    }

    /// Sends no more pings.
    pub fn stop_pings(&self, tcpip: &TcpIp) {
        tcpip.with(|stack, _| stack.stop_ping(self.ping));
    }

    /// Resets the connection, and sends no more pings.
    pub fn abort(&self, tcpip: &TcpIp, peer: &Peer) {
        tcpip.with(|stack, _| {
            stack.stop_ping(self.ping);
            stack.abort_stream(self.guest);
        });
        peer.with(|stack, _| stack.abort_stream(self.peer));
    }
}

impl World {
    /// Starts traffic of `bytes` made-up bytes each way.
    #[must_use]
    pub fn start_traffic(&self, bytes: u64) -> Traffic {
        self.start_uneven_traffic([bytes, bytes])
    }

    /// Starts traffic of as many made-up bytes up, from the guest, and down.
    #[must_use]
    pub fn start_uneven_traffic(&self, bytes: [u64; 2]) -> Traffic {
        let source = |number| Box::new(Pattern::new(number)) as ByteSource;
        let sources = [source(self.seed * 2 + 1), source(self.seed * 2 + 2)];
        let interval_ns = self.ping_interval_ns;
        Traffic::start(&self.tcpip, &self.peer, bytes, sources, interval_ns)
    }

    /// How traffic is doing.
    #[must_use]
    pub fn traffic(&self, traffic: Traffic) -> TrafficReport {
        traffic.report(&self.tcpip, &self.peer)
    }

    /// Waits until `moved` bytes have arrived, both ways together.
    ///
    /// # Errors
    ///
    /// They have not within `limit_ns`.
    pub fn wait_for_bytes(&self, traffic: Traffic, moved: u64, limit_ns: u64) -> Result<()> {
        self.poll_for("the traffic to go on", limit_ns, || {
            self.traffic(traffic).moved() >= moved
        })
    }

    /// Waits until traffic is through, ends its pings and waits for the last frames.
    ///
    /// # Errors
    ///
    /// It is not within `limit_ns`, or did not arrive as it was sent.
    pub fn finish_traffic(&self, traffic: Traffic, limit_ns: u64) -> Result<TrafficReport> {
        let finished = self.poll_for("the end of the traffic", limit_ns, || {
            self.traffic(traffic).is_finished()
        });
        let report = self.traffic(traffic);
        if let Err(error) = finished {
            return Err(error.context(format!("{:?}, {:?}", report.guest.state, report.peer.state)));
        }
        ensure!(
            report.is_intact(),
            "the stream did not arrive as it was sent"
        );
        traffic.stop_pings(&self.tcpip);
        self.drain();
        Ok(report)
    }

    /// Waits until the peer has sent so many of its pings.
    ///
    /// # Errors
    ///
    /// It has not within a second.
    pub fn wait_for_pings_sent(&self, ping: PingId, sent: u64) -> Result<()> {
        self.poll_for("the peer's pings", SECOND_NS, || {
            self.peer.inspect(|stack| stack.ping(ping)).sent >= sent
        })
    }

    /// Frames that were on their way to a port of the switch when that was removed.
    #[must_use]
    pub fn frames_cut(&self) -> u64 {
        self.switch.counters().dropped_removed
    }

    /// Waits until no frame is under way, but not for ever: some may be lost.
    pub fn drain(&self) {
        let ledgers = Arc::clone(&self.ledgers);
        sched::wait(
            "the last frames",
            move || ledgers.under_way() == 0,
            Some(DRAIN_NS),
        );
    }

    /// Looks every now and then whether `ready`.
    fn poll_for(&self, what: &str, limit_ns: u64, mut ready: impl FnMut() -> bool) -> Result<()> {
        let deadline = sched::now() + limit_ns;
        while !ready() {
            ensure!(
                sched::now() < deadline,
                "{what}: not within {} ms",
                limit_ns / MILLISECOND_NS
            );
            sched::sleep(MILLISECOND_NS / 10);
        }
        Ok(())
    }
}
