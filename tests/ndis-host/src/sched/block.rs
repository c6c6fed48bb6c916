//! Who runs next: preemption, waits, busy waits, idle CPUs, deadlock.
//!
//! A context below `DISPATCH_LEVEL` gives its CPU back whenever it loses the baton; one at or
//! above it keeps the CPU, so that nothing else runs there, as on a real machine. Interrupts and
//! DPCs of a CPU that nobody has run on the stack of a context that waits anyhow ("in an
//! arbitrary thread"), or, by chance, in the idle thread of that CPU: only then can the waiting
//! context wake up while the DPC is still half-way through.
//!
//! That is the deterministic mode; where the free-running one differs, see [`free`].

use super::baton::{self, ContextId};
use super::choose::{Candidate, Server};
use super::machine::{Condition, Core, State, core};
use super::point::{deliver, point, quietly, run_due_events};
use super::{DISPATCH_LEVEL, free, report};
use crate::memory::paging;
use crate::verifier;

/// Blocks the caller until `ready` holds, or `timeout_ns` has passed; tells whether it held.
///
/// `ready` is evaluated by whichever context looks for something to do, so it may use only state
/// of the host, and must not reach a scheduling point. It is evaluated until it holds, and not
/// again: it may take what it waits for. `what` names the wait in a deadlock report.
///
/// Blocking at `DISPATCH_LEVEL` or above is a fatal breach of rule 84; a timeout of zero never
/// blocks and is allowed there.
pub fn wait(what: &'static str, mut ready: impl FnMut() -> bool, timeout_ns: Option<u64>) -> bool {
    point();
    assert!(
        core(|core| core.quiet) == 0,
        "{what}: a wait inside an event or a condition"
    );
    if timeout_ns == Some(0) {
        return quietly(ready);
    }
    let irql = super::irql();
    if irql >= DISPATCH_LEVEL {
        verifier::fatal(
            84,
            format!("blocking wait ({what}) at level {irql} (0xC4/3B)"),
        );
    }
    if quietly(&mut ready) {
        return true;
    }
    let condition = erase(&mut ready);
    core(|core| {
        let deadline = timeout_ns.map(|ns| core.now.saturating_add(ns));
        core.set_state(State::Waiting {
            what,
            condition,
            deadline,
        });
        core.take_cpu(core.current);
        core.mind(deadline);
    });
    if free::is_on() {
        free::await_end()
    } else {
        wait_for_turn()
    }
}

/// Blocks the caller for `ns`.
pub fn sleep(ns: u64) {
    wait("sleep", || false, Some(ns.max(1)));
}

/// Waits busily, at `DISPATCH_LEVEL` or above, until `ready` holds.
///
/// The CPU stays the caller's; interrupts above its level are still served. The rules for `ready`
/// are those of [`wait`].
pub fn spin(what: &'static str, mut ready: impl FnMut() -> bool) {
    point();
    if quietly(&mut ready) {
        return;
    }
    let condition = erase(&mut ready);
    if free::is_on() {
        return free::spin(what, condition);
    }
    core(|core| core.set_state(State::Spinning { what, condition }));
    loop {
        serve_spinner(what, condition);
        if core(|core| core.take_woken()).is_some() {
            return;
        }
        next_turn();
    }
}

/// Forgets that a condition borrows from the caller's stack.
fn erase<'a>(ready: &'a mut (dyn FnMut() -> bool + 'a)) -> Condition {
    let ready: *mut (dyn FnMut() -> bool + 'a) = ready;
    // SAFETY: only the lifetime changes. The pointer lives in `State`, which the caller replaces
    // before the frame that `ready` borrows from ends.
    unsafe { std::mem::transmute(ready) }
}

/// Runs interrupts on the CPU of a spinning context; its condition rests meanwhile.
fn serve_spinner(what: &'static str, condition: Condition) {
    let serve = core(|core| {
        let serve = core.this_cpu().has_work() && core.current_state_is_spinning();
        if serve {
            core.set_state(State::Running);
        }
        serve
    });
    if serve {
        deliver();
        core(|core| core.set_state(State::Spinning { what, condition }));
    }
}

/// Lets others go on until the wait of the current context, which has no CPU, is over.
fn wait_for_turn() -> bool {
    loop {
        next_turn();
        match core(|core| core.take_woken()) {
            Some(held) => return held,
            None => serve_given_cpu(),
        }
    }
}

/// Serves the CPU that the current, waiting, context was given for that purpose, if any.
fn serve_given_cpu() {
    let waiting = core(|core| {
        let given = core.context(core.current).cpu;
        given.map(|_| core.replace_state(State::Running))
    });
    let Some(waiting) = waiting else { return };
    deliver();
    core(|core| {
        core.set_state(waiting);
        core.take_cpu(core.current);
    });
}

/// Body of an idle thread.
pub(super) fn idle() -> ! {
    if free::is_on() {
        free::idle()
    }
    loop {
        serve_given_cpu();
        next_turn();
    }
}

/// Gives the baton to a random other context, if there is one that can run.
pub(super) fn preempt() {
    if free::is_on() {
        return free::preempt();
    }
    let (me, movable) = core(|core| {
        core.set_state(State::Ready);
        (core.current, core.this_cpu().level.irql < DISPATCH_LEVEL)
    });
    let home = core(|core| if movable { core.take_cpu(me) } else { None });
    wake_waiters();
    match core(|core| core.pick(Some(me))) {
        Some(candidate) => go_on(candidate, Server::IdleThread),
        None => core(|core| {
            if let Some(cpu) = home {
                core.give_cpu(me, cpu);
            }
        }),
    }
    core(|core| core.set_state(State::Running));
}

/// Takes the current context, which may not use its CPU, to another one. Below `DISPATCH_LEVEL`.
pub(super) fn move_to_own_cpu() {
    while core(Core::is_misplaced) {
        core(|core| {
            core.set_state(State::Ready);
            core.take_cpu(core.current);
        });
        if free::is_on() {
            free::await_cpu();
        } else {
            next_turn();
        }
        core(|core| core.set_state(State::Running));
        // It may have been given a CPU that it may not use, to serve what waits there.
        deliver();
    }
}

/// Passes the baton on until it comes back.
///
/// Returns when the current context has something to do: its wait is over, or it has been given
/// a CPU to serve, or (spinning) its CPU has work.
fn next_turn() {
    let candidate = next_candidate();
    go_on(candidate, Server::Caller);
}

/// Finds something that can go on; time jumps forward when there is nothing.
fn next_candidate() -> Candidate {
    loop {
        run_due_events();
        wake_waiters();
        if let Some(candidate) = core(|core| core.pick(None)) {
            return candidate;
        }
        if !core(Core::jump_to_next_time) {
            verifier::fatal(85, report::deadlock());
        }
    }
}

/// Makes `candidate` go on; returns at the caller's next turn.
fn go_on(candidate: Candidate, server: Server) {
    let next = core(|core| core.prepare(candidate, server));
    switch_to(next);
}

/// Passes the baton to `next` and waits for it to return.
fn switch_to(next: ContextId) {
    let thread = core(|core| core.make_current(next));
    if next == baton::me() {
        return;
    }
    baton::pass(next, &thread);
    baton::await_turn();
    if core(|core| core.this_cpu().level.irql) >= DISPATCH_LEVEL {
        paging::level_is_high();
    }
}

/// Ends the current context: passes the baton on for good.
pub(super) fn leave() {
    let level = core(|core| core.this_cpu().level.irql);
    if level != 0 {
        verifier::fatal(80, format!("a system thread ended at level {level}"));
    }
    core(|core| {
        let me = core.current;
        core.take_cpu(me);
        core.remove_context(me);
    });
    if free::is_on() {
        return free::depart();
    }
    let candidate = next_candidate();
    let next = core(|core| core.prepare(candidate, Server::IdleThread));
    let thread = core(|core| core.make_current(next));
    baton::pass(next, &thread);
}

/// Ends the calling context, which must not come back; its stack is left as it is.
pub fn exit_thread() -> ! {
    leave();
    // SAFETY: the system call has no preconditions; it ends this OS thread only.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("an OS thread goes on after its end")
}

/// Evaluates the conditions of all contexts that wait, and marks those whose wait is over.
///
/// It happens at every switch anyhow; who signals something that may be taken back at once does it
/// too, so that nobody who waits misses the signal.
pub fn wake_waiters() {
    let mut index = 0;
    while let Some((id, state)) = core(|core| core.waiter_from(&mut index)) {
        let (condition, deadline) = match state {
            State::Waiting {
                condition,
                deadline,
                ..
            } => (condition, deadline),
            State::Spinning { condition, .. } => (condition, None),
            _ => continue,
        };
        // SAFETY: the context is blocked in `wait` or `spin`, whose frame owns the condition; the
        // baton makes this the only use.
        let held = quietly(|| unsafe { (*condition)() });
        core(|core| {
            let late = deadline.is_some_and(|deadline| deadline <= core.now);
            if held || late {
                core.context(id).state = State::Woken { held };
                core.alert_spinner(id);
            }
        });
    }
}

impl Core {
    pub(super) fn set_state(&mut self, state: State) {
        self.context(self.current).state = state;
    }

    fn replace_state(&mut self, state: State) -> State {
        std::mem::replace(&mut self.context(self.current).state, state)
    }

    fn current_state_is_spinning(&mut self) -> bool {
        matches!(self.context(self.current).state, State::Spinning { .. })
    }

    /// Ends the wait of the current context when it is over; tells how it ended.
    pub(super) fn take_woken(&mut self) -> Option<bool> {
        let context = self.context(self.current);
        let State::Woken { held } = context.state else {
            return None;
        };
        context.state = State::Running;
        Some(held)
    }

    /// The next context from `index` on that waits for a condition.
    fn waiter_from(&mut self, index: &mut usize) -> Option<(ContextId, State)> {
        loop {
            let context = self.contexts.get(*index)?;
            *index += 1;
            if matches!(
                context.state,
                State::Waiting { .. } | State::Spinning { .. }
            ) {
                return Some((context.id, context.state));
            }
        }
    }
}
