//! The VF: plugged, withdrawn, pulled out.

use anyhow::{Result, anyhow, bail};
use devices::vf_port::{VfConfig, VfHardware};
use devices::wire::MacAddress;
use ndis_host::pnp::{self, DeviceId};
use ndis_host::sched;
use neighbours::vf::{VfControl, VfOptions};

use super::{GUEST_MAC, SECOND_NS, World};

/// How a VF is plugged.
#[derive(Clone, Copy, Debug)]
pub struct VfPlug {
    /// Its MAC address.
    pub mac: MacAddress,
    /// Whether its link is up from the start.
    pub link_up: bool,
    /// How its miniport behaves.
    pub options: VfOptions,
    /// Time that its hardware takes for a frame, ns; `None`: the seed says.
    pub tx_delay_ns: Option<u64>,
}

impl Default for VfPlug {
    fn default() -> Self {
        Self {
            mac: GUEST_MAC,
            link_up: true,
            options: VfOptions::default(),
            tx_delay_ns: None,
        }
    }
}

/// A VF in its slot.
pub struct Primary {
    device: DeviceId,
    control: VfControl,
}

impl Primary {
    /// The PnP device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Its hardware.
    #[must_use]
    pub fn hardware(&self) -> &VfHardware {
        self.control.hardware()
    }

    /// Its miniport.
    #[must_use]
    pub fn control(&self) -> &VfControl {
        &self.control
    }

    /// Frames that it carried, both ways.
    #[must_use]
    pub fn frames(&self) -> u64 {
        frames(self.hardware())
    }

    /// Whether the driver has opened its receive filter, as it does when it takes over.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.hardware().filter().directed
    }
}

/// Frames that a VF carried, both ways.
#[must_use]
pub fn frames(hardware: &VfHardware) -> u64 {
    let counters = hardware.counters();
    counters.tx_frames + counters.rx_frames
}

/// The times of a planned removal.
#[derive(Clone, Copy, Debug)]
pub struct WithdrawalTimes {
    /// When the host asked for it.
    pub requested_ns: u64,
    /// When the guest had ejected the device.
    pub ejected_ns: u64,
}

impl World {
    /// Plugs a VF: hardware, port, PnP device; starts it and waits for its binds.
    ///
    /// # Errors
    ///
    /// A VF is plugged already, or does not start.
    pub fn plug_vf(&mut self, plug: &VfPlug) -> Result<()> {
        if self.primary.is_some() {
            bail!("a VF is plugged already");
        }
        self.primary = Some(self.new_vf(plug)?);
        Ok(())
    }

    /// Plugs one more VF and leaves it to the caller.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn new_vf(&mut self, plug: &VfPlug) -> Result<Primary> {
        self.plugged += 1;
        let control = self.connect_hardware(plug);
        let of_device = control.clone();
        let name = format!("VF {}", self.plugged);
        let device = pnp::add_native_device(&name, &[], move || of_device.miniport());
        if let Some(tcpip) = self.tcpip_component {
            pnp::set_binding(tcpip, device, false);
        }
        if let Some(vioprot) = self.vioprot {
            pnp::set_binding(vioprot, device, true);
        }
        pnp::start_device(device)
            .map_err(|status| anyhow!("{name} does not start: {status:#x}"))?;
        pnp::settle();
        Ok(Primary { device, control })
    }

    fn connect_hardware(&self, plug: &VfPlug) -> VfControl {
        let drawn_ns = 500 + sched::random_below(5_000);
        let config = VfConfig {
            tx_delay_ns: plug.tx_delay_ns.unwrap_or(drawn_ns),
            link_up: plug.link_up,
            ..VfConfig::new(plug.mac)
        };
        let hardware = VfHardware::new(self.clock.clone(), config);
        let sink = hardware.wire_sink();
        hardware.connect(self.switch.add_port("vf", self.vf_port, sink));
        VfControl::new(hardware, plug.options)
    }

    /// Waits until the VF carries the adapter's traffic.
    ///
    /// # Errors
    ///
    /// It does not within ten seconds.
    pub fn wait_for_vf(&self) -> Result<()> {
        let hardware = self.vf()?.hardware().clone();
        self.wait_for("the VF to take over", 10 * SECOND_NS, move || {
            hardware.filter().directed
        })
    }

    /// The host withdraws the VF, as QEMU does before a migration: the guest removes the device in
    /// order, with the hardware at work until it has, and ejects it.
    ///
    /// # Errors
    ///
    /// There is no VF.
    pub fn withdraw_vf(&mut self) -> Result<WithdrawalTimes> {
        let Some(primary) = self.primary.take() else {
            bail!("there is no VF")
        };
        Ok(self.withdraw(primary))
    }

    /// As [`World::withdraw_vf`], for a VF of the caller's.
    pub fn withdraw(&self, primary: Primary) -> WithdrawalTimes {
        let requested_ns = sched::now();
        pnp::remove_device(primary.device);
        primary.hardware().withdraw();
        WithdrawalTimes {
            requested_ns,
            ejected_ns: sched::now(),
        }
    }

    /// Pulls the VF out without notice. What its hardware had is lost: how many frames.
    ///
    /// # Errors
    ///
    /// There is no VF.
    pub fn pull_vf(&mut self) -> Result<u64> {
        let Some(primary) = self.primary.take() else {
            bail!("there is no VF")
        };
        let on_the_wire = self.switch.counters().dropped_removed;
        primary.hardware().withdraw();
        let cut = self.switch.counters().dropped_removed - on_the_wire;
        pnp::surprise_remove_device(primary.device);
        Ok(primary.hardware().counters().lost_in_withdrawal + cut)
    }

    /// The VF goes while the system sleeps: its hardware is not there any more when it resumes, and
    /// PnP finds out then.
    ///
    /// # Errors
    ///
    /// There is no VF.
    pub fn lose_vf(&mut self) -> Result<()> {
        let Some(primary) = self.primary.take() else {
            bail!("there is no VF")
        };
        primary.hardware().withdraw();
        pnp::unplug_device(primary.device);
        Ok(())
    }

    /// Moves the VF's link.
    ///
    /// # Errors
    ///
    /// There is no VF.
    pub fn set_vf_link(&self, up: bool) -> Result<()> {
        self.vf()?.hardware().set_link(up);
        Ok(())
    }

    fn vf(&self) -> Result<&Primary> {
        self.primary
            .as_ref()
            .ok_or_else(|| anyhow!("there is no VF"))
    }
}
