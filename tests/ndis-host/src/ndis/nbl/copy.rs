//! Copying between NBLs: data, and out-of-band information.

use ndis_sys::{
    ClassificationHandleNetBufferListInfo, IPsecOffloadV1NetBufferListInfo,
    IPsecOffloadV2HeaderNetBufferListInfo, IPsecOffloadV2TunnelNetBufferListInfo,
    Ieee8021QNetBufferListInfo, MediaSpecificInformation, MediaSpecificInformationEx, NDIS_STATUS,
    NDIS_STATUS_SUCCESS, NET_BUFFER, NET_BUFFER_LIST, NetBufferListCancelId,
    NetBufferListCorrelationId, NetBufferListFilteringInfo, NetBufferListFrameType,
    NetBufferListHashInfo, NetBufferListHashValue, TcpIpChecksumNetBufferListInfo,
    TcpLargeSendNetBufferListInfo, TcpRecvSegCoalesceInfo, VirtualSubnetInfo, WfpNetBufferListInfo,
};

use super::{raw, shadow};
use crate::memory::PAGE_SIZE;
use crate::ndis::call::{Level, import};

/// Slots of a send.
const SEND_SLOTS: [i32; 15] = [
    TcpIpChecksumNetBufferListInfo,
    IPsecOffloadV1NetBufferListInfo,
    TcpLargeSendNetBufferListInfo,
    ClassificationHandleNetBufferListInfo,
    Ieee8021QNetBufferListInfo,
    NetBufferListCancelId,
    MediaSpecificInformation,
    // The slot holds the protocol's number on a send.
    NetBufferListFrameType,
    WfpNetBufferListInfo,
    IPsecOffloadV2TunnelNetBufferListInfo,
    IPsecOffloadV2HeaderNetBufferListInfo,
    NetBufferListCorrelationId,
    NetBufferListFilteringInfo,
    MediaSpecificInformationEx,
    VirtualSubnetInfo,
];

/// Slots of a receive.
const RECEIVE_SLOTS: [i32; 14] = [
    TcpIpChecksumNetBufferListInfo,
    IPsecOffloadV1NetBufferListInfo,
    Ieee8021QNetBufferListInfo,
    MediaSpecificInformation,
    NetBufferListFrameType,
    NetBufferListHashValue,
    NetBufferListHashInfo,
    WfpNetBufferListInfo,
    IPsecOffloadV2TunnelNetBufferListInfo,
    NetBufferListCorrelationId,
    NetBufferListFilteringInfo,
    MediaSpecificInformationEx,
    VirtualSubnetInfo,
    TcpRecvSegCoalesceInfo,
];

/// Microsoft Learn, NdisCopySendNetBufferListInfo function (ndis.h): the slots that the page
/// lists, and those that NDIS keeps for itself. IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// Both are NBLs that the caller owns.
pub(crate) unsafe extern "efiapi" fn copy_send_info(
    destination: *mut NET_BUFFER_LIST,
    source: *mut NET_BUFFER_LIST,
) {
    const CALL: &str = "NdisCopySendNetBufferListInfo";
    import(CALL, Level::UpToDispatch);
    // SAFETY: the caller's contract.
    unsafe { copy_info(CALL, destination, source, &SEND_SLOTS) }
}

/// Microsoft Learn, NdisCopyReceiveNetBufferListInfo function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// Both are NBLs that the caller owns.
pub(crate) unsafe extern "efiapi" fn copy_receive_info(
    destination: *mut NET_BUFFER_LIST,
    source: *mut NET_BUFFER_LIST,
) {
    const CALL: &str = "NdisCopyReceiveNetBufferListInfo";
    import(CALL, Level::UpToDispatch);
    // SAFETY: the caller's contract.
    unsafe { copy_info(CALL, destination, source, &RECEIVE_SLOTS) }
}

/// # Safety
///
/// Both are NBLs that the caller owns.
unsafe fn copy_info(
    call: &str,
    destination: *mut NET_BUFFER_LIST,
    source: *mut NET_BUFFER_LIST,
    slots: &[i32],
) {
    shadow::insist_at_hand(destination, call);
    shadow::insist_at_hand(source, call);
    // SAFETY: the caller's contract; the shadow table knows both.
    let (from, to) = unsafe { (*source, &mut *destination) };
    for slot in slots {
        let slot = *slot as usize;
        to.NetBufferListInfo[slot] = from.NetBufferListInfo[slot];
    }
}

/// Microsoft Learn, NdisCopyFromNetBufferToNetBuffer function (nblapi.h): offsets count from the
/// data start of each; what the MDLs of the destination hold from there on is room.
/// IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// Both are NET_BUFFERs that the caller owns; `copied` points to a ULONG.
pub(crate) unsafe extern "efiapi" fn copy_data(
    destination: *mut NET_BUFFER,
    destination_offset: u32,
    bytes: u32,
    source: *mut NET_BUFFER,
    source_offset: u32,
    copied: *mut u32,
) -> NDIS_STATUS {
    import("NdisCopyFromNetBufferToNetBuffer", Level::UpToDispatch);
    // SAFETY: the caller's contract.
    let data = unsafe { raw::read(source, usize::MAX) };
    let rest = data.get(source_offset as usize..).unwrap_or(&[]);
    let rest = &rest[..rest.len().min(bytes as usize)];
    // SAFETY: as above.
    let written = unsafe { raw::write(destination, destination_offset as usize, rest) };
    // SAFETY: as above.
    unsafe { *copied = written as u32 };
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisQueryNetBufferPhysicalCount function (ndis.h): pages that the MDLs of the
/// data touch. IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `nb` is a NET_BUFFER that the caller owns.
pub(crate) unsafe extern "efiapi" fn physical_count(nb: *mut NET_BUFFER) -> u32 {
    import("NdisQueryNetBufferPhysicalCount", Level::UpToDispatch);
    // SAFETY: the caller's contract, for this block and the one below.
    let mut left = unsafe { (*nb).CurrentMdlOffset as usize + (*nb).DataLength as usize };
    let mut pages = 0;
    // SAFETY: as above.
    for mdl in unsafe { raw::mdls((*nb).CurrentMdl) } {
        if left == 0 {
            break;
        }
        // SAFETY: as above.
        let (start, length) = unsafe { raw::mdl_bytes(mdl) };
        pages += (start.addr() % PAGE_SIZE + length).div_ceil(PAGE_SIZE);
        left = left.saturating_sub(length);
    }
    pages as u32
}
