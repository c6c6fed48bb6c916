//! A network component: an adapter, a protocol, a client or a service.

use std::ptr;

use windows::Win32::NetworkManagement::NetManagement::{
    EBP_ABOVE, EBP_BELOW, IEnumNetCfgBindingPath, INetCfgComponent, INetCfgComponentBindings,
};
use windows::core::{GUID, Interface, PWSTR, Result};

use crate::Path;
use crate::enumerate::collect;
use crate::text::take;

/// A component of the configuration that it was asked from.
#[derive(Clone, Debug)]
pub struct Component(pub(crate) INetCfgComponent);

impl From<INetCfgComponent> for Component {
    fn from(raw: INetCfgComponent) -> Self {
        Self(raw)
    }
}

impl Component {
    /// The interface itself.
    #[must_use]
    pub fn raw(&self) -> &INetCfgComponent {
        &self.0
    }

    /// The identifier of the INF: `ms_tcpip`, or the hardware identifier of an adapter.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn id(&self) -> Result<String> {
        // SAFETY: `out` is a place for one string, which is ours on success.
        self.string(|out| unsafe { self.0.GetId(Some(out)) })
    }

    /// The device instance path of an adapter.
    ///
    /// # Errors
    ///
    /// The component is no adapter, or the engine fails.
    pub fn pnp_id(&self) -> Result<String> {
        // SAFETY: `out` is a place for one string, which is ours on success.
        self.string(|out| unsafe { self.0.GetPnpDevNodeId(Some(out)) })
    }

    /// What people call it.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn display_name(&self) -> Result<String> {
        // SAFETY: `out` is a place for one string, which is ours on success.
        self.string(|out| unsafe { self.0.GetDisplayName(Some(out)) })
    }

    /// The identifier of this instance; of an adapter: NetCfgInstanceId.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn instance(&self) -> Result<GUID> {
        let mut guid = GUID::zeroed();
        // SAFETY: `guid` is a place for one GUID.
        unsafe { self.0.GetInstanceGuid(Some(&raw mut guid)) }?;
        Ok(guid)
    }

    /// The setup class.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn class(&self) -> Result<GUID> {
        let mut guid = GUID::zeroed();
        // SAFETY: `guid` is a place for one GUID.
        unsafe { self.0.GetClassGuid(Some(&raw mut guid)) }?;
        Ok(guid)
    }

    /// All binding paths that end at this component, whoever owns them.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn paths_above(&self) -> Result<Vec<Path>> {
        self.paths(EBP_ABOVE.0)
    }

    /// All binding paths that begin at this component.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn paths_below(&self) -> Result<Vec<Path>> {
        self.paths(EBP_BELOW.0)
    }

    fn paths(&self, side: i32) -> Result<Vec<Path>> {
        let bindings: INetCfgComponentBindings = self.0.cast()?;
        let mut paths: Option<IEnumNetCfgBindingPath> = None;
        // SAFETY: `paths` is a place for one interface pointer.
        unsafe { bindings.EnumBindingPaths(side.cast_unsigned(), Some(&raw mut paths)) }?;
        // `S_FALSE` without an enumerator says that there is no path.
        let Some(paths) = paths else {
            return Ok(Vec::new());
        };
        let found = collect(|slot| {
            // SAFETY: the enumerator is live, `slot` has room for one interface pointer, and the count
            // may be null when one element is asked for.
            unsafe {
                (paths.vtable().Next)(
                    paths.as_raw(),
                    1,
                    ptr::from_mut(slot).cast(),
                    ptr::null_mut(),
                )
            }
        })?;
        Ok(found.into_iter().map(Path).collect())
    }

    fn string(&self, ask: impl FnOnce(*mut PWSTR) -> Result<()>) -> Result<String> {
        let mut text = PWSTR::null();
        ask(&raw mut text)?;
        // SAFETY: the method has succeeded: the string is ours, from COM's allocator.
        Ok(unsafe { take(text) })
    }
}
