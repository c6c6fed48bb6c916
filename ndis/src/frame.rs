//! The bytes of a frame: a NET_BUFFER and the MDL chain behind it.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use ndis_sys as sys;
use sys::{MDL, NET_BUFFER};

/// The MDL's pages can't be mapped at the moment: system address space is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmappable;

/// One frame of a NET_BUFFER_LIST that is in our hands.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    buffer: NonNull<NET_BUFFER>,
    list: PhantomData<&'a NET_BUFFER>,
}

impl<'a> Frame<'a> {
    /// Looks at a NET_BUFFER.
    ///
    /// # Safety
    ///
    /// The buffer and its MDLs belong to a list that is ours for `'a`.
    pub unsafe fn from_raw(buffer: NonNull<NET_BUFFER>) -> Self {
        Self {
            buffer,
            list: PhantomData,
        }
    }

    /// The NET_BUFFER itself.
    #[must_use]
    pub fn as_ptr(self) -> *mut NET_BUFFER {
        self.buffer.as_ptr()
    }

    fn fields(self) -> &'a NET_BUFFER {
        // SAFETY: alive and ours for 'a.
        unsafe { &*self.buffer.as_ptr() }
    }

    /// The frame's length in bytes, headers included.
    #[must_use]
    pub fn len(self) -> usize {
        self.fields().DataLength as usize
    }

    /// Whether the frame has no bytes.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Calls `visit` with the frame's bytes, piece after piece, until it says false.
    ///
    /// # Errors
    ///
    /// [`Unmappable`]; some pieces may have been visited.
    pub fn pieces(self, mut visit: impl FnMut(&[u8]) -> bool) -> Result<(), Unmappable> {
        let mut left = self.len();
        let mut offset = self.fields().CurrentMdlOffset as usize;
        let mut next = self.fields().CurrentMdl;
        while left > 0 {
            let Some(mdl) = NonNull::new(next) else { break };
            // SAFETY: the MDLs of a live NET_BUFFER are alive.
            let fields = unsafe { mdl.as_ref() };
            next = fields.Next;
            let here = (fields.ByteCount as usize).saturating_sub(offset).min(left);
            if here > 0 {
                let start = map(mdl)?.wrapping_add(offset);
                // SAFETY: the MDL describes ByteCount bytes from its system address on, of which
                // `offset..offset + here` are in range; the frame is ours, so nobody writes them.
                let piece = unsafe { core::slice::from_raw_parts(start, here) };
                if !visit(piece) {
                    return Ok(());
                }
            }
            offset = 0;
            left = left.saturating_sub(here);
        }
        Ok(())
    }

    /// Copies the frame's first bytes into `target`, as many as fit, and says how many.
    ///
    /// # Errors
    ///
    /// [`Unmappable`].
    pub fn copy_to(self, target: &mut [u8]) -> Result<usize, Unmappable> {
        let mut filled = 0usize;
        self.pieces(|piece| {
            let rest = target.get_mut(filled..).unwrap_or_default();
            for (to, from) in rest.iter_mut().zip(piece) {
                *to = *from;
            }
            filled = filled.saturating_add(rest.len().min(piece.len()));
            filled < target.len()
        })?;
        Ok(filled)
    }
}

/// `MmGetSystemAddressForMdlSafe`.
fn map(mdl: NonNull<MDL>) -> Result<*const u8, Unmappable> {
    // SAFETY: callers hold a live MDL.
    let fields = unsafe { mdl.as_ref() };
    let mapped = sys::MDL_MAPPED_TO_SYSTEM_VA | sys::MDL_SOURCE_IS_NONPAGED_POOL;
    let address = if i32::from(fields.MdlFlags) & mapped as i32 != 0 {
        fields.MappedSystemVa
    } else {
        // SAFETY: a NET_BUFFER's MDL describes locked or nonpaged pages; failure is reported by
        // null, not by a bugcheck.
        unsafe {
            sys::MmMapLockedPagesSpecifyCache(
                mdl.as_ptr(),
                sys::KernelMode,
                sys::MmCached,
                ptr::null_mut(),
                0,
                sys::NormalPagePriority as u32 | sys::MdlMappingNoExecute,
            )
        }
    };
    if address.is_null() {
        Err(Unmappable)
    } else {
        Ok(address.cast_const().cast())
    }
}

/// The frames of one list, in order.
pub struct Frames<'a> {
    next: *mut NET_BUFFER,
    list: PhantomData<&'a NET_BUFFER>,
}

impl Frames<'_> {
    /// The frames linked from `first`, which may be null.
    ///
    /// # Safety
    ///
    /// As for [`Frame::from_raw`], for every one of them.
    pub unsafe fn from_raw(first: *mut NET_BUFFER) -> Self {
        Self {
            next: first,
            list: PhantomData,
        }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let buffer = NonNull::new(self.next)?;
        // SAFETY: by `from_raw`'s contract.
        let frame = unsafe { Frame::from_raw(buffer) };
        self.next = frame.fields().Next;
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of three MDLs that starts two bytes into the first.
    fn with_frame(check: impl FnOnce(Frame<'_>)) {
        let bytes: [&[u8]; 3] = [b"..abc", b"", b"defg"];
        let mut mdls: [MDL; 3] = core::array::from_fn(|_| sys::zeroed());
        let mut next = ptr::null_mut();
        for (mdl, bytes) in mdls.iter_mut().zip(bytes).rev() {
            mdl.Next = next;
            mdl.MdlFlags = sys::MDL_SOURCE_IS_NONPAGED_POOL;
            mdl.MappedSystemVa = bytes.as_ptr().cast_mut().cast();
            mdl.ByteCount = bytes.len() as u32;
            next = ptr::from_mut(mdl);
        }
        let mut buffer: NET_BUFFER = sys::zeroed();
        buffer.MdlChain = next;
        buffer.CurrentMdl = next;
        buffer.CurrentMdlOffset = 2;
        buffer.DataOffset = 2;
        buffer.DataLength = 6;
        // SAFETY: buffer and MDLs live until the end of this function.
        check(unsafe { Frame::from_raw(NonNull::from(&mut buffer)) });
    }

    #[test]
    fn bytes_are_gathered_across_mdls_and_stop_at_the_data_length() {
        with_frame(|frame| {
            let mut copy = [0u8; 16];
            assert_eq!(frame.copy_to(&mut copy), Ok(6));
            assert_eq!(&copy[..7], b"abcdef\0");
        });
    }

    #[test]
    fn a_short_target_takes_the_first_bytes() {
        with_frame(|frame| {
            let mut copy = [0u8; 4];
            assert_eq!(frame.copy_to(&mut copy), Ok(4));
            assert_eq!(&copy, b"abcd");
        });
    }

    #[test]
    fn pages_that_cannot_be_mapped_are_an_error() {
        let mut mdl: MDL = sys::zeroed();
        mdl.ByteCount = 4;
        let mut buffer: NET_BUFFER = sys::zeroed();
        buffer.CurrentMdl = &raw mut mdl;
        buffer.DataLength = 4;
        // SAFETY: buffer and MDL live until the end of this function.
        let frame = unsafe { Frame::from_raw(NonNull::from(&mut buffer)) };
        assert_eq!(frame.copy_to(&mut [0; 4]), Err(Unmappable));
    }
}
