//! The free-running mode: driver code runs on several threads at once, and the host keeps order.

#![expect(
    non_upper_case_globals,
    reason = "constants of ndis-sys keep the names of the headers"
)]

mod native;

use std::cell::UnsafeCell;
use std::fs::File;
use std::hint::spin_loop;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use native::linked::import;
use native::{expect_breach_freely, run_freely};
use ndis_host::sched::{self, BatonCell, DIRQL, DISPATCH_LEVEL, DpcId, PASSIVE_LEVEL};
use ndis_host::{export, memory, mmio};
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

static LOG: BatonCell<Vec<String>> = BatonCell::new(Vec::new());

fn log(text: impl Into<String>) {
    let text = text.into();
    LOG.with(|log| log.push(text));
}

fn take_log() -> Vec<String> {
    LOG.with(std::mem::take)
}

/// Starts threads that run `body` as driver code, each with its number; waits for their end.
fn run_in_driver(threads: usize, body: fn(usize)) {
    let all: Vec<_> = (0..threads)
        .map(|number| {
            sched::spawn(&format!("driver/{number}"), move || {
                sched::in_driver(|| body(number));
            })
        })
        .collect();
    all.into_iter().for_each(sched::join);
}

#[test]
fn driver_code_runs_on_several_cpus_at_once() {
    static INSIDE: AtomicU32 = AtomicU32::new(0);
    run_freely("driver_code_runs_on_several_cpus_at_once", || {
        // Each waits for the other without a call: only threads that really run meet.
        run_in_driver(2, |_| {
            INSIDE.fetch_add(1, Ordering::SeqCst);
            while INSIDE.load(Ordering::SeqCst) < 2 {
                spin_loop();
            }
        });
    });
}

/// Memory that a driver guards with a spin lock.
struct Guarded {
    lock: UnsafeCell<usize>,
    count: UnsafeCell<u64>,
}

// SAFETY: `count` is used with `lock` held, `lock` by the routines for spin locks only.
unsafe impl Sync for Guarded {}

#[test]
fn a_spin_lock_keeps_other_threads_out() {
    const ROUNDS: u64 = 2_000;
    static GUARDED: Guarded = Guarded {
        lock: UnsafeCell::new(0),
        count: UnsafeCell::new(0),
    };
    run_freely("a_spin_lock_keeps_other_threads_out", || {
        static ACQUIRE: AtomicUsize = AtomicUsize::new(0);
        static RELEASE: AtomicUsize = AtomicUsize::new(0);
        ACQUIRE.store(
            export("KeAcquireSpinLockRaiseToDpc").expose_provenance(),
            Ordering::Relaxed,
        );
        RELEASE.store(
            export("KeReleaseSpinLock").expose_provenance(),
            Ordering::Relaxed,
        );
        run_in_driver(3, |_| {
            type Acquire = unsafe extern "efiapi" fn(*mut usize) -> u8;
            type Release = unsafe extern "efiapi" fn(*mut usize, u8);
            let at = |place: &AtomicUsize| {
                std::ptr::with_exposed_provenance::<()>(place.load(Ordering::Relaxed))
            };
            // SAFETY: the export of that name is a routine of that type.
            let acquire = unsafe { std::mem::transmute::<*const (), Acquire>(at(&ACQUIRE)) };
            // SAFETY: as above.
            let release = unsafe { std::mem::transmute::<*const (), Release>(at(&RELEASE)) };
            for _ in 0..ROUNDS {
                // SAFETY: the lock is one, and starts free.
                let old = unsafe { acquire(GUARDED.lock.get()) };
                // SAFETY: the lock is held.
                unsafe { *GUARDED.count.get() += 1 };
                // SAFETY: as above.
                unsafe { release(GUARDED.lock.get(), old) };
            }
        });
        // SAFETY: the threads have ended.
        assert_eq!(unsafe { *GUARDED.count.get() }, 3 * ROUNDS);
    });
}

#[test]
fn a_gate_passes_all_arguments_and_the_result() {
    extern "efiapi" fn weigh(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64) -> u64 {
        assert!(sched::is_running(), "host code runs with the baton");
        [a, b, c, d, e, f, g]
            .iter()
            .fold(0, |sum, digit| sum * 10 + digit)
    }
    type Weigh = extern "efiapi" fn(u64, u64, u64, u64, u64, u64, u64) -> u64;
    static GATE: AtomicUsize = AtomicUsize::new(0);
    run_freely("a_gate_passes_all_arguments_and_the_result", || {
        let routine = (weigh as *const ()).expose_provenance();
        GATE.store(sched::gate(routine), Ordering::Relaxed);
        assert_ne!(sched::gate(routine), routine);
        assert_eq!(sched::gate(routine), sched::gate(routine));
        assert_eq!(
            sched::gate((&raw const GATE).addr()),
            (&raw const GATE).addr()
        );
        run_in_driver(2, |_| {
            let gate = std::ptr::with_exposed_provenance::<()>(GATE.load(Ordering::Relaxed));
            // SAFETY: the gate leads to a routine of this type.
            let weigh = unsafe { std::mem::transmute::<*const (), Weigh>(gate) };
            assert_eq!(weigh(1, 2, 3, 4, 5, 6, 7), 1_234_567);
            assert!(!sched::is_running(), "driver code runs without the baton");
        });
    });
}

#[test]
fn registers_are_served_to_several_threads() {
    const READS: u64 = 200;
    struct Counter(u64);
    impl mmio::Window for Counter {
        fn read(&mut self, _offset: u64, data: &mut [u8]) {
            self.0 += 1;
            data.copy_from_slice(&self.0.to_le_bytes());
        }
        fn write(&mut self, _offset: u64, _data: &[u8]) {}
    }
    static BASE: AtomicUsize = AtomicUsize::new(0);
    static SUM: AtomicU64 = AtomicU64::new(0);
    run_freely("registers_are_served_to_several_threads", || {
        let base = mmio::map(4096, Box::new(Counter(0)));
        BASE.store(base.expose_provenance(), Ordering::Relaxed);
        run_in_driver(3, |_| {
            let base = std::ptr::with_exposed_provenance::<u64>(BASE.load(Ordering::Relaxed));
            let read = || {
                let value: u64;
                // SAFETY: the registers are mapped.
                unsafe { std::arch::asm!("mov {}, [{}]", out(reg) value, in(reg) base) };
                value
            };
            let sum = (0..READS).map(|_| read()).sum();
            SUM.fetch_add(sum, Ordering::Relaxed);
        });
        let last = 3 * READS;
        assert_eq!(SUM.load(Ordering::Relaxed), last * (last + 1) / 2);
    });
}

#[test]
fn levels_hold_off_what_they_should() {
    run_freely("levels_hold_off_what_they_should", || {
        sched::raise(DISPATCH_LEVEL);
        let cpu = sched::current_cpu();
        sched::queue_dpc(cpu, DpcId(1), || log(format!("dpc at {}", sched::irql())));
        assert!(!sched::queue_dpc(cpu, DpcId(1), || log("twice")));
        sched::interrupt(cpu, DIRQL, || log(format!("isr at {}", sched::irql())));
        for _ in 0..1000 {
            sched::point();
        }
        log("still raised");
        assert_eq!(sched::current_cpu(), cpu);
        sched::lower(PASSIVE_LEVEL);
        assert_eq!(take_log(), ["isr at 5", "still raised", "dpc at 2"]);
    });
}

#[test]
fn a_free_cpu_serves_its_interrupts_and_dpcs() {
    run_freely("a_free_cpu_serves_its_interrupts_and_dpcs", || {
        for round in 0..200 {
            let cpu = round % sched::cpu_count();
            sched::after(1_000, move || {
                sched::interrupt(cpu, DIRQL, move || {
                    log("isr");
                    sched::queue_dpc(cpu, DpcId(2), || log("dpc"));
                });
            });
            let both = || LOG.with(|log| log.len() == 2);
            assert!(sched::wait("both", both, Some(5_000_000_000)));
            assert_eq!(take_log(), ["isr", "dpc"]);
        }
    });
}

#[test]
fn time_is_real() {
    run_freely("time_is_real", || {
        let (started, before) = (std::time::Instant::now(), sched::now());
        sched::sleep(3_000_000);
        sched::spend(50_000);
        assert!(!sched::wait("nothing", || false, Some(1_000_000)));
        let (passed, real) = (sched::now() - before, started.elapsed());
        assert!(passed >= 4_050_000, "{passed}");
        assert!(u128::from(passed) <= real.as_nanos());

        let event = sched::after(1_000_000, || log("never"));
        sched::after(2_000_000, || log("event"));
        assert!(sched::cancel(event));
        sched::sleep(4_000_000);
        assert_eq!(take_log(), ["event"]);
    });
}

#[test]
fn more_threads_than_cpus_all_get_their_turn() {
    static TURNS: BatonCell<[u32; 6]> = BatonCell::new([0; 6]);
    run_freely("more_threads_than_cpus_all_get_their_turn", || {
        let threads = [0, 1, 2, 3, 4, 5].map(|number: usize| {
            sched::spawn(&number.to_string(), move || {
                for _ in 0..500 {
                    sched::yield_now();
                    TURNS.with(|turns| turns[number] += 1);
                }
            })
        });
        threads.into_iter().for_each(sched::join);
        assert_eq!(TURNS.with(|turns| *turns), [500; 6]);
    });
}

#[test]
fn a_deadlock_is_reported() {
    expect_breach_freely("a_deadlock_is_reported", 85, || {
        sched::spawn("helper", || {
            sched::wait("the question", || false, None);
        });
        sched::wait("the answer", || false, None);
    });
}

#[test]
fn blocking_at_dispatch_level_is_a_breach() {
    expect_breach_freely("blocking_at_dispatch_level_is_a_breach", 84, || {
        sched::raise(DISPATCH_LEVEL);
        sched::sleep(1);
    });
}

#[test]
fn a_wrong_level_is_a_breach_in_driver_code() {
    expect_breach_freely("a_wrong_level_is_a_breach_in_driver_code", 84, || {
        sched::raise(DISPATCH_LEVEL);
        let sleep = import!(NdisMSleep: fn(u32));
        // SAFETY: the routine has no other preconditions than its level, which is wrong.
        sched::in_driver(|| unsafe { sleep(1) });
    });
}

#[test]
fn the_machine_goes_on_while_a_thread_waits_outside_of_it() {
    static DONE: AtomicU32 = AtomicU32::new(0);
    run_freely(
        "the_machine_goes_on_while_a_thread_waits_outside_of_it",
        || {
            // One for each CPU, that of this thread as well: they meet only if they run at once.
            static ALL: AtomicU32 = AtomicU32::new(0);
            let all = sched::cpu_count() as u32;
            ALL.store(all, Ordering::Relaxed);
            let meet = || {
                sched::in_driver(|| {
                    DONE.fetch_add(1, Ordering::Relaxed);
                    while DONE.load(Ordering::Relaxed) < ALL.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                });
            };
            let others: Vec<_> = (0..all).map(|_| sched::spawn("other", meet)).collect();
            let came = sched::outside(|| {
                let started = std::time::Instant::now();
                while DONE.load(Ordering::Relaxed) < all && started.elapsed().as_secs() < 10 {
                    std::thread::yield_now();
                }
                assert!(!sched::is_running(), "without the baton");
                DONE.load(Ordering::Relaxed)
            });
            assert!(sched::is_running());
            assert_eq!(came, all, "they waited for the one outside");
            others.into_iter().for_each(sched::join);
        },
    );
}

#[test]
fn a_stopped_machine_runs_no_driver_and_goes_on_with_another_file() {
    const THREADS: usize = 2;
    /// How far each thread has counted, in guest memory.
    static COUNTS: AtomicUsize = AtomicUsize::new(0);
    static GATE: AtomicUsize = AtomicUsize::new(0);
    static STOP: AtomicU32 = AtomicU32::new(0);
    /// A routine that does nothing but give others their turn.
    extern "efiapi" fn turn() {
        sched::point();
    }
    fn counts() -> [u64; THREADS] {
        let at: *mut [AtomicU64; THREADS] =
            std::ptr::with_exposed_provenance_mut(COUNTS.load(Ordering::Relaxed));
        // SAFETY: the block that the test allocated; all use of it is atomic.
        unsafe { &*at }
            .each_ref()
            .map(|one| one.load(Ordering::Relaxed))
    }
    run_freely(
        "a_stopped_machine_runs_no_driver_and_goes_on_with_another_file",
        || {
            let block = memory::allocate(4096, 4096).expect("memory");
            // SAFETY: the block is ours, and has that many bytes.
            unsafe { block.write_bytes(0, 4096) };
            COUNTS.store(block.as_ptr().expose_provenance(), Ordering::Relaxed);
            let routine = (turn as *const ()).expose_provenance();
            GATE.store(sched::gate(routine), Ordering::Relaxed);
            let threads = [0, 1].map(|number| {
                sched::spawn("driver", move || {
                    sched::in_driver(|| {
                        let gate: *const () =
                            std::ptr::with_exposed_provenance(GATE.load(Ordering::Relaxed));
                        // SAFETY: the gate leads to a routine of this type.
                        let call =
                            unsafe { std::mem::transmute::<*const (), extern "efiapi" fn()>(gate) };
                        while STOP.load(Ordering::Relaxed) == 0 {
                            let place = COUNTS.load(Ordering::Relaxed) + 8 * number;
                            // SAFETY: a word of the block that the test allocated.
                            let count =
                                unsafe { &*std::ptr::with_exposed_provenance::<AtomicU64>(place) };
                            count.fetch_add(1, Ordering::Relaxed);
                            call();
                        }
                    });
                })
            });
            let all_beyond = |least: [u64; THREADS]| {
                let beyond = move || {
                    let pairs = counts().into_iter().zip(least);
                    pairs.into_iter().all(|(now, least)| now > least)
                };
                assert!(sched::wait("counts", beyond, Some(5_000_000_000)));
            };
            all_beyond([100; THREADS]);
            let guest = memory::guest();
            let region = guest.iter().next().expect("one region");
            let old = region.file_offset().expect("a file");
            let stopped = sched::stopped(|| {
                let before = counts();
                let whole = old.file().metadata().expect("its length").len();
                // SAFETY: the name is a constant C string.
                let new = unsafe { libc::memfd_create(c"another".as_ptr(), libc::MFD_CLOEXEC) };
                assert!(new >= 0, "no memory file");
                // SAFETY: the call above returned a new descriptor, which nobody else owns.
                let new = unsafe { File::from_raw_fd(new) };
                new.set_len(whole).expect("room");
                let mut page = [0; 4096];
                let at = memory::physical(block.as_ptr()).expect("guest memory")
                    - memory::PHYSICAL_BASE
                    + old.start();
                old.file().read_exact_at(&mut page, at).expect("the page");
                new.write_all_at(&page, at).expect("the page");
                std::thread::sleep(std::time::Duration::from_millis(20));
                assert_eq!(counts(), before, "a driver ran on");
                memory::replace_file(new, old.start()).expect("another file");
                assert_eq!(counts(), before, "memory has changed");
                before
            });
            all_beyond(stopped.expect("no thread stays in driver code"));
            STOP.store(1, Ordering::Relaxed);
            threads.into_iter().for_each(sched::join);
        },
    );
}
