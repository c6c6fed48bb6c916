//! The engine itself: `INetCfg` and `INetCfgLock`.

use std::ffi::c_void;
use std::rc::Rc;

use windows::Win32::Foundation::{E_NOINTERFACE, E_POINTER, S_FALSE};
use windows::Win32::NetworkManagement::NetManagement::{
    IEnumNetCfgComponent, INetCfg, INetCfg_Impl, INetCfgComponent, INetCfgLock, INetCfgLock_Impl,
    INetCfgPnpReconfigCallback, INetCfgPnpReconfigCallback_Impl, NCPNP_RECONFIG_LAYER,
    NETCFG_E_ALREADY_INITIALIZED, NETCFG_E_NOT_INITIALIZED,
};
use windows::core::{Error, GUID, IUnknown, Interface, OutRef, PCWSTR, PWSTR, Result};
use windows_core::{IUnknownImpl, implement};

use crate::component::{self, ComponentObject};
use crate::enums::{Components, List};
use crate::give::give_text;
use crate::lock::WriteLock;
use crate::setup::ClassObject;
use crate::world::World;
use crate::{installer, knobs, store};

/// The object that clients create.
#[implement(INetCfg, INetCfgLock)]
pub(crate) struct Engine {
    world: Rc<World>,
}

impl Engine {
    pub(crate) fn new() -> Self {
        Self {
            world: Rc::default(),
        }
    }

    fn require_initialized(&self) -> Result<()> {
        if self.world.is_initialized.get() {
            return Ok(());
        }
        Err(Error::from_hresult(NETCFG_E_NOT_INITIALIZED))
    }
}

impl INetCfg_Impl for Engine_Impl {
    fn Initialize(&self, _reserved: *const c_void) -> Result<()> {
        knobs::enter("Initialize")?;
        if self.world.is_initialized.get() {
            return Err(Error::from_hresult(NETCFG_E_ALREADY_INITIALIZED));
        }
        component::enter(&self.world);
        self.world.load(&self.to_interface())
    }

    fn Uninitialize(&self) -> Result<()> {
        knobs::enter("Uninitialize")?;
        self.require_initialized()?;
        self.world.drop_notify_objects();
        self.world.is_initialized.set(false);
        Ok(())
    }

    fn Apply(&self) -> Result<()> {
        knobs::enter("Apply")?;
        self.require_initialized()?;
        self.world.require_lock()?;
        for control in self.world.controls() {
            knobs::enter("ApplyRegistryChanges")?;
            // SAFETY: the interface is live.
            unsafe { control.ApplyRegistryChanges() }?;
        }
        self.world.keep()?;
        for record in self.world.leaving.take() {
            self.world.drop_notify_object(&record);
            installer::remove(&record)?;
        }
        let callback: INetCfgPnpReconfigCallback = Reconfigure.into();
        for control in self.world.controls() {
            knobs::enter("ApplyPnpChanges")?;
            // SAFETY: the interfaces are live.
            unsafe { control.ApplyPnpChanges(&callback) }?;
        }
        knobs::succeed("Apply")
    }

    fn Cancel(&self) -> Result<()> {
        knobs::enter("Cancel")?;
        self.require_initialized()?;
        for control in self.world.controls() {
            // SAFETY: the interface is live.
            unsafe { control.CancelChanges() }?;
        }
        self.world.drop_notify_objects();
        self.world.load(&self.to_interface())
    }

    fn EnumComponents(&self, class: *const GUID, out: OutRef<IEnumNetCfgComponent>) -> Result<()> {
        self.require_initialized()?;
        if class.is_null() {
            return Err(Error::from_hresult(E_POINTER));
        }
        // SAFETY: not null, so a GUID by the method's contract.
        let class = unsafe { class.read() };
        out.write(Some(components_of(&self.world, &class)))
    }

    fn FindComponent(&self, id: &PCWSTR, out: OutRef<INetCfgComponent>) -> Result<()> {
        knobs::enter("FindComponent")?;
        self.require_initialized()?;
        find(&self.world, id, None, out)
    }

    fn QueryNetCfgClass(
        &self,
        class: *const GUID,
        wanted: *const GUID,
        out: *mut *mut c_void,
    ) -> Result<()> {
        knobs::enter("QueryNetCfgClass")?;
        self.require_initialized()?;
        if class.is_null() || wanted.is_null() || out.is_null() {
            return Err(Error::from_hresult(E_POINTER));
        }
        // SAFETY: not null, so a GUID by the method's contract.
        let class = unsafe { class.read() };
        if !store::CLASSES.contains(&class) {
            return Err(Error::from_hresult(E_NOINTERFACE));
        }
        let object: IUnknown = ClassObject::new(&self.world, class, self.to_interface()).into();
        // SAFETY: both are valid by the method's contract.
        unsafe { object.query(wanted, out) }.ok()
    }
}

impl INetCfgLock_Impl for Engine_Impl {
    fn AcquireWriteLock(
        &self,
        patience_ms: u32,
        client: &PCWSTR,
        holder: *mut PWSTR,
    ) -> Result<()> {
        knobs::enter("AcquireWriteLock")?;
        if self.world.is_initialized.get() {
            return Err(Error::from_hresult(NETCFG_E_ALREADY_INITIALIZED));
        }
        // SAFETY: a null-terminated string by the method's contract.
        let client = unsafe { client.to_string() }.map_err(|_| store::invalid())?;
        match WriteLock::take(&client, patience_ms)? {
            Some(lock) => {
                *self.world.lock.borrow_mut() = Some(lock);
                Ok(())
            }
            None => {
                if !holder.is_null() {
                    // SAFETY: the method's contract is that of the function.
                    unsafe { give_text(holder, &WriteLock::holder()) }?;
                }
                Err(Error::from_hresult(S_FALSE))
            }
        }
    }

    fn ReleaseWriteLock(&self) -> Result<()> {
        knobs::enter("ReleaseWriteLock")?;
        drop(self.world.lock.take());
        Ok(())
    }

    fn IsWriteLocked(&self, holder: *mut PWSTR) -> Result<()> {
        if !holder.is_null() {
            // SAFETY: the method's contract is that of the function.
            unsafe { give_text(holder, &WriteLock::holder()) }?;
        }
        if WriteLock::holder().is_empty() {
            return Err(Error::from_hresult(S_FALSE));
        }
        Ok(())
    }
}

/// All components of a class, for clients.
pub(crate) fn components_of(world: &World, class: &GUID) -> IEnumNetCfgComponent {
    let all = world.components.borrow();
    let of_class = all.iter().filter(|record| record.class == *class);
    let objects = of_class.map(|record| ComponentObject::of(record).into());
    Components(List::new(objects.collect())).into()
}

/// The component of identifier `id`, of any class or of `class`; `S_FALSE` if there is none.
pub(crate) fn find(
    world: &World,
    id: &PCWSTR,
    class: Option<&GUID>,
    out: OutRef<INetCfgComponent>,
) -> Result<()> {
    // SAFETY: a null-terminated string by the method's contract.
    let id = unsafe { id.to_string() }.map_err(|_| store::invalid())?;
    let all = world.components.borrow();
    let found = all.iter().find(|record| {
        record.id.eq_ignore_ascii_case(&id) && class.is_none_or(|class| record.class == *class)
    });
    match found {
        Some(_) if out.is_null() => Ok(()),
        Some(record) => out.write(Some(ComponentObject::of(record).into())),
        None => {
            if !out.is_null() {
                out.write(None)?;
            }
            Err(Error::from_hresult(S_FALSE))
        }
    }
}

/// What notify objects may call while changes are applied. There is no NDIS to tell.
#[implement(INetCfgPnpReconfigCallback)]
struct Reconfigure;

impl INetCfgPnpReconfigCallback_Impl for Reconfigure_Impl {
    fn SendPnpReconfig(
        &self,
        _layer: NCPNP_RECONFIG_LAYER,
        _upper: &PCWSTR,
        _lower: &PCWSTR,
        _data: *const c_void,
        _size: u32,
    ) -> Result<()> {
        Ok(())
    }
}
