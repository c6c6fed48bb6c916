//! Rounds of polling, and the judge of what a driver makes of them: rules 269 to 271.

use ndis_sys::{
    NDIS_ANY_NUMBER_OF_NBLS, NDIS_OBJECT_TYPE_DEFAULT, NDIS_POLL_DATA, NDIS_POLL_DATA_REVISION_1,
    NDIS_POLL_NOTIFICATION, NDIS_POLL_NOTIFICATION_REVISION_1,
    NDIS_SIZEOF_NDIS_POLL_DATA_REVISION_1, NDIS_SIZEOF_NDIS_POLL_NOTIFICATION_REVISION_1,
    NET_BUFFER_LIST, Zeroed,
};

use super::Poll;
use crate::ndis::adapter::lend::lend;
use crate::ndis::call::{Callback, callback};
use crate::ndis::header;
use crate::ndis::held::Nbls;
use crate::ndis::nbl::custody::Custody;
use crate::ndis::nbl::shadow;
use crate::ndis::receive::{self, checks};
use crate::ndis::send::complete;
use crate::sched;
use crate::verifier;

const CALL: &str = "NdisPoll";
/// Flags that a driver may set: SINGLE_ETHER_TYPE, SINGLE_VLAN, PERFECT_FILTERED, SINGLE_QUEUE,
/// SHARED_MEMORY_VALID.
const RECEIVE_FLAGS: u32 = 0x1f00;
/// Rounds that one execution makes before it lets others run.
const MOST_ROUNDS: u64 = 8;

/// What a round did.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Progress {
    moved: bool,
    remaining: bool,
}

impl Poll {
    /// Disarms, polls while there is progress, arms. IRQL <= DISPATCH_LEVEL.
    pub(super) fn make_rounds(&'static self) {
        if !self.enter() {
            return;
        }
        if self.state.with(|state| state.armed) {
            self.notify(false);
        }
        let most = 1 + sched::random_below(MOST_ROUNDS);
        let mut rounds = 0;
        let goes_on = loop {
            self.state.with(|state| state.requested = false);
            let progress = self.poll();
            rounds += 1;
            let asked = self.state.with(|state| state.requested && !state.closed);
            let more = progress.moved || progress.remaining || asked;
            if !more || rounds == most {
                break more;
            }
        };
        if !goes_on {
            self.notify(true);
        }
        self.leave(goes_on);
    }

    /// False when the object is being deregistered.
    fn enter(&'static self) -> bool {
        self.state.with(|state| {
            if state.closed {
                state.active = false;
                return false;
            }
            state.running = true;
            true
        })
    }

    fn leave(&'static self, goes_on: bool) {
        let again = self.state.with(|state| {
            state.running = false;
            state.active = (goes_on || state.requested) && !state.closed;
            state.active
        });
        if again {
            self.begin_later();
        }
    }

    /// NdisSetPollNotification.
    fn notify(&'static self, armed: bool) {
        let mut notification = NDIS_POLL_NOTIFICATION::zeroed();
        notification.Header = header::make(
            NDIS_OBJECT_TYPE_DEFAULT,
            NDIS_POLL_NOTIFICATION_REVISION_1,
            NDIS_SIZEOF_NDIS_POLL_NOTIFICATION_REVISION_1,
        );
        notification.Enabled = u8::from(armed);
        self.state.with(|state| state.armed = armed);
        let Some(handler) = self.handlers.SetPollNotificationHandler else {
            return;
        };
        lend(notification, |place| {
            callback(Callback::SetPollNotification, self.handle, || {
                // SAFETY: the driver registered the handler with this context.
                sched::in_driver(|| unsafe { handler(self.context(), place) })
            });
        });
    }

    /// NdisPoll, and what becomes of the NBLs.
    fn poll(&'static self) -> Progress {
        let Some(handler) = self.handlers.PollHandler else {
            return Progress {
                moved: false,
                remaining: false,
            };
        };
        let mut data = NDIS_POLL_DATA::zeroed();
        data.Header = header::make(
            NDIS_OBJECT_TYPE_DEFAULT,
            NDIS_POLL_DATA_REVISION_1,
            NDIS_SIZEOF_NDIS_POLL_DATA_REVISION_1,
        );
        data.Transmit.MaxNblsToComplete = limit();
        data.Receive.MaxNblsToIndicate = limit();
        let (_, after) = lend(data, |place| {
            callback(Callback::Poll, self.handle, || {
                // SAFETY: the driver registered the handler with this context.
                sched::in_driver(|| unsafe { handler(self.context(), place) })
            });
        });
        judge_reserved(&after);
        let completed = take(
            after.Transmit.CompletedNblChain,
            after.Transmit.NumberOfCompletedNbls,
            data.Transmit.MaxNblsToComplete,
        );
        check_owner(
            &completed,
            "completed",
            |custody| matches!(custody, Some(Custody::Sent { adapter, .. }) if *adapter == self.adapter.handle),
        );
        let indicated = take(
            after.Receive.IndicatedNblChain,
            after.Receive.NumberOfIndicatedNbls,
            data.Receive.MaxNblsToIndicate,
        );
        check_owner(&indicated, "indicated", |custody| {
            !matches!(
                custody,
                Some(Custody::Indicated { adapter, .. }) if *adapter == self.adapter.handle
            )
        });
        let progress = Progress {
            moved: !completed.is_empty() || !indicated.is_empty(),
            remaining: remains(after.Transmit.NumberOfRemainingNbls)
                || remains(after.Receive.NumberOfRemainingNbls),
        };
        self.pass_on(&after, completed, indicated);
        progress
    }

    fn pass_on(&'static self, data: &NDIS_POLL_DATA, completed: Nbls, indicated: Nbls) {
        if !completed.is_empty() {
            complete::complete_list(CALL, self.adapter, completed);
        }
        if indicated.is_empty() {
            return;
        }
        let flags = data.Receive.Flags;
        verifier::require(269, flags & !RECEIVE_FLAGS == 0, || {
            format!("{CALL}: Receive.Flags {flags:#x}")
        });
        let flags = flags & RECEIVE_FLAGS;
        checks::check_claims(CALL, &indicated, flags);
        receive::accept(CALL, self.adapter, indicated, 0, flags);
    }

    fn context(&self) -> *mut std::ffi::c_void {
        std::ptr::with_exposed_provenance_mut(self.context)
    }
}

/// How many NBLs a round may move, by seed.
fn limit() -> u32 {
    if sched::chance(4) {
        NDIS_ANY_NUMBER_OF_NBLS
    } else {
        1 + sched::random_below(32) as u32
    }
}

/// Whether a driver says that work was left; "any number" says that it does not know.
fn remains(count: u32) -> bool {
    count != 0 && count != NDIS_ANY_NUMBER_OF_NBLS
}

/// The NBLs of one direction of a round (rule 269).
fn take(first: *mut NET_BUFFER_LIST, count: u32, most: u32) -> Nbls {
    if first.is_null() {
        verifier::require(269, count == 0, || {
            format!("{CALL}: {count} NBLs are counted, and there is none")
        });
        return Vec::new();
    }
    let nbls = shadow::walk(first, CALL, 270);
    let length = nbls.len() as u32;
    verifier::require(
        269,
        count == NDIS_ANY_NUMBER_OF_NBLS || count == length,
        || format!("{CALL}: {count} NBLs are counted, there are {length}"),
    );
    verifier::require(269, length <= most, || {
        format!("{CALL}: {length} NBLs, {most} were allowed")
    });
    nbls
}

fn judge_reserved(data: &NDIS_POLL_DATA) {
    let (transmit, receive) = (&data.Transmit, &data.Receive);
    let clean = transmit.Reserved1 == [0; 3]
        && transmit.Reserved2 == 0
        && transmit.Reserved3.iter().all(|word| word.is_null())
        && receive.Reserved1 == [0; 3]
        && receive.Reserved2 == 0
        && receive.Reserved3.iter().all(|word| word.is_null());
    verifier::require(269, clean, || {
        format!("{CALL}: a reserved field was written")
    });
}

/// Rule 270: what goes through the poll data has not gone through a call as well.
fn check_owner(
    nbls: &[*mut NET_BUFFER_LIST],
    what: &str,
    owned: impl Fn(Option<&Custody>) -> bool,
) {
    for nbl in nbls {
        let (owned, hands) = shadow::with(*nbl, CALL, |record| {
            (owned(record.custody.last()), shadow::describe(record))
        });
        verifier::insist(270, owned, || {
            format!("{CALL}: NBL {nbl:p} is {what}, but it is {hands}")
        });
    }
}
