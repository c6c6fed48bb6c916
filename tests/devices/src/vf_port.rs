//! The hardware below a virtual function's miniport: an ordinary NIC with an address, a receive
//! filter and two queues. It needs no PCI; the miniport drives it directly.
//!
//! ```text
//!  miniport -- transmit --> | tx queue | --(delay)--> wire, then completed(cookies)
//!  miniport <-- receive --- | rx queue | <-- filter <-- wire, with received() as the interrupt
//! ```
//!
//! Callbacks come from the wire's and the clock's events, never from within a call of the
//! miniport's.

mod filter;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use crate::wire::{Clock, Frame, MacAddress, PortHandle, Sink, destination};

pub use filter::ReceiveFilter;

/// Ethernet's least frame, without check sequence; hardware pads up to it.
const LEAST_FRAME: usize = 60;

/// What a function is made with.
#[derive(Clone, Copy, Debug)]
pub struct VfConfig {
    /// Hardware address.
    pub mac: MacAddress,
    /// Received frames that may wait for the miniport.
    pub rx_queue: usize,
    /// Frames that may wait to be sent.
    pub tx_queue: usize,
    /// Time from the miniport's call until a frame is on the wire and complete.
    pub tx_delay_ns: u64,
    /// Whether the link is up from the start.
    pub link_up: bool,
}

impl VfConfig {
    /// Queues of 512 frames, 2 us to send, link up.
    pub fn new(mac: MacAddress) -> Self {
        Self {
            mac,
            rx_queue: 512,
            tx_queue: 512,
            tx_delay_ns: 2_000,
            link_up: true,
        }
    }
}

/// The miniport's handlers; called without locks held, so they may call back in.
pub trait VfEvents: Send {
    /// Frames were sent, or dropped on the way; their buffers are the miniport's again.
    fn completed(&mut self, cookies: &[u64]);

    /// The rx queue was empty and is no more. Comes once until the queue was emptied again.
    fn received(&mut self);

    /// The link changed.
    fn link_changed(&mut self, up: bool);
}

/// Why a frame was not taken; it comes back.
#[derive(Debug, Error)]
pub enum TransmitError {
    /// The queue is full.
    #[error("the transmit queue is full")]
    Full(Frame),
    /// The function is gone.
    #[error("the function is gone")]
    Gone(Frame),
}

/// What was in flight when the function went away.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Withdrawn {
    /// Cookies that will never complete.
    pub transmits: Vec<u64>,
    /// Received frames that nobody fetched.
    pub received: usize,
}

/// Counts since the function was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct VfCounters {
    /// Frames put on the wire.
    pub tx_frames: u64,
    /// Their bytes, padding left out.
    pub tx_bytes: u64,
    /// Frames that were accepted and not put on the wire: link down or no wire.
    pub tx_dropped: u64,
    /// Frames refused since the queue was full.
    pub tx_refused: u64,
    /// Frames fetched by the miniport.
    pub rx_frames: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames that the filter kept out.
    pub rx_filtered: u64,
    /// Frames that met a full queue.
    pub rx_overflow: u64,
    /// Frames that came while the link was down or the function gone.
    pub rx_dropped: u64,
    /// Frames in the queues when the function went away.
    pub lost_in_withdrawal: u64,
}

/// The hardware. Clones mean the same function.
#[derive(Clone)]
pub struct VfHardware {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    port: Mutex<Option<PortHandle>>,
    events: Mutex<Option<Arc<Mutex<dyn VfEvents>>>>,
}

struct State {
    config: VfConfig,
    filter: ReceiveFilter,
    link_up: bool,
    gone: bool,
    tx: VecDeque<Transmit>,
    rx: VecDeque<Frame>,
    /// `received` was called and the queue was not empty since.
    announced: bool,
    counters: VfCounters,
}

struct Transmit {
    done_ns: u64,
    frame: Frame,
    cookie: u64,
}

impl VfHardware {
    /// A function without wire and miniport.
    pub fn new(clock: Arc<dyn Clock>, config: VfConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock,
                state: Mutex::new(State {
                    link_up: config.link_up,
                    config,
                    filter: ReceiveFilter::default(),
                    gone: false,
                    tx: VecDeque::new(),
                    rx: VecDeque::new(),
                    announced: false,
                    counters: VfCounters::default(),
                }),
                port: Mutex::new(None),
                events: Mutex::new(None),
            }),
        }
    }

    /// What a switch port delivers to.
    pub fn wire_sink(&self) -> Sink {
        let shared = Arc::downgrade(&self.shared);
        Box::new(move |frame| {
            if let Some(shared) = shared.upgrade() {
                shared.frame_arrived(frame);
            }
        })
    }

    /// Plugs the function into `port`.
    pub fn connect(&self, port: PortHandle) {
        *lock(&self.shared.port) = Some(port);
    }

    /// Pulls the wire and returns the port.
    pub fn disconnect(&self) -> Option<PortHandle> {
        lock(&self.shared.port).take()
    }

    /// Lets `body` at the port the function is plugged into.
    pub fn with_port<R>(&self, body: impl FnOnce(&PortHandle) -> R) -> Option<R> {
        lock(&self.shared.port).as_ref().map(body)
    }

    /// Sets the miniport's handlers, or takes them away.
    pub fn set_events(&self, events: Option<Arc<Mutex<dyn VfEvents>>>) {
        *lock(&self.shared.events) = events;
    }

    /// Hardware address.
    pub fn mac(&self) -> MacAddress {
        self.shared.state().config.mac
    }

    /// Whether the link is up.
    pub fn link_up(&self) -> bool {
        self.shared.state().link_up
    }

    /// Moves the link up or down. While it is down, frames are completed and dropped.
    pub fn set_link(&self, up: bool) {
        let changed = {
            let mut state = self.shared.state();
            !state.gone && std::mem::replace(&mut state.link_up, up) != up
        };
        if changed {
            self.shared.notify(|events| events.link_changed(up));
        }
    }

    /// Sets the receive filter.
    pub fn set_filter(&self, filter: ReceiveFilter) {
        self.shared.state().filter = filter;
    }

    /// The receive filter.
    pub fn filter(&self) -> ReceiveFilter {
        self.shared.state().filter.clone()
    }

    /// Takes a frame to send; `cookie` comes back in [`VfEvents::completed`].
    ///
    /// # Errors
    ///
    /// If the queue is full or the function gone; the frame is in the error.
    pub fn transmit(&self, frame: Frame, cookie: u64) -> Result<(), TransmitError> {
        let done_ns = {
            let mut state = self.shared.state();
            if state.gone {
                return Err(TransmitError::Gone(frame));
            }
            if state.tx.len() >= state.config.tx_queue {
                state.counters.tx_refused += 1;
                return Err(TransmitError::Full(frame));
            }
            let done_ns = self.shared.clock.now_ns() + state.config.tx_delay_ns;
            state.tx.push_back(Transmit {
                done_ns,
                frame,
                cookie,
            });
            done_ns
        };
        let shared = Arc::downgrade(&self.shared);
        let event = move || {
            if let Some(shared) = shared.upgrade() {
                shared.transmits_due();
            }
        };
        self.shared.clock.at(done_ns, Box::new(event));
        Ok(())
    }

    /// Frames that wait to be sent.
    pub fn transmits_pending(&self) -> usize {
        self.shared.state().tx.len()
    }

    /// Fetches a received frame.
    pub fn receive(&self) -> Option<Frame> {
        let mut state = self.shared.state();
        let frame = state.rx.pop_front();
        match &frame {
            Some(frame) => {
                state.counters.rx_frames += 1;
                state.counters.rx_bytes += frame.len() as u64;
            }
            None => state.announced = false,
        }
        frame
    }

    /// The function goes away at once: everything in flight is lost and no callback comes any
    /// more. The port is let go too.
    pub fn withdraw(&self) -> Withdrawn {
        let port = self.disconnect();
        drop(port);
        self.set_events(None);

        let mut state = self.shared.state();
        state.gone = true;
        state.link_up = false;
        let transmits: Vec<u64> = state.tx.drain(..).map(|transmit| transmit.cookie).collect();
        let received = state.rx.drain(..).count();
        state.counters.lost_in_withdrawal += (transmits.len() + received) as u64;
        Withdrawn {
            transmits,
            received,
        }
    }

    /// Whether the function went away.
    pub fn is_gone(&self) -> bool {
        self.shared.state().gone
    }

    /// Counts so far.
    pub fn counters(&self) -> VfCounters {
        self.shared.state().counters
    }
}

impl Shared {
    fn frame_arrived(&self, frame: Frame) {
        let announce = self.state().take_frame(frame);
        if announce {
            self.notify(|events| events.received());
        }
    }

    /// Sends what is due, then completes it in one call.
    fn transmits_due(&self) {
        let now = self.clock.now_ns();
        let (due, link_up) = {
            let mut state = self.state();
            let count = state
                .tx
                .iter()
                .take_while(|transmit| transmit.done_ns <= now)
                .count();
            (state.tx.drain(..count).collect::<Vec<_>>(), state.link_up)
        };
        if due.is_empty() {
            return;
        }

        let mut cookies = Vec::with_capacity(due.len());
        for transmit in due {
            cookies.push(transmit.cookie);
            self.put_on_wire(transmit.frame, link_up);
        }
        self.notify(|events| events.completed(&cookies));
    }

    fn put_on_wire(&self, mut frame: Frame, link_up: bool) {
        let len = frame.len() as u64;
        let sent = {
            let port = lock(&self.port);
            match port.as_ref().filter(|_| link_up) {
                Some(port) => {
                    frame.resize(frame.len().max(LEAST_FRAME), 0);
                    port.send(frame);
                    true
                }
                None => false,
            }
        };
        let counters = &mut self.state().counters;
        if sent {
            counters.tx_frames += 1;
            counters.tx_bytes += len;
        } else {
            counters.tx_dropped += 1;
        }
    }

    fn notify(&self, call: impl FnOnce(&mut dyn VfEvents)) {
        let events = lock(&self.events).clone();
        if let Some(events) = events {
            call(&mut *lock(&events));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Queues a frame from the wire. Returns whether the miniport has to be told.
    fn take_frame(&mut self, frame: Frame) -> bool {
        let Some(to) = destination(&frame) else {
            return false;
        };
        if self.gone || !self.link_up {
            self.counters.rx_dropped += 1;
            return false;
        }
        if !self.filter.takes(&to, &self.config.mac) {
            self.counters.rx_filtered += 1;
            return false;
        }
        if self.rx.len() >= self.config.rx_queue {
            self.counters.rx_overflow += 1;
            return false;
        }
        self.rx.push_back(frame);
        !std::mem::replace(&mut self.announced, true)
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
