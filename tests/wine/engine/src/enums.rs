//! Enumerators over lists that are complete when they are handed out.

use std::cell::Cell;

use windows::Win32::Foundation::{E_NOTIMPL, E_POINTER, S_FALSE};
use windows::Win32::NetworkManagement::NetManagement::{
    IEnumNetCfgBindingInterface, IEnumNetCfgBindingInterface_Impl, IEnumNetCfgBindingPath,
    IEnumNetCfgBindingPath_Impl, IEnumNetCfgComponent, IEnumNetCfgComponent_Impl,
    INetCfgBindingInterface, INetCfgBindingPath, INetCfgComponent,
};
use windows::core::{Error, Result};
use windows_core::implement;

/// The elements, and where the reader stands.
pub(crate) struct List<T> {
    all: Vec<T>,
    next: Cell<usize>,
}

impl<T: Clone> List<T> {
    pub(crate) fn new(all: Vec<T>) -> Self {
        Self {
            all,
            next: Cell::new(0),
        }
    }

    /// # Safety
    ///
    /// `out` has room for `wanted` elements, which may be uninitialized; `fetched` is null or a place for
    /// a number.
    unsafe fn next(&self, wanted: u32, out: *mut Option<T>, fetched: *mut u32) -> Result<()> {
        if out.is_null() || (fetched.is_null() && wanted != 1) {
            return Err(Error::from_hresult(E_POINTER));
        }
        let mut count = 0u32;
        while count < wanted
            && let Some(element) = self.all.get(self.next.get())
        {
            // SAFETY: fewer than `wanted` have been written.
            unsafe { out.add(count as usize).write(Some(element.clone())) };
            count += 1;
            self.next.set(self.next.get() + 1);
        }
        if !fetched.is_null() {
            // SAFETY: a place for a number, by our contract.
            unsafe { fetched.write(count) };
        }
        if count < wanted {
            return Err(Error::from_hresult(S_FALSE));
        }
        Ok(())
    }

    fn skip(&self, count: u32) {
        let next = self.next.get().saturating_add(count as usize);
        self.next.set(next.min(self.all.len()));
    }
}

macro_rules! enumerator {
    ($interface:ident, $implementation:ident, $object:ident, $element:ident) => {
        impl $implementation for $object {
            fn Next(
                &self,
                count: u32,
                out: *mut Option<$element>,
                fetched: *mut u32,
            ) -> Result<()> {
                // SAFETY: the contract of the method is that of `next`.
                unsafe { self.0.next(count, out, fetched) }
            }

            fn Skip(&self, count: u32) -> Result<()> {
                self.0.skip(count);
                Ok(())
            }

            fn Reset(&self) -> Result<()> {
                self.0.next.set(0);
                Ok(())
            }

            fn Clone(&self, _: *const Option<$interface>) -> Result<()> {
                Err(Error::from_hresult(E_NOTIMPL))
            }
        }
    };
}

// `implement` does not work from inside a macro.

#[implement(IEnumNetCfgComponent)]
pub(crate) struct Components(pub(crate) List<INetCfgComponent>);

#[implement(IEnumNetCfgBindingPath)]
pub(crate) struct Paths(pub(crate) List<INetCfgBindingPath>);

#[implement(IEnumNetCfgBindingInterface)]
pub(crate) struct Interfaces(pub(crate) List<INetCfgBindingInterface>);

enumerator!(
    IEnumNetCfgComponent,
    IEnumNetCfgComponent_Impl,
    Components_Impl,
    INetCfgComponent
);
enumerator!(
    IEnumNetCfgBindingPath,
    IEnumNetCfgBindingPath_Impl,
    Paths_Impl,
    INetCfgBindingPath
);
enumerator!(
    IEnumNetCfgBindingInterface,
    IEnumNetCfgBindingInterface_Impl,
    Interfaces_Impl,
    INetCfgBindingInterface
);
