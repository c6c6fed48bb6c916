//! The scheduler's state: virtual CPUs, contexts, time and chance.

use std::collections::{BTreeSet, VecDeque};
use std::thread::Thread;
use std::time::Instant;

use super::baton::{BatonCell, ContextId};
use super::choices::Choices;
use super::choose::Candidate;
use super::groups;
use super::processor_block::ProcessorBlock;
use super::world::World;
use super::{DISPATCH_LEVEL, DpcId, Irql, Mode, PASSIVE_LEVEL, Settings};

/// Longest time of a CPU's own in which it runs nothing but DPCs (table of rule 308).
const DPCS_LIMIT_NS: u64 = 1_000_000_000;
/// The first context: the caller of [`super::start`].
pub(super) const FIRST: ContextId = 1;

static CORE: BatonCell<Option<Core>> = BatonCell::new_innermost(None);

/// Opens the scheduler's state.
#[inline]
pub(super) fn core<R>(body: impl FnOnce(&mut Core) -> R) -> R {
    CORE.with(|core| {
        body(
            core.as_mut()
                .expect("sched::start was called by the first context"),
        )
    })
}

/// Puts the state in place.
pub(super) fn install(state: Core) {
    CORE.with(|core| *core = Some(state));
}

/// Everything that the scheduler knows.
pub(super) struct Core {
    /// Time since the start, ns: virtual, or what `clock` said last.
    pub(super) now: u64,
    /// The start, in real time, of a machine that runs freely.
    pub(super) clock: Option<Instant>,
    /// The thread that watches the time of a machine that runs freely.
    pub(super) timekeeper: Option<Timekeeper>,
    /// See [`Settings`].
    pub(super) settings: Settings,
    /// Decides everything that is left to chance.
    pub(super) choices: Choices,
    /// The context that holds the baton.
    pub(super) current: ContextId,
    /// The CPU of the current context.
    pub(super) cpu: usize,
    /// Above zero while host code runs that must not be interrupted: events and conditions.
    pub(super) quiet: u32,
    /// The virtual CPUs.
    pub(super) cpus: Vec<Cpu>,
    /// Living contexts, ascending by number.
    pub(super) contexts: Vec<Context>,
    /// Number of the newest context.
    pub(super) newest: ContextId,
    /// DPCs that are queued on some CPU.
    pub(super) queued_dpcs: BTreeSet<DpcId>,
    /// DPCs whose routine has been entered and has not returned.
    pub(super) running_dpcs: Vec<DpcId>,
    /// Whether a context has been restricted to some CPUs, ever.
    pub(super) restricts: bool,
    /// World events.
    pub(super) world: World,
    /// An event that happens at a point, and how many points there are before it.
    pub(super) at_point: Option<(u64, Box<dyn FnOnce()>)>,
    /// Room for the choice of who runs next.
    pub(super) candidates: Vec<Candidate>,
}

/// Interrupt level of a CPU or of a context that is not on a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// The current level.
    pub(super) irql: Irql,
    /// The level at which the innermost callback was entered: code may not lower below it.
    pub(super) floor: Irql,
}

impl Level {
    /// Nothing raised.
    pub(super) const PASSIVE: Self = Self {
        irql: PASSIVE_LEVEL,
        floor: PASSIVE_LEVEL,
    };

    /// Entry of a callback at `irql`.
    pub(super) const fn entry(irql: Irql) -> Self {
        Self { irql, floor: irql }
    }
}

/// The thread that waits for the next event or the end of the next wait.
pub(super) struct Timekeeper {
    /// Its OS thread.
    pub(super) thread: Thread,
    /// When it wakes up by itself, ns.
    pub(super) alarm: u64,
}

/// One virtual CPU.
pub(super) struct Cpu {
    /// The context that runs on it, or that was stopped on it at `DISPATCH_LEVEL` or above.
    pub(super) owner: Option<ContextId>,
    /// Its interrupt level.
    pub(super) level: Level,
    /// Since when the owner has it.
    pub(super) since: u64,
    /// How long it has had owners before this one, ns.
    pub(super) busy_ns: u64,
    /// Interrupts that wait, in order of arrival.
    pub(super) interrupts: VecDeque<Interrupt>,
    /// DPCs that wait, in order of arrival.
    pub(super) dpcs: VecDeque<Dpc>,
    /// Virtual time that its code has taken, ns: steps and busy waits.
    pub(super) code_ns: u64,
    /// While DPCs run on it: the `code_ns` by which its threads must have got on.
    pub(super) dpc_deadline_ns: Option<u64>,
}

/// An interrupt that waits.
pub(super) struct Interrupt {
    /// Level of its service routine.
    pub(super) level: Irql,
    /// The routine.
    pub(super) isr: Box<dyn FnOnce()>,
}

/// A deferred procedure call that waits.
pub(super) struct Dpc {
    /// Its identity.
    pub(super) id: DpcId,
    /// The routine.
    pub(super) body: Box<dyn FnOnce()>,
}

impl Cpu {
    fn new() -> Self {
        Self {
            owner: None,
            level: Level::PASSIVE,
            since: 0,
            busy_ns: 0,
            interrupts: VecDeque::new(),
            dpcs: VecDeque::new(),
            code_ns: 0,
            dpc_deadline_ns: None,
        }
    }

    /// Begins to run DPCs, or ends.
    pub(super) fn run_dpcs(&mut self, begins: bool) {
        self.dpc_deadline_ns = begins.then(|| self.code_ns + DPCS_LIMIT_NS);
    }

    /// Whether DPCs have kept its threads waiting for too long.
    #[inline]
    pub(super) fn is_starved(&self) -> bool {
        self.dpc_deadline_ns
            .is_some_and(|deadline| deadline < self.code_ns)
    }

    /// Whether something waits that may interrupt code at the current level.
    #[inline]
    pub(super) fn has_work(&self) -> bool {
        let irql = self.level.irql;
        (!self.dpcs.is_empty() && irql < DISPATCH_LEVEL)
            || self.interrupts.iter().any(|waiting| waiting.level > irql)
    }

    /// Takes the interrupt of the highest level that may run now, the oldest among equals.
    pub(super) fn take_interrupt(&mut self) -> Option<Interrupt> {
        let highest = self.interrupts.iter().map(|waiting| waiting.level).max()?;
        if highest <= self.level.irql {
            return None;
        }
        let index = self
            .interrupts
            .iter()
            .position(|waiting| waiting.level == highest)?;
        self.interrupts.remove(index)
    }

    /// Takes the oldest DPC if DPCs may run now.
    pub(super) fn take_dpc(&mut self) -> Option<Dpc> {
        if self.level.irql >= DISPATCH_LEVEL {
            return None;
        }
        self.dpcs.pop_front()
    }
}

/// A condition that a context waits for. Points into the stack of that context.
pub(super) type Condition = *mut (dyn FnMut() -> bool + 'static);

/// What a context is doing.
#[derive(Clone, Copy)]
pub(super) enum State {
    /// It holds the baton.
    Running,
    /// It is the idle thread of this CPU, and the CPU needs no service.
    Idle(usize),
    /// It lost the baton at a scheduling point and can go on.
    Ready,
    /// It waits; it holds no CPU.
    Waiting {
        what: &'static str,
        condition: Condition,
        deadline: Option<u64>,
    },
    /// It waits at `DISPATCH_LEVEL` or above and keeps its CPU.
    Spinning {
        what: &'static str,
        condition: Condition,
    },
    /// Its wait is over: true when the condition held, false when time ran out.
    Woken { held: bool },
}

impl Context {
    /// Whether it may run on a CPU.
    pub(super) fn may_use(&self, cpu: usize) -> bool {
        self.affinity.is_none_or(|(group, mask)| {
            group == groups::group_of(cpu) && mask >> groups::number_in_group(cpu) & 1 == 1
        })
    }
}

/// A thread of the machine.
pub(super) struct Context {
    /// Its number.
    pub(super) id: ContextId,
    /// Its name in reports.
    pub(super) name: String,
    /// Its OS thread.
    pub(super) thread: Thread,
    /// What it is doing.
    pub(super) state: State,
    /// Its CPU while it runs, or while it is stopped with its CPU kept.
    pub(super) cpu: Option<usize>,
    /// Its level while it has no CPU.
    pub(super) level: Level,
    /// The CPU whose idle thread it is.
    pub(super) idles_on: Option<usize>,
    /// The group, and the CPUs of it, that it is restricted to.
    pub(super) affinity: Option<(u16, u64)>,
    /// What its code finds behind the GS register, once it runs.
    pub(super) block: Option<&'static ProcessorBlock>,
}

impl Core {
    /// A machine with `cpus` CPUs whose first context is `thread`, running on CPU 0.
    pub(super) fn new(seed: u64, cpus: usize, settings: Settings, thread: Thread) -> Self {
        let mut core = Self {
            now: 0,
            clock: (settings.mode == Mode::FreeRunning).then(Instant::now),
            timekeeper: None,
            settings,
            choices: Choices::new(seed),
            current: FIRST,
            cpu: 0,
            quiet: 0,
            cpus: (0..cpus).map(|_| Cpu::new()).collect(),
            contexts: Vec::new(),
            newest: FIRST - 1,
            queued_dpcs: BTreeSet::new(),
            running_dpcs: Vec::new(),
            restricts: false,
            world: World::default(),
            at_point: None,
            candidates: Vec::new(),
        };
        let first = core.next_context_id();
        core.add_context(first, "main".to_owned(), thread, None);
        core.context(first).state = State::Running;
        core.give_cpu(first, 0);
        core
    }

    /// A number for a new context.
    pub(super) fn next_context_id(&mut self) -> ContextId {
        self.newest += 1;
        self.newest
    }

    /// Adds a context that is ready to run, or the idle thread of a CPU.
    pub(super) fn add_context(
        &mut self,
        id: ContextId,
        name: String,
        thread: Thread,
        idles_on: Option<usize>,
    ) {
        let state = idles_on.map_or(State::Ready, State::Idle);
        let level = Level::PASSIVE;
        self.contexts.push(Context {
            id,
            name,
            thread,
            state,
            cpu: None,
            level,
            idles_on,
            affinity: None,
            block: None,
        });
    }

    /// Notes that the current context, which is new, runs, with `block` behind its GS register.
    pub(super) fn enter_first_time(&mut self, block: &'static ProcessorBlock) {
        let cpu = self.cpu;
        let context = self.context(self.current);
        block.set_cpu(cpu);
        context.block = Some(block);
        if context.idles_on.is_none() {
            context.state = State::Running;
        }
    }

    /// Lets `ns` of virtual time pass; real time passes by itself.
    #[inline]
    pub(super) fn pass_time(&mut self, ns: u64) {
        match self.clock {
            None => self.now += ns,
            Some(_) => self.read_clock(),
        }
    }

    /// Brings `now` up to date where time is real.
    pub(super) fn read_clock(&mut self) {
        if let Some(clock) = self.clock {
            self.now = u64::try_from(clock.elapsed().as_nanos()).unwrap_or(u64::MAX);
        }
    }

    /// Forgets a context that has ended.
    pub(super) fn remove_context(&mut self, id: ContextId) {
        self.contexts.retain(|context| context.id != id);
    }

    /// Where in `contexts` a context is.
    pub(super) fn position(&self, id: ContextId) -> Option<usize> {
        self.contexts
            .binary_search_by_key(&id, |context| context.id)
            .ok()
    }

    /// A living context.
    pub(super) fn context(&mut self, id: ContextId) -> &mut Context {
        let index = self.position(id).expect("the context is alive");
        &mut self.contexts[index]
    }

    /// Whether the current context is on a CPU that it may not use.
    pub(super) fn is_misplaced(&mut self) -> bool {
        let (me, cpu) = (self.current, self.cpu);
        self.restricts
            && self
                .position(me)
                .is_some_and(|at| !self.contexts[at].may_use(cpu))
    }

    /// The CPU of the current context.
    #[inline]
    pub(super) fn this_cpu(&mut self) -> &mut Cpu {
        &mut self.cpus[self.cpu]
    }

    /// Puts a context on a free CPU.
    pub(super) fn give_cpu(&mut self, id: ContextId, cpu: usize) {
        let context = self.context(id);
        context.cpu = Some(cpu);
        if let Some(block) = context.block {
            block.set_cpu(cpu);
        }
        let level = context.level;
        let now = self.now;
        let cpu = &mut self.cpus[cpu];
        cpu.level = level;
        cpu.owner = Some(id);
        cpu.since = now;
    }

    /// Takes a context off its CPU; it keeps its level.
    pub(super) fn take_cpu(&mut self, id: ContextId) -> Option<usize> {
        let cpu = self.context(id).cpu.take()?;
        let now = self.now;
        let left = &mut self.cpus[cpu];
        let level = std::mem::replace(&mut left.level, Level::PASSIVE);
        left.owner = None;
        left.busy_ns += now - left.since;
        self.context(id).level = level;
        Some(cpu)
    }

    /// Whose choices are made: the current context's, or no thread's between two steps. Where the
    /// machine runs freely, all threads choose from one row.
    fn chooser(&self) -> ContextId {
        if self.quiet == 0 && self.clock.is_none() {
            self.current
        } else {
            0
        }
    }

    /// A random number below `n`, which is above zero.
    pub(super) fn random_below(&mut self, n: u64) -> u64 {
        self.choices.below(self.chooser(), n)
    }

    /// Whether a chance of one in `one_in` comes true; never for 0.
    pub(super) fn chance(&mut self, one_in: u64) -> bool {
        self.choices.chance(self.chooser(), one_in)
    }

    /// Where a choice is made, when it is and is to be told.
    pub(super) fn told_place(&mut self, made: bool) -> Option<String> {
        if !made || !self.choices.are_told() {
            return None;
        }
        let (cpu, us) = (self.cpu, self.now / 1000);
        let level = self.this_cpu().level.irql;
        let context = self.context(self.current);
        let (id, name) = (context.id, &context.name);
        Some(format!(
            "thread {id} \"{name}\", CPU {cpu}, level {level}, {us} us"
        ))
    }
}
