//! What the adapter says of its link.

use ndis_sys::{
    MediaConnectStateConnected, NDIS_LINK_STATE, NDIS_STATUS_INDICATION, NDIS_STATUS_LINK_STATE,
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

    pub(super) fn link_is(&self, up: bool) {
        let mut edge = lock(&self.edge);
        if edge.link_up && !up {
            edge.counters.link_downs += 1;
        }
        edge.link_up = up;
    }
}
