//! Scheduling points, interrupt delivery and the level of the current CPU.

use std::time::Duration;

use super::machine::{Core, Level, core};
use super::{DISPATCH_LEVEL, DpcId, Irql};
use super::{baton, block, choices, free};
use crate::memory::paging;
use crate::verifier;

/// What is to be done at a point, besides letting time pass.
#[derive(Clone, Copy, Default)]
struct Due {
    events: bool,
    work: bool,
    switch: bool,
    starved: bool,
}

/// Scheduling point: time passes, events and interrupts happen, the baton may move.
///
/// Every routine that a driver calls has one at its entry. No [`super::BatonCell`] may be open.
#[inline]
pub fn point() {
    baton::assert_cells_closed();
    if let Some(due) = core(|core| core.tick()) {
        act(due);
    }
}

impl Core {
    /// Lets one step of time pass; `None` when nothing else is to be done.
    #[inline]
    fn tick(&mut self) -> Option<Due> {
        if self.quiet != 0 {
            return None;
        }
        self.pass_time(self.settings.step_ns);
        self.cpus[self.cpu].code_ns += self.settings.step_ns;
        let due = Due {
            events: self.count_down() | self.world.next_time().is_some_and(|time| time <= self.now),
            work: self.cpus[self.cpu].has_work(),
            switch: self
                .choices
                .switch(self.current, self.settings.switch_one_in),
            starved: self.cpus[self.cpu].is_starved(),
        };
        (due.events | due.work | due.switch | due.starved).then_some(due)
    }
}

impl Core {
    /// Counts a point before the event that was set by its point; true when it is due.
    #[inline]
    fn count_down(&mut self) -> bool {
        let Some((points, _)) = &mut self.at_point else {
            return false;
        };
        *points = points.saturating_sub(1);
        *points == 0
    }

    /// The event that was set by its point, if it is due.
    fn take_at_point(&mut self) -> Option<Box<dyn FnOnce()>> {
        let (_, body) = self.at_point.take_if(|(points, _)| *points == 0)?;
        Some(body)
    }
}

fn act(due: Due) {
    if due.starved {
        let cpu = core(|core| core.cpu);
        verifier::fatal(
            308,
            format!("CPU {cpu} has run nothing but DPCs for a second (0x133/1)"),
        );
    }
    if due.events {
        run_due_events();
    }
    deliver();
    stay_on_own_cpu();
    if due.switch {
        if let Some(place) = core(|core| core.told_place(true)) {
            choices::tell("the baton moves", &place);
        }
        block::preempt();
    }
}

/// Offers the baton to the other contexts.
pub fn yield_now() {
    point();
    if core(|core| core.quiet) == 0 {
        block::preempt();
    }
}

/// Lets `ns` of time pass for the caller, as a busy wait does.
pub fn spend(ns: u64) {
    if free::is_on() {
        free::spend(ns);
    } else {
        core(|core| core.now += ns);
    }
    core(|core| core.this_cpu().code_ns += ns);
    point();
}

/// Virtual time that the code of the current CPU has taken so far, ns.
pub fn code_ns() -> u64 {
    core(|core| core.this_cpu().code_ns)
}

/// Runs the world events whose time has come.
pub(super) fn run_due_events() {
    if let Some(body) = core(Core::take_at_point) {
        quietly(body);
    }
    while let Some(body) = core(|core| core.world.take_due(core.now)) {
        quietly(body);
    }
}

/// Runs host code in which points do nothing.
pub(super) fn quietly<R>(body: impl FnOnce() -> R) -> R {
    core(|core| core.quiet += 1);
    let result = body();
    core(|core| core.quiet -= 1);
    result
}

/// Runs `body` with the rest of the machine stopped, as in a bug check: no other processor moves,
/// nothing interrupts, and of time only what busy waits take passes.
pub fn alone<R>(body: impl FnOnce() -> R) -> R {
    quietly(body)
}

/// Time that driver code has to call the host, or to return to it.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Runs `body` with all CPUs stopped, as they are while a virtual machine is moved: every thread of the
/// machine is in host code and stays there, so nobody but `body` reads or writes memory. Points in it
/// do nothing. At any IRQL.
///
/// # Errors
///
/// A thread does not come out of driver code: how many.
pub fn stopped<R>(body: impl FnOnce() -> R) -> Result<R, usize> {
    free::stop_drivers(STOP_LIMIT)?;
    Ok(quietly(body))
}

/// Something that interrupts the code of this CPU.
enum Work {
    Interrupt(super::machine::Interrupt),
    Dpc(super::machine::Dpc),
}

/// Runs, on the caller's stack, the interrupts and DPCs of this CPU that its level admits. A DPC
/// that queues itself over and over takes no more of the stack than one.
pub(super) fn deliver() {
    let mut runs_dpcs = false;
    while let Some(work) = core(Core::take_work) {
        match work {
            Work::Interrupt(interrupt) => {
                enter_at(
                    interrupt.level,
                    "an interrupt service routine",
                    interrupt.isr,
                );
            }
            Work::Dpc(dpc) => {
                if !runs_dpcs {
                    runs_dpcs = true;
                    core(|core| core.this_cpu().run_dpcs(true));
                }
                // It has ended before the level falls and lets the next one in.
                enter_at(DISPATCH_LEVEL, "a DPC routine", || {
                    (dpc.body)();
                    core(|core| core.forget_running(dpc.id));
                });
            }
        }
    }
    if runs_dpcs {
        core(|core| core.this_cpu().run_dpcs(false));
    }
}

impl Core {
    fn take_work(&mut self) -> Option<Work> {
        if let Some(interrupt) = self.this_cpu().take_interrupt() {
            return Some(Work::Interrupt(interrupt));
        }
        let dpc = self.this_cpu().take_dpc()?;
        self.queued_dpcs.remove(&dpc.id);
        self.running_dpcs.push(dpc.id);
        Some(Work::Dpc(dpc))
    }

    fn forget_running(&mut self, id: DpcId) {
        if let Some(index) = self.running_dpcs.iter().position(|running| *running == id) {
            self.running_dpcs.swap_remove(index);
        }
    }
}

/// The interrupt level of the current CPU.
pub fn irql() -> Irql {
    core(|core| core.this_cpu().level.irql)
}

/// Raises the level of the current CPU and returns the old one.
///
/// A level below the current one is a fatal breach of rule 81.
pub fn raise(to: Irql) -> Irql {
    let from = irql();
    if to < from {
        verifier::fatal(
            81,
            format!("level raised from {from} down to {to} (0xC4/30)"),
        );
    }
    core(|core| core.this_cpu().level.irql = to);
    page_out_above(to);
    from
}

/// Rule 83: pageable memory leaves when the level rises to DISPATCH.
#[inline]
fn page_out_above(level: Irql) {
    if level >= DISPATCH_LEVEL && verifier::is_thorough() {
        paging::level_is_high();
    }
}

/// Lowers the level of the current CPU; what waited for that runs before the call returns.
///
/// A level above the current one, or below the one at which the innermost callback was entered,
/// is a fatal breach of rule 81.
pub fn lower(to: Irql) {
    let level = core(|core| core.this_cpu().level);
    if to > level.irql {
        let from = level.irql;
        verifier::fatal(
            81,
            format!("level lowered from {from} up to {to} (0xC4/31)"),
        );
    }
    if to < level.floor {
        let floor = level.floor;
        verifier::fatal(
            81,
            format!("level lowered to {to} in a callback entered at {floor}"),
        );
    }
    settle(Level {
        irql: to,
        floor: level.floor,
    });
}

/// Calls `body` as a callback that is entered at `level`, and restores the old level.
///
/// `what` names the callback in reports. A level below the current one is an error of the host
/// (rule 79); a body that returns at another level is a fatal breach of rule 80.
pub fn call_at<R>(level: Irql, what: &str, body: impl FnOnce() -> R) -> R {
    let before = core(|core| core.this_cpu().level);
    let result = enter_at(level, what, body);
    settle(before);
    result
}

/// As [`call_at`], but what waited for the old level to come back waits on.
fn enter_at<R>(level: Irql, what: &str, body: impl FnOnce() -> R) -> R {
    let before = core(|core| core.this_cpu().level);
    if level < before.irql {
        let from = before.irql;
        verifier::fatal(
            79,
            format!("{what} would be entered at level {level} from level {from}"),
        );
    }
    core(|core| core.this_cpu().level = Level::entry(level));
    page_out_above(level);

    let result = body();

    let now = irql();
    if now != level {
        verifier::fatal(
            80,
            format!("{what} was entered at level {level} and returned at {now}"),
        );
    }
    core(|core| core.this_cpu().level = before);
    result
}

/// Sets the level and runs what it now admits.
fn settle(level: Level) {
    let has_work = core(|core| {
        core.this_cpu().level = level;
        core.quiet == 0 && core.this_cpu().has_work()
    });
    if has_work {
        baton::assert_cells_closed();
        deliver();
    }
    stay_on_own_cpu();
}

/// Moves to a CPU that the thread may use, if its level allows that.
fn stay_on_own_cpu() {
    let moves = core(|core| {
        core.quiet == 0 && core.this_cpu().level.irql < DISPATCH_LEVEL && core.is_misplaced()
    });
    if moves {
        block::move_to_own_cpu();
    }
}
