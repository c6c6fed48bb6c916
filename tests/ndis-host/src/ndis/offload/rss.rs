//! Receive-side scaling: parameters, the Toeplitz hash, and what comes with a received frame.
//!
//! Microsoft Learn, "RSS Hashing Types", "RSS Configuration", "Indicating RSS Receive Data".

use std::collections::BTreeSet;

use ndis_sys::{
    NDIS_RECEIVE_SCALE_CAPABILITIES, NET_BUFFER_LIST, NetBufferListHashInfo, NetBufferListHashValue,
};

use crate::ndis::adapter::Adapter;
use crate::ndis::nbl::raw;
use crate::ndis::packet::{Headers, TCP, UDP, addresses};
use crate::sched;
use crate::verifier;

/// NDIS_RSS_PARAM_FLAG_BASE_CPU_UNCHANGED and its like, bits 0 to 3; bit 4: disable.
const UNCHANGED: [u16; 4] = [1, 2, 4, 8];
const DISABLE: u16 = 0x10;
const KNOWN_FLAGS: u16 = 0x3f;
/// Offsets in NDIS_RECEIVE_SCALE_PARAMETERS.
const HASH_INFORMATION: usize = 8;
const LEAST: usize = 28;
/// NdisHashFunctionToeplitz.
const TOEPLITZ: u32 = 1;
/// Hash types.
pub(crate) const IPV4: u32 = 0x100;
pub(crate) const TCP_IPV4: u32 = 0x200;
pub(crate) const IPV6: u32 = 0x400;
pub(crate) const TCP_IPV6: u32 = 0x1000;
pub(crate) const UDP_IPV4: u32 = 0x4000;
pub(crate) const UDP_IPV6: u32 = 0x8000;
/// Bytes of a key that NDIS sets.
const KEY: usize = 40;
/// Bytes of a PROCESSOR_NUMBER, an entry of the table.
const ENTRY: usize = 4;

/// Receive-side scaling that is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scaling {
    types: u32,
    key: Vec<u8>,
    /// CPU of each entry of the table.
    table: Vec<u8>,
    /// CPUs that frames were indicated on.
    used: BTreeSet<usize>,
}

/// What is wrong with a request, or what it asks for; `None` inside: switch off.
fn parse(input: &[u8], before: Option<&Scaling>, most: usize) -> Result<Option<Scaling>, String> {
    if input.len() < LEAST {
        return Err(format!("{} bytes", input.len()));
    }
    let word = |at: usize| u16::from_le_bytes([input[at], input[at + 1]]);
    let long = |at: usize| u32::from(word(at)) | u32::from(word(at + 2)) << 16;
    let flags = word(4);
    if flags & !KNOWN_FLAGS != 0 {
        return Err(format!("flags {flags:#x}"));
    }
    if flags & DISABLE != 0 {
        return Ok(None);
    }
    let mut scaling = before.cloned().unwrap_or_default();
    if flags & UNCHANGED[1] == 0 {
        let information = long(HASH_INFORMATION);
        if information == 0 {
            return Ok(None);
        }
        if information & 0xff != TOEPLITZ {
            return Err(format!("hash information {information:#x}"));
        }
        scaling.types = information & !0xff;
    }
    let slice = |offset: usize, length: usize| {
        let end = offset.checked_add(length)?;
        input.get(offset..end)
    };
    if flags & UNCHANGED[2] == 0 {
        let length = usize::from(word(12));
        let entries = length / ENTRY;
        let table = slice(long(16) as usize, length);
        if length % ENTRY != 0 || !entries.is_power_of_two() || entries > most || table.is_none() {
            return Err(format!("a table of {length} bytes, {most} entries at most"));
        }
        // The number is the third byte of an entry.
        scaling.table = table
            .unwrap_or(&[])
            .chunks(ENTRY)
            .map(|entry| entry[2])
            .collect();
    }
    if flags & UNCHANGED[3] == 0 {
        let length = usize::from(word(20));
        let key = slice(long(24) as usize, length);
        if length != KEY || key.is_none() {
            return Err(format!("a key of {length} bytes"));
        }
        scaling.key = key.unwrap_or(&[]).to_vec();
    }
    Ok(Some(scaling))
}

fn capabilities(adapter: &'static Adapter) -> Option<NDIS_RECEIVE_SCALE_CAPABILITIES> {
    let bytes = adapter.state.with(|state| state.declared.rss.clone())?;
    if bytes.len() < 16 {
        return None;
    }
    let mut value: NDIS_RECEIVE_SCALE_CAPABILITIES = ndis_sys::zeroed();
    let length = bytes.len().min(size_of_val(&value));
    // SAFETY: the record is plain data, and as long as what is copied.
    unsafe {
        (&raw mut value)
            .cast::<u8>()
            .copy_from_nonoverlapping(bytes.as_ptr(), length);
    }
    Some(value)
}

/// Rule 283: the miniport takes what is valid only, and its settings follow.
pub(super) fn observe(adapter: &'static Adapter, input: &[u8], done: bool) {
    let most = capabilities(adapter).map_or(0, |capabilities| {
        capabilities.NumberOfIndirectionTableEntries
    });
    let before = adapter.state.with(|state| state.offload.rss.clone());
    let parsed = parse(input, before.as_ref(), usize::from(most).max(128));
    match parsed {
        Ok(scaling) if done => adapter.state.with(|state| state.offload.rss = scaling),
        Err(fault) => {
            verifier::require(283, !done, || {
                format!("{} accepts RSS parameters with {fault}", adapter.name)
            });
        }
        Ok(_) => {}
    }
}

/// The Toeplitz hash of `data` with `key`.
#[must_use]
pub(crate) fn toeplitz(key: &[u8], data: &[u8]) -> u32 {
    let bit = |index: usize| {
        let byte = key.get(index / 8).copied().unwrap_or(0);
        u32::from(byte >> (7 - index % 8) & 1)
    };
    let mut window = (0..32).fold(0, |window, index| window << 1 | bit(index));
    let mut hash = 0;
    for (index, byte) in data.iter().enumerate() {
        for position in 0..8 {
            if byte >> (7 - position) & 1 != 0 {
                hash ^= window;
            }
            window = window << 1 | bit(32 + index * 8 + position);
        }
    }
    hash
}

/// The type of hash that a frame gets, and the bytes that are hashed.
fn input(frame: &[u8], types: u32) -> Option<(u32, Vec<u8>)> {
    let headers = Headers::of(frame)?;
    let ip = headers.ip.clone()?;
    let mut data = addresses(frame, &headers, ip.start).to_vec();
    let with_ports = match (headers.version, headers.protocol) {
        (4, TCP) => TCP_IPV4,
        (4, UDP) => UDP_IPV4,
        (6, TCP) => TCP_IPV6,
        (6, UDP) => UDP_IPV6,
        _ => 0,
    };
    let transport = headers.transport.clone().filter(|_| !headers.fragment);
    if let Some(transport) = transport.filter(|_| types & with_ports != 0) {
        data.extend(frame.get(transport.start..transport.start + 4)?);
        return Some((with_ports, data));
    }
    let plain = if headers.version == 4 { IPV4 } else { IPV6 };
    (types & plain != 0).then_some((plain, data))
}

/// Rules 284 and 285, for a frame that comes while scaling is on.
///
/// # Safety
///
/// `nbl` is in the shadow table and has one NET_BUFFER.
pub(crate) unsafe fn check(name: &str, adapter: &'static Adapter, nbl: *mut NET_BUFFER_LIST) {
    let Some(scaling) = adapter.state.with(|state| state.offload.rss.clone()) else {
        return;
    };
    // SAFETY: the caller's contract.
    let (slots, frame) = unsafe {
        let nb = raw::net_buffers(nbl)[0];
        ((*nbl).NetBufferListInfo, raw::read(nb, 256))
    };
    let value = slots[NetBufferListHashValue as usize].addr() as u32;
    let info = slots[NetBufferListHashInfo as usize].addr() as u32;
    let Some((kind, data)) = input(&frame, scaling.types) else {
        verifier::require(284, value == 0 && info & !0xff == 0, || {
            format!(
                "{name} by {}: a frame without a hash has {value:#x}",
                adapter.name
            )
        });
        return;
    };
    let hash = toeplitz(&scaling.key, &data);
    let right = value == hash && info == (kind | TOEPLITZ);
    verifier::require(284, right, || {
        format!(
            "{name} by {}: hash {value:#x} of type {info:#x}, it is {hash:#x} of {:#x}",
            adapter.name,
            kind | TOEPLITZ
        )
    });
    check_cpu(name, adapter, &scaling, hash);
}

fn check_cpu(name: &str, adapter: &'static Adapter, scaling: &Scaling, hash: u32) {
    if scaling.table.is_empty() || sched::irql() < sched::DISPATCH_LEVEL {
        return;
    }
    let entry = hash as usize & (scaling.table.len() - 1);
    let (wanted, here) = (usize::from(scaling.table[entry]), sched::current_cpu());
    verifier::require(284, wanted == here, || {
        format!(
            "{name} by {}: on CPU {here}, the table says {wanted}",
            adapter.name
        )
    });
    let queues = capabilities(adapter).map_or(u32::MAX, |c| c.NumberOfReceiveQueues);
    let used = adapter.state.with(|state| {
        let rss = state.offload.rss.as_mut()?;
        rss.used.insert(here);
        Some(rss.used.len())
    });
    verifier::require(285, used.unwrap_or(0) <= queues as usize, || {
        format!(
            "{name} by {}: more CPUs than its {queues} queues",
            adapter.name
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the vectors of Microsoft Learn, "Verifying the RSS Hash Calculation".
    const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f,
        0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
        0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    fn v4(source: [u8; 4], destination: [u8; 4], ports: Option<[u16; 2]>) -> u32 {
        let mut data = [source, destination].concat();
        data.extend(ports.into_iter().flatten().flat_map(u16::to_be_bytes));
        toeplitz(&KEY, &data)
    }

    #[test]
    fn the_documented_vectors_of_ipv4_come_out() {
        let (source, destination) = ([66, 9, 149, 187], [161, 142, 100, 80]);
        assert_eq!(v4(source, destination, None), 0x323e_8fc2);
        assert_eq!(v4(source, destination, Some([2794, 1766])), 0x51cc_c178);
        let (source, destination) = ([199, 92, 111, 2], [65, 69, 140, 83]);
        assert_eq!(v4(source, destination, None), 0xd718_262a);
        assert_eq!(v4(source, destination, Some([14230, 4739])), 0xc626_b0ea);
    }

    #[test]
    fn the_documented_vector_of_ipv6_comes_out() {
        let words = |words: [u16; 8]| words.map(u16::to_be_bytes).concat();
        let source = words([0x3ffe, 0x2501, 0x0200, 0x1fff, 0, 0, 0, 7]);
        let destination = words([0x3ffe, 0x2501, 0x0200, 0x0003, 0, 0, 0, 1]);
        let mut data = [source, destination].concat();
        assert_eq!(toeplitz(&KEY, &data), 0x2cc1_8cd5);
        data.extend([2794u16, 1766].map(u16::to_be_bytes).concat());
        assert_eq!(toeplitz(&KEY, &data), 0x4020_7d3d);
    }
}
