//! What leaves the device, delivered only after the device's own state was let go.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::DeviceEvent;
use crate::pci::MsixMessage;
use crate::wire::Frame;

/// Takes the events of a device; may call back into its control.
pub type EventSink = Box<dyn FnMut(DeviceEvent) + Send>;

/// What a timer is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Timer {
    /// The answer that the control queue holds back.
    Control,
    /// The interrupt of a queue, by its index.
    Interrupt(usize),
}

/// What the core wants done outside.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) frames: Vec<Frame>,
    pub(super) messages: Vec<MsixMessage>,
    pub(super) events: Vec<DeviceEvent>,
    /// Timers to start, with the nanoseconds that they run.
    pub(super) timers: Vec<(u64, Timer)>,
    pub(super) wake: bool,
    /// The interrupt pin, if it changed.
    pub(super) line: Option<bool>,
}

/// Events on their way to the sink. One that comes up while the sink runs waits for it to return.
pub(super) struct EventQueue(Mutex<EventState>);

struct EventState {
    waiting: VecDeque<DeviceEvent>,
    /// Taken out while it runs.
    sink: Option<EventSink>,
}

impl EventQueue {
    pub(super) fn new(sink: EventSink) -> Self {
        Self(Mutex::new(EventState {
            waiting: VecDeque::new(),
            sink: Some(sink),
        }))
    }

    pub(super) fn deliver(&self, events: Vec<DeviceEvent>) {
        if events.is_empty() {
            return;
        }
        let taken = {
            let mut state = self.state();
            state.waiting.extend(events);
            state.sink.take()
        };
        let Some(mut sink) = taken else { return };
        while let Some(event) = self.next_or_put_back(&mut sink) {
            sink(event);
        }
    }

    /// The next event; if there is none, `sink` goes back to its place.
    fn next_or_put_back(&self, sink: &mut EventSink) -> Option<DeviceEvent> {
        let mut state = self.state();
        let event = state.waiting.pop_front();
        if event.is_none() {
            state.sink = Some(std::mem::replace(sink, Box::new(|_| ())));
        }
        event
    }

    fn state(&self) -> std::sync::MutexGuard<'_, EventState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
