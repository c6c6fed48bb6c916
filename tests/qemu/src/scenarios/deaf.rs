//! A driver that does not take STANDBY: the offer is kept from it.
//!
//! Ours takes STANDBY wherever it is offered. Another, an older one say, does not; what QEMU does then is
//! seen by hiding the bit in the register that the driver reads it from (virtio 1.2, 4.1.4.3).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use devices::pci::{Bar, PciFunction};
use scenarios::world::backend::{Device, Unplugged};

use crate::card::Card;
use crate::virtio::{Layout, Registers};

/// `device_feature_select` and `device_feature` in the common configuration.
const SELECT: u64 = 0;
const FEATURES: u64 = 4;
/// The word of the features that has VIRTIO_NET_F_STANDBY, 62, and its byte and bit in that.
const WORD: u8 = 1;
const BYTE: usize = 3;
const STANDBY: u8 = 1 << 6;

/// A card whose driver sees STANDBY only while `is_deaf` is not set.
///
/// # Errors
///
/// The card has gone, or is a legacy device, which has no such feature.
pub(super) fn behind(card: Card, is_deaf: Arc<AtomicBool>) -> Result<Unplugged> {
    let mut common = None;
    card.with(|access| {
        if let Layout::Modern { common: found, .. } = access.side.layout {
            common = Some(found);
        }
        Ok(())
    });
    let common = common.context("the card has gone, or is a legacy device")?;
    let unplugged = card.unplugged();
    Ok(Box::new(move |host| {
        let Device { function, outside } = unplugged(host);
        let function = Box::new(Deaf {
            function,
            common,
            selected: 0,
            is_deaf,
        });
        Device { function, outside }
    }))
}

struct Deaf {
    function: Box<dyn PciFunction>,
    common: Registers,
    /// What the driver last wrote to `device_feature_select`.
    selected: u8,
    is_deaf: Arc<AtomicBool>,
}

impl PciFunction for Deaf {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.function.config_read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        self.function.config_write(offset, data);
    }

    fn bars(&self) -> Vec<Bar> {
        self.function.bars()
    }

    fn bar_read(&mut self, bar: u8, offset: u64, data: &mut [u8]) {
        self.function.bar_read(bar, offset, data);
        let is_it = bar == self.common.bar && offset == self.common.offset + FEATURES;
        if is_it
            && self.selected == WORD
            && self.is_deaf.load(Ordering::Acquire)
            && let Some(byte) = data.get_mut(BYTE)
        {
            *byte &= !STANDBY;
        }
    }

    fn bar_write(&mut self, bar: u8, offset: u64, data: &[u8]) {
        if bar == self.common.bar && offset == self.common.offset + SELECT {
            self.selected = data.first().copied().unwrap_or_default();
        }
        self.function.bar_write(bar, offset, data);
    }

    fn lose_power(&mut self) {
        self.function.lose_power();
    }

    fn process(&mut self) {
        self.function.process();
    }
}
