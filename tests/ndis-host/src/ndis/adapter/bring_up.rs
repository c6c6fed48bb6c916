//! MiniportInitializeEx, MiniportHaltEx, MiniportShutdownEx and the PnP notifications.

use ndis_sys::{
    NDIS_DEVICE_PNP_EVENT, NDIS_HALT_ACTION, NDIS_MINIPORT_ATTRIBUTES_REGISTER_BUGCHECK_CALLBACK,
    NDIS_MINIPORT_INIT_PARAMETERS, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_OBJECT_TYPE_MINIPORT_INIT_PARAMETERS, NDIS_SHUTDOWN_ACTION,
    NDIS_SIZEOF_MINIPORT_INIT_PARAMETER_REVISION_1, NDIS_SIZEOF_NET_DEVICE_PNP_EVENT_REVISION_1,
    NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_NOT_ACCEPTED, NDIS_STATUS_PENDING,
    NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NET_DEVICE_PNP_EVENT,
    NdisDevicePnPEventPowerProfileChanged, NdisShutdownBugCheck, Zeroed,
};

use super::lend::lend_to_read;
use super::{Adapter, AdapterState, declared};
use crate::ndis::call::{self, Callback, callback};
use crate::ndis::nbl::{mdl, net_buffer, pool};
use crate::ndis::{
    config, dma, event_log, header, intermediate, interrupts, logs, memory_calls, miniport_ports,
    poll, power, reset, resources, rw_locks, shared, timers, work_items,
};
use crate::sched;
use crate::verifier::{self, SECOND_NS, Watchdog};

/// Real NDIS watches halt and the like; the table of rule 308 gives verifier's time for such.
const HALT_LIMIT_NS: u64 = 30 * SECOND_NS;

/// What an adapter holds when it should hold nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    FailedInitialize,
    Halt,
}

impl Adapter {
    /// Halted -> Initializing -> Paused, or back to Halted with the miniport's failure; then the
    /// caller forgets the adapter.
    pub(crate) fn initialize(&'static self) -> Result<(), NDIS_STATUS> {
        self.set_phase(AdapterState::Initializing);
        let entries = event_log().len();
        let status = self.call_initialize();
        verifier::note(format!(
            "MiniportInitializeEx of {} returns {status:#x}",
            self.name
        ));
        verifier::require(48, status != NDIS_STATUS_PENDING, || {
            format!("MiniportInitializeEx of {} returned PENDING", self.name)
        });
        if status == NDIS_STATUS_SUCCESS && declared::judge(self) {
            power::check_capabilities(self);
            self.set_phase(AdapterState::Paused);
            self.notify(NdisDevicePnPEventPowerProfileChanged);
            reset::watch_for_hangs(self);
            return Ok(());
        }
        let known = [
            NDIS_STATUS_NOT_ACCEPTED,
            NDIS_STATUS_RESOURCES,
            NDIS_STATUS_FAILURE,
        ];
        if status != NDIS_STATUS_SUCCESS && !known.contains(&status) {
            verifier::advice(48, format!("MiniportInitializeEx fails with {status:#x}"));
        }
        if event_log().len() == entries {
            let name = &self.name;
            verifier::advice(
                46,
                format!("adapter {name} fails to initialize and logs no event"),
            );
        }
        self.set_phase(AdapterState::Halted);
        self.check_clean(After::FailedInitialize);
        Err(if status == NDIS_STATUS_SUCCESS {
            NDIS_STATUS_FAILURE
        } else {
            status
        })
    }

    fn call_initialize(&'static self) -> NDIS_STATUS {
        let mut list = resources::encode(&self.node.resources());
        let mut parameters = NDIS_MINIPORT_INIT_PARAMETERS::zeroed();
        parameters.Header = header::make(
            NDIS_OBJECT_TYPE_MINIPORT_INIT_PARAMETERS,
            1,
            NDIS_SIZEOF_MINIPORT_INIT_PARAMETER_REVISION_1,
        );
        parameters.AllocatedResources = list.as_partial_list();
        parameters.IfIndex = self.if_index;
        parameters.NetLuid = self.luid();
        parameters.IMDeviceInstanceContext =
            std::ptr::with_exposed_provenance_mut(intermediate::context_of(&self.name));
        parameters.MiniportAddDeviceContext =
            std::ptr::with_exposed_provenance_mut(self.state.with(|state| state.added.context));
        let status = lend_to_read(parameters, "MiniportInitializeEx", |place| {
            callback(Callback::Initialize, self.handle, || {
                // SAFETY: `place` holds the parameters for the time of the call.
                let parameters = unsafe { &*place };
                self.miniport.initialize(self.native_handle(), parameters)
            })
        });
        list.poison();
        status
    }

    /// Interface LUID: interface type (Ethernet) and index.
    pub(crate) fn luid(&self) -> u64 {
        luid_of_ethernet(self.if_index)
    }

    /// Index and LUID of the interface that protocols are bound to. In Windows it is that of the filter on
    /// top, of which most Ethernet adapters have some; here there is no filter, but the interfaces differ all
    /// the same, so that a driver shows that takes one for the other.
    pub(crate) fn bound_interface(&self) -> (u32, u64) {
        const OF_FILTER: u32 = 0x1000;
        let index = self.if_index + OF_FILTER;
        (index, luid_of_ethernet(index))
    }

    /// Paused -> Halted. The caller forgets the adapter, unless it is halted for low power.
    pub(crate) fn halt(&'static self, action: NDIS_HALT_ACTION) {
        let phase = self.phase();
        assert_eq!(
            phase,
            AdapterState::Paused,
            "the host halts an adapter that is {phase:?}"
        );
        let (sends, receives) = (self.sends_out(), self.receives_out());
        assert!(
            sends == 0 && receives == 0,
            "halt with {sends} sends and {receives} receives out"
        );
        let name = self.name.clone();
        let watchdog = Watchdog::on(308, HALT_LIMIT_NS, &self.name, move || {
            format!("{name}: MiniportHaltEx does not end")
        });
        callback(Callback::Halt, self.handle, || self.miniport.halt(action));
        drop(watchdog);
        self.set_phase(AdapterState::Halted);
        self.state.with(|state| state.context = 0);
        self.check_clean(After::Halt);
    }

    /// Rules 45, 63, 64: everything of the adapter is released.
    fn check_clean(&'static self, after: After) {
        let (what, interrupt_rule, rest_rule) = match after {
            After::FailedInitialize => ("a failed MiniportInitializeEx", 45, 45),
            After::Halt => ("MiniportHaltEx", 64, 63),
        };
        let interrupts = interrupts::leaks_of(self.handle);
        verifier::insist(interrupt_rule, interrupts.is_empty(), || {
            format!("{what} of {} leaves {}", self.name, interrupts.join(", "))
        });
        verifier::insist(interrupt_rule, !timers::is_any_armed(self.handle), || {
            format!("{what} of {} leaves a timer armed", self.name)
        });
        let polls = poll::leaks_of(self.handle);
        verifier::require(267, polls.is_empty(), || {
            format!("{what} of {} leaves {}", self.name, polls.join(", "))
        });
        let left = [
            timers::leaks_of(self.handle),
            work_items::leaks_of(self.handle),
            dma::leaks_of(self.handle),
            shared::leaks_of(self.handle),
            resources::leaks_of(self.handle),
            config::leaks_of(self.handle),
            miniport_ports::leaks_of(self.handle),
            logs::leaks_of(self.handle),
            pool::leaks_of(self.handle),
            net_buffer::leaks_of(self.handle),
        ]
        .concat();
        verifier::require(rest_rule, left.is_empty(), || {
            format!("{what} of {} leaves {}", self.name, left.join(", "))
        });
        let left = [
            mdl::leaks_of(self.handle),
            rw_locks::leaks_of(self.handle),
            memory_calls::leaks_of(self.handle),
        ]
        .concat();
        verifier::require(218, left.is_empty(), || {
            format!("{what} of {} leaves {}", self.name, left.join(", "))
        });
    }

    /// MiniportDevicePnPEventNotify.
    pub(crate) fn notify(&'static self, event: NDIS_DEVICE_PNP_EVENT) {
        let mut notification = NET_DEVICE_PNP_EVENT::zeroed();
        notification.Header = header::make(
            NDIS_OBJECT_TYPE_DEFAULT,
            1,
            NDIS_SIZEOF_NET_DEVICE_PNP_EVENT_REVISION_1,
        );
        notification.DevicePnPEvent = event;
        // What a power profile event carries: the profile, AC.
        let mut profile = 1u32;
        if event == NdisDevicePnPEventPowerProfileChanged {
            notification.InformationBuffer = (&raw mut profile).cast();
            notification.InformationBufferLength = size_of::<u32>() as u32;
        }
        lend_to_read(notification, "MiniportDevicePnPEventNotify", |place| {
            callback(Callback::DevicePnpEvent, self.handle, || {
                // SAFETY: `place` holds the notification for the time of the call.
                self.miniport.pnp_event(unsafe { &*place })
            })
        });
    }

    /// Whether the miniport is to be called in a bug check: it wants to be (rule 69), and is
    /// neither being initialized nor halted.
    pub(crate) fn wants_bugcheck_callback(&'static self) -> bool {
        let live = matches!(
            self.phase(),
            AdapterState::Paused
                | AdapterState::Restarting
                | AdapterState::Running
                | AdapterState::Pausing
        );
        if !live || self.state.with(|state| state.reset.is_closed()) {
            return false;
        }
        let flags = self
            .state
            .with(|s| s.declared.registration.map_or(0, |r| r.AttributeFlags));
        flags & NDIS_MINIPORT_ATTRIBUTES_REGISTER_BUGCHECK_CALLBACK != 0
            || !self.driver.is_at_least(6, 30)
    }

    /// MiniportShutdownEx; nothing comes after it.
    pub(crate) fn shut_down(&'static self, action: NDIS_SHUTDOWN_ACTION) {
        self.set_phase(AdapterState::Shutdown);
        if action == NdisShutdownBugCheck {
            call::at_high_level("MiniportShutdownEx", || {
                callback(Callback::Shutdown, self.handle, || {
                    self.miniport.shutdown(action)
                })
            });
        } else {
            callback(Callback::Shutdown, self.handle, || {
                self.miniport.shutdown(action)
            });
        }
        let now = sched::now();
        self.state.with(|state| state.shut_down_ns = Some(now));
    }
}

fn luid_of_ethernet(index: u32) -> u64 {
    const IF_TYPE_ETHERNET_CSMACD: u64 = 6;
    IF_TYPE_ETHERNET_CSMACD << 48 | u64::from(index) << 24
}
