//! Scatter/gather lists for any buffer: NdisBuildScatterGatherList, NdisFreeScatterGatherList.

use std::collections::BTreeMap;

use ndis_sys::{
    BOOLEAN, NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT, NDIS_SCATTER_GATHER_LIST_PARAMETERS,
    NDIS_SCATTER_GATHER_LIST_PARAMETERS_REVISION_1, NDIS_SG_LIST_WRITE_TO_DEVICE,
    NDIS_SIZEOF_SCATTER_GATHER_LIST_PARAMETERS_REVISION_1, NDIS_STATUS,
    NDIS_STATUS_BUFFER_TOO_SHORT, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NET_BUFFER,
    SCATTER_GATHER_LIST, Zeroed,
};

use super::bounce::Mapping;
use super::{CHANNELS, Channel, elements_of, list_size, memory_of, write_list};
use crate::ndis::adapter::Adapter;
use crate::ndis::bindings::Binding;
use crate::ndis::call::{Callback, Level, callback, import};
use crate::ndis::nbl::raw;
use crate::ndis::{faults, handles, header};
use crate::sched::{self, BatonCell};
use crate::verifier;

/// A list that is out.
struct List {
    /// The adapter that it was built for.
    adapter: u64,
    mappings: Vec<Mapping>,
}

/// Lists that are out, by address.
static LISTS: BatonCell<BTreeMap<usize, List>> = BatonCell::new(BTreeMap::new());

/// Microsoft Learn, NdisBuildScatterGatherList function (ndis.h): the handler is called inside of
/// the call, with the caller's buffer. IRQL = DISPATCH_LEVEL.
///
/// # Safety
///
/// `parameters` points to valid parameters, whose MDL chain holds the buffer described.
pub(crate) unsafe extern "efiapi" fn build(
    ndis_handle: NDIS_HANDLE,
    parameters: *mut NDIS_SCATTER_GATHER_LIST_PARAMETERS,
) -> NDIS_STATUS {
    const CALL: &str = "NdisBuildScatterGatherList";
    import(CALL, Level::Dispatch);
    let channel = channel_of(CALL, ndis_handle);
    // SAFETY: the caller's contract, for all blocks of this function.
    let given = unsafe { &mut *parameters };
    header::check(
        CALL,
        given.Header,
        NDIS_OBJECT_TYPE_DEFAULT,
        &[(
            NDIS_SCATTER_GATHER_LIST_PARAMETERS_REVISION_1,
            NDIS_SIZEOF_SCATTER_GATHER_LIST_PARAMETERS_REVISION_1,
        )],
    );
    let Some(process) = given.ProcessSGListHandler else {
        verifier::fatal(144, format!("{CALL}: no ProcessSGListHandler"));
    };
    // SAFETY: as above.
    let mut window = unsafe { window_of(CALL, given) };
    // SAFETY: as above; the window describes the buffer.
    let memory = unsafe { memory_of(&raw mut window) };
    if faults::allocation_fails(CALL) || memory.is_empty() {
        return NDIS_STATUS_RESOURCES;
    }
    let is_written = given.Flags & NDIS_SG_LIST_WRITE_TO_DEVICE == 0;
    let mappings = channel.map(&memory, is_written);
    let elements = elements_of(&mappings);
    let needed = list_size(elements.len()) as u32;
    let place = given.ScatterGatherListBuffer;
    if place.is_null() || given.ScatterGatherListBufferSize < needed {
        given.ScatterGatherListBufferSizeNeeded = needed;
        channel.unmap(mappings, false, CALL);
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    }
    // SAFETY: as above; there is room for the list.
    unsafe { write_list(place, &elements) };
    let adapter = channel.adapter;
    let list = List {
        adapter: adapter.handle,
        mappings,
    };
    LISTS.with(|lists| lists.insert(place.addr(), list));
    let device = std::ptr::with_exposed_provenance_mut(adapter.node.objects().functional);
    let context = given.Context;
    callback(Callback::ProcessSgList, channel.handle, || {
        // SAFETY: the driver's handler; the list is live until it frees it.
        sched::in_driver(|| unsafe { process(device, std::ptr::null_mut(), place, context) });
    });
    NDIS_STATUS_SUCCESS
}

/// The buffer as a NET_BUFFER: `Length` bytes from `CurrentVa` on.
///
/// # Safety
///
/// `given.Mdl` begins a valid MDL chain.
unsafe fn window_of(call: &str, given: &NDIS_SCATTER_GATHER_LIST_PARAMETERS) -> NET_BUFFER {
    // SAFETY: the caller's contract.
    let (start, length) = unsafe { raw::mdl_bytes(given.Mdl) };
    let offset = given.CurrentVa.addr().wrapping_sub(start.addr());
    verifier::insist(146, offset < length.max(1), || {
        format!(
            "{call}: CurrentVa {:p} is not in MDL {:p}",
            given.CurrentVa, given.Mdl
        )
    });
    let mut window = NET_BUFFER::zeroed();
    window.MdlChain = given.Mdl;
    window.CurrentMdl = given.Mdl;
    window.CurrentMdlOffset = offset as u32;
    window.DataOffset = offset as u32;
    window.DataLength = given.Length;
    window
}

/// The DMA channel of an adapter, or of the adapter below a binding.
fn channel_of(call: &str, ndis_handle: NDIS_HANDLE) -> &'static Channel {
    let handle = handles::number(ndis_handle);
    let adapter = handles::lookup::<Adapter>(handle)
        .map(|adapter| adapter.handle)
        .or_else(|| handles::lookup::<Binding>(handle).map(|binding| binding.adapter.handle));
    let channels = CHANNELS.with(|channels| channels.clone());
    let found = channels
        .into_iter()
        .find(|channel| Some(channel.adapter.handle) == adapter);
    found.unwrap_or_else(|| {
        verifier::fatal(
            144,
            format!("{call}: {ndis_handle:p} leads to no NdisMRegisterScatterGatherDma"),
        )
    })
}

/// Microsoft Learn, NdisFreeScatterGatherList function (ndis.h). IRQL = DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(
    ndis_handle: NDIS_HANDLE,
    list: *mut SCATTER_GATHER_LIST,
    write_to_device: BOOLEAN,
) {
    const CALL: &str = "NdisFreeScatterGatherList";
    import(CALL, Level::Dispatch);
    let channel = channel_of(CALL, ndis_handle);
    let found = LISTS.with(|lists| lists.remove(&list.addr()));
    let Some(found) = found.filter(|found| found.adapter == channel.adapter.handle) else {
        verifier::fatal(
            148,
            format!("{CALL}: {list:p} is no list of the adapter that is out"),
        );
    };
    channel.unmap(found.mappings, write_to_device == 0, CALL);
}

/// How many lists of an adapter are out.
pub(super) fn lists_of(adapter: u64) -> usize {
    LISTS.with(|lists| {
        lists
            .values()
            .filter(|list| list.adapter == adapter)
            .count()
    })
}
