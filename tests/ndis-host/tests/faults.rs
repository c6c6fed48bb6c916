//! Accesses of driver code that nobody was called for: device registers, CR8, clocks; and the
//! reports of those that lead nowhere.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::pe::Image;
use ndis_host::image::{self, Import};
use ndis_host::mmio::{self, Counters, Window};
use ndis_host::sched::{self, DISPATCH_LEVEL, PASSIVE_LEVEL};

const TEST: &str = "driver_code_reaches_registers_and_nothing_else";

#[test]
fn driver_code_reaches_registers_and_nothing_else() {
    match common::role() {
        Some(role) => {
            common::start_small();
            misbehave(&role);
        }
        None => {
            common::start_small();
            registers_are_read_and_written();
            accesses_interrupt_and_nest();
            the_level_is_read_and_set_through_cr8();
            the_shared_data_page_has_clocks();
            common::expect_breaches(TEST, &CASES);
        }
    }
}

const CASES: [(&str, u16, &str); 8] = [
    (
        "null",
        83,
        "test.sys+0x1002 (.text) touching a null pointer (bug check 0x50)",
    ),
    ("null at dispatch", 83, "(bug check 0xD1)"),
    (
        "code is written",
        83,
        "touching test.sys+0x1000 (.text) (bug check 0xBE",
    ),
    ("privileged", 83, "`cli` at test.sys+0x1000 (.text) faulted"),
    (
        "unloaded",
        83,
        "call into test.sys+0x1000, which is unloaded",
    ),
    (
        "unmapped registers",
        83,
        "touching registers that have been unmapped",
    ),
    ("host is given nonsense", 83, "access violation in the host"),
    ("clock is written", 83, "shared user data page at 0x14"),
];

/// A word of memory that counts interrupts of its readers.
#[derive(Clone, Default)]
struct Word(Rc<RefCell<[u8; 16]>>);

impl Window for Word {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let bytes = self.0.borrow();
        data.copy_from_slice(&bytes[offset as usize..][..data.len()]);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let mut bytes = self.0.borrow_mut();
        bytes[offset as usize..][..data.len()].copy_from_slice(data);
    }
}

fn registers_are_read_and_written() {
    let word = Word::default();
    let base = mmio::map(16, Box::new(word.clone()));

    // SAFETY: the window is mapped and 16 bytes long.
    unsafe { base.cast::<u32>().add(1).write_volatile(0xAABB_CCDD) };
    // SAFETY: as above.
    unsafe { base.add(9).write_volatile(0x77) };
    assert_eq!(word.0.borrow()[4..10], [0xDD, 0xCC, 0xBB, 0xAA, 0, 0x77]);
    // SAFETY: as above.
    assert_eq!(unsafe { base.add(5).read_volatile() }, 0xCC);
    // SAFETY: as above.
    assert_eq!(unsafe { base.cast::<u64>().add(1).read_volatile() }, 0x7700);

    assert_eq!(
        mmio::counters(base),
        Some(Counters {
            reads: 2,
            writes: 2
        })
    );
    mmio::unmap(base);
    assert_eq!(mmio::counters(base), None);
}

fn accesses_interrupt_and_nest() {
    let word = Word::default();
    let base = mmio::map(16, Box::new(word.clone()));
    sched::interrupt(sched::current_cpu(), sched::DIRQL, move || {
        // SAFETY: the window is mapped and 16 bytes long.
        unsafe { base.write_volatile(42) };
    });
    // The read is a scheduling point, at which the interrupt runs first.
    // SAFETY: as above.
    assert_eq!(unsafe { base.read_volatile() }, 42);
    mmio::unmap(base);
}

/// Loads an image whose entry point is `code` and calls it; returns rax. The image stays loaded.
fn run(code: &[u8]) -> u64 {
    let imports = [Import {
        dll: "ntoskrnl.exe",
        name: "Report",
        address: std::ptr::null(),
    }];
    let image = image::load("test.sys", &Image::with_code(code).0, &imports).unwrap();
    let entry = entry_of(&image);
    std::mem::forget(image);
    // SAFETY: the code follows the calling convention.
    unsafe { entry() }
}

fn entry_of(image: &image::Image) -> unsafe extern "efiapi" fn() -> u64 {
    // SAFETY: the entry points in this file have this type.
    unsafe { std::mem::transmute(image.entry()) }
}

fn the_level_is_read_and_set_through_cr8() {
    const READ_CR8: [u8; 5] = [0x44, 0x0F, 0x20, 0xC0, 0xC3]; // mov rax, cr8; ret
    const RAISE: [u8; 10] = [0xB8, 2, 0, 0, 0, 0x44, 0x0F, 0x22, 0xC0, 0xC3]; // mov cr8, rax
    const LOWER: [u8; 10] = [0xB8, 0, 0, 0, 0, 0x44, 0x0F, 0x22, 0xC0, 0xC3];

    assert_eq!(run(&READ_CR8), u64::from(PASSIVE_LEVEL));
    run(&RAISE);
    assert_eq!(sched::irql(), DISPATCH_LEVEL);
    assert_eq!(run(&READ_CR8), u64::from(DISPATCH_LEVEL));
    run(&LOWER);
    assert_eq!(sched::irql(), PASSIVE_LEVEL);
}

/// `mov rax, 0xFFFFF78000000014` and then `code`.
fn at_system_time(code: &[u8]) -> Vec<u8> {
    let mut all = vec![0x48, 0xB8];
    all.extend(0xFFFF_F780_0000_0014_u64.to_le_bytes());
    all.extend(code);
    all
}

fn the_shared_data_page_has_clocks() {
    let read = at_system_time(&[0x48, 0x8B, 0x00, 0xC3]); // mov rax, [rax]; ret
    let before = run(&read);
    sched::sleep(1_000_000_000);
    let passed = run(&read) - before;
    assert!(
        (10_000_000..10_001_000).contains(&passed),
        "{passed} units of 100 ns"
    );
}

fn misbehave(role: &str) {
    const NULL: [u8; 5] = [0x31, 0xC0, 0x8B, 0x00, 0xC3]; // xor eax, eax; mov eax, [rax]; ret
    match role {
        "null" => {
            run(&NULL);
        }
        "null at dispatch" => {
            sched::raise(DISPATCH_LEVEL);
            run(&NULL);
        }
        // mov byte [rip - 7], 0; ret
        "code is written" => {
            run(&[0xC6, 0x05, 0xF9, 0xFF, 0xFF, 0xFF, 0x00, 0xC3]);
        }
        "privileged" => {
            run(&[0xFA, 0xC3]);
        }
        "unloaded" => {
            let imports = [Import {
                dll: "ntoskrnl.exe",
                name: "Report",
                address: std::ptr::null(),
            }];
            let image = image::load("test.sys", &Image::with_code(&[0xC3]).0, &imports).unwrap();
            let entry = entry_of(&image);
            let address = image.base() + 0x10;
            image.unload();
            assert_eq!(image::describe(address), "test.sys+0x10 (unloaded)");
            // SAFETY: none; the fault is the point of the test.
            unsafe { entry() };
        }
        "unmapped registers" => read_unmapped_registers(),
        "host is given nonsense" => give_the_host_nonsense(),
        "clock is written" => {
            run(&at_system_time(&[0x88, 0x00, 0xC3])); // mov [rax], al; ret
        }
        other => panic!("unknown role {other}"),
    }
}

fn read_unmapped_registers() {
    let base = mmio::map(4096, Box::new(Word::default()));
    mmio::unmap(base);
    let mut code = vec![0x48, 0xB8]; // mov rax, base
    code.extend(base.addr().to_le_bytes());
    code.extend([0x8B, 0x00, 0xC3]); // mov eax, [rax]; ret
    run(&code);
}

/// Calls `KeSetEvent` from driver code with an address that is not mapped.
fn give_the_host_nonsense() {
    let set_event = common::export("KeSetEvent");
    let mut code = vec![0x48, 0x83, 0xEC, 0x28, 0x48, 0xB8]; // sub rsp, 0x28; mov rax, KeSetEvent
    code.extend(set_event.addr().to_le_bytes());
    code.extend([0xB9, 0x10, 0, 0, 0, 0xFF, 0xD0]); // mov ecx, 16; call rax
    code.extend([0x48, 0x83, 0xC4, 0x28, 0xC3]);
    run(&code);
}
