//! Header inlines that read the processor's block by the GS register.

#![expect(
    non_upper_case_globals,
    reason = "constants of ndis-sys keep the names of the headers"
)]

mod native;

use std::arch::asm;

use native::{run_freely, run_seeds};
use ndis_host::sched::{self, DISPATCH_LEVEL};

fn current_thread() -> usize {
    let thread;
    // SAFETY: every thread of the machine has a block behind GS.
    unsafe { asm!("mov {}, gs:[0x188]", out(reg) thread) };
    thread
}

fn number_in_group() -> u8 {
    let number;
    // SAFETY: as above.
    unsafe { asm!("mov {}, gs:[0x184]", out(reg_byte) number) };
    number
}

fn index() -> u32 {
    let index;
    // SAFETY: as above.
    unsafe { asm!("mov {:e}, gs:[0x1A4]", out(reg) index) };
    index
}

/// Threads that look at their block again and again, while they change CPUs.
fn look_around() {
    let threads = ["a", "b", "c"].map(|name| {
        sched::spawn(name, || {
            let thread = current_thread();
            assert_eq!(thread, sched::thread_object());
            for _ in 0..300 {
                sched::yield_now();
                assert_eq!(current_thread(), thread, "a thread stays itself");
                let old = sched::raise(DISPATCH_LEVEL);
                assert_eq!(index() as usize, sched::current_cpu());
                assert_eq!(
                    number_in_group(),
                    sched::number_in_group(sched::current_cpu())
                );
                sched::lower(old);
            }
        })
    });
    let mine = current_thread();
    threads.into_iter().for_each(sched::join);
    assert_ne!(mine, 0);
    assert_eq!(current_thread(), mine);
    let other = sched::spawn("d", move || assert_ne!(current_thread(), mine));
    sched::join(other);
}

#[test]
fn the_block_follows_the_cpu_of_the_thread() {
    run_seeds("the_block_follows_the_cpu_of_the_thread", 0..4, look_around);
}

#[test]
fn the_block_follows_the_cpu_of_a_thread_that_runs_freely() {
    run_freely(
        "the_block_follows_the_cpu_of_a_thread_that_runs_freely",
        look_around,
    );
}
