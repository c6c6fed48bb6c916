//! The table: values under the key of the service.

use core::ffi::c_void;
use core::mem::offset_of;
use core::sync::atomic::{AtomicPtr, Ordering};
use core::{ptr, slice};

use ndis_sys::{
    ExAllocatePoolWithTag, ExFreePoolWithTag, HANDLE, KEY_QUERY_VALUE,
    KEY_VALUE_PARTIAL_INFORMATION, KeyValuePartialInformation, NTSTATUS, NonPagedPoolNx,
    OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, REG_SZ, STATUS_SUCCESS,
    UNICODE_STRING, ZwClose, ZwOpenKey, ZwQueryValueKey,
};

use crate::TAG;

#[cfg_attr(
    windows,
    link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "system" {
    /// Writes a registry value. At PASSIVE_LEVEL.
    fn ZwSetValueKey(
        key: HANDLE,
        name: *mut UNICODE_STRING,
        title_index: u32,
        kind: u32,
        data: *const c_void,
        size: u32,
    ) -> NTSTATUS;
}

const KEY_SET_VALUE: u32 = 2;

/// The longest input that has a name.
const LONGEST_INPUT: usize = 64;

/// Where the data begins in what the registry hands out.
const DATA: usize = offset_of!(KEY_VALUE_PARTIAL_INFORMATION, Data);

/// The service's key, while the driver is loaded.
static KEY: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Opens the key of the service.
///
/// # Safety
///
/// `path` is the registry path that DriverEntry was given.
pub(crate) unsafe fn open(path: *mut UNICODE_STRING) -> NTSTATUS {
    let mut attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: ptr::null_mut(),
        ObjectName: path,
        Attributes: OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE,
        SecurityDescriptor: ptr::null_mut(),
        SecurityQualityOfService: ptr::null_mut(),
    };
    let access = KEY_QUERY_VALUE | KEY_SET_VALUE;
    // SAFETY: name and attributes are valid, and `KEY` is a place for a handle.
    unsafe { ZwOpenKey(KEY.as_ptr(), access, &raw mut attributes) }
}

/// Closes the key.
pub(crate) fn close() {
    let key = KEY.swap(ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: the handle is ours and not used again. Nothing could be done about a failure.
    let _ = unsafe { ZwClose(key) };
}

/// The name of a value, with a terminator.
pub(crate) struct Name {
    units: [u16; Self::LONGEST],
    length: usize,
}

impl Name {
    const LONGEST: usize = 2 * (8 + 1) + 2 * LONGEST_INPUT + 1;

    /// The name of a request; `None` for one with a longer input.
    pub(crate) fn of(code: u32, room: u32, input: &[u8]) -> Option<Self> {
        if input.len() > LONGEST_INPUT {
            return None;
        }
        let mut name = Self::empty();
        name.push_hex(&code.to_be_bytes());
        name.push(b':');
        name.push_hex(&room.to_be_bytes());
        name.push(b':');
        name.push_hex(input);
        Some(name)
    }

    fn new(text: &[u8]) -> Self {
        let mut name = Self::empty();
        text.iter().for_each(|letter| name.push(*letter));
        name
    }

    fn empty() -> Self {
        Self {
            units: [0; Self::LONGEST],
            length: 0,
        }
    }

    fn push_hex(&mut self, bytes: &[u8]) {
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.for_each(|digit| match digit {
            0..=9 => self.push(b'0' + digit),
            _ => self.push(b'a' - 10 + digit),
        });
    }

    /// The last place stays 0.
    fn push(&mut self, letter: u8) {
        let places = self.units.len() - 1;
        if let Some(unit) = self.units.iter_mut().take(places).nth(self.length) {
            *unit = letter.into();
            self.length += 1;
        }
    }

    fn bytes(&self) -> u16 {
        2 * self.length as u16
    }
}

/// Puts the answer to a request into `output`; its status, and how many bytes were written. `None`: the
/// table has none that fits.
pub(crate) fn answer(name: &Name, output: &mut [u8]) -> Option<(NTSTATUS, usize)> {
    const STATUS: usize = size_of::<NTSTATUS>();
    let room = DATA + STATUS + output.len();
    let mut buffer = Buffer::new(room)?;
    let data = read(name, buffer.bytes())?;
    let (status, data) = data.split_first_chunk::<STATUS>()?;
    output.get_mut(..data.len())?.copy_from_slice(data);
    Some((NTSTATUS::from_ne_bytes(*status), data.len()))
}

/// Writes down a request that the table lacks. Who waits for it sees it if it fails.
pub(crate) fn note(name: &Name) {
    let asked = Name::new(b"Asked");
    let mut string = string(&asked);
    // SAFETY: the key is open; both names are valid, and the second has a terminator.
    let _ = unsafe {
        ZwSetValueKey(
            KEY.load(Ordering::Acquire),
            &raw mut string,
            0,
            REG_SZ,
            name.units.as_ptr().cast(),
            u32::from(name.bytes()) + 2,
        )
    };
}

/// Valid as long as the name; the registry only reads it.
fn string(name: &Name) -> UNICODE_STRING {
    UNICODE_STRING {
        Length: name.bytes(),
        MaximumLength: name.bytes(),
        Buffer: name.units.as_ptr().cast_mut(),
    }
}

/// The data of a value; `None` if there is none, or `buffer` is too small for it.
fn read<'a>(name: &Name, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut string = string(name);
    let mut length = 0;
    // SAFETY: the key is open, the name is valid, and the buffer has the length that is said.
    let status = unsafe {
        ZwQueryValueKey(
            KEY.load(Ordering::Acquire),
            &raw mut string,
            KeyValuePartialInformation,
            buffer.as_mut_ptr().cast(),
            buffer.len() as u32,
            &raw mut length,
        )
    };
    if status != STATUS_SUCCESS {
        return None;
    }
    buffer.get(DATA..length as usize)
}

/// Memory of the pool.
struct Buffer {
    memory: *mut u8,
    size: usize,
}

impl Buffer {
    fn new(size: usize) -> Option<Self> {
        // SAFETY: no contract but a size that is not 0; the answer is checked.
        let memory: *mut u8 = unsafe { ExAllocatePoolWithTag(NonPagedPoolNx, size, TAG) }.cast();
        if memory.is_null() {
            return None;
        }
        // SAFETY: the memory is new and has the size.
        unsafe { memory.write_bytes(0, size) };
        Some(Self { memory, size })
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the memory is ours alone, has the size and was filled.
        unsafe { slice::from_raw_parts_mut(self.memory, self.size) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: it is ours, with this tag, and not used again.
        unsafe { ExFreePoolWithTag(self.memory.cast(), TAG) };
    }
}
