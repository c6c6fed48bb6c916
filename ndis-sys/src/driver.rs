//! Driver and device objects.

use core::ffi::c_void;

use crate::{KDPC, KEVENT, NTSTATUS, UNICODE_STRING, impl_zeroed};

/// A loaded driver (Microsoft Learn, DRIVER_OBJECT). NDIS fills in the dispatch table of its
/// drivers.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct DRIVER_OBJECT {
    /// `IO_TYPE_DRIVER`.
    pub Type: i16,
    /// Size of this structure in bytes.
    pub Size: i16,
    /// First device object of the driver.
    pub DeviceObject: *mut DEVICE_OBJECT,
    /// Internal to the I/O manager.
    pub Flags: u32,
    /// Where the image is loaded.
    pub DriverStart: *mut c_void,
    /// Size of the image in bytes.
    pub DriverSize: u32,
    /// Internal to the loader.
    pub DriverSection: *mut c_void,
    /// Holds the AddDevice routine and the service key's name.
    pub DriverExtension: *mut c_void,
    /// Name of the driver object.
    pub DriverName: UNICODE_STRING,
    /// Registry path of the hardware description.
    pub HardwareDatabase: *mut UNICODE_STRING,
    /// Entry points for file systems; null here.
    pub FastIoDispatch: *mut c_void,
    /// `DriverEntry`.
    pub DriverInit: Option<DRIVER_INITIALIZE>,
    /// Queue routine of old drivers; null here.
    pub DriverStartIo: Option<DRIVER_STARTIO>,
    /// Called before the image goes; belongs to NDIS for a miniport.
    pub DriverUnload: Option<DRIVER_UNLOAD>,
    /// Dispatch routines, by `IRP_MJ_` number.
    pub MajorFunction: [Option<DRIVER_DISPATCH>; 28],
}

/// A device in a driver stack (Microsoft Learn, DEVICE_OBJECT). Network drivers pass its address on
/// and read nothing in it.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct DEVICE_OBJECT {
    /// `IO_TYPE_DEVICE`.
    pub Type: i16,
    /// Bytes of this structure with the device extension.
    pub Size: u16,
    /// Open handles; internal to the I/O manager.
    pub ReferenceCount: i32,
    /// The driver that made the device.
    pub DriverObject: *mut DRIVER_OBJECT,
    /// The next device of the same driver.
    pub NextDevice: *mut DEVICE_OBJECT,
    /// The device stacked on top.
    pub AttachedDevice: *mut DEVICE_OBJECT,
    /// Request in work, with a StartIo routine.
    pub CurrentIrp: *mut c_void,
    /// Timer of the device.
    pub Timer: *mut c_void,
    /// `DO_` flags.
    pub Flags: u32,
    /// `FILE_` characteristics.
    pub Characteristics: u32,
    /// Volume parameters of storage devices.
    pub Vpb: *mut c_void,
    /// Memory of the driver that made the device.
    pub DeviceExtension: *mut c_void,
    /// `FILE_DEVICE_` type.
    pub DeviceType: u32,
    /// Stack locations that a request needs from here down.
    pub StackSize: i8,
    /// Internal to the I/O manager: queue link or wait context.
    pub Queue: [*mut c_void; 9],
    /// Alignment of data buffers minus one.
    pub AlignmentRequirement: u32,
    /// Internal to the I/O manager: the device queue.
    pub DeviceQueue: [u64; 5],
    /// DPC of the device.
    pub Dpc: KDPC,
    /// For file systems.
    pub ActiveThreadCount: u32,
    /// Security of the device.
    pub SecurityDescriptor: *mut c_void,
    /// For the I/O manager.
    pub DeviceLock: KEVENT,
    /// For storage devices.
    pub SectorSize: u16,
    /// Unused.
    pub Spare1: u16,
    /// Internal to the I/O manager.
    pub DeviceObjectExtension: *mut c_void,
    /// Reserved.
    pub Reserved: *mut c_void,
}

/// `DriverEntry`. Called at `PASSIVE_LEVEL`, once; an error unloads the image at once.
pub type DRIVER_INITIALIZE = unsafe extern "efiapi" fn(
    driver_object: *mut DRIVER_OBJECT,
    registry_path: *mut UNICODE_STRING,
) -> NTSTATUS;

/// Called at `PASSIVE_LEVEL` before the image is unloaded.
pub type DRIVER_UNLOAD = unsafe extern "efiapi" fn(driver_object: *mut DRIVER_OBJECT);

/// Handles an I/O request packet.
pub type DRIVER_DISPATCH =
    unsafe extern "efiapi" fn(device_object: *mut DEVICE_OBJECT, irp: *mut c_void) -> NTSTATUS;

/// Starts the next request of a device queue.
pub type DRIVER_STARTIO =
    unsafe extern "efiapi" fn(device_object: *mut DEVICE_OBJECT, irp: *mut c_void);

/// Called at `PASSIVE_LEVEL` when the PnP manager finds a device for the driver.
pub type DRIVER_ADD_DEVICE = unsafe extern "efiapi" fn(
    driver_object: *mut DRIVER_OBJECT,
    physical_device_object: *mut DEVICE_OBJECT,
) -> NTSTATUS;

/// Network device.
pub const FILE_DEVICE_NETWORK: u32 = 0x12;

/// Network adapter; the type of NDIS's functional device objects.
pub const FILE_DEVICE_PHYSICAL_NETCARD: u32 = 0x17;

/// Data passes through a system buffer.
pub const DO_BUFFERED_IO: u32 = 4;

/// Data passes through an MDL.
pub const DO_DIRECT_IO: u32 = 0x10;

/// The device is not ready for requests.
pub const DO_DEVICE_INITIALIZING: u32 = 0x80;

/// Power requests come at `PASSIVE_LEVEL`.
pub const DO_POWER_PAGABLE: u32 = 0x2000;

/// A bus driver made the device.
pub const DO_BUS_ENUMERATED_DEVICE: u32 = 0x1000;

/// Type of a device object.
pub const IO_TYPE_DEVICE: i16 = 3;

/// Type of a driver object.
pub const IO_TYPE_DRIVER: i16 = 4;

/// Open a handle.
pub const IRP_MJ_CREATE: u8 = 0;

/// The last reference to a handle is gone.
pub const IRP_MJ_CLOSE: u8 = 2;

/// I/O control from user mode.
pub const IRP_MJ_DEVICE_CONTROL: u8 = 0xe;

/// A handle is being closed.
pub const IRP_MJ_CLEANUP: u8 = 0x12;

/// Power request.
pub const IRP_MJ_POWER: u8 = 0x16;

/// WMI request.
pub const IRP_MJ_SYSTEM_CONTROL: u8 = 0x17;

/// PnP request.
pub const IRP_MJ_PNP: u8 = 0x1b;

/// Highest major function.
pub const IRP_MJ_MAXIMUM_FUNCTION: u8 = 0x1b;

impl_zeroed! {
    DRIVER_OBJECT,
    DEVICE_OBJECT,
}
