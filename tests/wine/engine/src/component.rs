//! `INetCfgComponent` and the bindings of one.

use std::rc::{Rc, Weak};

use windows::Win32::Foundation::{E_NOTIMPL, E_UNEXPECTED, HWND, S_FALSE};
use windows::Win32::NetworkManagement::NetManagement::{
    EBP_ABOVE, IEnumNetCfgBindingPath, INetCfgBindingPath, INetCfgComponent, INetCfgComponent_Impl,
    INetCfgComponentBindings, INetCfgComponentBindings_Impl,
};
use windows::Win32::System::Registry::HKEY;
use windows::core::{Error, GUID, IUnknown, OutRef, PCWSTR, PWSTR, Ref, Result};
use windows_core::implement;

use crate::enums::{List, Paths};
use crate::give::{give, give_text};
use crate::path::PathObject;
use crate::store::{self, Record};
use crate::world::{World, bind_name};

/// A component, as clients see it.
#[implement(INetCfgComponent, INetCfgComponentBindings)]
pub(crate) struct ComponentObject {
    record: Rc<Record>,
    world: Weak<World>,
}

thread_local! {
    /// The engine of this thread's apartment: components find their bindings through it.
    static WORLD: std::cell::RefCell<Weak<World>> = const { std::cell::RefCell::new(Weak::new()) };
}

/// Makes `world` the one that components of this thread belong to.
pub(crate) fn enter(world: &Rc<World>) {
    WORLD.with_borrow_mut(|current| *current = Rc::downgrade(world));
}

impl ComponentObject {
    pub(crate) fn of(record: &Rc<Record>) -> Self {
        Self {
            record: Rc::clone(record),
            world: WORLD.with_borrow(Weak::clone),
        }
    }

    fn world(&self) -> Result<Rc<World>> {
        let world = self.world.upgrade();
        world.ok_or_else(|| Error::from_hresult(E_UNEXPECTED))
    }
}

fn no<T>() -> Result<T> {
    Err(Error::from_hresult(E_NOTIMPL))
}

impl INetCfgComponent_Impl for ComponentObject_Impl {
    fn GetDisplayName(&self, name: *mut PWSTR) -> Result<()> {
        // SAFETY: the method's contract is that of the function.
        unsafe { give_text(name, &self.record.description) }
    }

    fn SetDisplayName(&self, _name: &PCWSTR) -> Result<()> {
        no()
    }

    fn GetHelpText(&self, text: *mut PWSTR) -> Result<()> {
        // SAFETY: the method's contract is that of the function.
        unsafe { give_text(text, "") }
    }

    fn GetId(&self, id: *mut PWSTR) -> Result<()> {
        // SAFETY: the method's contract is that of the function.
        unsafe { give_text(id, &self.record.id) }
    }

    fn GetCharacteristics(&self) -> Result<u32> {
        let path = store::path_of(&self.record.class, &self.record.instance);
        windows_registry::LOCAL_MACHINE
            .open(path)?
            .get_u32("Characteristics")
    }

    fn GetInstanceGuid(&self, guid: *mut GUID) -> Result<()> {
        // SAFETY: the method's contract is that of the function.
        unsafe { give(guid, self.record.instance) }
    }

    fn GetPnpDevNodeId(&self, id: *mut PWSTR) -> Result<()> {
        let Some(pnp_id) = &self.record.pnp_id else {
            return no();
        };
        // SAFETY: the method's contract is that of the function.
        unsafe { give_text(id, pnp_id) }
    }

    fn GetClassGuid(&self, guid: *mut GUID) -> Result<()> {
        // SAFETY: the method's contract is that of the function.
        unsafe { give(guid, self.record.class) }
    }

    fn GetBindName(&self, name: *mut PWSTR) -> Result<()> {
        // SAFETY: the method's contract is that of the function.
        unsafe { give_text(name, &bind_name(&self.record)) }
    }

    fn GetDeviceStatus(&self) -> Result<u32> {
        no()
    }

    fn OpenParamKey(&self, _key: *mut HKEY) -> Result<()> {
        no()
    }

    fn RaisePropertyUi(&self, _parent: HWND, _flags: u32, _context: Ref<IUnknown>) -> Result<()> {
        no()
    }
}

impl INetCfgComponentBindings_Impl for ComponentObject_Impl {
    fn BindTo(&self, _other: Ref<INetCfgComponent>) -> Result<()> {
        no()
    }

    fn UnbindFrom(&self, _other: Ref<INetCfgComponent>) -> Result<()> {
        no()
    }

    fn SupportsBindingInterface(&self, _flags: u32, _name: &PCWSTR) -> Result<()> {
        no()
    }

    fn IsBoundTo(&self, _other: Ref<INetCfgComponent>) -> Result<()> {
        no()
    }

    fn IsBindableTo(&self, _other: Ref<INetCfgComponent>) -> Result<()> {
        no()
    }

    fn EnumBindingPaths(&self, flags: u32, out: OutRef<IEnumNetCfgBindingPath>) -> Result<()> {
        let world = self.world()?;
        let above = flags == EBP_ABOVE.0.cast_unsigned();
        let bindings = world.bindings.borrow().clone();
        let mine = bindings.iter().filter(|binding| {
            let end = if above {
                binding.chain.last()
            } else {
                binding.chain.first()
            };
            end.is_some_and(|end| end.instance == self.record.instance)
        });
        let paths: Vec<INetCfgBindingPath> = mine
            .map(|binding| PathObject::of(&world, binding).into())
            .collect();
        if paths.is_empty() {
            out.write(None)?;
            return Err(Error::from_hresult(S_FALSE));
        }
        out.write(Some(Paths(List::new(paths)).into()))
    }

    fn MoveBefore(&self, _a: Ref<INetCfgBindingPath>, _b: Ref<INetCfgBindingPath>) -> Result<()> {
        no()
    }

    fn MoveAfter(&self, _a: Ref<INetCfgBindingPath>, _b: Ref<INetCfgBindingPath>) -> Result<()> {
        no()
    }
}
