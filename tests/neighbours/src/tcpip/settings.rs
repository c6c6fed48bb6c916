//! What TCP/IP sets when it has opened an adapter, and unsets before it closes it.

use std::net::Ipv4Addr;

use ndis_host::ndis::api;
use ndis_host::ndis::native::BindingHandle;
use ndis_sys::{
    NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED, NDIS_PACKET_TYPE_MULTICAST,
    NDIS_PROTOCOL_ID_TCP_IP, NDIS_STATUS, OID_802_3_MULTICAST_LIST, OID_GEN_CURRENT_LOOKAHEAD,
    OID_GEN_NETWORK_LAYER_ADDRESSES,
};

/// What TCP/IP wants to receive.
const FILTER: u32 =
    NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_BROADCAST;
/// The group of all IPv4 hosts, 224.0.0.1.
const ALL_HOSTS: [u8; 6] = [0x01, 0x00, 0x5e, 0, 0, 1];
/// Bytes of a frame that TCP/IP wants contiguous.
const LOOKAHEAD: u32 = 128;

/// Sets up an open adapter. At PASSIVE.
pub(super) fn apply(binding: BindingHandle, address: Ipv4Addr) -> Result<(), NDIS_STATUS> {
    api::oid_set(binding, OID_GEN_CURRENT_LOOKAHEAD, &LOOKAHEAD.to_le_bytes())?;
    api::oid_set(binding, OID_802_3_MULTICAST_LIST, &ALL_HOSTS)?;
    api::set_packet_filter(binding, FILTER)?;
    // Adapters that don't care refuse this one; Windows doesn't mind either.
    let _ = api::oid_set(
        binding,
        OID_GEN_NETWORK_LAYER_ADDRESSES,
        &address_list(address),
    );
    Ok(())
}

/// Undoes [`apply`]. At PASSIVE. An adapter that is gone refuses, and needs it no more.
pub(super) fn undo(binding: BindingHandle) {
    let _ = api::set_packet_filter(binding, 0);
    let _ = api::oid_set(binding, OID_802_3_MULTICAST_LIST, &[]);
}

/// A NETWORK_ADDRESS_LIST with one IPv4 address (Microsoft Learn, NETWORK_ADDRESS_LIST,
/// NETWORK_ADDRESS, NETWORK_ADDRESS_IP in ntddndis.h). The list's own header is six bytes long:
/// NETWORK_ADDRESS needs an alignment of two only.
fn address_list(address: Ipv4Addr) -> Vec<u8> {
    const ADDRESS_BYTES: u16 = 16;
    let kind = u16::from(NDIS_PROTOCOL_ID_TCP_IP).to_le_bytes();
    let mut list = Vec::with_capacity(26);
    list.extend(1i32.to_le_bytes()); // AddressCount
    list.extend(kind); // AddressType
    list.extend(ADDRESS_BYTES.to_le_bytes()); // Address[0].AddressLength
    list.extend(kind); // Address[0].AddressType
    list.extend([0; 4]); // sin_port and what aligns in_addr
    list.extend(address.octets()); // in_addr
    list.extend([0; 8]); // sin_zero
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_where_the_header_says() {
        let list = address_list(Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(list.len(), 6 + 4 + 16);
        assert_eq!(list[6..8], [16, 0]);
        assert_eq!(list[14..18], [10, 0, 0, 1]);
    }
}
