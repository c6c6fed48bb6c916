//! Executing one instruction whose memory operand is a register of a device.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::registers::{Registers, mask};

/// Where memory operands lead to.
pub(super) trait Bus {
    /// Reads; false when the address is nobody's.
    fn read(&mut self, address: usize, data: &mut [u8]) -> bool;
    /// Writes; false when the address is nobody's.
    fn write(&mut self, address: usize, data: &[u8]) -> bool;
}

/// Why an instruction was not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is none of those that compilers use for volatile accesses.
    Unknown,
    /// Its memory operand is (partly) outside of every window.
    Outside {
        /// Address of the operand.
        address: usize,
        /// Its size, bytes.
        size: usize,
    },
}

/// Executes `instruction`; the registers are changed only when that succeeds.
pub(super) fn execute(
    instruction: &Instruction,
    registers: &mut Registers,
    bus: &mut dyn Bus,
) -> Result<(), Refusal> {
    let mut step = Step {
        instruction,
        registers: *registers,
        bus,
    };
    step.run()?;
    *registers = Registers {
        rip: instruction.next_ip(),
        ..step.registers
    };
    Ok(())
}

struct Step<'a> {
    instruction: &'a Instruction,
    registers: Registers,
    bus: &'a mut dyn Bus,
}

impl Step<'_> {
    fn run(&mut self) -> Result<(), Refusal> {
        use Mnemonic::{Add, And, Cmp, Mov, Movnti, Movsx, Movsxd, Movzx, Or, Sub, Test, Xor};
        match self.instruction.mnemonic() {
            Mov | Movnti | Movzx => {
                let value = self.read(1)?;
                self.write(0, value)
            }
            Movsx | Movsxd => {
                let value = sign_extended(self.read(1)?, self.size(1)?);
                self.write(0, value)
            }
            Test => self.logical(|left, right| left & right, false),
            And => self.logical(|left, right| left & right, true),
            Or => self.logical(|left, right| left | right, true),
            Xor => self.logical(|left, right| left ^ right, true),
            Cmp => self.difference(false),
            Sub => self.difference(true),
            Add => self.sum(),
            _ => Err(Refusal::Unknown),
        }
    }

    fn logical(&mut self, combine: fn(u64, u64) -> u64, keep: bool) -> Result<(), Refusal> {
        let size = self.size(0)?;
        let result = combine(self.read(0)?, self.read(1)?);
        self.registers.set_result_flags(result, size, false, false);
        if keep { self.write(0, result) } else { Ok(()) }
    }

    fn difference(&mut self, keep: bool) -> Result<(), Refusal> {
        let size = self.size(0)?;
        let (left, right) = (self.read(0)?, self.read(1)?);
        let result = left.wrapping_sub(right) & mask(size);
        let overflow = sign((left ^ right) & (left ^ result), size);
        self.registers
            .set_result_flags(result, size, left < right, overflow);
        if keep { self.write(0, result) } else { Ok(()) }
    }

    fn sum(&mut self) -> Result<(), Refusal> {
        let size = self.size(0)?;
        let (left, right) = (self.read(0)?, self.read(1)?);
        let result = left.wrapping_add(right) & mask(size);
        let overflow = sign((left ^ result) & (right ^ result), size);
        self.registers
            .set_result_flags(result, size, result < left, overflow);
        self.write(0, result)
    }

    /// Size of an operand, bytes.
    fn size(&self, operand: u32) -> Result<usize, Refusal> {
        let size = match self.instruction.op_kind(operand) {
            OpKind::Register => self.instruction.op_register(operand).size(),
            OpKind::Memory => self.instruction.memory_size().size(),
            // An immediate has the size of what it is combined with.
            _ if operand != 0 => self.size(0)?,
            _ => return Err(Refusal::Unknown),
        };
        if matches!(size, 1 | 2 | 4 | 8) {
            Ok(size)
        } else {
            Err(Refusal::Unknown)
        }
    }

    /// Value of an operand, zero-extended.
    fn read(&mut self, operand: u32) -> Result<u64, Refusal> {
        let size = self.size(operand)?;
        match self.instruction.op_kind(operand) {
            OpKind::Register => {
                let register = self.instruction.op_register(operand);
                self.registers.read(register).ok_or(Refusal::Unknown)
            }
            OpKind::Memory => {
                let address = self.address(operand)?;
                let mut bytes = [0; 8];
                if !self.bus.read(address, &mut bytes[..size]) {
                    return Err(Refusal::Outside { address, size });
                }
                Ok(u64::from_le_bytes(bytes))
            }
            _ => {
                let immediate = self.instruction.try_immediate(operand);
                immediate
                    .map(|value| value & mask(size))
                    .map_err(|_| Refusal::Unknown)
            }
        }
    }

    fn write(&mut self, operand: u32, value: u64) -> Result<(), Refusal> {
        let size = self.size(operand)?;
        match self.instruction.op_kind(operand) {
            OpKind::Register => {
                let register = self.instruction.op_register(operand);
                self.registers
                    .write(register, value)
                    .ok_or(Refusal::Unknown)
            }
            OpKind::Memory => {
                let address = self.address(operand)?;
                if !self.bus.write(address, &value.to_le_bytes()[..size]) {
                    return Err(Refusal::Outside { address, size });
                }
                Ok(())
            }
            _ => Err(Refusal::Unknown),
        }
    }

    /// Address of a memory operand.
    fn address(&self, operand: u32) -> Result<usize, Refusal> {
        let value_of = |register: Register, _: usize, _: usize| match register {
            // Flat segments: their base is zero.
            Register::DS | Register::SS | Register::ES | Register::CS => Some(0),
            general => self.registers.read(general),
        };
        let address = self.instruction.virtual_address(operand, 0, value_of);
        address
            .map(|address| address as usize)
            .ok_or(Refusal::Unknown)
    }
}

fn sign(value: u64, size: usize) -> bool {
    value >> (size * 8 - 1) & 1 == 1
}

fn sign_extended(value: u64, size: usize) -> u64 {
    let shift = 64 - size * 8;
    ((value << shift) as i64 >> shift) as u64
}

#[cfg(test)]
mod tests;
