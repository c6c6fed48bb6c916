//! Loopback, which NDIS does for miniports that do none themselves.
//!
//! Microsoft Learn, NdisSendNetBufferLists function (ndis.h): other bindings of the adapter see
//! what they want of the frames that are sent, the sender only if it asks with
//! NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK. They get copies.

use ndis_sys::{NDIS_MAC_OPTION_NO_LOOPBACK, NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK, NET_BUFFER_LIST};

use crate::ndis::bindings::{Binding, BindingState};
use crate::ndis::filter;
use crate::ndis::nbl::raw;
use crate::ndis::receive::{self, copies};

/// NDIS_NBL_FLAGS_IS_LOOPBACK_PACKET.
const IS_LOOPBACK: u32 = 0x8000;

/// Copies the frames of a send for those who want to see them. IRQL <= DISPATCH_LEVEL.
pub(super) fn copy(sender: &'static Binding, nbls: &[*mut NET_BUFFER_LIST], port: u32, flags: u32) {
    let adapter = sender.adapter;
    let general = adapter.state.with(|state| state.declared.general);
    if general.is_none_or(|general| general.MacOptions & NDIS_MAC_OPTION_NO_LOOPBACK == 0) {
        return;
    }
    let itself = flags & NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK != 0;
    let own = filter::own_address(adapter);
    let listeners: Vec<_> = adapter
        .bindings()
        .into_iter()
        .filter(|binding| itself || binding.handle != sender.handle)
        .filter(|binding| binding.phase() == BindingState::Running)
        .map(|binding| binding.state.with(|state| state.wanted()))
        .filter(|wanted| wanted.filter != 0)
        .collect();
    if listeners.is_empty() {
        return;
    }
    let mut copied = Vec::new();
    for nbl in nbls {
        // SAFETY: the NBLs were found in the shadow table.
        for nb in unsafe { raw::net_buffers(*nbl) } {
            // SAFETY: as above.
            let frame = unsafe { raw::read(nb, usize::MAX) };
            let Some(destination) = frame.first_chunk::<6>() else {
                continue;
            };
            if listeners.iter().any(|l| l.passes(*destination, own, false)) {
                copied.extend(copies::of_frame(adapter, &frame, IS_LOOPBACK));
            }
        }
    }
    if !copied.is_empty() {
        let except = (!itself).then_some(sender.handle);
        receive::loop_back(adapter, copied, port, except);
    }
}
