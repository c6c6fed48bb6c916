//! What the adapter says of its link.

use ndis_host::ndis::api;
use ndis_host::ndis::native::BindingHandle;
use ndis_sys::{
    MediaConnectStateConnected, NDIS_LINK_STATE, NDIS_STATUS_INDICATION, NDIS_STATUS_LINK_STATE,
    OID_GEN_LINK_STATE,
};

use super::TcpIp;
use crate::nbl::lock;

impl TcpIp {
    /// ProtocolStatusEx: only the link is of interest.
    pub(super) fn heard(&self, indication: &NDIS_STATUS_INDICATION) {
        let length = indication.StatusBufferSize as usize;
        if indication.StatusCode != NDIS_STATUS_LINK_STATE || length < size_of::<NDIS_LINK_STATE>()
        {
            return;
        }
        let state = indication.StatusBuffer.cast::<NDIS_LINK_STATE>();
        // SAFETY: the indication's buffer is valid for the call and as long as was just checked.
        let state = unsafe { state.read_unaligned() };
        self.link_is(state.MediaConnectState == MediaConnectStateConnected);
        self.news();
    }

    /// Asks for the link, which may have changed between the parameters of the bind and the open, when
    /// there was nobody to tell. Only where threads run as they like: elsewhere what a bind takes is part of
    /// what a seed stands for. At PASSIVE.
    pub(super) fn ask_for_link(&self, binding: BindingHandle) {
        let before = lock(&self.edge).link_news;
        let mut buffer = [0; size_of::<NDIS_LINK_STATE>()];
        if api::oid_query(binding, OID_GEN_LINK_STATE, &mut buffer).is_err() {
            return;
        }
        // SAFETY: the record has numbers only, and the buffer is as long as it.
        let state = unsafe { buffer.as_ptr().cast::<NDIS_LINK_STATE>().read_unaligned() };
        let mut edge = lock(&self.edge);
        // What was told meanwhile is newer.
        if edge.link_news == before {
            edge.link_up = state.MediaConnectState == MediaConnectStateConnected;
        }
    }

    pub(super) fn link_is(&self, up: bool) {
        let mut edge = lock(&self.edge);
        edge.link_news += 1;
        if edge.link_up && !up {
            edge.counters.link_downs += 1;
        }
        edge.link_up = up;
    }
}
