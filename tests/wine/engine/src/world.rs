//! The configuration in memory, and what happens in it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use windows::Win32::NetworkManagement::NetManagement::{
    INetCfg, INetCfgBindingPath, INetCfgComponent, INetCfgComponentControl,
    INetCfgComponentNotifyBinding, INetCfgComponentNotifyGlobal, INetCfgComponentSetup, NCN_ADD,
    NCN_BINDING_PATH, NCN_DISABLE, NCN_ENABLE, NCN_NET, NCN_NETTRANS, NCN_REMOVE,
    NETCFG_E_NO_WRITE_LOCK, NETCFG_S_DISABLE_QUERY,
};
use windows::Win32::System::Com::{CLSCTX_INPROC_SERVER, CoCreateInstance};
use windows::core::{Error, GUID, Interface, Result};

use crate::analysis::{self, Edges};
use crate::component::ComponentObject;
use crate::knobs;
use crate::lock::WriteLock;
use crate::path::PathObject;
use crate::store::{self, Record};

/// A chain of components, top first.
pub(crate) struct Binding {
    pub(crate) chain: Vec<Rc<Record>>,
    /// The name of each interface between two neighbours.
    pub(crate) interfaces: Vec<String>,
    pub(crate) is_enabled: Cell<bool>,
}

impl Binding {
    /// `top->...->{adapter}`.
    pub(crate) fn token(&self) -> String {
        let names = self.chain.iter().map(|record| bind_name(record));
        names.collect::<Vec<_>>().join("->")
    }

    pub(crate) fn has(&self, instance: &GUID) -> bool {
        self.chain.iter().any(|record| record.instance == *instance)
    }
}

/// Adapters go by their instance, all else by its identifier.
pub(crate) fn bind_name(record: &Record) -> String {
    if record.edges.is_adapter {
        store::braced(&record.instance)
    } else {
        record.id.to_ascii_lowercase()
    }
}

/// A notify object, and what it wants to be told.
#[derive(Clone)]
struct Notified {
    component: Rc<Record>,
    control: INetCfgComponentControl,
    global: Option<(INetCfgComponentNotifyGlobal, u32)>,
}

/// The configuration.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) lock: RefCell<Option<WriteLock>>,
    pub(crate) is_initialized: Cell<bool>,
    pub(crate) components: RefCell<Vec<Rc<Record>>>,
    pub(crate) bindings: RefCell<Vec<Rc<Binding>>>,
    notified: RefCell<Vec<Notified>>,
    /// Components that go with the next `Apply`.
    pub(crate) leaving: RefCell<Vec<Rc<Record>>>,
}

impl World {
    /// Fails without the write lock.
    pub(crate) fn require_lock(&self) -> Result<()> {
        if self.lock.borrow().is_none() {
            return Err(Error::from_hresult(NETCFG_E_NO_WRITE_LOCK));
        }
        Ok(())
    }

    /// Reads components and bindings; with the lock, serves adapters that are new.
    pub(crate) fn load(self: &Rc<Self>, engine: &INetCfg) -> Result<()> {
        let done = self.try_load(engine);
        if done.is_err() {
            self.drop_notify_objects();
            self.is_initialized.set(false);
        }
        done
    }

    fn try_load(self: &Rc<Self>, engine: &INetCfg) -> Result<()> {
        *self.components.borrow_mut() = store::read_all().into_iter().map(Rc::new).collect();
        self.leaving.borrow_mut().clear();
        self.bindings.borrow_mut().clear();
        let known = store::bindings();
        let (old, new): (Vec<_>, Vec<_>) = self
            .possible()
            .into_iter()
            .partition(|binding| known.contains_key(&binding.token()));
        for binding in old {
            let is_enabled = known.get(&binding.token()).copied().unwrap_or_default();
            binding.is_enabled.set(is_enabled);
            self.bindings.borrow_mut().push(Rc::new(binding));
        }
        // Notify objects look around already while they are told of what is new.
        self.is_initialized.set(true);
        if self.lock.borrow().is_some() {
            let all = self.components.borrow().clone();
            for record in all.iter().filter(|record| record.is_bound) {
                self.make_notify_object(record, engine, false)?;
            }
            for record in all.iter().filter(|record| !record.is_bound) {
                self.tell_component(NCN_ADD.0, record)?;
            }
            self.add(new)?;
        }
        Ok(())
    }

    /// All chains that the ranges of the components allow.
    fn possible(&self) -> Vec<Binding> {
        let all = self.components.borrow();
        let edges: Vec<Edges> = all.iter().map(|record| record.edges.clone()).collect();
        let binding = |chain: Vec<usize>| {
            let chain: Vec<Rc<Record>> = chain
                .iter()
                .filter_map(|index| all.get(*index).cloned())
                .collect();
            let interfaces = chain
                .windows(2)
                .filter_map(|pair| analysis::meet(&pair.first()?.edges, &pair.last()?.edges))
                .collect();
            Binding {
                chain,
                interfaces,
                is_enabled: Cell::new(false),
            }
        };
        analysis::chains(&edges).into_iter().map(binding).collect()
    }

    /// Looks for chains that are new, and adds them.
    pub(crate) fn analyse(self: &Rc<Self>) -> Result<()> {
        let known: HashSet<String> = self.bindings.borrow().iter().map(|b| b.token()).collect();
        let possible = self.possible().into_iter();
        self.add(possible.filter(|b| !known.contains(&b.token())).collect())
    }

    /// Asks the notify objects about each new path, then tells them how it became.
    fn add(self: &Rc<Self>, new: Vec<Binding>) -> Result<()> {
        for binding in new.into_iter().map(Rc::new) {
            let is_enabled = self.ask(&binding)?;
            binding.is_enabled.set(is_enabled);
            self.bindings.borrow_mut().push(Rc::clone(&binding));
            let state = if is_enabled { NCN_ENABLE } else { NCN_DISABLE };
            self.tell(NCN_ADD.0 | state.0, &binding)?;
        }
        Ok(())
    }

    /// Creates the notify object of `record`, if it has one, as documented: the notifications that it
    /// wants are asked for at once, then it is initialized.
    pub(crate) fn make_notify_object(
        &self,
        record: &Rc<Record>,
        engine: &INetCfg,
        is_installing: bool,
    ) -> Result<()> {
        let Some(class) = record.class_id else {
            return Ok(());
        };
        knobs::enter("CoCreateInstance")?;
        // SAFETY: the client that called us has set up COM on this thread.
        let control: INetCfgComponentControl =
            unsafe { CoCreateInstance(&class, None, CLSCTX_INPROC_SERVER) }?;
        let global = match control.cast::<INetCfgComponentNotifyGlobal>() {
            Ok(global) => {
                knobs::enter("GetSupportedNotifications")?;
                // SAFETY: the interface is live.
                let wanted = unsafe { global.GetSupportedNotifications() }?;
                Some((global, wanted))
            }
            Err(_) => None,
        };
        knobs::enter("INetCfgComponentControl::Initialize")?;
        let component: INetCfgComponent = ComponentObject::of(record).into();
        // SAFETY: the interfaces are live.
        unsafe { control.Initialize(&component, engine, is_installing) }?;
        self.notified.borrow_mut().push(Notified {
            component: Rc::clone(record),
            control,
            global,
        });
        Ok(())
    }

    /// The setup interface of the notify object of `record`.
    pub(crate) fn setup_of(&self, record: &Record) -> Option<INetCfgComponentSetup> {
        let notified = self.notified.borrow();
        let of = notified
            .iter()
            .find(|notified| notified.component.instance == record.instance)?;
        of.control.cast().ok()
    }

    /// Lets go of the notify object of `record`.
    pub(crate) fn drop_notify_object(&self, record: &Record) {
        let is_other = |notified: &Notified| notified.component.instance != record.instance;
        self.notified.borrow_mut().retain(is_other);
    }

    /// Lets go of all notify objects.
    pub(crate) fn drop_notify_objects(&self) {
        // Dropped after the borrow has ended: they may call us on their way.
        let gone = self.notified.take();
        drop(gone);
    }

    /// The controls of all notify objects.
    pub(crate) fn controls(&self) -> Vec<INetCfgComponentControl> {
        let notified = self.notified.borrow();
        notified.iter().map(|each| each.control.clone()).collect()
    }

    fn ask(self: &Rc<Self>, binding: &Rc<Binding>) -> Result<bool> {
        let flags = (NCN_ADD.0 | NCN_ENABLE.0).cast_unsigned();
        let path: INetCfgBindingPath = PathObject::of(self, binding).into();
        let mut is_enabled = true;
        for each in self.notified.borrow().clone() {
            let status = if binding.has(&each.component.instance) {
                let Ok(own) = each.control.cast::<INetCfgComponentNotifyBinding>() else {
                    continue;
                };
                knobs::enter("QueryBindingPath")?;
                // SAFETY: the interfaces are live; called directly, as the answer may be a success that
                // says no.
                unsafe { (own.vtable().QueryBindingPath)(own.as_raw(), flags, path.as_raw()) }
            } else {
                let Some((global, _)) = each.wants(NCN_BINDING_PATH.0) else {
                    continue;
                };
                knobs::enter("SysQueryBindingPath")?;
                // SAFETY: as above.
                unsafe {
                    (global.vtable().SysQueryBindingPath)(global.as_raw(), flags, path.as_raw())
                }
            };
            status.ok()?;
            is_enabled &= status != NETCFG_S_DISABLE_QUERY;
        }
        Ok(is_enabled)
    }

    /// Tells the notify objects that something has happened to a path.
    pub(crate) fn tell(self: &Rc<Self>, flags: i32, binding: &Rc<Binding>) -> Result<()> {
        let flags = flags.cast_unsigned();
        let path: INetCfgBindingPath = PathObject::of(self, binding).into();
        for each in self.notified.borrow().clone() {
            if binding.has(&each.component.instance) {
                if let Ok(own) = each.control.cast::<INetCfgComponentNotifyBinding>() {
                    knobs::enter("NotifyBindingPath")?;
                    // SAFETY: the interfaces are live.
                    unsafe { own.NotifyBindingPath(flags, &path) }?;
                }
            } else if let Some((global, _)) = each.wants(NCN_BINDING_PATH.0) {
                knobs::enter("SysNotifyBindingPath")?;
                // SAFETY: the interfaces are live.
                unsafe { global.SysNotifyBindingPath(flags, &path) }?;
            }
        }
        Ok(())
    }

    /// Tells the notify objects that a component has come or goes.
    pub(crate) fn tell_component(&self, flags: i32, record: &Rc<Record>) -> Result<()> {
        let class = if record.edges.is_adapter {
            NCN_NET.0
        } else {
            NCN_NETTRANS.0
        };
        for each in self.notified.borrow().clone() {
            let Some((global, wanted)) = each.wants(class) else {
                continue;
            };
            if wanted & flags.cast_unsigned() == 0 || each.component.instance == record.instance {
                continue;
            }
            knobs::enter("SysNotifyComponent")?;
            let component: INetCfgComponent = ComponentObject::of(record).into();
            // SAFETY: the interfaces are live.
            unsafe { global.SysNotifyComponent((flags | class).cast_unsigned(), &component) }?;
        }
        Ok(())
    }

    /// Takes a component out: its paths first.
    pub(crate) fn take_out(self: &Rc<Self>, record: &Rc<Record>) -> Result<()> {
        let all = self.bindings.borrow().clone();
        let (gone, left): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|binding| binding.has(&record.instance));
        *self.bindings.borrow_mut() = left;
        for binding in &gone {
            let state = if binding.is_enabled.get() {
                NCN_ENABLE
            } else {
                NCN_DISABLE
            };
            self.tell(NCN_REMOVE.0 | state.0, binding)?;
        }
        let stays = |other: &Rc<Record>| other.instance != record.instance;
        self.components.borrow_mut().retain(stays);
        self.tell_component(NCN_REMOVE.0, record)
    }

    /// Writes bindings and binding lists.
    pub(crate) fn keep(&self) -> Result<()> {
        let bindings = self.bindings.borrow();
        let table: BTreeMap<String, bool> = bindings
            .iter()
            .map(|binding| (binding.token(), binding.is_enabled.get()))
            .collect();
        store::keep_bindings(&table)?;
        for record in self.components.borrow().iter() {
            if !record.edges.is_adapter {
                let bound = self.devices_below(record, true);
                let disabled = self.devices_below(record, false);
                store::keep_linkage(&record.service, &bound, &disabled)?;
            }
            store::mark_bound(record)?;
        }
        Ok(())
    }

    fn devices_below(&self, record: &Record, enabled: bool) -> Vec<String> {
        let bindings = self.bindings.borrow();
        let own = bindings.iter().filter(|binding| {
            binding.is_enabled.get() == enabled
                && binding
                    .chain
                    .first()
                    .is_some_and(|top| top.instance == record.instance)
        });
        let mut devices: Vec<String> = own
            .filter_map(|binding| {
                let below = binding.chain.get(1)?;
                Some(if below.edges.is_adapter {
                    format!(r"\Device\{}", store::braced(&below.instance))
                } else {
                    format!(r"\Device\{}", below.service)
                })
            })
            .collect();
        devices.dedup();
        devices
    }
}

impl Notified {
    fn wants(&self, what: i32) -> Option<&(INetCfgComponentNotifyGlobal, u32)> {
        let global = self.global.as_ref()?;
        (global.1 & what.cast_unsigned() != 0).then_some(global)
    }
}
