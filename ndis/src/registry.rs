//! The registry outside an adapter's own key: the services.

use core::ffi::c_void;
use core::ptr;

use ndis_sys as sys;

use crate::irql::Passive;

/// The longest path, in UTF-16 units.
const MAX_PATH: usize = 128;

/// The `Start` value of a service, or `None` when there is no such service.
///
/// A service that is being deleted keeps its key for a while, with `Start` set to
/// SERVICE_DISABLED (4) (MS-SCMR, 3.1.4.3).
#[must_use]
pub fn service_start(service: &str, _at: &Passive<'_>) -> Option<u32> {
    let mut path = Wide::new();
    path.push("\\Registry\\Machine\\System\\CurrentControlSet\\Services\\");
    path.push(service);
    let mut name = path.as_string();
    let mut attributes: sys::OBJECT_ATTRIBUTES = sys::zeroed();
    attributes.Length = size_of::<sys::OBJECT_ATTRIBUTES>() as u32;
    attributes.ObjectName = &raw mut name;
    attributes.Attributes = sys::OBJ_CASE_INSENSITIVE | sys::OBJ_KERNEL_HANDLE;
    let mut key = ptr::null_mut();
    // SAFETY: at PASSIVE_LEVEL; attributes and name outlive the call.
    if unsafe { sys::ZwOpenKey(&raw mut key, sys::KEY_READ, &raw mut attributes) } < 0 {
        return None;
    }
    let value = read_dword(key, "Start");
    // SAFETY: opened above, closed once.
    unsafe { sys::ZwClose(key) };
    value
}

fn read_dword(key: *mut c_void, value: &str) -> Option<u32> {
    /// KEY_VALUE_PARTIAL_INFORMATION with four bytes of data.
    #[repr(C)]
    struct Partial {
        title_index: u32,
        kind: u32,
        data_len: u32,
        data: u32,
    }
    let mut wide = Wide::new();
    wide.push(value);
    let mut name = wide.as_string();
    let mut partial = Partial {
        title_index: 0,
        kind: 0,
        data_len: 0,
        data: 0,
    };
    let mut needed = 0u32;
    // SAFETY: at PASSIVE_LEVEL with an open key; the buffer is as long as stated.
    let status = unsafe {
        sys::ZwQueryValueKey(
            key,
            &raw mut name,
            sys::KeyValuePartialInformation,
            (&raw mut partial).cast(),
            size_of::<Partial>() as u32,
            &raw mut needed,
        )
    };
    (status == sys::STATUS_SUCCESS && partial.kind == sys::REG_DWORD && partial.data_len == 4)
        .then_some(partial.data)
}

/// A UTF-16 string on the stack.
struct Wide {
    units: [u16; MAX_PATH],
    len: usize,
}

impl Wide {
    const fn new() -> Self {
        Self {
            units: [0; MAX_PATH],
            len: 0,
        }
    }

    /// Appends `text`; what does not fit is cut off.
    fn push(&mut self, text: &str) {
        for unit in text.encode_utf16() {
            if let Some(slot) = self.units.get_mut(self.len) {
                *slot = unit;
                self.len = self.len.saturating_add(1);
            }
        }
    }

    /// The string as the kernel wants it: valid while `self` is neither moved nor changed.
    fn as_string(&mut self) -> sys::UNICODE_STRING {
        let bytes = u16::try_from(self.len.saturating_mul(2)).unwrap_or(0);
        sys::UNICODE_STRING {
            Length: bytes,
            MaximumLength: bytes,
            Buffer: self.units.as_mut_ptr(),
        }
    }
}
