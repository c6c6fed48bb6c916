//! A frame out of the buffers that a device says it lies in.

use virtio_net::features::Features;
use virtio_net::header::{BadBufferCount, HEADER_LEN, HeaderLayout, NetHeader, ReportedHash};
use virtio_net::queue::QueueSize;
use virtio_net::receive::{Frame, FrameRules, Progress, ReceivePlan, Unsound};

const MERGEABLE: Features = Features::union_of(&[Features::VERSION_1, Features::MRG_RXBUF]);

fn rules(mtu: u32, features: Features) -> FrameRules {
    let size = QueueSize::new(256).unwrap();
    ReceivePlan::new(mtu, features, 256, size).unwrap().rules()
}

/// A header that says that the frame lies in so many buffers.
fn header(num_buffers: u16) -> NetHeader {
    NetHeader {
        num_buffers,
        ..NetHeader::PLAIN
    }
}

/// What a device says by these numbers of bytes, the first behind this header.
fn say(rules: &FrameRules, header: NetHeader, written: &[u32]) -> Result<Progress, BadBufferCount> {
    let mut start = [0xee; 64];
    rules.layout().write(&header, &mut start).unwrap();
    let mut progress = rules.first(&start, written[0])?;
    for written in &written[1..] {
        let Progress::More(assembly) = progress else {
            panic!("{progress:?}");
        };
        progress = assembly.follow(rules, *written);
    }
    Ok(progress)
}

fn frame(header: NetHeader, buffers: u16, len: u32) -> Progress {
    Progress::Whole(Frame {
        header,
        hash: None,
        len,
        buffers,
    })
}

#[test]
fn a_frame_in_one_buffer_is_whole_at_once() {
    for features in [MERGEABLE, Features::VERSION_1] {
        let rules = rules(1500, features);
        assert_eq!(
            say(&rules, header(1), &[12 + 60]),
            Ok(frame(header(1), 1, 60))
        );
        assert_eq!(
            say(&rules, header(1), &[12 + 1514]),
            Ok(frame(header(1), 1, 1514))
        );
    }
}

#[test]
fn a_frame_in_several_buffers_is_whole_with_the_last() {
    let rules = rules(9000, MERGEABLE);
    let three = say(&rules, header(3), &[4096, 4096, 834]);
    assert_eq!(three, Ok(frame(header(3), 3, 9014)));
    let Ok(Progress::More(_)) = say(&rules, header(3), &[4096, 4096]) else {
        panic!("there is one more to come");
    };
}

#[test]
fn without_merging_a_frame_lies_in_one_buffer_whatever_the_header_says() {
    let plain = rules(9000, Features::VERSION_1);
    assert_eq!(plain.most_spanned(), 1);
    for said in [0, 1, 2, u16::MAX] {
        let whole = say(&plain, header(said), &[12 + 9014]);
        assert_eq!(whole, Ok(frame(header(said), 1, 9014)));
    }
    // A legacy device has ten bytes of header then, which do not say it.
    let legacy = rules(1500, Features::NONE);
    assert_eq!(legacy.layout(), HeaderLayout::Short);
    let whole = say(&legacy, header(7), &[10 + 60]);
    assert_eq!(whole, Ok(frame(header(1), 1, 60)));
}

#[test]
fn a_count_that_cannot_be_is_the_devices_end() {
    let rules = rules(1500, MERGEABLE);
    assert_eq!(rules.most_spanned(), 33);
    for count in [0, 34, 256, u16::MAX] {
        assert_eq!(
            say(&rules, header(count), &[2048]),
            Err(BadBufferCount(count))
        );
    }
    assert!(say(&rules, header(33), &[2048]).is_ok());
}

#[test]
fn no_frame_lies_in_more_buffers_than_there_are() {
    let size = QueueSize::new(16).unwrap();
    let plan = ReceivePlan::new(1500, MERGEABLE, 16, size).unwrap();
    let rules = plan.rules();
    assert_eq!(rules.most_spanned(), 16);
    assert_eq!(say(&rules, header(17), &[2048]), Err(BadBufferCount(17)));
}

#[test]
fn a_buffer_without_a_header_stands_for_itself() {
    let rules = rules(1500, MERGEABLE);
    for written in 0..12 {
        let unsound = Progress::Unsound(Unsound::NoHeader { written });
        assert_eq!(say(&rules, header(3), &[written]), Ok(unsound));
    }
    let hash = self::rules(1500, MERGEABLE | Features::HASH_REPORT);
    let unsound = Progress::Unsound(Unsound::NoHeader { written: 19 });
    assert_eq!(say(&hash, header(1), &[19]), Ok(unsound));
}

#[test]
fn frames_have_bounds() {
    let rules = rules(1500, MERGEABLE);
    for (written, unsound) in [
        (12, Unsound::Runt { len: 0 }),
        (25, Unsound::Runt { len: 13 }),
        // With a tag it may be 1518 bytes.
        (12 + 1519, Unsound::TooLong { len: 1519 }),
    ] {
        let unsound = Progress::Unsound(unsound);
        assert_eq!(say(&rules, header(1), &[written]), Ok(unsound));
    }
    assert_eq!(
        say(&rules, header(1), &[12 + 1518]),
        Ok(frame(header(1), 1, 1518))
    );
    assert!(rules.admits(1514, &header(1)));
    assert!(!rules.admits(1515, &header(1)));
    // That a host passes on too much is no reason to give the device up.
    let long = Unsound::TooLong { len: 4084 };
    let said = say(&rules, header(2), &[2048, 2048]);
    assert_eq!(said, Ok(Progress::Unsound(long)));
}

#[test]
fn only_what_was_put_together_may_be_long() {
    let features = MERGEABLE | Features::GUEST_CSUM | Features::GUEST_TSO4;
    let rules = rules(1500, features);
    let coalesced = NetHeader {
        gso_type: 1,
        ..header(33)
    };
    let mut written = [2048; 33];
    written[32] = 65;
    let len = 32 * 2048 + 65 - 12;
    assert_eq!(len, 65_589);
    assert_eq!(
        say(&rules, coalesced, &written),
        Ok(frame(coalesced, 33, len))
    );
    let unsound = Progress::Unsound(Unsound::TooLong { len });
    assert_eq!(say(&rules, header(33), &written), Ok(unsound));
    // What was not negotiated was not put together.
    assert!(!self::rules(1500, MERGEABLE).admits(1515, &coalesced));
    assert!(!rules.admits(65_590, &coalesced));
}

#[test]
fn without_merging_a_buffer_holds_all_that_was_put_together() {
    let features = Features::VERSION_1 | Features::GUEST_CSUM | Features::GUEST_TSO6;
    let rules = rules(1500, features | Features::RING_INDIRECT_DESC);
    let coalesced = NetHeader {
        gso_type: 4,
        ..header(1)
    };
    for len in [1515, 65_550, 65_589] {
        let whole = say(&rules, coalesced, &[12 + len]);
        assert_eq!(whole, Ok(frame(coalesced, 1, len)));
    }
    let unsound = Progress::Unsound(Unsound::TooLong { len: 65_594 });
    assert_eq!(say(&rules, coalesced, &[12 + 65_594]), Ok(unsound));
    let unsound = Progress::Unsound(Unsound::TooLong { len: 1519 });
    assert_eq!(say(&rules, header(1), &[12 + 1519]), Ok(unsound));
}

#[test]
fn all_buffers_but_the_last_are_full() {
    let rules = rules(9000, MERGEABLE);
    for (said, written) in [
        (&[60, 4096, 100][..], 60),
        (&[4096, 4095, 100], 4095),
        (&[4096, 0, 100], 0),
        (&[4096, 4096, 0], 0),
        (&[4096, 4097, 100], 4097),
        (&[4096, 4096, 4097], 4097),
        (&[4096, 1, 2], 1),
    ] {
        let unsound = Progress::Unsound(Unsound::Filling { written });
        assert_eq!(say(&rules, header(3), said), Ok(unsound), "{said:?}");
    }
    let unsound = Progress::Unsound(Unsound::Filling { written: 4097 });
    assert_eq!(say(&rules, header(1), &[4097]), Ok(unsound));
}

#[test]
fn numbers_beyond_all_bounds_end_nowhere() {
    let rules = rules(9000, MERGEABLE);
    let written = u32::MAX;
    let unsound = Progress::Unsound(Unsound::Filling { written });
    assert_eq!(say(&rules, header(3), &[written; 3]), Ok(unsound));
}

#[test]
fn the_hash_comes_with_the_frame() {
    let rules = rules(1500, MERGEABLE | Features::HASH_REPORT);
    let mut start = [0; 32];
    start[10] = 1;
    start[12..18].copy_from_slice(&[4, 3, 2, 1, 5, 0]);
    let Ok(Progress::Whole(frame)) = rules.first(&start, 80) else {
        panic!("it is whole");
    };
    let hash = ReportedHash {
        value: 0x0102_0304,
        report: 5,
    };
    assert_eq!((frame.hash, frame.len), (Some(hash), 60));
}

/// Whatever lies behind what was written: what was there before, or what the device writes later.
#[test]
fn bytes_beyond_what_was_written_are_not_looked_at() {
    let layouts = [Features::NONE, MERGEABLE, MERGEABLE | Features::HASH_REPORT];
    for rules in layouts.map(|features| rules(1500, features)) {
        for written in 0..64_u32 {
            let outcomes = [0x00, 0x01, 0xff].map(|behind| {
                let mut start = [behind; 64];
                let known = &mut start[..written as usize];
                known.fill(0);
                if let Some(count) = known.get_mut(HEADER_LEN - 2) {
                    *count = 1;
                }
                rules.first(&start, written)
            });
            let header = rules.layout().size();
            assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
            let no_header = Ok(Progress::Unsound(Unsound::NoHeader { written }));
            assert_eq!(outcomes[0] == no_header, (written as usize) < header);
        }
    }
}
