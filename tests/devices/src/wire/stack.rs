//! A TCP/IP host: smoltcp above anything that moves frames.
//!
//! ```text
//!  streams, pings      (what the host does)
//!  smoltcp             (ARP, IPv4, ICMP, TCP)
//!  phy ---- tap        (sees every frame)
//!  FrameIo             (a switch port, an adapter)
//! ```
//!
//! A [`Stack`] does nothing by itself: its owner calls [`Stack::poll`] when frames came in, when
//! there is room for frames again, and at [`Stack::poll_at`].

mod phy;
mod ping;
mod stream;

use std::net::Ipv4Addr;

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};

pub use phy::{FrameIo, PhyCounters, Tap, Way};
pub use ping::{PingPlan, PingReport};
pub use stream::{ByteSource, StreamPlan, StreamReport, StreamState};

use super::MacAddress;
use phy::Phy;
use ping::Pinger;
use stream::Stream;

/// Local TCP ports are taken from here on.
const FIRST_PORT: u16 = 49_152;

/// Identity and size of a host.
#[derive(Clone, Copy, Debug)]
pub struct StackConfig {
    /// Hardware address.
    pub mac: MacAddress,
    /// IPv4 address.
    pub address: Ipv4Addr,
    /// Length of the network part of `address`.
    pub prefix_len: u8,
    /// Source of everything random: sequence numbers, ports.
    pub seed: u64,
    /// Bytes of each TCP socket's send buffer and of its receive buffer, which is the window.
    pub tcp_buffer: usize,
    /// Silence after which a connection is given up; `None` waits for ever.
    pub tcp_timeout_ns: Option<u64>,
}

impl StackConfig {
    /// A host in a /24 with buffers of 256 KiB.
    pub fn new(mac: MacAddress, address: Ipv4Addr, seed: u64) -> Self {
        Self {
            mac,
            address,
            prefix_len: 24,
            seed,
            tcp_buffer: 256 << 10,
            tcp_timeout_ns: None,
        }
    }
}

/// A stream of a [`Stack`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct StreamId(usize);

/// A series of echo requests of a [`Stack`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PingId(usize);

fn interface<D: FrameIo>(config: &StackConfig, phy: &mut Phy<D>, now_ns: u64) -> Interface {
    let mut settings = Config::new(EthernetAddress(config.mac).into());
    settings.random_seed = config.seed;
    let mut interface = Interface::new(settings, phy, instant(now_ns));
    interface.update_ip_addrs(|addresses| {
        let address = IpCidr::new(config.address.into(), config.prefix_len);
        addresses.push(address).expect("room for one address");
    });
    interface
}

/// A TCP/IP host above `D`.
pub struct Stack<D: FrameIo> {
    config: StackConfig,
    phy: Phy<D>,
    interface: Interface,
    sockets: SocketSet<'static>,
    streams: Vec<Stream>,
    pingers: Vec<Pinger>,
    next_port: u16,
    scratch: Vec<u8>,
}

impl<D: FrameIo> Stack<D> {
    /// A host at time `now_ns`.
    pub fn new(io: D, config: StackConfig, now_ns: u64) -> Self {
        let mut phy = Phy::new(io);
        let interface = interface(&config, &mut phy, now_ns);
        Self {
            // Ports differ between seeds, so that a run after a crash does not meet its own past.
            next_port: FIRST_PORT + (config.seed % 8192) as u16,
            config,
            phy,
            interface,
            sockets: SocketSet::new(Vec::new()),
            streams: Vec::new(),
            pingers: Vec::new(),
            scratch: vec![0; config.tcp_buffer],
        }
    }

    /// Takes note that the MTU of `D` has changed. Before there is any traffic: it forgets whom it
    /// knows.
    pub fn renew(&mut self, now_ns: u64) {
        self.interface = interface(&self.config, &mut self.phy, now_ns);
    }

    /// What moves the frames.
    pub fn io(&self) -> &D {
        &self.phy.io
    }

    /// What moves the frames.
    pub fn io_mut(&mut self) -> &mut D {
        &mut self.phy.io
    }

    /// Shows every frame that passes to `tap`.
    pub fn set_tap(&mut self, tap: Option<Tap>) {
        self.phy.tap = tap;
    }

    /// Frames that passed.
    pub fn counters(&self) -> PhyCounters {
        self.phy.counters()
    }

    /// IPv4 address of the host.
    pub fn address(&self) -> Ipv4Addr {
        self.config.address
    }

    /// Opens a connection to `port` of `remote`. It comes about in later polls.
    pub fn connect(&mut self, remote: Ipv4Addr, port: u16, plan: StreamPlan) -> StreamId {
        let local = self.next_port;
        self.next_port = local.checked_add(1).unwrap_or(FIRST_PORT);
        let mut stream = Stream::new(&mut self.sockets, &self.config, plan);
        stream.connect(
            &mut self.sockets,
            &mut self.interface,
            (remote, port),
            local,
        );
        self.add_stream(stream)
    }

    /// Waits for a connection to `port`. Plans without a source of their own serve any number
    /// of connections, each of which becomes a stream in [`Stack::streams`].
    pub fn listen(&mut self, port: u16, plan: StreamPlan) -> StreamId {
        let mut stream = Stream::new(&mut self.sockets, &self.config, plan);
        stream.listen(&mut self.sockets, port);
        self.add_stream(stream)
    }

    /// How a stream is doing.
    pub fn stream(&self, id: StreamId) -> StreamReport {
        self.streams[id.0].report()
    }

    /// All streams, in the order in which they were opened.
    pub fn streams(&self) -> impl Iterator<Item = (StreamId, StreamReport)> + '_ {
        let reports = self.streams.iter().map(Stream::report).enumerate();
        reports.map(|(index, report)| (StreamId(index), report))
    }

    /// Resets a connection.
    pub fn abort_stream(&mut self, id: StreamId) {
        self.streams[id.0].abort(&mut self.sockets);
    }

    /// Begins to send echo requests at `now_ns`.
    pub fn start_ping(&mut self, plan: PingPlan, now_ns: u64) -> PingId {
        let ident = self.pingers.len() as u16 + 1;
        self.pingers
            .push(Pinger::new(&mut self.sockets, plan, ident, now_ns));
        PingId(self.pingers.len() - 1)
    }

    /// Sends no more echo requests; replies still count.
    pub fn stop_ping(&mut self, id: PingId) {
        self.pingers[id.0].stop();
    }

    /// How a series of echo requests is doing.
    pub fn ping(&self, id: PingId) -> PingReport {
        self.pingers[id.0].report()
    }

    /// Takes in what arrived, does what is due, sends what there is room for.
    pub fn poll(&mut self, now_ns: u64) {
        self.phy.now_ns = now_ns;
        loop {
            self.interface
                .poll(instant(now_ns), &mut self.phy, &mut self.sockets);
            if !self.work(now_ns) {
                return;
            }
        }
    }

    /// When the next poll is due if nothing comes in; `None` if nothing will be.
    ///
    /// While [`FrameIo::has_room`] says no, sends that wait for room do not count.
    pub fn poll_at(&mut self, now_ns: u64) -> Option<u64> {
        let stack = self.interface.poll_at(instant(now_ns), &self.sockets);
        let stack = stack.map(|at| (at.total_micros().max(0) as u64).saturating_mul(1000));
        let stack = stack.filter(|at| *at > now_ns || self.phy.io.has_room());
        let pings = self.pingers.iter().filter_map(Pinger::next_ns);
        stack
            .into_iter()
            .chain(pings)
            .min()
            .map(|at| at.max(now_ns))
    }

    /// Moves bytes between sockets and their users. Returns whether anything moved.
    fn work(&mut self, now_ns: u64) -> bool {
        let mut moved = false;
        let mut accepted = Vec::new();
        for stream in &mut self.streams {
            moved |= stream.work(&mut self.sockets, &mut self.scratch, now_ns);
            accepted.extend(stream.take_successor());
        }
        for (port, plan) in accepted {
            self.listen(port, plan);
        }
        for pinger in &mut self.pingers {
            moved |= pinger.work(&mut self.sockets, now_ns);
        }
        moved
    }

    fn add_stream(&mut self, stream: Stream) -> StreamId {
        self.streams.push(stream);
        StreamId(self.streams.len() - 1)
    }
}

/// smoltcp counts microseconds.
fn instant(now_ns: u64) -> Instant {
    Instant::from_micros((now_ns / 1000) as i64)
}
