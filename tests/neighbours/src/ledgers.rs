//! The account of the frames between the guest's stack and its peer, one ledger for each way.
//!
//! The guest's end is the border between TCP/IP and NDIS, the peer's end is its stack: whatever
//! the driver, its two paths and the wire do to a frame in between shows. Frames that the driver
//! sends of its own accord, to tell the switch where the adapter is, are counted apart.

use std::sync::{Arc, Mutex};

use devices::wire::stack::{Tap, Way};
use devices::wire::{FrameLedger, LedgerReport, MacAddress};
use ndis_host::sched;

use crate::nbl::lock;

const ARP: [u8; 2] = [0x08, 0x06];
const REVERSE_ARP: [u8; 2] = [0x80, 0x35];
/// Sender and target protocol address of an ARP packet, in the frame.
const ARP_SENDER: std::ops::Range<usize> = 28..32;
const ARP_TARGET: std::ops::Range<usize> = 38..42;

/// Both ledgers.
pub struct Ledgers {
    guest_mac: MacAddress,
    state: Mutex<State>,
}

struct State {
    to_peer: FrameLedger,
    to_guest: FrameLedger,
    announcements: u64,
}

/// The closed account.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// From the guest's stack to its peer.
    pub to_peer: LedgerReport,
    /// From the peer to the guest's stack.
    pub to_guest: LedgerReport,
    /// Announcements of the driver that reached the peer.
    pub announcements: u64,
}

impl Ledgers {
    /// Empty ledgers in the phase `phase`. `guest_mac` is the address of the guest's adapter.
    #[must_use]
    pub fn new(guest_mac: MacAddress, phase: &str) -> Arc<Self> {
        Arc::new(Self {
            guest_mac,
            state: Mutex::new(State {
                to_peer: FrameLedger::new(phase),
                to_guest: FrameLedger::new(phase),
                announcements: 0,
            }),
        })
    }

    /// Frames sent from now on belong to the phase `name`.
    pub fn begin_phase(&self, name: &str) {
        let mut state = lock(&self.state);
        state.to_peer.begin_phase(name);
        state.to_guest.begin_phase(name);
    }

    /// What the peer's stack has to be tapped with.
    #[must_use]
    pub fn peer_tap(self: &Arc<Self>) -> Tap {
        let ledgers = Arc::clone(self);
        Box::new(move |way, frame, now_ns| match way {
            Way::Sent => lock(&ledgers.state).to_guest.sent(frame, now_ns),
            Way::Received => ledgers.reached_peer(frame, now_ns),
        })
    }

    /// The guest's stack gave `frame` to NDIS.
    pub(crate) fn guest_sent(&self, frame: &[u8]) {
        lock(&self.state).to_peer.sent(frame, sched::now());
    }

    /// NDIS gave `frame` to the guest's stack.
    pub(crate) fn guest_received(&self, frame: &[u8]) {
        lock(&self.state).to_guest.delivered(frame, sched::now());
    }

    /// Frames under way, both ways together.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        let state = lock(&self.state);
        state.to_peer.open() + state.to_guest.open()
    }

    /// Frames delivered so far, both ways together.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        let state = lock(&self.state);
        state.to_peer.totals().delivered + state.to_guest.totals().delivered
    }

    /// The account so far. What is under way counts as lost.
    #[must_use]
    pub fn account(&self) -> Account {
        let state = lock(&self.state);
        Account {
            to_peer: report(&state.to_peer),
            to_guest: report(&state.to_guest),
            announcements: state.announcements,
        }
    }

    fn reached_peer(&self, frame: &[u8], now_ns: u64) {
        let mut state = lock(&self.state);
        if self.is_announcement(frame) {
            state.announcements += 1;
        } else {
            state.to_peer.delivered(frame, now_ns);
        }
    }

    /// Whether the driver made the frame: an ARP announcement, or a reverse ARP request, from the
    /// guest's address. The guest's stack sends neither.
    fn is_announcement(&self, frame: &[u8]) -> bool {
        if frame.get(6..12) != Some(&self.guest_mac[..]) {
            return false;
        }
        match frame.get(12..14) {
            Some(ethertype) if ethertype == REVERSE_ARP => true,
            Some(ethertype) if ethertype == ARP => {
                let sender = frame.get(ARP_SENDER);
                sender.is_some() && sender == frame.get(ARP_TARGET)
            }
            _ => false,
        }
    }
}

fn report(ledger: &FrameLedger) -> LedgerReport {
    LedgerReport {
        totals: ledger.totals(),
        lost: ledger.open(),
        phases: ledger.phases().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: MacAddress = [2, 0, 0, 0, 0, 1];
    const OTHER: MacAddress = [2, 0, 0, 0, 0, 2];

    fn arp(from: MacAddress, ethertype: [u8; 2], sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
        let mut frame = vec![0xff; 6];
        frame.extend(from);
        frame.extend(ethertype);
        frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend(from);
        frame.extend(sender);
        frame.extend([0; 6]);
        frame.extend(target);
        frame
    }

    fn is_announcement(frame: &[u8]) -> bool {
        Ledgers::new(GUEST, "only").is_announcement(frame)
    }

    #[test]
    fn an_arp_announcement_of_the_guest_is_the_drivers() {
        assert!(is_announcement(&arp(
            GUEST,
            ARP,
            [10, 0, 0, 1],
            [10, 0, 0, 1]
        )));
        assert!(is_announcement(&arp(GUEST, REVERSE_ARP, [0; 4], [0; 4])));
    }

    #[test]
    fn an_arp_request_is_the_stacks() {
        assert!(!is_announcement(&arp(
            GUEST,
            ARP,
            [10, 0, 0, 1],
            [10, 0, 0, 2]
        )));
        assert!(!is_announcement(&arp(
            OTHER,
            ARP,
            [10, 0, 0, 1],
            [10, 0, 0, 1]
        )));
        assert!(!is_announcement(&arp(GUEST, ARP, [0; 4], [0; 4])[..30]));
    }

    #[test]
    fn announcements_are_neither_foreign_nor_delivered() {
        let ledgers = Ledgers::new(GUEST, "only");
        let mut tap = ledgers.peer_tap();
        tap(
            Way::Received,
            &arp(GUEST, ARP, [10, 0, 0, 1], [10, 0, 0, 1]),
            5,
        );
        let account = ledgers.account();
        assert_eq!(account.announcements, 1);
        assert_eq!(account.to_peer.totals, devices::wire::Totals::default());
    }

    #[test]
    fn what_the_peer_sends_is_under_way_until_it_arrives() {
        let ledgers = Ledgers::new(GUEST, "only");
        let mut tap = ledgers.peer_tap();
        tap(Way::Sent, &arp(OTHER, ARP, [10, 0, 0, 2], [10, 0, 0, 1]), 5);
        assert_eq!(ledgers.under_way(), 1);
        assert_eq!(ledgers.account().to_guest.lost, 1);
    }
}
