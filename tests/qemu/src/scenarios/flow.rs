//! Traffic that lasts for as long as a scenario does: pings both ways, and a stream that trickles.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use devices::wire::stack::{ByteSource, PingId, PingPlan, PingReport};
use ndis_host::sched;
use scenarios::world::{GUEST_ADDRESS, SECOND_NS, Traffic, World};

use super::PING_NS;

/// Bytes of the stream, each way, and how many of them go in a millisecond until the end is wanted.
const BYTES: u64 = 400_000;
const BYTES_IN_MS: u64 = 10;
/// Time for what is left of it then.
const PATIENCE_NS: u64 = 20 * SECOND_NS;

/// Traffic.
pub struct Flow {
    traffic: Traffic,
    from_peer: PingId,
    is_open: Arc<AtomicBool>,
}

/// How the pings of a flow went.
#[derive(Clone, Debug)]
pub struct FlowReport {
    /// The guest's.
    pub of_guest: PingReport,
    /// Its peer's.
    pub of_peer: PingReport,
}

impl FlowReport {
    /// The longest time that a frame took to the other end and its answer back, ns.
    #[must_use]
    pub fn longest_ns(&self) -> u64 {
        let both = [self.of_guest, self.of_peer];
        let longest = both.map(|one| one.longest_round_trip_ns);
        longest.into_iter().max().unwrap_or_default()
    }
}

/// Bytes that depend on their place, given at a pace until the valve is open.
struct Trickle {
    from_ns: u64,
    given: u64,
    seed: u64,
    is_open: Arc<AtomicBool>,
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let until = if self.is_open.load(Ordering::Acquire) {
            u64::MAX
        } else {
            (sched::now() - self.from_ns) / 1_000_000 * BYTES_IN_MS
        };
        let ready = until.saturating_sub(self.given);
        if ready == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = buffer
            .len()
            .min(usize::try_from(ready).unwrap_or(usize::MAX));
        for byte in buffer.iter_mut().take(length) {
            *byte = ((self.given ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
            self.given += 1;
        }
        Ok(length)
    }
}

impl Flow {
    /// Starts it. Both stacks look at it with each ping.
    #[must_use]
    pub fn start(world: &World) -> Self {
        let is_open = Arc::new(AtomicBool::new(false));
        let source = |seed| -> ByteSource {
            Box::new(Trickle {
                from_ns: sched::now(),
                given: 0,
                seed,
                is_open: Arc::clone(&is_open),
            })
        };
        let sources = [source(1 << 40), source(1 << 41)];
        let both = [BYTES, BYTES];
        let traffic = Traffic::start(&world.tcpip, &world.peer, both, sources, PING_NS);
        let plan = PingPlan::new(GUEST_ADDRESS, PING_NS);
        let from_peer = world.peer.with(|stack, now| stack.start_ping(plan, now));
        Self {
            traffic,
            from_peer,
            is_open,
        }
    }

    /// Ends it: the stream has to arrive as it was sent.
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn finish(self, world: &World) -> Result<FlowReport> {
        self.is_open.store(true, Ordering::Release);
        world.peer.with(|stack, _| stack.stop_ping(self.from_peer));
        let of_guest = world.finish_traffic(self.traffic, PATIENCE_NS)?.ping;
        let of_peer = world.peer.inspect(|stack| stack.ping(self.from_peer));
        let report = FlowReport { of_guest, of_peer };
        ensure!(
            report.of_guest.answered > 0 && report.of_peer.answered > 0,
            "no pings: {report:?}"
        );
        Ok(report)
    }
}
