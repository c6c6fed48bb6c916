//! What programs are told of adapters and their VFs.

use core::ptr;
use core::sync::atomic::Ordering;

use control_device::{AdapterRecord, Flags, Path, WhyNot};
use ndis::irql::Passive;

use crate::binding::Binding;
use crate::edge::{Edge, Known, Roster};
use crate::pair::{HOLD, Pair, VF};
use crate::{Reason, UpperState};

impl Reason {
    /// What a program is told that asks why an adapter has no VF; `None`: it may have one all the
    /// same.
    pub(crate) const fn why_not(self, detail: u32) -> Option<WhyNot> {
        match self {
            Self::VfMtuTooSmall => Some(WhyNot::MtuTooSmall(detail)),
            Self::VfRefusedSetting => Some(WhyNot::RefusedSetting(detail)),
            Self::VfNotOpened => Some(WhyNot::NotOpened(detail)),
            Self::SecondVf => None,
        }
    }
}

impl Edge {
    /// Calls `act` with whether VIOPROT is installed, as far as is known, and with what each adapter of
    /// the driver is like. The adapters stay, and get no other VF, until it returns.
    pub fn describe<R>(
        &self,
        at: &Passive<'_>,
        act: impl FnOnce(bool, &mut dyn Iterator<Item = AdapterRecord>) -> R,
    ) -> R {
        let roster = self.roster.lock(at);
        let is_installed = self.is_installed();
        let mut records = roster
            .pairs
            .iter()
            .map(|pair| describe(pair, vf_of(&roster, pair), is_installed));
        act(is_installed, &mut records)
    }
}

/// The open VF that a pair has.
fn vf_of<'a>(roster: &'a Roster, pair: &Pair) -> Option<&'a Binding> {
    let mut bindings = roster.bindings.iter().filter_map(Known::open);
    bindings.find(|binding| ptr::eq(binding.pair.load(Ordering::Acquire), pair))
}

/// The parts are read one after the other, not at one moment: a switch meanwhile may show.
fn describe(pair: &Pair, vf: Option<&Binding>, is_installed: bool) -> AdapterRecord {
    let upper = pair.upper().state();
    let path = path(pair, upper);
    let why_not = match path {
        Path::Vf => WhyNot::Carries,
        _ => why_not(pair, vf, is_installed),
    };
    let mut flags = Flags::empty();
    flags.set(Flags::STANDBY, pair.identity.standby);
    flags.set(Flags::LINK_UP, upper.link_up);
    flags.set(Flags::VIRTIO_LINK_UP, upper.standby_link_up);
    flags.set(Flags::VF_BOUND, vf.is_some());
    flags.set(Flags::VF_LINK_UP, vf.is_some_and(Binding::is_link_up));
    AdapterRecord {
        luid: pair.identity.luid,
        vf_luid: vf.map_or(0, |vf| vf.luid),
        mtu: pair.identity.mtu,
        vf_mtu: vf.map_or(0, |vf| vf.mtu),
        why_not: why_not.code(),
        detail: why_not.detail(),
        flags: flags.bits(),
        mac: pair.identity.mac,
        path: path.code(),
        reserved: [0; 5],
    }
}

fn path(pair: &Pair, upper: UpperState) -> Path {
    match pair.carrier.load(Ordering::Acquire) {
        VF => Path::Vf,
        HOLD => Path::Switching,
        _ if upper.standby_carries => Path::Virtio,
        _ => Path::None,
    }
}

fn why_not(pair: &Pair, vf: Option<&Binding>, is_installed: bool) -> WhyNot {
    if !pair.identity.standby {
        return WhyNot::NotStandby;
    }
    if !is_installed {
        return WhyNot::NotInstalled;
    }
    // SAFETY: at PASSIVE_LEVEL with no spin lock held; a leaf lock.
    let refusal = *unsafe { pair.refusal.lock() };
    match vf.map(Binding::unfit) {
        None => refusal.unwrap_or(WhyNot::NoVf),
        Some(None) => WhyNot::Settling,
        Some(Some(unfit @ WhyNot::RefusedSetting(_))) => refusal.unwrap_or(unfit),
        Some(Some(unfit)) => unfit,
    }
}
