//! Resetting one queue, and enabling it again.

use virtio_net::bring_up::{Found, Live};
use virtio_net::features::Features;
use virtio_net::queue::{QueueAddresses, QueueSize};
use virtio_net::transport::pci::queues::{QueueSetup, QueueSetupError};
use virtio_net::transport::pci::ring_reset::QueueResetError;

use crate::config_space::{capabilities, config_space};
use crate::fake::{Fake, Write};

const TRIES: u32 = 4;

fn setup(index: u16) -> QueueSetup {
    QueueSetup {
        index,
        size: QueueSize::new(64).unwrap(),
        addresses: QueueAddresses {
            descriptors: 0x1000,
            driver: 0x2000,
            device: 0x3000,
        },
        vector: None,
    }
}

fn live(fake: &Fake) -> Live<&Fake> {
    let found = Found::new(fake.open(), 1, || {}).unwrap();
    let mut negotiated = found.negotiate(Features::ALL).unwrap();
    negotiated.set_up_queue(&setup(0)).unwrap();
    negotiated.set_up_queue(&setup(1)).unwrap();
    let live = negotiated.start().unwrap();
    fake.take_log();
    live
}

#[test]
fn a_queue_is_reset_and_its_proof_is_about_it_alone() {
    let fake = Fake::new();
    let proof = live(&fake).reset_queue(1, TRIES, || {}).unwrap();
    assert_eq!(fake.take_log(), [Write::Select(1), Write::QueueReset(1)]);
    assert_eq!(proof.queue(), 1);
    assert!(proof.of(1).is_some() && proof.of(0).is_none());
    let enabled = |index: usize| fake.0.borrow().queues[index].enabled;
    assert_eq!((enabled(0), enabled(1)), (1, 0));
}

#[test]
fn the_reset_is_waited_for_within_bounds() {
    let slow = Fake::with(|state| state.queues[1].reset_reads = 3);
    let mut stalls = 0;
    let device = live(&slow);
    assert!(device.reset_queue(1, TRIES, || stalls += 1).is_ok());
    assert_eq!(stalls, 3);

    let slower = Fake::with(|state| state.queues[1].reset_reads = 4);
    let mut stalls = 0;
    let outcome = live(&slower).reset_queue(1, TRIES, || stalls += 1);
    assert!(matches!(outcome, Err(QueueResetError::TimedOut)));
    assert_eq!(stalls, TRIES - 1);
}

#[test]
fn a_device_that_ignores_the_reset_proves_nothing() {
    let fake = Fake::with(|state| state.ignores_queue_reset = true);
    let outcome = live(&fake).reset_queue(1, TRIES, || {});
    assert!(matches!(outcome, Err(QueueResetError::TimedOut)));
}

#[test]
fn a_reset_is_refused_where_there_is_nothing_to_reset() {
    let fake = Fake::new();
    let outcome = live(&fake).reset_queue(3, TRIES, || {});
    assert!(matches!(outcome, Err(QueueResetError::Absent)));
    assert_eq!(fake.take_log(), []);

    // The field is beyond what the device describes, so the feature is not accepted.
    let short = Fake::with(|state| {
        let mut all = capabilities();
        all[5].length = 0x3b;
        state.config = config_space(&all);
    });
    let device = live(&short);
    assert!(!device.features().contains(Features::RING_RESET));
    assert!(device.features().contains(Features::NOTIF_CONFIG_DATA));
    let outcome = device.reset_queue(1, TRIES, || {});
    assert!(matches!(outcome, Err(QueueResetError::NotNegotiated)));
    assert_eq!(short.take_log(), []);
}

#[test]
fn a_device_that_left_is_quiet_and_one_that_is_deaf_is_not_known_to_be() {
    let fake = Fake::new();
    let device = live(&fake);
    fake.change(|state| state.gone = true);
    let outcome = device.reset_queue(1, TRIES, || {});
    assert!(matches!(outcome, Err(QueueResetError::Gone(proof)) if proof.queue() == 1));

    let fake = Fake::new();
    let device = live(&fake);
    fake.change(|state| state.queues[1].reset_reads = 100);
    let outcome = device.reset_queue(1, TRIES, || fake.change(|state| state.deaf = true));
    assert!(matches!(outcome, Err(QueueResetError::NotDecoding)));
}

#[test]
fn a_queue_is_enabled_anew_with_what_it_has_now() {
    let fake = Fake::new();
    let device = live(&fake);
    let proof = device.reset_queue(1, TRIES, || {}).unwrap();
    fake.take_log();
    let larger = QueueSetup {
        size: QueueSize::new(256).unwrap(),
        ..setup(1)
    };
    let doorbell = device.enable_queue(proof, &larger).unwrap();
    assert_eq!(doorbell.queue(), 1);
    let log = fake.take_log();
    assert_eq!(log.first(), Some(&Write::Select(1)));
    assert!(log.contains(&Write::Size(256)));
    assert_eq!(log.last(), Some(&Write::Enable(1)));
}

#[test]
fn a_queue_that_is_not_enabled_keeps_its_proof() {
    let fake = Fake::new();
    let device = live(&fake);
    let proof = device.reset_queue(1, TRIES, || {}).unwrap();
    let other = device.enable_queue(proof, &setup(0)).unwrap_err();
    assert_eq!(other.why, Some(QueueSetupError::Absent));
    let wrong = QueueSetup {
        vector: Some(9),
        ..setup(1)
    };
    let refused = device.enable_queue(other.proof, &wrong).unwrap_err();
    let why = QueueSetupError::VectorRefused { vector: 9 };
    assert_eq!(refused.why, Some(why));
    assert!(refused.proof.of(1).is_some());
    assert!(device.enable_queue(refused.proof, &setup(1)).is_ok());
}

#[test]
fn one_queue_is_selected_at_a_time() {
    let fake = Fake::with(|state| state.queues[1].reset_reads = 1);
    let device = live(&fake);
    let other = device.reset_queue(0, 1, || {}).unwrap();
    let mut other = Some(other);
    let outcome = device.reset_queue(1, TRIES, || {
        // Another CPU, in the middle of it.
        let second = device.reset_queue(0, TRIES, || {});
        assert!(matches!(second, Err(QueueResetError::Busy)));
        let proof = other.take().unwrap();
        let busy = device.enable_queue(proof, &setup(0)).unwrap_err();
        assert_eq!((busy.why, busy.proof.queue()), (None, 0));
        other = Some(busy.proof);
    });
    assert!(outcome.is_ok());
    assert!(device.enable_queue(other.unwrap(), &setup(0)).is_ok());
}
