//! What the device lets through: its own address, the modes, and the table of further addresses.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use super::super::command::{Command, Kind};
use super::super::outcome::Outcome;
use super::super::parameters::{GroupAddress, Limits, Mode};
use super::Standing;
use super::tracked::Tracked;
use crate::config::MacAddress;
use crate::features::Features;

/// The modes of the receive filter that the driver wants; by default none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReceiveModes {
    /// See [`Mode::Promiscuous`].
    pub promiscuous: bool,
    /// See [`Mode::AllMulticast`].
    pub all_multicast: bool,
    /// See [`Mode::AllUnicast`].
    pub all_unicast: bool,
    /// See [`Mode::NoMulticast`].
    pub no_multicast: bool,
    /// See [`Mode::NoUnicast`].
    pub no_unicast: bool,
    /// See [`Mode::NoBroadcast`].
    pub no_broadcast: bool,
}

impl ReceiveModes {
    /// Nothing passes, as far as a device with `CTRL_RX_EXTRA` goes.
    pub const CLOSED: Self = Self {
        promiscuous: false,
        all_multicast: false,
        all_unicast: false,
        no_multicast: true,
        no_unicast: true,
        no_broadcast: true,
    };

    const fn has(&self, mode: Mode) -> bool {
        match mode {
            Mode::Promiscuous => self.promiscuous,
            Mode::AllMulticast => self.all_multicast,
            Mode::AllUnicast => self.all_unicast,
            Mode::NoMulticast => self.no_multicast,
            Mode::NoUnicast => self.no_unicast,
            Mode::NoBroadcast => self.no_broadcast,
        }
    }
}

#[derive(Debug)]
pub(super) struct Filter {
    limits: Limits,
    mac: Tracked<MacAddress>,
    /// What the caller wants, before what a table that does not do makes of it.
    wanted: Option<ReceiveModes>,
    modes: [(Mode, Tracked<bool>); 6],
    unicast: Vec<MacAddress>,
    multicast: Vec<GroupAddress>,
    /// More unicast addresses are wanted than a table has; `unicast` is empty then.
    unicast_overflow: bool,
    /// The same of multicast addresses.
    multicast_overflow: bool,
    /// Counts the changes of the table.
    version: u64,
    table: Tracked<u64>,
}

impl Filter {
    pub(super) fn new(limits: Limits) -> Result<Self, TryReserveError> {
        let mut unicast = Vec::new();
        unicast.try_reserve_exact(limits.unicast.into())?;
        let mut multicast = Vec::new();
        multicast.try_reserve_exact(limits.multicast.into())?;
        Ok(Self {
            limits,
            mac: Tracked::new(),
            wanted: None,
            modes: Mode::ALL.map(|mode| (mode, Tracked::new())),
            unicast,
            multicast,
            unicast_overflow: false,
            multicast_overflow: false,
            version: 0,
            table: Tracked::new(),
        })
    }

    pub(super) fn want_mac(&mut self, address: MacAddress) {
        self.mac.want(address);
    }

    pub(super) fn want_modes(&mut self, modes: ReceiveModes, features: Features) {
        self.wanted = Some(modes);
        self.choose_modes(features);
    }

    pub(super) fn want_addresses(
        &mut self,
        unicast: &[MacAddress],
        multicast: &[GroupAddress],
        features: Features,
    ) {
        let new_unicast = replace(&mut self.unicast, unicast, self.limits.unicast);
        let new_multicast = replace(&mut self.multicast, multicast, self.limits.multicast);
        self.unicast_overflow = unicast.len() > self.limits.unicast.into();
        self.multicast_overflow = multicast.len() > self.limits.multicast.into();
        if new_unicast || new_multicast || self.table.wanted().is_none() {
            self.version = self.version.wrapping_add(1);
            self.table.want(self.version);
        }
        self.choose_modes(features);
    }

    /// The next command of the device's address.
    pub(super) fn next_mac(&self) -> Option<Command<'_>> {
        self.mac.due().map(Command::Mac)
    }

    /// The next command of modes and table: what lets more through, the table, what lets less
    /// through. So nothing that is wanted before and after a change is lost in between.
    pub(super) fn next(&self, features: Features) -> Option<Command<'_>> {
        let mode = |wider: bool| {
            self.modes.iter().find_map(|(mode, tracked)| {
                let on = tracked.due()?;
                let fits = (mode.widens() == on) == wider && features.contains(mode.needs());
                fits.then_some(Command::Mode(*mode, on))
            })
        };
        mode(true)
            .or_else(|| self.next_table(features))
            .or_else(|| mode(false))
    }

    fn next_table(&self, features: Features) -> Option<Command<'_>> {
        let command = Command::MacTable {
            unicast: &self.unicast,
            multicast: &self.multicast,
        };
        self.table.due()?;
        features.contains(command.needs()).then_some(command)
    }

    pub(super) fn send(&mut self, kind: Kind) {
        match kind {
            Kind::Mac => self.mac.send(),
            Kind::MacTable => self.table.send(),
            Kind::Mode(mode) => self.with(mode, Tracked::send),
            _ => {}
        }
    }

    pub(super) fn end(&mut self, kind: Kind, outcome: Outcome, features: Features) {
        match kind {
            Kind::Mac => self.mac.end(outcome),
            Kind::MacTable => self.table.end(outcome),
            Kind::Mode(mode) => self.with(mode, |tracked| tracked.end(outcome)),
            _ => {}
        }
        self.choose_modes(features);
    }

    pub(super) fn unsettle(&mut self, kind: Kind, features: Features) {
        match kind {
            Kind::Mac => self.mac.unsettle(),
            Kind::MacTable => self.table.unsettle(),
            Kind::Mode(mode) => self.with(mode, Tracked::unsettle),
            _ => {}
        }
        self.choose_modes(features);
    }

    pub(super) fn forget(&mut self, features: Features) {
        self.mac.forget();
        self.table.forget();
        for (_, tracked) in &mut self.modes {
            tracked.forget();
        }
        self.choose_modes(features);
    }

    /// How modes and table stand.
    pub(super) fn standing(&self, features: Features) -> Standing {
        let modes = self
            .modes
            .iter()
            .fold(Standing::Settled, |all, (mode, tracked)| {
                let can = features.contains(mode.needs());
                // A mode that there is not is off.
                let met = tracked.is_met() || (!can && tracked.wanted() == Some(false));
                all.and(Standing::of(met, can && tracked.due().is_some()))
            });
        let can = features.contains(Features::CTRL_VQ | Features::CTRL_RX);
        let empty = self.unicast.is_empty() && self.multicast.is_empty();
        // A table that the device does not take is made up for by modes.
        let met = self.table.is_met() || (can && self.table.is_hopeless()) || (!can && empty);
        modes.and(Standing::of(met, can && self.table.due().is_some()))
    }

    /// How the device's address stands.
    pub(super) fn mac_standing(&self, features: Features) -> Standing {
        let can =
            features.contains(Features::CTRL_VQ | Features::CTRL_RX | Features::CTRL_MAC_ADDR);
        Standing::of(self.mac.is_met(), can && self.mac.due().is_some())
    }

    /// Derives the modes from those that are wanted and from what the table cannot do.
    fn choose_modes(&mut self, features: Features) {
        let hopeless = self.table.is_hopeless();
        let no_unicast = self.unicast_overflow || (hopeless && !self.unicast.is_empty());
        let no_multicast = self.multicast_overflow || (hopeless && !self.multicast.is_empty());
        if no_unicast || no_multicast {
            self.wanted.get_or_insert_default();
        }
        let Some(mut modes) = self.wanted else {
            return;
        };
        if no_multicast && !modes.no_multicast {
            modes.all_multicast = true;
        }
        if no_unicast && !modes.no_unicast {
            if features.contains(Mode::AllUnicast.needs()) {
                modes.all_unicast = true;
            } else {
                modes.promiscuous = true;
            }
        }
        for (mode, tracked) in &mut self.modes {
            tracked.want(modes.has(*mode));
        }
    }

    fn with(&mut self, mode: Mode, change: impl FnOnce(&mut Tracked<bool>)) {
        let mut modes = self.modes.iter_mut();
        if let Some((_, tracked)) = modes.find(|(of, _)| *of == mode) {
            change(tracked);
        }
    }
}

/// Makes `list` what is `wanted`, or empty if that is more than `max`; says whether it has changed.
///
/// Allocates nothing: `list` has room for `max`.
fn replace<T: Copy + Eq>(list: &mut Vec<T>, wanted: &[T], max: u16) -> bool {
    let wanted = if wanted.len() > max.into() {
        &[]
    } else {
        wanted
    };
    if list == wanted {
        return false;
    }
    list.clear();
    list.extend_from_slice(wanted);
    true
}
