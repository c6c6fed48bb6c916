//! Hardware resources: the resource list, configuration space, device memory, device objects.

use std::ffi::c_void;

use ndis_sys::{
    CM_PARTIAL_RESOURCE_DESCRIPTOR, CM_PARTIAL_RESOURCE_LIST, CM_RESOURCE_INTERRUPT,
    CM_RESOURCE_INTERRUPT_LATCHED, CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE,
    CM_RESOURCE_INTERRUPT_MESSAGE, CM_RESOURCE_LIST, CM_RESOURCE_MEMORY_BAR,
    CM_RESOURCE_MEMORY_READ_WRITE, CM_RESOURCE_MESSAGE_INTERRUPT, CM_RESOURCE_PORT_BAR,
    CM_RESOURCE_PORT_IO, CM_RESOURCE_RANGE, CmResourceShareDeviceExclusive, CmResourceShareShared,
    CmResourceTypeInterrupt, CmResourceTypeMemory, CmResourceTypePort, DEVICE_OBJECT, NDIS_HANDLE,
    NDIS_PHYSICAL_ADDRESS, NDIS_STATUS, NDIS_STATUS_RESOURCE_CONFLICT, NDIS_STATUS_RESOURCES,
    NDIS_STATUS_SUCCESS, PCI_WHICHSPACE_CONFIG, PCIBus, Zeroed,
};

use crate::ndis::adapter::{self, Adapter, attributes};
use crate::ndis::call::{self, Callback, Level, import};
use crate::ndis::node::{LineInterrupt, Message, Range, Resources};
use crate::ndis::{faults, interrupts};
use crate::sched::{self, BatonCell, DIRQL};
use crate::verifier;

/// A CM_RESOURCE_LIST with room for its descriptors.
pub(crate) struct ResourceList {
    /// 64-bit units: the list is aligned to 8 bytes.
    memory: Vec<u64>,
}

/// Where the partial list begins in a list of one.
const PARTIAL_LIST: usize = std::mem::offset_of!(CM_RESOURCE_LIST, List)
    + std::mem::offset_of!(ndis_sys::CM_FULL_RESOURCE_DESCRIPTOR, PartialResourceList);
/// Where its descriptors begin.
const DESCRIPTORS: usize =
    PARTIAL_LIST + std::mem::offset_of!(CM_PARTIAL_RESOURCE_LIST, PartialDescriptors);

/// Translated resources of a device, as MiniportInitializeEx gets them.
pub(crate) fn encode(resources: &Resources) -> ResourceList {
    let memory = resources.memory.iter().map(|range| {
        let mut descriptor = CM_PARTIAL_RESOURCE_DESCRIPTOR::zeroed();
        descriptor.Type = CmResourceTypeMemory;
        descriptor.ShareDisposition = CmResourceShareDeviceExclusive;
        descriptor.Flags = CM_RESOURCE_MEMORY_READ_WRITE | CM_RESOURCE_MEMORY_BAR;
        descriptor.u.Memory = CM_RESOURCE_RANGE {
            Start: range.start as i64,
            Length: range.length as u32,
        };
        descriptor
    });
    let ports = resources.ports.iter().map(encode_ports);
    let messages = resources.messages.iter().map(encode_message);
    let line = resources.line.iter().map(encode_line);
    let descriptors: Vec<_> = memory.chain(ports).chain(messages).chain(line).collect();
    let bytes = DESCRIPTORS + size_of_val(descriptors.as_slice());
    let mut list = ResourceList {
        memory: vec![0; bytes.div_ceil(8)],
    };
    // SAFETY: the memory is as long as the header and the descriptors.
    unsafe {
        let whole: *mut CM_RESOURCE_LIST = list.memory.as_mut_ptr().cast();
        (*whole).Count = 1;
        (*whole).List[0].InterfaceType = PCIBus;
        let partial = list.as_partial_list();
        (*partial).Version = 1;
        (*partial).Revision = 1;
        (*partial).Count = descriptors.len() as u32;
        let first: *mut CM_PARTIAL_RESOURCE_DESCRIPTOR = list
            .memory
            .as_mut_ptr()
            .cast::<u8>()
            .add(DESCRIPTORS)
            .cast();
        for (index, descriptor) in descriptors.into_iter().enumerate() {
            first.add(index).write_unaligned(descriptor);
        }
    }
    list
}

fn encode_ports(range: &Range) -> CM_PARTIAL_RESOURCE_DESCRIPTOR {
    let mut descriptor = CM_PARTIAL_RESOURCE_DESCRIPTOR::zeroed();
    descriptor.Type = CmResourceTypePort;
    descriptor.ShareDisposition = CmResourceShareDeviceExclusive;
    descriptor.Flags = CM_RESOURCE_PORT_IO | CM_RESOURCE_PORT_BAR;
    descriptor.u.Port = CM_RESOURCE_RANGE {
        Start: range.start as i64,
        Length: range.length as u32,
    };
    descriptor
}

/// A level-triggered line, which others use as well.
fn encode_line(line: &LineInterrupt) -> CM_PARTIAL_RESOURCE_DESCRIPTOR {
    let mut descriptor = CM_PARTIAL_RESOURCE_DESCRIPTOR::zeroed();
    descriptor.Type = CmResourceTypeInterrupt;
    descriptor.ShareDisposition = CmResourceShareShared;
    descriptor.Flags = CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE;
    descriptor.u.Interrupt = CM_RESOURCE_INTERRUPT {
        Level: line.level,
        Vector: line.vector,
        Affinity: 1 << line.cpu,
    };
    descriptor
}

fn encode_message(message: &Message) -> CM_PARTIAL_RESOURCE_DESCRIPTOR {
    let mut descriptor = CM_PARTIAL_RESOURCE_DESCRIPTOR::zeroed();
    descriptor.Type = CmResourceTypeInterrupt;
    descriptor.ShareDisposition = CmResourceShareDeviceExclusive;
    descriptor.Flags = CM_RESOURCE_INTERRUPT_LATCHED | CM_RESOURCE_INTERRUPT_MESSAGE;
    let translated = CM_RESOURCE_INTERRUPT {
        // The upper half of what was the level before there were groups is the group.
        Level: u32::from(DIRQL) | u32::from(sched::group_of(message.cpu)) << 16,
        Vector: message.vector,
        Affinity: 1 << sched::number_in_group(message.cpu),
    };
    descriptor.u.MessageInterrupt = CM_RESOURCE_MESSAGE_INTERRUPT {
        Translated: translated,
    };
    descriptor
}

impl ResourceList {
    /// The whole list.
    pub(crate) fn as_list(&mut self) -> *mut CM_RESOURCE_LIST {
        self.memory.as_mut_ptr().cast()
    }

    /// The list of descriptors, which NDIS calls NDIS_RESOURCE_LIST.
    pub(crate) fn as_partial_list(&mut self) -> *mut CM_PARTIAL_RESOURCE_LIST {
        self.memory
            .as_mut_ptr()
            .cast::<u8>()
            .wrapping_add(PARTIAL_LIST)
            .cast()
    }

    /// Overwrites a list whose loan is over (rule 49).
    pub(crate) fn poison(&mut self) {
        self.memory.fill(0xdddd_dddd_dddd_dddd);
    }
}

/// Mapped device memory: adapter, address, length.
static MAPPINGS: BatonCell<Vec<(u64, usize, u32)>> = BatonCell::new(Vec::new());
/// Registered ports: adapter, first, count.
static PORTS: BatonCell<Vec<(u64, u32, u32)>> = BatonCell::new(Vec::new());
/// Resource lists that NdisMGetDeviceProperty lends, per adapter; they live as long as it does.
static LISTS: BatonCell<Vec<(u64, ResourceList)>> = BatonCell::new(Vec::new());

/// What an adapter has mapped, in words. Its lent lists end with it.
pub(crate) fn leaks_of(adapter: u64) -> Vec<String> {
    LISTS.with(|lists| {
        lists
            .iter_mut()
            .filter(|(of, _)| *of == adapter)
            .for_each(|(_, list)| list.poison());
        lists.retain(|(of, _)| *of != adapter);
    });
    let mut left: Vec<String> = MAPPINGS.with(|mappings| {
        let of_adapter = mappings.iter().filter(|(of, ..)| *of == adapter);
        of_adapter
            .map(|(_, address, length)| format!("I/O space {address:#x}+{length:#x}"))
            .collect()
    });
    PORTS.with(|ports| {
        let of_adapter = ports.iter().filter(|(of, ..)| *of == adapter);
        left.extend(of_adapter.map(|(_, first, count)| format!("ports {first:#x}+{count}")));
    });
    left
}

/// Microsoft Learn, NdisMGetBusData function (ndis.h): the bytes read. Any IRQL.
///
/// # Safety
///
/// `buffer` has room for `length` bytes.
pub(crate) unsafe extern "efiapi" fn get_bus_data(
    adapter_handle: NDIS_HANDLE,
    which_space: u32,
    offset: u32,
    buffer: *mut c_void,
    length: u32,
) -> u32 {
    const CALL: &str = "NdisMGetBusData";
    import(CALL, Level::Any);
    let adapter = adapter::resolve(adapter_handle, CALL);
    if faults::is_refused(CALL) || which_space != PCI_WHICHSPACE_CONFIG {
        return 0;
    }
    // SAFETY: the caller's contract.
    let data = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length as usize) };
    adapter.node.config_read(offset, data) as u32
}

/// Microsoft Learn, NdisMSetBusData function (ndis.h): the bytes written. Any IRQL.
///
/// # Safety
///
/// `buffer` holds `length` bytes.
pub(crate) unsafe extern "efiapi" fn set_bus_data(
    adapter_handle: NDIS_HANDLE,
    which_space: u32,
    offset: u32,
    buffer: *mut c_void,
    length: u32,
) -> u32 {
    const CALL: &str = "NdisMSetBusData";
    import(CALL, Level::Any);
    let adapter = adapter::resolve(adapter_handle, CALL);
    if faults::is_refused(CALL) || which_space != PCI_WHICHSPACE_CONFIG {
        return 0;
    }
    // SAFETY: the caller's contract.
    let data = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), length as usize) };
    adapter.node.config_write(offset, data) as u32
}

/// Microsoft Learn, NdisMMapIoSpace function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `address` points to a pointer.
pub(crate) unsafe extern "efiapi" fn map_io_space(
    address: *mut *mut c_void,
    adapter_handle: NDIS_HANDLE,
    start: NDIS_PHYSICAL_ADDRESS,
    length: u32,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMMapIoSpace";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    attributes::require_registration(adapter, CALL);
    require_initialize(CALL, adapter);
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let Some(mapped) = adapter.node.map(start as u64, length as usize) else {
        verifier::breach(
            43,
            format!("{CALL}: {start:#x}+{length:#x} is no memory of the device"),
        );
        return NDIS_STATUS_RESOURCE_CONFLICT;
    };
    MAPPINGS.with(|mappings| mappings.push((adapter.handle, mapped.addr(), length)));
    // SAFETY: the caller's contract.
    unsafe { *address = mapped.cast() };
    NDIS_STATUS_SUCCESS
}

/// Hardware is claimed inside of MiniportInitializeEx (rule 43).
pub(crate) fn require_initialize(call: &str, adapter: &'static Adapter) {
    let inside = call::is_inside(Callback::Initialize, adapter.handle);
    verifier::require(43, inside, || {
        format!(
            "{call} called outside of MiniportInitializeEx, in {}",
            call::stack()
        )
    });
    require_before_interrupt(call, adapter);
}

/// Interrupts are registered last, because service routines run from then on (rule 44).
pub(crate) fn require_before_interrupt(call: &str, adapter: &'static Adapter) {
    verifier::require(44, !interrupts::is_registered(adapter.handle), || {
        format!("{call} called after NdisMRegisterInterruptEx")
    });
}

/// Microsoft Learn, NdisMUnmapIoSpace function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn unmap_io_space(
    adapter_handle: NDIS_HANDLE,
    address: *mut c_void,
    length: u32,
) {
    const CALL: &str = "NdisMUnmapIoSpace";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let entry = (adapter.handle, address.addr(), length);
    let found = MAPPINGS.with(|mappings| {
        let index = mappings.iter().position(|mapping| *mapping == entry);
        index.map(|index| mappings.remove(index)).is_some()
    });
    verifier::insist(63, found, || {
        format!("{CALL}: {address:p}+{length:#x} is not mapped")
    });
    adapter.node.unmap(address.cast());
}

/// Microsoft Learn, NdisMRegisterIoPortRange function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `offset` points to a pointer.
pub(crate) unsafe extern "efiapi" fn register_io_ports(
    offset: *mut *mut c_void,
    adapter_handle: NDIS_HANDLE,
    first: u32,
    count: u32,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMRegisterIoPortRange";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    attributes::require_registration(adapter, CALL);
    require_initialize(CALL, adapter);
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let entry = (adapter.handle, first, count);
    let taken = PORTS.with(|ports| {
        let overlaps = |(_, other, length): &(u64, u32, u32)| {
            *other < first.saturating_add(count) && first < other.saturating_add(*length)
        };
        ports.iter().any(overlaps)
    });
    if taken || !adapter.node.claim_ports(u64::from(first), u64::from(count)) {
        verifier::breach(
            43,
            format!("{CALL}: ports {first:#x}+{count} are none of the device, or taken"),
        );
        return NDIS_STATUS_RESOURCE_CONFLICT;
    }
    PORTS.with(|ports| ports.push(entry));
    // SAFETY: the caller's contract. What the port routines take is the port's number.
    unsafe { *offset = std::ptr::without_provenance_mut(first as usize) };
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisMDeregisterIoPortRange function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn deregister_io_ports(
    adapter_handle: NDIS_HANDLE,
    first: u32,
    count: u32,
    offset: *mut c_void,
) {
    const CALL: &str = "NdisMDeregisterIoPortRange";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let entry = (adapter.handle, first, count);
    let found = PORTS.with(|ports| {
        let index = ports.iter().position(|range| *range == entry);
        index.map(|index| ports.remove(index)).is_some()
    });
    verifier::insist(63, found && offset.addr() == first as usize, || {
        format!("{CALL}: ports {first:#x}+{count} at {offset:p} were not registered like that")
    });
    adapter.node.release_ports(u64::from(first));
}

/// Microsoft Learn, NdisMGetDeviceProperty function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// Each pointer is null or valid.
pub(crate) unsafe extern "efiapi" fn get_device_property(
    adapter_handle: NDIS_HANDLE,
    physical: *mut *mut DEVICE_OBJECT,
    functional: *mut *mut DEVICE_OBJECT,
    next: *mut *mut DEVICE_OBJECT,
    allocated: *mut *mut CM_RESOURCE_LIST,
    translated: *mut *mut CM_RESOURCE_LIST,
) {
    const CALL: &str = "NdisMGetDeviceProperty";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let objects = adapter.node.objects();
    for (place, object) in [
        (physical, objects.physical),
        (functional, objects.functional),
        (next, objects.next),
    ] {
        if !place.is_null() {
            // SAFETY: the caller's contract.
            unsafe { *place = std::ptr::with_exposed_provenance_mut(object) };
        }
    }
    for place in [allocated, translated] {
        if !place.is_null() {
            let mut list = encode(&adapter.node.resources());
            // SAFETY: the caller's contract; the list lives as long as the adapter.
            unsafe { *place = list.as_list() };
            LISTS.with(|lists| lists.push((adapter.handle, list)));
        }
    }
}
