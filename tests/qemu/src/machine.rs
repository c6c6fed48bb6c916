//! A machine: QEMU with what stands between its cards and the host.

use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use anyhow::{Context, Error, Result, ensure};
use devices::pci::PciHost;
use devices::wire::{Frame, PortHandle};
use ndis_host::sched;
use qapi::qmp::Event;

use crate::bus::{self, Port};
use crate::card::{CardSide, Cost};
use crate::hotplug::{News, Slots};
use crate::interrupts::{LowMemory, Message};
use crate::monitor::{Monitor, Told};
use crate::process::{MachineOptions, Memory, Process, Started};
use crate::qtest::Qtest;
use crate::wire::{Wire, WireCounters};

/// Time from one look at QEMU to the next while there is news, and while there is none.
const BUSY_POLL_NS: u64 = 20_000;
const IDLE_POLL_NS: u64 = 100_000;
/// News keep the looks frequent for that long.
const BUSY_NS: u64 = 2_000_000;

/// A root port with its cable, and at times a card.
pub struct Place {
    pub(crate) wire: Wire,
    pub(crate) card: Option<CardSide>,
    /// What is told of the card's interrupts.
    pub(crate) host: Option<Arc<dyn PciHost>>,
    /// Where frames of the card go.
    pub(crate) switch: Option<PortHandle>,
}

/// What the accesses of the host work on.
pub struct Core {
    pub(crate) qtest: Qtest,
    pub(crate) slots: Slots,
    pub(crate) low: LowMemory,
    places: Vec<Place>,
    /// What went wrong first between host and QEMU. Nothing is right after that.
    failure: Option<String>,
}

impl Core {
    pub(crate) fn fail(&mut self, error: &Error) {
        self.failure.get_or_insert_with(|| format!("{error:#}"));
    }

    /// What is at a port.
    pub(crate) fn place_at(&mut self, port: Port) -> Result<&mut Place> {
        self.split(port).map(|(_, place)| place)
    }

    /// QEMU, and what is at a port.
    pub(crate) fn split(&mut self, port: Port) -> Result<(&mut Qtest, &mut Place)> {
        let place = self.places.get_mut(port.number());
        Ok((&mut self.qtest, place.context("there is no such port")?))
    }

    /// What is at all ports.
    pub(crate) fn places(&mut self) -> &mut [Place] {
        &mut self.places
    }

    /// Takes messages and frames of QEMU's, and gives it frames that wait.
    fn exchange(&mut self) -> Result<Vec<Traffic>> {
        self.qtest.poll()?;
        let mut taken = Vec::new();
        for (number, place) in self.places.iter_mut().enumerate() {
            let messages = match &mut place.card {
                Some(card) => card.messages.take(&self.low)?,
                None => Vec::new(),
            };
            taken.push(Traffic {
                number,
                host: place.host.clone(),
                messages,
                frames: place.wire.receive()?,
            });
            place.wire.flush()?;
        }
        Ok(taken)
    }
}

/// What came from a card.
struct Traffic {
    number: usize,
    host: Option<Arc<dyn PciHost>>,
    messages: Vec<Message>,
    frames: Vec<Frame>,
}

struct Shared {
    core: Mutex<Core>,
    process: Mutex<Process>,
    /// What QEMUs that the guest has left said of errors.
    past_complaints: Mutex<Vec<String>>,
    busy_until: Mutex<u64>,
}

/// A machine. Clones are the same one.
#[derive(Clone)]
pub struct Machine(Arc<Shared>);

/// A machine that may be gone.
#[derive(Clone)]
pub struct WeakMachine(Weak<Shared>);

impl WeakMachine {
    pub(crate) fn upgrade(&self) -> Option<Machine> {
        self.0.upgrade().map(Machine)
    }
}

impl Machine {
    /// Starts QEMU, and sets up its bus as firmware does. From here on it is looked at now and then.
    ///
    /// # Errors
    ///
    /// QEMU can't be started, or does not answer.
    pub fn start(memory: Memory<'_>, options: &MachineOptions) -> Result<Self> {
        let Started {
            mut process,
            mut qtest,
            cables,
        } = Process::start(memory, options)?;
        qtest.watch_pins()?;
        bus::set_up(&mut qtest, cables.len())?;
        let slots = Slots::find(
            options.hotplug,
            cables.len(),
            &mut qtest,
            &mut process.monitor,
        )?;
        let place = |cable| Place {
            wire: Wire::new(cable),
            card: None,
            host: None,
            switch: None,
        };
        let core = Core {
            slots,
            low: LowMemory::map(memory.file.try_clone()?, memory.low)?,
            places: cables.into_iter().map(place).collect(),
            failure: None,
            qtest,
        };
        let shared = Arc::new(Shared {
            core: Mutex::new(core),
            process: Mutex::new(process),
            past_complaints: Mutex::default(),
            busy_until: Mutex::new(0),
        });
        look_again(Arc::downgrade(&shared), BUSY_POLL_NS);
        Ok(Self(shared))
    }

    pub(crate) fn downgrade(&self) -> WeakMachine {
        WeakMachine(Arc::downgrade(&self.0))
    }

    /// Lets `body` at QEMU; an error in it is remembered. Tells the host of the first card's pin
    /// afterwards: those of other cards are not in use.
    pub(crate) fn with(&self, body: impl FnOnce(&mut Core) -> Result<()>) {
        // The error is in the core.
        let _ = self.try_with(body);
    }

    /// As `with`, for those who can't go on after an error.
    pub(crate) fn try_with<R>(&self, body: impl FnOnce(&mut Core) -> Result<R>) -> Result<R> {
        let mut core = lock(&self.0.core);
        let result = body(&mut core);
        if let Err(error) = &result {
            core.fail(error);
        }
        let levels = core.qtest.take_levels();
        let Some(first) = core.places.first_mut() else {
            return result;
        };
        if let Some(card) = &mut first.card {
            let rises = levels.iter().filter(|level| **level).count();
            card.cost.pin_asserted += rises as u64;
        }
        let host = first.host.clone();
        drop(core);
        for (level, host) in levels.into_iter().zip(host.iter().cycle()) {
            host.set_line(level);
        }
        result
    }

    /// Lets `body` at the monitor.
    pub(crate) fn monitor<R>(&self, body: impl FnOnce(&mut Monitor) -> R) -> R {
        body(&mut lock(&self.0.process).monitor)
    }

    /// Takes messages and frames of QEMU's, and gives it frames that wait. Returns when to look again,
    /// ns from now.
    pub(crate) fn poll(&self) -> u64 {
        let news = self.exchange();
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

    /// Exchanges messages and frames with QEMU, once; says whether there were any from it.
    pub(crate) fn exchange(&self) -> bool {
        let taken = self.try_with(Core::exchange).unwrap_or_default();
        let is_news = |one: &Traffic| !one.messages.is_empty() || !one.frames.is_empty();
        let news = taken.iter().any(is_news);
        for traffic in taken {
            for (message, host) in traffic.messages.iter().zip(traffic.host.iter().cycle()) {
                host.message(message.address, message.data);
            }
            self.pass_on(traffic.number, traffic.frames);
        }
        news
    }

    /// Frames of a card go to the switch. One whose port is gone was sent too late.
    fn pass_on(&self, number: usize, frames: Vec<Frame>) {
        if frames.is_empty() {
            return;
        }
        let mut core = lock(&self.0.core);
        let Some(place) = core.places.get_mut(number) else {
            return;
        };
        // The switch only notes them: it delivers later.
        if let Some(port) = &place.switch {
            frames.into_iter().for_each(|frame| port.send(frame));
        }
    }

    /// What the driver asked of the card in a port so far.
    #[must_use]
    pub fn cost(&self, port: Port) -> Cost {
        let mut core = lock(&self.0.core);
        let qtest_commands = core.qtest.commands();
        let Ok(Place { wire, card, .. }) = core.place_at(port) else {
            return Cost::default();
        };
        let WireCounters {
            to_guest,
            from_guest,
            dropped,
            ..
        } = wire.counters();
        let (cost, messages) = match card {
            Some(card) => (card.cost.clone(), card.messages.counts().to_vec()),
            None => Default::default(),
        };
        Cost {
            messages,
            frames_to_guest: to_guest,
            frames_from_guest: from_guest,
            frames_dropped: dropped,
            qtest_commands,
            ..cost
        }
    }

    /// Frames that crossed the cable of a port, both ways.
    #[must_use]
    pub fn frames(&self, port: Port) -> u64 {
        let WireCounters {
            to_guest,
            from_guest,
            ..
        } = self.wire(port);
        to_guest + from_guest
    }

    /// What crossed the cable of a port.
    #[must_use]
    pub fn wire(&self, port: Port) -> WireCounters {
        let mut core = lock(&self.0.core);
        let place = core.place_at(port);
        place.map_or(WireCounters::default(), |place| place.wire.counters())
    }

    /// Lets frames for the guest wait, or no longer.
    ///
    /// # Errors
    ///
    /// QEMU is gone.
    pub fn hold(&self, held: bool) -> Result<()> {
        self.try_with(|core| {
            let mut places = core.places.iter_mut();
            places.try_for_each(|place| place.wire.hold(held))
        })
    }

    /// Waits until there is such news of the card of a port.
    ///
    /// # Errors
    ///
    /// There is not within `limit_ns`.
    pub fn wait_for_news(&self, port: Port, wanted: News, limit_ns: u64) -> Result<()> {
        const EVERY_NS: u64 = 200_000;
        let until = sched::now() + limit_ns;
        while self.news(port)? != Some(wanted) {
            ensure!(
                sched::now() < until,
                "the card of port {}: {wanted:?} did not come within {} ms",
                port.number(),
                limit_ns / 1_000_000
            );
            sched::sleep(EVERY_NS);
        }
        Ok(())
    }

    /// Looks for news of the card of a port, and takes them.
    ///
    /// # Errors
    ///
    /// QEMU does not answer.
    pub fn news(&self, port: Port) -> Result<Option<News>> {
        self.try_with(|core| core.slots.look(&mut core.qtest, port))
    }

    /// Gives the card of a port its power.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn power_on(&self, port: Port) -> Result<()> {
        self.try_with(|core| core.slots.power_on(&mut core.qtest, port))
    }

    /// Whether QEMU has told of such an event, as far as was seen when it was last due to look.
    pub(crate) fn has_told(&self, is_it: impl Fn(&Event) -> bool) -> bool {
        let told = self.monitor(|it| {
            let told = it.recent_events()?;
            Ok(told.iter().any(|one| is_it(&one.event)))
        });
        told.unwrap_or_else(|error: Error| {
            lock(&self.0.core).fail(&error);
            false
        })
    }

    /// All that QEMU has told, since it was started.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn events(&self) -> Result<Vec<Told>> {
        self.monitor(|it| it.events().map(<[Told]>::to_vec))
    }

    /// QEMU's version.
    #[must_use]
    pub fn version(&self) -> String {
        self.monitor(|it| it.version().to_owned())
    }

    /// What QEMU and the host had to complain of.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut all = lock(&self.0.past_complaints).clone();
        all.extend(lock(&self.0.process).complaints());
        all.extend(lock(&self.0.core).failure.clone());
        all
    }

    /// Ends QEMU and returns what it captured of each cable: pcap files.
    ///
    /// # Errors
    ///
    /// It does not end as it should.
    pub fn quit(&self) -> Result<Vec<Vec<u8>>> {
        lock(&self.0.process).quit()
    }

    /// Goes on with another QEMU, whose devices are in the state that this one's are in. To be called
    /// with the machine of the host stopped. Returns the QEMU that was.
    ///
    /// # Errors
    ///
    /// Its memory can't be mapped, or a socket can't be used.
    pub(crate) fn go_on_with(&self, new: Started, memory: &File, low: u64) -> Result<Process> {
        let Started {
            process,
            qtest,
            cables,
        } = new;
        let mut core = lock(&self.0.core);
        core.low = LowMemory::map(memory.try_clone()?, low)?;
        core.qtest = qtest;
        for (place, cable) in core.places.iter_mut().zip(cables) {
            place.wire.move_to(cable)?;
        }
        let mut current = lock(&self.0.process);
        let old = std::mem::replace(&mut *current, process);
        lock(&self.0.past_complaints).extend(old.complaints());
        Ok(old)
    }
}

fn look_again(machine: Weak<Shared>, after_ns: u64) {
    sched::after(after_ns, move || {
        if let Some(shared) = machine.upgrade() {
            let next = Machine(shared).poll();
            look_again(machine, next);
        }
    });
}

/// Locks; what a panic left behind is as good as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
