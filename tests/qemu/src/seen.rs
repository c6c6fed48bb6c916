//! What a device and its driver have agreed on, as QEMU sees it.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use qapi::qmp::{self, VirtioDeviceFeatures};
use serde::{Deserialize, Serialize};

use crate::card::{Card, Cost};
use crate::monitor::{Monitor, virtio_path};

/// What QEMU puts in front of the name of a feature.
const PREFIXES: [&str; 3] = ["VIRTIO_NET_F_", "VIRTIO_RING_F_", "VIRTIO_F_"];

/// Bits that QEMU offers and has no name for in 7.2.
const UNNAMED: [(u32, &str); 1] = [(40, "RING_RESET")];

/// Names of features, as the specification has them: without `VIRTIO_F_` and the like. A bit that nobody
/// here knows is "bit 63".
pub type Names = BTreeSet<String>;

/// What a device lets through to its driver.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Filter {
    /// Everything.
    pub promiscuous: bool,
    /// Multicast addresses that it was told of.
    pub groups: usize,
    /// Its address.
    pub address: String,
}

/// How a card is reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Reach {
    /// BARs of I/O ports.
    pub port_bars: Vec<u8>,
    /// Bytes from the doorbell of a queue to that of the next; 0: they have one.
    pub doorbell_distance: u64,
    /// It is a PCI Express card.
    pub is_express: bool,
}

/// What there is to see while the driver runs.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Seen {
    /// What the device has to offer, by either interface.
    pub offered: Names,
    /// What the driver has taken.
    pub taken: Names,
    /// What the device lets through.
    pub filter: Filter,
    /// Descriptors of each queue; 0: the driver has not set it up.
    pub rings: Vec<u64>,
    /// Messages, by vector. Without MSI-X there are none.
    pub messages: Vec<u64>,
    /// Assertions of the interrupt pin.
    pub pin_asserted: u64,
    /// Doorbells, by queue.
    pub doorbells: Vec<u64>,
    /// Accesses to I/O ports.
    pub port_accesses: u64,
    /// How it is reached.
    pub reach: Reach,
    /// The MTU that the driver has declared to NDIS, bytes.
    pub mtu: u32,
}

impl Seen {
    /// Looks at a card whose driver runs, and has declared this MTU.
    ///
    /// # Errors
    ///
    /// QEMU does not answer.
    pub fn look(card: &Card, mtu: u32) -> Result<Self> {
        let (features, rings, filter) = card.machine().monitor(|monitor| {
            let path = virtio_path(card.id());
            let status = monitor.execute(&qmp::x_query_virtio_status { path })?;
            let rings: Result<Vec<_>> = (0..u16::try_from(status.num_vqs)?)
                .map(|queue| ring(monitor, card.id(), queue))
                .collect();
            let features = [status.host_features, status.guest_features];
            anyhow::Ok((features, rings?, filter(monitor, card.id())?))
        })?;
        let Cost {
            doorbells,
            messages,
            pin_asserted,
            port_accesses,
            ..
        } = card.cost();
        let [offered, taken] = features.map(|one| names(&one));
        let doorbells_of = |queue| doorbells.get(&queue).copied().unwrap_or_default();
        let last = doorbells.keys().next_back().map_or(0, |last| last + 1);
        Ok(Self {
            offered,
            taken,
            filter,
            rings,
            messages,
            pin_asserted,
            doorbells: (0..last).map(doorbells_of).collect(),
            port_accesses,
            reach: card.reach()?,
            mtu,
        })
    }
}

/// Descriptors of a queue, if the driver has said where it is.
fn ring(monitor: &mut Monitor, card: &str, queue: u16) -> Result<u64> {
    let status = monitor.queue(card, queue)?;
    let is_set_up = status.vring_desc != 0;
    Ok(if is_set_up {
        u64::from(status.vring_num)
    } else {
        0
    })
}

fn filter(monitor: &mut Monitor, card: &str) -> Result<Filter> {
    let name = Some(card.to_owned());
    let told = monitor.execute(&qmp::query_rx_filter { name })?;
    let told = told.into_iter().next().context("the card's filter")?;
    Ok(Filter {
        promiscuous: told.promiscuous,
        groups: told.multicast_table.len(),
        address: told.main_mac,
    })
}

/// Whether the driver of a card has taken a feature.
pub(crate) fn has_taken(monitor: &mut Monitor, card: &str, feature: &str) -> Result<bool> {
    let path = virtio_path(card);
    let status = monitor.execute(&qmp::x_query_virtio_status { path })?;
    Ok(names(&status.guest_features).contains(feature))
}

fn names(features: &VirtioDeviceFeatures) -> Names {
    let known = features.transports.iter();
    let known = known.chain(features.dev_features.iter().flatten());
    let known = known.filter_map(|told| {
        // Behind the name it says what the feature is.
        let name = told.split(':').next()?;
        let plain = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
        Some(plain.unwrap_or(name).to_owned())
    });
    let unknown = features.unknown_dev_features.unwrap_or_default();
    let bits = (0..u64::BITS).filter(|bit| unknown >> bit & 1 != 0);
    let name = |bit: u32| {
        let known = UNNAMED.iter().find(|(of, _)| *of == bit);
        known.map_or_else(|| format!("bit {bit}"), |(_, name)| (*name).to_owned())
    };
    known.chain(bits.map(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_the_names_of_the_specification() {
        let told = VirtioDeviceFeatures {
            transports: vec!["VIRTIO_RING_F_EVENT_IDX: Used & avail. event: fields".to_owned()],
            dev_features: Some(vec!["VIRTIO_NET_F_MTU: Device max MTU".to_owned()]),
            unknown_dev_features: Some(1 << 40 | 1 << 62),
        };
        let expected = ["EVENT_IDX", "MTU", "RING_RESET", "bit 62"].map(str::to_owned);
        assert_eq!(names(&told), Names::from(expected));
    }
}
