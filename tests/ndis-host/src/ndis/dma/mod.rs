//! Scatter/gather DMA: the lists of a NET_BUFFER's memory that a device reads and writes.
//!
//! A list is handed to MiniportProcessSGList inside of the call or later, in the caller's buffer
//! or in one of NDIS's, all by seed; memory is cut at page borders, and sometimes not. Its
//! addresses are the device's ([`bounce`]), and are its own from allocation to free, to the byte.

mod bounce;

pub(crate) mod build;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;

use ndis_sys::{
    MINIPORT_ALLOCATE_SHARED_MEM_COMPLETE, MINIPORT_PROCESS_SG_LIST, NDIS_HANDLE,
    NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER, NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION,
    NDIS_SG_DMA_DESCRIPTION, NDIS_SG_LIST_WRITE_TO_DEVICE,
    NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1, NDIS_STATUS, NDIS_STATUS_BAD_VERSION,
    NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NET_BUFFER,
    SCATTER_GATHER_ELEMENT, SCATTER_GATHER_LIST, Zeroed,
};

use crate::memory::{self, PAGE_SIZE};
use crate::ndis::adapter::{self, Adapter, attributes};
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::nbl::pool::Piece;
use crate::ndis::nbl::raw;
use crate::ndis::node::DmaAccess;
use crate::ndis::{dpc, faults, header, resources, shared};
use crate::sched::{self, BatonCell};
use crate::verifier;
use bounce::Mapping;

/// Alignment of DMA: the size of a cache line, which a device may write as a whole.
const ALIGNMENT: u32 = 64;

/// A DMA channel.
pub(crate) struct Channel {
    handle: u64,
    pub(crate) adapter: &'static Adapter,
    description: Description,
    lists: BatonCell<BTreeMap<usize, List>>,
}

/// What the driver said of its device.
struct Description {
    process: MINIPORT_PROCESS_SG_LIST,
    shared: Option<MINIPORT_ALLOCATE_SHARED_MEM_COMPLETE>,
    most: usize,
}

/// A list that the driver has or will have.
struct List {
    net_buffer: usize,
    /// NDIS's own memory for it, if the caller's was not used.
    piece: Option<Piece>,
    /// What was written there, to see whether it was changed.
    elements: Vec<(i64, u32)>,
    mappings: Vec<Mapping>,
    /// The device writes into the memory.
    is_written: bool,
    given: bool,
}

impl Object for Channel {
    const KIND: Kind = Kind::Dma;
}

static CHANNELS: BatonCell<Vec<&'static Channel>> = BatonCell::new(Vec::new());
static DEFERRED: BatonCell<u64> = BatonCell::new(0);
/// NET_BUFFERs that have a list.
static MAPPED: BatonCell<BTreeSet<usize>> = BatonCell::new(BTreeSet::new());

/// Whether an adapter has a DMA channel (rule 42).
pub(crate) fn is_registered(adapter: u64) -> bool {
    CHANNELS.with(|channels| {
        channels
            .iter()
            .any(|channel| channel.adapter.handle == adapter)
    })
}

/// Microsoft Learn, NdisMRegisterScatterGatherDma function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
pub(crate) unsafe extern "efiapi" fn register(
    adapter_handle: NDIS_HANDLE,
    description: *mut NDIS_SG_DMA_DESCRIPTION,
    dma_handle: *mut NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMRegisterScatterGatherDma";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    attributes::require_registration(adapter, CALL);
    let inside = call::is_inside(Callback::Initialize, adapter.handle);
    verifier::require(144, inside, || {
        format!(
            "{CALL} belongs into MiniportInitializeEx, not {}",
            call::stack()
        )
    });
    resources::require_before_interrupt(CALL, adapter);
    // SAFETY: the caller's contract.
    let given = unsafe { *description };
    if given.Header.Revision != 1 {
        return NDIS_STATUS_BAD_VERSION;
    }
    let least = NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1;
    header::check(
        CALL,
        given.Header,
        NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION,
        &[(1, least)],
    );
    let flags = adapter
        .state
        .with(|s| s.declared.registration.map_or(0, |r| r.AttributeFlags));
    if flags & NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER == 0 {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    let Some(process) = given.ProcessSGListHandler else {
        verifier::fatal(144, format!("{CALL}: no ProcessSGListHandler"));
    };
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let most = given.MaximumPhysicalMapping as usize;
    let channel = handles::create(|handle| Channel {
        handle,
        adapter,
        description: Description {
            process,
            shared: given.SharedMemAllocateCompleteHandler,
            most,
        },
        lists: BatonCell::new(BTreeMap::new()),
    });
    CHANNELS.with(|channels| channels.push(channel));
    // SAFETY: the caller's contract.
    unsafe {
        (*description).ScatterGatherListSize = list_size(most.div_ceil(PAGE_SIZE) + 1) as u32;
        *dma_handle = handles::raw(channel.handle);
    }
    NDIS_STATUS_SUCCESS
}

fn list_size(elements: usize) -> usize {
    size_of::<SCATTER_GATHER_LIST>() + elements * size_of::<SCATTER_GATHER_ELEMENT>()
}

/// Microsoft Learn, NdisMDeregisterScatterGatherDma function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn deregister(dma_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisMDeregisterScatterGatherDma";
    import(CALL, Level::Passive);
    let channel: &'static Channel = handles::resolve(dma_handle, CALL);
    let built = build::lists_of(channel.adapter.handle);
    let lists = channel.lists.with(|lists| lists.len()) + built;
    verifier::insist(145, lists == 0, || format!("{CALL} with {lists} lists out"));
    let blocks = shared::count_of(channel.adapter.handle);
    verifier::insist(145, blocks == 0, || {
        format!("{CALL} with {blocks} shared memory blocks out")
    });
    let waiting = shared::waiting_of(channel.adapter.handle);
    verifier::insist(152, waiting == 0, || {
        format!("{CALL} while {waiting} allocations of shared memory are under way")
    });
    CHANNELS.with(|channels| channels.retain(|other| other.handle != channel.handle));
    handles::close(channel.handle, CALL);
}

/// Channels of an adapter, in words.
pub(crate) fn leaks_of(adapter: u64) -> Vec<String> {
    let channels = CHANNELS.with(|channels| channels.clone());
    let of_adapter = channels
        .iter()
        .filter(|channel| channel.adapter.handle == adapter);
    of_adapter
        .map(|channel| {
            let lists = channel.lists.with(|lists| lists.len());
            format!("DMA channel {:#x} ({lists} lists)", channel.handle)
        })
        .collect()
}

/// Microsoft Learn, NdisMAllocateNetBufferSGList function (ndis.h). IRQL = DISPATCH_LEVEL.
///
/// # Safety
///
/// `nb` is a NET_BUFFER that the caller owns; `buffer` is null or `buffer_size` bytes long until
/// the list is freed.
pub(crate) unsafe extern "efiapi" fn allocate_list(
    dma_handle: NDIS_HANDLE,
    nb: *mut NET_BUFFER,
    context: *mut c_void,
    flags: u32,
    buffer: *mut c_void,
    buffer_size: u32,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMAllocateNetBufferSGList";
    import(CALL, Level::Dispatch);
    let channel: &'static Channel = handles::resolve(dma_handle, CALL);
    verifier::require(146, flags & !NDIS_SG_LIST_WRITE_TO_DEVICE == 0, || {
        format!("{CALL}: flags {flags:#x}")
    });
    verifier::insist(146, !has_list(nb.addr()), || {
        format!("{CALL}: NET_BUFFER {nb:p} has a list already")
    });
    // SAFETY: the caller's contract.
    let memory = unsafe { memory_of(nb) };
    // What the list has in front of the data is not transferred.
    // SAFETY: as above.
    let fits_device = unsafe { (*nb).DataLength } as usize <= channel.description.most;
    if faults::allocation_fails(CALL) || memory.is_empty() || !fits_device {
        return NDIS_STATUS_RESOURCES;
    }
    let is_written = flags & NDIS_SG_LIST_WRITE_TO_DEVICE == 0;
    let mappings = channel.map(&memory, is_written);
    let elements = elements_of(&mappings);
    let needed = list_size(elements.len());
    let own = buffer.is_null() || (buffer_size as usize) < needed || sched::chance(4);
    let piece = if own {
        Piece::allocate(needed, "a scatter/gather list")
    } else {
        None
    };
    let place = piece.as_ref().map_or(buffer.cast::<u8>(), Piece::pointer);
    if own && piece.is_none() {
        channel.unmap(mappings, false, CALL);
        return NDIS_STATUS_RESOURCES;
    }
    // SAFETY: `place` has room for the list, as just arranged.
    unsafe { write_list(place.cast(), &elements) };
    let list = List {
        net_buffer: nb.addr(),
        piece,
        elements,
        mappings,
        is_written,
        given: false,
    };
    channel.lists.with(|lists| lists.insert(place.addr(), list));
    MAPPED.with(|mapped| mapped.insert(nb.addr()));
    let (place, context) = (place.expose_provenance(), context.expose_provenance());
    if sched::chance(2) {
        channel.process(place, context);
    } else {
        let number = DEFERRED.with(|count| {
            *count += 1;
            *count
        });
        let cpu = sched::random_below(sched::cpu_count() as u64) as usize;
        let id = dpc::id(dpc::Source::Deferred, number);
        sched::queue_dpc(cpu, id, move || channel.process(place, context));
    }
    NDIS_STATUS_SUCCESS
}

impl Channel {
    /// The routine that takes shared memory which was allocated later.
    pub(crate) fn shared_handler(&self) -> Option<MINIPORT_ALLOCATE_SHARED_MEM_COMPLETE> {
        self.description.shared
    }

    fn map(&self, memory: &[(usize, u64, u32)], is_written: bool) -> Vec<Mapping> {
        let access = if is_written {
            DmaAccess::ToMemory
        } else {
            DmaAccess::FromMemory
        };
        let map = |&(start, physical, length): &(usize, u64, u32)| {
            let start = std::ptr::with_exposed_provenance_mut(start);
            Mapping::new(&*self.adapter.node, start, physical, length, access)
        };
        memory.iter().map(map).collect()
    }

    fn unmap(&self, mappings: Vec<Mapping>, is_written: bool, call: &str) {
        for mapping in mappings {
            mapping.end(&*self.adapter.node, is_written, call);
        }
    }

    fn process(&'static self, place: usize, context: usize) {
        self.lists.with(|lists| {
            if let Some(list) = lists.get_mut(&place) {
                list.given = true;
            }
        });
        let device = std::ptr::with_exposed_provenance_mut(self.adapter.node.objects().functional);
        callback(Callback::ProcessSgList, self.handle, || {
            // SAFETY: the driver registered the handler; the list is live until it frees it.
            sched::in_driver(|| unsafe {
                (self.description.process)(
                    device,
                    std::ptr::null_mut(),
                    std::ptr::with_exposed_provenance_mut(place),
                    std::ptr::with_exposed_provenance_mut(context),
                );
            });
        });
    }
}

/// The memory of a NET_BUFFER from the beginning of its current MDL on, cut at page borders:
/// address, physical address, bytes.
///
/// # Safety
///
/// `nb` points to a NET_BUFFER with a valid MDL chain.
unsafe fn memory_of(nb: *mut NET_BUFFER) -> Vec<(usize, u64, u32)> {
    // SAFETY: the caller's contract.
    let value = unsafe { *nb };
    let mut left = value.CurrentMdlOffset as usize + value.DataLength as usize;
    let mut pieces = Vec::new();
    // SAFETY: as above.
    for mdl in unsafe { raw::mdls(value.CurrentMdl) } {
        // SAFETY: as above.
        let (start, length) = unsafe { raw::mdl_bytes(mdl) };
        let mut length = length.min(left);
        left -= length;
        let mut at = start;
        while length > 0 {
            let here = length.min(PAGE_SIZE - at.addr() % PAGE_SIZE);
            let Some(physical) = memory::physical(at) else {
                verifier::fatal(
                    110,
                    format!("MDL {mdl:p} describes {at:p}, no nonpaged memory"),
                );
            };
            pieces.push((at.expose_provenance(), physical, here as u32));
            at = at.wrapping_add(here);
            length -= here;
        }
    }
    pieces
}

/// The elements for mappings; one that touches the one before may be joined with it.
fn elements_of(mappings: &[Mapping]) -> Vec<(i64, u32)> {
    let mut elements: Vec<(i64, u32)> = Vec::new();
    let mut before: Option<&Mapping> = None;
    for mapping in mappings {
        let touches = before.is_some_and(|before| before.touches(mapping));
        match elements.last_mut() {
            Some((_, length)) if touches && sched::chance(2) => *length += mapping.len,
            _ => elements.push((mapping.logical as i64, mapping.len)),
        }
        before = Some(mapping);
    }
    elements
}

/// # Safety
///
/// `place` has room for the list, aligned to 8.
unsafe fn write_list(place: *mut SCATTER_GATHER_LIST, elements: &[(i64, u32)]) {
    // SAFETY: the caller's contract.
    unsafe {
        (*place).NumberOfElements = elements.len() as u32;
        (*place).Reserved = 0;
        let first: *mut SCATTER_GATHER_ELEMENT = place.add(1).cast();
        for (index, (address, length)) in elements.iter().enumerate() {
            let mut element = SCATTER_GATHER_ELEMENT::zeroed();
            element.Address = *address;
            element.Length = *length;
            first.add(index).write(element);
        }
    }
}

/// Microsoft Learn, NdisMFreeNetBufferSGList function (ndis.h). IRQL = DISPATCH_LEVEL.
///
/// # Safety
///
/// `list` is a list that MiniportProcessSGList was given for `nb`.
pub(crate) unsafe extern "efiapi" fn free_list(
    dma_handle: NDIS_HANDLE,
    list: *mut SCATTER_GATHER_LIST,
    nb: *mut NET_BUFFER,
) {
    const CALL: &str = "NdisMFreeNetBufferSGList";
    import(CALL, Level::Dispatch);
    let channel: &'static Channel = handles::resolve(dma_handle, CALL);
    let Some(found) = channel.lists.with(|lists| lists.remove(&list.addr())) else {
        verifier::fatal(148, format!("{CALL}: {list:p} is no list that is out"));
    };
    verifier::insist(148, found.given && found.net_buffer == nb.addr(), || {
        format!(
            "{CALL}: list {list:p} is of NET_BUFFER {:#x}, not {nb:p}",
            found.net_buffer
        )
    });
    MAPPED.with(|mapped| mapped.remove(&found.net_buffer));
    // SAFETY: the list is where it was written.
    let unchanged = unsafe {
        let first: *const SCATTER_GATHER_ELEMENT = list.add(1).cast();
        (*list).NumberOfElements as usize == found.elements.len()
            && found.elements.iter().enumerate().all(|(index, element)| {
                let now = first.add(index).read();
                (now.Address, now.Length) == *element
            })
    };
    verifier::require(148, unchanged, || {
        format!("{CALL}: list {list:p} was written")
    });
    channel.unmap(found.mappings, found.is_written, CALL);
    if let Some(piece) = found.piece {
        piece.release(CALL);
    }
}

/// Microsoft Learn, NdisMGetDmaAlignment function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn alignment(adapter_handle: NDIS_HANDLE) -> u32 {
    const CALL: &str = "NdisMGetDmaAlignment";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    verifier::require(144, is_registered(adapter.handle), || {
        format!("{CALL} called before NdisMRegisterScatterGatherDma")
    });
    ALIGNMENT
}

/// Whether a NET_BUFFER still has a list: then its NBL must not be completed (rule 148).
pub(crate) fn has_list(nb: usize) -> bool {
    MAPPED.with(|mapped| mapped.contains(&nb))
}
