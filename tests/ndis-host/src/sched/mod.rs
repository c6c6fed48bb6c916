//! Virtual CPUs, threads, interrupt levels and virtual time, all decided by one seed.
//!
//! Windows threads are OS threads here ("contexts"), but exactly one runs at any time: the holder
//! of the baton. (So it is in [`Mode::Deterministic`]; in [`Mode::FreeRunning`] one runs in host
//! code, others in driver code: see [`free`].) Every routine that a driver calls is a scheduling [`point`]. There, virtual time
//! advances a little, world events happen, interrupts and DPCs of this CPU are called on top of
//! the running code if its level admits them, and sometimes the baton moves to another context.
//! When nothing can run, time jumps to the next event; when there is none, that is a deadlock.
//!
//! The seed decides everything that is left to chance, so the same seed gives the same run. To
//! keep that true, host code must not let its behaviour depend on real time, on addresses, or on
//! the iteration order of randomly seeded hash maps.
//!
//! Host state lives in [`BatonCell`]s. World events and wait conditions are host code that runs
//! between two steps of the machine: they must not call a driver, and points in them do nothing.

mod baton;
mod block;
pub mod choices;
mod choose;
mod free;
mod gate;
mod groups;
mod machine;
mod point;
mod processor_block;
mod report;
mod workers;
mod world;

pub use baton::BatonCell;
pub use block::{exit_thread, sleep, spin, wait, wake_waiters};
pub use free::{in_driver, outside};
pub use gate::{caller_behind, gate};
pub use groups::{
    LARGEST_GROUP, cpu_of, cpus_in, cpus_of, group_of, groups, mask_of, number_in_group,
};
pub use point::{alone, call_at, code_ns, irql, lower, point, raise, spend, stopped, yield_now};
pub use processor_block::thread_object;
pub use world::EventId;

use baton::ContextId;
use machine::{Core, Dpc, Interrupt, core};

/// Interrupt request level of a CPU.
pub type Irql = u8;

/// Threads run here; nothing is held off.
pub const PASSIVE_LEVEL: Irql = 0;
/// Asynchronous procedure calls are held off.
pub const APC_LEVEL: Irql = 1;
/// The dispatcher is held off: no waits, no thread switches. DPCs and spin locks.
pub const DISPATCH_LEVEL: Irql = 2;
/// Level of device interrupts.
pub const DIRQL: Irql = 5;
/// Everything is held off.
pub const HIGH_LEVEL: Irql = 15;

/// Stack of a context; a Windows kernel stack is far smaller, host code below it is not.
const STACK_BYTES: usize = 4 << 20;

/// How the machine runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One thread at a time, in virtual time; the seed decides everything.
    #[default]
    Deterministic,
    /// Driver code runs on real threads, in real time; the seed decides what the host chooses, not
    /// when.
    FreeRunning,
}

/// How much is left to chance, and how fast time passes.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The baton moves at one in this many points; 0: never.
    pub switch_one_in: u32,
    /// While somebody waits, one in this many DPCs of a free CPU runs in the idle thread of that
    /// CPU instead of on the waiting thread's stack; 0: none.
    pub idle_one_in: u32,
    /// Virtual time that passes at a point, ns.
    pub step_ns: u64,
    /// How the machine runs.
    pub mode: Mode,
    /// CPUs of a processor group, the last one excepted, which has what is left.
    pub group_size: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            switch_one_in: 64,
            idle_one_in: 8,
            step_ns: 50,
            mode: Mode::Deterministic,
            group_size: LARGEST_GROUP,
        }
    }
}

/// Names a system thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(ContextId);

/// Names a DPC: while one with this name is queued, a second one is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DpcId(pub u64);

/// Starts the machine with `cpus` CPUs. The caller becomes the first context, at PASSIVE.
///
/// In the deterministic mode this thread, the threads of the machine and processes started by them
/// stay on one processor of the build machine from here on: only one of them runs at a time.
///
/// # Panics
///
/// When the machine runs already: there is one per process.
pub fn start(seed: u64, cpus: usize) {
    start_with(seed, cpus, Settings::default());
}

/// Like [`start`], with other settings than the default ones.
pub fn start_with(seed: u64, cpus: usize, settings: Settings) {
    assert!(cpus > 0, "a machine has a CPU");
    baton::create(machine::FIRST);
    groups::set(cpus, settings.group_size);
    machine::install(Core::new(seed, cpus, settings, std::thread::current()));
    core(|core| core.enter_first_time(processor_block::install()));
    match settings.mode {
        Mode::Deterministic => baton::stay_on_one_processor(),
        Mode::FreeRunning => free::start(),
    }
    for cpu in 0..cpus {
        add_thread(format!("idle/{cpu}"), Some(cpu), move || block::idle());
    }
}

/// Time since the start, ns: virtual in the deterministic mode, real in the free-running one.
pub fn now() -> u64 {
    core(|core| {
        core.read_clock();
        core.now
    })
}

/// How the machine runs.
pub fn mode() -> Mode {
    if free::is_on() {
        Mode::FreeRunning
    } else {
        Mode::Deterministic
    }
}

/// The CPU that the caller runs on; it may change at a point below `DISPATCH_LEVEL`.
pub fn current_cpu() -> usize {
    core(|core| core.cpu)
}

/// How many CPUs the machine has.
pub fn cpu_count() -> usize {
    core(|core| core.cpus.len())
}

/// How long a CPU has been in use since the start, ns.
pub fn busy_ns(cpu: usize) -> u64 {
    core(|core| {
        core.read_clock();
        let cpu = &core.cpus[cpu];
        let now = cpu.owner.map_or(0, |_| core.now - cpu.since);
        cpu.busy_ns + now
    })
}

/// The group, and the CPUs of it as a mask, that the calling thread is restricted to.
pub fn affinity() -> Option<(u16, u64)> {
    core(|core| core.context(core.current).affinity)
}

/// Restricts the calling thread to some CPUs of a group, at least one of which is there; `None`:
/// it may run on all. It runs on one of them when this returns or, at `DISPATCH_LEVEL` or above,
/// once the level is below that.
pub fn set_affinity(affinity: Option<(u16, u64)>) {
    let below = core(|core| {
        core.restricts = true;
        core.context(core.current).affinity = affinity;
        core.this_cpu().level.irql < DISPATCH_LEVEL
    });
    if below {
        block::move_to_own_cpu();
    }
}

/// The thread that the caller is.
pub fn current_thread() -> ThreadId {
    core(|core| ThreadId(core.current))
}

/// Whether the calling OS thread holds the baton, that is, may use the host's state.
pub fn is_running() -> bool {
    baton::is_holder()
}

/// Lets `body` use the host's state, for a thread that comes from driver code without a call: from
/// a fault. `None` when the thread is not one of the machine.
pub(crate) fn interrupt_driver<R>(body: impl FnOnce() -> R) -> Option<R> {
    let took = free::arrive_if_away();
    if !is_running() {
        return None;
    }
    let result = body();
    if took {
        free::enter_driver();
    }
    Some(result)
}

/// Starts a Windows system thread at PASSIVE. It ends when `body` returns, at PASSIVE again.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> ThreadId {
    let id = add_thread(name.to_owned(), None, move || {
        body();
        workers::offer();
        block::leave();
    });
    ThreadId(id)
}

fn add_thread(
    name: String,
    idles_on: Option<usize>,
    body: impl FnOnce() + Send + 'static,
) -> ContextId {
    let id = core(Core::next_context_id);
    let whole_body = move || {
        let block = processor_block::install();
        baton::become_context(id);
        if free::is_on() {
            free::begin();
        } else {
            baton::await_turn();
        }
        core(|core| core.enter_first_time(block));
        body();
    };
    let thread = workers::run(&name, Box::new(whole_body));
    core(|core| core.add_context(id, name, thread, idles_on));
    id
}

/// Whether a thread has not ended yet.
pub fn is_alive(thread: ThreadId) -> bool {
    core(|core| core.position(thread.0).is_some())
}

/// Blocks the caller until `thread` has ended.
pub fn join(thread: ThreadId) {
    wait("the end of a thread", || !is_alive(thread), None);
}

/// Queues a DPC on `cpu`; false when the one of this name waits already, on whichever CPU.
pub fn queue_dpc(cpu: usize, dpc: DpcId, body: impl FnOnce() + 'static) -> bool {
    core(|core| {
        let is_new = core.queued_dpcs.insert(dpc);
        if is_new {
            core.cpus[cpu].dpcs.push_back(Dpc {
                id: dpc,
                body: Box::new(body),
            });
        }
        is_new
    })
}

/// Takes a DPC back; false when it was not queued.
pub fn remove_dpc(dpc: DpcId) -> bool {
    let removed = core(|core| {
        core.queued_dpcs.remove(&dpc).then(|| {
            let queues = core.cpus.iter_mut().map(|cpu| &mut cpu.dpcs);
            queues.fold(None, |found, queue| {
                let index = queue.iter().position(|waiting| waiting.id == dpc);
                index.and_then(|index| queue.remove(index)).or(found)
            })
        })
    });
    // The body is dropped here, outside the scheduler's state, which its drop may use.
    removed.is_some()
}

/// Virtual time that passes at a point, ns.
pub fn step_ns() -> u64 {
    core(|core| core.settings.step_ns)
}

/// Whether a DPC waits or runs.
pub fn is_dpc_active(dpc: DpcId) -> bool {
    core(|core| core.queued_dpcs.contains(&dpc) || core.running_dpcs.contains(&dpc))
}

/// Interrupts `cpu` at `level`: `isr` is called there as soon as the CPU's level is below it.
pub fn interrupt(cpu: usize, level: Irql, isr: impl FnOnce() + 'static) {
    let isr = Box::new(isr);
    core(|core| {
        core.cpus[cpu]
            .interrupts
            .push_back(Interrupt { level, isr })
    });
}

/// Sets a world event: `event` is called at `time_ns`, or now if that has passed.
///
/// It may use host state and set further events, interrupts and DPCs; it must not call a driver.
pub fn at(time_ns: u64, event: impl FnOnce() + 'static) -> EventId {
    core(|core| {
        core.mind(Some(time_ns));
        core.world.insert(time_ns, Box::new(event))
    })
}

/// Sets a world event `delay_ns` from now. See [`at`].
pub fn after(delay_ns: u64, event: impl FnOnce() + 'static) -> EventId {
    at(now().saturating_add(delay_ns), event)
}

/// Sets a world event that happens at the `points`th point from now on, whoever reaches it: a call
/// of a routine, an access to a register. There is one such event at a time. See [`at`].
pub fn at_point(points: u64, event: impl FnOnce() + 'static) {
    let before = core(|core| core.at_point.replace((points.max(1), Box::new(event))));
    // Dropped outside of the scheduler's state, as in `remove_dpc`.
    drop(before);
}

/// Takes a world event back; false when it has happened.
pub fn cancel(event: EventId) -> bool {
    let body = core(|core| core.world.remove(event));
    // As in `remove_dpc`: dropped outside.
    body.is_some()
}

/// A random number below `n`.
///
/// # Panics
///
/// When `n` is zero.
pub fn random_below(n: u64) -> u64 {
    assert!(n > 0, "there is no number below zero");
    core(|core| core.random_below(n))
}

/// Whether a chance of one in `one_in` comes true; never for 0.
pub fn chance(one_in: u64) -> bool {
    let (comes_true, told) = core(|core| {
        let comes_true = core.chance(one_in);
        (comes_true, core.told_place(comes_true))
    });
    if let Some(place) = told {
        choices::tell("a chance comes true", &place);
    }
    comes_true
}
