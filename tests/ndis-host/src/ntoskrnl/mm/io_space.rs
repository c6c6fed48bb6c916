//! Device memory that a driver maps itself.

use std::ffi::c_void;
use std::sync::Arc;

use ndis_sys::{MEMORY_CACHING_TYPE, PHYSICAL_ADDRESS};

use crate::ndis::adapter;
use crate::ndis::faults;
use crate::ndis::node::DeviceNode;
use crate::ntoskrnl::pool::caller_of;
use crate::ntoskrnl::{Table, enter};
use crate::sched::{BatonCell, DISPATCH_LEVEL};
use crate::verifier;

/// Bits of a protection that make memory executable.
const EXECUTE: u32 = 0xF0;

struct Mapping {
    address: usize,
    len: usize,
    owner: &'static str,
    node: Arc<dyn DeviceNode>,
}

static MAPPINGS: BatonCell<Vec<Mapping>> = BatonCell::new(Vec::new());

pub(super) fn exports() -> Table {
    exports! {
        "MmMapIoSpace" => mm_map_io_space,
        "MmMapIoSpaceEx" => mm_map_io_space_ex,
        "MmUnmapIoSpace" => mm_unmap_io_space,
    }
}

/// The mappings that a driver has left, in words.
pub(super) fn leaks_of(owner: &str) -> Vec<String> {
    MAPPINGS.with(|mappings| {
        let of_owner = mappings.iter().filter(|mapping| mapping.owner == owner);
        of_owner
            .map(|mapping| format!("{} bytes of mapped device memory", mapping.len))
            .collect()
    })
}

/// `MmMapIoSpace`: maps memory of a device that was started; null for anything else. At DISPATCH or
/// below.
///
/// # Safety
///
/// To be called by a driver's code, with the Windows calling convention.
#[unsafe(naked)]
unsafe extern "efiapi" fn mm_map_io_space(
    _start: PHYSICAL_ADDRESS,
    _bytes: usize,
    _cache_type: MEMORY_CACHING_TYPE,
) -> *mut c_void {
    std::arch::naked_asm!("mov r9, [rsp]", "jmp {}", sym map_executable)
}

extern "efiapi" fn map_executable(
    start: PHYSICAL_ADDRESS,
    bytes: usize,
    _cache_type: MEMORY_CACHING_TYPE,
    caller: usize,
) -> *mut c_void {
    const CALL: &str = "MmMapIoSpace";
    verifier::advice(
        217,
        format!("{CALL} makes an executable mapping: use MmMapIoSpaceEx"),
    );
    map(CALL, start, bytes, caller)
}

/// `MmMapIoSpaceEx`: the same, with a protection in place of a cache type. At DISPATCH or below.
///
/// # Safety
///
/// As above.
#[unsafe(naked)]
unsafe extern "efiapi" fn mm_map_io_space_ex(
    _start: PHYSICAL_ADDRESS,
    _bytes: usize,
    _protect: u32,
) -> *mut c_void {
    std::arch::naked_asm!("mov r9, [rsp]", "jmp {}", sym map_protected)
}

extern "efiapi" fn map_protected(
    start: PHYSICAL_ADDRESS,
    bytes: usize,
    protect: u32,
    caller: usize,
) -> *mut c_void {
    const CALL: &str = "MmMapIoSpaceEx";
    verifier::require(217, protect & EXECUTE == 0, || {
        format!("{CALL}: an executable mapping (protection {protect:#x})")
    });
    map(CALL, start, bytes, caller)
}

fn map(call: &str, start: PHYSICAL_ADDRESS, bytes: usize, caller: usize) -> *mut c_void {
    enter(call, DISPATCH_LEVEL);
    if faults::allocation_fails(call) {
        return std::ptr::null_mut();
    }
    let mapped = adapter::all().into_iter().find_map(|adapter| {
        let address = adapter.node.map(start as u64, bytes)?;
        Some((address, Arc::clone(&adapter.node)))
    });
    let Some((address, node)) = mapped else {
        return std::ptr::null_mut();
    };
    let mapping = Mapping {
        address: address.addr(),
        len: bytes,
        owner: caller_of(caller).0,
        node,
    };
    MAPPINGS.with(|mappings| mappings.push(mapping));
    address.cast()
}

/// `MmUnmapIoSpace`: ends such a mapping. At DISPATCH or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn mm_unmap_io_space(base: *mut c_void, bytes: usize) {
    const CALL: &str = "MmUnmapIoSpace";
    enter(CALL, DISPATCH_LEVEL);
    let found = MAPPINGS.with(|mappings| {
        let is_it = |mapping: &Mapping| mapping.address == base.addr() && mapping.len == bytes;
        let index = mappings.iter().position(is_it)?;
        Some(mappings.remove(index))
    });
    let Some(mapping) = found else {
        verifier::fatal(214, format!("{CALL}: {base:p}+{bytes:#x} is not mapped"));
    };
    mapping.node.unmap(base.cast());
}
