//! A device's end of a port.

use std::sync::Arc;

use super::{Direction, Port, Switch};
use crate::wire::{Frame, PortConfig, PortCounters, source};

/// A device's end of a port. Dropping it removes the port.
pub struct PortHandle {
    pub(super) switch: Arc<Switch>,
    pub(super) id: u64,
}

impl PortHandle {
    /// Sends `frame` towards the switch. It is dropped, and counted, if the port is disabled.
    pub fn send(&self, frame: Frame) {
        let now = self.switch.clock.now_ns();
        {
            let mut state = self.switch.state();
            let Some(port) = state.ports.get_mut(&self.id) else {
                return;
            };
            if !port.is_up() || source(&frame).is_none() {
                port.counters.dropped_in += 1;
                return;
            }
            port.counters.frames_in += 1;
            port.counters.bytes_in += frame.len() as u64;
            port.ingress.push(frame, port.config, now);
        }
        self.switch.schedule(self.id, Direction::Ingress);
    }

    /// Disables or enables the port. Disabling drops what is on the way to the device and
    /// forgets the addresses behind the port; what the device sent before still arrives.
    pub fn set_enabled(&self, enabled: bool) {
        let mut state = self.switch.state();
        if let Some(port) = state.ports.get_mut(&self.id) {
            port.enabled = enabled;
        }
        if !enabled {
            state.cut(self.id);
        }
    }

    /// Whether the port carries frames.
    pub fn is_enabled(&self) -> bool {
        let state = self.switch.state();
        state.ports.get(&self.id).is_some_and(Port::is_up)
    }

    /// Changes the speed for frames from now on; those under way keep theirs.
    pub fn set_config(&self, config: PortConfig) {
        if let Some(port) = self.switch.state().ports.get_mut(&self.id) {
            port.config = config;
        }
    }

    /// Bounds the number of frames on the way to the device; none (`None`) to begin with.
    pub fn set_queue_limit(&self, limit: Option<usize>) {
        if let Some(port) = self.switch.state().ports.get_mut(&self.id) {
            port.queue_limit = limit;
        }
    }

    /// What the port saw so far.
    pub fn counters(&self) -> PortCounters {
        let state = self.switch.state();
        state
            .ports
            .get(&self.id)
            .map_or_else(PortCounters::default, |port| port.counters)
    }

    /// Name of the port.
    pub fn name(&self) -> String {
        let state = self.switch.state();
        state
            .ports
            .get(&self.id)
            .map_or_else(String::new, |port| port.name.clone())
    }

    /// Removes the port: what is on the way to the device is dropped and counted.
    pub fn remove(self) {}
}

impl Drop for PortHandle {
    fn drop(&mut self) {
        let mut state = self.switch.state();
        if let Some(port) = state.ports.get_mut(&self.id) {
            port.removed = true;
        }
        let lost = state.cut(self.id);
        state.counters.dropped_removed += lost;
        let buried = state.bury(self.id);
        drop(state);
        drop(buried);
    }
}
