//! `INetCfgClass` and `INetCfgClassSetup`: components come and go.

use std::rc::Rc;

use windows::Win32::Foundation::{E_NOTIMPL, HWND};
use windows::Win32::NetworkManagement::NetManagement::{
    IEnumNetCfgComponent, INetCfg, INetCfgClass, INetCfgClass_Impl, INetCfgClassSetup,
    INetCfgClassSetup_Impl, INetCfgComponent, NETCFG_S_STILL_REFERENCED, NSF_PRIMARYINSTALL,
    OBO_TOKEN, OBO_USER,
};
use windows::core::{Error, GUID, OutRef, PCWSTR, PWSTR, Ref, Result};
use windows_core::implement;

use crate::component::ComponentObject;
use crate::objects::{components_of, find};
use crate::store::{self, Record};
use crate::world::World;
use crate::{installer, knobs};

/// A class of components.
#[implement(INetCfgClass, INetCfgClassSetup)]
pub(crate) struct ClassObject {
    world: Rc<World>,
    class: GUID,
    engine: INetCfg,
}

impl ClassObject {
    pub(crate) fn new(world: &Rc<World>, class: GUID, engine: INetCfg) -> Self {
        Self {
            world: Rc::clone(world),
            class,
            engine,
        }
    }

    /// Everything that follows once files, services and keys are there.
    fn bring_up(&self, record: &Rc<Record>) -> Result<()> {
        self.world.components.borrow_mut().push(Rc::clone(record));
        self.world.make_notify_object(record, &self.engine, true)?;
        if let Some(setup) = self.world.setup_of(record) {
            knobs::enter("INetCfgComponentSetup::Install")?;
            // SAFETY: the interface is live.
            unsafe { setup.Install(NSF_PRIMARYINSTALL.0.cast_unsigned()) }?;
        }
        self.world.analyse()
    }
}

/// Somebody has to want it: the user, or with the component named, another component.
fn check(token: *const OBO_TOKEN) -> Result<()> {
    if token.is_null() {
        return Err(store::invalid());
    }
    // SAFETY: not null, so a token by the methods' contract.
    if unsafe { (*token).Type } != OBO_USER {
        return Err(store::invalid());
    }
    Ok(())
}

impl INetCfgClass_Impl for ClassObject_Impl {
    fn FindComponent(&self, id: &PCWSTR, out: OutRef<INetCfgComponent>) -> Result<()> {
        find(&self.world, id, Some(&self.class), out)
    }

    fn EnumComponents(&self, out: OutRef<IEnumNetCfgComponent>) -> Result<()> {
        out.write(Some(components_of(&self.world, &self.class)))
    }
}

impl INetCfgClassSetup_Impl for ClassObject_Impl {
    fn SelectAndInstall(
        &self,
        _parent: HWND,
        _token: *const OBO_TOKEN,
        _out: OutRef<INetCfgComponent>,
    ) -> Result<()> {
        Err(Error::from_hresult(E_NOTIMPL))
    }

    fn Install(
        &self,
        id: &PCWSTR,
        token: *const OBO_TOKEN,
        _flags: u32,
        _from_build: u32,
        _answer_file: &PCWSTR,
        _answer_section: &PCWSTR,
        out: OutRef<INetCfgComponent>,
    ) -> Result<()> {
        knobs::enter("INetCfgClassSetup::Install")?;
        self.world.require_lock()?;
        check(token)?;
        // SAFETY: a null-terminated string by the method's contract.
        let id = unsafe { id.to_string() }.map_err(|_| store::invalid())?;
        // One that is there only gets another reference: its INF does not run again.
        let all = self.world.components.borrow().clone();
        let mut known = all.iter().filter(|record| record.class == self.class);
        if let Some(record) = known.find(|record| record.id.eq_ignore_ascii_case(&id)) {
            if !out.is_null() {
                out.write(Some(ComponentObject::of(record).into()))?;
            }
            return knobs::succeed("Install");
        }
        let record = Rc::new(installer::install(&self.class, &id)?);
        if let Err(error) = self.bring_up(&record) {
            self.world.drop_notify_object(&record);
            // The reason is the first failure, whatever the clean-up meets.
            let _ = self.world.take_out(&record);
            let _ = installer::remove(&record);
            return Err(error);
        }
        if !out.is_null() {
            out.write(Some(ComponentObject::of(&record).into()))?;
        }
        knobs::succeed("Install")
    }

    fn DeInstall(
        &self,
        component: Ref<INetCfgComponent>,
        token: *const OBO_TOKEN,
        _references: *mut PWSTR,
    ) -> Result<()> {
        knobs::enter("DeInstall")?;
        self.world.require_lock()?;
        check(token)?;
        let mut instance = GUID::zeroed();
        // SAFETY: the interface is live, and `instance` a place for a GUID.
        unsafe { component.ok()?.GetInstanceGuid(Some(&raw mut instance)) }?;
        let all = self.world.components.borrow().clone();
        let record = all.iter().find(|record| record.instance == instance);
        let record = record.ok_or_else(store::invalid)?;
        if knobs::is_referenced() {
            return Err(Error::from_hresult(NETCFG_S_STILL_REFERENCED));
        }
        if let Some(setup) = self.world.setup_of(record) {
            knobs::enter("Removing")?;
            // SAFETY: the interface is live.
            unsafe { setup.Removing() }?;
        }
        self.world.take_out(record)?;
        self.world.leaving.borrow_mut().push(Rc::clone(record));
        knobs::succeed("DeInstall")
    }
}
