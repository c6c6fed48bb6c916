//! The export table of ndis.sys.

use super::adapter::{attributes, flow};
use super::bindings::{bind, events as pnp_events, open};
use super::nbl::{contexts, data, mdl, pool};
use super::oid::{miniport, submit};
use super::{
    compat, config, control_device, drivers, event_log, events, files, hardware_exports,
    memory_calls, misc, processors, protocols, receive, remove, send, status, timers, work_items,
};

/// The exports: name and address.
pub fn exports() -> Vec<(&'static str, usize)> {
    let parts = [
        miniport_exports(),
        hardware_exports::exports(),
        protocol_exports(),
        buffer_exports(),
        general_exports(),
        config::exports(),
        control_device::exports(),
        files::exports(),
        compat::exports(),
        processors::exports(),
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
        ("NdisMSleep", misc::sleep as *const () as usize),
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

fn buffer_exports() -> Table {
    vec![
        (
            "NdisAllocateNetBufferListPool",
            pool::allocate_pool as *const () as usize,
        ),
        (
            "NdisFreeNetBufferListPool",
            pool::free_pool as *const () as usize,
        ),
        (
            "NdisAllocateNetBufferList",
            pool::allocate_nbl as *const () as usize,
        ),
        (
            "NdisAllocateNetBufferAndNetBufferList",
            pool::allocate_nbl_and_nb as *const () as usize,
        ),
        (
            "NdisFreeNetBufferList",
            pool::free_nbl as *const () as usize,
        ),
        (
            "NdisGetPoolFromNetBufferList",
            pool::pool_of as *const () as usize,
        ),
        (
            "NdisAllocateNetBufferListContext",
            contexts::allocate as *const () as usize,
        ),
        (
            "NdisFreeNetBufferListContext",
            contexts::free as *const () as usize,
        ),
        ("NdisAllocateMdl", mdl::allocate as *const () as usize),
        ("NdisFreeMdl", mdl::free as *const () as usize),
        ("NdisGetDataBuffer", data::get_buffer as *const () as usize),
        (
            "NdisAdvanceNetBufferDataStart",
            data::advance as *const () as usize,
        ),
        (
            "NdisRetreatNetBufferDataStart",
            data::retreat as *const () as usize,
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
        (
            "NdisAllocateTimerObject",
            timers::allocate as *const () as usize,
        ),
        ("NdisSetTimerObject", timers::set as *const () as usize),
        (
            "NdisCancelTimerObject",
            timers::cancel as *const () as usize,
        ),
        ("NdisFreeTimerObject", timers::free as *const () as usize),
        (
            "NdisAllocateIoWorkItem",
            work_items::allocate as *const () as usize,
        ),
        (
            "NdisQueueIoWorkItem",
            work_items::queue as *const () as usize,
        ),
        ("NdisFreeIoWorkItem", work_items::free as *const () as usize),
        (
            "NdisInitializeEvent",
            events::initialize as *const () as usize,
        ),
        ("NdisSetEvent", events::set as *const () as usize),
        ("NdisResetEvent", events::reset as *const () as usize),
        ("NdisWaitEvent", events::wait as *const () as usize),
        ("NdisGetVersion", misc::version as *const () as usize),
        (
            "NdisGetRoutineAddress",
            misc::routine_address as *const () as usize,
        ),
        ("NdisGetSystemUpTimeEx", misc::up_time as *const () as usize),
        (
            "NdisWriteErrorLogEntry",
            event_log::write as *const () as usize,
        ),
        (
            "NdisAllocateMemoryWithTagPriority",
            memory_calls::allocate as *const () as usize,
        ),
        ("NdisFreeMemory", memory_calls::free as *const () as usize),
    ]
}
