//! What driver code finds behind the GS register: the block of its processor.
//!
//! Header inlines read it without a call: the current thread (`KeGetCurrentThread`,
//! `gs:[0x188]`), and the number of the processor (`gs:[0x184]`, a byte, within its group;
//! `gs:[0x1A4]`, 32 bits, among all). Linux programs use the FS register and leave GS alone.
//!
//! On Windows the block belongs to the processor. Here each thread has one of its own, which
//! follows the CPU that the thread is on: what the thread reads is the same.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use super::groups;

/// `arch_prctl` code that sets the base of the GS register.
const ARCH_SET_GS: libc::c_int = 0x1001;
/// Bytes of a thread object; drivers know its address only.
const THREAD_OBJECT_BYTES: usize = 64;

/// A processor's block, as far as drivers may read it.
#[repr(C, align(64))]
pub(super) struct ProcessorBlock {
    _before_own_address: [u8; 0x18],
    /// The address of this block.
    own_address: usize,
    _before_number: [u8; 0x184 - 0x20],
    /// Number of the processor in its group.
    number: AtomicU8,
    _before_thread: [u8; 3],
    /// The thread object.
    thread: usize,
    _before_index: [u8; 0x1A4 - 0x190],
    /// Number of the processor among all.
    index: AtomicU32,
    _rest: [u8; 0x200 - 0x1A8],
    object: [u8; THREAD_OBJECT_BYTES],
}

const _: () = {
    assert!(std::mem::offset_of!(ProcessorBlock, own_address) == 0x18);
    assert!(std::mem::offset_of!(ProcessorBlock, number) == 0x184);
    assert!(std::mem::offset_of!(ProcessorBlock, thread) == 0x188);
    assert!(std::mem::offset_of!(ProcessorBlock, index) == 0x1A4);
};

thread_local! {
    static BLOCK: Cell<Option<&'static ProcessorBlock>> = const { Cell::new(None) };
}

/// Gives the calling thread a block, and puts it behind its GS register.
///
/// The block stays for ever, so that a driver that keeps the address of a thread object does not
/// see another thread there.
pub(super) fn install() -> &'static ProcessorBlock {
    let block = Box::leak(Box::new(ProcessorBlock {
        _before_own_address: [0; 0x18],
        own_address: 0,
        _before_number: [0; 0x184 - 0x20],
        number: AtomicU8::new(0),
        _before_thread: [0; 3],
        thread: 0,
        _before_index: [0; 0x1A4 - 0x190],
        index: AtomicU32::new(0),
        _rest: [0; 0x200 - 0x1A8],
        object: [0; THREAD_OBJECT_BYTES],
    }));
    block.own_address = (&raw const *block).expose_provenance();
    block.thread = block.object.as_mut_ptr().expose_provenance();
    // SAFETY: nothing else of this program uses GS; the block lives for ever.
    let result = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, block.own_address) };
    assert_eq!(result, 0, "the GS register cannot be set");
    let block: &'static ProcessorBlock = block;
    BLOCK.set(Some(block));
    block
}

/// Address of the calling thread's object: what `gs:[0x188]` holds; 0 outside of the machine.
pub fn thread_object() -> usize {
    BLOCK.get().map_or(0, |block| block.thread)
}

impl ProcessorBlock {
    /// Notes on which CPU the thread is.
    pub(super) fn set_cpu(&self, cpu: usize) {
        self.number
            .store(groups::number_in_group(cpu), Ordering::Relaxed);
        self.index.store(cpu as u32, Ordering::Relaxed);
    }
}
