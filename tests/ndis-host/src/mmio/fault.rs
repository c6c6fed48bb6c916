//! The handler of SIGSEGV.
//!
//! It runs on the stack of the code that faulted, not on a signal stack, and faults may nest: an
//! access to a device register is a scheduling point, at which interrupt routines run that access
//! registers themselves, and other threads take over.

use std::ffi::{c_int, c_void};
use std::mem;
use std::ptr;

use iced_x86::{Instruction, Mnemonic, Register};

use super::decode::instruction_at;
use super::execute::{Bus, Refusal, execute};
use super::registers::Registers;
use super::{Operation, access, is_mapped, ports, was_unmapped};
use crate::memory::poison::is_poison;
use crate::memory::{paging, pool};
use crate::{image, sched, verifier};

/// How many words of the stack are searched for the driver's frame.
const SEARCHED_WORDS: usize = 512;

/// `si_code` of a signal that the processor's general protection fault caused.
const SI_KERNEL: c_int = 0x80;

/// Registers of the context in the order of [`Registers::general`].
const ORDER: [c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// Installs the handler.
pub(super) fn install() {
    // SAFETY: a zeroed `sigaction` is a valid one.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_fault as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for.
    let result = unsafe { libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut()) };
    assert_eq!(result, 0, "SIGSEGV cannot be handled");
}

extern "C" fn on_fault(_signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes the information of this signal.
    let info = unsafe { &*info };
    // SAFETY: with SA_SIGINFO the third argument is the interrupted context.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let fault = Fault {
        // SAFETY: SIGSEGV carries an address.
        address: unsafe { info.si_addr() }.addr(),
        is_general: info.si_code == SI_KERNEL,
        registers: registers_of(context),
    };
    match sched::interrupt_driver(|| fault.handle()) {
        Some(Some(registers)) => set_registers(context, &registers),
        Some(None) => {}
        None => give_up(),
    }
}

/// A fault, to be served with the baton.
struct Fault {
    /// The address that was touched; meaningless for a general protection fault.
    address: usize,
    /// Whether it is a general protection fault: a privileged instruction, or a wild address.
    is_general: bool,
    /// Registers at the instruction.
    registers: Registers,
}

impl Fault {
    /// Serves the fault; `None` when the default action is to be taken.
    fn handle(&self) -> Option<Registers> {
        if !self.is_general {
            if is_mapped(self.address) {
                return Some(self.access_window());
            }
            if self.is_paged_in() {
                return Some(self.registers);
            }
        }
        let at = self.registers.rip as usize;
        if let Some(registers) = self.access_port(at) {
            return Some(registers);
        }
        if image::owner_of(at).is_none() {
            return self.report_host_fault(at);
        }
        let is_executed = self.is_general || self.address != at;
        if is_executed {
            // SAFETY: the fault is not one of fetching the instruction, so it was fetched.
            let instruction = unsafe { instruction_at(at) };
            if let Some(registers) = self.access_cr8(&instruction) {
                return Some(registers);
            }
            self.report_poison();
            if self.is_general {
                let place = image::describe(at);
                verifier::fatal(
                    83,
                    format!("`{instruction}` at {place} faulted (bug check 0x3B)"),
                );
            }
        }
        verifier::fatal(83, self.describe(at))
    }

    /// Serves a touch of memory that the judge took away for a while; true when it is there now.
    /// Memory that must not be touched is a fatal breach: of rule 83 if it is pageable, of rule 214
    /// if it belongs to the pool.
    fn is_paged_in(&self) -> bool {
        let place = || self.place();
        match paging::fault(self.address) {
            Some(paging::Fault::PagedIn) => return true,
            Some(paging::Fault::Forbidden(what)) => {
                verifier::fatal(83, format!("{} touches {what} (0xD1)", place()));
            }
            None => {}
        }
        if let Some(text) = pool::describe_fault(self.address) {
            verifier::fatal(214, format!("{text}, by {}", place()));
        }
        false
    }

    /// The code that faulted, in words; for code of the host, the driver that called it.
    fn place(&self) -> String {
        let at = self.registers.rip as usize;
        if image::owner_of(at).is_some() {
            return image::describe(at);
        }
        let stack = self.registers.general[4] as usize;
        let caller = image::driver_frame(stack_words(stack));
        caller.map_or_else(
            || format!("the host or a device at {at:#x}"),
            |frame| format!("the host, called from {}", image::describe(frame)),
        )
    }

    fn access_window(&self) -> Registers {
        sched::point();
        // SAFETY: the instruction accessed a window, so it was fetched.
        let instruction = unsafe { instruction_at(self.registers.rip as usize) };
        let mut registers = self.registers;
        let place = || image::describe(self.registers.rip as usize);
        match execute(&instruction, &mut registers, &mut Windows) {
            Ok(()) => registers,
            Err(Refusal::Unknown) => panic!(
                "the host does not emulate `{instruction}` at {}, which accesses {:#x}",
                place(),
                self.address
            ),
            Err(Refusal::Outside { address, size }) => verifier::fatal(
                83,
                format!(
                    "{size} bytes at {address:#x} leave their registers, at {}",
                    place()
                ),
            ),
        }
    }

    /// Executes an instruction that reads or writes a port; drivers that are linked into the
    /// program do so, too.
    fn access_port(&self, at: usize) -> Option<Registers> {
        if !self.is_general {
            return None;
        }
        // SAFETY: a general protection fault is one of executing, so it was fetched.
        let instruction = unsafe { instruction_at(at) };
        let executed = ports::execute(&instruction, &self.registers)?;
        sched::point();
        Some(executed.unwrap_or_else(|port| {
            let place = image::describe(at);
            verifier::fatal(
                43,
                format!("`{instruction}` at {place}: port {port:#x} was not registered"),
            )
        }))
    }

    /// Reads or writes the interrupt level by CR8, as the inline forms of KeGetCurrentIrql do.
    fn access_cr8(&self, instruction: &Instruction) -> Option<Registers> {
        if instruction.mnemonic() != Mnemonic::Mov {
            return None;
        }
        let mut registers = self.registers;
        if instruction.op1_register() == Register::CR8 {
            registers.write(instruction.op0_register(), u64::from(sched::irql()))?;
        } else if instruction.op0_register() == Register::CR8 {
            let level = registers.read(instruction.op1_register())? as sched::Irql;
            if level > sched::irql() {
                sched::raise(level);
            } else {
                sched::lower(level);
            }
        } else {
            return None;
        }
        registers.rip = instruction.next_ip();
        Some(registers)
    }

    /// Ends the run if a pointer was followed that comes out of poison (rule 94).
    fn report_poison(&self) {
        let followed = self.is_general && self.registers.general.iter().any(|r| is_poison(*r));
        if followed {
            let place = image::describe(self.registers.rip as usize);
            verifier::fatal(
                94,
                format!("{place} follows a pointer out of an NBL that was given away (0x50)"),
            );
        }
    }

    /// The bug check of a fault in driver code.
    fn describe(&self, at: usize) -> String {
        let place = image::describe(at);
        let target = match image::was_unloaded(self.address) {
            Some((name, offset)) => format!("{name}+{offset:#x}, which is unloaded"),
            None if self.address == 0 => "a null pointer".to_owned(),
            None if was_unmapped(self.address) => "registers that have been unmapped".to_owned(),
            None => image::describe(self.address),
        };
        let check = match image::owner_of(self.address) {
            Some(_) => "0xBE, or execution of data",
            None if sched::irql() >= sched::DISPATCH_LEVEL => "0xD1",
            None => "0x50",
        };
        format!("access violation at {place} touching {target} (bug check {check})")
    }

    /// A fault in host code: reported if a driver called it, likely with a bad pointer.
    fn report_host_fault(&self, at: usize) -> Option<Registers> {
        self.report_poison();
        let stack = self.registers.general[4] as usize;
        if let Some((name, offset)) = image::was_unloaded(at) {
            verifier::fatal(
                83,
                format!("call into {name}+{offset:#x}, which is unloaded (0xCE)"),
            );
        }
        let Some(frame) = image::driver_frame(stack_words(stack)) else {
            give_up();
            return None;
        };
        let (target, caller) = (self.address, image::describe(frame));
        let what = if target == at {
            "call of no code"
        } else {
            "access violation in the host"
        };
        let text = format!("{what} at {at:#x} touching {target:#x}, from {caller}");
        verifier::fatal(83, format!("{text} (bug check 0x50)"))
    }
}

/// The words from `from` on, up to the end of this thread's stack, but not too many.
fn stack_words(from: usize) -> impl Iterator<Item = usize> {
    let from = from & !7;
    let count = stack_end().saturating_sub(from) / size_of::<usize>();
    // SAFETY: the words are between the stack pointer of running code and the end of its stack.
    let word = move |index| unsafe { (from as *const usize).add(index).read_volatile() };
    (0..count.min(SEARCHED_WORDS)).map(word)
}

/// The address behind this thread's stack; 0 when the system does not say.
fn stack_end() -> usize {
    // SAFETY: a zeroed attribute object is only written by the next call.
    let mut attributes: libc::pthread_attr_t = unsafe { mem::zeroed() };
    // SAFETY: both arguments are valid; on success the attributes are initialised.
    if unsafe { libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) } != 0 {
        return 0;
    }
    let (mut start, mut len) = (ptr::null_mut(), 0);
    // SAFETY: the attributes are initialised, the others are places for the answer.
    let result = unsafe { libc::pthread_attr_getstack(&attributes, &mut start, &mut len) };
    // SAFETY: the attributes are initialised and not used again.
    unsafe { libc::pthread_attr_destroy(&mut attributes) };
    if result == 0 { start.addr() + len } else { 0 }
}

/// Restores the default action; the instruction faults again and ends the process.
fn give_up() {
    // SAFETY: SIG_DFL is always valid.
    unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
}

/// All windows, as a bus.
struct Windows;

impl Bus for Windows {
    fn read(&mut self, address: usize, data: &mut [u8]) -> bool {
        access(address, Operation::Read(data))
    }

    fn write(&mut self, address: usize, data: &[u8]) -> bool {
        access(address, Operation::Write(data))
    }
}

fn registers_of(context: &libc::ucontext_t) -> Registers {
    let saved = &context.uc_mcontext.gregs;
    Registers {
        general: ORDER.map(|index| saved[index as usize] as u64),
        rip: saved[libc::REG_RIP as usize] as u64,
        flags: saved[libc::REG_EFL as usize] as u64,
    }
}

fn set_registers(context: &mut libc::ucontext_t, registers: &Registers) {
    let saved = &mut context.uc_mcontext.gregs;
    for (index, value) in ORDER.into_iter().zip(registers.general) {
        saved[index as usize] = value as i64;
    }
    saved[libc::REG_RIP as usize] = registers.rip as i64;
    saved[libc::REG_EFL as usize] = registers.flags as i64;
}
