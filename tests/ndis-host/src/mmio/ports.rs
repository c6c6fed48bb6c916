//! I/O ports: the `in` and `out` instructions of drivers.
//!
//! User mode may not execute them: they fault, and the handler of SIGSEGV performs the access on
//! the device that the port belongs to. As on Windows, a port is a driver's to use only after
//! NdisMRegisterIoPortRange.

use std::cell::RefCell;
use std::rc::Rc;

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::Window;
use super::registers::Registers;
use crate::sched::BatonCell;

/// Ports that a driver has claimed.
struct Claim {
    first: u64,
    count: u64,
    window: Shared,
}

/// A window that an access may still use when its claim has ended.
type Shared = Rc<RefCell<Box<dyn Window>>>;

static CLAIMS: BatonCell<Vec<Claim>> = BatonCell::new(Vec::new());

/// Lets instructions reach `count` ports from `first` on.
pub fn claim(first: u64, count: u64, window: Box<dyn Window>) {
    let window = Rc::new(RefCell::new(window));
    CLAIMS.with(|claims| {
        claims.push(Claim {
            first,
            count,
            window,
        });
    });
}

/// Ends the claim that begins at `first`.
///
/// # Panics
///
/// When there is none.
pub fn release(first: u64) {
    let claim = CLAIMS.with(|claims| {
        let index = claims.iter().position(|claim| claim.first == first);
        index.map(|index| claims.remove(index))
    });
    assert!(claim.is_some(), "no ports are claimed at {first:#x}");
}

/// An instruction that reads or writes a port.
struct Access {
    port: u64,
    size: usize,
    is_read: bool,
    /// Memory operand: `ins` and `outs`, which go on in memory.
    is_string: bool,
    /// How often a string instruction repeats.
    repeat: u64,
}

/// Executes a port instruction: `None` when it is none, the port when nobody has claimed it.
pub(super) fn execute(
    instruction: &Instruction,
    registers: &Registers,
) -> Option<Result<Registers, u64>> {
    let access = Access::decode(instruction, registers)?;
    let mut after = *registers;
    for _ in 0..access.repeat {
        if !access.step(&mut after) {
            return Some(Err(access.port));
        }
    }
    if access.is_string && instruction.has_rep_prefix() {
        after.write(Register::RCX, 0)?;
    }
    after.rip = instruction.next_ip();
    Some(Ok(after))
}

impl Access {
    fn decode(instruction: &Instruction, registers: &Registers) -> Option<Self> {
        let (is_read, size) = match instruction.mnemonic() {
            Mnemonic::In => (true, instruction.op0_register().size()),
            Mnemonic::Out => (false, instruction.op1_register().size()),
            Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd => {
                (true, instruction.memory_size().size())
            }
            Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd => {
                (false, instruction.memory_size().size())
            }
            _ => return None,
        };
        let is_string = !matches!(instruction.mnemonic(), Mnemonic::In | Mnemonic::Out);
        let kinds = [instruction.op0_kind(), instruction.op1_kind()];
        let port = if kinds.contains(&OpKind::Immediate8) {
            u64::from(instruction.immediate8())
        } else {
            registers.read(Register::DX)?
        };
        let repeat = if is_string && instruction.has_rep_prefix() {
            registers.read(Register::RCX)?
        } else {
            1
        };
        Some(Self {
            port,
            size,
            is_read,
            is_string,
            repeat,
        })
    }

    /// Moves one item; false when the port is nobody's.
    fn step(&self, registers: &mut Registers) -> bool {
        let Some((window, offset)) = find(self.port, self.size as u64) else {
            return false;
        };
        let mut data = [0; 8];
        let data = &mut data[..self.size];
        if self.is_read {
            window.borrow_mut().read(offset, data);
            self.store(registers, data).is_some()
        } else {
            let loaded = self.load(registers, data).is_some();
            window.borrow_mut().write(offset, data);
            loaded
        }
    }

    fn store(&self, registers: &mut Registers, data: &[u8]) -> Option<()> {
        if !self.is_string {
            let mut value = [0; 8];
            value[..data.len()].copy_from_slice(data);
            return registers.write(self.accumulator()?, u64::from_le_bytes(value));
        }
        let at = registers.read(Register::RDI)?;
        // SAFETY: the driver has the processor write there; a bad address faults as it would
        // without the host in between.
        unsafe { (at as *mut u8).copy_from(data.as_ptr(), data.len()) };
        registers.write(Register::RDI, at + data.len() as u64)
    }

    fn load(&self, registers: &mut Registers, data: &mut [u8]) -> Option<()> {
        if !self.is_string {
            let value = registers.read(self.accumulator()?)?;
            data.copy_from_slice(&value.to_le_bytes()[..data.len()]);
            return Some(());
        }
        let at = registers.read(Register::RSI)?;
        // SAFETY: as in `store`, for reading.
        unsafe { data.as_mut_ptr().copy_from(at as *const u8, data.len()) };
        registers.write(Register::RSI, at + data.len() as u64)
    }

    fn accumulator(&self) -> Option<Register> {
        match self.size {
            1 => Some(Register::AL),
            2 => Some(Register::AX),
            4 => Some(Register::EAX),
            _ => None,
        }
    }
}

/// The window behind a port, and the offset in it.
fn find(port: u64, size: u64) -> Option<(Shared, u64)> {
    CLAIMS.with(|claims| {
        let holds = |claim: &&Claim| {
            port.checked_sub(claim.first)
                .is_some_and(|offset| offset + size <= claim.count)
        };
        let claim = claims.iter().find(holds)?;
        Some((Rc::clone(&claim.window), port - claim.first))
    })
}
