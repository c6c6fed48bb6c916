//! Instructions, one by one, on a bus with 16 bytes at address 0x1000.

use iced_x86::{Decoder, DecoderOptions};

use super::super::registers::{CF, OF, SF, ZF};
use super::*;

const BASE: usize = 0x1000;

struct Bytes([u8; 16]);

impl Bus for Bytes {
    fn read(&mut self, address: usize, data: &mut [u8]) -> bool {
        let source = address
            .checked_sub(BASE)
            .and_then(|at| self.0.get(at..at + data.len()));
        source.map(|source| data.copy_from_slice(source)).is_some()
    }

    fn write(&mut self, address: usize, data: &[u8]) -> bool {
        let place = address
            .checked_sub(BASE)
            .and_then(|at| self.0.get_mut(at..at + data.len()));
        place.map(|place| place.copy_from_slice(data)).is_some()
    }
}

/// Executes `code` with rdi = BASE, rax = `rax`; returns the registers and the bytes.
fn run(code: &[u8], rax: u64, bytes: [u8; 16]) -> (Registers, [u8; 16]) {
    let instruction = Decoder::with_ip(64, code, 0x4000, DecoderOptions::NONE).decode();
    assert_eq!(instruction.len(), code.len(), "{instruction}");
    let mut registers = Registers::default();
    registers.general[0] = rax;
    registers.general[7] = BASE as u64;
    let mut bus = Bytes(bytes);
    execute(&instruction, &mut registers, &mut bus).unwrap();
    assert_eq!(registers.rip, 0x4000 + code.len() as u64);
    (registers, bus.0)
}

fn counting() -> [u8; 16] {
    std::array::from_fn(|index| 0x80 + index as u8)
}

#[test]
fn loads_have_the_size_of_their_register() {
    let cases: [(&[u8], u64); 4] = [
        (&[0x8A, 0x47, 0x01], 0xFFFF_FFFF_FFFF_FF81), // mov al, [rdi+1]
        (&[0x66, 0x8B, 0x47, 0x02], 0xFFFF_FFFF_FFFF_8382), // mov ax, [rdi+2]
        (&[0x8B, 0x47, 0x04], 0x8786_8584),           // mov eax, [rdi+4]
        (&[0x48, 0x8B, 0x07], 0x8786_8584_8382_8180), // mov rax, [rdi]
    ];
    for (code, expected) in cases {
        assert_eq!(run(code, u64::MAX, counting()).0.general[0], expected);
    }
}

#[test]
fn loads_extend_as_they_say() {
    let cases: [(&[u8], u64); 4] = [
        (&[0x0F, 0xB6, 0x07], 0x80),   // movzx eax, byte [rdi]
        (&[0x0F, 0xB7, 0x07], 0x8180), // movzx eax, word [rdi]
        (&[0x48, 0x0F, 0xBE, 0x07], 0xFFFF_FFFF_FFFF_FF80), // movsx rax, byte [rdi]
        (&[0x48, 0x63, 0x07], 0xFFFF_FFFF_8382_8180), // movsxd rax, dword [rdi]
    ];
    for (code, expected) in cases {
        assert_eq!(run(code, u64::MAX, counting()).0.general[0], expected);
    }
}

#[test]
fn stores_write_just_their_bytes() {
    let rax = 0x1122_3344_5566_7788;
    let cases: [(&[u8], usize, &[u8]); 6] = [
        (&[0x88, 0x47, 0x03], 3, &[0x88]),             // mov [rdi+3], al
        (&[0x88, 0x67, 0x03], 3, &[0x77]),             // mov [rdi+3], ah
        (&[0x66, 0x89, 0x47, 0x08], 8, &[0x88, 0x77]), // mov [rdi+8], ax
        (&[0x89, 0x07], 0, &[0x88, 0x77, 0x66, 0x55]), // mov [rdi], eax
        (&[0xC6, 0x47, 0x0F, 0xAB], 15, &[0xAB]),      // mov byte [rdi+15], 0xAB
        (
            &[0x48, 0xC7, 0x07, 0xFE, 0xFF, 0xFF, 0xFF],
            0,
            &[0xFE, 255, 255, 255, 255, 255, 255, 255],
        ),
    ];
    for (code, at, expected) in cases {
        let mut bytes = [0; 16];
        bytes[at..at + expected.len()].copy_from_slice(expected);
        assert_eq!(run(code, rax, [0; 16]).1, bytes);
    }
}

#[test]
fn tests_and_comparisons_set_flags_only() {
    let (zero, bytes) = run(&[0xF6, 0x07, 0x01], 0, counting()); // test byte [rdi], 1
    assert_eq!((zero.flags & ZF, bytes), (ZF, counting()));

    let (sign, _) = run(&[0xF6, 0x07, 0x80], 0, counting()); // test byte [rdi], 0x80
    assert_eq!(sign.flags & (ZF | SF | CF), SF);

    let (below, _) = run(&[0x3B, 0x07], 1, counting()); // cmp eax, [rdi]
    assert_eq!(below.flags & (CF | ZF), CF);

    let (overflow, _) = run(&[0x80, 0x3F, 0x01], 0, counting()); // cmp byte [rdi], 1: 0x80 - 1
    assert_eq!(overflow.flags & (OF | SF | CF), OF);
}

#[test]
fn read_modify_write_does_all_three() {
    let (_, bytes) = run(&[0x80, 0x0F, 0x05], 0, counting()); // or byte [rdi], 5
    assert_eq!(bytes[0], 0x85);
    let (_, bytes) = run(&[0x80, 0x67, 0x01, 0x0F], 0, counting()); // and byte [rdi+1], 0x0F
    assert_eq!(bytes[1], 0x01);
    let (sum, bytes) = run(&[0x00, 0x07], 0x80, counting()); // add [rdi], al
    assert_eq!((bytes[0], sum.flags & (CF | ZF | OF)), (0, CF | ZF | OF));
}

#[test]
fn what_is_not_known_or_leads_nowhere_changes_nothing() {
    let refuse = |code: &[u8], rdi: u64| {
        let instruction = Decoder::with_ip(64, code, 0x4000, DecoderOptions::NONE).decode();
        let mut registers = Registers::default();
        registers.general[7] = rdi;
        let before = registers;
        let refusal = execute(&instruction, &mut registers, &mut Bytes([0; 16])).unwrap_err();
        assert_eq!(registers, before);
        refusal
    };
    let movups = [0x0F, 0x10, 0x07];
    assert_eq!(refuse(&movups, BASE as u64), Refusal::Unknown);
    let load = [0x8B, 0x07];
    assert_eq!(
        refuse(&load, 0x100E),
        Refusal::Outside {
            address: 0x100E,
            size: 4
        }
    );
}
