//! The two hosts: the guest's TCP/IP, and its peer.

use std::sync::Arc;

use devices::wire::{Clock, MacAddress, Peer, PortConfig, StackConfig, Switch};
use neighbours::ledgers::Ledgers;
use neighbours::tcpip::{TcpIp, TcpIpConfig};

use super::{GUEST_ADDRESS, PEER_ADDRESS, PEER_MAC, World, latency_ns};

pub(super) fn tcpip(seed: u64, mac: MacAddress, ledgers: &Arc<Ledgers>) -> Arc<TcpIp> {
    let config = TcpIpConfig {
        mac,
        address: GUEST_ADDRESS,
        seed,
        mtu: 1500,
    };
    TcpIp::new(config, Arc::clone(ledgers))
}

/// The peer, with every frame that passes its stack in the ledgers.
pub(super) fn peer(
    seed: u64,
    clock: Arc<dyn Clock>,
    switch: &Arc<Switch>,
    ledgers: &Arc<Ledgers>,
) -> Arc<Peer> {
    let config = StackConfig::new(PEER_MAC, PEER_ADDRESS, seed.wrapping_add(1));
    let port = PortConfig {
        latency_ns: latency_ns(),
        bits_per_second: 10_000_000_000,
    };
    let peer = Peer::new(clock, switch, "peer", port, config);
    peer.with(|stack, _| stack.set_tap(Some(ledgers.peer_tap())));
    Arc::new(peer)
}

impl World {
    /// Gives the guest's TCP/IP another MTU. Before any traffic.
    pub fn set_guest_mtu(&self, mtu: usize) {
        self.tcpip.with(|stack, now| {
            stack.io_mut().set_mtu(mtu);
            stack.renew(now);
        });
    }

    /// Gives the peer another MTU. Before any traffic.
    pub fn set_peer_mtu(&self, mtu: usize) {
        self.peer.with(|stack, now| {
            stack.io_mut().set_mtu(mtu);
            stack.renew(now);
        });
    }
}
