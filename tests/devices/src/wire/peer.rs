//! A TCP/IP host at a switch port, driven by the clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::stack::{FrameIo, Stack, StackConfig};
use super::{Clock, Frame, PortConfig, PortHandle, Switch};

/// Ethernet's least frame, without check sequence; hosts pad up to it.
const LEAST_FRAME: usize = 60;

/// A host. It lives as long as its `Peer`.
pub struct Peer {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    port: Mutex<Option<PortHandle>>,
}

struct State {
    stack: Stack<PortIo>,
    /// Time of the earliest poll that was asked for.
    armed_ns: Option<u64>,
}

/// Queues between a host and its port.
pub struct PortIo {
    inbox: VecDeque<Frame>,
    outbox: Vec<Frame>,
    mtu: usize,
}

impl PortIo {
    /// Changes the MTU; [`Stack::renew`] follows.
    pub fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu;
    }
}

impl FrameIo for PortIo {
    fn receive(&mut self) -> Option<Frame> {
        self.inbox.pop_front()
    }

    fn transmit(&mut self, mut frame: Frame) -> bool {
        frame.resize(frame.len().max(LEAST_FRAME), 0);
        self.outbox.push(frame);
        true
    }

    fn mtu(&self) -> usize {
        self.mtu
    }
}

impl Peer {
    /// A host with an MTU of 1500 at a new port of `switch`.
    pub fn new(
        clock: Arc<dyn Clock>,
        switch: &Arc<Switch>,
        name: &str,
        port: PortConfig,
        config: StackConfig,
    ) -> Self {
        Self::with_mtu(clock, switch, name, port, config, 1500)
    }

    /// A host at a new port of `switch`.
    pub fn with_mtu(
        clock: Arc<dyn Clock>,
        switch: &Arc<Switch>,
        name: &str,
        port: PortConfig,
        config: StackConfig,
        mtu: usize,
    ) -> Self {
        let io = PortIo {
            inbox: VecDeque::new(),
            outbox: Vec::new(),
            mtu,
        };
        let now = clock.now_ns();
        let shared = Arc::new(Shared {
            clock,
            state: Mutex::new(State {
                stack: Stack::new(io, config, now),
                armed_ns: None,
            }),
            port: Mutex::new(None),
        });

        let weak = Arc::downgrade(&shared);
        let sink = move |frame| {
            if let Some(shared) = weak.upgrade() {
                shared.frame_arrived(frame);
            }
        };
        *lock(&shared.port) = Some(switch.add_port(name, port, Box::new(sink)));
        Self { shared }
    }

    /// Lets `body` at the host's stack (and tells it the time), then has the stack polled. To
    /// look only, use [`Peer::inspect`].
    pub fn with<R>(&self, body: impl FnOnce(&mut Stack<PortIo>, u64) -> R) -> R {
        let now = self.shared.clock.now_ns();
        let result = body(&mut self.shared.state().stack, now);
        self.shared.arm(now);
        result
    }

    /// Lets `body` look at the host's stack. Asks for no poll, so it may be called at will.
    pub fn inspect<R>(&self, body: impl FnOnce(&Stack<PortIo>) -> R) -> R {
        body(&self.shared.state().stack)
    }

    /// Lets `body` at the port.
    pub fn with_port<R>(&self, body: impl FnOnce(&PortHandle) -> R) -> Option<R> {
        lock(&self.shared.port).as_ref().map(body)
    }
}

impl Shared {
    fn frame_arrived(self: &Arc<Self>, frame: Frame) {
        self.state().stack.io_mut().inbox.push_back(frame);
        // One poll takes in everything that arrives at this instant.
        self.arm(self.clock.now_ns());
    }

    /// Asks for a poll at `due_ns`, unless one comes as early as that.
    fn arm(self: &Arc<Self>, due_ns: u64) {
        {
            let mut state = self.state();
            if state.armed_ns.is_some_and(|armed| armed <= due_ns) {
                return;
            }
            state.armed_ns = Some(due_ns);
        }
        let weak: Weak<Self> = Arc::downgrade(self);
        let event = move || {
            if let Some(shared) = weak.upgrade() {
                shared.poll();
            }
        };
        self.clock.at(due_ns, Box::new(event));
    }

    fn poll(self: &Arc<Self>) {
        let now = self.clock.now_ns();
        let (frames, next) = {
            let mut state = self.state();
            if state.armed_ns.is_some_and(|armed| armed <= now) {
                state.armed_ns = None;
            }
            state.stack.poll(now);
            let frames = std::mem::take(&mut state.stack.io_mut().outbox);
            (frames, state.stack.poll_at(now))
        };
        self.send(frames);
        if let Some(next) = next {
            // The stack has done all it can do now; it counts microseconds.
            self.arm(next.max(now + 1_000));
        }
    }

    fn send(&self, frames: Vec<Frame>) {
        if let Some(port) = lock(&self.port).as_ref() {
            frames.into_iter().for_each(|frame| port.send(frame));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
