//! A session with the engine: read, or take the write lock, change and apply.

use std::marker::PhantomData;
use std::ptr;
use std::rc::Rc;
use std::time::Duration;

use windows::Win32::Foundation::{E_FAIL, S_OK};
use windows::Win32::NetworkManagement::NetManagement::{
    IEnumNetCfgComponent, INetCfg, INetCfgClassSetup, INetCfgComponent, INetCfgLock,
    NETCFG_S_REBOOT, NETCFG_S_STILL_REFERENCED, OBO_TOKEN, OBO_USER,
};
use windows::Win32::System::Com::{
    CLSCTX_INPROC_SERVER, COINIT_APARTMENTTHREADED, CoCreateInstance, CoFreeUnusedLibrariesEx,
    CoInitializeEx, CoUninitialize,
};
use windows::core::{Error, GUID, HRESULT, HSTRING, Interface, PCWSTR, PWSTR, Result};

use crate::Component;
use crate::enumerate::collect;
use crate::text::take;

/// The engine's class (CLSID_CNetCfg).
const CNETCFG: GUID = GUID::from_u128(0x5b035261_40f9_11d1_aaec_00805fc1270e);

/// COM on this thread, as long as the value lives.
pub struct Apartment(PhantomData<Rc<()>>);

impl Apartment {
    /// Enters a single-threaded apartment.
    ///
    /// # Errors
    ///
    /// The thread is in an apartment of the other kind.
    pub fn enter() -> Result<Self> {
        // SAFETY: no contract but that each success is paired with `CoUninitialize`: see `drop`.
        unsafe { CoInitializeEx(None, COINIT_APARTMENTTHREADED) }.ok()?;
        Ok(Self(PhantomData))
    }

    /// Unloads the servers that no object is left of, so that their files can be removed.
    pub fn unload_unused(&self) {
        // SAFETY: COM is up on this thread; without delay, and the second argument is reserved.
        unsafe { CoFreeUnusedLibrariesEx(0, None) };
    }
}

impl Drop for Apartment {
    fn drop(&mut self) {
        // SAFETY: pairs the success of `enter`, on the same thread, as the type is not `Send`.
        unsafe { CoUninitialize() };
    }
}

/// What became of the attempt to take the write lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locked {
    /// We hold it.
    Yes,
    /// Another program does; its description of itself.
    HeldBy(String),
}

/// How changes took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// At once.
    Now,
    /// They wait for the next start of the system.
    AfterReboot,
}

impl From<HRESULT> for Applied {
    /// Of a call that has succeeded.
    fn from(status: HRESULT) -> Self {
        if status == NETCFG_S_REBOOT {
            Self::AfterReboot
        } else {
            Self::Now
        }
    }
}

/// What became of a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The component goes.
    Gone(Applied),
    /// It stays: other components need it; their descriptions.
    StillReferenced(String),
}

/// The engine, created but perhaps not initialized.
pub struct Session<'a> {
    engine: INetCfg,
    is_initialized: bool,
    is_locked: bool,
    _apartment: PhantomData<&'a Apartment>,
}

impl<'a> Session<'a> {
    /// Creates the engine in this process.
    ///
    /// # Errors
    ///
    /// The class is not registered, or can't be loaded.
    pub fn open(_apartment: &'a Apartment) -> Result<Self> {
        // SAFETY: COM is up on this thread: the apartment outlives the session.
        let engine = unsafe { CoCreateInstance(&CNETCFG, None, CLSCTX_INPROC_SERVER) }?;
        Ok(Self {
            engine,
            is_initialized: false,
            is_locked: false,
            _apartment: PhantomData,
        })
    }

    /// Takes the write lock under the name `client`; waits for it up to `patience`. Has to be called
    /// before [`initialize`](Self::initialize).
    ///
    /// # Errors
    ///
    /// The engine fails; `E_ACCESSDENIED` without administrator rights.
    pub fn lock(&mut self, client: &str, patience: Duration) -> Result<Locked> {
        let lock: INetCfgLock = self.engine.cast()?;
        let client = HSTRING::from(client);
        let patience = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        let mut holder = PWSTR::null();
        // SAFETY: the interface is live, the name is null-terminated and outlives the call, and `holder`
        // is a place for one string.
        let status = unsafe {
            (lock.vtable().AcquireWriteLock)(
                lock.as_raw(),
                patience,
                PCWSTR(client.as_ptr()),
                &raw mut holder,
            )
        };
        status.ok()?;
        // SAFETY: the method has succeeded: null, or a string that is ours.
        let holder = unsafe { take(holder) };
        if status == S_OK {
            self.is_locked = true;
            return Ok(Locked::Yes);
        }
        Ok(Locked::HeldBy(holder))
    }

    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// The engine fails; `NETCFG_E_NEED_REBOOT` while the system waits for a restart.
    pub fn initialize(&mut self) -> Result<()> {
        // SAFETY: the argument is reserved and null.
        unsafe { self.engine.Initialize(None) }?;
        self.is_initialized = true;
        Ok(())
    }

    /// The component of that identifier.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn find(&self, id: &str) -> Result<Option<Component>> {
        let id = HSTRING::from(id);
        let mut found: Option<INetCfgComponent> = None;
        // SAFETY: `found` is a place for one interface pointer; the name outlives the call. That there is
        // none is `S_FALSE` with a null pointer.
        unsafe { self.engine.FindComponent(&id, Some(&raw mut found)) }?;
        Ok(found.map(Component))
    }

    /// All components of a setup class.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn components(&self, class: &GUID) -> Result<Vec<Component>> {
        components(&self.engine, class)
    }

    /// Installs the component `id` of class `class`, whose INF is in the system's INF folder.
    ///
    /// # Errors
    ///
    /// The INF is unknown, a file is missing, the notify object refuses, or the engine fails.
    pub fn install(&self, class: &GUID, id: &str) -> Result<Applied> {
        let setup = self.class_setup(class)?;
        let id = HSTRING::from(id);
        let user = on_behalf_of_user();
        // SAFETY: the token and the name outlive the call; all else is absent by null.
        let status = unsafe {
            (setup.vtable().Install)(
                setup.as_raw(),
                PCWSTR(id.as_ptr()),
                &raw const user,
                0,
                0,
                PCWSTR::null(),
                PCWSTR::null(),
                ptr::null_mut(),
            )
        };
        status.ok()?;
        Ok(status.into())
    }

    /// Removes `component` of class `class`.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn deinstall(&self, class: &GUID, component: &Component) -> Result<Removal> {
        let setup = self.class_setup(class)?;
        let user = on_behalf_of_user();
        let mut references = PWSTR::null();
        // SAFETY: the token outlives the call, and `references` is a place for one string.
        let status = unsafe {
            (setup.vtable().DeInstall)(
                setup.as_raw(),
                component.0.as_raw(),
                &raw const user,
                &raw mut references,
            )
        };
        status.ok()?;
        // SAFETY: the method has succeeded: null, or a string that is ours, with a line for each component.
        let references = unsafe { take(references) };
        if status == NETCFG_S_STILL_REFERENCED {
            return Ok(Removal::StillReferenced(references));
        }
        Ok(Removal::Gone(status.into()))
    }

    /// Makes the changes true.
    ///
    /// # Errors
    ///
    /// The engine fails; what it has done by then stays.
    pub fn apply(&self) -> Result<Applied> {
        // SAFETY: the interface is live; no arguments.
        let status = unsafe { (self.engine.vtable().Apply)(self.engine.as_raw()) };
        status.ok()?;
        Ok(status.into())
    }

    /// Forgets the changes that are not applied.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn cancel(&self) -> Result<()> {
        // SAFETY: the interface is live; no arguments.
        unsafe { self.engine.Cancel() }
    }

    fn class_setup(&self, class: &GUID) -> Result<INetCfgClassSetup> {
        let mut raw = ptr::null_mut();
        // SAFETY: the GUIDs outlive the call; `raw` is a place for the interface that is named.
        unsafe {
            self.engine
                .QueryNetCfgClass(class, &INetCfgClassSetup::IID, Some(&raw mut raw))
        }?;
        if raw.is_null() {
            return Err(Error::from_hresult(E_FAIL));
        }
        // SAFETY: the engine has handed out a reference to the interface that was asked for.
        Ok(unsafe { INetCfgClassSetup::from_raw(raw) })
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // Nobody could do anything about a failure here.
        if self.is_initialized {
            // SAFETY: the interface is live and initialized.
            let _ = unsafe { self.engine.Uninitialize() };
        }
        if self.is_locked
            && let Ok(lock) = self.engine.cast::<INetCfgLock>()
        {
            // SAFETY: the lock is ours; the engine lets go of it only after `Uninitialize`.
            let _ = unsafe { lock.ReleaseWriteLock() };
        }
    }
}

/// All components of a setup class of an engine that somebody else has opened.
///
/// # Errors
///
/// The engine fails.
pub(crate) fn components(engine: &INetCfg, class: &GUID) -> Result<Vec<Component>> {
    let mut all: Option<IEnumNetCfgComponent> = None;
    // SAFETY: the GUID outlives the call; `all` is a place for one interface pointer.
    unsafe { engine.EnumComponents(class, Some(&raw mut all)) }?;
    let Some(all) = all else {
        return Ok(Vec::new());
    };
    let found = collect(|slot| {
        // SAFETY: the enumerator is live, `slot` has room for one interface pointer, and the count may be
        // null when one element is asked for.
        unsafe { (all.vtable().Next)(all.as_raw(), 1, ptr::from_mut(slot).cast(), ptr::null_mut()) }
    })?;
    Ok(found.into_iter().map(Component).collect())
}

impl Component {
    /// All components of class `class` in `engine`, which the caller of a notify object has opened.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn all(engine: &INetCfg, class: &GUID) -> Result<Vec<Self>> {
        components(engine, class)
    }
}

/// The person at the keyboard wants it, no other component.
fn on_behalf_of_user() -> OBO_TOKEN {
    OBO_TOKEN {
        Type: OBO_USER,
        ..OBO_TOKEN::default()
    }
}
