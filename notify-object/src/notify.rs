//! The notify object: what the engine calls.
//!
//! The engine may call back while we call it (enabling a path notifies us), so the state's lock is
//! never held over a call to the engine.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use netcfg::server::Alive;
use netcfg::{Component, Path, class};
use windows::Win32::Foundation::{E_INVALIDARG, E_UNEXPECTED};
use windows::Win32::NetworkManagement::NetManagement::{
    INetCfg, INetCfgBindingPath, INetCfgComponent, INetCfgComponentControl,
    INetCfgComponentControl_Impl, INetCfgComponentNotifyBinding,
    INetCfgComponentNotifyBinding_Impl, INetCfgComponentNotifyGlobal,
    INetCfgComponentNotifyGlobal_Impl, INetCfgComponentSetup, INetCfgComponentSetup_Impl,
    INetCfgPnpReconfigCallback, NCN_ADD, NCN_BINDING_PATH, NCN_DISABLE, NCN_ENABLE, NCN_NET,
    NCN_REMOVE, NETCFG_S_DISABLE_QUERY,
};
use windows::core::{BOOL, Error, HRESULT, PCWSTR, Ref, Result};
use windows_core::implement;

use crate::policy::{Policy, Verdict, is_vioprot};
use crate::settings;
use crate::withheld::Withheld;
use crate::work::{self, Adapters};

/// What the object knows between two calls.
struct State {
    engine: Option<INetCfg>,
    policy: Policy,
    withheld: Withheld,
    /// VIOPROT is being removed: nothing is refused any more.
    is_leaving: bool,
    /// A function may have a path that it should not have: one that could not be taken away, perhaps before
    /// this object was there, or one that a changed list of functions makes wrong.
    is_unsettled: bool,
}

impl State {
    fn read() -> Self {
        Self {
            engine: None,
            policy: settings::policy(),
            withheld: settings::withheld(),
            is_leaving: false,
            is_unsettled: true,
        }
    }
}

/// The notify object of VIOPROT.
#[implement(
    INetCfgComponentControl,
    INetCfgComponentSetup,
    INetCfgComponentNotifyBinding,
    INetCfgComponentNotifyGlobal
)]
pub(crate) struct Notify {
    state: Mutex<State>,
    _alive: Alive,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State::read()),
            _alive: Alive::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic would have aborted the process or left the state whole: it has no invariants.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine and the rules.
    ///
    /// # Errors
    ///
    /// `Initialize` has not been called.
    fn tools(&self) -> Result<(INetCfg, Policy)> {
        let state = self.state();
        let engine = state.engine.clone();
        let engine = engine.ok_or_else(|| Error::from_hresult(E_UNEXPECTED))?;
        Ok((engine, state.policy.clone()))
    }

    /// Takes the virtual functions in hand. With `is_fresh`, each gets VIOPROT; without, those that are
    /// new, or had been refused it.
    ///
    /// # Errors
    ///
    /// The adapters can't be listed, or VIOPROT can't be enabled.
    fn seize(&self, is_fresh: bool) -> Result<()> {
        let (engine, policy) = self.tools()?;
        let mut withheld = {
            let mut state = self.state();
            // Each path that is disabled below is notified to us; nobody else is to see to it meanwhile.
            state.is_unsettled = false;
            state.withheld.clone()
        };
        let adapters = Adapters::read(&engine, &withheld);
        let done = adapters.and_then(|adapters| adapters.seize(&policy, &mut withheld, is_fresh));
        let mut state = self.state();
        state.withheld = withheld;
        state.is_unsettled = !matches!(done, Ok(true));
        done.map(drop)
    }

    /// Tries again what may not have been taken. The notification of a changed path is the place for that:
    /// a notify object may change bindings there, but not while the changes are applied.
    fn settle(&self) {
        let is_due = self.state().is_unsettled;
        if is_due {
            // That it fails once more is no reason to refuse the change that we are told of.
            let _ = self.seize(false);
        }
    }

    /// Answers whether a path that is about to be added may be enabled. One that is added disabled loses
    /// nothing.
    fn query(&self, flags: u32, path: Ref<INetCfgBindingPath>) -> Result<()> {
        let path = Path::from(path.ok()?.clone());
        let is_asked = has(flags, NCN_ADD.0 | NCN_ENABLE.0) && !has(flags, NCN_DISABLE.0);
        if !is_asked || self.state().is_leaving {
            return Ok(());
        }
        if self.is_refused(&path)? {
            return Err(as_answer(NETCFG_S_DISABLE_QUERY));
        }
        Ok(())
    }

    /// Undoes the enabling of a path that is not wanted. A path that goes comes with NCN_ENABLE or
    /// NCN_DISABLE as well, for what it was.
    fn notify(&self, flags: u32, path: Ref<INetCfgBindingPath>) -> Result<()> {
        if has(flags, NCN_REMOVE.0) || self.state().is_leaving {
            return Ok(());
        }
        let path = Path::from(path.ok()?.clone());
        let is_on = has(flags, NCN_ENABLE.0) && path.is_enabled().unwrap_or(false);
        if is_on && self.is_refused(&path)? {
            path.enable(false)?;
        }
        self.settle();
        Ok(())
    }

    /// Judges, and records what another component loses, or VIOPROT on an adapter that was ours. What
    /// can't be read is not refused.
    ///
    /// # Errors
    ///
    /// `Initialize` has not been called.
    fn is_refused(&self, path: &Path) -> Result<bool> {
        let (engine, policy) = self.tools()?;
        let withheld = self.state().withheld.clone();
        let adapters = Adapters::read(&engine, &withheld).ok();
        let judged = adapters.and_then(|adapters| adapters.judge(&policy, &withheld, path));
        let Some(judged) = judged.filter(|judged| judged.verdict == Verdict::Refuse) else {
            return Ok(false);
        };
        if !is_vioprot(&judged.owner) || withheld.knows(&judged.adapter) {
            self.state().withheld.add(&judged.adapter, &judged.token);
        }
        Ok(true)
    }
}

impl INetCfgComponentControl_Impl for Notify_Impl {
    fn Initialize(
        &self,
        _component: Ref<INetCfgComponent>,
        engine: Ref<INetCfg>,
        _is_installing: BOOL,
    ) -> Result<()> {
        self.state().engine = Some(engine.ok()?.clone());
        Ok(())
    }

    fn ApplyRegistryChanges(&self) -> Result<()> {
        let withheld = self.state().withheld.clone();
        settings::keep(&withheld)
    }

    /// The engine itself tells NDIS of the changed bindings.
    fn ApplyPnpChanges(&self, _callback: Ref<INetCfgPnpReconfigCallback>) -> Result<()> {
        Ok(())
    }

    fn CancelChanges(&self) -> Result<()> {
        let mut state = self.state();
        let engine = mem::take(&mut state.engine);
        *state = State {
            engine,
            ..State::read()
        };
        Ok(())
    }
}

impl INetCfgComponentSetup_Impl for Notify_Impl {
    fn Install(&self, _setup_flags: u32) -> Result<()> {
        self.seize(true)
    }

    fn Upgrade(&self, _setup_flags: u32, _from_build: u32) -> Result<()> {
        self.seize(false)
    }

    /// There is nothing to answer.
    fn ReadAnswerFile(&self, _file: &PCWSTR, _section: &PCWSTR) -> Result<()> {
        Ok(())
    }

    fn Removing(&self) -> Result<()> {
        let (engine, policy) = self.tools()?;
        self.state().is_leaving = true;
        if settings::is_upgrading() {
            // What functions get back now, the next notify object would take again: a moment of traffic by a
            // path that is not meant to be.
            return Ok(());
        }
        // An adapter that is absent now keeps its record for the next time.
        let mut withheld = self.state().withheld.clone();
        let done = Adapters::read(&engine, &withheld)?.release(&policy, &mut withheld);
        self.state().withheld = withheld;
        done
    }
}

impl INetCfgComponentNotifyBinding_Impl for Notify_Impl {
    fn QueryBindingPath(&self, flags: u32, path: Ref<INetCfgBindingPath>) -> Result<()> {
        self.query(flags, path)
    }

    fn NotifyBindingPath(&self, flags: u32, path: Ref<INetCfgBindingPath>) -> Result<()> {
        self.notify(flags, path)
    }
}

impl INetCfgComponentNotifyGlobal_Impl for Notify_Impl {
    fn GetSupportedNotifications(&self) -> Result<u32> {
        let all = NCN_NET.0 | NCN_BINDING_PATH.0 | NCN_ADD.0 | NCN_REMOVE.0 | NCN_ENABLE.0;
        Ok(all.cast_unsigned())
    }

    fn SysQueryBindingPath(&self, flags: u32, path: Ref<INetCfgBindingPath>) -> Result<()> {
        self.query(flags, path)
    }

    fn SysNotifyBindingPath(&self, flags: u32, path: Ref<INetCfgBindingPath>) -> Result<()> {
        self.notify(flags, path)
    }

    fn SysNotifyComponent(&self, flags: u32, component: Ref<INetCfgComponent>) -> Result<()> {
        let component = Component::from(component.ok()?.clone());
        let is_adapter = component.class().is_ok_and(|class| class == class::NET);
        if !is_adapter || self.state().is_leaving {
            return Ok(());
        }
        if has(flags, NCN_REMOVE.0) {
            if let Ok(instance) = component.instance() {
                self.state().withheld.forget(&work::name(&instance));
            }
        } else if has(flags, NCN_ADD.0) {
            // A new NetKVM adapter may make a function of one that was there before. That one of those
            // can't be served is no reason to refuse the one that comes.
            let _ = self.seize(false);
        }
        Ok(())
    }
}

/// Tells whether one of `wanted` is in `flags`.
fn has(flags: u32, wanted: i32) -> bool {
    flags & wanted.cast_unsigned() != 0
}

/// An answer that is a success to COM but not `S_OK`; it has to travel as an error value.
fn as_answer(code: HRESULT) -> Error {
    Error::from_hresult(if code.is_ok() { code } else { E_INVALIDARG })
}
