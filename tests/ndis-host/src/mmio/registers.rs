//! The general registers of interrupted code.

use iced_x86::Register;

/// Flags that arithmetic sets: carry, parity, adjust, zero, sign, overflow.
pub(super) const CF: u64 = 1 << 0;
/// Even parity of the lowest byte.
pub(super) const PF: u64 = 1 << 2;
/// Zero.
pub(super) const ZF: u64 = 1 << 6;
/// Sign.
pub(super) const SF: u64 = 1 << 7;
/// Signed overflow.
pub(super) const OF: u64 = 1 << 11;

/// Registers, numbered as the processor does: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 ... r15.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Registers {
    /// General registers.
    pub(super) general: [u64; 16],
    /// Instruction pointer.
    pub(super) rip: u64,
    /// Flags.
    pub(super) flags: u64,
}

impl Registers {
    /// The value of a register, zero-extended; `None` for one that is not general.
    pub(super) fn read(&self, register: Register) -> Option<u64> {
        if register == Register::RIP {
            return Some(self.rip);
        }
        let value = self.general.get(number(register)?)?;
        let value = value >> shift(register);
        Some(value & mask(register.size()))
    }

    /// Sets a register as the processor does: 32-bit values clear the upper half, smaller ones
    /// leave the rest alone. `None` for a register that is not general.
    pub(super) fn write(&mut self, register: Register, value: u64) -> Option<()> {
        let full = self.general.get_mut(number(register)?)?;
        let shift = shift(register);
        let field = mask(register.size()) << shift;
        *full = match register.size() {
            4 => value & mask(4),
            _ => (*full & !field) | (value << shift & field),
        };
        Some(())
    }

    /// Sets the flags that a logical or arithmetic result determines, and carry and overflow.
    pub(super) fn set_result_flags(
        &mut self,
        result: u64,
        size: usize,
        carry: bool,
        overflow: bool,
    ) {
        let result = result & mask(size);
        let flag = |bit: u64, is_set: bool| if is_set { bit } else { 0 };
        let sign = result >> (size * 8 - 1) & 1 == 1;
        self.flags &= !(CF | PF | ZF | SF | OF);
        self.flags |= flag(CF, carry)
            | flag(PF, (result as u8).count_ones().is_multiple_of(2))
            | flag(ZF, result == 0)
            | flag(SF, sign)
            | flag(OF, overflow);
    }
}

/// All bits of a value of `size` bytes.
pub(super) fn mask(size: usize) -> u64 {
    if size >= 8 {
        u64::MAX
    } else {
        (1 << (size * 8)) - 1
    }
}

fn number(register: Register) -> Option<usize> {
    register.is_gpr().then(|| register.full_register().number())
}

/// AH, CH, DH and BH are the second byte of their register.
fn shift(register: Register) -> u32 {
    let is_high = matches!(
        register,
        Register::AH | Register::CH | Register::DH | Register::BH
    );
    if is_high { 8 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_writes_keep_the_rest_and_32_bit_writes_clear_it() {
        let mut registers = Registers::default();
        registers.general[0] = 0x1122_3344_5566_7788;

        registers.write(Register::AL, 0xAA).unwrap();
        registers.write(Register::AH, 0xBB).unwrap();
        assert_eq!(registers.general[0], 0x1122_3344_5566_BBAA);
        assert_eq!(registers.read(Register::AH), Some(0xBB));

        registers.write(Register::EAX, 0xFFFF_FFFF).unwrap();
        assert_eq!(registers.general[0], 0xFFFF_FFFF);
    }

    #[test]
    fn a_vector_register_is_not_general() {
        let mut registers = Registers::default();
        assert_eq!(registers.read(Register::XMM0), None);
        assert_eq!(registers.write(Register::XMM0, 0), None);
    }
}
