//! Register accesses to a mapped BAR.
//!
//! Each access is one plain load or store instruction of the register's size. Hypervisors that
//! emulate a device in software (and confidential guests, where the guest's own exception handler
//! does it) decode just those; a compiler is free to fold a volatile access into an arithmetic
//! instruction, so the accesses are written as instructions here.

use core::ptr::NonNull;

use ndis_sys as sys;

/// A BAR that `NdisMMapIoSpace` mapped. Unmapped on drop, at PASSIVE_LEVEL.
pub struct Bar {
    base: NonNull<u8>,
    len: u32,
    miniport: sys::NDIS_HANDLE,
}

// SAFETY: register accesses have no data race in the language's sense; what they mean to the
// device is the caller's business.
unsafe impl Send for Bar {}
// SAFETY: as above.
unsafe impl Sync for Bar {}

impl Bar {
    /// Maps `len` bytes of a memory BAR at its translated address.
    ///
    /// # Errors
    ///
    /// NDIS's status.
    ///
    /// # Safety
    ///
    /// Called from MiniportInitializeEx after the registration attributes were set, for a memory
    /// resource of that adapter; the value is dropped before MiniportHaltEx (or a failing
    /// MiniportInitializeEx) returns.
    pub unsafe fn map(
        miniport: sys::NDIS_HANDLE,
        address: sys::NDIS_PHYSICAL_ADDRESS,
        len: u32,
    ) -> Result<Self, crate::Failed> {
        let mut base = core::ptr::null_mut();
        // SAFETY: the resource belongs to the adapter, by contract.
        let status = unsafe { sys::NdisMMapIoSpace(&raw mut base, miniport, address, len) };
        crate::Failed::check(status)?;
        let base = NonNull::new(base.cast()).ok_or(crate::Failed::RESOURCES)?;
        Ok(Self {
            base,
            len,
            miniport,
        })
    }

    /// The mapped length in bytes.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether nothing is mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn at(&self, offset: u32, bytes: u32) -> Option<*mut u8> {
        let end = offset.checked_add(bytes)?;
        (end <= self.len).then(|| self.base.as_ptr().wrapping_add(offset as usize))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        // SAFETY: the address and length of the mapping that `map` made, once.
        unsafe { sys::NdisMUnmapIoSpace(self.miniport, self.base.as_ptr().cast(), self.len) };
    }
}

macro_rules! accessors {
    ($($read:ident $write:ident $int:ty, $x86_load:literal, $x86_store:literal, $arm_load:literal, $arm_store:literal, $class:ident;)*) => {
        impl Bar {$(
            /// Reads a register. Outside the mapping: all ones, as the bus answers where nothing is.
            #[must_use]
            pub fn $read(&self, offset: u32) -> $int {
                let Some(register) = self.at(offset, size_of::<$int>() as u32) else {
                    return <$int>::MAX;
                };
                let value: $int;
                // SAFETY: the register lies in the mapping; the load has no other effect on memory
                // that the compiler knows.
                #[cfg(target_arch = "x86_64")]
                unsafe {
                    core::arch::asm!($x86_load, out($class) value, in(reg) register,
                        options(nostack, preserves_flags));
                }
                // SAFETY: as above.
                #[cfg(target_arch = "aarch64")]
                unsafe {
                    let wide: u32;
                    core::arch::asm!($arm_load, out(reg) wide, in(reg) register,
                        options(nostack, preserves_flags));
                    value = wide as $int;
                }
                value
            }

            /// Writes a register. Outside the mapping: nothing.
            pub fn $write(&self, offset: u32, value: $int) {
                let Some(register) = self.at(offset, size_of::<$int>() as u32) else { return };
                // SAFETY: the register lies in the mapping. The store is ordered after earlier
                // stores to memory: x86 stores are, and on ARM64 the barrier before it sees to it.
                #[cfg(target_arch = "x86_64")]
                unsafe {
                    core::arch::asm!($x86_store, in(reg) register, in($class) value,
                        options(nostack, preserves_flags));
                }
                // SAFETY: as above.
                #[cfg(target_arch = "aarch64")]
                unsafe {
                    core::arch::asm!("dmb oshst", $arm_store, in(reg) u32::from(value),
                        in(reg) register, options(nostack, preserves_flags));
                }
            }
        )*}
    };
}

accessors! {
    read8 write8 u8, "mov {}, byte ptr [{}]", "mov byte ptr [{}], {}", "ldrb {:w}, [{}]", "strb {:w}, [{}]", reg_byte;
    read16 write16 u16, "mov {:x}, word ptr [{}]", "mov word ptr [{}], {:x}", "ldrh {:w}, [{}]", "strh {:w}, [{}]", reg;
    read32 write32 u32, "mov {:e}, dword ptr [{}]", "mov dword ptr [{}], {:e}", "ldr {:w}, [{}]", "str {:w}, [{}]", reg;
}
