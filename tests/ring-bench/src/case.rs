//! What is measured: the drivers, and the cases that each goes through.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

/// Descriptors in every queue.
pub const QUEUE: usize = 256;

/// Bytes of a packet, without the virtio header.
pub const SIZES: [u32; 2] = [64, 1500];

/// Packets per batch.
pub const BATCHES: [u32; 3] = [1, 8, 32];

/// Whose code drives the ring.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DriverName {
    /// Ours.
    Netkvm,
    /// The crate `virtio-drivers`.
    VirtioDrivers,
    /// The least that a driver can do.
    Floor,
    /// DPDK's virtio-user poll mode driver.
    Dpdk,
}

/// The format of the queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Ring {
    /// Virtio 1.2, 2.7.
    Split,
    /// Virtio 1.2, 2.8.
    Packed,
}

/// Where the packets go.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the device.
    Tx,
    /// From the device.
    Rx,
}

/// The conditions of one row.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Case {
    /// Format of the queue.
    pub ring: Ring,
    /// Where the packets go.
    pub direction: Direction,
    /// Bytes of a packet.
    pub bytes: u32,
    /// Packets per batch.
    pub batch: u32,
    /// `VIRTIO_NET_F_MRG_RXBUF`.
    pub mergeable: bool,
    /// `VIRTIO_F_EVENT_IDX`.
    pub event_idx: bool,
}

/// All cases of one driver with one ring in one direction: what one run under callgrind counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Series {
    /// The driver.
    pub driver: DriverName,
    /// Its ring.
    pub ring: Ring,
    /// Where the packets go.
    pub direction: Direction,
}

impl Series {
    /// Every series there is; a driver lacks what it cannot do.
    pub fn all() -> impl Iterator<Item = Self> {
        let drivers = DriverName::value_variants().iter();
        drivers.flat_map(|&driver| {
            let rings = [Ring::Split, Ring::Packed];
            let rings = rings.into_iter().filter(move |ring| driver.has(*ring));
            rings.flat_map(move |ring| {
                [Direction::Tx, Direction::Rx].map(|direction| Self {
                    driver,
                    ring,
                    direction,
                })
            })
        })
    }

    /// The cases of the series, always in the same order.
    pub fn cases(self) -> impl Iterator<Item = Case> {
        let all = Case::all(self.ring, self.direction);
        all.filter(move |case| self.driver.can(case))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ring, direction) = (word(self.ring), word(self.direction));
        write!(f, "{}_{ring}_{direction}", word(self.driver))
    }
}

/// The name of a value as the command line has it.
fn word(value: impl ValueEnum) -> String {
    let name = value.to_possible_value();
    name.map_or_else(String::new, |name| name.get_name().to_owned())
}

impl Case {
    /// Every case of a ring and a direction.
    pub fn all(ring: Ring, direction: Direction) -> impl Iterator<Item = Self> {
        SIZES.into_iter().flat_map(move |bytes| {
            BATCHES.into_iter().flat_map(move |batch| {
                [(false, false), (false, true), (true, false), (true, true)].map(
                    |(mergeable, event_idx)| Self {
                        ring,
                        direction,
                        bytes,
                        batch,
                        mergeable,
                        event_idx,
                    },
                )
            })
        })
    }
}

impl DriverName {
    fn has(self, ring: Ring) -> bool {
        match self {
            Self::Netkvm | Self::Floor => true,
            Self::VirtioDrivers => ring == Ring::Split,
            Self::Dpdk => cfg!(feature = "dpdk"),
        }
    }

    /// Whether the driver negotiates what the case asks for.
    #[must_use]
    pub fn can(self, case: &Case) -> bool {
        let features = match self {
            Self::Netkvm | Self::Floor => true,
            Self::VirtioDrivers => !case.mergeable,
            Self::Dpdk => !case.event_idx,
        };
        features && self.has(case.ring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_has_every_combination_once() {
        let floor = |series: &Series| series.driver == DriverName::Floor;
        let cases: Vec<_> = Series::all()
            .filter(floor)
            .flat_map(Series::cases)
            .collect();
        assert_eq!(cases.len(), 2 * 2 * SIZES.len() * BATCHES.len() * 4);
        for (at, case) in cases.iter().enumerate() {
            assert!(!cases[..at].contains(case), "{case:?}");
        }
    }

    #[test]
    fn a_driver_is_not_asked_for_what_it_lacks() {
        let mergeable = |case: Case| case.mergeable;
        let crate_alone = |series: &Series| series.driver == DriverName::VirtioDrivers;
        let mut cases = Series::all().filter(crate_alone).flat_map(Series::cases);
        assert!(!cases.any(mergeable));
    }

    #[test]
    fn a_series_is_named_by_what_it_is() {
        let series = Series {
            driver: DriverName::VirtioDrivers,
            ring: Ring::Split,
            direction: Direction::Rx,
        };
        assert_eq!(series.to_string(), "virtio-drivers_split_rx");
    }
}
