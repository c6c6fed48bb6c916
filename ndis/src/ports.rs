//! Register accesses to a BAR of I/O ports.
//!
//! On x86-64 a port is reached by `in` and `out`. ARM64 has no such instructions: there the bridge
//! makes a stretch of memory of the ports, NDIS maps it, and a port is a register in it.

use ndis_sys as sys;

/// Ports that `NdisMRegisterIoPortRange` gave. Given back on drop, at PASSIVE_LEVEL.
pub struct Ports {
    /// The number of the first port on x86-64, its address on ARM64.
    base: *mut u8,
    first: u32,
    len: u32,
    miniport: sys::NDIS_HANDLE,
}

// SAFETY: port accesses have no data race in the language's sense; what they mean to the device is
// the caller's business.
unsafe impl Send for Ports {}
// SAFETY: as above.
unsafe impl Sync for Ports {}

impl Ports {
    /// Claims `len` ports from `first` on.
    ///
    /// # Errors
    ///
    /// NDIS's status, or that the ports cannot be addressed.
    ///
    /// # Safety
    ///
    /// Called from MiniportInitializeEx after the registration attributes were set, for a port
    /// resource of that adapter; the value is dropped before MiniportHaltEx (or a failing
    /// MiniportInitializeEx) returns.
    pub unsafe fn register(
        miniport: sys::NDIS_HANDLE,
        first: u32,
        len: u32,
    ) -> Result<Self, crate::Failed> {
        let mut base = core::ptr::null_mut();
        // SAFETY: the resource belongs to the adapter, by contract.
        let status = unsafe { sys::NdisMRegisterIoPortRange(&raw mut base, miniport, first, len) };
        crate::Failed::check(status)?;
        let ports = Self {
            base: base.cast(),
            first,
            len,
            miniport,
        };
        // Dropped here, ports without an address are given back.
        if ports.are_addressable() {
            Ok(ports)
        } else {
            Err(crate::Failed::RESOURCES)
        }
    }

    /// The number of ports.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the number of each port has 16 bits.
    #[cfg(target_arch = "x86_64")]
    fn are_addressable(&self) -> bool {
        const ALL: usize = 1 << 16;
        let end = self.base.addr().checked_add(self.len as usize);
        end.is_some_and(|end| end <= ALL)
    }

    /// Whether the ports were mapped.
    #[cfg(target_arch = "aarch64")]
    fn are_addressable(&self) -> bool {
        !self.base.is_null()
    }

    fn at(&self, offset: u32, bytes: u32) -> Option<*mut u8> {
        let end = offset.checked_add(bytes)?;
        (end <= self.len).then(|| self.base.wrapping_add(offset as usize))
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        // SAFETY: the range that `register` claimed, once, with what NDIS made of it.
        unsafe {
            sys::NdisMDeregisterIoPortRange(self.miniport, self.first, self.len, self.base.cast());
        }
    }
}

macro_rules! accessors {
    ($($read:ident $write:ident $int:ty, $in:literal, $out:literal, $register:tt, $arm_load:literal, $arm_store:literal;)*) => {
        impl Ports {$(
            /// Reads a port. Outside the range: all ones, as the bus answers where nothing is.
            #[must_use]
            pub fn $read(&self, offset: u32) -> $int {
                let Some(port) = self.at(offset, size_of::<$int>() as u32) else {
                    return <$int>::MAX;
                };
                let value: $int;
                // SAFETY: the port is the adapter's; reading it has no effect on memory that the
                // compiler knows, but stays in order with accesses to it.
                #[cfg(target_arch = "x86_64")]
                unsafe {
                    core::arch::asm!($in, out($register) value, in("dx") port.addr() as u16,
                        options(nostack, preserves_flags));
                }
                // SAFETY: as above; the mapping has the port's bytes.
                #[cfg(target_arch = "aarch64")]
                unsafe {
                    let wide: u32;
                    core::arch::asm!($arm_load, out(reg) wide, in(reg) port,
                        options(nostack, preserves_flags));
                    value = wide as $int;
                }
                value
            }

            /// Writes a port. Outside the range: nothing.
            pub fn $write(&self, offset: u32, value: $int) {
                let Some(port) = self.at(offset, size_of::<$int>() as u32) else { return };
                // SAFETY: the port is the adapter's. The write is ordered after earlier stores to
                // memory: x86 waits for them, and on ARM64 the barrier before it sees to it.
                #[cfg(target_arch = "x86_64")]
                unsafe {
                    core::arch::asm!($out, in("dx") port.addr() as u16, in($register) value,
                        options(nostack, preserves_flags));
                }
                // SAFETY: as above.
                #[cfg(target_arch = "aarch64")]
                unsafe {
                    core::arch::asm!("dmb oshst", $arm_store, in(reg) u32::from(value),
                        in(reg) port, options(nostack, preserves_flags));
                }
            }
        )*}
    };
}

accessors! {
    read8 write8 u8, "in al, dx", "out dx, al", "al", "ldrb {:w}, [{}]", "strb {:w}, [{}]";
    read16 write16 u16, "in ax, dx", "out dx, ax", "ax", "ldrh {:w}, [{}]", "strh {:w}, [{}]";
    read32 write32 u32, "in eax, dx", "out dx, eax", "eax", "ldr {:w}, [{}]", "str {:w}, [{}]";
}
