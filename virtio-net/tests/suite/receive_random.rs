//! Devices that say anything of received frames, against a model that counts on its fingers.

use proptest::collection::vec;
use proptest::prelude::*;
use virtio_net::features::Features;
use virtio_net::queue::QueueSize;
use virtio_net::receive::{FrameRules, Progress, ReceivePlan};

/// What is negotiated, and what the device says of a frame.
#[derive(Clone, Debug)]
struct Said {
    mtu: u32,
    mergeable: bool,
    coalescing: bool,
    buffers: u16,
    gso_type: u8,
    num_buffers: u16,
    written: Vec<u32>,
}

/// What comes of it.
#[derive(Debug, Eq, PartialEq)]
enum Outcome {
    /// The protocol is broken.
    Broken,
    /// More buffers are wanted than there are.
    Starved,
    /// So many buffers were taken, and they hold a frame of so many bytes, or nothing of use.
    Taken(usize, Option<u32>),
}

fn said() -> impl Strategy<Value = Said> {
    let negotiated = (
        prop_oneof![Just(1500_u32), Just(9000), 68..20_000_u32],
        any::<bool>(),
        any::<bool>(),
        prop_oneof![Just(256_u16), 40..=256_u16],
    );
    negotiated.prop_flat_map(|(mtu, mergeable, coalescing, buffers)| {
        let len = plan(mtu, mergeable, coalescing, buffers).shape().bytes();
        let written = prop_oneof![
            6 => Just(len),
            2 => 0..=len,
            1 => (len.saturating_sub(3))..(len + 3),
            1 => 0..40_u32,
            1 => any::<u32>(),
        ];
        let num_buffers = prop_oneof![4 => 0..5_u16, 2 => 0..40_u16, 1 => any::<u16>()];
        let gso_type = prop_oneof![2 => Just(0), 1 => any::<u8>()];
        (gso_type, num_buffers, vec(written, 1..40)).prop_map(
            move |(gso_type, num_buffers, written)| Said {
                mtu,
                mergeable,
                coalescing,
                buffers,
                gso_type,
                num_buffers,
                written,
            },
        )
    })
}

fn plan(mtu: u32, mergeable: bool, coalescing: bool, buffers: u16) -> ReceivePlan {
    let mut features = Features::VERSION_1 | Features::RING_INDIRECT_DESC;
    if mergeable {
        features = features | Features::MRG_RXBUF;
    }
    if coalescing {
        features = features | Features::GUEST_CSUM | Features::GUEST_TSO6;
    }
    ReceivePlan::new(mtu, features, buffers.into(), QueueSize::new(256).unwrap()).unwrap()
}

/// Takes the buffers as the driver does.
fn run(rules: &FrameRules, said: &Said) -> Outcome {
    let mut start = [0; 64];
    start[1] = said.gso_type;
    start[10..12].copy_from_slice(&said.num_buffers.to_le_bytes());
    let mut written = said.written.iter().copied();
    let Ok(mut progress) = rules.first(&start, written.next().unwrap()) else {
        return Outcome::Broken;
    };
    while let Progress::More(assembly) = progress {
        let Some(next) = written.next() else {
            return Outcome::Starved;
        };
        progress = assembly.follow(rules, next);
    }
    let taken = said.written.len() - written.len();
    match progress {
        Progress::Whole(frame) => {
            assert_eq!(usize::from(frame.buffers), taken);
            Outcome::Taken(taken, Some(frame.len))
        }
        _ => Outcome::Taken(taken, None),
    }
}

/// The same from the sentences of the specification, with all buffers in sight.
fn model(said: &Said, len: u32) -> Outcome {
    if said.written[0] < 12 {
        return Outcome::Taken(1, None);
    }
    let count = if said.mergeable {
        // So many as the longest frame that exists fills, one after the other; no more than exist.
        let mut most = 0;
        let mut left = i64::from(12 + 14 + 4 + 40 + 65_535);
        while left > 0 && most < said.buffers {
            left -= i64::from(len);
            most += 1;
        }
        if said.num_buffers == 0 || said.num_buffers > most {
            return Outcome::Broken;
        }
        usize::from(said.num_buffers)
    } else {
        1
    };
    let Some(used) = said.written.get(..count) else {
        return Outcome::Starved;
    };
    let (last, full) = used.split_last().unwrap();
    let is_filled = full.iter().all(|written| *written == len) && (1..=len).contains(last);
    let bytes = used.iter().map(|written| u64::from(*written)).sum::<u64>() - 12;
    let most = if said.coalescing && said.gso_type != 0 {
        14 + 40 + 65_535
    } else {
        said.mtu + 14
    };
    let fits = (14..=u64::from(most) + 4).contains(&bytes);
    Outcome::Taken(count, (is_filled && fits).then_some(bytes as u32))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn frames_are_what_the_model_says(said in said()) {
        let plan = plan(said.mtu, said.mergeable, said.coalescing, said.buffers);
        let rules = plan.rules();
        prop_assert_eq!(run(&rules, &said), model(&said, plan.shape().bytes()));
    }

    /// A device that keeps the rules has each of its frames taken.
    #[test]
    fn what_a_device_rightly_says_is_taken(
        mtu in 1500..20_000_u32,
        mergeable: bool,
        coalescing: bool,
        share in 0..=u32::MAX,
    ) {
        let plan = plan(mtu, mergeable, coalescing, 256);
        let longest = if coalescing { 65_589 } else { mtu + 14 };
        let bytes = 14 + share % (longest - 13);
        let len = plan.shape().bytes();
        let mut left = bytes + 12;
        let mut written = Vec::new();
        while left > 0 {
            written.push(left.min(len));
            left -= left.min(len);
        }
        let said = Said {
            mtu,
            mergeable,
            coalescing,
            buffers: 256,
            gso_type: coalescing.into(),
            num_buffers: written.len() as u16,
            written,
        };
        let taken = Outcome::Taken(said.written.len(), Some(bytes));
        prop_assert_eq!(run(&plan.rules(), &said), taken);
    }
}
