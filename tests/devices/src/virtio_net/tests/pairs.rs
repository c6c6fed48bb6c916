//! Several pairs of queues.

use super::super::*;
use super::driver::{Driver, F_NEXT, F_WRITE, FAR, MAC, buffer, frame};

const FEATURES: u128 =
    feature::VERSION_1 | feature::MAC | feature::CTRL_VQ | feature::MQ | feature::RING_RESET;
const CONTROL: u16 = 4;

fn running() -> Driver {
    let config = VirtioNetConfig {
        max_pairs: 2,
        vectors: 8,
        control_queue_size: 256,
        ..VirtioNetConfig::new(MAC).with(FEATURES)
    };
    let mut driver = Driver::running(config, FEATURES);
    for queue in [0, 2] {
        for head in 0..32 {
            driver.descriptor(queue, head, buffer(queue, head), 2048, F_WRITE, 0);
            driver.offer(queue, head);
        }
    }
    driver.settle();
    driver
}

fn use_pairs(driver: &mut Driver, pairs: u16) -> u8 {
    let at = buffer(CONTROL, 0);
    driver.put_bytes(at, &[4, 0]);
    driver.put(at + 2, pairs);
    driver.descriptor(CONTROL, 0, at, 4, F_NEXT, 1);
    driver.descriptor(CONTROL, 1, at + 0x800, 1, F_WRITE, 0);
    driver.offer(CONTROL, 0);
    driver.kick(CONTROL);
    driver.settle();
    assert_eq!(driver.take_used(CONTROL).len(), 1);
    driver.get(at + 0x800)
}

/// An IPv4 datagram of UDP to the device, by port of the other end.
fn datagram(port: u8) -> Vec<u8> {
    let mut bytes = frame(60, 0);
    bytes[12..14].copy_from_slice(&[0x08, 0x00]);
    bytes[14] = 0x45;
    bytes[23] = 17;
    bytes[34..38].copy_from_slice(&[0, port, 0x10, 0]);
    bytes
}

/// The answer to a datagram.
fn reply(port: u8) -> Vec<u8> {
    let mut bytes = datagram(port);
    bytes[..6].copy_from_slice(&FAR);
    bytes[6..12].copy_from_slice(&MAC);
    bytes[34..38].copy_from_slice(&[0x10, 0, 0, port]);
    bytes
}

fn send_on(driver: &mut Driver, queue: u16, head: u16, bytes: &[u8]) {
    let bytes = [&[0; 12], bytes].concat();
    let at = buffer(queue, head);
    driver.put_bytes(at, &bytes);
    driver.descriptor(queue, head, at, bytes.len() as u32, 0, 0);
    driver.offer(queue, head);
    driver.kick(queue);
    driver.settle();
}

#[test]
fn the_control_queue_is_behind_all_pairs() {
    let mut driver = running();
    assert_eq!(driver.read(0x12), 5_u16.to_le_bytes());
    assert_eq!(driver.read(0x2008), 2_u16.to_le_bytes());
    assert_eq!(use_pairs(&mut driver, 2), 0);
    assert_eq!(driver.control.state().pairs, 2);
    assert_eq!(driver.control.misuses(), Vec::<String>::new());
}

#[test]
fn without_mq_it_is_the_third() {
    let config = VirtioNetConfig {
        max_pairs: 2,
        ..VirtioNetConfig::new(MAC).with(FEATURES)
    };
    let mut driver = Driver::running(config, FEATURES & !feature::MQ);
    assert_eq!(driver.read(0x12), 3_u16.to_le_bytes());
}

#[test]
fn frames_come_on_the_first_pair_until_the_driver_says_so() {
    let mut driver = running();
    for port in 0..16 {
        driver.receive(&datagram(port));
    }
    assert_eq!(driver.take_used(0).len(), 16);
    assert!(driver.take_used(2).is_empty());

    use_pairs(&mut driver, 2);
    for port in 0..16 {
        driver.receive(&datagram(port));
    }
    let (first, second) = (driver.take_used(0).len(), driver.take_used(2).len());
    assert!(first > 0 && second > 0);
    assert_eq!(first + second, 16);
}

#[test]
fn a_flow_comes_on_the_pair_on_which_it_is_sent() {
    let mut driver = running();
    use_pairs(&mut driver, 2);
    for port in 0..8 {
        let pair = u16::from(port) % 2;
        send_on(&mut driver, 2 * pair + 1, port.into(), &reply(port));
        driver.receive(&datagram(port));
        assert_eq!(driver.take_used(2 * pair).len(), 1);
        assert!(driver.take_used(2 - 2 * pair).is_empty());
    }
    assert_eq!(driver.arrived.lock().unwrap().len(), 8);
}

#[test]
fn numbers_of_pairs_that_cannot_be_are_misuse() {
    let mut driver = running();
    assert_eq!(use_pairs(&mut driver, 0), 1);
    assert_eq!(use_pairs(&mut driver, 3), 1);
    assert_eq!(driver.control.counters().misuses, 2);
    assert_eq!(driver.control.state().pairs, 1);
}

#[test]
fn a_pair_that_is_not_in_use_sends_nothing() {
    let mut driver = running();
    send_on(&mut driver, 3, 0, &reply(1));
    assert!(driver.arrived.lock().unwrap().is_empty());
    assert_eq!(
        driver.control.misuses(),
        ["doorbell of queue 3, whose pair is not in use"]
    );
}

#[test]
fn frames_for_a_queue_that_is_reset_come_on_another() {
    let mut driver = running();
    use_pairs(&mut driver, 2);
    driver.write(0x16, &2_u16.to_le_bytes());
    driver.write(0x3A, &1_u16.to_le_bytes());
    for port in 0..16 {
        driver.receive(&datagram(port));
    }
    assert_eq!(driver.take_used(0).len(), 16);
    assert_eq!(driver.control.counters().rx_dropped(), 0);
}
