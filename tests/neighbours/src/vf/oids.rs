//! What NDIS asks and sets: the OIDs that are mandatory for an Ethernet miniport.

use devices::vf_port::ReceiveFilter;
use ndis_host::ndis::OidKind;
use ndis_host::ndis::native::OidRequestRef;
use ndis_sys::{
    NDIS_INTERRUPT_MODERATION_PARAMETERS, NDIS_INTERRUPT_MODERATION_PARAMETERS_REVISION_1,
    NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT, NDIS_PACKET_TYPE_ALL_MULTICAST,
    NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED, NDIS_PACKET_TYPE_MULTICAST,
    NDIS_PACKET_TYPE_PROMISCUOUS, NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1,
    NDIS_SIZEOF_STATISTICS_INFO_REVISION_1, NDIS_STATISTICS_INFO, NDIS_STATISTICS_INFO_REVISION_1,
    NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_INVALID_DATA, NDIS_STATUS_INVALID_LENGTH,
    NDIS_STATUS_MULTICAST_FULL, NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_SUCCESS,
    NdisInterruptModerationNotSupported, NdisRequestQueryInformation, NdisRequestQueryStatistics,
    OID_802_3_CURRENT_ADDRESS, OID_802_3_MAXIMUM_LIST_SIZE, OID_802_3_MULTICAST_LIST,
    OID_802_3_PERMANENT_ADDRESS, OID_GEN_CURRENT_LOOKAHEAD, OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_INTERRUPT_MODERATION, OID_GEN_MAXIMUM_TOTAL_SIZE, OID_GEN_RCV_OK,
    OID_GEN_RECEIVE_BLOCK_SIZE, OID_GEN_RECEIVE_BUFFER_SPACE, OID_GEN_STATISTICS,
    OID_GEN_TRANSMIT_BLOCK_SIZE, OID_GEN_TRANSMIT_BUFFER_SPACE, OID_GEN_VENDOR_DESCRIPTION,
    OID_GEN_VENDOR_DRIVER_VERSION, OID_GEN_VENDOR_ID, OID_GEN_XMIT_OK, Zeroed,
};

use super::{State, Vf};
use crate::nbl::lock;

/// Multicast addresses that the hardware can filter.
pub(super) const MULTICAST_SLOTS: u32 = 32;
const ETHERNET_HEADER: u32 = 14;
/// Buffers of each queue.
const BUFFERS: u32 = 512;
/// No IEEE vendor code.
const VENDOR_ID: u32 = 0x00ff_ffff;
const VENDOR: &[u8] = b"Virtual function\0";
const DRIVER_VERSION: u32 = 0x0001_0000;
/// The NDIS_STATISTICS_FLAGS_VALID_ bits of all counters in NDIS_STATISTICS_INFO.
const EVERY_COUNTER: u32 = 0x003f_87ff;

impl Vf {
    /// MiniportOidRequest, served at once.
    pub(super) fn serve_request(&self, request: OidRequestRef) -> NDIS_STATUS {
        if self.control.options().refuse_oid == Some(request.oid()) {
            self.control.count(|c| c.requests_refused += 1);
            return NDIS_STATUS_FAILURE;
        }
        if let Some(status) = self.serve_power(request) {
            return status;
        }
        let queries = [NdisRequestQueryInformation, NdisRequestQueryStatistics];
        match request.kind() {
            OidKind::Query if !queries.contains(&request.request_type()) => {
                NDIS_STATUS_NOT_SUPPORTED
            }
            OidKind::Query => self.answer(request),
            OidKind::Set => self.set(request),
            OidKind::Method => NDIS_STATUS_NOT_SUPPORTED,
        }
    }

    fn answer(&self, request: OidRequestRef) -> NDIS_STATUS {
        let hardware = self.control.hardware();
        let frame_size = self.control.options().mtu + ETHERNET_HEADER;
        let data = match request.oid() {
            OID_802_3_PERMANENT_ADDRESS | OID_802_3_CURRENT_ADDRESS => hardware.mac().to_vec(),
            OID_802_3_MAXIMUM_LIST_SIZE => word(MULTICAST_SLOTS),
            OID_GEN_CURRENT_LOOKAHEAD => word(lock(&self.state).lookahead),
            OID_GEN_MAXIMUM_TOTAL_SIZE
            | OID_GEN_RECEIVE_BLOCK_SIZE
            | OID_GEN_TRANSMIT_BLOCK_SIZE => word(frame_size),
            OID_GEN_RECEIVE_BUFFER_SPACE | OID_GEN_TRANSMIT_BUFFER_SPACE => {
                word(frame_size * BUFFERS)
            }
            OID_GEN_VENDOR_ID => word(VENDOR_ID),
            OID_GEN_VENDOR_DESCRIPTION => VENDOR.to_vec(),
            OID_GEN_VENDOR_DRIVER_VERSION => word(DRIVER_VERSION),
            OID_GEN_XMIT_OK => return fits(request.write_counter(hardware.counters().tx_frames)),
            OID_GEN_RCV_OK => return fits(request.write_counter(hardware.counters().rx_frames)),
            OID_GEN_STATISTICS => self.statistics(),
            OID_GEN_INTERRUPT_MODERATION => interrupt_moderation(),
            _ => return NDIS_STATUS_NOT_SUPPORTED,
        };
        fits(request.write(&data))
    }

    fn statistics(&self) -> Vec<u8> {
        let counters = self.control.hardware().counters();
        let mut info = NDIS_STATISTICS_INFO::zeroed();
        info.Header = NDIS_OBJECT_HEADER {
            Type: NDIS_OBJECT_TYPE_DEFAULT,
            Revision: NDIS_STATISTICS_INFO_REVISION_1,
            Size: NDIS_SIZEOF_STATISTICS_INFO_REVISION_1,
        };
        info.SupportedStatistics = EVERY_COUNTER;
        // The hardware does not look at addresses: every frame counts as directed.
        info.ifHCInOctets = counters.rx_bytes;
        info.ifHCInUcastOctets = counters.rx_bytes;
        info.ifHCOutUcastOctets = counters.tx_bytes;
        info.ifHCInUcastPkts = counters.rx_frames;
        info.ifHCOutOctets = counters.tx_bytes;
        info.ifHCOutUcastPkts = counters.tx_frames;
        bytes_of(&info)
    }

    fn set(&self, request: OidRequestRef) -> NDIS_STATUS {
        let input = request.input();
        let outcome = match request.oid() {
            OID_GEN_CURRENT_PACKET_FILTER => self.set_word(request, |state| &mut state.filter),
            OID_GEN_CURRENT_LOOKAHEAD => self.set_word(request, |state| &mut state.lookahead),
            OID_802_3_MULTICAST_LIST => self.set_multicast(request),
            OID_GEN_INTERRUPT_MODERATION => Err(NDIS_STATUS_INVALID_DATA),
            _ => Err(NDIS_STATUS_NOT_SUPPORTED),
        };
        if let Err(status) = outcome {
            return status;
        }
        request.set_read(input.len() as u32);
        self.program_filter();
        NDIS_STATUS_SUCCESS
    }

    fn set_word(
        &self,
        request: OidRequestRef,
        place: impl FnOnce(&mut State) -> &mut u32,
    ) -> Result<(), NDIS_STATUS> {
        let Some(word) = request.input().first_chunk() else {
            return Err(wrong_length(request, 4));
        };
        *place(&mut lock(&self.state)) = u32::from_le_bytes(*word);
        Ok(())
    }

    fn set_multicast(&self, request: OidRequestRef) -> Result<(), NDIS_STATUS> {
        let (addresses, rest) = request.input().as_chunks::<6>();
        if !rest.is_empty() {
            let whole = request.input().len().next_multiple_of(6);
            return Err(wrong_length(request, whole));
        }
        if addresses.len() > MULTICAST_SLOTS as usize {
            return Err(NDIS_STATUS_MULTICAST_FULL);
        }
        lock(&self.state).multicast = addresses.to_vec();
        Ok(())
    }

    pub(super) fn program_filter(&self) {
        let filter = {
            let state = lock(&self.state);
            let has = |bit| state.filter & bit != 0;
            ReceiveFilter {
                directed: has(NDIS_PACKET_TYPE_DIRECTED),
                multicast: has(NDIS_PACKET_TYPE_MULTICAST),
                all_multicast: has(NDIS_PACKET_TYPE_ALL_MULTICAST),
                broadcast: has(NDIS_PACKET_TYPE_BROADCAST),
                promiscuous: has(NDIS_PACKET_TYPE_PROMISCUOUS),
                multicast_list: state.multicast.clone(),
            }
        };
        self.control.hardware().set_filter(filter);
    }
}

fn interrupt_moderation() -> Vec<u8> {
    let mut moderation = NDIS_INTERRUPT_MODERATION_PARAMETERS::zeroed();
    moderation.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_DEFAULT,
        Revision: NDIS_INTERRUPT_MODERATION_PARAMETERS_REVISION_1,
        Size: NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1,
    };
    moderation.InterruptModeration = NdisInterruptModerationNotSupported;
    bytes_of(&moderation)
}

/// The status of an answer that fits or does not.
fn fits(fits: bool) -> NDIS_STATUS {
    if fits {
        NDIS_STATUS_SUCCESS
    } else {
        NDIS_STATUS_INVALID_LENGTH
    }
}

/// Refuses a set of a wrong length, and says which is right.
fn wrong_length(request: OidRequestRef, right: usize) -> NDIS_STATUS {
    request.set_needed(right as u32);
    NDIS_STATUS_INVALID_LENGTH
}

fn word(value: u32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

/// The bytes of a record of ndis-sys.
fn bytes_of<T: Zeroed>(record: &T) -> Vec<u8> {
    // SAFETY: records that may be all zero bytes are plain data, and those passed here were made
    // by `zeroed`, padding included.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast(), size_of::<T>()) }
        .to_vec()
}
