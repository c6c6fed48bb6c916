//! The export table of ndis.sys.

use super::adapter::{attributes, flow};
use super::bindings::{self, bind, events as pnp_events, open};
use super::nbl;
use super::oid::{self, miniport, submit};
use super::{
    compat, config, control_device, drivers, files, hardware_exports, interfaces, poll, processors,
    protocols, receive, remove, send, services, status,
};

/// The exports: name and address.
pub fn exports() -> Vec<(&'static str, usize)> {
    let parts = [
        miniport_exports(),
        hardware_exports::exports(),
        protocol_exports(),
        nbl::exports::table(),
        general_exports(),
        config::exports(),
        control_device::exports(),
        files::exports(),
        compat::exports(),
        processors::exports(),
        services::table(),
        oid::exports::exports(),
        bindings::exports::exports(),
        interfaces::exports::exports(),
        super::intermediate::exports(),
        super::power::exports(),
        super::reset::exports(),
        poll::exports(),
    ];
    parts.concat()
}

/// Exports: name and address.
pub(super) type Table = Vec<(&'static str, usize)>;

fn miniport_exports() -> Table {
    vec![
        (
            "NdisMRegisterMiniportDriver",
            drivers::register as *const () as usize,
        ),
        (
            "NdisMDeregisterMiniportDriver",
            drivers::deregister as *const () as usize,
        ),
        (
            "NdisSetOptionalHandlers",
            drivers::set_optional_handlers as *const () as usize,
        ),
        (
            "NdisMSetMiniportAttributes",
            attributes::set as *const () as usize,
        ),
        (
            "NdisMIndicateReceiveNetBufferLists",
            receive::indicate as *const () as usize,
        ),
        (
            "NdisMSendNetBufferListsComplete",
            send::complete as *const () as usize,
        ),
        (
            "NdisMIndicateStatusEx",
            status::indicate as *const () as usize,
        ),
        (
            "NdisMOidRequestComplete",
            miniport::complete as *const () as usize,
        ),
        (
            "NdisMPauseComplete",
            flow::pause_complete as *const () as usize,
        ),
        (
            "NdisMRestartComplete",
            flow::restart_complete as *const () as usize,
        ),
        (
            "NdisMRemoveMiniport",
            remove::remove_miniport as *const () as usize,
        ),
    ]
}

fn protocol_exports() -> Table {
    vec![
        (
            "NdisRegisterProtocolDriver",
            protocols::register as *const () as usize,
        ),
        (
            "NdisDeregisterProtocolDriver",
            protocols::deregister as *const () as usize,
        ),
        (
            "NdisReEnumerateProtocolBindings",
            protocols::re_enumerate as *const () as usize,
        ),
        ("NdisOpenAdapterEx", open::open as *const () as usize),
        ("NdisCloseAdapterEx", open::close as *const () as usize),
        (
            "NdisCompleteBindAdapterEx",
            bind::complete_bind as *const () as usize,
        ),
        (
            "NdisCompleteUnbindAdapterEx",
            bind::complete_unbind as *const () as usize,
        ),
        (
            "NdisUnbindAdapter",
            bind::request_unbind as *const () as usize,
        ),
        (
            "NdisCompleteNetPnPEvent",
            pnp_events::complete as *const () as usize,
        ),
        ("NdisOidRequest", submit::request as *const () as usize),
        ("NdisCancelOidRequest", submit::cancel as *const () as usize),
        ("NdisSendNetBufferLists", send::send as *const () as usize),
        (
            "NdisCancelSendNetBufferLists",
            send::cancel as *const () as usize,
        ),
        (
            "NdisReturnNetBufferLists",
            receive::return_nbls as *const () as usize,
        ),
    ]
}

fn general_exports() -> Table {
    vec![
        (
            "NdisOpenConfigurationEx",
            config::open as *const () as usize,
        ),
        ("NdisReadConfiguration", config::read as *const () as usize),
        (
            "NdisReadNetworkAddress",
            config::read_network_address as *const () as usize,
        ),
        (
            "NdisCloseConfiguration",
            config::close as *const () as usize,
        ),
    ]
}
