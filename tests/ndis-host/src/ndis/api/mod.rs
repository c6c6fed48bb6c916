//! What native neighbours call: NDIS for Rust code of the host.
//!
//! Each function does what the Windows function named in it does, through the same code, judged
//! by the same rules. Handles are those of [`crate::ndis::native`].

#![expect(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "an NBL is looked up in the shadow table, which ends the run for any other pointer, \
              before it is touched"
)]

mod miniport;
mod nbls;
mod protocol;
mod requests;

pub use miniport::{
    AdapterAttributes, OffloadAttributes, declare, direct_oid_complete, frames_left, idle_complete,
    idle_confirm, indicate, indicate_link, indicate_link_unknown, indicate_raw_status,
    indicate_status, oid_complete, pause_complete, receive_parts, reset_complete, reset_miniport,
    restart_complete, send_complete,
};
pub use nbls::{
    NblPool, chain, info, read_frames, set_info, set_source, set_status, status_of, unchain,
};
pub use protocol::{
    cancel_sends, close_adapter, complete_bind, complete_pnp_event, complete_unbind,
    deregister_protocol, open_adapter, register_protocol, return_nbls, send,
};
pub use requests::{
    OidRequest, cancel_direct_oid, cancel_oid, direct_oid_request, oid_method, oid_query,
    oid_request_async, oid_set, query_for_user, set_by_ndis, set_multicast, set_packet_filter,
    synchronous_oid,
};
