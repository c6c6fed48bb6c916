//! MiniportPause and MiniportRestart: the data path of an adapter stops and starts.

use std::mem::offset_of;

use ndis_sys::{
    NDIS_HANDLE, NDIS_MINIPORT_PAUSE_PARAMETERS, NDIS_MINIPORT_RESTART_PARAMETERS,
    NDIS_OBJECT_TYPE_DEFAULT, NDIS_OBJECT_TYPE_RESTART_GENERAL_ATTRIBUTES, NDIS_RESTART_ATTRIBUTES,
    NDIS_RESTART_GENERAL_ATTRIBUTES, NDIS_SIZEOF_MINIPORT_PAUSE_PARAMETERS_REVISION_1,
    NDIS_SIZEOF_MINIPORT_RESTART_PARAMETERS_REVISION_1,
    NDIS_SIZEOF_RESTART_GENERAL_ATTRIBUTES_REVISION_2, NDIS_STATUS, NDIS_STATUS_FAILURE,
    NDIS_STATUS_PENDING, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
    OID_GEN_MINIPORT_RESTART_ATTRIBUTES, Zeroed,
};

use super::lend::lend;
use super::{Adapter, AdapterState, Operation};
use crate::ndis::call::{Callback, Level, callback, import};
use crate::ndis::{adapter, header};
use crate::sched;
use crate::verifier::{self, SECOND_NS, Watchdog};

/// Driver Verifier's time for a pause (table of rule 308).
const PAUSE_LIMIT_NS: u64 = 10 * SECOND_NS;

/// NDIS_RESTART_ATTRIBUTES with the general attributes as its data.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct GeneralRestartAttributes {
    next: *mut NDIS_RESTART_ATTRIBUTES,
    oid: u32,
    length: u32,
    general: NDIS_RESTART_GENERAL_ATTRIBUTES,
}

const _: () = {
    let general = offset_of!(GeneralRestartAttributes, general);
    assert!(general == offset_of!(NDIS_RESTART_ATTRIBUTES, Data));
};

impl Adapter {
    /// Running -> Pausing -> Paused; returns when the pause is complete. IRQL = PASSIVE_LEVEL.
    pub(crate) fn pause(&'static self, reason: u32) {
        self.set_phase(AdapterState::Pausing);
        self.state.with(|state| state.pause = Operation::Called);
        let mut parameters = NDIS_MINIPORT_PAUSE_PARAMETERS::zeroed();
        parameters.Header = header::make(
            NDIS_OBJECT_TYPE_DEFAULT,
            1,
            NDIS_SIZEOF_MINIPORT_PAUSE_PARAMETERS_REVISION_1,
        );
        parameters.PauseReason = reason;
        let watchdog = Watchdog::on(308, PAUSE_LIMIT_NS, &self.name, || self.describe_pause());
        let (status, _) = lend(parameters, |place| {
            callback(Callback::Pause, self.handle, || {
                // SAFETY: `place` holds the parameters for the time of the call.
                self.miniport.pause(unsafe { &*place })
            })
        });
        match status {
            NDIS_STATUS_SUCCESS => self.check_paused_at_once(),
            NDIS_STATUS_PENDING => {
                let complete = || self.state.with(|state| state.pause != Operation::Called);
                sched::wait("NdisMPauseComplete", complete, None);
            }
            _ => verifier::fatal(
                53,
                format!("MiniportPause of {} returned {status:#x}", self.name),
            ),
        }
        drop(watchdog);
        self.state.with(|state| state.pause = Operation::Idle);
        self.set_phase(AdapterState::Paused);
    }

    fn describe_pause(&'static self) -> String {
        format!(
            "{}: the pause is not complete ({} sends, {} receive NBLs are out; holders: {})",
            self.name,
            self.sends_out(),
            self.receives_out(),
            self.describe_holders()
        )
    }

    /// Which bindings hold receive NBLs, and on which sends are out.
    fn describe_holders(&'static self) -> String {
        let describe = |binding: &&'static crate::ndis::bindings::Binding| {
            let (sends, receives) = binding.outstanding();
            format!("{} {sends}/{receives}", binding.protocol.name)
        };
        self.bindings()
            .iter()
            .map(describe)
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn check_paused_at_once(&'static self) {
        let completed = self.state.with(|state| state.pause != Operation::Called);
        verifier::insist(56, !completed, || {
            format!(
                "MiniportPause of {} returned SUCCESS after NdisMPauseComplete",
                self.name
            )
        });
        let (sends, receives) = (self.sends_out(), self.receives_out());
        verifier::require(56, sends == 0 && receives == 0, || {
            format!(
                "MiniportPause of {} returned SUCCESS with {sends} sends and {receives} receive \
                 NBLs out",
                self.name
            )
        });
    }

    /// Paused -> Restarting -> Running, or back to Paused. IRQL = PASSIVE_LEVEL.
    pub(crate) fn restart(&'static self) -> NDIS_STATUS {
        self.set_phase(AdapterState::Restarting);
        self.state.with(|state| state.restart = Operation::Called);
        let watchdog = Watchdog::on(308, PAUSE_LIMIT_NS, &self.name, || {
            format!("{}: the restart is not complete", self.name)
        });
        let mut attributes = self.restart_attributes();
        let given = attributes;
        let status = self.call_restart(&mut attributes);
        let kept = (given.next, given.oid, given.length)
            == (attributes.next, attributes.oid, attributes.length);
        verifier::require(61, kept, || {
            format!("{} changes the list of restart attributes", self.name)
        });
        drop(watchdog);
        self.state.with(|state| state.restart = Operation::Idle);
        if status == NDIS_STATUS_SUCCESS {
            self.take_restart_attributes(&attributes.general);
            self.set_phase(AdapterState::Running);
        } else {
            let known = [NDIS_STATUS_RESOURCES, NDIS_STATUS_FAILURE].contains(&status);
            verifier::require(59, known, || {
                format!("the restart of {} failed with {status:#x}", self.name)
            });
            self.set_phase(AdapterState::Paused);
        }
        status
    }

    fn call_restart(&'static self, attributes: &mut GeneralRestartAttributes) -> NDIS_STATUS {
        let mut parameters = NDIS_MINIPORT_RESTART_PARAMETERS::zeroed();
        parameters.Header = header::make(
            NDIS_OBJECT_TYPE_DEFAULT,
            1,
            NDIS_SIZEOF_MINIPORT_RESTART_PARAMETERS_REVISION_1,
        );
        parameters.RestartAttributes = (&raw mut *attributes).cast();
        let (status, _) = lend(parameters, |place| {
            callback(Callback::Restart, self.handle, || {
                // SAFETY: `place` holds the parameters for the time of the call.
                self.miniport.restart(unsafe { &*place })
            })
        });
        if status != NDIS_STATUS_PENDING {
            let completed = self.state.with(|state| state.restart != Operation::Called);
            verifier::insist(59, !completed, || {
                format!(
                    "MiniportRestart of {} returned {status:#x} after completing",
                    self.name
                )
            });
            return status;
        }
        let complete = || self.state.with(|state| state.restart != Operation::Called);
        sched::wait("NdisMRestartComplete", complete, None);
        match self.state.with(|state| state.restart) {
            Operation::Completed(status) => status,
            Operation::Idle | Operation::Called => NDIS_STATUS_FAILURE,
        }
    }

    /// The list that NDIS passes to MiniportRestart and on to the protocols.
    pub(crate) fn restart_attributes(&'static self) -> GeneralRestartAttributes {
        let mut general = NDIS_RESTART_GENERAL_ATTRIBUTES::zeroed();
        general.Header = header::make(
            NDIS_OBJECT_TYPE_RESTART_GENERAL_ATTRIBUTES,
            2,
            NDIS_SIZEOF_RESTART_GENERAL_ATTRIBUTES_REVISION_2,
        );
        if let Some(declared) = self.state.with(|state| state.declared.general) {
            general.MtuSize = declared.MtuSize;
            general.MaxXmitLinkSpeed = declared.MaxXmitLinkSpeed;
            general.MaxRcvLinkSpeed = declared.MaxRcvLinkSpeed;
            general.LookaheadSize = declared.LookaheadSize;
            general.MacOptions = declared.MacOptions;
            general.SupportedPacketFilters = declared.SupportedPacketFilters;
            general.MaxMulticastListSize = declared.MaxMulticastListSize;
            general.AccessType = declared.AccessType;
            general.ConnectionType = declared.ConnectionType;
            general.SupportedStatistics = declared.SupportedStatistics;
            general.DataBackFillSize = declared.DataBackFillSize;
            general.ContextBackFillSize = declared.ContextBackFillSize;
            general.MaxLookaheadSizeAccessed = declared.LookaheadSize;
        }
        GeneralRestartAttributes {
            next: std::ptr::null_mut(),
            oid: OID_GEN_MINIPORT_RESTART_ATTRIBUTES,
            length: size_of::<NDIS_RESTART_GENERAL_ATTRIBUTES>() as u32,
            general,
        }
    }

    /// A miniport may have edited the general attributes (rule 61).
    fn take_restart_attributes(&'static self, general: &NDIS_RESTART_GENERAL_ATTRIBUTES) {
        self.state.with(|state| {
            if let Some(declared) = state.declared.general.as_mut() {
                declared.MtuSize = general.MtuSize;
                declared.MaxXmitLinkSpeed = general.MaxXmitLinkSpeed;
                declared.MaxRcvLinkSpeed = general.MaxRcvLinkSpeed;
                declared.LookaheadSize = general.LookaheadSize;
            }
        });
    }
}

/// Microsoft Learn, NdisMPauseComplete function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn pause_complete(adapter_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisMPauseComplete";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let pending = adapter.state.with(|state| state.pause == Operation::Called);
    verifier::insist(55, pending, || {
        format!("{CALL}: no pause of {} is pending", adapter.name)
    });
    let (sends, receives) = (adapter.sends_out(), adapter.receives_out());
    verifier::insist(55, sends == 0 && receives == 0, || {
        format!(
            "{CALL}: {} with {sends} sends and {receives} receive NBLs out (holders: {})",
            adapter.name,
            adapter.describe_holders()
        )
    });
    adapter
        .state
        .with(|state| state.pause = Operation::Completed(NDIS_STATUS_SUCCESS));
}

/// Microsoft Learn, NdisMRestartComplete function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn restart_complete(
    adapter_handle: NDIS_HANDLE,
    status: NDIS_STATUS,
) {
    const CALL: &str = "NdisMRestartComplete";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let pending = adapter
        .state
        .with(|state| state.restart == Operation::Called);
    verifier::insist(59, pending, || {
        format!("{CALL}: no restart of {} is pending", adapter.name)
    });
    verifier::require(59, status != NDIS_STATUS_PENDING, || {
        format!("{CALL} with PENDING")
    });
    adapter
        .state
        .with(|state| state.restart = Operation::Completed(status));
}
