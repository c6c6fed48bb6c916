//! Initialisation against a faked function: the order of writes, refusals, a device that is gone.

use virtio_net::bring_up::{BringUpError, Failed, Found, Live};
use virtio_net::features::{self, Features, Lacking, Part};
use virtio_net::queue::{QueueAddresses, QueueSize};
use virtio_net::transport::pci::queues::QueueSetup;
use virtio_net::transport::pci::{Health, IsrStatus, ResetError};

use crate::fake::{ACKNOWLEDGE, DRIVER, DRIVER_OK, FAILED, FEATURES_OK, Fake, NEEDS_RESET, Write};

const TRIES: u32 = 5;

fn found(fake: &Fake) -> Found<&Fake> {
    Found::new(fake.open(), TRIES, || {}).expect("the fake resets")
}

fn setup(index: u16) -> QueueSetup {
    QueueSetup {
        index,
        size: QueueSize::new(128).unwrap(),
        addresses: QueueAddresses {
            descriptors: 0x1_0000_0000,
            driver: 0x800,
            device: 0xa00,
        },
        vector: None,
    }
}

fn live(fake: &Fake) -> Live<&Fake> {
    let mut negotiated = found(fake)
        .negotiate(Features::ALL)
        .expect("the fake agrees");
    negotiated.set_up_queue(&setup(0)).unwrap();
    negotiated.set_up_queue(&setup(1)).unwrap();
    negotiated.start().expect("the fake starts")
}

fn why<T>(result: Result<T, Failed<&Fake>>) -> BringUpError {
    result.map(|_| ()).expect_err("this is to fail").why
}

#[test]
fn the_device_learns_of_its_driver_step_by_step() {
    let fake = Fake::new();
    let _live = live(&fake);
    let statuses: Vec<_> = fake
        .take_log()
        .into_iter()
        .filter_map(|write| match write {
            Write::Status(status) => Some(status),
            _ => None,
        })
        .collect();
    let acknowledged = ACKNOWLEDGE;
    let driven = acknowledged | DRIVER;
    let agreed = driven | FEATURES_OK;
    assert_eq!(
        statuses,
        [0, acknowledged, driven, agreed, agreed | DRIVER_OK]
    );
}

#[test]
fn the_high_feature_word_is_written_first() {
    let fake = Fake::with(|state| {
        state.offered = 0x0000_0051_3001_802c | 1 << 62;
        state.accepted = [u32::MAX; 4];
    });
    let found = found(&fake);
    fake.take_log();
    let negotiated = found.negotiate(features::DEFAULT).unwrap();

    let accepted = negotiated.features();
    let expected = [
        Write::Accepted(1, accepted.word(1)),
        Write::Accepted(0, accepted.word(0)),
        Write::Status(ACKNOWLEDGE | DRIVER | FEATURES_OK),
    ];
    assert_eq!(fake.take_log(), expected);
    assert_eq!(accepted.bits(), 1 << 62 | 1 << 32 | 0x3001_8028);
}

#[test]
fn a_device_with_features_beyond_64_has_those_words_cleared() {
    let fake = Fake::with(|state| state.accepted = [u32::MAX; 4]);
    let found = found(&fake);
    fake.take_log();
    let accepted = found.negotiate(Features::ALL).unwrap().features();
    let words: Vec<_> = fake.take_log().into_iter().take(4).collect();
    let expected = [3, 2, 1, 0].map(|word| Write::Accepted(word, accepted.word(word as u8)));
    assert_eq!(words, expected);
    assert_eq!(fake.0.borrow().accepted[2..], [0, 0]);
}

#[test]
fn a_device_that_comes_back_is_taken_for_no_more_than_before() {
    let fake = Fake::new();
    let mask = Features::union_of(&[
        Features::MAC,
        Features::STANDBY,
        Features::CSUM,
        Features::RING_EVENT_IDX,
    ]);
    let before = found(&fake).negotiate(mask).unwrap().features();
    let (again, change) = found(&fake).renegotiate(before, Features::NONE).unwrap();
    assert_eq!(again.features(), before);
    assert!(change.is_none());

    // Moved to a host that offers other things.
    fake.change(|state| state.offered = !(Features::CSUM | Features::MAC).bits());
    let (again, change) = found(&fake).renegotiate(before, Features::NONE).unwrap();
    assert_eq!(
        again.features(),
        Features::VERSION_1 | Features::RING_EVENT_IDX
    );
    assert_eq!(change.lost, mask & !Features::RING_EVENT_IDX);
    assert!(change.gained.is_empty());
    assert!(change.loses(Part::Sending) && change.loses(Part::Failover));
    assert!(!change.loses(Part::Queues));

    // More only when asked for.
    fake.change(|state| state.offered = u128::MAX);
    let (_, change) = found(&fake).renegotiate(before, Features::MTU).unwrap();
    assert_eq!(
        (change.lost, change.gained),
        (Features::NONE, Features::MTU)
    );
}

#[test]
fn a_mask_drops_a_wish() {
    let fake = Fake::new();
    let mask = Features::ALL & !Features::MRG_RXBUF;
    let features = found(&fake).negotiate(mask).unwrap().features();
    assert!(!features.contains(Features::MRG_RXBUF));
    assert!(features.contains(Features::STANDBY));
}

#[test]
fn a_device_that_clears_features_ok_is_told_that_it_failed() {
    let fake = Fake::with(|state| state.refused_status = FEATURES_OK);
    let why = why(found(&fake).negotiate(Features::NONE));
    assert!(matches!(
        why,
        BringUpError::FeaturesRefused {
            accepted: Features::VERSION_1
        }
    ));
    assert_eq!(fake.status(), ACKNOWLEDGE | DRIVER | FAILED);
}

#[test]
fn a_legacy_device_fails_before_any_feature_is_written() {
    let fake = Fake::with(|state| state.offered = !(1 << 32));
    let why = why(found(&fake).negotiate(Features::ALL));
    assert!(matches!(
        why,
        BringUpError::Features(Lacking { name: "VERSION_1" })
    ));
    assert_eq!(fake.status(), ACKNOWLEDGE | DRIVER | FAILED);
    let accepts = |write: &Write| matches!(write, Write::Accepted(..));
    assert!(!fake.take_log().iter().any(accepts));
}

#[test]
fn a_failed_step_hands_the_transport_back_for_another_beginning() {
    let fake = Fake::with(|state| state.refused_status = FEATURES_OK);
    let failed = found(&fake).negotiate(Features::ALL).unwrap_err();
    fake.change(|state| state.refused_status = 0);
    let found = Found::new(failed.transport, TRIES, || {}).unwrap();
    assert!(found.negotiate(Features::ALL).is_ok());
}

#[test]
fn a_reset_is_waited_for() {
    let fake = Fake::with(|state| {
        state.status = 0xf;
        state.reset_reads = 4;
    });
    let mut stalls = 0;
    assert!(fake.open().reset(TRIES, || stalls += 1).is_ok());
    assert_eq!(stalls, 3);
}

#[test]
fn a_reset_that_is_not_confirmed_ends_after_the_tries() {
    let fake = Fake::with(|state| {
        state.status = 0xf;
        state.reset_reads = 100;
    });
    let mut stalls = 0;
    let outcome = fake.open().reset(TRIES, || stalls += 1);
    assert!(matches!(outcome, Err(ResetError::TimedOut(status)) if status.bits() == 0xf));
    assert_eq!(stalls, TRIES - 1);

    let outcome = why(Found::new(fake.open(), 0, || {}));
    assert!(matches!(
        outcome,
        BringUpError::Reset(ResetError::TimedOut(_))
    ));
}

#[test]
fn a_device_that_is_gone_needs_no_more_reset() {
    let fake = Fake::with(|state| state.status = 0xf);
    let transport = fake.open();
    fake.change(|state| state.gone = true);
    assert!(matches!(
        transport.reset(TRIES, || {}),
        Err(ResetError::Gone(_))
    ));
    assert_eq!(transport.read_health(), Health::Gone);
}

#[test]
fn a_device_that_does_not_decode_proves_nothing() {
    let fake = Fake::with(|state| state.deaf = true);
    let transport = fake.open();
    assert!(matches!(
        transport.reset(TRIES, || {}),
        Err(ResetError::NotDecoding)
    ));
    assert_eq!(transport.read_health(), Health::NotDecoding);
}

#[test]
fn a_device_that_leaves_during_negotiation_is_not_written_to() {
    let fake = Fake::new();
    let found = found(&fake);
    fake.change(|state| state.gone = true);
    let why = why(found.negotiate(Features::ALL));
    assert!(
        matches!(why, BringUpError::Unhealthy(Health::Gone)),
        "{why:?}"
    );
}

#[test]
fn a_device_without_queues_is_not_started() {
    let fake = Fake::new();
    let negotiated = found(&fake).negotiate(Features::ALL).unwrap();
    assert!(matches!(why(negotiated.start()), BringUpError::NoQueue));
    assert_eq!(fake.status() & DRIVER_OK, 0);
}

#[test]
fn a_device_that_breaks_down_at_the_start_is_not_live() {
    let fake = Fake::with(|state| state.status_at_start = NEEDS_RESET);
    let mut negotiated = found(&fake).negotiate(Features::ALL).unwrap();
    negotiated.set_up_queue(&setup(0)).unwrap();
    let why = why(negotiated.start());
    assert!(matches!(why, BringUpError::Unhealthy(Health::NeedsReset)));
    assert_eq!(fake.status() & FAILED, FAILED);
}

#[test]
fn the_health_of_a_running_device_is_seen() {
    let fake = Fake::new();
    let live = live(&fake);
    assert_eq!(live.read_health(), Health::Good);
    fake.change(|state| state.status |= NEEDS_RESET);
    assert_eq!(live.read_health(), Health::NeedsReset);
    fake.change(|state| state.deaf = true);
    assert_eq!(live.read_health(), Health::NotDecoding);
    fake.change(|state| state.gone = true);
    assert_eq!(live.read_health(), Health::Gone);
}

#[test]
fn reading_the_interrupt_status_clears_it() {
    let fake = Fake::new();
    let live = live(&fake);
    fake.change(|state| state.isr = 3);
    assert_eq!(live.read_isr().bits(), 3);
    assert!(live.read_isr().is_empty());
    fake.change(|state| state.isr = 2);
    assert_eq!(live.read_isr(), IsrStatus::DEVICE_CONFIGURATION_INTERRUPT);
    fake.change(|state| state.gone = true);
    assert!(
        live.read_isr().is_empty(),
        "no interrupt of a device that is gone"
    );
}

#[test]
fn a_stopped_device_can_begin_again() {
    let fake = Fake::new();
    let (transport, quiesced) = live(&fake).stop(TRIES, || {});
    assert!(quiesced.is_ok());
    assert_eq!(fake.status(), 0);
    let mut negotiated = Found::new(transport, TRIES, || {})
        .unwrap()
        .negotiate(Features::ALL)
        .unwrap();
    negotiated.set_up_queue(&setup(0)).unwrap();
    assert!(negotiated.start().is_ok());
}

#[test]
fn an_abandoned_device_can_be_reset() {
    let fake = Fake::new();
    let negotiated = found(&fake).negotiate(Features::ALL).unwrap();
    assert!(negotiated.abandon().reset(TRIES, || {}).is_ok());
    assert_eq!(fake.status(), 0);
}

#[test]
fn a_device_can_be_reset_while_others_hold_it() {
    let fake = Fake::new();
    let live = live(&fake);
    let other = &live;
    assert!(live.reset(TRIES, || {}).is_ok());
    assert_eq!(fake.status(), 0);
    assert_eq!(other.read_health(), Health::Good);
}
