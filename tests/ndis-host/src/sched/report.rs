//! The report of a deadlock: every context, every CPU, and what they wait for.

use std::fmt::Write;

use super::machine::{Context, Core, Cpu, State, core};

/// Describes the state of the machine when nothing can run and nothing is going to happen.
pub(super) fn deadlock() -> String {
    core(|core| {
        let mut text = format!(
            "deadlock at {} ns: nothing can run, no event is set",
            core.now
        );
        for line in lines(core) {
            // Writing to a string does not fail.
            let _ = write!(text, "\n  {line}");
        }
        text
    })
}

fn lines(core: &Core) -> Vec<String> {
    let contexts = core
        .contexts
        .iter()
        .filter(|context| context.idles_on.is_none());
    let cpus = core.cpus.iter().enumerate();
    contexts
        .map(describe_context)
        .chain(cpus.map(describe_cpu))
        .collect()
}

fn describe_context(context: &Context) -> String {
    let doing = match context.state {
        State::Running => "runs".to_owned(),
        State::Idle(cpu) => format!("idles on CPU {cpu}"),
        State::Ready => "is ready".to_owned(),
        State::Waiting { what, .. } => format!("waits for {what}"),
        State::Spinning { what, .. } => format!("spins on {what}"),
        State::Woken { .. } => "has been woken".to_owned(),
    };
    let place = context
        .cpu
        .map_or("no CPU".to_owned(), |cpu| format!("CPU {cpu}"));
    format!(
        "thread {} \"{}\" {doing} ({place})",
        context.id, context.name
    )
}

fn describe_cpu((index, cpu): (usize, &Cpu)) -> String {
    let owner = cpu
        .owner
        .map_or("nobody".to_owned(), |id| format!("thread {id}"));
    format!(
        "CPU {index}: level {}, held by {owner}, {} interrupts and {} DPCs waiting",
        cpu.level.irql,
        cpu.interrupts.len(),
        cpu.dpcs.len(),
    )
}
