//! The wanted receive filter: modes, and the table of addresses.

use virtio_net::control::wishes::{ReceiveModes, Standing};
use virtio_net::features::Features;

use crate::control_wishes::{MODES, Run, group, station};

#[test]
fn the_filter_opens_and_closes() {
    let mut run = Run::new(Features::ALL);
    run.wishes.want_modes(ReceiveModes::CLOSED);
    assert_eq!(run.wishes.filter_standing(), Standing::Underway);
    run.finish();
    assert_eq!(run.bed.state.modes, [false, false, false, true, true, true]);
    assert_eq!(run.wishes.filter_standing(), Standing::Settled);

    // Back: only what differs is said.
    run.wishes.want_modes(MODES);
    assert_eq!(run.finish().len(), 4);
    assert_eq!(
        run.bed.state.modes,
        [false, true, false, false, false, false]
    );
    run.wishes.want_modes(MODES);
    assert!(run.finish().is_empty());
}

#[test]
fn what_lets_more_through_comes_before_the_table_and_what_lets_less_after() {
    let mut run = Run::new(Features::ALL);
    run.wishes.want_modes(ReceiveModes {
        promiscuous: true,
        ..ReceiveModes::default()
    });
    run.finish();
    run.wishes.want_modes(MODES);
    run.wishes.want_addresses(&[station(1)], &[]);
    // All multicast on, the table, promiscuous off.
    assert_eq!(run.finish_in_short(), [(0, 1), (1, 0), (0, 0)]);
}

#[test]
fn a_list_that_is_too_long_becomes_all_multicast_until_it_is_short() {
    let mut run = Run::new(Features::ALL);
    run.wishes.want_modes(ReceiveModes::default());
    run.wishes.want_addresses(&[station(1)], &[group(1); 4]);
    run.finish();
    assert!(run.bed.state.modes[1]);
    assert_eq!(run.bed.state.table.0, [station(1).octets()]);
    assert_eq!(run.bed.state.table.1, [[0; 6]; 0]);
    assert_eq!(run.wishes.standing(), Standing::Settled);

    run.wishes.want_addresses(&[station(1)], &[group(1); 3]);
    // First the table, then the mode that made up for it.
    assert_eq!(run.finish_in_short(), [(1, 0), (0, 1)]);
    assert!(!run.bed.state.modes[1]);
    assert_eq!(run.bed.state.table.1.len(), 3);
}

#[test]
fn too_many_unicast_addresses_become_all_unicast_or_promiscuous() {
    let modes = |features| {
        let mut run = Run::new(features);
        run.wishes.want_modes(ReceiveModes::default());
        run.wishes.want_addresses(&[station(1); 3], &[]);
        run.finish();
        assert_eq!(run.wishes.standing(), Standing::Settled);
        run.bed.state.modes
    };
    let all_unicast = [false, false, true, false, false, false];
    assert_eq!(modes(Features::ALL), all_unicast);
    let promiscuous = [true, false, false, false, false, false];
    assert_eq!(modes(Features::CTRL_VQ | Features::CTRL_RX), promiscuous);
}

#[test]
fn a_closed_filter_stays_closed_however_long_the_list() {
    let mut run = Run::new(Features::ALL);
    run.wishes.want_modes(ReceiveModes::CLOSED);
    run.wishes.want_addresses(&[station(1); 3], &[group(1); 4]);
    run.finish();
    assert_eq!(run.bed.state.modes, [false, false, false, true, true, true]);
}

#[test]
fn a_refused_table_is_made_up_for_by_modes_and_not_repeated() {
    let mut run = Run::new(Features::ALL);
    run.wishes.want_addresses(&[], &[group(1)]);
    assert!(run.advance());
    run.bed.refuse(0);
    run.settle();
    run.finish();
    assert!(run.bed.state.modes[1]);
    assert_eq!(run.wishes.standing(), Standing::Settled);
    assert_eq!(run.bed.state.table.1, [[0; 6]; 0]);

    // Another table is another try.
    run.wishes.want_addresses(&[], &[group(2)]);
    assert_eq!(run.finish_in_short(), [(1, 0), (0, 1)]);
    assert!(!run.bed.state.modes[1]);
}

#[test]
fn a_mode_that_there_is_not_is_off() {
    let mut run = Run::new(Features::CTRL_VQ | Features::CTRL_RX);
    run.wishes.want_modes(MODES);
    assert_eq!(run.finish_in_short(), [(0, 1), (0, 0)]);
    assert_eq!(run.wishes.standing(), Standing::Settled);
    run.wishes.want_modes(ReceiveModes::CLOSED);
    run.finish();
    assert_eq!(run.wishes.filter_standing(), Standing::Short);
}
