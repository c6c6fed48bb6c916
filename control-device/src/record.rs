//! What the driver says of one adapter.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An adapter of the driver, and its virtual function (VF).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct AdapterRecord {
    /// NET_LUID of the adapter's interface.
    pub luid: u64,
    /// NET_LUID of the VF's interface; 0 without a VF.
    pub vf_luid: u64,
    /// Bytes, without the Ethernet header.
    pub mtu: u32,
    /// The VF's, likewise; 0 without a VF.
    pub vf_mtu: u32,
    /// [`WhyNot::code`].
    pub why_not: u32,
    /// [`WhyNot::detail`].
    pub detail: u32,
    /// [`Flags`].
    pub flags: u32,
    /// The current address of the adapter, which a VF has as well.
    pub mac: [u8; 6],
    /// [`Path::code`].
    pub path: u8,
    /// 0.
    pub reserved: [u8; 5],
}

// Programs that are not built with this crate know these (docs/control-device.md).
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<AdapterRecord>() == 48);
    assert!(offset_of!(AdapterRecord, vf_luid) == 8);
    assert!(offset_of!(AdapterRecord, mtu) == 16);
    assert!(offset_of!(AdapterRecord, vf_mtu) == 20);
    assert!(offset_of!(AdapterRecord, why_not) == 24);
    assert!(offset_of!(AdapterRecord, detail) == 28);
    assert!(offset_of!(AdapterRecord, flags) == 32);
    assert!(offset_of!(AdapterRecord, mac) == 36);
    assert!(offset_of!(AdapterRecord, path) == 42);
};

bitflags! {
    /// What is true of an adapter.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// Its device is a standby (VIRTIO_NET_F_STANDBY): it may have a VF.
        const STANDBY = 1;
        /// Its link is up, as far as Windows was told.
        const LINK_UP = 1 << 1;
        /// The virtio device's own link is up.
        const VIRTIO_LINK_UP = 1 << 2;
        /// VIOPROT has a VF of the adapter's open.
        const VF_BOUND = 1 << 3;
        /// The VF's link is up.
        const VF_LINK_UP = 1 << 4;
    }
}

/// The way that an adapter's sends take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// None: a standby that has no leave to carry yet.
    None,
    /// The virtio device.
    Virtio,
    /// The VF.
    Vf,
    /// A switch is under way, for some milliseconds at most: sends wait.
    Switching,
}

impl Path {
    /// Its number in a record.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Virtio => 1,
            Self::Vf => 2,
            Self::Switching => 3,
        }
    }

    /// The path of this number; `None` if a newer driver has more of them.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            1 => Some(Self::Virtio),
            2 => Some(Self::Vf),
            3 => Some(Self::Switching),
            _ => None,
        }
    }
}

/// Why an adapter's traffic does not run over a VF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// It does.
    Carries,
    /// The virtio device does not offer VIRTIO_NET_F_STANDBY (QEMU: `failover=on`).
    NotStandby,
    /// VIOPROT is not installed.
    NotInstalled,
    /// VIOPROT was offered no VF with the adapter's address, or another adapter has it.
    NoVf,
    /// The VF's MTU, in bytes without the Ethernet header, is smaller than the adapter's.
    MtuTooSmall(u32),
    /// The VF could not be opened: NDIS_STATUS.
    NotOpened(u32),
    /// The VF has refused to have this OID set.
    RefusedSetting(u32),
    /// Windows has paused the VF's stack.
    Paused,
    /// The VF is not in D0.
    Asleep,
    /// The VF's driver resets it.
    Resetting,
    /// The VF's link is down.
    LinkDown,
    /// The VF's link has to stay up for a moment longer, or the switch is under way.
    Settling,
    /// Windows has not registered the protocol VIOPROT: NDIS_STATUS.
    NotRegistered(u32),
}

impl WhyNot {
    /// Its number in a record.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Carries => 0,
            Self::NotStandby => 1,
            Self::NotInstalled => 2,
            Self::NoVf => 3,
            Self::MtuTooSmall(_) => 4,
            Self::NotOpened(_) => 5,
            Self::RefusedSetting(_) => 6,
            Self::Paused => 7,
            Self::Asleep => 8,
            Self::Resetting => 9,
            Self::LinkDown => 10,
            Self::Settling => 11,
            Self::NotRegistered(_) => 12,
        }
    }

    /// The number that goes with it; 0 for most.
    #[must_use]
    pub const fn detail(self) -> u32 {
        match self {
            Self::MtuTooSmall(detail)
            | Self::NotOpened(detail)
            | Self::RefusedSetting(detail)
            | Self::NotRegistered(detail) => detail,
            _ => 0,
        }
    }

    /// The reason of these numbers; `None` if a newer driver has more of them.
    #[must_use]
    pub const fn from_code(code: u32, detail: u32) -> Option<Self> {
        Some(match code {
            0 => Self::Carries,
            1 => Self::NotStandby,
            2 => Self::NotInstalled,
            3 => Self::NoVf,
            4 => Self::MtuTooSmall(detail),
            5 => Self::NotOpened(detail),
            6 => Self::RefusedSetting(detail),
            7 => Self::Paused,
            8 => Self::Asleep,
            9 => Self::Resetting,
            10 => Self::LinkDown,
            11 => Self::Settling,
            12 => Self::NotRegistered(detail),
            _ => return None,
        })
    }
}

impl AdapterRecord {
    /// What is true of the adapter; bits that this version does not know are left out.
    #[must_use]
    pub const fn flags(&self) -> Flags {
        Flags::from_bits_truncate(self.flags)
    }

    /// The way that its sends take; `None`: one that this version does not know.
    #[must_use]
    pub const fn path(&self) -> Option<Path> {
        Path::from_code(self.path)
    }

    /// Why not over the VF; `None`: for a reason that this version does not know.
    #[must_use]
    pub const fn why_not(&self) -> Option<WhyNot> {
        WhyNot::from_code(self.why_not, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_leads_back_to_its_name() {
        let paths = (0..=u8::MAX).filter_map(|code| Some((code, Path::from_code(code)?)));
        assert!(paths.clone().all(|(code, path)| path.code() == code));
        assert_eq!(paths.count(), 4);
        let reasons = (0..100).filter_map(|code| Some((code, WhyNot::from_code(code, 7)?)));
        assert!(reasons.clone().all(|(code, why)| why.code() == code));
        let with_detail = reasons.clone().filter(|(_, why)| why.detail() == 7).count();
        assert_eq!((reasons.count(), with_detail), (13, 4));
    }
}
