//! What programs are told of adapters and their VFs.

use core::ptr;
use core::sync::atomic::Ordering;

use control_device::{AdapterRecord, Flags, Path, WhyNot};
use ndis::Failed;
use ndis::irql::Passive;

use crate::binding::Binding;
use crate::edge::{Edge, Known, Roster};
use crate::pair::{HOLD, Pair, VF};
use crate::{Reason, UpperState};

impl Reason {
    /// What a program is told that asks why an adapter has no VF; `None`: it has one.
    pub(crate) const fn why_not(self, detail: u32) -> Option<WhyNot> {
        match self {
            Self::VfMtuTooSmall => Some(WhyNot::MtuTooSmall(detail)),
            Self::VfNotOpened => Some(WhyNot::NotOpened(detail)),
            Self::VfRefusedSetting | Self::SecondVf => None,
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
        let view = View {
            roster: &roster,
            is_installed: self.is_installed(),
            registration: self.registration(),
        };
        let mut records = roster.pairs.iter().map(|pair| view.describe(pair));
        act(view.is_installed, &mut records)
    }
}

/// What all adapters share, while the roster is locked.
struct View<'a> {
    roster: &'a Roster,
    is_installed: bool,
    /// What the registration of the protocol has ended with.
    registration: Result<(), Failed>,
}

impl<'a> View<'a> {
    /// The VF that a pair has, be it on its way out.
    fn vf_of(&self, pair: &Pair) -> Option<&'a Binding> {
        let mut bindings = self.roster.bindings.iter().map(Known::binding);
        bindings.find(|binding| ptr::eq(binding.pair.load(Ordering::Acquire), pair))
    }

    /// The parts are read one after the other, not at one moment: a switch meanwhile may show.
    fn describe(&self, pair: &Pair) -> AdapterRecord {
        let upper = pair.upper().state();
        let path = path(pair, upper);
        let vf = self.vf_of(pair);
        let why_not = self.why_not(pair, path, vf);
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

    fn why_not(&self, pair: &Pair, path: Path, vf: Option<&Binding>) -> WhyNot {
        if !pair.identity.standby {
            return WhyNot::NotStandby;
        }
        // Also while a VF still carries, for a moment: the adapter's link is down.
        if !self.is_installed {
            return WhyNot::NotInstalled;
        }
        if path == Path::Vf {
            return WhyNot::Carries;
        }
        if let Err(failed) = self.registration {
            return WhyNot::NotRegistered(failed.0.cast_unsigned());
        }
        match vf {
            Some(vf) => vf.unfit().unwrap_or(WhyNot::Settling),
            None => self.why_no_vf(pair),
        }
    }

    fn why_no_vf(&self, pair: &Pair) -> WhyNot {
        let mut bindings = self.roster.bindings.iter();
        if bindings.any(|known| known.is_opening() && pair.is_for(known.binding().mac)) {
            return WhyNot::Settling;
        }
        // SAFETY: at PASSIVE_LEVEL with no spin lock held; a leaf lock.
        let refusal = *unsafe { pair.refusal.lock() };
        refusal.unwrap_or(WhyNot::NoVf)
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
