//! A migration between two QEMUs, as the migration of `scenarios` has it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use devices::wire::Frame;
use ndis_host::ndis::adversary::{self, Adversary};
use ndis_host::sched;
use qapi::Enum;
use qapi::qmp::Event as QemuEvent;
use scenarios::migration::Rig;
use scenarios::report::{Details, Event};
use scenarios::world::backend::Backend;
use scenarios::world::{GUEST_MAC, MILLISECOND_NS, SECOND_NS, WithdrawalTimes, World};

use crate::backend::{PRIMARY, Qemu, QemuOptions};
use crate::bus::Port;
use crate::capture::{self, Captured};
use crate::card::{Card, Cost};
use crate::frames::odd_frame;
use crate::hotplug::News;
use crate::migration::{Departure, End};
use crate::monitor::Told;

/// Time from one ping to the next: real time, so there can't be too many.
const PING_NS: u64 = MILLISECOND_NS;
/// Time for a card to come or to be asked for.
const LIMIT_NS: u64 = 10 * SECOND_NS;
/// Sends that the VF has when it is asked for: so many lists of so many frames.
const LISTS: usize = 8;
const FRAMES: usize = 32;

/// The rig.
pub struct QemuRig {
    qemu: Arc<Qemu>,
    hops: u32,
    departure: Option<Departure>,
    started: SystemTime,
    /// What the report has besides.
    details: Details,
    /// What went wrong.
    wrong: Vec<String>,
    boot: Option<Cost>,
    /// Frames sent in lists of their own so far.
    odd_frames: usize,
    /// QEMUs that the guest has left.
    left: u32,
    /// What they captured of the cable of each port.
    captured: [Captured; 2],
}

impl QemuRig {
    /// A rig with devices of this kind, and so many migrations.
    #[must_use]
    pub fn new(options: QemuOptions, hops: u32) -> Self {
        Self {
            details: Details {
                hotplug: options.hotplug.name().to_owned(),
                ring: options.ring.name().to_owned(),
                ..Details::default()
            },
            qemu: Qemu::new(options),
            hops,
            departure: None,
            started: SystemTime::now(),
            wrong: Vec::new(),
            boot: None,
            odd_frames: 0,
            left: 0,
            captured: Default::default(),
        }
    }

    fn primary_port() -> Port {
        Port::at(1)
    }

    /// Fills the VF with sends.
    fn send_lists(&mut self, world: &World) -> Result<()> {
        // As they are sent, not as NDIS may divide them: a doorbell each would take longer than they do.
        let usual = adversary::current();
        adversary::set(Adversary::PLAIN);
        for _ in 0..LISTS {
            let first = self.odd_frames;
            self.odd_frames += FRAMES;
            let frames: Vec<Frame> = (first..self.odd_frames).map(odd_frame).collect();
            ensure!(world.tcpip.send_chain(&frames), "TCP/IP is not bound");
        }
        adversary::set(usual);
        Ok(())
    }

    fn note_events(&mut self, told: &[Told]) {
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let events = told.iter().map(|Told { at, event }| Event {
            machine: self.left + 1,
            event: name(event),
            ms: at.saturating_sub(started).as_millis() as u64,
        });
        self.details.events.extend(events);
    }

    fn take_down(&mut self) -> Result<()> {
        let machine = self.qemu.machine()?;
        let told = machine.events()?;
        self.note_events(&told);
        self.details.qemu_version = machine.version();
        for port in [0, 1] {
            let wire = machine.wire(Port::at(port));
            self.details.redelivered_frames += wire.redelivered;
            self.details.announcements += wire.announcements;
        }
        let cost = self.qemu.adapter()?.cost();
        let boot = self.boot.clone().unwrap_or_default();
        let (sent, received) = (cost.frames_from_guest, cost.frames_to_guest);
        let per_thousand = |count: u64, of: u64| count as f64 * 1000.0 / of.max(1) as f64;
        let commands = cost.commands() - boot.commands();
        self.details.boot_commands = boot.commands();
        self.details.doorbells_per_1000 = per_thousand(cost.doorbells_of(1), sent);
        self.details.messages_per_1000 = per_thousand(cost.all_messages(), sent + received);
        self.details.commands_per_1000 = per_thousand(commands, sent + received);
        self.wrong.extend(machine.complaints());
        let captures = machine.quit()?;
        self.dissect(&captures)?;
        for (number, captured) in self.captured.iter().enumerate() {
            let wire = machine.wire(Port::at(number));
            // Both ways together: what the guest sends to all by one path comes back by the other.
            let seen = captured.from_guest + captured.to_guest;
            let crossed = wire.from_guest + wire.announcements + wire.to_guest;
            ensure!(
                seen == crossed,
                "port {number}: QEMU captured {seen} frames, of {crossed}"
            );
        }
        Ok(())
    }

    /// Dissects what a QEMU captured: each frame is one that belongs there, and whole.
    fn dissect(&mut self, captures: &[Vec<u8>]) -> Result<()> {
        for (captured, pcap) in self.captured.iter_mut().zip(captures) {
            captured.add_all(&capture::dissect(pcap, GUEST_MAC)?);
        }
        Ok(())
    }
}

impl Rig for QemuRig {
    fn name(&self) -> &'static str {
        "qemu"
    }

    fn backend(&self) -> Option<Arc<dyn Backend>> {
        Some(self.qemu.clone())
    }

    fn hops(&self) -> u32 {
        self.hops
    }

    fn tick_ns(&self) -> u64 {
        2 * MILLISECOND_NS
    }

    fn prepare(&self, world: &mut World) {
        world.ping_interval_ns = PING_NS;
    }

    fn plug(&mut self, world: &mut World) -> Result<()> {
        let card = self.qemu.adapter()?;
        let (machine, port) = (card.machine(), Self::primary_port());
        machine.wait_for_news(port, News::Came, LIMIT_NS)?;
        machine.power_on(port)?;
        let primary = Card::find(machine, port, PRIMARY)?;
        world.plug_other_vf(primary.unplugged())
    }

    fn withdraw(&mut self, world: &mut World) -> Result<WithdrawalTimes> {
        let card = self.qemu.adapter()?;
        let machine = card.machine().clone();
        // Booted it has, and nothing has happened since but that the VF carries.
        self.boot.get_or_insert_with(|| card.cost());
        let departure = Departure::begin(&machine, &self.qemu.destination())?;
        machine.wait_for_news(Self::primary_port(), News::HasToGo, LIMIT_NS)?;
        self.send_lists(world)?;
        let times = WithdrawalTimes {
            requested_ns: departure.began_ns,
            ..world.withdraw_vf()?
        };
        let eject_ns = times.ejected_ns - times.requested_ns;
        self.details.ejects_ns.push(eject_ns);
        departure.wait_until_active(LIMIT_NS)?;
        self.departure = Some(departure);
        Ok(times)
    }

    fn cross(&mut self, _world: &World) -> Result<()> {
        let departure = self.departure.take().context("no migration is under way")?;
        let arrival = departure.cross()?;
        self.details
            .stops_ns
            .push(arrival.stopped.as_nanos() as u64);
        let End::Moved(mut source) = arrival.end else {
            self.details.refused += 1;
            return Ok(());
        };
        let told = source.monitor.events()?.to_vec();
        self.note_events(&told);
        self.left += 1;
        let captures = sched::outside(|| source.quit())?;
        self.dissect(&captures)
    }

    fn end(&mut self) -> (Option<Details>, Vec<String>) {
        if let Err(error) = self.take_down() {
            self.wrong.push(format!("{error:#}"));
        }
        (
            Some(std::mem::take(&mut self.details)),
            std::mem::take(&mut self.wrong),
        )
    }
}

/// The name of an event, and what it is about.
pub(crate) fn name(event: &QemuEvent) -> String {
    match event {
        QemuEvent::FAILOVER_NEGOTIATED { data, .. } => {
            format!("FAILOVER_NEGOTIATED {}", data.device_id)
        }
        QemuEvent::UNPLUG_PRIMARY { data, .. } => format!("UNPLUG_PRIMARY {}", data.device_id),
        QemuEvent::MIGRATION { data, .. } => format!("MIGRATION {}", data.status.name()),
        QemuEvent::STOP { .. } => "STOP".to_owned(),
        QemuEvent::RESUME { .. } => "RESUME".to_owned(),
        other => {
            let text = format!("{other:?}");
            let end = text.find([' ', '{', '(']).unwrap_or(text.len());
            text.get(..end).unwrap_or_default().to_owned()
        }
    }
}
