//! `bcryptprimitives.dll` with the one function of it that Rust's standard library calls. Wine 8 has no
//! such DLL; later versions do.
//!
//! The library must not draw in what it replaces, so it has no `std`.

#![cfg_attr(windows, no_std)]

#[cfg(windows)]
mod windows {
    #[link(name = "advapi32", kind = "raw-dylib")]
    unsafe extern "system" {
        /// RtlGenRandom.
        fn SystemFunction036(buffer: *mut u8, length: u32) -> u8;
    }

    /// Fills `buffer` with random bytes.
    ///
    /// # Safety
    ///
    /// `buffer` has room for `length` bytes.
    // SAFETY: no other item of this DLL exports the name.
    #[unsafe(no_mangle)]
    unsafe extern "system" fn ProcessPrng(buffer: *mut u8, length: usize) -> i32 {
        let Ok(length) = u32::try_from(length) else {
            return 0;
        };
        // SAFETY: our caller's contract is the contract of this function.
        i32::from(unsafe { SystemFunction036(buffer, length) })
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }
}
