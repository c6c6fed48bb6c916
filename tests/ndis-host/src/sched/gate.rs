//! The way of driver code into the host, in the free-running mode.
//!
//! A routine of the host runs with the baton, its caller without. So what a driver is given as the
//! address of a routine is that of a small piece of code of the routine's own, made here: it names
//! the routine and jumps to [`pass_gate`], which takes the baton, calls the routine with the
//! same arguments, and gives the baton up again. In the deterministic mode drivers get the routine
//! itself.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;

use super::{BatonCell, free};

/// Bytes of one gate.
const GATE_BYTES: usize = 32;
/// Bytes that are mapped at a time.
const PAGE_BYTES: usize = 4096;

/// Gates by the address of their routine, and where the next one goes.
struct Gates {
    made: BTreeMap<usize, usize>,
    next: usize,
    end: usize,
}

static GATES: BatonCell<Gates> = BatonCell::new(Gates {
    made: BTreeMap::new(),
    next: 0,
    end: 0,
});

thread_local! {
    /// Where the gates that this thread is inside of were called from, and whether each took the
    /// baton.
    static PASSED: RefCell<Vec<(usize, bool)>> = const { RefCell::new(Vec::new()) };
}

/// The address by which drivers call the routine of the host at `address`.
///
/// What is no code of this program, such as exported data, is passed on as it is.
pub fn gate(address: usize) -> usize {
    if !free::is_on() || !is_code(address) {
        return address;
    }
    GATES.with(|gates| gates.find_or_make(address))
}

/// Who called the routine that finds `return_address` on its stack: the caller of the gate, where
/// there is one between them.
pub fn caller_behind(return_address: usize) -> usize {
    let start = (pass_gate as *const ()).addr();
    if !(start..start + GATE_CODE_BYTES).contains(&return_address) {
        return return_address;
    }
    PASSED.with_borrow(|passed| passed.last().map_or(return_address, |(caller, _)| *caller))
}

impl Gates {
    fn find_or_make(&mut self, routine: usize) -> usize {
        if let Some(gate) = self.made.get(&routine) {
            return *gate;
        }
        if self.next == self.end {
            self.next = map_page();
            self.end = self.next + PAGE_BYTES;
        }
        let gate = self.next;
        self.next += GATE_BYTES;
        let mut code = Vec::with_capacity(GATE_BYTES);
        code.extend([0x48, 0xB8]); // mov rax, routine
        code.extend(routine.to_le_bytes());
        code.extend([0x49, 0xBA]); // mov r10, pass_gate
        code.extend((pass_gate as *const ()).addr().to_le_bytes());
        code.extend([0x41, 0xFF, 0xE2]); // jmp r10
        let place: *mut u8 = ptr::with_exposed_provenance_mut(gate);
        // SAFETY: the place is in a mapped page, and nobody knows it yet.
        unsafe { ptr::copy_nonoverlapping(code.as_ptr(), place, code.len()) };
        self.made.insert(routine, gate);
        gate
    }
}

/// A page for gates.
fn map_page() -> usize {
    let access = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new private mapping at an address of the system's choice.
    let page = unsafe { libc::mmap(ptr::null_mut(), PAGE_BYTES, access, flags, -1, 0) };
    assert!(page != libc::MAP_FAILED, "no memory for gates");
    page.expose_provenance()
}

/// Whether an address is in the code of this program or of a library of it.
fn is_code(address: usize) -> bool {
    let mut search = Search {
        address,
        found: false,
    };
    // SAFETY: the callback is of the type that the function asks for, and `search` outlives it.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
    search.found
}

struct Search {
    address: usize,
    found: bool,
}

/// Looks through the segments of one object; a nonzero result ends the search.
unsafe extern "C" fn look(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    search: *mut c_void,
) -> libc::c_int {
    // SAFETY: the function that calls back passes valid pointers, the second one ours.
    let (object, search) = unsafe { (&*object, &mut *search.cast::<Search>()) };
    // SAFETY: the object has this many segments there.
    let segments =
        unsafe { std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) };
    search.found = segments.iter().any(|segment| {
        let start = (object.dlpi_addr + segment.p_vaddr) as usize;
        let holds = search
            .address
            .checked_sub(start)
            .is_some_and(|offset| offset < segment.p_memsz as usize);
        segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_X != 0 && holds
    });
    libc::c_int::from(search.found)
}

/// Bytes from the beginning of [`pass_gate`] that hold every return address into it.
const GATE_CODE_BYTES: usize = 128;
/// Bytes of stack arguments that are passed on: more than any routine takes.
const PASSED_ON_BYTES: usize = 160;

/// Calls the routine in RAX with the arguments of the caller, with the baton.
///
/// # Safety
///
/// To be entered from a gate, which sets RAX, with the Windows calling convention.
#[unsafe(naked)]
unsafe extern "efiapi" fn pass_gate() {
    // Frame, from RBP down: the routine, then the arguments in registers; below them the
    // arguments on the stack, copied, with the room that a callee may use for the first four.
    std::arch::naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "sub rsp, 48 + 32 + {bytes}",
        "mov [rbp - 8], rax",
        "mov [rbp - 16], rcx",
        "mov [rbp - 24], rdx",
        "mov [rbp - 32], r8",
        "mov [rbp - 40], r9",
        "mov rcx, [rbp + 8]",
        "call {enter}",
        "xor eax, eax",
        "2:",
        "mov rcx, [rbp + rax + 48]",
        "mov [rsp + rax + 32], rcx",
        "add rax, 8",
        "cmp rax, {bytes}",
        "jb 2b",
        "mov rcx, [rbp - 16]",
        "mov rdx, [rbp - 24]",
        "mov r8, [rbp - 32]",
        "mov r9, [rbp - 40]",
        "call [rbp - 8]",
        "mov [rbp - 8], rax",
        "call {leave}",
        "mov rax, [rbp - 8]",
        "leave",
        "ret",
        bytes = const PASSED_ON_BYTES,
        enter = sym enter,
        leave = sym leave,
    )
}

extern "efiapi" fn enter(caller: usize) {
    let took = free::arrive_if_away();
    PASSED.with_borrow_mut(|passed| passed.push((caller, took)));
}

extern "efiapi" fn leave() {
    let last = PASSED.with_borrow_mut(Vec::pop);
    let took = last.is_some_and(|(_, took)| took);
    if took {
        free::enter_driver();
    }
}
