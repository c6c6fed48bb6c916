//! A binding path: the chain from its owner down to an adapter.

use std::ptr;

use windows::Win32::Foundation::{E_FAIL, S_OK};
use windows::Win32::NetworkManagement::NetManagement::{
    IEnumNetCfgBindingInterface, INetCfgBindingInterface, INetCfgBindingPath,
};
use windows::core::{Error, Interface, PWSTR, Result};

use crate::Component;
use crate::enumerate::collect;
use crate::text::take;

/// A binding path of the configuration that it was asked from.
#[derive(Clone, Debug)]
pub struct Path(pub(crate) INetCfgBindingPath);

impl From<INetCfgBindingPath> for Path {
    fn from(raw: INetCfgBindingPath) -> Self {
        Self(raw)
    }
}

impl Path {
    /// The topmost component.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn owner(&self) -> Result<Component> {
        let mut owner = None;
        // SAFETY: `owner` is a place for one interface pointer.
        unsafe { self.0.GetOwner(Some(&raw mut owner)) }?;
        owner.map(Component).ok_or_else(nothing)
    }

    /// The component at the bottom: the adapter, once the path is complete.
    ///
    /// # Errors
    ///
    /// The engine fails, or the path has no interface.
    pub fn bottom(&self) -> Result<Component> {
        let mut interfaces: Option<IEnumNetCfgBindingInterface> = None;
        // SAFETY: `interfaces` is a place for one interface pointer.
        unsafe { self.0.EnumBindingInterfaces(Some(&raw mut interfaces)) }?;
        let interfaces = interfaces.ok_or_else(nothing)?;
        let all: Vec<INetCfgBindingInterface> = collect(|slot| {
            // SAFETY: the enumerator is live, `slot` has room for one interface pointer, and the count
            // may be null when one element is asked for.
            unsafe {
                (interfaces.vtable().Next)(
                    interfaces.as_raw(),
                    1,
                    ptr::from_mut(slot).cast(),
                    ptr::null_mut(),
                )
            }
        })?;
        // They are listed from the top down.
        let last = all.last().ok_or_else(nothing)?;
        let mut lower = None;
        // SAFETY: `lower` is a place for one interface pointer.
        unsafe { last.GetLowerComponent(Some(&raw mut lower)) }?;
        lower.map(Component).ok_or_else(nothing)
    }

    /// The engine's name of the path, from the top down.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn token(&self) -> Result<String> {
        let mut token = PWSTR::null();
        // SAFETY: `token` is a place for one string.
        unsafe { self.0.GetPathToken(Some(&raw mut token)) }?;
        // SAFETY: the method has succeeded: the string is ours, from COM's allocator.
        Ok(unsafe { take(token) })
    }

    /// Tells whether traffic may take the path.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn is_enabled(&self) -> Result<bool> {
        // SAFETY: the interface is live; the method takes no argument and says no by `S_FALSE`.
        let status = unsafe { (self.0.vtable().IsEnabled)(self.0.as_raw()) };
        status.ok()?;
        Ok(status == S_OK)
    }

    /// Enables or disables the path. Takes effect with the next `Apply`.
    ///
    /// # Errors
    ///
    /// The write lock is not held, or the engine fails.
    pub fn enable(&self, on: bool) -> Result<()> {
        // SAFETY: the interface is live, and the argument a plain value.
        unsafe { self.0.Enable(on) }
    }
}

/// The engine said success and gave nothing.
fn nothing() -> Error {
    Error::from_hresult(E_FAIL)
}
