//! The queues between smoltcp and the adapter.

use std::collections::VecDeque;

use devices::wire::{Frame, FrameIo};

/// Frames that came in, frames to go out. The pump fills and empties it around a poll.
pub struct AdapterIo {
    mtu: usize,
    pub(super) inbox: VecDeque<Frame>,
    pub(super) outbox: Vec<Frame>,
    /// How many frames may go out in this poll.
    pub(super) room: usize,
}

impl AdapterIo {
    pub(super) fn new(mtu: usize) -> Self {
        Self {
            mtu,
            inbox: VecDeque::new(),
            outbox: Vec::new(),
            room: 0,
        }
    }

    /// Changes the MTU; [`Stack::renew`](devices::wire::Stack::renew) follows.
    pub fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu;
    }
}

impl FrameIo for AdapterIo {
    /// A frame may want an answer at once, so none comes in while none can go out.
    fn receive(&mut self) -> Option<Frame> {
        if self.has_room() {
            self.inbox.pop_front()
        } else {
            None
        }
    }

    fn transmit(&mut self, frame: Frame) -> bool {
        let taken = self.has_room();
        if taken {
            self.outbox.push(frame);
        }
        taken
    }

    fn has_room(&self) -> bool {
        self.outbox.len() < self.room
    }

    fn mtu(&self) -> usize {
        self.mtu
    }
}
