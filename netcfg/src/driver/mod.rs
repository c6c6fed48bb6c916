//! What netkvm.sys says of its adapters, asked over its control device.

#[cfg_attr(
    not(windows),
    allow(dead_code, reason = "the device, which uses it, is Windows-only")
)]
mod conversation;
#[cfg(windows)]
mod device;

use control_device::AdapterRecord;
#[cfg(windows)]
pub use device::ask;

use crate::interfaces::Interface;

/// What the driver has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Whether the protocol VIOPROT is installed, as far as the driver knows.
    pub protocol_installed: bool,
    /// All its adapters.
    pub adapters: Vec<AdapterRecord>,
}

/// Why the driver has said nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// There is no device: the driver is not loaded, or older than the device.
    NoDevice,
    /// The device is for administrators.
    Denied,
    /// The driver has refused the request, or its answer can't be read: it is of another version.
    OtherVersion,
    /// Another failure: HRESULT.
    Failed(i32),
}

impl Told {
    /// What the driver says of `adapter`, which is one of `all`, the NetKVM adapters of the system.
    ///
    /// An interface is known by its NET_LUID. The list of interfaces and the driver's are read one after
    /// the other: an adapter that is removed and installed in between is in them under two of them. Then
    /// its address tells, if it is one record's alone and that record is no other adapter's.
    #[must_use]
    pub fn of(&self, adapter: &Interface, all: &[Interface]) -> Option<&AdapterRecord> {
        let own = |record: &&AdapterRecord| record.luid == adapter.luid;
        if let Some(record) = self.adapters.iter().find(own) {
            return Some(record);
        }
        let with_address = |record: &&AdapterRecord| Some(record.mac) == adapter.mac;
        let mut candidates = self.adapters.iter().filter(with_address);
        let (record, is_alone) = (candidates.next()?, candidates.next().is_none());
        let is_taken = all.iter().any(|other| other.luid == record.luid);
        (is_alone && !is_taken).then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    fn told(records: &[(u64, [u8; 6])]) -> Told {
        let adapters = records.iter().map(|(luid, mac)| AdapterRecord {
            luid: *luid,
            mac: *mac,
            ..AdapterRecord::default()
        });
        Told {
            protocol_installed: true,
            adapters: adapters.collect(),
        }
    }

    fn luid_of(told: &Told, adapter: Interface, others: &[Interface]) -> Option<u64> {
        let all = [&[adapter], others].concat();
        told.of(&adapter, &all).map(|record| record.luid)
    }

    const fn at(luid: u64) -> Interface {
        Interface {
            luid,
            mac: Some(MAC),
        }
    }

    #[test]
    fn an_adapter_is_known_by_its_luid_whatever_its_address() {
        let told = told(&[(1, MAC), (2, [2; 6]), (3, MAC)]);
        for luid in 1..=3 {
            assert_eq!(luid_of(&told, at(luid), &[]), Some(luid));
            let interface = Interface { luid, mac: None };
            assert_eq!(luid_of(&told, interface, &[]), Some(luid));
        }
    }

    #[test]
    fn an_address_serves_if_it_is_one_records_alone() {
        let one = told(&[(1, MAC), (2, [2; 6])]);
        assert_eq!(luid_of(&one, at(9), &[]), Some(1));
        let two = told(&[(1, MAC), (2, MAC)]);
        assert_eq!(luid_of(&two, at(9), &[]), None);
        assert_eq!(luid_of(&two, Interface::default(), &[]), None);
        assert_eq!(
            luid_of(&told(&[(1, [0; 6])]), Interface::default(), &[]),
            None
        );
    }

    #[test]
    fn no_record_is_two_adapters() {
        let told = told(&[(1, MAC)]);
        assert_eq!(luid_of(&told, at(9), &[at(1)]), None);
        assert_eq!(luid_of(&told, at(1), &[at(9)]), Some(1));
    }
}
