//! From an interrupt to its DPC: service routines, the interrupt lock, DPCs, the receive throttle.

use std::ffi::c_void;

use ndis_sys::{BOOLEAN, FALSE, NDIS_INDICATE_ALL_NBLS, NDIS_RECEIVE_THROTTLE_PARAMETERS, Zeroed};

use super::{Interrupt, Source, disturb};
use crate::ndis::call::{self, Callback, callback};
use crate::ndis::dpc;
use crate::sched::{self, DIRQL, DpcId};
use crate::verifier;

/// A DPC that takes longer holds up its CPU (table of rule 308).
const LONG_DPC_NS: u64 = 1_000_000;
/// Calls of a service routine in a row that leave the line asserted: the CPU gets to nothing else.
const STORM: u32 = 64;
/// Longest time for which NDIS leaves the CPU to its threads between two DPCs of a throttled drain.
const THROTTLE_NS: u64 = 20_000;
/// Latest time at which a neighbour on the line interrupts after the device did.
const NEIGHBOUR_NS: u64 = 50_000;

/// What a service routine answered.
struct Answer {
    recognized: bool,
    queue_default: bool,
    targets: u32,
}

impl Interrupt {
    /// A message has come: interrupts its CPU, unless it is disturbed.
    pub(super) fn arrive(&'static self, message: usize) {
        for delay_ns in disturb::arrivals() {
            if delay_ns == 0 {
                self.enter(message);
            } else {
                sched::after(delay_ns, move || self.enter(message));
            }
        }
    }

    fn enter(&'static self, message: usize) {
        if let Some(cpu) = self.source.cpu(message) {
            sched::interrupt(cpu, DIRQL, move || self.serve_message(message as u32));
        }
    }

    /// An interrupt that the device did not ask for.
    pub(super) fn disturb(&'static self) {
        match self.source {
            Source::Messages(_) => {
                let message = sched::random_below(self.source.count() as u64);
                self.enter(message as usize);
            }
            Source::Line(_) => self.neighbour(),
        }
    }

    /// The device asserts its line. A neighbour may do so at about the same time.
    pub(super) fn assert(&'static self) {
        let first = self
            .state
            .with(|state| !std::mem::replace(&mut state.line.pending, true));
        if first && let Some(cpu) = self.source.cpu(0) {
            sched::interrupt(cpu, DIRQL, move || self.serve_line());
        }
        if sched::chance(4) {
            let delay_ns = sched::random_below(NEIGHBOUR_NS);
            sched::after(delay_ns, move || self.neighbour());
        }
    }

    /// Another device on the line interrupts: the service routine is asked as well.
    fn neighbour(&'static self) {
        if let Some(cpu) = self.source.cpu(0) {
            sched::interrupt(cpu, DIRQL, move || self.ask_line());
        }
    }

    fn is_connected(&'static self) -> bool {
        self.state.with(|state| state.connected)
    }

    /// The service routine of a message, at DIRQL.
    fn serve_message(&'static self, message: u32) {
        let Some(handler) = self.handlers.MessageInterruptHandler else {
            return;
        };
        if !self.is_connected() {
            return;
        }
        let answer = self.ask(|context, queue_default, targets| {
            // SAFETY: the driver registered the handler with this context.
            sched::in_driver(|| unsafe { handler(context, message, queue_default, targets) })
        });
        verifier::require(196, answer.recognized, || {
            format!("the service routine of message {message} does not recognize it")
        });
        self.queue_answered(message, &answer);
    }

    /// The device's own interrupt on its line.
    fn serve_line(&'static self) {
        self.state.with(|state| state.line.pending = false);
        self.ask_line();
        let asserted = self.adapter.node.line_level().asserted;
        let futile = self.state.with(|state| {
            state.line.futile = if asserted { state.line.futile + 1 } else { 0 };
            state.line.futile
        });
        verifier::insist(196, futile < STORM, || {
            "the service routine leaves the line asserted, so it is called for ever".to_owned()
        });
        if asserted && self.is_connected() {
            self.assert();
        }
    }

    /// Calls the service routine of the line, whoever asserts that.
    fn ask_line(&'static self) {
        let Some(handler) = self.handlers.InterruptHandler else {
            return;
        };
        if !self.is_connected() {
            return;
        }
        let before = self.adapter.node.line_level();
        let answer = self.ask(|context, queue_default, targets| {
            // SAFETY: the driver registered the handler with this context.
            sched::in_driver(|| unsafe { handler(context, queue_default, targets) })
        });
        let after = self.adapter.node.line_level();
        let own = before.asserted || after.count != before.count;
        verifier::require(196, own || !answer.recognized, || {
            "the service routine claims the interrupt of another device on its line".to_owned()
        });
        self.queue_answered(0, &answer);
    }

    fn ask(
        &'static self,
        handler: impl FnOnce(*mut c_void, *mut BOOLEAN, *mut u32) -> BOOLEAN,
    ) -> Answer {
        self.lock();
        let (mut queue_default, mut targets): (BOOLEAN, u32) = (FALSE, 0);
        let recognized = callback(Callback::Isr, self.handle, || {
            let context = std::ptr::with_exposed_provenance_mut(self.context);
            handler(context, &raw mut queue_default, &raw mut targets)
        });
        self.unlock();
        Answer {
            recognized: recognized != FALSE,
            queue_default: queue_default != FALSE,
            targets,
        }
    }

    /// Queues the DPCs that a service routine asked for: NDIS does so whatever it returned.
    fn queue_answered(&'static self, message: u32, answer: &Answer) {
        let quiet = !answer.queue_default && answer.targets == 0;
        verifier::require(197, answer.recognized || quiet, || {
            format!("the service routine of message {message} asks for DPCs it denies")
        });
        // The flags are older than processor groups: they name processors of group 0.
        let there = sched::mask_of(0);
        let beyond = u64::from(answer.targets) & !there != 0;
        verifier::require(197, answer.queue_default || !beyond, || {
            format!(
                "the service routine of message {message} wants DPCs on CPUs {:#x} of {there:#x}",
                answer.targets
            )
        });
        if answer.queue_default {
            self.queue(disturb::dpc_cpu(sched::current_cpu()), message, 0);
        } else {
            for cpu in sched::cpus_in(0, u64::from(answer.targets)) {
                self.queue(cpu, message, 0);
            }
        }
    }

    /// Takes the interrupt lock; the level is DIRQL.
    pub(super) fn lock(&'static self) {
        sched::spin("an interrupt lock", move || {
            self.state.with(|state| {
                let free = !state.locked;
                if free {
                    state.locked = true;
                    state.running += 1;
                }
                free
            })
        });
    }

    pub(super) fn unlock(&'static self) {
        self.state.with(|state| {
            state.locked = false;
            state.running -= 1;
        });
    }

    pub(super) fn dpc(&self, cpu: usize, message: u32) -> DpcId {
        let number = (self.handle & 0xff_ffff_ffff) >> 4;
        dpc::id(
            dpc::Source::Interrupt,
            number << 20 | u64::from(message) << 8 | cpu as u64,
        )
    }

    /// Queues the DPC of a message on a CPU; false when it is queued already.
    pub(super) fn queue(&'static self, cpu: usize, message: u32, context: usize) -> bool {
        sched::queue_dpc(cpu, self.dpc(cpu, message), move || {
            self.run_dpc(cpu, message, context)
        })
    }

    fn run_dpc(&'static self, cpu: usize, message: u32, context: usize) {
        self.state.with(|state| state.running += 1);
        let limit = if sched::chance(4) {
            1 + sched::random_below(8) as u32
        } else {
            NDIS_INDICATE_ALL_NBLS
        };
        let mut throttle = NDIS_RECEIVE_THROTTLE_PARAMETERS::zeroed();
        throttle.MaxNblsToIndicate = limit;
        let before = sched::now();
        callback(Callback::InterruptDpc, self.handle, || {
            call::limit_indications(self.adapter.handle, limit);
            self.call_dpc(message, context, &raw mut throttle);
        });
        let took = sched::now() - before;
        if took > LONG_DPC_NS {
            verifier::advice(201, format!("the DPC of message {message} took {took} ns"));
        }
        self.state.with(|state| state.running -= 1);
        let more = throttle.MoreNblsPending != 0;
        verifier::require(138, !more || limit != NDIS_INDICATE_ALL_NBLS, || {
            format!("the DPC of message {message} leaves NBLs that it was free to indicate")
        });
        if more {
            self.queue_throttled(cpu, message, context);
        }
    }

    /// Queues the DPC that goes on where a throttled one stopped: NDIS throttles so that threads get
    /// the CPU in between, but does not say for how long.
    fn queue_throttled(&'static self, cpu: usize, message: u32, context: usize) {
        if !sched::chance(4) {
            self.queue(cpu, message, context);
            return;
        }
        sched::after(sched::random_below(THROTTLE_NS), move || {
            if self.is_connected() {
                self.queue(cpu, message, context);
            }
        });
    }

    fn call_dpc(
        &'static self,
        message: u32,
        context: usize,
        throttle: *mut NDIS_RECEIVE_THROTTLE_PARAMETERS,
    ) {
        let own = std::ptr::with_exposed_provenance_mut(self.context);
        let context: *mut c_void = std::ptr::with_exposed_provenance_mut(context);
        let (throttle, none) = (throttle.cast(), std::ptr::null_mut());
        match self.source {
            Source::Messages(_) => {
                if let Some(handler) = self.handlers.MessageInterruptDpcHandler {
                    // SAFETY: the driver registered the handler with this context.
                    sched::in_driver(|| unsafe { handler(own, message, context, throttle, none) })
                }
            }
            Source::Line(_) => {
                if let Some(handler) = self.handlers.InterruptDpcHandler {
                    // SAFETY: as above.
                    sched::in_driver(|| unsafe { handler(own, context, throttle, none) })
                }
            }
        }
    }
}
