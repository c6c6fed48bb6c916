//! Commands that are refused, and answers that are wrong, late or missing.

use super::super::*;
use super::commands::{ALL, CONTROL, GROUP, answer, ask, issue, running, table};
use super::driver::{Driver, F_NEXT, F_WRITE, buffer, ring};

#[test]
fn what_is_unknown_is_refused_without_ado() {
    let mut driver = running(ALL);
    assert_eq!(ask(&mut driver, 77, 0, &[1, 2, 3]), 1);
    assert_eq!(ask(&mut driver, 0, 6, &[1]), 1);
    let counters = driver.control.counters();
    assert_eq!(
        (counters.commands.unknown, counters.commands.refused),
        (1, 2)
    );
    assert_eq!(counters.misuses, 0);
}

#[test]
fn malformed_commands_are_refused_and_counted() {
    let cases: [(u8, u8, &[u8], &str); 12] = [
        (0, 0, &[], "0.0: 0 bytes of data instead of 1"),
        (0, 1, &[0, 0], "0.1: 2 bytes of data instead of 1"),
        (0, 2, &[2], "0.2: a mode of 2"),
        (1, 0, &[0; 7], "1.0: a table of addresses that is cut off"),
        (1, 0, &[0; 9], "1.0: 1 bytes too many"),
        (
            1,
            0,
            &[0xFF; 8],
            "1.0: a table of addresses that is cut off",
        ),
        (1, 1, &[0; 5], "1.1: 5 bytes of data instead of 6"),
        (2, 0, &[0, 0x10], "2.0: VLAN 4096"),
        (3, 0, &[0], "3.0: 1 bytes of data instead of 0"),
        (4, 0, &[1, 0], "4.0: feature 22 was not negotiated"),
        (5, 0, &[0; 4], "5.0: 4 bytes of data instead of 8"),
        (6, 0, &[0; 9], "6.0: 9 bytes of data instead of 8"),
    ];
    for (class, command, data, reason) in cases {
        let mut driver = running(ALL);
        assert_eq!(ask(&mut driver, class, command, data), 1, "{reason}");
        let expected = format!("control command {reason}");
        assert_eq!(driver.control.misuses(), [expected]);
    }
    let mut driver = running(ALL);
    let wrong = table(&[GROUP], &[]);
    assert_eq!(ask(&mut driver, 1, 0, &wrong), 1);
    assert_eq!(driver.control.counters().misuses, 1);
}

#[test]
fn commands_need_their_features() {
    for (class, command, data) in [
        (0, 0, &[1][..]),
        (0, 2, &[1]),
        (1, 0, &[0; 8]),
        (1, 1, &[0; 6]),
        (2, 0, &[0; 2]),
        (3, 0, &[]),
        (5, 0, &[0; 8]),
        (6, 0, &[0; 8]),
        (6, 2, &[0; 12]),
    ] {
        let mut driver = running(feature::CTRL_VQ);
        assert_eq!(ask(&mut driver, class, command, data), 1);
        let misuses = driver.control.misuses();
        assert!(misuses[0].contains("was not negotiated"), "{misuses:?}");
    }
}

#[test]
fn a_command_without_room_for_the_answer_breaks_the_device() {
    let mut driver = running(ALL);
    driver.descriptor(CONTROL, 0, buffer(CONTROL, 0), 3, 0, 0);
    driver.offer(CONTROL, 0);
    driver.kick(CONTROL);
    driver.settle();
    assert!(driver.broken().unwrap().contains("0 for the answer"));

    let mut driver = running(ALL);
    driver.descriptor(CONTROL, 0, buffer(CONTROL, 0), 1, F_NEXT | F_WRITE, 1);
    driver.descriptor(CONTROL, 1, buffer(CONTROL, 1), 3, 0, 0);
    driver.offer(CONTROL, 0);
    driver.kick(CONTROL);
    driver.settle();
    assert!(driver.broken().unwrap().contains("behind a writable one"));
}

#[test]
fn a_command_may_be_refused_or_answered_with_garbage() {
    let mut driver = running(ALL);
    driver.control.inject(Fault::ControlRefused);
    assert_eq!(ask(&mut driver, 0, 0, &[0]), 1);
    assert!(driver.control.receive_rules().promiscuous, "not executed");

    driver.control.inject(Fault::ControlGarbage);
    assert_eq!(ask(&mut driver, 0, 0, &[0]), 0xA5);
    assert!(!driver.control.receive_rules().promiscuous, "executed");
    assert_eq!(ask(&mut driver, 0, 0, &[0]), 0);
    assert_eq!(driver.control.counters().faults, 2);
}

#[test]
fn an_answer_may_be_late() {
    let mut driver = running(ALL);
    driver.control.use_clock(driver.clock.clone());
    driver.control.inject(Fault::ControlLate(1_000_000));
    let at = buffer(CONTROL, 0);
    driver.put_bytes(at, &[0, 0, 0]);
    driver.descriptor(CONTROL, 0, at, 3, F_NEXT, 1);
    driver.descriptor(CONTROL, 1, at + 0x800, 1, F_WRITE, 0);
    driver.offer(CONTROL, 0);
    driver.kick(CONTROL);
    let process = |driver: &mut Driver| crate::pci::PciFunction::process(&mut driver.device);
    process(&mut driver);
    driver.clock.advance(999_999);
    process(&mut driver);
    assert!(driver.take_used(CONTROL).is_empty());

    driver.clock.advance(1);
    process(&mut driver);
    assert_eq!(driver.take_used(CONTROL).len(), 1);
    assert_eq!(driver.take_messages(), [0x43]);
}

#[test]
fn an_answer_may_not_come_until_the_fault_is_lifted() {
    let mut driver = running(ALL);
    driver.control.inject(Fault::ControlNever);
    issue(&mut driver, 0, 0, &[0], 1);
    assert!(driver.take_used(CONTROL).is_empty());

    driver.control.lift_faults();
    driver.settle();
    assert_eq!(driver.take_used(CONTROL).len(), 1);
    assert_eq!(answer(&driver), 0);
}

#[test]
fn a_used_id_of_the_control_queue_may_be_wrong() {
    let mut driver = running(ALL);
    driver
        .control
        .inject(Fault::UsedIdOutOfRange(QueueRole::Control));
    issue(&mut driver, 0, 0, &[0], 1);
    assert_eq!(driver.get::<u32>(ring(CONTROL) + 0x8004), 256);
}
