//! The meter: ticks through the run, keeps the pace, and notes what arrives by which path.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndis_host::sched;
use neighbours::ledgers::Ledgers;

use super::Run;
use super::pace::Pace;
use super::tally::{Border, Carried, phase, surplus};
use crate::report::{Outcome, Path, Phase, Progress, Throughput};
use crate::world::backend::FrameCounter;
use crate::world::{MILLISECOND_NS, Traffic, World};

/// For how long frames of a phase are waited for before its line is closed.
const SETTLE_NS: u64 = 5 * MILLISECOND_NS;

/// What the meter looks at.
pub(super) struct Sights {
    pub(super) ledgers: Arc<Ledgers>,
    pub(super) virtio: FrameCounter,
    pub(super) pace: Arc<Pace>,
    /// Time between two ticks.
    pub(super) tick_ns: u64,
}

/// The meter of a run.
pub(super) struct Meter {
    sights: Sights,
    state: Mutex<State>,
    moved: AtomicU64,
    stopped: AtomicBool,
}

struct State {
    /// What the outcome has apart from its phases.
    head: Outcome,
    /// When the first phase began.
    start_ns: u64,
    vfs: Vec<FrameCounter>,
    /// Names of the phases; phase `i` lies between the borders `i` and `i + 1`.
    names: Vec<String>,
    borders: Vec<Border>,
    last: Border,
    throughput: Throughput,
    progress: Option<Progress>,
    /// A phase whose line is still open, since frames of it are under way: until when.
    closing: Option<u64>,
}

impl Meter {
    /// A meter before the first phase. `head` says what is known of the run.
    pub(super) fn new(sights: Sights, head: Outcome, progress: Progress) -> Arc<Self> {
        Arc::new(Self {
            sights,
            state: Mutex::new(State {
                head,
                start_ns: sched::now(),
                vfs: Vec::new(),
                names: Vec::new(),
                borders: Vec::new(),
                last: Border::default(),
                throughput: Throughput::new(),
                progress: Some(progress),
                closing: None,
            }),
            moved: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        })
    }

    /// Payload bytes that have arrived, both ways.
    pub(super) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// A VF was plugged: what it carries counts.
    pub(super) fn watch_vf(&self, counter: FrameCounter) {
        self.state().vfs.push(counter);
    }

    /// Begins to tick.
    pub(super) fn start(self: &Arc<Self>, world: &World, traffic: Traffic) {
        let (tcpip, peer) = (world.tcpip.clone(), world.peer.clone());
        let look = move |meter: &Self| {
            meter.sights.pace.advance();
            // There may be bytes to send: both stacks are to look.
            tcpip.with(|_, _| ());
            peer.with(|_, _| ());
            meter.look(traffic.report(&tcpip, &peer).moved());
        };
        tick(Arc::clone(self), look);
    }

    /// No ticks any more. A line that is still open is closed with what is known.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(until) = &mut self.state().closing {
            *until = 0;
        }
        self.close_line();
    }

    /// The next phase begins now.
    pub(super) fn begin(&self, name: &str) {
        self.sights.ledgers.begin_phase(name);
        let border = self.border();
        let mut state = self.state();
        state.names.push(name.to_owned());
        state.borders.push(border);
        if state.names.len() > 1 {
            state.closing = Some(sched::now() + SETTLE_NS);
        } else {
            let now = border.time_ns;
            state.show(|progress| progress.start_phase(name, Path::Virtio, now));
        }
    }

    /// The last phase ends now.
    pub(super) fn end(&self) {
        let border = self.border();
        let mut state = self.state();
        state.borders.push(border);
        // Pings go on; the line is closed when they have ended.
        state.closing = Some(u64::MAX);
    }

    /// Takes the display down.
    pub(super) fn hide(&self) {
        let progress = self.state().progress.take();
        if let Some(progress) = progress {
            progress.finish();
        }
    }

    /// Shows a line above the display.
    pub(super) fn say(&self, text: &str) {
        self.state().show(|progress| progress.note(text));
    }

    /// Changes what the outcome has apart from its phases.
    pub(super) fn note(&self, change: impl FnOnce(&mut Outcome)) {
        change(&mut self.state().head);
    }

    /// The run as far as it has got.
    pub(super) fn run(&self) -> Run {
        let account = self.sights.ledgers.account();
        let now = self.border();
        let state = self.state();
        let phases = (0..state.names.len())
            .map(|index| state.phase(index, &account, now))
            .collect();
        Run {
            outcome: Outcome {
                phases,
                ..state.head.clone()
            },
            throughput: state.throughput.clone(),
        }
    }

    fn look(&self, moved: u64) {
        let before = self.moved.swap(moved, Ordering::Relaxed);
        let border = self.border();
        {
            let mut state = self.state();
            let path = border.carried.main_path_since(state.last.carried);
            state.last = border;
            let (bytes, now) = (moved.saturating_sub(before), border.time_ns);
            state.throughput.record(now, path, bytes);
            state.show(|progress| progress.advance(bytes, path, now));
        }
        self.close_line();
    }

    /// Closes the line of a phase that is over, once its frames have arrived.
    fn close_line(&self) {
        let Some(until) = self.state().closing else {
            return;
        };
        let account = self.sights.ledgers.account();
        let now = self.border();
        let mut state = self.state();
        let index = state.borders.len().saturating_sub(2);
        let over = state.phase(index, &account, now);
        if over.lost > 0 && sched::now() < until {
            return;
        }
        state.closing = None;
        let next = state.names.get(index + 1).cloned();
        let begins = state
            .borders
            .get(index + 1)
            .map_or(0, |border| border.time_ns);
        state.show(|progress| {
            progress.finish_phase(&over);
            if let Some(next) = next {
                progress.start_phase(&next, over.path, begins);
            }
        });
    }

    fn border(&self) -> Border {
        let surplus = surplus(&self.sights.ledgers.account());
        let state = self.state();
        Border {
            time_ns: sched::now() - state.start_ns,
            moved: self.moved(),
            carried: Carried::by(&state.vfs, &self.sights.virtio),
            surplus,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn show(&mut self, show: impl FnOnce(&mut Progress)) {
        if let Some(progress) = &mut self.progress {
            show(progress);
        }
    }

    /// The phase at `index`; one that goes on ends `now`.
    fn phase(&self, index: usize, account: &neighbours::ledgers::Account, now: Border) -> Phase {
        let from = self.borders.get(index).copied().unwrap_or_default();
        let to = self.borders.get(index + 1).copied().unwrap_or(now);
        let name = self.names.get(index).map_or("", String::as_str);
        // The ledgers have a phase of their own before the first.
        phase(name, index + 1, account, from, to)
    }
}

fn tick(meter: Arc<Meter>, look: impl Fn(&Meter) + 'static) {
    sched::after(meter.sights.tick_ns, move || {
        if !meter.stopped.load(Ordering::Relaxed) {
            look(&meter);
            tick(meter, look);
        }
    });
}
