//! From one QEMU to another, with the driver running on.
//!
//! 1. The source asks the guest for the VF and waits until it is ejected ([`Departure::begin`] comes
//!    before that).
//! 2. It sends memory while the guest runs. So that this lasts until we say, it may send only little in
//!    a second.
//! 3. It stops the processors and waits ([`Departure::cross`]). So do we: the machine of the host is
//!    stopped, and nobody writes to memory. QEMU knows of no write but its own, so each page is marked
//!    as written: one byte of it, by the protocol, with what it is.
//! 4. It sends what is left, and its devices' state; the destination goes on.
//! 5. The destination's memory is mapped in the place of the source's, at the same addresses. The
//!    driver never learns of it.
//!
//! A destination whose devices can't be put into the state of the source's ends, and the source goes on.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use ndis_host::memory::{self, PAGE_SIZE, PHYSICAL_BASE};
use ndis_host::sched;
use qapi::qmp::{self, Event, MigrationStatus};

use crate::backend::{LOW_MEMORY, shared};
use crate::interrupts;
use crate::machine::Machine;
use crate::process::{MachineOptions, Process, Started, memory_file};
use crate::qtest::Width;

/// The name of the socket in both QEMUs, and as an address.
const SOCKET: &str = "migration";
const ADDRESS: &str = "fd:migration";
/// Bytes in a second while the guest is to run on, and from then on.
const SLOW: u64 = 2 << 20;
const FAST: u64 = 1 << 40;
/// Time that QEMU has to take the frames on its cables.
const TAKE_LIMIT_NS: u64 = 1_000_000_000;

/// A migration that has begun.
pub struct Departure {
    /// When, ns.
    pub began_ns: u64,
    machine: Machine,
    destination: Started,
    memory: File,
    /// Events of the source that came before.
    from: usize,
}

/// What a migration was.
pub struct Arrival {
    /// How it ended.
    pub end: End,
    /// How long the processors stood still.
    pub stopped: Duration,
}

/// How a migration ended.
pub enum End {
    /// The guest is on the destination; this is the QEMU that it has left.
    Moved(Box<Process>),
    /// The destination could not make use of what it got, and the guest goes on where it was.
    Stayed,
}

impl Departure {
    /// Starts the destination and the migration. QEMU asks for the primary, if there is one.
    ///
    /// # Errors
    ///
    /// A QEMU refuses, or can't be started.
    pub fn begin(machine: &Machine, to: &MachineOptions) -> Result<Self> {
        let memory = memory_file("guest-ram")?;
        memory.set_len(shared(&memory).whole)?;
        let (ours, theirs) = UnixStream::pair()?;
        let destination = sched::outside(|| {
            let mut destination = Process::start(shared(&memory), to)?;
            destination.qtest.watch_pins()?;
            let monitor = &mut destination.process.monitor;
            monitor.prepare_migration()?;
            monitor.give(SOCKET, theirs.as_fd())?;
            monitor.execute(&qmp::migrate_incoming {
                uri: Some(ADDRESS.to_owned()),
                channels: None,
                exit_on_error: None,
            })?;
            anyhow::Ok(destination)
        })?;
        let from = machine.events()?.len();
        let began_ns = sched::now();
        machine.monitor(|it| {
            it.prepare_migration()?;
            it.give(SOCKET, ours.as_fd())?;
            it.set_migration_bandwidth(SLOW)?;
            it.execute(&qmp::migrate {
                uri: Some(ADDRESS.to_owned()),
                channels: None,
                detach: None,
                resume: None,
            })
        })?;
        Ok(Self {
            began_ns,
            machine: machine.clone(),
            destination,
            memory,
            from,
        })
    }

    /// Whether the source has told of such an event since the migration began.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn has_told(&self, is_it: impl Fn(&Event) -> bool) -> Result<bool> {
        self.machine.monitor(|it| {
            let told = it.recent_events()?.iter().skip(self.from);
            Ok(told.into_iter().any(|one| is_it(&one.event)))
        })
    }

    /// Waits until the source sends memory: it has the primary back.
    ///
    /// # Errors
    ///
    /// It does not within `limit_ns`.
    pub fn wait_until_active(&self, limit_ns: u64) -> Result<()> {
        self.wait("the migration to be active", limit_ns, || {
            self.has_told(|event| is_status(event, MigrationStatus::active))
        })
    }

    /// Crosses to the destination.
    ///
    /// # Errors
    ///
    /// A QEMU does not go on, or the host's machine can't be stopped. The run is over then.
    pub fn cross(self) -> Result<Arrival> {
        // A QEMU that has stopped its processors takes one more frame of each cable and keeps it.
        self.machine.hold(true)?;
        self.wait("QEMU to take its frames", TAKE_LIMIT_NS, || {
            self.machine.try_with(|core| {
                let mut all = true;
                for place in core.places() {
                    all &= place.switch.is_none() || place.wire.is_taken()?;
                }
                Ok(all)
            })
        })?;
        self.machine
            .monitor(|it| it.set_migration_bandwidth(FAST))?;
        self.wait("the source to stop", TAKE_LIMIT_NS * 20, || {
            self.has_told(|event| is_status(event, MigrationStatus::pre_switchover))
        })?;
        let machine = self.machine.clone();
        let began = Instant::now();
        let crossed = sched::stopped(|| self.cross_stopped());
        let end = crossed.map_err(|left| anyhow!("{left} threads do not stop"))??;
        let stopped = began.elapsed();
        machine.hold(false)?;
        Ok(Arrival { end, stopped })
    }

    /// The part with all processors stopped.
    fn cross_stopped(self) -> Result<End> {
        let Self {
            machine,
            mut destination,
            memory,
            from,
            ..
        } = self;
        mark_all_pages(&machine)?;
        // What the guest sent, it sent from here.
        while machine.exchange() {}
        let has_moved = machine.monitor(|it| {
            let state = MigrationStatus::pre_switchover;
            it.execute(&qmp::migrate_continue { state })?;
            let is_completed = |event: &Event| is_status(event, MigrationStatus::completed);
            let end = it.wait("the end of the migration", from, |event| {
                is_completed(event) || is_status(event, MigrationStatus::failed)
            })?;
            if !is_completed(&end.event) {
                let goes_on = |event: &Event| matches!(event, Event::RESUME { .. });
                it.wait("the source to go on", from, goes_on)?;
            }
            anyhow::Ok(is_completed(&end.event))
        })?;
        if !has_moved {
            return Ok(End::Stayed);
        }
        let monitor = &mut destination.process.monitor;
        monitor.wait("the destination to go on", 0, |event| {
            matches!(event, Event::RESUME { .. })
        })?;
        let source = machine.go_on_with(destination, &memory, LOW_MEMORY as u64)?;
        memory::replace_file(memory, LOW_MEMORY as u64)?;
        Ok(End::Moved(Box::new(source)))
    }

    fn wait(
        &self,
        what: &'static str,
        limit_ns: u64,
        mut ready: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let mut failed = None;
        let over = || {
            ready().unwrap_or_else(|error| {
                failed.get_or_insert(error);
                true
            })
        };
        let came = sched::wait(what, over, Some(limit_ns));
        match failed {
            Some(error) => Err(error).context(what),
            None if came => Ok(()),
            None => Err(anyhow!("{what}: not within {} ms", limit_ns / 1_000_000)),
        }
    }
}

/// Has QEMU see each page of memory as written.
fn mark_all_pages(machine: &Machine) -> Result<()> {
    let guest = memory::file().context("guest memory has no file")?;
    machine.try_with(|core| {
        let cards = core.places().len();
        let messages = interrupts::pages(cards).map(|page| (page, page));
        let whole = guest.metadata()?.len();
        let high = (LOW_MEMORY as u64..whole)
            .step_by(PAGE_SIZE)
            .map(|at| (PHYSICAL_BASE + at - LOW_MEMORY as u64, at));
        for (address, at) in messages.chain(high) {
            let mut byte = [0];
            guest.read_exact_at(&mut byte, at)?;
            let [byte] = byte;
            core.qtest.write(address, Width::Byte, u64::from(byte))?;
        }
        // Until all are done.
        core.qtest.read(0, Width::Byte).map(drop)
    })
}

fn is_status(event: &Event, wanted: MigrationStatus) -> bool {
    matches!(event, Event::MIGRATION { data, .. } if data.status == wanted)
}
