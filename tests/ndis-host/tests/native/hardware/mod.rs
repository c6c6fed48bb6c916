//! A miniport driver for a PCI card, put together from steps that a test leaves out, moves or
//! bends: it calls exports as an image does.

pub(crate) mod calls;
pub(crate) mod card;
mod handlers;
mod steps;

use std::sync::{Mutex, MutexGuard, PoisonError};

use ndis_host::inf::Inf;
use ndis_host::ndis::api;
use ndis_host::pnp::{self, DeviceId};
use ndis_host::{registry, sched};
use ndis_sys::{
    NDIS_HANDLE, NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES, NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    NDIS_MINIPORT_INIT_PARAMETERS, NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS,
    NDIS_RECEIVE_THROTTLE_PARAMETERS, NDIS_SG_DMA_DESCRIPTION, NDIS_STATUS,
};

use card::Card;
pub(crate) use handlers::{
    bounds_of_message_table, driver_entry, line_calls, message_calls, take_list,
};
pub(crate) use steps::SHARED;

/// What MiniportInitializeEx does, in the order of the plan; each undoes itself at the halt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Registration,
    General,
    Offload,
    MapRegisters,
    Ports,
    Dma,
    SharedMemory,
    Interrupt,
    Timer,
    Status,
    /// The test's own.
    Custom(fn(&Hardware) -> bool),
}

impl PartialEq for Step {
    /// Of the same kind; a plan has at most one of the test's own.
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// How the driver behaves. The default keeps every rule.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// Steps that are done and not undone.
    pub(crate) forgotten: Vec<Step>,
    /// What MiniportInitializeEx returns when all steps were done.
    pub(crate) result: NDIS_STATUS,
    pub(crate) characteristics: fn(&mut NDIS_MINIPORT_DRIVER_CHARACTERISTICS),
    pub(crate) registration: fn(&mut NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES),
    pub(crate) general: fn(&mut NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES),
    pub(crate) dma: fn(&mut NDIS_SG_DMA_DESCRIPTION),
    pub(crate) interrupt: fn(&mut NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS),
    /// Sees the parameters of MiniportInitializeEx.
    pub(crate) init_parameters: fn(&mut NDIS_MINIPORT_INIT_PARAMETERS),
    /// Called when MiniportHaltEx begins.
    pub(crate) halting: fn(&Hardware),
    /// Called in the DPC.
    pub(crate) in_dpc: fn(&Hardware),
    /// What its DPC makes of the receive throttle.
    pub(crate) throttled: fn(&mut NDIS_RECEIVE_THROTTLE_PARAMETERS),
    /// What the service routine answers: whether it is the card's, and whether it wants a DPC.
    pub(crate) answer: fn(bool) -> (bool, bool),
    /// Called when SetOptions runs.
    pub(crate) set_options: Option<fn(NDIS_HANDLE)>,
    /// Messages that the machine grants.
    pub(crate) messages: Option<usize>,
    /// Keywords over those of the INF; an empty value removes one.
    pub(crate) keywords: Vec<(&'static str, registry::Value)>,
}

impl Default for Plan {
    fn default() -> Self {
        use Step::{Dma, General, Interrupt, MapRegisters, Ports, Registration, SharedMemory};
        Self {
            steps: vec![
                Registration,
                General,
                MapRegisters,
                Ports,
                Dma,
                SharedMemory,
                Interrupt,
            ],
            forgotten: Vec::new(),
            result: ndis_sys::NDIS_STATUS_SUCCESS,
            characteristics: |_| (),
            registration: |_| (),
            general: |_| (),
            dma: |_| (),
            interrupt: |_| (),
            init_parameters: |_| (),
            halting: |_| (),
            in_dpc: |_| (),
            throttled: |_| (),
            answer: |own| (own, own),
            set_options: None,
            messages: None,
            keywords: Vec::new(),
        }
    }
}

/// What the driver has of its adapter. Addresses are numbers, so that any thread may look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hardware {
    pub(crate) adapter: usize,
    pub(crate) registers: usize,
    pub(crate) register_range: (u64, u32),
    pub(crate) ports: usize,
    pub(crate) port_range: (u32, u32),
    pub(crate) dma: usize,
    pub(crate) shared: usize,
    pub(crate) shared_logical: i64,
    pub(crate) interrupt: usize,
    pub(crate) interrupt_type: i32,
    pub(crate) message_table: usize,
    pub(crate) timer: usize,
    /// Header of the parameters of MiniportInitializeEx.
    pub(crate) init_revision: u8,
    pub(crate) init_size: u16,
}

impl Hardware {
    pub(crate) fn handle(&self) -> NDIS_HANDLE {
        std::ptr::without_provenance_mut(self.adapter)
    }

    pub(crate) fn interrupt_handle(&self) -> NDIS_HANDLE {
        std::ptr::without_provenance_mut(self.interrupt)
    }

    pub(crate) fn dma_handle(&self) -> NDIS_HANDLE {
        std::ptr::without_provenance_mut(self.dma)
    }

    /// Has the card do something with memory.
    pub(crate) fn command(&self, command: u32, address: i64, length: u32, value: u32) {
        self.write(card::ADDRESS, address as u64);
        self.write_word(card::LENGTH, length);
        self.write_word(card::VALUE, value);
        self.write_word(card::COMMAND, command);
    }

    fn write(&self, offset: u64, value: u64) {
        let at: *mut u64 = std::ptr::with_exposed_provenance_mut(self.registers + offset as usize);
        // SAFETY: the registers are mapped while the driver uses them.
        unsafe { at.write_volatile(value) };
    }

    fn write_word(&self, offset: u64, value: u32) {
        let at: *mut u32 = std::ptr::with_exposed_provenance_mut(self.registers + offset as usize);
        // SAFETY: as in `write`.
        unsafe { at.write_volatile(value) };
    }

    /// Reads a register.
    pub(crate) fn read_word(&self, offset: u64) -> u32 {
        let at: *const u32 = std::ptr::with_exposed_provenance(self.registers + offset as usize);
        // SAFETY: as in `write`.
        unsafe { at.read_volatile() }
    }
}

static PLAN: Mutex<Option<Plan>> = Mutex::new(None);
static HARDWARE: Mutex<Option<Hardware>> = Mutex::new(None);
static CARD: Mutex<Option<Card>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn plan() -> Plan {
    lock(&PLAN).clone().expect("a plan was made")
}

/// What the driver has now.
pub(crate) fn hardware() -> Hardware {
    (*lock(&HARDWARE)).unwrap_or_default()
}

fn change<R>(body: impl FnOnce(&mut Hardware) -> R) -> R {
    body(lock(&HARDWARE).get_or_insert_default())
}

/// The card that is plugged in.
pub(crate) fn card() -> Card {
    lock(&CARD).clone().expect("a card was plugged in")
}

const INF: &str = r#"
[Version]
Signature = "$Windows NT$"
Class = Net
ClassGuid = {4D36E972-E325-11CE-BFC1-08002BE10318}
Provider = Test
DriverVer = 01/01/2024,1.0.0.0

[Manufacturer]
Test = Test,NTamd64.10.0

[Test.NTamd64.10.0]
"Card" = Card, PCI\VEN_1AF4&DEV_10FF

[Card]
Characteristics = 0x84
BusType = 5
*IfType = 6
*MediaType = 0
*PhysicalMediaType = 14

[Card.Services]
AddService = test, 2, Service

[Service]
ServiceType = 1
StartType = 3
ErrorControl = 1
ServiceBinary = %13%\test.sys
"#;

/// Loads the driver and plugs the card in; the device is not started.
pub(crate) fn plug(new: Plan) -> (pnp::DriverId, DeviceId) {
    let (messages, keywords) = (new.messages, new.keywords.clone());
    *lock(&PLAN) = Some(new);
    let driver = pnp::load_linked_driver("test", driver_entry).expect("it loads");
    let inf = Inf::parse(INF).expect("the INF is well-formed");
    let device = pnp::add_pci_device(driver, &inf, &keywords, |host| {
        let card = Card::new(host);
        *lock(&CARD) = Some(card.clone());
        Box::new(card)
    })
    .expect("the INF has the card");
    pnp::limit_messages(device, messages);
    (driver, device)
}

/// Loads the driver and unloads it again, if it loads.
pub(crate) fn load_only(new: Plan) {
    *lock(&PLAN) = Some(new);
    if let Ok(driver) = pnp::load_linked_driver("test", driver_entry) {
        pnp::unload_driver(driver);
    }
}

/// A whole life of the driver: load, start, `body` with the adapter up, removal, unload.
pub(crate) fn live(plan: Plan, body: impl FnOnce(DeviceId)) {
    let (driver, device) = plug(plan);
    pnp::start_device(device).expect("it starts");
    pnp::settle();
    body(device);
    pnp::remove_device(device);
    pnp::unload_driver(driver);
}

/// A life of the driver in which the device does not start.
pub(crate) fn fail(plan: Plan) {
    let (driver, device) = plug(plan);
    pnp::start_device(device).expect_err("it does not start");
    pnp::remove_device(device);
    pnp::unload_driver(driver);
}

/// Starts a device of a plan that breaks a rule, whatever comes of it.
pub(crate) fn attempt(plan: Plan) {
    let (driver, device) = plug(plan);
    let _ = pnp::start_device(device);
    pnp::settle();
    pnp::remove_device(device);
    pnp::unload_driver(driver);
}

/// Waits until `ready`, at most a second of virtual time.
pub(crate) fn wait(what: &'static str, ready: impl FnMut() -> bool) {
    let limit_ns = 1_000_000_000;
    assert!(sched::wait(what, ready, Some(limit_ns)), "{what}: never");
}

/// The attributes of an Ethernet NIC, as the native NIC declares them.
pub(crate) fn ethernet() -> api::AdapterAttributes {
    api::AdapterAttributes::ethernet(super::nic::MAC)
}
