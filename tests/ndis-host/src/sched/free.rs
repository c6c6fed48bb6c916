//! The free-running mode: driver code of several CPUs at the same time, in real time.
//!
//! The baton is a lock here. A thread has it in host code, from the entry of an import to its
//! return ([`super::gate`]), and does without it in driver code ([`in_driver`]). A virtual CPU is
//! a token: a thread needs one to run, keeps it at `DISPATCH_LEVEL` and above, and gives it up
//! when it waits. Below that level it also gives it up at a point when another thread needs it,
//! and sometimes goes on on another CPU.
//!
//! Whoever is about to give up the baton first looks at what has become possible ([`hand_over`]):
//! waits that are over, threads that need a CPU, free CPUs with interrupts or DPCs, which their
//! idle threads serve. World events happen at points, or in the timekeeper, a thread that
//! sleeps until the next one is due or the next wait runs out.
//!
//! Neighbours in Rust are host code: they keep the baton.

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::baton::{self, ContextId};
use super::block::wake_waiters;
use super::machine::{Condition, Context, Core, State, Timekeeper, core};
use super::point::{deliver, quietly, run_due_events};
use super::{DISPATCH_LEVEL, report};
use crate::verifier;

/// Number of the timekeeper, which is no context.
const TIMEKEEPER: ContextId = ContextId::MAX;
/// How often a spinning thread looks again before it sleeps.
const LOOKS: u32 = 50;
/// Pauses between two looks.
const PAUSES: u32 = 40;
/// A thread that has found no other to need its CPU changes it at one in this many occasions.
const MOVE_ONE_IN: u64 = 8;

static ON: AtomicBool = AtomicBool::new(false);
/// Threads in driver code.
static IN_DRIVERS: AtomicUsize = AtomicUsize::new(0);

/// Whether the machine runs freely.
#[inline]
pub(super) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Makes the machine one that runs freely: starts the timekeeper.
pub(super) fn start() {
    ON.store(true, Ordering::Relaxed);
    let handle = thread::Builder::new()
        .name("timekeeper".to_owned())
        .spawn(keep_time)
        .unwrap_or_else(|error| panic!("no OS thread for the timekeeper: {error}"));
    let thread = handle.thread().clone();
    core(|core| core.timekeeper = Some(Timekeeper { thread, alarm: 0 }));
}

/// Runs driver code: without the baton where the machine runs freely.
///
/// `body` must not use host state. What it calls of the host goes through [`super::gate`]; an
/// access to registers takes the baton by itself.
#[inline]
pub fn in_driver<R>(body: impl FnOnce() -> R) -> R {
    if !is_on() {
        return body();
    }
    enter_driver();
    let result = body();
    leave_driver();
    result
}

/// Waits for somebody who is not of the machine, such as another process: without baton and CPU where
/// the machine runs freely, so that it goes on meanwhile. Below DISPATCH.
///
/// `body` must not use host state.
pub fn outside<R>(body: impl FnOnce() -> R) -> R {
    if !is_on() {
        return body();
    }
    core(|core| core.take_cpu(core.current));
    depart();
    let result = body();
    baton::acquire();
    core(|core| core.context(baton::me()).state = State::Ready);
    await_cpu();
    core(|core| core.set_state(State::Running));
    result
}

/// Gives up the baton, for driver code.
pub(super) fn enter_driver() {
    IN_DRIVERS.fetch_add(1, Ordering::Relaxed);
    depart();
}

/// Takes the baton, for a context that comes from driver code with a CPU.
fn leave_driver() {
    // Before it may have to wait for the baton: it does nothing any more. What it did until here is
    // there for whoever sees the new count.
    IN_DRIVERS.fetch_sub(1, Ordering::Release);
    arrive();
}

/// Waits, with the baton, until no thread is in driver code. None gets there while the caller keeps
/// the baton.
///
/// # Errors
///
/// Some are in it still after `patience`: how many.
pub(super) fn stop_drivers(patience: Duration) -> Result<(), usize> {
    let deadline = Instant::now() + patience;
    loop {
        match IN_DRIVERS.load(Ordering::Acquire) {
            0 => return Ok(()),
            left if Instant::now() >= deadline => return Err(left),
            _ => thread::yield_now(),
        }
    }
}

/// Gives up the baton.
pub(super) fn depart() {
    hand_over();
    baton::release();
}

/// Takes the baton, for a context that has a CPU.
pub(super) fn arrive() {
    baton::acquire();
    core(Core::resume);
}

/// Takes the baton if the calling thread is a context in driver code; tells whether it was taken.
pub(super) fn arrive_if_away() -> bool {
    let away = is_on() && !baton::is_holder() && baton::me() != baton::NOBODY;
    if away {
        leave_driver();
    }
    away
}

/// Lets everybody know of what has become possible.
fn hand_over() {
    wake_waiters();
    core(Core::hand_out_cpus);
}

/// Sleeps without the baton until the calling context has been given a CPU.
pub(super) fn await_cpu() {
    loop {
        hand_over();
        if core(Core::resume_if_placed) {
            return;
        }
        if core(|core| core.is_stuck()) {
            verifier::fatal(85, report::deadlock());
        }
        baton::release();
        thread::park();
        baton::acquire();
        core(Core::read_clock);
    }
}

/// Waits until the wait of the caller, which has given up its CPU, is over; tells how it ended.
pub(super) fn await_end() -> bool {
    await_cpu();
    let held = core(Core::take_woken).expect("only a wait that is over is given a CPU");
    deliver();
    held
}

/// Waits on the CPU that the caller keeps, with interrupts served.
pub(super) fn spin(what: &'static str, condition: Condition) {
    loop {
        for _ in 0..LOOKS {
            depart();
            (0..PAUSES).for_each(|_| hint::spin_loop());
            arrive();
            deliver();
            // SAFETY: the caller is inside `block::spin`, whose frame owns the condition; as the
            // state is not `Spinning`, nobody else uses it.
            if quietly(|| unsafe { (*condition)() }) {
                return;
            }
        }
        core(|core| core.set_state(State::Spinning { what, condition }));
        if sleep_spinning() {
            return;
        }
    }
}

/// Sleeps until the caller's spinning is over (true), or its CPU has work (false).
fn sleep_spinning() -> bool {
    loop {
        depart();
        thread::park();
        arrive();
        if core(Core::take_woken).is_some() {
            return true;
        }
        if core(|core| core.this_cpu().has_work()) {
            core(|core| core.set_state(State::Running));
            return false;
        }
    }
}

/// Lets others have the baton and, where the level allows it, the CPU.
pub(super) fn preempt() {
    let movable = core(|core| core.this_cpu().level.irql < DISPATCH_LEVEL);
    let cpu_is_wanted = core(|core| core.contexts.iter().any(Context::needs_cpu));
    if movable && cpu_is_wanted {
        core(|core| {
            core.set_state(State::Ready);
            core.take_cpu(core.current);
        });
        await_cpu();
        core(|core| core.set_state(State::Running));
    } else if movable && core(|core| core.chance(MOVE_ONE_IN)) {
        core(Core::change_cpu);
    } else {
        depart();
        if baton::is_wanted() {
            thread::yield_now();
        }
        arrive();
    }
    deliver();
}

/// Keeps the CPU busy for `ns`, without the baton.
pub(super) fn spend(ns: u64) {
    let end = Instant::now() + Duration::from_nanos(ns);
    if core(|core| core.quiet) != 0 {
        return;
    }
    depart();
    while Instant::now() < end {
        hint::spin_loop();
    }
    arrive();
}

/// Begins a thread: takes the baton, and waits for a CPU.
pub(super) fn begin() {
    baton::acquire();
    await_cpu();
}

/// Body of an idle thread: serves its CPU when that is free and has work.
pub(super) fn idle() -> ! {
    loop {
        await_cpu();
        deliver();
        core(|core| {
            let cpu = core.cpu;
            core.set_state(State::Idle(cpu));
            core.take_cpu(core.current);
        });
    }
}

/// Body of the timekeeper.
fn keep_time() {
    baton::become_context(TIMEKEEPER);
    loop {
        baton::acquire();
        core(|core| {
            core.current = TIMEKEEPER;
            core.read_clock();
        });
        run_due_events();
        hand_over();
        let sleep = core(Core::set_alarm);
        baton::release();
        match sleep {
            Some(time) => thread::park_timeout(time),
            None => thread::park(),
        }
    }
}

impl Context {
    /// Whether it could run if it had a CPU.
    fn needs_cpu(&self) -> bool {
        self.cpu.is_none() && matches!(self.state, State::Ready | State::Woken { .. })
    }
}

impl Core {
    /// Makes the calling thread, which has a CPU, the current context.
    fn resume(&mut self) {
        let placed = self.resume_if_placed();
        assert!(placed, "a thread came from driver code without a CPU");
    }

    /// As `resume`; false when the calling thread has no CPU.
    fn resume_if_placed(&mut self) -> bool {
        let me = baton::me();
        let cpu = self.context(me).cpu;
        if let Some(cpu) = cpu {
            self.current = me;
            self.cpu = cpu;
            self.read_clock();
        }
        cpu.is_some()
    }

    /// Gives free CPUs with work to their idle threads, and the others to threads that need one;
    /// wakes spinning threads that have work.
    fn hand_out_cpus(&mut self) {
        for cpu in 0..self.cpus.len() {
            if !self.cpus[cpu].has_work() {
                continue;
            }
            match self.cpus[cpu].owner {
                None => self.wake_idle_thread(cpu),
                Some(owner) => self.alert_spinner(owner),
            }
        }
        while let Some(id) = self.next_in_need() {
            let Some(cpu) = self.any_free_cpu_for(id) else {
                return;
            };
            self.give_cpu(id, cpu);
            self.context(id).thread.unpark();
        }
    }

    fn wake_idle_thread(&mut self, cpu: usize) {
        let idle = self.contexts.iter_mut().find(|context| {
            context.idles_on == Some(cpu) && matches!(context.state, State::Idle(_))
        });
        // Before its first turn it is not there; its first look finds the work.
        if let Some(context) = idle {
            context.state = State::Running;
            context.thread.unpark();
            let id = context.id;
            self.give_cpu(id, cpu);
        }
    }

    /// Wakes a context that sleeps with its CPU kept.
    pub(super) fn alert_spinner(&mut self, id: ContextId) {
        let context = self.context(id);
        let spins = matches!(context.state, State::Spinning { .. } | State::Woken { .. });
        if context.cpu.is_some() && spins {
            context.thread.unpark();
        }
    }

    /// One of the contexts that need a CPU and can have one.
    fn next_in_need(&mut self) -> Option<ContextId> {
        let count = self.in_need().count();
        let chosen = self.random_index(count)?;
        self.in_need().nth(chosen)
    }

    fn in_need(&self) -> impl Iterator<Item = ContextId> {
        let in_need = self.contexts.iter().filter(|context| context.needs_cpu());
        in_need
            .map(|context| context.id)
            .filter(|id| self.free_cpus_for(*id).next().is_some())
    }

    fn any_free_cpu_for(&mut self, id: ContextId) -> Option<usize> {
        let count = self.free_cpus_for(id).count();
        let chosen = self.random_index(count)?;
        self.free_cpus_for(id).nth(chosen)
    }

    /// One of `count` things; none if there are none.
    fn random_index(&mut self, count: usize) -> Option<usize> {
        match count {
            0 => None,
            1 => Some(0),
            _ => Some(self.random_below(count as u64) as usize),
        }
    }

    /// Moves the current context to another CPU, if one is free.
    fn change_cpu(&mut self) {
        let me = self.current;
        if let Some(cpu) = self.any_free_cpu_for(me) {
            self.take_cpu(me);
            self.give_cpu(me, cpu);
            self.cpu = cpu;
        }
    }

    /// Whether nothing runs and nothing is going to happen.
    fn is_stuck(&self) -> bool {
        let sleeps = |context: &Context| match context.state {
            State::Waiting { deadline, .. } => deadline.is_none(),
            State::Spinning { .. } | State::Idle(_) => true,
            State::Running | State::Ready | State::Woken { .. } => false,
        };
        self.world.next_time().is_none()
            && self.contexts.iter().all(sleeps)
            && !self.cpus.iter().any(super::machine::Cpu::has_work)
    }

    /// When something happens by itself.
    fn next_alarm(&self) -> Option<u64> {
        let deadlines = self
            .contexts
            .iter()
            .filter_map(|context| match context.state {
                State::Waiting { deadline, .. } => deadline,
                _ => None,
            });
        deadlines.chain(self.world.next_time()).min()
    }

    /// Tells the timekeeper how long it may sleep.
    fn set_alarm(&mut self) -> Option<Duration> {
        let next = self.next_alarm();
        self.read_clock();
        if let Some(timekeeper) = &mut self.timekeeper {
            timekeeper.alarm = next.unwrap_or(u64::MAX);
        }
        next.map(|time| Duration::from_nanos(time.saturating_sub(self.now)))
    }

    /// Makes sure that the timekeeper is awake at `time`.
    pub(super) fn mind(&mut self, time: Option<u64>) {
        let (Some(time), Some(timekeeper)) = (time, &mut self.timekeeper) else {
            return;
        };
        if time < timekeeper.alarm {
            timekeeper.alarm = time;
            timekeeper.thread.unpark();
        }
    }
}
