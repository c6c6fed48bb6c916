//! A device of the driver's that programs open, and their requests to it.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr;
use core::slice;

use ndis_sys as sys;
use sys::{DEVICE_OBJECT, IO_STACK_LOCATION, IRP, NTSTATUS, UNICODE_STRING};

use crate::Failed;
use crate::irql::{Passive, at_passive};

/// Low bits of a control code: how its buffers are passed (Microsoft Learn, "Defining I/O Control
/// Codes").
const METHOD: u32 = 3;
const METHOD_BUFFERED: u32 = 0;
/// The two highest bits of a status: an error, after which nothing is copied back.
const SEVERITY_SHIFT: u32 = 30;
const SEVERITY_ERROR: u32 = 3;

/// What a device answers to programs.
pub trait Serve {
    /// A program opens the device: whether it may. Whoever it is has the rights that the device's security
    /// descriptor asks for.
    fn open(at: &Passive<'_>) -> bool;

    /// A file that was opened is closed: its last request has ended.
    fn close(at: &Passive<'_>);

    /// Serves a request with buffered input and output. A lock that is held meanwhile must keep the thread from
    /// being suspended, as [`PassiveLock`](crate::event::PassiveLock) does: it is a program's.
    fn control(request: Request<'_>, at: &Passive<'_>) -> Outcome;
}

/// A request of a program. Input and output are the same memory: what is written to the output
/// replaces the input.
pub struct Request<'a> {
    /// The control code.
    pub code: u32,
    /// The input, and then what there is room for.
    buffer: &'a mut [u8],
    input: usize,
    output: usize,
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Success, a warning or an error.
    pub status: NTSTATUS,
    /// Bytes of the output that go to the program, which has none of them after an error.
    pub bytes: usize,
}

impl Outcome {
    /// Success, without data.
    pub const SUCCESS: Self = Self {
        status: sys::STATUS_SUCCESS,
        bytes: 0,
    };

    /// A failure.
    #[must_use]
    pub const fn failed(status: NTSTATUS) -> Self {
        Self { status, bytes: 0 }
    }

    const fn is_error(self) -> bool {
        self.status.cast_unsigned() >> SEVERITY_SHIFT == SEVERITY_ERROR
    }
}

impl Request<'_> {
    /// What the program sent. Not trusted.
    #[must_use]
    pub fn input(&self) -> &[u8] {
        self.buffer.get(..self.input).unwrap_or_default()
    }

    /// Room for the answer: zeros, and the input where it reaches.
    pub fn output(&mut self) -> &mut [u8] {
        self.buffer.get_mut(..self.output).unwrap_or_default()
    }
}

/// The names of a device, each terminated by a zero, and who may open it.
pub struct Names {
    /// `\Device\...`.
    pub device: &'static [u16],
    /// `\DosDevices\...`.
    pub link: &'static [u16],
    /// A security descriptor (Microsoft Learn, "SDDL for Device Objects").
    pub security: &'static [u16],
}

/// `text`, which must be ASCII of `N - 1` characters, in UTF-16 with a zero at the end.
///
/// # Panics
///
/// When it is not; at compile time, where this belongs.
#[must_use]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs at compile time, where a panic is an error of the compiler's"
)]
pub const fn utf16<const N: usize>(text: &str) -> [u16; N] {
    let (bytes, mut units, mut index) = (text.as_bytes(), [0; N], 0);
    assert!(bytes.len() == N - 1 && text.is_ascii());
    while index < bytes.len() {
        units[index] = bytes[index] as u16;
        index += 1;
    }
    units
}

/// A device that programs can open; dropped, it is deleted.
pub struct ControlDevice<S> {
    handle: sys::NDIS_HANDLE,
    serves: PhantomData<fn(S)>,
}

impl<S: Serve> ControlDevice<S> {
    /// Creates a device, which programs can open from now on.
    ///
    /// # Errors
    ///
    /// NDIS's status: no memory, or a name is taken.
    ///
    /// # Safety
    ///
    /// `driver` is the handle of the registered miniport driver, which outlives the device. The device is
    /// dropped at PASSIVE_LEVEL when no program has it open.
    pub unsafe fn try_new(
        driver: sys::NDIS_HANDLE,
        names: &Names,
        _at: &Passive<'_>,
    ) -> Result<Self, Failed> {
        let mut dispatch: [Option<sys::DRIVER_DISPATCH>;
            sys::IRP_MJ_MAXIMUM_FUNCTION as usize + 1] = [None; _];
        let served = [
            sys::IRP_MJ_CREATE,
            sys::IRP_MJ_CLEANUP,
            sys::IRP_MJ_CLOSE,
            sys::IRP_MJ_DEVICE_CONTROL,
        ];
        for major in served {
            if let Some(entry) = dispatch.get_mut(usize::from(major)) {
                *entry = Some(serve::<S>);
            }
        }
        let (mut device, mut link) = (string(names.device), string(names.link));
        let security = string(names.security);
        let mut attributes: sys::NDIS_DEVICE_OBJECT_ATTRIBUTES = sys::zeroed();
        attributes.Header = crate::header(
            sys::NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES,
            sys::NDIS_DEVICE_OBJECT_ATTRIBUTES_REVISION_1,
            sys::NDIS_SIZEOF_DEVICE_OBJECT_ATTRIBUTES_REVISION_1,
        );
        attributes.DeviceName = &raw mut device;
        attributes.SymbolicName = &raw mut link;
        attributes.MajorFunctions = dispatch.as_mut_ptr();
        attributes.DefaultSDDLString = &raw const security;
        let (mut object, mut handle) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: at PASSIVE_LEVEL; the handle is the driver's, by contract; everything that the
        // attributes point to outlives the call, and the texts for ever.
        Failed::check(unsafe {
            sys::NdisRegisterDeviceEx(
                driver,
                &raw mut attributes,
                &raw mut object,
                &raw mut handle,
            )
        })?;
        Ok(Self {
            handle,
            serves: PhantomData,
        })
    }
}

// SAFETY: NDIS handles may be used from any thread.
unsafe impl<S> Send for ControlDevice<S> {}

impl<S> Drop for ControlDevice<S> {
    fn drop(&mut self) {
        // SAFETY: the handle is of a registration that only this value ends.
        unsafe { sys::NdisDeregisterDeviceEx(self.handle) };
    }
}

/// A text that ends with a zero, as a counted string.
fn string(text: &'static [u16]) -> UNICODE_STRING {
    let bytes = |units: usize| u16::try_from(units.saturating_mul(2)).unwrap_or(0);
    UNICODE_STRING {
        Length: bytes(text.len().saturating_sub(1)),
        MaximumLength: bytes(text.len()),
        Buffer: text.as_ptr().cast_mut(),
    }
}

/// The dispatch routine of all functions.
unsafe extern "efiapi" fn serve<S: Serve>(
    _device: *mut DEVICE_OBJECT,
    irp: *mut c_void,
) -> NTSTATUS {
    let irp: *mut IRP = irp.cast();
    // SAFETY: the packet is ours until it is completed; its current stack location is for us.
    let location = unsafe {
        *irp.byte_add(IRP::CURRENT_STACK_LOCATION)
            .cast::<*const IO_STACK_LOCATION>()
    };
    // SAFETY: as above. The I/O manager sends these requests at PASSIVE_LEVEL; other drivers, which could
    // send them at another, are trusted.
    unsafe {
        let outcome = at_passive(|at| match (*location).MajorFunction {
            sys::IRP_MJ_DEVICE_CONTROL => control::<S>(irp, &*location, &at),
            sys::IRP_MJ_CREATE if is_inside(&*location) => {
                Outcome::failed(sys::STATUS_OBJECT_NAME_NOT_FOUND)
            }
            sys::IRP_MJ_CREATE if !S::open(&at) => Outcome::failed(sys::STATUS_DELETE_PENDING),
            sys::IRP_MJ_CLOSE => {
                S::close(&at);
                Outcome::SUCCESS
            }
            _ => Outcome::SUCCESS,
        });
        (*irp).IoStatus = sys::IO_STATUS_BLOCK {
            Status: outcome.status,
            Information: outcome.bytes,
        };
        sys::IofCompleteRequest(irp, 0);
        outcome.status
    }
}

/// Whether a file inside the device is to be opened, `\\.\NAME\more`. The device's security descriptor may
/// not be looked at for that (Microsoft Learn, "Controlling Device Namespace Access"), and there is none.
///
/// # Safety
///
/// The location is of an IRP_MJ_CREATE.
unsafe fn is_inside(location: &IO_STACK_LOCATION) -> bool {
    let file = location.FileObject;
    // SAFETY: the file object of the request, by contract, which has its name there.
    !file.is_null()
        && unsafe {
            let name = file.byte_add(IO_STACK_LOCATION::FILE_NAME);
            (*name.cast::<UNICODE_STRING>()).Length != 0
        }
}

/// # Safety
///
/// The packet is a device control, and `location` its stack location.
unsafe fn control<S: Serve>(
    irp: *mut IRP,
    location: &IO_STACK_LOCATION,
    at: &Passive<'_>,
) -> Outcome {
    if location.IoControlCode & METHOD != METHOD_BUFFERED {
        return Outcome::failed(sys::STATUS_INVALID_DEVICE_REQUEST);
    }
    let input = location.InputBufferLength as usize;
    let output = location.OutputBufferLength as usize;
    // SAFETY: the packet is ours, by contract.
    let address = unsafe { (*irp).SystemBuffer }.cast::<u8>();
    let buffer = if address.is_null() {
        // Nothing comes in, and nothing may go out.
        &mut []
    } else {
        // SAFETY: for buffered I/O the system buffer has room for the longer of both, and is ours.
        // What the input does not fill was never written; the program must not see it.
        unsafe {
            ptr::write_bytes(address.add(input), 0, output.saturating_sub(input));
            slice::from_raw_parts_mut(address, input.max(output))
        }
    };
    let request = Request {
        code: location.IoControlCode,
        buffer,
        input,
        output,
    };
    let mut outcome = S::control(request, at);
    outcome.bytes = if outcome.is_error() {
        0
    } else {
        outcome.bytes.min(output)
    };
    outcome
}
