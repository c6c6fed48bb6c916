//! Memory-mapped registers: accesses that compiled code makes without calling anyone.
//!
//! [`map`] reserves addresses that nothing may touch. An access faults, the handler of SIGSEGV
//! decodes the instruction, performs the access on the [`Window`] behind the address, writes the
//! result into the interrupted registers and goes on behind the instruction. Each access is a
//! scheduling point.
//!
//! [`ports`] serves the `in` and `out` instructions likewise.
//!
//! Two more things of the processor are served the same way, because drivers reach them by plain
//! instructions: the CR8 register, which is the interrupt level, and the shared user data page.
//! Every other fault of driver code ends the run with the bug check that Windows would show.

mod decode;
mod execute;
mod fault;
pub mod ports;
mod registers;
mod shared_data;

use std::cell::RefCell;
use std::ptr;
use std::rc::Rc;

use crate::memory::PAGE_SIZE;
use crate::sched::BatonCell;

/// Registers behind a range of addresses.
///
/// It is called with the driver's code interrupted in mid-instruction: it may use host state and
/// set interrupts, DPCs and events, but must not call a driver.
pub trait Window {
    /// Reads 1, 2, 4 or 8 bytes at `offset`.
    fn read(&mut self, offset: u64, data: &mut [u8]);
    /// Writes 1, 2, 4 or 8 bytes at `offset`.
    fn write(&mut self, offset: u64, data: &[u8]);
}

/// How often a window was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

struct Mapped {
    base: usize,
    len: usize,
    window: Rc<RefCell<Box<dyn Window>>>,
    counters: Counters,
}

static WINDOWS: BatonCell<Vec<Mapped>> = BatonCell::new(Vec::new());
/// Base and length of the windows that have been unmapped.
static UNMAPPED: BatonCell<Vec<(usize, usize)>> = BatonCell::new(Vec::new());

/// Builds the decoder's tables.
pub(crate) fn warm_up() {
    decode::warm_up();
}

/// Installs the fault handler and the shared user data page. Once per process.
pub fn start() {
    let window: Box<dyn Window> = Box::new(shared_data::SharedData);
    add(shared_data::ADDRESS, PAGE_SIZE, window);
    fault::install();
}

/// Maps `window` to `len` bytes of addresses, whole pages; returns the first.
///
/// # Panics
///
/// When no addresses are left.
pub fn map(len: usize, window: Box<dyn Window>) -> *mut u8 {
    let len = len.next_multiple_of(PAGE_SIZE);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new private mapping at an address of the system's choice, without access.
    let base = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    assert!(
        base != libc::MAP_FAILED,
        "no {len} bytes of addresses for registers"
    );
    add(base as usize, len, window);
    base.cast()
}

fn add(base: usize, len: usize, window: Box<dyn Window>) {
    let window = Rc::new(RefCell::new(window));
    let mapped = Mapped {
        base,
        len,
        window,
        counters: Counters::default(),
    };
    WINDOWS.with(|windows| windows.push(mapped));
}

/// Unmaps the window that [`map`] put at `base`; later accesses are access violations.
///
/// The addresses stay reserved, so that nothing else comes to lie there and hides them.
///
/// # Panics
///
/// When there is none.
pub fn unmap(base: *mut u8) {
    let mapped = WINDOWS.with(|windows| {
        let index = windows.iter().position(|mapped| mapped.base == base.addr());
        index.map(|index| windows.remove(index))
    });
    let mapped = mapped.unwrap_or_else(|| panic!("no registers are mapped at {base:p}"));
    UNMAPPED.with(|unmapped| unmapped.push((mapped.base, mapped.len)));
}

/// Whether an address belonged to a window that has been unmapped.
fn was_unmapped(address: usize) -> bool {
    let holds = |&(base, len): &(usize, usize)| (base..base + len).contains(&address);
    UNMAPPED.with(|unmapped| unmapped.iter().any(holds))
}

/// How often the window at `base` was used; `None` when there is none.
pub fn counters(base: *mut u8) -> Option<Counters> {
    WINDOWS.with(|windows| {
        let found = windows.iter().find(|mapped| mapped.base == base.addr());
        found.map(|mapped| mapped.counters)
    })
}

/// Whether an address belongs to a window.
fn is_mapped(address: usize) -> bool {
    WINDOWS.with(|windows| {
        windows
            .iter()
            .any(|mapped| mapped.offset(address).is_some())
    })
}

/// An access to the window at `address`; false when it leaves the window, or there is none.
fn access(address: usize, operation: Operation<'_>) -> bool {
    let Some((window, offset)) = WINDOWS.with(|windows| {
        let mapped = windows
            .iter_mut()
            .find(|mapped| mapped.offset(address).is_some())?;
        let offset = mapped.offset(address)?;
        if mapped.len - offset < operation.len() {
            return None;
        }
        match operation {
            Operation::Read(_) => mapped.counters.reads += 1,
            Operation::Write(_) => mapped.counters.writes += 1,
        }
        Some((Rc::clone(&mapped.window), offset as u64))
    }) else {
        return false;
    };
    match operation {
        Operation::Read(data) => window.borrow_mut().read(offset, data),
        Operation::Write(data) => window.borrow_mut().write(offset, data),
    }
    true
}

/// What is to be done at an address.
enum Operation<'a> {
    Read(&'a mut [u8]),
    Write(&'a [u8]),
}

impl Operation<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Read(data) => data.len(),
            Self::Write(data) => data.len(),
        }
    }
}

impl Mapped {
    fn offset(&self, address: usize) -> Option<usize> {
        address
            .checked_sub(self.base)
            .filter(|offset| *offset < self.len)
    }
}
