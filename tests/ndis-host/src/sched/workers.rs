//! OS threads for contexts. One whose context has ended takes the next one: to make a thread costs
//! more than most contexts do.

use std::cell::OnceCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};

use super::{BatonCell, STACK_BYTES, free};

/// What a context does, from its first turn to its end.
type Body = Box<dyn FnOnce() + Send>;
/// Where an OS thread finds the body of its next context.
type Slot = Arc<Mutex<Option<Body>>>;

struct Worker {
    thread: Thread,
    slot: Slot,
}

/// Threads without a context. The last one is taken first, so that which it is depends on the run
/// alone.
static IDLE: BatonCell<Vec<Worker>> = BatonCell::new(Vec::new());

thread_local! {
    static MINE: OnceCell<Slot> = const { OnceCell::new() };
}

/// Runs `body` on an OS thread, a new one with this name when none is idle. The body begins when
/// the thread is given the baton or, where threads run freely, at once.
pub(super) fn run(name: &str, body: Body) -> Thread {
    let Some(worker) = IDLE.with(Vec::pop) else {
        return start(name, body);
    };
    *lock(&worker.slot) = Some(body);
    if free::is_on() {
        worker.thread.unpark();
    }
    worker.thread
}

fn start(name: &str, body: Body) -> Thread {
    let slot: Slot = Arc::new(Mutex::new(Some(body)));
    let handle = thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            MINE.with(|mine| {
                mine.get_or_init(|| slot.clone());
            });
            loop {
                next(&slot)();
            }
        })
        .unwrap_or_else(|error| panic!("no OS thread for \"{name}\": {error}"));
    handle.thread().clone()
}

fn next(slot: &Slot) -> Body {
    loop {
        let body = lock(slot).take();
        if let Some(body) = body {
            return body;
        }
        thread::park();
    }
}

fn lock(slot: &Slot) -> std::sync::MutexGuard<'_, Option<Body>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Offers the calling thread for the next context. Its own is about to end, and the body to return.
pub(super) fn offer() {
    let Some(slot) = MINE.with(|mine| mine.get().cloned()) else {
        return;
    };
    let thread = thread::current();
    IDLE.with(|idle| idle.push(Worker { thread, slot }));
}
