//! 1.G: the send path.

use ndis_host::ndis::api;
use ndis_host::pnp;
use ndis_host::sched;
use ndis_host::verifier;
use ndis_sys::{
    NDIS_STATUS_FAILURE, NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_PAUSED, NDIS_STATUS_SEND_ABORTED,
    NDIS_STATUS_SUCCESS, NetBufferListCancelId,
};

use crate::bench::{ONE_SECOND, bench, frame};
use crate::hooked_card::{Hooks, RIGHT, harsh, plain, tcp};
use crate::native::{breaks, holds, nic, stack};

const ALL: [u8; 6] = [0xff; 6];

#[test]
fn r114_breaks_when_a_send_is_completed_twice() {
    breaks!(114, || {
        let (_, stack, _) = bench(nic::Fault::CompleteTwice, stack::Fault::None);
        stack.send(&[frame(ALL)]);
        sched::sleep(ONE_SECOND);
    });
}

#[test]
fn r114_breaks_when_a_send_is_completed_that_was_never_given() {
    breaks!(114, || {
        let (nic, ..) = bench(nic::Fault::None, stack::Fault::None);
        let pool = api::NblPool::new("nobody");
        api::send_complete(nic.adapter(), pool.frame(&frame(ALL)), 0);
    });
}

#[test]
fn r114_holds_when_sends_are_completed_inline_and_later() {
    holds!(|| {
        let later = Hooks {
            send: |card, nbl| {
                if sched::chance(2) {
                    card.keep(nbl);
                } else {
                    card.complete(nbl, NDIS_STATUS_SUCCESS);
                }
            },
            ..RIGHT
        };
        let (card, stack, device) = harsh(later);
        for _ in 0..20 {
            stack.send(&[frame(ALL), frame(ALL), frame(ALL)]);
        }
        sched::sleep(ONE_SECOND);
        for nbl in card.take_kept() {
            card.complete(nbl, NDIS_STATUS_SUCCESS);
        }
        sched::sleep(ONE_SECOND);
        assert_eq!(stack.completed().len(), 60);
        pnp::remove_device(device);
    });
}

#[test]
fn r115_breaks_when_a_send_is_completed_with_pending() {
    breaks!(115, || {
        let (_, stack, _) = bench(nic::Fault::CompletePending, stack::Fault::None);
        stack.send(&[frame(ALL)]);
        sched::sleep(ONE_SECOND);
    });
}

#[test]
fn r115_holds_when_a_send_fails_with_a_status_for_sends() {
    holds!(|| {
        let failing = Hooks {
            send: |card, nbl| card.complete(nbl, NDIS_STATUS_FAILURE),
            ..RIGHT
        };
        let (_, stack, _) = plain(failing);
        stack.send(&[frame(ALL)]);
        assert_eq!(stack.completed(), [NDIS_STATUS_FAILURE]);
    });
}

#[test]
fn r116_breaks_when_a_send_is_kept_for_ever() {
    breaks!(116, || {
        let keeping = Hooks {
            send: |card, nbl| card.keep(nbl),
            ..RIGHT
        };
        let (_, stack, _) = plain(keeping);
        stack.send(&[frame(ALL)]);
        sched::sleep(40 * ONE_SECOND);
    });
}

#[test]
fn r117_breaks_when_the_net_buffers_of_a_send_are_changed() {
    breaks!(117, || {
        let cutting = Hooks {
            send: |card, nbl| {
                // SAFETY: the card has the NBL, which has two NET_BUFFERs.
                unsafe { (*(*nbl).FirstNetBuffer).Next = std::ptr::null_mut() };
                card.complete(nbl, NDIS_STATUS_SUCCESS);
            },
            ..RIGHT
        };
        let (_, stack, _) = plain(cutting);
        stack.send_together(&[frame(ALL), frame(ALL)]);
    });
}

#[test]
fn r117_holds_when_the_net_buffers_of_a_send_stay() {
    holds!(|| {
        let (_, stack, _) = plain(RIGHT);
        stack.send_together(&[frame(ALL), frame(ALL)]);
    });
}

#[test]
fn r119_breaks_when_a_protocol_sets_an_unknown_send_flag() {
    breaks!(119, || {
        let (_, stack, _) = plain(RIGHT);
        let pool = api::NblPool::new("a sender");
        api::send(stack.binding(), pool.frame(&frame(ALL)), 0x40);
    });
}

#[test]
fn r119_holds_when_a_protocol_asks_for_loopback() {
    holds!(|| {
        let (_, stack, _) = harsh(RIGHT);
        let pool = api::NblPool::new("a sender");
        let flags = ndis_sys::NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK;
        api::send(stack.binding(), pool.frame(&frame(ALL)), flags);
        sched::sleep(ONE_SECOND);
        assert_eq!(stack.received(), [frame(ALL)], "NDIS loops it back");
    });
}

#[test]
fn r120_holds_when_handlers_run_at_the_same_time() {
    holds!(|| {
        let slow = Hooks {
            send: |card, nbl| {
                // A spin that others may interrupt on another CPU.
                for _ in 0..200 {
                    sched::point();
                }
                card.complete(nbl, NDIS_STATUS_SUCCESS);
            },
            ..RIGHT
        };
        let (card, stack, _) = plain(slow);
        let threads: Vec<_> = (0..4)
            .map(|number| {
                sched::spawn(&format!("sender {number}"), move || {
                    for _ in 0..20 {
                        stack.send(&[frame(ALL)]);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(sched::join);
        assert!(card.most_inside() > 1, "sends overlap");
    });
}

#[test]
fn r121_breaks_when_a_lock_is_held_while_a_send_is_completed() {
    breaks!(121, || {
        verifier::enforce(121);
        let (_, stack, _) = plain(Hooks {
            send: |card, nbl| with_lock(|| card.complete(nbl, NDIS_STATUS_SUCCESS)),
            ..RIGHT
        });
        stack.send(&[frame(ALL)]);
    });
}

#[test]
fn r121_holds_when_the_lock_is_released_before() {
    holds!(|| {
        verifier::enforce(121);
        let (_, stack, _) = plain(Hooks {
            send: |card, nbl| {
                with_lock(|| {});
                card.complete(nbl, NDIS_STATUS_SUCCESS);
            },
            ..RIGHT
        });
        stack.send(&[frame(ALL)]);
    });
}

/// Runs `body` with a spin lock of the driver's held.
fn with_lock(body: impl FnOnce()) {
    use crate::native::linked::import;

    let acquire = import!(KeAcquireSpinLockRaiseToDpc: fn(*mut usize) -> u8);
    let release = import!(KeReleaseSpinLock: fn(*mut usize, u8));
    let mut lock = Box::new(0usize);
    let at = &raw mut *lock;
    // SAFETY: the lock lives until it is released, by the same thread.
    unsafe {
        let old = acquire(at);
        body();
        release(at, old);
    }
}

#[test]
fn r122_breaks_when_the_ethernet_header_is_cut() {
    breaks!(122, || {
        let (_, stack, _) = plain(RIGHT);
        let (pool, frame) = (api::NblPool::new("a sender"), frame(ALL));
        let nbl = pool.fragments(&[&frame[..13], &frame[13..]]);
        api::send(stack.binding(), nbl, 0);
    });
}

#[test]
fn r122_breaks_when_an_nbl_mixes_connections() {
    breaks!(122, || {
        let (_, stack, _) = plain(RIGHT);
        let mut other = tcp(ALL, 10);
        other[36] ^= 1;
        stack.send_together(&[tcp(ALL, 10), other]);
    });
}

#[test]
fn r122_holds_when_a_frame_is_cut_in_odd_places() {
    holds!(|| {
        let (_, stack, _) = harsh(RIGHT);
        let (pool, frame) = (api::NblPool::new("a sender"), tcp(ALL, 10));
        let mut parts: Vec<&[u8]> = vec![&[], &frame[..14], &[]];
        parts.extend(frame[14..].chunks(1));
        api::send(stack.binding(), pool.fragments(&parts), 0);
        stack.send_together(&[tcp(ALL, 10), tcp(ALL, 300)]);
    });
}

#[test]
fn r123_breaks_when_a_short_frame_leaves_with_stale_bytes() {
    breaks!(123, || {
        let (_, stack, _) = plain(Hooks {
            send: |card, nbl| send_padded(card, nbl, 0xcd),
            ..RIGHT
        });
        stack.send(&[frame(ALL)[..20].to_vec()]);
    });
}

#[test]
fn r123_holds_when_a_short_frame_is_padded_with_zeros() {
    holds!(|| {
        let (_, stack, _) = plain(Hooks {
            send: |card, nbl| send_padded(card, nbl, 0),
            ..RIGHT
        });
        stack.send(&[frame(ALL)[..20].to_vec()]);
    });
}

fn send_padded(card: &'static crate::hooked_card::Card, nbl: crate::hooked_card::Nbl, byte: u8) {
    let mut frames = api::read_frames(nbl);
    for frame in &mut frames {
        frame.resize(frame.len().max(60), byte);
    }
    api::frames_left(card.adapter(), nbl, &frames);
    card.complete(nbl, NDIS_STATUS_SUCCESS);
}

#[test]
fn r124_breaks_when_a_frame_that_is_too_long_is_said_to_be_sent() {
    breaks!(124, || {
        let (_, stack, _) = plain(RIGHT);
        stack.send(&[tcp(ALL, 1600)]);
    });
}

#[test]
fn r124_holds_when_a_frame_that_is_too_long_fails() {
    holds!(|| {
        let (_, stack, _) = plain(Hooks {
            send: |card, nbl| card.complete(nbl, NDIS_STATUS_INVALID_LENGTH),
            ..RIGHT
        });
        stack.send(&[tcp(ALL, 1600)]);
    });
}

#[test]
fn r125_breaks_when_the_tag_is_left_out() {
    breaks!(125, || {
        let (_, stack, _) = plain(Hooks {
            send: |card, nbl| send_padded(card, nbl, 0),
            ..RIGHT
        });
        send_with_priority(stack, 5);
    });
}

#[test]
fn r125_holds_when_priority_0_and_vlan_0_are_left_out() {
    holds!(|| {
        let (_, stack, _) = plain(Hooks {
            send: |card, nbl| send_padded(card, nbl, 0),
            ..RIGHT
        });
        send_with_priority(stack, 0);
    });
}

fn send_with_priority(stack: &'static stack::Stack, priority: usize) {
    let pool = api::NblPool::new("a sender");
    let nbl = pool.frame(&tcp(ALL, 30));
    let slot = ndis_sys::Ieee8021QNetBufferListInfo as usize;
    api::set_info(nbl, slot, priority);
    api::send(stack.binding(), nbl, 0);
}

/// Keeps sends; when cancelled, completes those that `choose` names.
fn cancel(choose: fn(usize, usize) -> bool) {
    static CHOOSE: std::sync::OnceLock<fn(usize, usize) -> bool> = std::sync::OnceLock::new();
    CHOOSE.get_or_init(|| choose);
    let (card, stack, _) = plain(Hooks {
        send: |card, nbl| card.keep(nbl),
        cancel: |card, id| {
            for nbl in card.take_kept() {
                let own = api::info(nbl, NetBufferListCancelId as usize);
                if CHOOSE.get().is_some_and(|choose| choose(own, id)) {
                    card.complete(nbl, NDIS_STATUS_SEND_ABORTED);
                } else {
                    card.keep(nbl);
                }
            }
        },
        ..RIGHT
    });
    let pool = api::NblPool::new("a sender");
    for id in [7, 8] {
        let nbl = pool.frame(&frame(ALL));
        api::set_info(nbl, NetBufferListCancelId as usize, id);
        api::send(stack.binding(), nbl, 0);
    }
    api::cancel_sends(stack.binding(), 7);
    for nbl in card.take_kept() {
        card.complete(nbl, NDIS_STATUS_SUCCESS);
    }
}

#[test]
fn r126_breaks_when_another_send_is_cancelled() {
    breaks!(126, || cancel(|_, _| true));
}

#[test]
fn r126_holds_when_the_send_that_is_meant_is_cancelled() {
    holds!(|| cancel(|own, id| own == id));
}

#[test]
fn r128_breaks_when_sends_wait_for_a_link() {
    breaks!(116, || {
        let (card, stack, _) = plain(Hooks {
            send: |card, nbl| card.keep(nbl),
            ..RIGHT
        });
        api::indicate_link(card.adapter(), false, 0);
        stack.send(&[frame(ALL)]);
        sched::sleep(40 * ONE_SECOND);
    });
}

#[test]
fn r128_holds_when_sends_without_a_link_come_back() {
    holds!(|| {
        let (card, stack, _) = plain(Hooks {
            send: |card, nbl| card.complete(nbl, NDIS_STATUS_PAUSED),
            ..RIGHT
        });
        api::indicate_link(card.adapter(), false, 0);
        stack.send(&[frame(ALL)]);
        sched::sleep(40 * ONE_SECOND);
    });
}
