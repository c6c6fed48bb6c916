//! Settings from the registry: the keywords of the INF.

use core::ptr;

use ndis_sys as sys;

use crate::Failed;
use crate::irql::Passive;

/// The longest keyword, in UTF-16 units.
const MAX_NAME: usize = 64;

/// An open configuration of an adapter. Closed on drop, at PASSIVE_LEVEL.
pub struct Configuration(sys::NDIS_HANDLE);

impl Configuration {
    /// Opens the driver key of the adapter `owner`.
    ///
    /// # Errors
    ///
    /// NDIS's status.
    ///
    /// # Safety
    ///
    /// `owner` is an adapter handle from MiniportInitializeEx, after the registration attributes,
    /// until MiniportHaltEx returns.
    pub unsafe fn open(owner: sys::NDIS_HANDLE, _at: &Passive<'_>) -> Result<Self, Failed> {
        let mut object: sys::NDIS_CONFIGURATION_OBJECT = sys::zeroed();
        object.Header = crate::header(
            sys::NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT,
            sys::NDIS_CONFIGURATION_OBJECT_REVISION_1,
            sys::NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1,
        );
        object.NdisHandle = owner;
        let mut handle = ptr::null_mut();
        // SAFETY: at PASSIVE_LEVEL, with a live handle.
        let status = unsafe { sys::NdisOpenConfigurationEx(&raw mut object, &raw mut handle) };
        Failed::check(status)?;
        Ok(Self(handle))
    }

    /// Reads a number. The INF stores them as strings, which NDIS converts when asked for an
    /// integer; a string that is none, like a missing value, is `None`.
    #[must_use]
    pub fn integer(&self, keyword: &str) -> Option<u32> {
        let mut name = [0u16; MAX_NAME];
        let mut len = 0usize;
        for (slot, unit) in name.iter_mut().zip(keyword.encode_utf16()) {
            *slot = unit;
            len = len.saturating_add(1);
        }
        let bytes = u16::try_from(len.saturating_mul(2)).ok()?;
        let mut keyword = sys::UNICODE_STRING {
            Length: bytes,
            MaximumLength: bytes,
            Buffer: name.as_mut_ptr(),
        };
        let mut status = sys::NDIS_STATUS_FAILURE;
        let mut parameter = ptr::null_mut::<sys::NDIS_CONFIGURATION_PARAMETER>();
        // SAFETY: the handle is open; all pointers are to locals.
        unsafe {
            sys::NdisReadConfiguration(
                &raw mut status,
                &raw mut parameter,
                self.0,
                &raw mut keyword,
                sys::NdisParameterInteger,
            );
        }
        if status != sys::NDIS_STATUS_SUCCESS {
            return None;
        }
        // SAFETY: on success NDIS points us to a value that it owns until the close.
        let parameter = unsafe { parameter.as_ref() }?;
        if parameter.ParameterType != sys::NdisParameterInteger
            && parameter.ParameterType != sys::NdisParameterHexInteger
        {
            return None;
        }
        // SAFETY: the type says which member of the union counts.
        Some(unsafe { parameter.ParameterData.IntegerData })
    }

    /// The MAC address that an administrator gave the adapter (`NetworkAddress`), if it is one:
    /// six bytes, unicast, locally administered, not zero.
    #[must_use]
    pub fn network_address(&self) -> Option<[u8; 6]> {
        let mut status = sys::NDIS_STATUS_FAILURE;
        let (mut address, mut len) = (ptr::null_mut(), 0u32);
        // SAFETY: the handle is open; all pointers are to locals.
        unsafe {
            sys::NdisReadNetworkAddress(&raw mut status, &raw mut address, &raw mut len, self.0);
        }
        if status != sys::NDIS_STATUS_SUCCESS || len != 6 || address.is_null() {
            return None;
        }
        // SAFETY: NDIS gives `len` bytes, alive until the close.
        let mac = unsafe { address.cast::<[u8; 6]>().read_unaligned() };
        let [first, ..] = mac;
        (first & 0b11 == 0b10).then_some(mac)
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        // SAFETY: opened once, at PASSIVE_LEVEL, and closed on the same callback's stack.
        unsafe { sys::NdisCloseConfiguration(self.0) };
    }
}
