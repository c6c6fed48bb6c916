//! Binding paths and the interfaces that they consist of.

use std::rc::Rc;

use windows::Win32::Foundation::{E_NOTIMPL, E_UNEXPECTED, S_FALSE};
use windows::Win32::NetworkManagement::NetManagement::{
    IEnumNetCfgBindingInterface, INetCfgBindingInterface, INetCfgBindingInterface_Impl,
    INetCfgBindingPath, INetCfgBindingPath_Impl, INetCfgComponent, NCN_DISABLE, NCN_ENABLE,
};
use windows::core::{BOOL, Error, OutRef, PWSTR, Ref, Result};
use windows_core::implement;

use crate::component::ComponentObject;
use crate::enums::{Interfaces, List};
use crate::give::give_text;
use crate::knobs;
use crate::store::Record;
use crate::world::{Binding, World};

/// A path, as clients see it.
#[implement(INetCfgBindingPath)]
pub(crate) struct PathObject {
    world: Rc<World>,
    binding: Rc<Binding>,
}

impl PathObject {
    pub(crate) fn of(world: &Rc<World>, binding: &Rc<Binding>) -> Self {
        Self {
            world: Rc::clone(world),
            binding: Rc::clone(binding),
        }
    }
}

fn unexpected() -> Error {
    Error::from_hresult(E_UNEXPECTED)
}

/// The path of another object, by its token.
fn token_of(path: Ref<INetCfgBindingPath>) -> Result<String> {
    let mut token = PWSTR::null();
    // SAFETY: the interface is live, and `token` a place for one string.
    unsafe { path.ok()?.GetPathToken(Some(&raw mut token)) }?;
    // SAFETY: the method has succeeded: the string is ours.
    Ok(unsafe { netcfg::take(token) })
}

fn yes_or_no(is: bool) -> Result<()> {
    if is {
        Ok(())
    } else {
        Err(Error::from_hresult(S_FALSE))
    }
}

impl INetCfgBindingPath_Impl for PathObject_Impl {
    fn IsSamePathAs(&self, other: Ref<INetCfgBindingPath>) -> Result<()> {
        yes_or_no(token_of(other)? == self.binding.token())
    }

    fn IsSubPathOf(&self, other: Ref<INetCfgBindingPath>) -> Result<()> {
        yes_or_no(token_of(other)?.contains(&self.binding.token()))
    }

    fn IsEnabled(&self) -> Result<()> {
        yes_or_no(self.binding.is_enabled.get())
    }

    fn Enable(&self, on: BOOL) -> Result<()> {
        self.world.require_lock()?;
        knobs::enter("Enable")?;
        let on = on.as_bool();
        if self.binding.is_enabled.replace(on) == on {
            return Ok(());
        }
        let flags = if on { NCN_ENABLE } else { NCN_DISABLE };
        self.world.tell(flags.0, &self.binding)
    }

    fn GetPathToken(&self, token: *mut PWSTR) -> Result<()> {
        // SAFETY: the method's contract is that of the function.
        unsafe { give_text(token, &self.binding.token()) }
    }

    fn GetOwner(&self, owner: OutRef<INetCfgComponent>) -> Result<()> {
        let top = self.binding.chain.first().ok_or_else(unexpected)?;
        owner.write(Some(ComponentObject::of(top).into()))
    }

    fn GetDepth(&self) -> Result<u32> {
        u32::try_from(self.binding.chain.len()).map_err(|_| unexpected())
    }

    fn EnumBindingInterfaces(&self, out: OutRef<IEnumNetCfgBindingInterface>) -> Result<()> {
        let pairs = self.binding.chain.windows(2);
        let named = pairs.zip(&self.binding.interfaces);
        let interfaces = named.filter_map(|(pair, name)| {
            Some(INetCfgBindingInterface::from(InterfaceObject {
                name: name.clone(),
                upper: Rc::clone(pair.first()?),
                lower: Rc::clone(pair.last()?),
            }))
        });
        out.write(Some(Interfaces(List::new(interfaces.collect())).into()))
    }
}

/// One link of a chain.
#[implement(INetCfgBindingInterface)]
struct InterfaceObject {
    name: String,
    upper: Rc<Record>,
    lower: Rc<Record>,
}

impl INetCfgBindingInterface_Impl for InterfaceObject_Impl {
    fn GetName(&self, name: *mut PWSTR) -> Result<()> {
        if name.is_null() {
            return Err(Error::from_hresult(E_NOTIMPL));
        }
        // SAFETY: the method's contract is that of the function.
        unsafe { give_text(name, &self.name) }
    }

    fn GetUpperComponent(&self, upper: OutRef<INetCfgComponent>) -> Result<()> {
        upper.write(Some(ComponentObject::of(&self.upper).into()))
    }

    fn GetLowerComponent(&self, lower: OutRef<INetCfgComponent>) -> Result<()> {
        lower.write(Some(ComponentObject::of(&self.lower).into()))
    }
}
