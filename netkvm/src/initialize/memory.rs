//! The adapter's memory: how much of what, and where it is.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr};

use ndis::Failed;
use ndis::dma::{BusMaster, SharedMemory};
use ndis::later::Later;
use ndis::lock::SpinLock;
use ndis::memory::{try_push, try_vec};
use ndis::pool::NblPool;
use ndis::rundown::{Gate, Rundown};
use ndis_sys as sys;
use sys::NDIS_HANDLE;
use vioprot::announce::Address;
use vioprot::{Filters, MAX_MULTICAST};
use virtio_net::bring_up::Negotiated;
use virtio_net::config::{MacAddress, NetConfig};
use virtio_net::dma::DmaRegion;
use virtio_net::features::{Features, Interface};
use virtio_net::header::HEADER_LEN;
use virtio_net::queue::{IndirectTables, QueueAddresses, QueueSize, Ring, RingLayout, Virtqueue};
use virtio_net::receive::ReceivePlan;

use super::{CONTROL_QUEUE, NotStarted, RECEIVE_QUEUE, Stage, TRANSMIT_QUEUE, device_at};
use crate::adapter::{Adapter, Addresses, MAX_ADDRESSES};
use crate::announcing::Announcing;
use crate::control::{self, Controller};
use crate::hardware::Bars;
use crate::link::Link;
use crate::receive::{Buffer, Parts, Receive};
use crate::settings::{ETHERNET_HEADER, Settings};
use crate::statistics::Statistics;
use crate::transmit::{self, MAX_SEGMENTS, Slot, Transmit, TransmitQueue};

/// Bytes of one block of shared memory, as blocks of more pages are harder to come by.
const BLOCK: u32 = 64 * 1024;

/// The sizes of everything.
pub(super) struct Plan {
    interface: Interface,
    receive: ReceivePlan,
    transmit_size: QueueSize,
    /// Frames that the device may have: fewer than its queue holds, if that is longer than was asked
    /// for, as a queue of the legacy interface may be.
    transmit_slots: u16,
    /// `None`: there is no control queue to be had.
    control_size: Option<QueueSize>,
    mtu: u32,
}

impl Plan {
    pub(super) fn new(
        negotiated: &mut Negotiated<Bars>,
        settings: &Settings,
        config: &NetConfig,
        features: Features,
    ) -> Result<Self, NotStarted> {
        let mtu = config
            .mtu
            .map_or(settings.mtu, |device| settings.mtu.min(u32::from(device)));
        let mut size = |queue: u16, wish: u16| {
            negotiated
                .choose_queue_size(queue, wish)
                .map_err(device_at(Stage::Queues))
        };
        let wish = ReceivePlan::queue_size(mtu, features, settings.receive_buffers);
        let receive_size = size(RECEIVE_QUEUE, wish.get())?;
        // A power of two that holds what was asked for.
        let wish = settings.transmit_buffers.next_power_of_two();
        let wish = u16::try_from(wish).unwrap_or(QueueSize::MAX.get());
        let transmit_size = size(TRANSMIT_QUEUE, wish)?;
        let transmit_slots = wish.min(transmit_size.get());
        // A device that says it has one and has none is told nothing.
        let control_size = if features.contains(Features::CTRL_VQ) {
            size(CONTROL_QUEUE, control::QUEUE_SIZE).ok()
        } else {
            None
        };
        let receive = ReceivePlan::new(mtu, features, settings.receive_buffers, receive_size)
            .map_err(device_at(Stage::Queues))?;
        Ok(Self {
            interface: negotiated.interface(),
            receive,
            transmit_size,
            transmit_slots,
            control_size,
            mtu,
        })
    }
}

/// A queue's size, and where the device finds it.
pub(super) type Place = (QueueSize, QueueAddresses);

/// Where the device finds its queues.
pub(super) struct Queues {
    pub(super) receive: Place,
    pub(super) transmit: Place,
    pub(super) control: Option<Place>,
}

/// Allocates everything, and puts the adapter together in its place. Not inlined: an adapter is too
/// large to be on the stack more than once.
///
/// # Safety
///
/// In the adapter's initialization, after the registration attributes.
#[inline(never)]
pub(super) unsafe fn make(
    miniport: NDIS_HANDLE,
    place: Box<MaybeUninit<Adapter>>,
    settings: Settings,
    config: &NetConfig,
    features: Features,
    plan: &Plan,
) -> Result<(Box<Adapter>, Queues), Failed> {
    let max_frame = plan.mtu.saturating_add(ETHERNET_HEADER);
    // SAFETY: by contract; dropped after all that is allocated with it.
    let bus_master = unsafe { BusMaster::register(miniport, max_frame, transmit::mapped)? };
    let mut memory = Vec::new();
    // SAFETY: by contract, for all three.
    let (receive, receive_addresses) =
        unsafe { make_receive(miniport, features, plan, &mut memory)? };
    // SAFETY: as above.
    let (transmit, transmit_addresses) =
        unsafe { make_transmit(miniport, features, plan, max_frame, &mut memory)? };
    let device_mac = config.mac.map(|mac| mac.octets());
    let permanent_mac = match device_mac {
        Some(mac) => mac,
        // A device without an address leaves the choice to the driver (virtio 1.2, 5.1.4).
        None => made_up_mac(miniport),
    };
    let mac = settings.mac.unwrap_or(permanent_mac);
    // What the device has to be told, since it does not know it.
    let address = MacAddress::new(mac).filter(|mac| config.mac != Some(*mac));
    // SAFETY: as above.
    let control = unsafe { make_control(miniport, features, plan, address, &mut memory)? };
    let queues = Queues {
        receive: (plan.receive.size(), receive_addresses),
        transmit: (plan.transmit_size, transmit_addresses),
        control: plan
            .control_size
            .zip(control.as_deref().map(Controller::addresses)),
    };
    // Made before the adapter is put together: a literal that fails half-way drops what it has in
    // the wrong order.
    let (data_path, doorbells) = (Rundown::try_new()?, Gate::try_new()?);
    let statistics = Statistics::try_new()?;
    let adapter = Adapter {
        pair: Later::empty(),
        grace: Later::empty(),
        recovery: Later::empty(),
        answer_due: Later::empty(),
        transmit,
        receive,
        control,
        _memory: memory,
        bus_master,
        device: Later::empty(),
        interrupt: AtomicPtr::new(ptr::null_mut()),
        handle: miniport,
        settings,
        permanent_mac,
        mac,
        mtu: plan.mtu,
        data_path,
        doorbells,
        dead: AtomicBool::new(false),
        gone: AtomicBool::new(false),
        filters: SpinLock::new(Filters {
            generation: 0,
            packet_filter: 0,
            lookahead: max_frame,
            multicast: [[0; 6]; MAX_MULTICAST],
            multicast_len: 0,
        }),
        addresses: SpinLock::new(Addresses {
            known: [Address::V4([0; 4]); MAX_ADDRESSES],
            len: 0,
        }),
        statistics,
        link: Link::new(features.contains(Features::STANDBY), config.link_up),
        announcing: Announcing::new(),
    };
    Ok((Box::write(place, adapter), queues))
}

/// A locally administered address that differs from adapter to adapter.
fn made_up_mac(miniport: NDIS_HANDLE) -> [u8; 6] {
    let [.., a, b, c, d] = (miniport.addr() as u64).to_be_bytes();
    [0x02, 0x4e, a, b, c, d]
}

/// # Safety
///
/// As for [`make`].
unsafe fn make_receive(
    miniport: NDIS_HANDLE,
    features: Features,
    plan: &Plan,
    rings: &mut Vec<SharedMemory>,
) -> Result<(Receive, QueueAddresses), Failed> {
    let receive = &plan.receive;
    let size = receive.size();
    // SAFETY: by contract; the rings outlive the queue: they are dropped after it.
    let region = unsafe { ring_memory(miniport, plan, size, features, rings)? };
    let tables = match receive.table_len() {
        // SAFETY: as above.
        Some(len) => Some(unsafe { indirect_tables(miniport, size, len, rings)? }),
        None => None,
    };
    let queue = Ring::of(plan.interface, size, features, region, tables);
    let queue = queue.map_err(|_| Failed::RESOURCES)?;
    let addresses = queue.addresses();
    // SAFETY: the pool is dropped after its lists: the buffers, which the queue holds.
    let pool = unsafe { NblPool::try_new(miniport)? };
    let memory = try_vec(receive.blocks() as usize, |block| {
        // SAFETY: by contract.
        unsafe { SharedMemory::allocate(miniport, receive.block_len(block as u32)) }
    })?;
    let buffers = try_vec(receive.buffers().into(), |number| {
        // SAFETY: the blocks go with the buffers, each of which is made once.
        unsafe { Buffer::try_new(miniport, &pool, &memory, receive, number as u16) }
    })?;
    let parts = Parts {
        plan: *receive,
        queue,
        pool,
        memory,
        buffers,
    };
    Ok((Receive::new(parts), addresses))
}

/// # Safety
///
/// As for [`make`].
unsafe fn make_transmit(
    miniport: NDIS_HANDLE,
    features: Features,
    plan: &Plan,
    max_frame: u32,
    rings: &mut Vec<SharedMemory>,
) -> Result<(Transmit, QueueAddresses), Failed> {
    let size = plan.transmit_size;
    // SAFETY: by contract; the rings outlive the queue: they are dropped after it.
    let region = unsafe { ring_memory(miniport, plan, size, features, rings)? };
    let tables = if features.contains(Features::RING_INDIRECT_DESC) {
        // SAFETY: as above.
        Some(unsafe { indirect_tables(miniport, size, MAX_SEGMENTS as u16, rings)? })
    } else {
        None
    };
    let queue = TransmitQueue::new(plan.interface, size, features, region, tables)?;
    let addresses = queue.addresses();
    let slot_len = max_frame
        .saturating_add(HEADER_LEN as u32)
        .next_multiple_of(64);
    // SAFETY: by contract.
    let (memory, places) = unsafe { carve(miniport, plan.transmit_slots.into(), slot_len)? };
    let slots = try_vec(places.len(), |index| {
        let (block, offset) = *places.get(index).ok_or(Failed::RESOURCES)?;
        let block = memory.get(block).ok_or(Failed::RESOURCES)?;
        // SAFETY: `carve` gives out each place once, with room for header and frame.
        Ok::<_, Failed>(unsafe { Slot::new(block, offset) })
    })?;
    for block in memory {
        try_push(rings, block)?;
    }
    Ok((Transmit::new(queue, slots, max_frame as usize), addresses))
}

/// # Safety
///
/// As for [`make`].
unsafe fn make_control(
    miniport: NDIS_HANDLE,
    features: Features,
    plan: &Plan,
    address: Option<MacAddress>,
    rings: &mut Vec<SharedMemory>,
) -> Result<Option<Box<Controller>>, Failed> {
    let Some(size) = plan.control_size else {
        return Ok(None);
    };
    // SAFETY: by contract; the rings outlive the queue: they are dropped after it.
    let region = unsafe { ring_memory(miniport, plan, size, features, rings)? };
    let queue =
        Ring::of(plan.interface, size, features, region, None).map_err(|_| Failed::RESOURCES)?;
    // SAFETY: as above.
    let commands = unsafe { shared_region(miniport, control::LAYOUT.bytes(), rings)? };
    Controller::try_new(queue, commands, features, address).map(Some)
}

/// # Safety
///
/// As for [`make`]; the region is used for nothing else, and not after `rings` is dropped.
unsafe fn ring_memory(
    miniport: NDIS_HANDLE,
    plan: &Plan,
    size: QueueSize,
    features: Features,
    rings: &mut Vec<SharedMemory>,
) -> Result<DmaRegion, Failed> {
    let layout = RingLayout::of(plan.interface, size, features);
    // SAFETY: passed on. A block begins a page, which is all that any layout asks for.
    unsafe { shared_region(miniport, layout.bytes(), rings) }
}

/// # Safety
///
/// As for [`ring_memory`].
unsafe fn indirect_tables(
    miniport: NDIS_HANDLE,
    size: QueueSize,
    per_table: u16,
    rings: &mut Vec<SharedMemory>,
) -> Result<IndirectTables, Failed> {
    // SAFETY: passed on.
    let region = unsafe { shared_region(miniport, IndirectTables::bytes(size, per_table), rings)? };
    IndirectTables::new(region, size, per_table).map_err(|_| Failed::RESOURCES)
}

/// # Safety
///
/// As for [`ring_memory`].
unsafe fn shared_region(
    miniport: NDIS_HANDLE,
    bytes: usize,
    rings: &mut Vec<SharedMemory>,
) -> Result<DmaRegion, Failed> {
    let len = u32::try_from(bytes).map_err(|_| Failed::RESOURCES)?;
    // SAFETY: by contract.
    let memory = unsafe { SharedMemory::allocate(miniport, len)? };
    // SAFETY: the block is `len` bytes at both addresses, ours alone, and stays until the device
    // was reset: the adapter drops it last.
    let region = unsafe { DmaRegion::new(memory.va(), memory.device_address(), bytes) };
    try_push(rings, memory)?;
    Ok(region)
}

/// Blocks of shared memory, and the pieces cut out of them: each piece's block and offset.
type Carved = (Vec<SharedMemory>, Vec<(usize, u32)>);

/// Shared memory for `count` pieces of `len` bytes.
///
/// # Safety
///
/// As for [`make`].
unsafe fn carve(miniport: NDIS_HANDLE, count: u32, len: u32) -> Result<Carved, Failed> {
    let per_block = BLOCK.checked_div(len).unwrap_or(1).max(1);
    let blocks = count.div_ceil(per_block) as usize;
    let memory = try_vec(blocks, |_| {
        // SAFETY: by contract.
        unsafe { SharedMemory::allocate(miniport, per_block.saturating_mul(len)) }
    })?;
    let places = try_vec(count as usize, |index| {
        let block = index.checked_div(per_block as usize).unwrap_or(0);
        let place = (index as u32).checked_rem(per_block).unwrap_or(0);
        Ok::<_, Failed>((block, place.saturating_mul(len)))
    })?;
    Ok((memory, places))
}
