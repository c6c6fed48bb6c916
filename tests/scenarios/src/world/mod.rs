//! The machine around the driver image, built from a seed.
//!
//! ```text
//!    TCP/IP (guest)
//!       |
//!    netkvm.sys -------- vioprot
//!       |                   |
//!    virtio-net             VF                  peer
//!       | "standby"         | "vf"              | "peer"
//!    ===+===================+===================+=== switch
//! ```
//!
//! A [`World`] is driven from one thread, at PASSIVE. Everything that the contract leaves open and
//! that a scenario doesn't fix comes from the seed: the number of CPUs, latencies, orders.

mod adapter;
pub mod backend;
mod beside;
mod describe;
mod finish;
mod hosts;
mod machine;
mod options;
mod primary;
mod programs;
mod protocols;
mod traffic;

use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Result, ensure};
use devices::wire::{MacAddress, Peer, PortConfig, Switch};
use ndis_host::pnp::{self, DriverId, ProtocolId};
use ndis_host::registry::Value;
use ndis_host::sched;
use neighbours::clock::HostClock;
use neighbours::ledgers::Ledgers;
use neighbours::tcpip::TcpIp;

pub use adapter::{Adapter, AdapterOptions};
use backend::Backend;
pub use finish::Ending;
pub use machine::read_infs;
pub use options::{Draws, DriverImage, WorldOptions};
pub use primary::{Primary, VfPlug, WithdrawalTimes};
pub use programs::{ask_with_room, open_driver};
pub use traffic::{Traffic, TrafficReport};

/// A millisecond of virtual time.
pub const MILLISECOND_NS: u64 = 1_000_000;
/// A second of virtual time.
pub const SECOND_NS: u64 = 1_000 * MILLISECOND_NS;

/// The adapter's MAC address, and so the VF's.
pub const GUEST_MAC: MacAddress = [0x52, 0x54, 0x00, 0x4e, 0x4b, 0x01];
/// The MAC address of its peer.
pub const PEER_MAC: MacAddress = [0x52, 0x54, 0x00, 0x4e, 0x4b, 0xfe];
/// The guest's address.
pub const GUEST_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);
/// The peer's address.
pub const PEER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 2);

/// Starts the machine without anything in it. Once per process; the caller becomes the machine's
/// first thread.
///
/// # Errors
///
/// There is no memory for it.
pub fn start_machine(options: &WorldOptions) -> Result<()> {
    machine::start(options)
}

/// The machine, with the driver loaded.
pub struct World {
    seed: u64,
    clock: Arc<HostClock>,
    switch: Arc<Switch>,
    /// Of the adapter.
    standby_port: PortConfig,
    /// Of its VFs.
    vf_port: PortConfig,
    image: DriverImage,
    driver: DriverId,
    /// The second copy of the driver that VFs of a backend have.
    vf_driver: Option<DriverId>,
    /// Another world has loaded the drivers, and unloads them.
    is_guest: bool,
    /// What makes the adapter's device; none: it is the embedded one.
    backend: Option<Arc<dyn Backend>>,
    adapter: Option<Adapter>,
    vioprot: Option<ProtocolId>,
    primary: Option<Primary>,
    /// Most messages that the adapter is granted; the seed chooses where this does not.
    messages: Option<usize>,
    /// VFs that were plugged so far.
    plugged: u32,
    /// Time from one ping to the next of traffic that starts.
    pub ping_interval_ns: u64,
    /// What the driver did to devices that are gone.
    misuses: Vec<String>,
    /// TCP/IP above the adapter.
    pub tcpip: Arc<TcpIp>,
    tcpip_component: Option<ProtocolId>,
    /// The host at the other end of the wire.
    pub peer: Arc<Peer>,
    /// The account of frames between the two.
    pub ledgers: Arc<Ledgers>,
}

impl World {
    /// Starts the machine and loads the driver. Once per process; the caller becomes the
    /// machine's first thread.
    ///
    /// # Errors
    ///
    /// The image can't be read or loaded, or its DriverEntry fails.
    pub fn start(options: &WorldOptions) -> Result<Self> {
        start_machine(options)?;
        let driver = pnp::load_driver(options.image.bytes(), machine::SERVICE)?;
        let clock = Arc::new(HostClock);
        let switch = Switch::new(clock.clone());
        let ledgers = Ledgers::new(GUEST_MAC, "start");
        let tcpip = hosts::tcpip(options.seed, GUEST_MAC, &ledgers);
        let peer = hosts::peer(options.seed, clock.clone(), &switch, &ledgers);
        let guest_port = guest_port();
        let tcpip_component = pnp::add_native_protocol(neighbours::tcpip::SERVICE, tcpip.clone());
        Ok(Self {
            seed: options.seed,
            clock,
            switch,
            standby_port: guest_port,
            vf_port: guest_port,
            image: options.image.clone(),
            driver,
            vf_driver: None,
            is_guest: false,
            backend: options.backend.clone(),
            adapter: None,
            vioprot: None,
            primary: None,
            messages: None,
            plugged: 0,
            ping_interval_ns: traffic::PING_INTERVAL_NS,
            misuses: Vec::new(),
            tcpip,
            tcpip_component: Some(tcpip_component),
            peer,
            ledgers,
        })
    }

    /// Makes the adapter's way to the switch and that of its VFs, which are equally long to begin
    /// with, differ from each other. Before they are plugged.
    pub fn use_uneven_paths(&mut self) {
        self.standby_port = guest_port();
        self.vf_port = guest_port();
    }

    /// Where the driver's code and data are.
    #[must_use]
    pub fn driver_range(&self) -> Range<usize> {
        pnp::driver_range(self.driver)
    }

    /// Leaves the adapter, which is not there yet, no messages: it interrupts by a line that it
    /// shares.
    pub fn use_line(&mut self) {
        self.messages = Some(0);
    }

    /// The seed of the run.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The adapter under test.
    ///
    /// # Panics
    ///
    /// When none was added.
    #[must_use]
    pub fn adapter(&self) -> &Adapter {
        self.adapter
            .as_ref()
            .expect("the scenario has added its adapter")
    }

    /// The VF, while it is plugged.
    #[must_use]
    pub fn primary(&self) -> Option<&Primary> {
        self.primary.as_ref()
    }

    /// Waits until `ready`, at most `limit_ns`.
    ///
    /// # Errors
    ///
    /// It did not come about; `what` says what.
    pub fn wait_for(
        &self,
        what: &'static str,
        limit_ns: u64,
        ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let came = sched::wait(what, ready, Some(limit_ns));
        ensure!(came, "{what}: not within {} ms", limit_ns / MILLISECOND_NS);
        Ok(())
    }

    /// Waits until TCP/IP is bound and sees the adapter's link up.
    ///
    /// # Errors
    ///
    /// It does not within `limit_ns`.
    pub fn wait_for_link(&self, limit_ns: u64) -> Result<()> {
        let tcpip = self.tcpip.clone();
        self.wait_for("the adapter's link", limit_ns, move || tcpip.is_connected())
    }
}

/// Latency of a port, ns: the seed's choice.
fn latency_ns() -> u64 {
    const LEAST: u64 = 2_000;
    const MOST: u64 = 50_000;
    LEAST + sched::random_below(MOST - LEAST + 1)
}

/// A port on the guest's side. It has no queue, so that the wire itself lets no frame overtake
/// another if the ways are equally long.
fn guest_port() -> PortConfig {
    PortConfig {
        latency_ns: latency_ns(),
        bits_per_second: 0,
    }
}

/// Registry settings as pnp takes them.
fn borrowed(settings: &[(String, Value)]) -> Vec<(&str, Value)> {
    let pairs = settings.iter();
    pairs
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect()
}
