//! Situations in which a program may find the driver, for what is said of them elsewhere to be tried
//! against the driver itself.

use anyhow::Result;
use clap::ValueEnum;
use control_device::{Path, WhyNot};
use devices::wire::MacAddress;
use ndis_host::registry::Value;
use neighbours::vf::VfOptions;

use crate::world::{Adapter, AdapterOptions, VfPlug, World};

/// Bytes, below the 1500 of the adapter.
const SMALL_MTU: u32 = 1280;

/// What there is when a program asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Situation {
    /// The VF carries.
    Vf,
    /// The VF's link is down, and the virtio device carries.
    Virtio,
    /// VIOPROT is not installed: nothing carries.
    None,
    /// The device is no standby.
    NotStandby,
    /// The VF's MTU is smaller than the adapter's.
    SmallMtu,
    /// The VF carries, and there is a second adapter, no standby, with the next address.
    TwoAdapters,
}

/// Brings a situation about, with adapter and VF of this address; the second adapter, if any.
///
/// # Errors
///
/// It does not come about.
pub fn bring_about(
    world: &mut World,
    situation: Situation,
    mac: MacAddress,
) -> Result<Option<Adapter>> {
    let standby = situation != Situation::NotStandby;
    let options = AdapterOptions {
        standby,
        mac: Some(mac),
        ..AdapterOptions::default()
    };
    world.add_adapter(&options.with("StandbyGraceMs", Value::Sz("1".to_owned())))?;
    world.start_adapter()?;
    match situation {
        Situation::None => return Ok(None),
        Situation::NotStandby => {
            world.wait_for_path(mac, Path::Virtio, WhyNot::NotStandby)?;
            return Ok(None);
        }
        _ => world.install_vioprot()?,
    }
    let mut options = VfOptions::default();
    if situation == Situation::SmallMtu {
        options.mtu = SMALL_MTU;
    }
    world.plug_vf(&VfPlug {
        mac,
        options,
        ..VfPlug::default()
    })?;
    if situation == Situation::SmallMtu {
        world.wait_for_path(mac, Path::Virtio, WhyNot::MtuTooSmall(SMALL_MTU))?;
        return Ok(None);
    }
    world.wait_for_path(mac, Path::Vf, WhyNot::Carries)?;
    match situation {
        Situation::Virtio => {
            world.set_vf_link(false)?;
            world.wait_for_path(mac, Path::Virtio, WhyNot::LinkDown)?;
            Ok(None)
        }
        Situation::TwoAdapters => {
            let [a, b, c, d, e, last] = mac;
            let second = AdapterOptions {
                mac: Some([a, b, c, d, e, last.wrapping_add(1)]),
                ..AdapterOptions::default()
            };
            world.another_adapter(&second).map(Some)
        }
        _ => Ok(None),
    }
}
