//! Receive-side scaling.

use ndis_host::ndis::api::{self, AdapterAttributes};
use ndis_host::ndis::native::OidRequestRef;
use ndis_host::sched;
use ndis_sys::{
    NDIS_RECEIVE_SCALE_CAPABILITIES, NDIS_STATUS, NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_SUCCESS,
    OID_GEN_RECEIVE_SCALE_PARAMETERS, Zeroed,
};

use super::header;
use crate::hooked_card::{Hooks, RIGHT, plain, tcp};
use crate::native::{breaks, holds, nic::MAC};

/// Slots of the hash.
const HASH_VALUE: usize = 8;
const HASH_INFO: usize = 9;

/// A key, and a table of two entries.
fn scaling_parameters(key_length: u16) -> Vec<u8> {
    let mut data = vec![0x89, 1, 28, 0];
    data.extend([0; 4]);
    // Toeplitz over TCP and IPv4.
    data.extend(0x301u32.to_le_bytes());
    data.extend(8u16.to_le_bytes());
    data.extend([0; 2]);
    data.extend(28u32.to_le_bytes());
    data.extend(key_length.to_le_bytes());
    data.extend([0; 2]);
    data.extend(36u32.to_le_bytes());
    for number in [0, 1] {
        data.extend([0, 0, number, 0]);
    }
    data.extend((0..40).map(|number: u8| number.wrapping_mul(37)));
    data
}

fn capabilities(queues: u32) -> AdapterAttributes {
    let mut rss = NDIS_RECEIVE_SCALE_CAPABILITIES::zeroed();
    rss.Header = header(0x88, 2, 18);
    rss.CapabilitiesFlags = 0x100 | 1;
    rss.NumberOfInterruptMessages = 2;
    rss.NumberOfReceiveQueues = queues;
    rss.NumberOfIndirectionTableEntries = 128;
    AdapterAttributes {
        rss: Some(rss),
        ..AdapterAttributes::ethernet(MAC)
    }
}

const SCALING: Hooks = Hooks {
    attributes: || capabilities(2),
    ..RIGHT
};

fn answer_length(request: OidRequestRef) -> NDIS_STATUS {
    let key = request.input().get(20).copied();
    if request.oid() == OID_GEN_RECEIVE_SCALE_PARAMETERS && key != Some(40) {
        request.set_needed(request.input().len() as u32 + 24);
        return NDIS_STATUS_INVALID_LENGTH;
    }
    request.set_read(request.input().len() as u32);
    NDIS_STATUS_SUCCESS
}

#[test]
fn r283_breaks_when_a_short_key_is_accepted() {
    breaks!(283, || {
        let (_, stack, _) = plain(SCALING);
        let oid = OID_GEN_RECEIVE_SCALE_PARAMETERS;
        let _ = api::oid_set(stack.binding(), oid, &scaling_parameters(16));
    });
}

#[test]
fn r283_holds_when_a_short_key_is_refused() {
    holds!(|| {
        let (_, stack, _) = plain(Hooks {
            oid: |_, request| answer_length(request),
            ..SCALING
        });
        let oid = OID_GEN_RECEIVE_SCALE_PARAMETERS;
        api::oid_set(stack.binding(), oid, &scaling_parameters(16)).expect_err("it is refused");
    });
}

/// A plain Toeplitz hash, bit by bit.
fn hash(key: &[u8], data: &[u8]) -> u32 {
    let mut hash = 0;
    for bit in 0..data.len() * 8 {
        if data[bit / 8] >> (7 - bit % 8) & 1 != 0 {
            let window = (bit..bit + 32).map(|at| u32::from(key[at / 8] >> (7 - at % 8) & 1));
            hash ^= window.fold(0, |window, bit| window << 1 | bit);
        }
    }
    hash
}

/// Indicates a frame with its hash, on the CPU that `choose` makes of the right one.
fn scale(spoil: u32, choose: fn(usize) -> usize, attributes: fn() -> AdapterAttributes) {
    let (card, stack, _) = plain(Hooks {
        attributes,
        ..SCALING
    });
    let parameters = scaling_parameters(40);
    let oid = OID_GEN_RECEIVE_SCALE_PARAMETERS;
    api::oid_set(stack.binding(), oid, &parameters).expect("it is accepted");
    for port in 0..16u8 {
        let mut frame = tcp(MAC, 30);
        frame[34] = port;
        let value = hash(&parameters[36..], &frame[26..38]) ^ spoil;
        let cpu = choose(value as usize & 1);
        let id = sched::DpcId(0x5151_0000 + u64::from(port));
        sched::queue_dpc(cpu, id, move || {
            let nbl = card.pool().frame(&frame);
            api::set_info(nbl, HASH_VALUE, value as usize);
            api::set_info(nbl, HASH_INFO, 0x201);
            card.indicate(&[nbl], 0);
        });
    }
    sched::sleep(crate::bench::ONE_SECOND);
}

#[test]
fn r284_breaks_when_the_hash_is_wrong() {
    breaks!(284, || scale(2, |cpu| cpu, || capabilities(2)));
}

#[test]
fn r284_breaks_when_the_cpu_is_not_that_of_the_table() {
    breaks!(284, || scale(0, |cpu| 1 - cpu, || capabilities(2)));
}

#[test]
fn r284_holds_when_hash_and_cpu_are_right() {
    holds!(|| scale(0, |cpu| cpu, || capabilities(2)));
}

#[test]
fn r285_breaks_when_more_queues_are_used_than_there_are() {
    breaks!(285, || scale(0, |cpu| cpu, || capabilities(1)));
}
