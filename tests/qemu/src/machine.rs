//! One device: QEMU with what stands between it and the host.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use devices::pci::PciHost;
use devices::wire::{PortHandle, Sink};
use ndis_host::sched;
use qapi::qmp::Event;
use scenarios::world::backend::Outside;

use crate::bus::{self, Config, PlacedBar};
use crate::function::HostSide;
use crate::interrupts::Messages;
use crate::process::{DeviceOptions, Memory, Process, Started};
use crate::qtest::{Qtest, Width};
use crate::virtio::Layout;
use crate::wire::Wire;

/// Time from one look at QEMU to the next while there is news, and while there is none.
const BUSY_POLL_NS: u64 = 20_000;
const IDLE_POLL_NS: u64 = 100_000;
/// News keep the looks frequent for that long.
const BUSY_NS: u64 = 2_000_000;
/// Queues that have frames.
const PAIR: u16 = 2;
/// Time from one look at QEMU's events to the next.
const EVENTS_EVERY: Duration = Duration::from_millis(2);

/// What the driver asked of the device, since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Doorbells, by queue: 0 receives, 1 sends.
    pub doorbells: BTreeMap<u64, u64>,
    /// The queue of commands, if the device has one. A driver rings its doorbell once a command.
    pub control_queue: Option<u64>,
    /// Messages, by vector.
    pub messages: Vec<u64>,
    /// How often the interrupt pin was asserted.
    pub pin_asserted: u64,
    /// Frames to the guest.
    pub frames_to_guest: u64,
    /// Frames from the guest.
    pub frames_from_guest: u64,
    /// Frames to the guest that the wire had no room for.
    pub frames_dropped: u64,
    /// Register reads, each of which waits for QEMU.
    pub register_reads: u64,
    /// Register writes, doorbells and MSI-X table apart.
    pub register_writes: u64,
    /// Vectors that were masked or unmasked.
    pub mask_changes: u64,
    /// Commands of the qtest protocol.
    pub qtest_commands: u64,
}

impl Cost {
    /// Doorbells of a queue.
    #[must_use]
    pub fn doorbells_of(&self, queue: u64) -> u64 {
        self.doorbells.get(&queue).copied().unwrap_or_default()
    }

    /// Doorbells of the queue of commands.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.control_queue
            .map_or(0, |queue| self.doorbells_of(queue))
    }

    /// Messages of all vectors.
    #[must_use]
    pub fn all_messages(&self) -> u64 {
        self.messages.iter().sum()
    }
}

/// What the accesses of the host work on.
pub struct Core {
    pub(crate) qtest: Qtest,
    pub(crate) host_side: HostSide,
    pub(crate) messages: Messages,
    pub(crate) layout: Layout,
    pub(crate) cost: Cost,
    wire: Wire,
    /// What went wrong first between host and QEMU. Nothing is right after that.
    failure: Option<String>,
}

impl Core {
    fn fail(&mut self, error: &Error) {
        self.failure.get_or_insert_with(|| format!("{error:#}"));
    }

    fn cost(&self) -> Cost {
        let wire = self.wire.counters();
        Cost {
            messages: self.messages.counts().to_vec(),
            frames_to_guest: wire.to_guest,
            frames_from_guest: wire.from_guest,
            frames_dropped: wire.dropped,
            qtest_commands: self.qtest.commands(),
            ..self.cost.clone()
        }
    }
}

/// A device without a slot.
pub struct Assembled {
    process: Process,
    core: Core,
}

struct Shared {
    host: Arc<dyn PciHost>,
    core: Mutex<Core>,
    process: Mutex<Process>,
    port: Mutex<Option<PortHandle>>,
    failover: Mutex<Failover>,
    busy_until: Mutex<u64>,
}

/// What is known of the negotiation of STANDBY.
#[derive(Default)]
struct Failover {
    negotiated: bool,
    looked: Option<Instant>,
}

/// A device in its slot. Clones are the same device.
#[derive(Clone)]
pub struct Machine(Arc<Shared>);

/// Starts QEMU and finds out what its device has.
///
/// # Errors
///
/// QEMU can't be started, or its device is not as it has to be.
pub fn assemble(memory: Memory<'_>, options: &DeviceOptions) -> Result<Assembled> {
    let Started {
        process,
        mut qtest,
        wire,
    } = Process::start(memory, options)?;
    qtest.watch_pins()?;
    let bars = bus::set_up(&mut qtest)?;
    let capabilities = Config::function().capabilities(&mut qtest)?;
    let layout = Layout::read(&mut qtest, &capabilities)?;
    let low = usize::try_from(memory.low)?;
    let file = memory.file.try_clone()?;
    let messages = Messages::find(&mut qtest, &capabilities, file, low)?;
    let cost = Cost {
        control_queue: control_queue(&mut qtest, &layout, &bars)?,
        ..Cost::default()
    };
    let core = Core {
        host_side: HostSide::new(bars, &capabilities),
        messages,
        layout,
        cost,
        wire: Wire::new(wire)?,
        failure: None,
        qtest,
    };
    Ok(Assembled { process, core })
}

impl Assembled {
    /// Puts the device into a slot of `host`. From here on it is looked at now and then.
    #[must_use]
    pub fn plug(self, host: Arc<dyn PciHost>) -> Machine {
        let shared = Arc::new(Shared {
            host,
            core: Mutex::new(self.core),
            process: Mutex::new(self.process),
            port: Mutex::new(None),
            failover: Mutex::default(),
            busy_until: Mutex::new(0),
        });
        look_again(Arc::downgrade(&shared), BUSY_POLL_NS);
        Machine(shared)
    }
}

fn look_again(device: Weak<Shared>, after_ns: u64) {
    sched::after(after_ns, move || {
        if let Some(shared) = device.upgrade() {
            let next = Machine(shared).poll();
            look_again(device, next);
        }
    });
}

impl Machine {
    /// Lets `body` at the device; an error in it is remembered. Tells the host of its pin afterwards.
    pub(crate) fn with(&self, body: impl FnOnce(&mut Core) -> Result<()>) {
        let mut core = lock(&self.0.core);
        if let Err(error) = body(&mut core) {
            core.fail(&error);
        }
        let levels = core.qtest.take_levels();
        let rises = levels.iter().filter(|level| **level).count();
        core.cost.pin_asserted += rises as u64;
        drop(core);
        levels
            .into_iter()
            .for_each(|level| self.0.host.set_line(level));
    }

    /// Lets `body` look at the device.
    pub(crate) fn look<R>(&self, body: impl FnOnce(&Core) -> R) -> R {
        body(&lock(&self.0.core))
    }

    /// Takes messages and frames of QEMU's, and gives it frames that wait. Returns when to look again,
    /// ns from now.
    pub(crate) fn poll(&self) -> u64 {
        let (mut messages, mut frames) = (Vec::new(), Vec::new());
        self.with(|core| {
            core.qtest.poll()?;
            messages = core.messages.take()?;
            frames = core.wire.receive()?;
            core.wire.flush()
        });
        let news = !messages.is_empty() || !frames.is_empty();
        for message in messages {
            self.0.host.message(message.address, message.data);
        }
        if let Some(port) = lock(&self.0.port).as_ref() {
            frames.into_iter().for_each(|frame| port.send(frame));
        }
        let now = sched::now();
        let mut busy_until = lock(&self.0.busy_until);
        if news {
            *busy_until = now + BUSY_NS;
        }
        if now < *busy_until {
            BUSY_POLL_NS
        } else {
            IDLE_POLL_NS
        }
    }

    /// What the driver asked of the device so far.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.look(Core::cost)
    }

    /// QEMU's version.
    #[must_use]
    pub fn version(&self) -> String {
        lock(&self.0.process).version().to_owned()
    }

    /// Whether the driver has taken packed rings, as QEMU sees it.
    ///
    /// # Errors
    ///
    /// QEMU does not answer.
    pub fn has_packed_rings(&self) -> Result<bool> {
        lock(&self.0.process).has_packed_rings()
    }

    /// Ends QEMU and returns its capture of the wire: a pcap file.
    ///
    /// # Errors
    ///
    /// It does not end as it should.
    pub fn quit(&self) -> Result<Vec<u8>> {
        lock(&self.0.process).quit()
    }

    /// What QEMU thinks of a queue, and what is in the memory of its two sides: the event suppression
    /// structures, where the rings are packed.
    fn describe_queue(&self, queue: u16) -> Result<String> {
        let status = lock(&self.0.process).queue(queue)?;
        let mut core = lock(&self.0.core);
        let driver = core.qtest.read(status.vring_avail, Width::Long)?;
        let device = core.qtest.read(status.vring_used, Width::Long)?;
        Ok(format!(
            "{status:?}, driver area {driver:#010x}, device area {device:#010x}"
        ))
    }

    fn look_for_failover(&self, failover: &mut Failover) {
        let due = failover
            .looked
            .is_none_or(|before| before.elapsed() >= EVENTS_EVERY);
        if failover.negotiated || !due {
            return;
        }
        failover.looked = Some(Instant::now());
        match lock(&self.0.process).events() {
            Ok(events) => {
                let is_it = |event: &Event| matches!(event, Event::FAILOVER_NEGOTIATED { .. });
                failover.negotiated = events.iter().any(is_it);
            }
            Err(error) => lock(&self.0.core).fail(&error),
        }
    }
}

impl Outside for Machine {
    fn wire_sink(&self) -> Sink {
        // The port owns this, and the device the port.
        let device = Arc::downgrade(&self.0);
        Box::new(move |frame| {
            if let Some(shared) = device.upgrade() {
                Machine(shared).with(|core| core.wire.send(frame));
            }
        })
    }

    fn connect(&self, port: PortHandle) {
        *lock(&self.0.port) = Some(port);
    }

    fn frames(&self) -> u64 {
        let Cost {
            frames_to_guest,
            frames_from_guest,
            ..
        } = self.cost();
        frames_to_guest + frames_from_guest
    }

    fn has_negotiated_failover(&self) -> bool {
        let mut failover = lock(&self.0.failover);
        self.look_for_failover(&mut failover);
        failover.negotiated
    }

    fn misuses(&self) -> Vec<String> {
        let mut misuses = lock(&self.0.process).complaints();
        misuses.extend(self.look(|core| core.failure.clone()));
        misuses
    }

    fn describe(&self) -> String {
        let mut text = format!("QEMU {}, {:?}", self.version(), self.cost());
        // Nobody knows whether it still answers.
        for queue in 0..PAIR {
            match self.describe_queue(queue) {
                Ok(queue) => text.push_str(&format!("\n  {queue}")),
                Err(error) => text.push_str(&format!("\n  queue {queue}: {error:#}")),
            }
        }
        text
    }
}

/// The last queue is that of commands, if it is not one of a pair.
fn control_queue(qtest: &mut Qtest, layout: &Layout, bars: &[PlacedBar]) -> Result<Option<u64>> {
    let common = bars.iter().find(|bar| bar.index == layout.common.bar);
    let base = common.context("no BAR for the registers")?.address;
    let queues = bus::decoding(qtest, |qtest| layout.queues(qtest, base))?;
    Ok((queues % 2 == 1).then(|| queues - 1))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
