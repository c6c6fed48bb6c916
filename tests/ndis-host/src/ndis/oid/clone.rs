//! NdisAllocateCloneOidRequest and NdisFreeCloneOidRequest: how a request is passed on (rule 181).

use std::ptr;

use ndis_sys::{
    NDIS_HANDLE, NDIS_OID_REQUEST, NDIS_STATUS, NDIS_STATUS_INVALID_PARAMETER,
    NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
};

use super::request_ref::OidRequestRef;
use crate::ndis::bindings::Binding;
use crate::ndis::call::{Level, import};
use crate::ndis::modules::ModuleId;
use crate::ndis::nbl::pool::Piece;
use crate::ndis::{faults, handles};
use crate::sched::BatonCell;
use crate::verifier;

/// A clone, with the module that it is charged to.
struct Clone {
    piece: Piece,
    module: ModuleId,
}

static CLONES: BatonCell<Vec<Clone>> = BatonCell::new(Vec::new());

/// Microsoft Learn, NdisAllocateCloneOidRequest function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// The clone has everything of the original but what belongs to NDIS and to its own originator;
/// it shares the information buffer.
///
/// # Safety
///
/// The pointers are valid.
pub(crate) unsafe extern "efiapi" fn allocate(
    source: NDIS_HANDLE,
    original: *mut NDIS_OID_REQUEST,
    tag: u32,
    clone: *mut *mut NDIS_OID_REQUEST,
) -> NDIS_STATUS {
    const CALL: &str = "NdisAllocateCloneOidRequest";
    import(CALL, Level::UpToDispatch);
    verifier::require(213, tag != 0, || format!("{CALL}: the tag is zero"));
    // SAFETY: the caller's contract.
    unsafe { *clone = ptr::null_mut() };
    let Some(binding) = handles::lookup::<Binding>(handles::number(source)) else {
        return NDIS_STATUS_INVALID_PARAMETER;
    };
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let Some(piece) = Piece::allocate(size_of::<NDIS_OID_REQUEST>(), "a clone of an OID request")
    else {
        return NDIS_STATUS_RESOURCES;
    };
    let place: *mut NDIS_OID_REQUEST = piece.pointer().cast();
    // SAFETY: the original is live, the clone's memory is ours.
    unsafe {
        let mut value = *original;
        value.NdisReserved = [0; 128];
        value.SourceReserved = [0; 16];
        value.MiniportReserved = [0; 16];
        value.RequestHandle = ptr::null_mut();
        place.write(value);
        *clone = place;
    }
    let module = binding.protocol.module;
    CLONES.with(|clones| clones.push(Clone { piece, module }));
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisFreeCloneOidRequest function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(source: NDIS_HANDLE, clone: *mut NDIS_OID_REQUEST) {
    const CALL: &str = "NdisFreeCloneOidRequest";
    import(CALL, Level::UpToDispatch);
    let address = clone.addr();
    let binding: &'static Binding = handles::resolve(source, CALL);
    let pending = binding
        .adapter
        .oids
        .with(|queue| queue.is_submitted(OidRequestRef(clone).0.addr()));
    verifier::insist(181, !pending, || {
        format!("{CALL}: {clone:p} is still pending")
    });
    let found = CLONES.with(|clones| {
        let index = clones
            .iter()
            .position(|other| other.piece.pointer().addr() == address)?;
        Some(clones.swap_remove(index))
    });
    match found {
        Some(found) => found.piece.release(CALL),
        None => verifier::fatal(
            181,
            format!("{CALL}: {clone:p} is no clone (freed before?)"),
        ),
    }
}

/// Clones that a module has not freed, in words.
pub(crate) fn leaks_of(module: ModuleId) -> Vec<String> {
    CLONES.with(|clones| {
        let of_module = clones.iter().filter(|clone| clone.module == module);
        of_module
            .map(|clone| format!("OID request clone {:p}", clone.piece.pointer()))
            .collect()
    })
}
