//! What a protocol has set on its binding, and has to undo before it closes (rule 238).

use ndis_sys::{
    NDIS_STATUS, NDIS_STATUS_SUCCESS, OID_802_3_MULTICAST_LIST, OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_RECEIVE_SCALE_PARAMETERS, OID_PM_ADD_PROTOCOL_OFFLOAD, OID_PM_ADD_WOL_PATTERN,
    OID_PM_REMOVE_PROTOCOL_OFFLOAD, OID_PM_REMOVE_WOL_PATTERN,
};

use super::Binding;
use crate::ndis::oid::request_ref::{OidKind, OidRequestRef};

/// NDIS_RSS_PARAM_FLAG_HASH_INFO_UNCHANGED.
const HASH_UNCHANGED: u16 = 4;

/// Settings that outlive a binding unless they are undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) filter: u32,
    pub(crate) multicast: usize,
    pub(crate) wake_patterns: usize,
    pub(crate) protocol_offloads: usize,
    pub(crate) rss: bool,
}

impl Binding {
    /// Takes note of a request that is over. Who wanted to undo something has done so, whether or
    /// not the miniport could.
    pub(crate) fn note_setting(&'static self, request: OidRequestRef, status: NDIS_STATUS) {
        if request.kind() == OidKind::Query {
            return;
        }
        let input = request.input();
        let word = |at: usize| -> Option<u32> {
            let bytes = input.get(at..at + 4)?;
            bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
        };
        let succeeded = status == NDIS_STATUS_SUCCESS;
        self.state.with(|state| {
            let settings = &mut state.settings;
            match request.oid() {
                OID_GEN_CURRENT_PACKET_FILTER => {
                    let asked = word(0).filter(|filter| succeeded || *filter == 0);
                    settings.filter = asked.unwrap_or(settings.filter);
                }
                OID_802_3_MULTICAST_LIST if succeeded || input.is_empty() => {
                    settings.multicast = input.len() / 6;
                }
                OID_PM_ADD_WOL_PATTERN if succeeded => settings.wake_patterns += 1,
                OID_PM_REMOVE_WOL_PATTERN => {
                    settings.wake_patterns = settings.wake_patterns.saturating_sub(1);
                }
                OID_PM_ADD_PROTOCOL_OFFLOAD if succeeded => settings.protocol_offloads += 1,
                OID_PM_REMOVE_PROTOCOL_OFFLOAD => {
                    settings.protocol_offloads = settings.protocol_offloads.saturating_sub(1);
                }
                OID_GEN_RECEIVE_SCALE_PARAMETERS => {
                    // NDIS_RECEIVE_SCALE_PARAMETERS: header, flags, base CPU, hash information.
                    let flags = word(4).map_or(0, |word| word as u16);
                    let hash = word(8).filter(|hash| succeeded || *hash == 0);
                    if flags & HASH_UNCHANGED == 0
                        && let Some(hash) = hash
                    {
                        settings.rss = hash != 0;
                    }
                }
                _ => {}
            }
        });
    }
}
