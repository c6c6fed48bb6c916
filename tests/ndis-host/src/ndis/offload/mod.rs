//! Task offloads and receive-side scaling: what NDIS checks of NBLs and OIDs.
//!
//! Microsoft Learn, "TCP/IP Task Offload", "Receive Side Scaling". The judge knows what a miniport
//! declared, what it was asked to switch, and what it indicated since; of an adapter that offers
//! nothing it asks nothing, except that it does not do what it did not offer.

pub(crate) mod config;
pub(crate) mod receive;
pub(crate) mod rss;
pub(crate) mod segment;
pub(crate) mod transmit;

pub(crate) use config::observe;

/// What is switched on, as far as OIDs tell.
#[derive(Default)]
pub(crate) struct Offload {
    /// OID_OFFLOAD_ENCAPSULATION has enabled 802.3 for IPv4, IPv6.
    pub(crate) encapsulated: [bool; 2],
    /// Receive-side scaling, when it is on.
    pub(crate) rss: Option<rss::Scaling>,
}
