//! Request packets.

use std::collections::BTreeMap;

use ndis_sys::{IO_STACK_LOCATION, IO_TYPE_IRP, IRP, NTSTATUS, Zeroed};

use crate::ntoskrnl::{caller_of, enter};
use crate::sched::{BatonCell, DISPATCH_LEVEL};
use crate::verifier;

/// A packet that was allocated.
struct Packet {
    owner: &'static str,
    words: usize,
}

static PACKETS: BatonCell<BTreeMap<usize, Packet>> = BatonCell::new(BTreeMap::new());

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("IoAllocateIrp", allocate_irp as *const ()),
        ("IoFreeIrp", free_irp as *const ()),
        ("IoReuseIrp", reuse as *const ()),
        ("IoInitializeIrp", initialize as *const ()),
    ]
}

const fn bytes(locations: i8) -> usize {
    size_of::<IRP>() + locations as usize * size_of::<IO_STACK_LOCATION>()
}

/// The stack location with a number, counted from 1.
///
/// # Safety
///
/// `irp` has so many locations, or one less.
pub(super) unsafe fn location(irp: *mut IRP, number: i8) -> *mut IO_STACK_LOCATION {
    // SAFETY: the locations follow the packet.
    unsafe {
        irp.add(1)
            .cast::<IO_STACK_LOCATION>()
            .offset(isize::from(number) - 1)
    }
}

/// Makes a location the current one.
///
/// # Safety
///
/// As for [`location`].
pub(super) unsafe fn set_location(irp: *mut IRP, number: i8) {
    // SAFETY: by contract; the offset is that of the pointer to the location.
    unsafe {
        (*irp).CurrentLocation = number;
        irp.byte_add(IRP::CURRENT_STACK_LOCATION)
            .cast::<*mut IO_STACK_LOCATION>()
            .write(location(irp, number));
    }
}

/// Allocates a packet for `owner`.
pub(super) fn allocate(locations: i8, owner: &'static str) -> *mut IRP {
    let words = bytes(locations).div_ceil(16);
    let block: &mut [u128] = Box::leak(vec![0_u128; words].into_boxed_slice());
    let irp: *mut IRP = block.as_mut_ptr().cast();
    PACKETS.with(|packets| packets.insert(irp.expose_provenance(), Packet { owner, words }));
    // SAFETY: the block is long enough and aligned to 16.
    unsafe { prepare(irp, locations) };
    irp
}

unsafe fn prepare(irp: *mut IRP, locations: i8) {
    // SAFETY: the callers' packets have the room.
    unsafe {
        irp.cast::<u8>().write_bytes(0, bytes(locations));
        irp.write(IRP::zeroed());
        (*irp).Type = IO_TYPE_IRP;
        (*irp).Size = bytes(locations) as u16;
        (*irp).StackCount = locations;
        set_location(irp, locations + 1);
    }
}

/// Frees a packet; one that is not there is a breach of rule 215.
pub(super) fn free(irp: *mut IRP) {
    let packet = PACKETS.with(|packets| packets.remove(&irp.addr()));
    let Some(packet) = packet else {
        verifier::fatal(215, format!("{irp:p} is freed and is no IRP (0x44)"));
    };
    let block = std::ptr::slice_from_raw_parts_mut(irp.cast::<u128>(), packet.words);
    // SAFETY: leaked by `allocate`, with this length; the table had it once.
    drop(unsafe { Box::from_raw(block) });
}

/// Whether a packet is allocated.
pub(super) fn is_live(irp: *mut IRP) -> bool {
    PACKETS.with(|packets| packets.contains_key(&irp.addr()))
}

/// Packets that a driver has not freed, in words.
pub(super) fn leaks_of(owner: &str) -> Vec<String> {
    let count = PACKETS.with(|packets| {
        let own = packets.values().filter(|packet| packet.owner == owner);
        own.count()
    });
    match count {
        0 => Vec::new(),
        count => vec![format!("{count} IRPs")],
    }
}

/// `IoAllocateIrp`. At DISPATCH or below. Passes its return address on, which tells whose it is.
///
/// # Safety
///
/// Called by a driver's code.
#[unsafe(naked)]
unsafe extern "efiapi" fn allocate_irp(_locations: i8, _charge: u8) -> *mut IRP {
    std::arch::naked_asm!("mov rdx, [rsp]", "jmp {}", sym allocate_irp_for)
}

unsafe extern "efiapi" fn allocate_irp_for(locations: i8, caller: usize) -> *mut IRP {
    enter("IoAllocateIrp", DISPATCH_LEVEL);
    allocate(locations.max(1), caller_of(caller).0)
}

unsafe extern "efiapi" fn free_irp(irp: *mut IRP) {
    enter("IoFreeIrp", DISPATCH_LEVEL);
    free(irp);
}

/// `IoReuseIrp`: as new, with a status. At DISPATCH or below.
unsafe extern "efiapi" fn reuse(irp: *mut IRP, status: NTSTATUS) {
    enter("IoReuseIrp", DISPATCH_LEVEL);
    verifier::insist(215, is_live(irp), || format!("{irp:p} is no IRP (0x44)"));
    // SAFETY: a live packet.
    unsafe {
        prepare(irp, (*irp).StackCount);
        (*irp).IoStatus.Status = status;
    }
}

/// `IoInitializeIrp`: makes a packet of memory of the driver's own. At DISPATCH or below.
unsafe extern "efiapi" fn initialize(irp: *mut IRP, size: u16, locations: i8) {
    enter("IoInitializeIrp", DISPATCH_LEVEL);
    verifier::insist(215, usize::from(size) >= bytes(locations), || {
        format!("IoInitializeIrp: {size} bytes for {locations} stack locations")
    });
    // SAFETY: as long as the caller says.
    unsafe { prepare(irp, locations) };
}
