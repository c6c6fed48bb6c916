//! The PnP requests that a miniport may see: what its device asks for, and what it was given.
//!
//! MiniportFilterResourceRequirements edits a list of requirements, MiniportStartDevice sees the
//! resources. Both get an IRP, of which the parts that these requests use are there.

use std::ptr::NonNull;

use ndis_sys::{
    CM_RESOURCE_INTERRUPT_LATCHED, CM_RESOURCE_INTERRUPT_MESSAGE, CM_RESOURCE_MEMORY_BAR,
    CM_RESOURCE_PORT_BAR, CM_RESOURCE_PORT_IO, CmResourceShareDeviceExclusive,
    CmResourceTypeInterrupt, CmResourceTypeMemory, CmResourceTypePort, PCIBus,
};

use crate::memory::pool::{self, Kind, Request, Tag};
use crate::ndis::node::DeviceNode;
use crate::ndis::resources;

/// Sizes and offsets of wdm.h on x64.
mod layout {
    pub(super) const IRP: usize = 208;
    pub(super) const IRP_SIZE: usize = 2;
    pub(super) const INFORMATION: usize = 56;
    pub(super) const STACK_COUNT: usize = 66;
    pub(super) const STACK_LOCATION: usize = 184;
    pub(super) const STACK: usize = 72;
    pub(super) const MINOR: usize = 1;
    pub(super) const PARAMETER: usize = 8;
    /// IO_RESOURCE_REQUIREMENTS_LIST with its one IO_RESOURCE_LIST, and IO_RESOURCE_DESCRIPTOR.
    pub(super) const ALTERNATIVES: usize = 28;
    pub(super) const COUNT: usize = 36;
    pub(super) const DESCRIPTORS: usize = 40;
    pub(super) const DESCRIPTOR: usize = 32;
}

const IO_TYPE_IRP: u16 = 6;
const IRP_MJ_PNP: u8 = 0x1b;
const IRP_MN_START_DEVICE: u8 = 0;
const IRP_MN_FILTER_RESOURCE_REQUIREMENTS: u8 = 0x0d;
/// CM_RESOURCE_INTERRUPT_MESSAGE_TOKEN.
const MESSAGE_TOKEN: u32 = 0xffff_fffe;
/// IrqPolicySpecifiedProcessors.
const SPECIFIED_PROCESSORS: u32 = 4;

/// A PnP IRP with its stack location.
struct Irp(Vec<u64>);

impl Irp {
    fn new(minor: u8) -> Self {
        let mut irp = Self(vec![0; (layout::IRP + layout::STACK).div_ceil(8)]);
        let stack = irp.place(layout::IRP).expose_provenance() as u64;
        irp.put(0, &IO_TYPE_IRP.to_le_bytes());
        irp.put(layout::IRP_SIZE, &(irp.0.len() as u16 * 8).to_le_bytes());
        irp.put(layout::STACK_COUNT, &[1, 1]);
        irp.put(layout::STACK_LOCATION, &stack.to_le_bytes());
        irp.put(layout::IRP, &[IRP_MJ_PNP]);
        irp.put(layout::IRP + layout::MINOR, &[minor]);
        irp
    }

    fn place(&mut self, offset: usize) -> *mut u8 {
        self.0.as_mut_ptr().cast::<u8>().wrapping_add(offset)
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        // SAFETY: the offsets are inside of the memory, as `new` makes it.
        unsafe {
            self.place(offset)
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len())
        };
    }

    fn put_parameter(&mut self, index: usize, value: usize) {
        let offset = layout::IRP + layout::PARAMETER + 8 * index;
        self.put(offset, &value.to_le_bytes());
    }

    fn information(&mut self) -> usize {
        let at: *const usize = self.place(layout::INFORMATION).cast();
        // SAFETY: the offset is inside of the memory, and aligned.
        unsafe { at.read() }
    }
}

/// Lets `call` see IRP_MN_START_DEVICE with the device's resources.
pub(crate) fn start<R>(node: &dyn DeviceNode, call: impl FnOnce(*mut u8) -> R) -> R {
    let mut raw = resources::encode(&node.resources());
    let mut translated = resources::encode(&node.resources());
    let mut irp = Irp::new(IRP_MN_START_DEVICE);
    irp.put_parameter(0, raw.as_list().expose_provenance());
    irp.put_parameter(1, translated.as_list().expose_provenance());
    let result = call(irp.place(0));
    raw.poison();
    translated.poison();
    result
}

/// Lets `call` edit the requirements of a device, and has the machine grant what is left there.
/// False when there is no memory for the list.
pub(crate) fn filter<R>(node: &dyn DeviceNode, call: impl FnOnce(*mut u8) -> R) -> Option<R> {
    let list = requirements(node)?;
    let mut irp = Irp::new(IRP_MN_FILTER_RESOURCE_REQUIREMENTS);
    irp.put_parameter(0, list.as_ptr().expose_provenance());
    irp.put(
        layout::INFORMATION,
        &list.as_ptr().expose_provenance().to_le_bytes(),
    );
    let result = call(irp.place(0));
    // A driver may have put a list of its own in the place of the first one, which it freed.
    let list: *mut u8 = std::ptr::with_exposed_provenance_mut(irp.information());
    node.set_message_targets(targets_in(list));
    pool::free(list, None);
    Some(result)
}

/// What the device asks for: its ranges as they are, and each message that it can send.
fn requirements(node: &dyn DeviceNode) -> Option<NonNull<u8>> {
    let resources = node.resources();
    let memory = resources.memory.iter().map(|range| {
        let flags = CM_RESOURCE_MEMORY_BAR;
        fixed(CmResourceTypeMemory, flags, range.start, range.length)
    });
    let ports = resources.ports.iter().map(|range| {
        let flags = CM_RESOURCE_PORT_IO | CM_RESOURCE_PORT_BAR;
        fixed(CmResourceTypePort, flags, range.start, range.length)
    });
    let messages = (0..node.message_capability()).map(|_| message());
    let all: Vec<_> = memory.chain(ports).chain(messages).collect();
    let size = layout::DESCRIPTORS + all.len() * layout::DESCRIPTOR;
    let place = pool::allocate(&Request {
        size,
        tag: Tag(u32::from_le_bytes(*b"PnpR")),
        kind: Kind::Paged,
        zeroed: true,
        owner: "ntoskrnl.exe",
        site: 0,
    })?;
    let words = [
        (0, size as u32),
        (4, PCIBus as u32),
        (layout::ALTERNATIVES, 1),
        // Version and revision of the list.
        (32, 1 << 16 | 1),
        (layout::COUNT, all.len() as u32),
    ];
    // SAFETY: the block has room for the header and the descriptors.
    unsafe {
        for (offset, value) in words {
            place.as_ptr().add(offset).cast::<u32>().write(value);
        }
        let first = place.as_ptr().add(layout::DESCRIPTORS);
        for (index, descriptor) in all.iter().enumerate() {
            let at = first.add(index * layout::DESCRIPTOR);
            at.copy_from_nonoverlapping(descriptor.as_ptr(), layout::DESCRIPTOR);
        }
    }
    Some(place)
}

type Descriptor = [u8; layout::DESCRIPTOR];

fn descriptor(kind: u8, flags: u16) -> Descriptor {
    let mut descriptor = [0; layout::DESCRIPTOR];
    descriptor[1] = kind;
    descriptor[2] = CmResourceShareDeviceExclusive;
    descriptor[4..6].copy_from_slice(&flags.to_le_bytes());
    descriptor
}

/// A range that stays where it is.
fn fixed(kind: u8, flags: u16, start: u64, length: u64) -> Descriptor {
    let mut descriptor = descriptor(kind, flags);
    descriptor[8..12].copy_from_slice(&(length as u32).to_le_bytes());
    descriptor[12..16].copy_from_slice(&1u32.to_le_bytes());
    descriptor[16..24].copy_from_slice(&start.to_le_bytes());
    descriptor[24..].copy_from_slice(&(start + length - 1).to_le_bytes());
    descriptor
}

/// A message for any CPU.
fn message() -> Descriptor {
    let flags = CM_RESOURCE_INTERRUPT_MESSAGE | CM_RESOURCE_INTERRUPT_LATCHED;
    let mut descriptor = descriptor(CmResourceTypeInterrupt, flags);
    descriptor[8..12].copy_from_slice(&MESSAGE_TOKEN.to_le_bytes());
    descriptor[12..16].copy_from_slice(&MESSAGE_TOKEN.to_le_bytes());
    descriptor
}

/// The CPU that a list wants each message on; the machine's choice where it names none.
fn targets_in(list: *const u8) -> Vec<usize> {
    // SAFETY: the list is as long as its count says, which is the driver's word if it made it.
    let descriptors = unsafe {
        let count = list.add(layout::COUNT).cast::<u32>().read() as usize;
        let first: *const Descriptor = list.add(layout::DESCRIPTORS).cast();
        std::slice::from_raw_parts(first, count)
    };
    let is_message = |descriptor: &&Descriptor| {
        let flags = u16::from_le_bytes([descriptor[4], descriptor[5]]);
        descriptor[1] == CmResourceTypeInterrupt && flags & CM_RESOURCE_INTERRUPT_MESSAGE != 0
    };
    let messages = descriptors.iter().filter(is_message).enumerate();
    messages
        .map(|(index, descriptor)| {
            let policy = u32::from_le_bytes([
                descriptor[16],
                descriptor[17],
                descriptor[18],
                descriptor[19],
            ]);
            let set = descriptor[24..]
                .iter()
                .rev()
                .fold(0, |set: u64, byte| set << 8 | u64::from(*byte));
            if policy == SPECIFIED_PROCESSORS && set != 0 {
                set.trailing_zeros() as usize
            } else {
                index
            }
        })
        .collect()
}
