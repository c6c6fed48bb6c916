//! The protocol edge of the driver: VIOPROT.
//!
//! VIOPROT binds to one NIC per failover adapter, the SR-IOV virtual function (VF) with the same
//! MAC address, and to nothing else. While the VF is fit it carries the adapter's traffic; when it
//! goes, the virtio device does. The decision is made here, from what the driver sees itself.
//!
//! | module | its job |
//! |---|---|
//! | [`edge`] | the protocol driver: who belongs to whom, when to look |
//! | `callbacks` | its registration, and NDIS's way in |
//! | `binding` | one open VF |
//! | [`pair`] | one adapter's data path: which way a send goes, which receives count |
//! | `engine` | switching that path |
//! | `requests` | OID requests to the VF |
//! | `installed` | whether the administrator has installed VIOPROT |
//! | [`copies`] | frames that arrive on both paths |
//! | `describe` | what programs are told of adapters and their VFs |
//! | [`announce`] | frames that tell the switch on the host where the adapter is |
//!
//! The miniport above is known by what this crate needs of it: [`Upper`].

#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;

pub mod announce;
mod binding;
mod callbacks;
pub mod copies;
mod describe;
pub mod edge;
mod engine;
mod installed;
pub mod pair;
mod requests;

use core::ptr::NonNull;

use ndis::chain::{Chain, ToComplete};
use ndis_sys as sys;

use crate::announce::Address;

/// Most multicast addresses that an adapter of ours takes.
pub const MAX_MULTICAST: usize = 32;

/// What NDIS wants received, as it last told the miniport.
#[derive(Clone, Copy)]
pub struct Filters {
    /// Changes with every change of the rest.
    pub generation: u32,
    /// NDIS_PACKET_TYPE_xxx bits.
    pub packet_filter: u32,
    /// Bytes (OID_GEN_CURRENT_LOOKAHEAD).
    pub lookahead: u32,
    /// The first `multicast_len` count.
    pub multicast: [[u8; 6]; MAX_MULTICAST],
    /// How many multicast addresses there are.
    pub multicast_len: usize,
}

/// Why the driver writes to the system event log: the first number of an entry's data. The second
/// is said with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Reason {
    /// The VF's MTU is smaller than the adapter's, so it stays unused. Detail: the VF's MTU.
    VfMtuTooSmall = 0x101,
    /// Another VF with the same MAC is in use already. Detail: 0.
    SecondVf = 0x102,
    /// The VF refused a setting, so it stays unused until it comes anew. Detail: the OID.
    VfRefusedSetting = 0x103,
    /// The VF could not be opened. Detail: the status.
    VfNotOpened = 0x104,
}

/// What the protocol edge needs of the miniport edge above it. Everything may be called at IRQL
/// <= DISPATCH_LEVEL from any CPU, with no spin lock held.
pub trait Upper: Sync {
    /// The adapter's handle.
    fn miniport(&self) -> sys::NDIS_HANDLE;

    /// Sends through the virtio device; takes the debt over.
    fn send_on_standby(&self, sends: Chain<ToComplete>);

    /// Whether the virtio device has sends that it hasn't completed.
    fn standby_has_sends(&self) -> bool;

    /// Sends a frame of the driver's own through the virtio device.
    fn announce_on_standby(&self, frame: &[u8]);

    /// Delivers what waits in the virtio device's receive ring.
    fn poll_standby(&self);

    /// Counts and completes sends whose status is set.
    fn complete_sends(&self, sends: Chain<ToComplete>);

    /// Whether the adapter's packet filter wants a frame to this address.
    fn wants(&self, to: [u8; 6]) -> bool;

    /// Asks to indicate `count` lists; false: the adapter isn't running. Otherwise
    /// [`Upper::receives_done`] says when they are back, and counts one more for the end of the
    /// indication itself.
    fn admit_receives(&self, count: u32) -> bool;

    /// So many admitted lists are back, or indications over.
    fn receives_done(&self, count: u32);

    /// Counts and indicates `count` lists linked from `lists`, with the receive flags `flags`.
    ///
    /// # Safety
    ///
    /// The lists were admitted, their SourceHandle is the adapter's, and they are the caller's to
    /// indicate.
    unsafe fn indicate(&self, lists: *mut sys::NET_BUFFER_LIST, count: u32, flags: u32);

    /// What NDIS wants received.
    fn filters(&self) -> Filters;

    /// The addresses that the protocols above use, into `known`; says how many.
    fn addresses(&self, known: &mut [Address]) -> usize;

    /// A request given to [`pair::Pair::forward`] is done: complete it.
    fn request_done(&self, request: NonNull<sys::NDIS_OID_REQUEST>);

    /// The path that carries, or whether VIOPROT is installed, has changed: the adapter's link may
    /// follow.
    fn path_changed(&self);

    /// Writes to the event log.
    fn log(&self, reason: Reason, detail: u32);

    /// What programs are told of the adapter.
    fn state(&self) -> UpperState;
}

/// The state of an adapter, apart from its VF.
#[derive(Clone, Copy)]
pub struct UpperState {
    /// Its link is up, as NDIS was told last.
    pub link_up: bool,
    /// The virtio device's own link is up.
    pub standby_link_up: bool,
    /// Sends may go out by the virtio device.
    pub standby_carries: bool,
}

impl Filters {
    /// Whether these filters want a frame to the address `to` on an adapter with the address `own`.
    #[must_use]
    pub fn want(&self, to: [u8; 6], own: [u8; 6]) -> bool {
        let has = |filter: u32| self.packet_filter & filter != 0;
        let [first, ..] = to;
        if has(sys::NDIS_PACKET_TYPE_PROMISCUOUS) {
            return true;
        }
        if to == [0xff; 6] {
            return has(sys::NDIS_PACKET_TYPE_BROADCAST);
        }
        if first & 1 == 0 {
            return has(sys::NDIS_PACKET_TYPE_DIRECTED) && to == own;
        }
        has(sys::NDIS_PACKET_TYPE_ALL_MULTICAST)
            || has(sys::NDIS_PACKET_TYPE_MULTICAST)
                && self
                    .multicast
                    .iter()
                    .take(self.multicast_len)
                    .any(|known| *known == to)
    }
}
