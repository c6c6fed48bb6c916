//! The words in which features are offered and accepted (virtio 1.2, 4.1.4.3 and 4.1.4.10).

use super::legacy::{self, LegacyRegisters};
use super::{Layout, PciTransport, common};
use crate::features::Features;
use crate::registers::Registers;

/// Words of feature bits that this driver knows (see [`Features`]).
const FEATURE_WORDS: u8 = 4;

impl<R: Registers> PciTransport<R> {
    /// Reads the features that the device offers.
    pub(crate) fn read_offered(&mut self) -> Features {
        let structures = match &self.layout {
            Layout::Modern(structures) => structures,
            Layout::Legacy(_) => {
                let at = LegacyRegisters::at(legacy::DEVICE_FEATURES);
                return Features::from_word(0, self.registers.read32(at));
            }
        };
        let select = structures.common.within(common::DEVICE_FEATURE_SELECT);
        let feature = structures.common.within(common::DEVICE_FEATURE);
        (0..FEATURE_WORDS).fold(Features::NONE, |offered, word| {
            self.registers.write32(select, word.into());
            offered | Features::from_word(word, self.registers.read32(feature))
        })
    }

    /// The features that the registers leave room for, whatever is offered: a field is used only
    /// where the device says that it has it.
    pub(crate) fn usable(&self) -> Features {
        let Layout::Modern(structures) = &self.layout else {
            return Features::from_word(0, u32::MAX);
        };
        let len = structures.common_len;
        let lacking = [
            (
                Features::NOTIF_CONFIG_DATA,
                len < common::LEN_WITH_NOTIF_CONFIG_DATA,
            ),
            (Features::RING_RESET, len < common::LEN_WITH_RESET),
            (
                Features::NOTIFICATION_DATA,
                !structures.have_wide_doorbells(),
            ),
        ];
        let lacking = lacking.into_iter().filter(|(_, lacks)| *lacks);
        lacking.fold(Features::ALL, |usable, (bit, _)| usable.without(bit))
    }

    /// Writes the accepted features, **the highest word first**.
    ///
    /// A device keeps the words of an earlier driver through a reset, and QEMU acts on
    /// `VIRTIO_NET_F_STANDBY` (it plugs the primary) at the write of *any* word while bit 62 is in
    /// its copy. Were the low word written first, a stale high word would still count.
    ///
    /// Words above the second are written only to devices that offer something there.
    pub(crate) fn write_accepted(&mut self, accepted: Features, offered: Features) {
        let structures = match &self.layout {
            Layout::Modern(structures) => structures,
            Layout::Legacy(_) => {
                let at = LegacyRegisters::at(legacy::DRIVER_FEATURES);
                return self.registers.write32(at, accepted.word(0));
            }
        };
        let select = structures.common.within(common::DRIVER_FEATURE_SELECT);
        let feature = structures.common.within(common::DRIVER_FEATURE);
        for word in (0..FEATURE_WORDS).rev() {
            if word < 2 || offered.word(word) != 0 {
                self.registers.write32(select, word.into());
                self.registers.write32(feature, accepted.word(word));
            }
        }
    }
}
