//! The VF: plugged, withdrawn, pulled out.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use devices::vf_port::{VfConfig, VfHardware};
use devices::wire::MacAddress;
use ndis_host::ndis::adapter_report;
use ndis_host::pnp::{self, DeviceId, DriverId};
use ndis_host::sched;
use ndis_sys::NDIS_PACKET_TYPE_DIRECTED;
use neighbours::vf::{VfControl, VfOptions};

use super::backend::{Device, FrameCounter, Outside, Unplugged};
use super::{GUEST_MAC, SECOND_NS, World, machine};

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
    side: Side,
}

/// A VF from the outside.
enum Side {
    /// An embedded one with a miniport in Rust.
    Embedded(VfControl),
    /// One that a backend made, with a miniport from an image.
    Other(Box<dyn Outside>),
}

impl Primary {
    /// The PnP device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Its hardware.
    ///
    /// # Panics
    ///
    /// When it is not an embedded one.
    #[must_use]
    pub fn hardware(&self) -> &VfHardware {
        self.control().hardware()
    }

    /// Its miniport.
    ///
    /// # Panics
    ///
    /// When it is not an embedded one.
    #[must_use]
    pub fn control(&self) -> &VfControl {
        match &self.side {
            Side::Embedded(control) => control,
            Side::Other(_) => panic!("the scenario is one for the embedded VF"),
        }
    }

    /// Frames that it carried, both ways.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.counter()()
    }

    /// Counts the frames that it carries, both ways.
    #[must_use]
    pub fn counter(&self) -> FrameCounter {
        match &self.side {
            Side::Embedded(control) => {
                let hardware = control.hardware().clone();
                Arc::new(move || {
                    let counters = hardware.counters();
                    counters.tx_frames + counters.rx_frames
                })
            }
            Side::Other(device) => device.counter(),
        }
    }

    /// Whether the driver has opened its receive filter, as it does when it takes over.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        match &self.side {
            Side::Embedded(control) => control.hardware().filter().directed,
            Side::Other(_) => {
                let report = pnp::adapter(self.device).and_then(adapter_report);
                report.is_some_and(|it| it.packet_filter & NDIS_PACKET_TYPE_DIRECTED != 0)
            }
        }
    }

    /// Takes it out of its slot, which the guest is done with.
    fn leave_slot(&self) {
        match &self.side {
            Side::Embedded(control) => {
                control.hardware().withdraw();
            }
            Side::Other(device) => device.eject(),
        }
    }

    /// Its state, a line each.
    pub(super) fn describe(&self) -> String {
        match &self.side {
            Side::Embedded(control) => format!(
                "{:?}\n  its hardware: {:?}",
                control.counters(),
                control.hardware().counters()
            ),
            Side::Other(device) => {
                let report = pnp::adapter(self.device).and_then(adapter_report);
                format!("{report:?}\n  its device: {}", device.describe())
            }
        }
    }
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
        let name = self.next_vf();
        let control = self.connect_hardware(plug);
        let of_device = control.clone();
        let device = pnp::add_native_device(&name, &[], move || of_device.miniport());
        self.start_vf(&name, device)?;
        Ok(Primary {
            device,
            side: Side::Embedded(control),
        })
    }

    /// Plugs a VF that a backend made. A second copy of the driver image is its vendor's miniport: to
    /// it the device is an adapter without a standby.
    ///
    /// # Errors
    ///
    /// A VF is plugged already, or does not start.
    pub fn plug_other_vf(&mut self, unplugged: Unplugged) -> Result<()> {
        if self.primary.is_some() {
            bail!("a VF is plugged already");
        }
        self.primary = Some(self.new_other_vf(unplugged)?);
        Ok(())
    }

    /// Plugs one more VF that a backend made, and leaves it to the caller.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn new_other_vf(&mut self, unplugged: Unplugged) -> Result<Primary> {
        let driver = self.load_vf_driver()?;
        let name = self.next_vf();
        let mut made = None;
        let inf = machine::adapter_inf()?;
        let device = pnp::add_pci_device(driver, inf, &[], |host| {
            let Device { function, outside } = unplugged(host);
            made = Some(outside);
            function
        })?;
        let outside = made.context("pnp did not build the device")?;
        outside.connect(
            self.switch
                .add_port("vf", self.vf_port, outside.wire_sink()),
        );
        self.start_vf(&name, device)?;
        Ok(Primary {
            device,
            side: Side::Other(outside),
        })
    }

    /// The driver of VFs that a backend made, loaded by the first who needs it.
    pub(super) fn load_vf_driver(&mut self) -> Result<DriverId> {
        let driver = match self.vf_driver {
            Some(driver) => driver,
            None => pnp::load_driver(self.image.bytes(), machine::VF_SERVICE)?,
        };
        self.vf_driver = Some(driver);
        Ok(driver)
    }

    fn next_vf(&mut self) -> String {
        self.plugged += 1;
        format!("VF {}", self.plugged)
    }

    /// Has the notify object keep protocols off the VF, but for VIOPROT; starts it and waits for its
    /// binds.
    fn start_vf(&self, name: &str, device: DeviceId) -> Result<()> {
        if let Some(tcpip) = self.tcpip_component {
            pnp::set_binding(tcpip, device, false);
        }
        if let Some(vioprot) = self.vioprot {
            pnp::set_binding(vioprot, device, true);
        }
        pnp::start_device(device)
            .map_err(|status| anyhow!("{name} does not start: {status:#x}"))?;
        pnp::settle();
        Ok(())
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
        let vf = self.vf()?;
        self.wait_for("the VF to take over", 10 * SECOND_NS, || vf.is_in_use())
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
        primary.leave_slot();
        WithdrawalTimes {
            requested_ns,
            ejected_ns: sched::now(),
        }
    }

    /// Pulls a VF that a backend made out without notice.
    ///
    /// # Errors
    ///
    /// There is no VF.
    pub fn pull_other_vf(&mut self) -> Result<()> {
        let Some(primary) = self.primary.take() else {
            bail!("there is no VF")
        };
        primary.leave_slot();
        pnp::surprise_remove_device(primary.device);
        Ok(())
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
