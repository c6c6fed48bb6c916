//! What happens at random between a driver with wishes and its device.

use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Modes(u8),
    Addresses(Vec<u8>, Vec<u8>),
    Mac(u8),
    Vlan(u16, bool),
    Pairs(u16),
    Rss(Vec<u16>, u8),
    Hash(u8),
    Offloads(bool, bool),
    Receive(u32),
    Transmit(u32),
    Queue(u16, u32),
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Wish(Wish),
    Advance,
    /// The device takes what it is shown.
    Take,
    /// It carries out one of the commands that it holds, and keeps it.
    Execute(usize),
    /// It uses one, carried out.
    Answer(usize),
    /// It refuses one; not after it was carried out.
    Refuse(usize),
    /// It uses one, carried out or not, with any byte and length.
    Garble(usize, u8, bool),
    /// It never uses one, which it carried out or not.
    Lose(usize),
    Poll,
    Expire(u64),
    Reset,
}

/// Wishes that have to do with each other, or all of them.
fn wish(about: u8) -> BoxedStrategy<Wish> {
    let vlan = (
        prop_oneof![0..3_u16, Just(63), Just(64), Just(4094)],
        any::<bool>(),
    )
        .prop_map(|(vlan, on)| Wish::Vlan(vlan, on));
    let filter = prop_oneof![
        (0..64_u8).prop_map(Wish::Modes),
        (vec(1..4_u8, 0..4), vec(1..4_u8, 0..5)).prop_map(|(u, m)| Wish::Addresses(u, m)),
    ];
    let rss = (0..=3_u32, vec(0..4_u16, 8), 1..4_u8).prop_map(|(bits, mut table, key)| {
        table.truncate(1 << bits);
        Wish::Rss(table, key)
    });
    let pairs = (1..=4_u16).prop_map(Wish::Pairs);
    let steering = prop_oneof![pairs.clone(), rss, (1..4_u8).prop_map(Wish::Hash)];
    let small = prop_oneof![
        (1..4_u8).prop_map(Wish::Mac),
        any::<(bool, bool)>().prop_map(|(csum, tso)| Wish::Offloads(csum, tso)),
    ];
    let coalescing = prop_oneof![
        1 => (0..4_u32).prop_map(Wish::Receive),
        1 => (0..4_u32).prop_map(Wish::Transmit),
        3 => (0..3_u16, 0..4_u32).prop_map(|(queue, value)| Wish::Queue(queue, value)),
        1 => pairs,
    ];
    match about {
        0 => vlan.boxed(),
        1 => filter.boxed(),
        2 => steering.boxed(),
        3 => small.boxed(),
        4 => coalescing.boxed(),
        _ => prop_oneof![vlan, filter, steering, small, coalescing].boxed(),
    }
}

/// What a device does that answers everything with yes, though late and in any order.
pub(crate) fn patient(about: u8) -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => wish(about).prop_map(Step::Wish),
        10 => Just(Step::Advance),
        8 => Just(Step::Take),
        2 => any::<usize>().prop_map(Step::Execute),
        6 => any::<usize>().prop_map(Step::Answer),
        8 => Just(Step::Poll),
        5 => (1..30_u64).prop_map(Step::Expire),
        1 => prop::bool::weighted(0.2).prop_map(|reset| if reset { Step::Reset } else { Step::Poll }),
    ]
}

/// What a device may do besides.
pub(crate) fn contrary(about: u8) -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => patient(about),
        1 => any::<usize>().prop_map(Step::Refuse),
        1 => any::<(usize, u8, bool)>().prop_map(|(which, ack, len)| Step::Garble(which, ack, len)),
        1 => any::<usize>().prop_map(Step::Lose),
    ]
}

/// What a hostile device writes into the ring besides answers.
#[derive(Clone, Debug)]
pub(crate) enum Blow {
    Step(Step),
    /// Bytes and a length of its own for one of the commands that it holds.
    Use(usize, Vec<u8>, u32),
}

pub(crate) fn blow() -> impl Strategy<Value = Blow> {
    prop_oneof![
        6 => contrary(5).prop_map(Blow::Step),
        2 => (any::<usize>(), vec(any::<u8>(), 0..12), prop_oneof![0..12_u32, any::<u32>()])
            .prop_map(|(which, bytes, written)| Blow::Use(which, bytes, written)),
    ]
}
