//! Lists as the seed likes them: cut, and in another order.

use ndis_sys::NET_BUFFER_LIST;

use crate::ndis::adversary;
use crate::ndis::held::Nbls;
use crate::sched;

/// Cuts a list into parts: mostly one, sometimes more. None is empty.
pub(crate) fn split(nbls: Nbls) -> Vec<Nbls> {
    let one_in = adversary::current().split_one_in;
    let mut parts: Vec<Nbls> = Vec::new();
    for nbl in nbls {
        match parts.last_mut() {
            Some(current) if !sched::chance(one_in) => current.push(nbl),
            _ => parts.push(vec![nbl]),
        }
    }
    parts
}

/// Puts a list into another order, sometimes.
pub(crate) fn shuffle(nbls: &mut [*mut NET_BUFFER_LIST]) {
    if nbls.len() < 2 || !adversary::does(|a| a.reorder_one_in) {
        return;
    }
    for last in (1..nbls.len()).rev() {
        nbls.swap(last, sched::random_below(last as u64 + 1) as usize);
    }
}
