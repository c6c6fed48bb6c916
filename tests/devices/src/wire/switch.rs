//! A learning switch.
//!
//! ```text
//!             ingress: bandwidth, latency          egress: bandwidth, latency
//!  port.send() ------------------------> learn, look up -----------------------> sink
//! ```
//!
//! A frame is learned from and looked up when it reaches the switch, not when it is sent; a port
//! that is taken away therefore loses what is on the way *to* it, and nothing else. Both ways of
//! a port are first in, first out.

mod line;
mod port;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Clock, Frame, MacAddress, Sink, destination, is_group, source};
use line::Line;

pub use line::PortConfig;
pub use port::PortHandle;

/// What one port saw.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PortCounters {
    /// Frames that the device sent into the port.
    pub frames_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Frames handed to the device.
    pub frames_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Frames that the device sent while the port was disabled or removed, or that are no frames.
    pub dropped_in: u64,
    /// Frames on the way to the device when the port was disabled or removed, or that met a full
    /// queue.
    pub dropped_out: u64,
}

/// What the switch as a whole did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SwitchCounters {
    /// Frames forwarded to the one port that leads to their destination.
    pub forwarded: u64,
    /// Frames flooded: group addresses and unknown destinations.
    pub flooded: u64,
    /// Frames flooded when no other port was up: they reached nobody.
    pub nowhere: u64,
    /// Frames whose destination is on the port they came from.
    pub filtered: u64,
    /// Addresses that were learned anew, moves included.
    pub learned: u64,
    /// Addresses that moved from one port to another.
    pub moved: u64,
    /// Frames dropped on their way to ports that are removed.
    pub dropped_removed: u64,
}

/// A learning switch; ports come and go while frames are under way.
pub struct Switch {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ports: BTreeMap<u64, Port>,
    next_port: u64,
    table: BTreeMap<MacAddress, Learned>,
    aging_ns: Option<u64>,
    counters: SwitchCounters,
}

#[derive(Clone, Copy)]
struct Learned {
    port: u64,
    seen_ns: u64,
}

struct Port {
    name: String,
    config: PortConfig,
    enabled: bool,
    queue_limit: Option<usize>,
    ingress: Line,
    egress: Line,
    sink: Arc<Mutex<Sink>>,
    counters: PortCounters,
    /// The handle is gone; the entry lives on until its ingress line is empty.
    removed: bool,
}

#[derive(Clone, Copy)]
enum Direction {
    Ingress,
    Egress,
}

impl Switch {
    /// A switch without ports.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            state: Mutex::default(),
        })
    }

    /// Adds a port. `sink` gets what arrives at the device; it may send from within.
    pub fn add_port(self: &Arc<Self>, name: &str, config: PortConfig, sink: Sink) -> PortHandle {
        let mut state = self.state();
        let id = state.next_port;
        state.next_port += 1;
        state.ports.insert(
            id,
            Port {
                name: name.to_owned(),
                config,
                enabled: true,
                queue_limit: None,
                ingress: Line::default(),
                egress: Line::default(),
                sink: Arc::new(Mutex::new(sink)),
                counters: PortCounters::default(),
                removed: false,
            },
        );
        PortHandle {
            switch: Arc::clone(self),
            id,
        }
    }

    /// Forgets addresses that were silent for `after_ns`. Off (`None`) to begin with.
    pub fn set_aging(&self, after_ns: Option<u64>) {
        self.state().aging_ns = after_ns;
    }

    /// Name of the port behind which `mac` was seen last.
    pub fn lookup(&self, mac: &MacAddress) -> Option<String> {
        let now = self.clock.now_ns();
        let state = self.state();
        let port = state.port_of(mac, now)?;
        state.ports.get(&port).map(|port| port.name.clone())
    }

    /// What the switch did so far.
    pub fn counters(&self) -> SwitchCounters {
        self.state().counters
    }

    /// Asks the clock for the next arrival on a line, unless that is asked for already.
    fn schedule(self: &Arc<Self>, id: u64, direction: Direction) {
        let due = {
            let mut state = self.state();
            let Some(port) = state.ports.get_mut(&id) else {
                return;
            };
            port.line(direction).next_event()
        };
        let Some(due) = due else { return };

        // The clock may outlive the wire; its events do not keep the switch alive.
        let switch: Weak<Self> = Arc::downgrade(self);
        let event = move || {
            if let Some(switch) = switch.upgrade() {
                switch.arrivals(id, direction);
            }
        };
        self.clock.at(due, Box::new(event));
    }

    fn arrivals(self: &Arc<Self>, id: u64, direction: Direction) {
        let now = self.clock.now_ns();
        if let Some(port) = self.state().ports.get_mut(&id) {
            port.line(direction).event_came(now);
        }
        match direction {
            Direction::Ingress => self.forward_due(id),
            Direction::Egress => self.deliver_due(id),
        }
        self.schedule(id, direction);
    }

    fn forward_due(self: &Arc<Self>, id: u64) {
        let now = self.clock.now_ns();
        let mut to = Vec::new();
        let buried = {
            let mut state = self.state();
            while let Some(frame) = state.pop_due(id, Direction::Ingress, now) {
                to.extend(state.forward(id, frame, now));
            }
            state.bury(id)
        };
        drop(buried);

        to.sort_unstable();
        to.dedup();
        for port in to {
            self.schedule(port, Direction::Egress);
        }
    }

    fn deliver_due(&self, id: u64) {
        let now = self.clock.now_ns();
        loop {
            let (frame, sink) = {
                let mut state = self.state();
                let Some(frame) = state.pop_due(id, Direction::Egress, now) else {
                    return;
                };
                let Some(port) = state.ports.get_mut(&id) else {
                    return;
                };
                port.counters.frames_out += 1;
                port.counters.bytes_out += frame.len() as u64;
                (frame, Arc::clone(&port.sink))
            };
            let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
            (sink)(frame);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pop_due(&mut self, id: u64, direction: Direction, now_ns: u64) -> Option<Frame> {
        self.ports.get_mut(&id)?.line(direction).pop_due(now_ns)
    }

    fn port_of(&self, mac: &MacAddress, now_ns: u64) -> Option<u64> {
        let learned = self.table.get(mac)?;
        let age = now_ns.saturating_sub(learned.seen_ns);
        let stale = self.aging_ns.is_some_and(|limit| age >= limit);
        (!stale).then_some(learned.port)
    }

    /// Puts `frame` on the lines it belongs on and returns their ports.
    fn forward(&mut self, from: u64, frame: Frame, now_ns: u64) -> Vec<u64> {
        let (Some(to), Some(by)) = (destination(&frame), source(&frame)) else {
            return Vec::new();
        };
        self.learn(from, by, now_ns);

        let known = if is_group(&to) {
            None
        } else {
            self.port_of(&to, now_ns)
        };
        match known {
            Some(port) if port == from => {
                self.counters.filtered += 1;
                Vec::new()
            }
            Some(port) => {
                self.counters.forwarded += 1;
                self.enqueue(port, frame, now_ns);
                vec![port]
            }
            None => self.flood(from, &frame, now_ns),
        }
    }

    fn learn(&mut self, port: u64, mac: MacAddress, now_ns: u64) {
        // Frames that were under way when their port went away teach nothing: the address may
        // have moved on already.
        let is_live = self
            .ports
            .get(&port)
            .is_some_and(|port| port.enabled && !port.removed);
        if is_group(&mac) || !is_live {
            return;
        }
        let seen = Learned {
            port,
            seen_ns: now_ns,
        };
        match self.table.insert(mac, seen) {
            None => self.counters.learned += 1,
            Some(old) if old.port != port => {
                self.counters.learned += 1;
                self.counters.moved += 1;
            }
            Some(_) => {}
        }
    }

    fn flood(&mut self, from: u64, frame: &Frame, now_ns: u64) -> Vec<u64> {
        self.counters.flooded += 1;
        let others = self
            .ports
            .iter()
            .filter(|(id, port)| **id != from && port.is_up());
        let to: Vec<u64> = others.map(|(id, _)| *id).collect();
        self.counters.nowhere += u64::from(to.is_empty());
        for port in &to {
            self.enqueue(*port, frame.clone(), now_ns);
        }
        to
    }

    fn enqueue(&mut self, to: u64, frame: Frame, now_ns: u64) {
        let Some(port) = self.ports.get_mut(&to) else {
            self.counters.dropped_removed += 1;
            return;
        };
        let full = port
            .queue_limit
            .is_some_and(|limit| port.egress.frames.len() >= limit);
        if full || !port.is_up() {
            port.counters.dropped_out += 1;
        } else {
            port.egress.push(frame, port.config, now_ns);
        }
    }

    /// Drops what is on the way to a port and forgets the addresses behind it.
    fn cut(&mut self, id: u64) -> u64 {
        self.table.retain(|_, learned| learned.port != id);
        let Some(port) = self.ports.get_mut(&id) else {
            return 0;
        };
        let lost = port.egress.clear();
        port.counters.dropped_out += lost;
        lost
    }

    /// Ends a removed port once the last frame from it was forwarded. The port is handed out
    /// because its sink may own handles of this switch, which must not be dropped under its lock.
    #[must_use]
    fn bury(&mut self, id: u64) -> Option<Port> {
        let port = self.ports.get(&id)?;
        let done = port.removed && port.ingress.frames.is_empty();
        if done { self.ports.remove(&id) } else { None }
    }
}

impl Port {
    fn line(&mut self, direction: Direction) -> &mut Line {
        match direction {
            Direction::Ingress => &mut self.ingress,
            Direction::Egress => &mut self.egress,
        }
    }

    fn is_up(&self) -> bool {
        self.enabled && !self.removed
    }
}

#[cfg(test)]
mod tests;
