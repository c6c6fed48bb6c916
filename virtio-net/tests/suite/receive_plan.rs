//! Receive buffers: how large, how many, and where.

use std::collections::BTreeMap;

use virtio_net::dma::{Quiesced, Segment};
use virtio_net::features::Features;
use virtio_net::header::HeaderLayout;
use virtio_net::queue::{IndirectTables, QueueSize, Ring, RingLayout, Virtqueue};
use virtio_net::receive::{LONGEST_FRAME, MAX_SEGMENTS, Memory, QueueTooShort, ReceivePlan};

use crate::memory::Shared;

const MERGEABLE: Features = Features::union_of(&[Features::VERSION_1, Features::MRG_RXBUF]);
/// A frame of many, and what the device needs for that.
const COALESCING: Features = Features::union_of(&[Features::GUEST_CSUM, Features::GUEST_TSO4]);

/// Every mix of what decides about buffers.
fn mixes() -> impl Iterator<Item = (u32, Features)> {
    let bits = [
        Features::MRG_RXBUF,
        COALESCING,
        Features::HASH_REPORT,
        Features::RING_INDIRECT_DESC,
        Features::RING_PACKED,
    ];
    let legacy = [Features::NONE, Features::MRG_RXBUF, COALESCING];
    let modern = (0..1 << bits.len()).map(move |mix: usize| {
        let chosen = bits.iter().enumerate().filter(|(at, _)| mix & 1 << at != 0);
        chosen.fold(Features::VERSION_1, |all, (_, bit)| all | *bit)
    });
    let features: Vec<_> = modern.chain(legacy).collect();
    let mtus = [68, 1500, 2000, 2500, 4100, 6000, 9000, 65_535].into_iter();
    let all = mtus.flat_map(move |mtu| features.clone().into_iter().map(move |mix| (mtu, mix)));
    // Miri is slow; the number has no factor in common with those of the lists.
    all.step_by(if cfg!(miri) { 29 } else { 1 })
}

fn size(size: u16) -> QueueSize {
    QueueSize::new(size).unwrap()
}

fn plan(mtu: u32, features: Features, wish: u32) -> ReceivePlan {
    let size = ReceivePlan::queue_size(mtu, features, wish);
    ReceivePlan::new(mtu, features, wish, size).unwrap()
}

/// The figures that docs/architecture.md has. With the defaults a queue shares less than a megabyte
/// with the device, whether or not frames are coalesced and whatever the rings.
#[test]
fn the_memory_of_a_queue_is_as_stated() {
    const DEFAULT: Memory = Memory {
        buffers: 524_288,
        rings: 8192,
        tables: 0,
    };
    let memory = |mtu, features| plan(mtu, features, 256).memory();
    let indirect = MERGEABLE | Features::RING_INDIRECT_DESC;
    for more in [Features::NONE, COALESCING, Features::HASH_REPORT] {
        let split = memory(1500, indirect | more);
        assert_eq!(split, DEFAULT);
        assert_eq!(split.total(), 532_480);
        assert!(split.total() < 1_000_000);
        let packed = memory(1500, indirect | more | Features::RING_PACKED);
        assert!(packed.total() <= split.total(), "{packed:?}");
    }
    assert_eq!(memory(1500, Features::VERSION_1).total(), 532_480);
    // An old device, whose rings lie in pages of their own; and one that wants the header apart: as
    // many places more.
    assert_eq!(memory(1500, Features::ANY_LAYOUT).total(), 536_576);
    assert_eq!(memory(1500, Features::NONE).total(), 544_768);
    assert_eq!(memory(9000, indirect).total(), 1_056_768);

    let single = Features::VERSION_1 | Features::RING_INDIRECT_DESC;
    assert_eq!(memory(9000, single).total(), 2_379_776);
    assert_eq!(memory(1500, single | COALESCING).total(), 16_887_808);
}

#[test]
fn pieces_lie_apart_each_in_one_page() {
    for (mtu, features) in mixes() {
        for wish in [1, 16, 100, 256] {
            let plan = plan(mtu, features, wish);
            let mut taken = BTreeMap::new();
            for buffer in 0..plan.buffers() {
                let mut len = 0;
                for piece in 0..plan.shape().pieces() {
                    let place = plan.place(buffer, piece).unwrap();
                    let end = place.offset + place.len;
                    assert!(end <= plan.block_len(place.block), "{plan:?}, {place:?}");
                    assert_eq!(place.offset / 4096, (end - 1) / 4096, "{place:?}");
                    assert_eq!(place.offset % 64, 0);
                    let before = taken.insert((place.block, place.offset), end);
                    assert_eq!(before, None);
                    len += place.len;
                }
                assert_eq!(len, plan.shape().bytes());
                assert_eq!(plan.place(buffer, plan.shape().pieces()), None);
            }
            assert_eq!(plan.place(plan.buffers(), 0), None);
            let ends = taken.iter().map(|((block, _), end)| (*block, *end));
            let starts = taken.keys().skip(1).copied();
            assert!(ends.zip(starts).all(|(end, start)| end <= start));

            let blocks = (0..plan.blocks()).map(|block| plan.block_len(block));
            let blocks: Vec<_> = blocks.collect();
            assert!(
                blocks
                    .iter()
                    .all(|len| *len > 0 && len % 4096 == 0 && *len <= 65_536)
            );
            let whole: u64 = blocks.iter().map(|len| u64::from(*len)).sum();
            assert_eq!(whole, plan.memory().buffers);
            assert_eq!(plan.block_len(plan.blocks()), 0);
        }
    }
}

/// A device without room for what it has waits for ever; so there is always room for the longest.
#[test]
fn there_is_room_for_one_frame_of_the_longest() {
    for (mtu, features) in mixes() {
        let plan = plan(mtu, features, 1);
        let header = HeaderLayout::of(features).size() as u32;
        let longest = if features.intersects(COALESCING) {
            LONGEST_FRAME
        } else {
            LONGEST_FRAME.min(mtu + 18)
        };
        let room = u32::from(plan.buffers()) * plan.shape().bytes();
        assert!(room >= header + longest, "{plan:?}");
        assert!(plan.low() <= plan.buffers());
        let spanned = plan.rules().most_spanned();
        assert!(spanned == 1 || features.contains(Features::MRG_RXBUF));
        assert!((1..=plan.buffers()).contains(&spanned));
        assert!(usize::from(plan.shape().segments()) <= MAX_SEGMENTS);
    }
}

#[test]
fn a_queue_without_room_for_a_frame_is_refused() {
    let big = MERGEABLE | COALESCING;
    let refused = ReceivePlan::new(1500, big, 256, size(32)).unwrap_err();
    let (needed, held) = (33, 32);
    assert_eq!(refused, QueueTooShort { needed, held });
    assert_eq!(
        ReceivePlan::new(1500, big, 1, size(64)).unwrap().buffers(),
        33
    );
    // Seventeen pieces, of which no chain may have more than the queue has descriptors.
    let big = Features::VERSION_1 | COALESCING | Features::RING_INDIRECT_DESC;
    let refused = ReceivePlan::new(1500, big, 256, size(16)).unwrap_err();
    let (needed, held) = (1, 0);
    assert_eq!(refused, QueueTooShort { needed, held });
}

#[test]
fn a_queue_holds_fewer_buffers_of_several_pieces() {
    let buffers = |features| {
        let plan = ReceivePlan::new(9000, Features::VERSION_1 | features, 256, size(256));
        plan.unwrap().buffers()
    };
    assert_eq!(buffers(Features::NONE), 85);
    assert_eq!(buffers(Features::RING_INDIRECT_DESC), 256);
    assert_eq!(buffers(Features::RING_PACKED), 85);
    // Up to four descriptors a packed ring rather has beside each other.
    let packed = Features::RING_PACKED | Features::RING_INDIRECT_DESC;
    assert_eq!(buffers(packed), 170);
    let size = |features| ReceivePlan::queue_size(9000, Features::VERSION_1 | features, 256).get();
    assert_eq!(size(Features::NONE), 1024);
    assert_eq!(size(Features::RING_INDIRECT_DESC), 256);
    assert_eq!(size(packed), 512);
    assert_eq!(ReceivePlan::queue_size(9000, MERGEABLE, 200).get(), 256);
    assert_eq!(
        ReceivePlan::queue_size(9000, MERGEABLE, 1 << 20).get(),
        1 << 15
    );
}

/// A queue for buffers of `pieces` segments.
struct Bed {
    ring: Ring<u16>,
    segments: Vec<Segment>,
    _memory: [Shared; 2],
}

impl Bed {
    fn new(size: QueueSize, features: Features, pieces: u16) -> Self {
        let bytes = RingLayout::new(size, features).bytes();
        let tables_bytes = IndirectTables::bytes(size, pieces);
        let memory = [Shared::new(bytes), Shared::new(tables_bytes)];
        let tables = IndirectTables::new(memory[1].region(0, tables_bytes), size, pieces).unwrap();
        let ring = Ring::new(size, features, memory[0].region(0, bytes), Some(tables));
        // SAFETY: nobody uses these.
        let segment = |at| unsafe { Segment::new(0x10_0000 + 0x1000 * u64::from(at), 4096) };
        Self {
            ring: ring.unwrap(),
            segments: (0..pieces).map(segment).collect(),
            _memory: memory,
        }
    }

    fn add(&mut self, number: u16) -> bool {
        self.ring.add(&self.segments, 0, number).is_ok()
    }

    /// Takes some buffers back, as if the device had used them.
    fn take(&mut self, count: usize) {
        // SAFETY: there is no device.
        let proof = unsafe { Quiesced::assume() };
        self.ring.take_all(&proof).take(count).for_each(drop);
    }
}

#[test]
fn a_queue_takes_all_buffers_that_are_planned_for_it() {
    for (mtu, features) in mixes() {
        for descriptors in [32, 256] {
            let Ok(plan) = ReceivePlan::new(mtu, features, 1000, size(descriptors)) else {
                continue;
            };
            let mut bed = Bed::new(plan.size(), features, plan.shape().segments());
            for number in 0..plan.buffers() {
                assert!(bed.add(number), "{plan:?}: {number}");
            }
        }
    }
}

/// Which buffers took descriptors and which tables depends on what came before; the number that fits
/// does not go below what was promised.
#[test]
fn a_queue_holds_as_many_buffers_whatever_came_before() {
    let mut random = 1_u32;
    let mut draw = |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 16) % below
    };
    let rounds = if cfg!(miri) { 3 } else { 60 };
    for format in [Features::NONE, Features::RING_PACKED] {
        for indirect in [Features::NONE, Features::RING_INDIRECT_DESC] {
            let features = Features::VERSION_1 | format | indirect;
            for pieces in [1, 2, 3, 4, 5, 17] {
                let size = size(64);
                let promised = size.buffers(features, pieces);
                let mut bed = Bed::new(size, features, pieces);
                let mut least = u16::MAX;
                for _ in 0..rounds {
                    for number in 0..draw(80) {
                        let _ = bed.add(number as u16);
                    }
                    bed.take(draw(80) as usize);
                    if draw(3) == 0 {
                        while bed.add(0) {}
                        least = least.min(bed.ring.in_flight());
                        bed.take(draw(64) as usize);
                    }
                }
                assert!(
                    least >= promised,
                    "{features:?}, {pieces}: {least} < {promised}"
                );
            }
        }
    }
    assert_eq!(size(64).buffers(Features::NONE, 0), 0);
    assert_eq!(size(64).buffers(Features::RING_INDIRECT_DESC, 65), 0);
}
