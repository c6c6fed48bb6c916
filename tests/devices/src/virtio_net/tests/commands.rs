//! The control queue, and what its commands do.

use super::super::*;
use super::driver::{Driver, F_NEXT, F_WRITE, FAR, MAC, buffer, frame};

pub(super) const ALL: u128 = feature::CTRL_VQ
    | feature::CTRL_RX
    | feature::CTRL_RX_EXTRA
    | feature::CTRL_VLAN
    | feature::CTRL_MAC_ADDR
    | feature::CTRL_GUEST_OFFLOADS
    | feature::GUEST_CSUM
    | feature::GUEST_TSO4
    | feature::GUEST_ANNOUNCE
    | feature::NOTF_COAL
    | feature::VQ_NOTF_COAL;
pub(super) const CONTROL: u16 = 2;
pub(super) const GROUP: MacAddress = [1, 0, 0x5E, 0, 0, 1];
const OTHER: MacAddress = [2, 0, 0, 0, 0, 7];

pub(super) fn running_with(features: u128, change: impl FnOnce(&mut VirtioNetConfig)) -> Driver {
    let mut config = VirtioNetConfig::new(MAC).with(ALL);
    config.control_queue_size = 256;
    change(&mut config);
    let basic = feature::VERSION_1 | feature::MAC | feature::MRG_RXBUF | feature::STATUS;
    let mut driver = Driver::running(config, basic | features);
    driver.offer_buffers(0..200, 2048);
    driver.kick(0);
    driver.settle();
    driver.take_messages();
    driver
}

pub(super) fn running(features: u128) -> Driver {
    running_with(features, |_| ())
}

/// Sends a command with room for an answer of `room` bytes, and lets the device work.
pub(super) fn issue(driver: &mut Driver, class: u8, command: u8, data: &[u8], room: u32) {
    let at = buffer(CONTROL, 0);
    driver.put_bytes(at, &[class, command]);
    driver.put_bytes(at + 2, data);
    driver.put_bytes(at + 0x800, &[0xEE; 16]);
    let len = 2 + data.len() as u32;
    driver.descriptor(CONTROL, 0, at, len, F_NEXT, 1);
    driver.descriptor(CONTROL, 1, at + 0x800, room, F_WRITE, 0);
    driver.offer(CONTROL, 0);
    driver.kick(CONTROL);
    driver.settle();
}

pub(super) fn answer(driver: &Driver) -> u8 {
    driver.get(buffer(CONTROL, 0) + 0x800)
}

/// The answer to a command.
pub(super) fn ask(driver: &mut Driver, class: u8, command: u8, data: &[u8]) -> u8 {
    issue(driver, class, command, data, 1);
    let used = driver.take_used(CONTROL);
    assert_eq!(used.len(), 1, "the command is used");
    assert_eq!((used[0].id, used[0].len), (0, 1));
    answer(driver)
}

fn passes(driver: &mut Driver, to: MacAddress) -> bool {
    passes_frame(driver, &frame_to(to))
}

fn passes_frame(driver: &mut Driver, bytes: &[u8]) -> bool {
    driver.receive(bytes);
    !driver.take_used(0).is_empty()
}

fn frame_to(to: MacAddress) -> Vec<u8> {
    let mut bytes = frame(60, 1);
    bytes[..6].copy_from_slice(&to);
    bytes
}

fn tagged(vlan: u16) -> Vec<u8> {
    let mut bytes = frame(64, 1);
    bytes[12..14].copy_from_slice(&[0x81, 0]);
    bytes[14..16].copy_from_slice(&vlan.to_be_bytes());
    bytes
}

#[test]
fn the_control_queue_is_the_last_one() {
    let mut driver = running(ALL);
    assert_eq!(driver.read(0x12), 3_u16.to_le_bytes());
    assert_eq!(ask(&mut driver, 0, 0, &[1]), 0);
    assert_eq!(driver.take_messages(), [0x43]);
    let counters = driver.control.counters();
    assert_eq!(counters.commands.receive_mode, 1);
    assert_eq!(
        (counters.control.chains, counters.control.descriptors),
        (1, 2)
    );
    assert_eq!(driver.control.misuses(), Vec::<String>::new());
}

#[test]
fn without_the_feature_there_is_no_control_queue() {
    let mut driver = running(0);
    assert_eq!(driver.read(0x12), 2_u16.to_le_bytes());
    driver.kick(CONTROL);
    assert_eq!(
        driver.control.misuses(),
        ["doorbell 2, which is no queue's"]
    );
}

#[test]
fn after_a_reset_everything_is_received() {
    let mut driver = running(ALL);
    assert!(passes(&mut driver, OTHER) && passes(&mut driver, GROUP));
    assert!(passes_frame(&mut driver, &tagged(5)));

    ask(&mut driver, 0, 0, &[0]);
    assert!(!passes(&mut driver, OTHER) && !passes(&mut driver, GROUP));
    assert!(passes(&mut driver, MAC) && passes(&mut driver, [0xFF; 6]));
    assert_eq!(driver.control.counters().rx_dropped_filter, 2);
}

#[test]
fn receive_modes_allow_and_exclude() {
    let mut driver = running(ALL);
    ask(&mut driver, 0, 0, &[0]);
    ask(&mut driver, 0, 1, &[1]);
    assert!(passes(&mut driver, GROUP) && !passes(&mut driver, OTHER));
    ask(&mut driver, 0, 2, &[1]);
    assert!(passes(&mut driver, OTHER));
    ask(&mut driver, 0, 3, &[1]);
    assert!(!passes(&mut driver, GROUP) && passes(&mut driver, [0xFF; 6]));
    ask(&mut driver, 0, 4, &[1]);
    assert!(!passes(&mut driver, OTHER) && !passes(&mut driver, MAC));
    ask(&mut driver, 0, 5, &[1]);
    assert!(!passes(&mut driver, [0xFF; 6]));
    ask(&mut driver, 0, 0, &[1]);
    assert!(passes(&mut driver, OTHER), "promiscuous mode is above all");
}

pub(super) fn table(unicast: &[MacAddress], multicast: &[MacAddress]) -> Vec<u8> {
    let mut data = (unicast.len() as u32).to_le_bytes().to_vec();
    data.extend(unicast.as_flattened());
    data.extend((multicast.len() as u32).to_le_bytes());
    data.extend(multicast.as_flattened());
    data
}

#[test]
fn the_table_of_addresses_is_received() {
    let mut driver = running(ALL);
    ask(&mut driver, 0, 0, &[0]);
    assert_eq!(ask(&mut driver, 1, 0, &table(&[OTHER], &[GROUP])), 0);
    assert!(passes(&mut driver, OTHER) && passes(&mut driver, GROUP));
    assert!(!passes(&mut driver, FAR) && !passes(&mut driver, [1; 6]));

    let many = [[3; 6]; 65];
    assert_eq!(ask(&mut driver, 1, 0, &table(&[], &many)), 0);
    assert!(passes(&mut driver, [1; 6]), "too many mean all");
    assert!(!passes(&mut driver, OTHER));
}

#[test]
fn the_own_address_may_change_until_the_reset() {
    let mut driver = running(ALL);
    ask(&mut driver, 0, 0, &[0]);
    assert_eq!(ask(&mut driver, 1, 1, &OTHER), 0);
    assert!(passes(&mut driver, OTHER) && !passes(&mut driver, MAC));
    assert_eq!(driver.read(0x2000), OTHER);
    assert_eq!(driver.control.state().mac, OTHER);

    driver.set_status(0);
    assert_eq!(driver.read(0x2000), MAC);
}

#[test]
fn vlans_are_dropped_until_they_are_added() {
    let mut driver = running(ALL);
    ask(&mut driver, 0, 0, &[0]);
    assert!(!passes_frame(&mut driver, &tagged(5)));
    assert_eq!(ask(&mut driver, 2, 0, &5_u16.to_le_bytes()), 0);
    assert!(
        passes_frame(&mut driver, &tagged(0x7005)),
        "priority is none of the ID"
    );
    assert!(!passes_frame(&mut driver, &tagged(6)));
    assert_eq!(ask(&mut driver, 2, 1, &5_u16.to_le_bytes()), 0);
    assert!(!passes_frame(&mut driver, &tagged(5)));

    let mut driver = running(ALL & !feature::CTRL_VLAN);
    ask(&mut driver, 0, 0, &[0]);
    assert!(passes_frame(&mut driver, &tagged(5)));
}

#[test]
fn a_strict_vlan_filter_holds_in_promiscuous_mode() {
    let mut driver = running_with(ALL, |config| config.strict_vlans = true);
    assert!(!passes_frame(&mut driver, &tagged(5)));
    ask(&mut driver, 2, 0, &5_u16.to_le_bytes());
    assert!(passes_frame(&mut driver, &tagged(5)));
    assert!(passes(&mut driver, OTHER));
}

#[test]
fn an_announcement_is_asked_for_until_it_is_acknowledged() {
    let mut driver = running(ALL);
    assert_eq!(ask(&mut driver, 3, 0, &[]), 1, "nothing to acknowledge");
    driver.take_messages();

    assert!(driver.control.announce());
    assert_eq!(driver.take_messages(), [0x40]);
    assert_eq!(driver.read(0x2006), [3, 0]);
    assert_eq!(ask(&mut driver, 3, 0, &[]), 0);
    assert_eq!(driver.read(0x2006), [1, 0]);
    assert_eq!(driver.control.counters().commands.announce, 2);
    assert_eq!(driver.control.misuses(), Vec::<String>::new());

    assert!(!running(feature::CTRL_VQ).control.announce());
}

#[test]
fn offloads_are_those_that_were_negotiated() {
    let mut driver = running(ALL);
    let both = (feature::GUEST_CSUM | feature::GUEST_TSO4) as u64;
    assert_eq!(driver.control.state().offloads, both);
    let csum = feature::GUEST_CSUM as u64;
    assert_eq!(ask(&mut driver, 5, 0, &csum.to_le_bytes()), 0);
    assert_eq!(driver.control.state().offloads, csum);

    assert_eq!(ask(&mut driver, 5, 0, &(1_u64 << 8).to_le_bytes()), 1);
    assert_eq!(driver.control.counters().misuses, 1);
}

fn coalescing(max_packets: u32, max_usecs: u32) -> Vec<u8> {
    [max_packets.to_le_bytes(), max_usecs.to_le_bytes()].concat()
}

#[test]
fn coalesced_interrupts_wait_for_frames_or_time() {
    let mut driver = running(ALL);
    driver.control.use_clock(driver.clock.clone());
    assert_eq!(ask(&mut driver, 6, 1, &coalescing(3, 50)), 0);
    driver.take_messages();
    // Not `receive`, which lets all time pass.
    let arrive = |driver: &mut Driver| {
        driver.far_end.send(frame(60, 1));
        driver.clock.advance(1000);
        crate::pci::PciFunction::process(&mut driver.device);
    };
    arrive(&mut driver);
    arrive(&mut driver);
    assert!(driver.take_messages().is_empty());
    assert_eq!(driver.take_used(0).len(), 2, "only the interrupt waits");
    arrive(&mut driver);
    assert_eq!(driver.take_messages(), [0x41]);

    arrive(&mut driver);
    assert!(driver.take_messages().is_empty());
    driver.clock.advance(60_000);
    driver.settle();
    assert_eq!(driver.take_messages(), [0x41]);
}

#[test]
fn each_queue_coalesces_by_what_was_said_last() {
    let mut driver = running(ALL);
    assert_eq!(ask(&mut driver, 6, 0, &coalescing(4, 5)), 0);
    let one = [vec![1, 0, 0, 0], coalescing(6, 7)].concat();
    assert_eq!(ask(&mut driver, 6, 2, &one), 0);
    let of = |driver: &Driver, queue| {
        let Coalescing {
            max_packets,
            max_usecs,
        } = driver.control.coalescing(queue).unwrap();
        (max_packets, max_usecs)
    };
    assert_eq!((of(&driver, 0), of(&driver, 1)), ((0, 0), (6, 7)));

    issue(&mut driver, 6, 3, &[1, 0, 0, 0], 9);
    let answer = driver.get_bytes(buffer(CONTROL, 0) + 0x800, 9);
    assert_eq!(answer, [coalescing(6, 7), vec![0]].concat());
    driver.take_used(CONTROL);
    assert_eq!(ask(&mut driver, 6, 2, &[2; 12]), 1, "no such queue");
}
