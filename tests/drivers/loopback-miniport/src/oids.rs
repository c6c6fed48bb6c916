//! What NDIS asks and sets.

use core::sync::atomic::{AtomicU64, Ordering};

use ndis_sys as sys;
use sys::{
    NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT, NDIS_OID_REQUEST,
    NDIS_OID_REQUEST_QUERY, NDIS_STATISTICS_INFO, NDIS_STATUS, NDIS_STATUS_INVALID_DATA,
    NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_SUCCESS, Zeroed,
};

use crate::adapter::{self, Adapter};
use crate::attributes::{FILTERS, MULTICAST_ADDRESSES};
use crate::pool::FRAME;

/// The OIDs that [`request`] serves.
pub(crate) static SUPPORTED: [u32; 19] = [
    sys::OID_GEN_CURRENT_LOOKAHEAD,
    sys::OID_GEN_CURRENT_PACKET_FILTER,
    sys::OID_GEN_INTERRUPT_MODERATION,
    sys::OID_GEN_LINK_PARAMETERS,
    sys::OID_GEN_MAXIMUM_TOTAL_SIZE,
    sys::OID_GEN_RCV_OK,
    sys::OID_GEN_XMIT_OK,
    sys::OID_GEN_RECEIVE_BLOCK_SIZE,
    sys::OID_GEN_RECEIVE_BUFFER_SPACE,
    sys::OID_GEN_TRANSMIT_BLOCK_SIZE,
    sys::OID_GEN_TRANSMIT_BUFFER_SPACE,
    sys::OID_GEN_STATISTICS,
    sys::OID_GEN_VENDOR_DESCRIPTION,
    sys::OID_GEN_VENDOR_DRIVER_VERSION,
    sys::OID_GEN_VENDOR_ID,
    sys::OID_802_3_PERMANENT_ADDRESS,
    sys::OID_802_3_CURRENT_ADDRESS,
    sys::OID_802_3_MULTICAST_LIST,
    sys::OID_802_3_MAXIMUM_LIST_SIZE,
];

/// All that an NDIS 6 miniport has to count.
pub(crate) const STATISTICS: u32 = sys::NDIS_STATISTICS_XMIT_OK_SUPPORTED
    | sys::NDIS_STATISTICS_RCV_OK_SUPPORTED
    | sys::NDIS_STATISTICS_XMIT_ERROR_SUPPORTED
    | sys::NDIS_STATISTICS_RCV_ERROR_SUPPORTED
    | sys::NDIS_STATISTICS_RCV_NO_BUFFER_SUPPORTED
    | sys::NDIS_STATISTICS_DIRECTED_BYTES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_DIRECTED_FRAMES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_MULTICAST_BYTES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_MULTICAST_FRAMES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_BROADCAST_BYTES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_BROADCAST_FRAMES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_DIRECTED_BYTES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_DIRECTED_FRAMES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_MULTICAST_BYTES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_MULTICAST_FRAMES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_BROADCAST_BYTES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_BROADCAST_FRAMES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_BYTES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_BYTES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_RCV_DISCARDS_SUPPORTED
    | sys::NDIS_STATISTICS_XMIT_DISCARDS_SUPPORTED
    | sys::NDIS_STATISTICS_GEN_STATISTICS_SUPPORTED;

const VENDOR: &[u8] = b"Loopback miniport of the test host\0";
const VENDOR_ID: u32 = 0x00ff_ffff;
const VERSION: u32 = 0x0001_0000;
const ADDRESS: usize = 6;

/// MiniportOidRequest, at PASSIVE_LEVEL: every request is complete when this returns.
pub(crate) unsafe extern "efiapi" fn request(
    context: NDIS_HANDLE,
    request: *mut NDIS_OID_REQUEST,
) -> NDIS_STATUS {
    // SAFETY: an adapter context, and a request that is ours until this returns.
    unsafe {
        let adapter = adapter::of(context);
        // A set has the layout of a query; "written" is "read" there.
        let data = &mut (*request).DATA.QUERY_INFORMATION;
        match (*request).RequestType {
            sys::NdisRequestQueryInformation | sys::NdisRequestQueryStatistics => {
                query(adapter, data)
            }
            sys::NdisRequestSetInformation => set(adapter, data),
            _ => NDIS_STATUS_NOT_SUPPORTED,
        }
    }
}

unsafe fn query(adapter: &Adapter, data: &mut NDIS_OID_REQUEST_QUERY) -> NDIS_STATUS {
    let frame = FRAME as u32;
    let counters = &adapter.counters;
    // SAFETY: the buffer of the request is as long as it says.
    unsafe {
        match data.Oid {
            sys::OID_GEN_MAXIMUM_TOTAL_SIZE
            | sys::OID_GEN_RECEIVE_BLOCK_SIZE
            | sys::OID_GEN_TRANSMIT_BLOCK_SIZE
            | sys::OID_GEN_RECEIVE_BUFFER_SPACE
            | sys::OID_GEN_TRANSMIT_BUFFER_SPACE => answer(data, &frame.to_ne_bytes()),
            sys::OID_GEN_VENDOR_ID => answer(data, &VENDOR_ID.to_ne_bytes()),
            sys::OID_GEN_VENDOR_DRIVER_VERSION => answer(data, &VERSION.to_ne_bytes()),
            sys::OID_GEN_VENDOR_DESCRIPTION => answer(data, VENDOR),
            sys::OID_802_3_PERMANENT_ADDRESS | sys::OID_802_3_CURRENT_ADDRESS => {
                answer(data, &adapter.mac)
            }
            sys::OID_802_3_MAXIMUM_LIST_SIZE => answer(data, &MULTICAST_ADDRESSES.to_ne_bytes()),
            sys::OID_GEN_INTERRUPT_MODERATION => answer(data, &moderation()),
            sys::OID_GEN_XMIT_OK => answer_counter(data, &counters.sent),
            sys::OID_GEN_RCV_OK => answer_counter(data, &counters.received),
            sys::OID_GEN_STATISTICS => {
                let info = statistics(adapter);
                let bytes = (&raw const info).cast::<u8>();
                answer(data, core::slice::from_raw_parts(bytes, size_of_val(&info)))
            }
            _ => NDIS_STATUS_NOT_SUPPORTED,
        }
    }
}

unsafe fn answer(data: &mut NDIS_OID_REQUEST_QUERY, bytes: &[u8]) -> NDIS_STATUS {
    let needed = bytes.len() as u32;
    if data.InformationBufferLength < needed {
        data.BytesWritten = 0;
        data.BytesNeeded = needed;
        return NDIS_STATUS_INVALID_LENGTH;
    }
    let to = data.InformationBuffer.cast::<u8>();
    // SAFETY: the buffer is long enough.
    unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    data.BytesWritten = needed;
    NDIS_STATUS_SUCCESS
}

/// Eight bytes, or the low four of them if there is no room for more.
unsafe fn answer_counter(data: &mut NDIS_OID_REQUEST_QUERY, counter: &AtomicU64) -> NDIS_STATUS {
    let value = counter.load(Ordering::Relaxed);
    // SAFETY: by contract.
    unsafe {
        if (4..8).contains(&data.InformationBufferLength) {
            let status = answer(data, &(value as u32).to_ne_bytes());
            data.BytesNeeded = 8;
            return status;
        }
        answer(data, &value.to_ne_bytes())
    }
}

/// NDIS_INTERRUPT_MODERATION_PARAMETERS: header, flags, NdisInterruptModerationNotSupported.
fn moderation() -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0] = NDIS_OBJECT_TYPE_DEFAULT;
    bytes[1] = sys::NDIS_INTERRUPT_MODERATION_PARAMETERS_REVISION_1;
    let size = sys::NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1;
    bytes[2..4].copy_from_slice(&size.to_ne_bytes());
    let not_supported = sys::NdisInterruptModerationNotSupported;
    bytes[8..12].copy_from_slice(&not_supported.to_ne_bytes());
    bytes
}

fn statistics(adapter: &Adapter) -> NDIS_STATISTICS_INFO {
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &adapter.counters;
    let mut info = NDIS_STATISTICS_INFO::zeroed();
    info.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_DEFAULT,
        Revision: sys::NDIS_STATISTICS_INFO_REVISION_1,
        Size: sys::NDIS_SIZEOF_STATISTICS_INFO_REVISION_1,
    };
    // What comes out of the mirror is for us alone, and what goes in is taken for the same.
    info.SupportedStatistics = sys::NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_RCV
        | sys::NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_RCV
        | sys::NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_RCV
        | sys::NDIS_STATISTICS_FLAGS_VALID_BYTES_RCV
        | sys::NDIS_STATISTICS_FLAGS_VALID_RCV_DISCARDS
        | sys::NDIS_STATISTICS_FLAGS_VALID_RCV_ERROR
        | sys::NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_XMIT
        | sys::NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_XMIT
        | sys::NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_XMIT
        | sys::NDIS_STATISTICS_FLAGS_VALID_BYTES_XMIT
        | sys::NDIS_STATISTICS_FLAGS_VALID_XMIT_ERROR
        | sys::NDIS_STATISTICS_FLAGS_VALID_XMIT_DISCARDS
        | sys::NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_RCV
        | sys::NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_RCV
        | sys::NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_RCV
        | sys::NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_XMIT
        | sys::NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_XMIT
        | sys::NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_XMIT;
    info.ifInDiscards = value(&counters.no_buffer);
    info.ifOutErrors = value(&counters.errors);
    info.ifHCInUcastPkts = value(&counters.received);
    info.ifHCInOctets = value(&counters.bytes_received);
    info.ifHCInUcastOctets = info.ifHCInOctets;
    info.ifHCOutUcastPkts = value(&counters.sent);
    info.ifHCOutOctets = value(&counters.bytes_sent);
    info.ifHCOutUcastOctets = info.ifHCOutOctets;
    info
}

unsafe fn set(adapter: &Adapter, data: &mut NDIS_OID_REQUEST_QUERY) -> NDIS_STATUS {
    let length = data.InformationBufferLength as usize;
    let status = match data.Oid {
        sys::OID_GEN_CURRENT_PACKET_FILTER if length >= 4 => {
            // SAFETY: the buffer has four bytes, of any alignment.
            let filter = unsafe { data.InformationBuffer.cast::<u32>().read_unaligned() };
            if filter & !FILTERS != 0 {
                return NDIS_STATUS_NOT_SUPPORTED;
            }
            adapter.filter.store(filter, Ordering::Relaxed);
            NDIS_STATUS_SUCCESS
        }
        sys::OID_GEN_CURRENT_LOOKAHEAD if length >= 4 => NDIS_STATUS_SUCCESS,
        sys::OID_GEN_CURRENT_PACKET_FILTER | sys::OID_GEN_CURRENT_LOOKAHEAD => {
            data.BytesNeeded = 4;
            NDIS_STATUS_INVALID_LENGTH
        }
        // The mirror sends to nobody but us: no group address can come.
        sys::OID_802_3_MULTICAST_LIST if length.is_multiple_of(ADDRESS) => NDIS_STATUS_SUCCESS,
        sys::OID_802_3_MULTICAST_LIST => NDIS_STATUS_INVALID_LENGTH,
        sys::OID_GEN_INTERRUPT_MODERATION | sys::OID_GEN_LINK_PARAMETERS => {
            NDIS_STATUS_INVALID_DATA
        }
        _ => NDIS_STATUS_NOT_SUPPORTED,
    };
    if status == NDIS_STATUS_SUCCESS {
        data.BytesWritten = data.InformationBufferLength;
    }
    status
}
