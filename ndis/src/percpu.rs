//! One value per CPU, each in cache lines of its own.

use alloc::vec::Vec;
use core::ptr;

use ndis_sys as sys;

use crate::memory::{OutOfMemory, try_vec};

/// Two lines: adjacent-line prefetchers pull them in pairs.
#[repr(align(128))]
struct Padded<T>(T);

/// A `T` for every CPU that the system may ever have.
pub struct PerCpu<T>(Vec<Padded<T>>);

impl<T: Default> PerCpu<T> {
    /// Makes the default value for each CPU. IRQL: any.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`].
    pub fn try_new() -> Result<Self, OutOfMemory> {
        // SAFETY: callable at any level; the group number means "all groups".
        let cpus = unsafe { sys::KeQueryMaximumProcessorCountEx(sys::ALL_PROCESSOR_GROUPS) };
        Self::for_cpus(cpus as usize)
    }

    /// Makes the default value for each of `cpus` CPUs (at least one).
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`].
    pub fn for_cpus(cpus: usize) -> Result<Self, OutOfMemory> {
        try_vec(cpus.max(1), |_| Ok(Padded(T::default()))).map(Self)
    }
}

impl<T> PerCpu<T> {
    /// The value of the CPU we run on. Below DISPATCH_LEVEL the thread may have moved on when the
    /// caller looks at it, so `T` has to be atomic where that matters. Any IRQL.
    pub fn here(&self) -> Option<&T> {
        // SAFETY: a null pointer is allowed: only the system-wide index is wanted.
        let cpu = unsafe { sys::KeGetCurrentProcessorNumberEx(ptr::null_mut()) };
        self.at(cpu as usize)
    }

    /// The value of CPU `cpu`, modulo their number.
    pub fn at(&self, cpu: usize) -> Option<&T> {
        let slot = cpu.checked_rem(self.0.len())?;
        self.0.get(slot).map(|padded| &padded.0)
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &padded.0)
    }
}
