//! Which NetKVM adapters may have a virtual function: those whose device offers VIRTIO_NET_F_STANDBY.

use control_device::Flags;
use netcfg::driver::Told;
use netcfg::interfaces::Interface;

/// What is known of the device of a NetKVM adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standby {
    /// It is a standby, or the driver can't be asked.
    #[default]
    Likely,
    /// The driver does not run the adapter at present.
    Unknown,
    /// It is none.
    No,
}

impl Standby {
    /// What the driver has told of the adapter with this interface, which is one of `all`.
    ///
    /// A driver that can't be asked may be older than its control device: then every adapter counts, as
    /// it has before there was one.
    pub(crate) fn of(
        told: Option<&Told>,
        interface: Option<&Interface>,
        all: &[Interface],
    ) -> Self {
        let Some(told) = told else {
            return Self::Likely;
        };
        let record = interface.and_then(|interface| told.of(interface, all));
        match record.map(|record| record.flags().contains(Flags::STANDBY)) {
            Some(true) => Self::Likely,
            Some(false) => Self::No,
            None => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use control_device::AdapterRecord;

    use super::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    fn of(records: &[(u64, Flags)], interface: Option<Interface>) -> Standby {
        let record = |(luid, flags): &(u64, Flags)| AdapterRecord {
            luid: *luid,
            flags: flags.bits(),
            mac: MAC,
            ..AdapterRecord::default()
        };
        let told = Told {
            protocol_installed: true,
            adapters: records.iter().map(record).collect(),
        };
        let all: Vec<Interface> = interface.into_iter().collect();
        Standby::of(Some(&told), interface.as_ref(), &all)
    }

    #[test]
    fn the_driver_is_believed() {
        let own = Some(Interface {
            luid: 1,
            mac: Some(MAC),
        });
        assert_eq!(of(&[(1, Flags::all())], own), Standby::Likely);
        assert_eq!(of(&[(1, Flags::STANDBY.complement())], own), Standby::No);
        // Another adapter's device is not this one's.
        let both = [(2, Flags::STANDBY), (1, Flags::empty())];
        assert_eq!(of(&both, own), Standby::No);
    }

    #[test]
    fn an_adapter_that_the_driver_does_not_run_is_not_known() {
        let other = Some(Interface {
            luid: 1,
            mac: Some([2; 6]),
        });
        assert_eq!(of(&[(2, Flags::STANDBY)], other), Standby::Unknown);
        assert_eq!(of(&[(2, Flags::STANDBY)], None), Standby::Unknown);
        assert_eq!(of(&[], other), Standby::Unknown);
    }

    #[test]
    fn without_the_drivers_word_every_adapter_counts() {
        let interface = Interface {
            luid: 1,
            mac: Some(MAC),
        };
        for interface in [Some(&interface), None] {
            assert_eq!(Standby::of(None, interface, &[]), Standby::Likely);
        }
    }
}
