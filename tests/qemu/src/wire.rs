//! Frames between QEMU and the switch.

use std::collections::VecDeque;
use std::io::ErrorKind;

use anyhow::{Context, Result};
use devices::wire::Frame;

use crate::process::Cable;

/// Frames that are taken in one go.
const BATCH: usize = 256;
/// Longest datagram, and room for what a TAP device has in front of a frame.
const LONGEST: usize = (1 << 16) + 16;
/// What goes wrong with frames of QEMU's.
const RECEIVING: &str = "receiving from QEMU";
/// Frames for the guest that may wait for room in the socket, as behind a TAP device; and while they are
/// held, which is the network's doing.
const BACKLOG: usize = 1000;
const MOST_HELD: usize = 1 << 20;

/// Frames that crossed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireCounters {
    /// To the guest.
    pub to_guest: u64,
    /// From the guest.
    pub from_guest: u64,
    /// For the guest, for which there was no room.
    pub dropped: u64,
    /// For the guest, which a QEMU that the guest has left had not taken.
    pub redelivered: u64,
    /// For the guest, which QEMU had not taken when the card went.
    pub cut: u64,
    /// Reverse ARP requests that QEMU sent in the guest's name; the driver sends none once a protocol has
    /// told it an address. They go no further: where an address is, an SR-IOV NIC knows from its filters,
    /// not from such frames.
    pub announcements: u64,
}

/// EtherType of reverse ARP, and where it is in a frame.
const REVERSE_ARP: [u8; 2] = [0x80, 0x35];
const ETHER_TYPE: std::ops::Range<usize> = 12..14;

/// The host's end of QEMU's cable.
pub struct Wire {
    cable: Cable,
    waiting: VecDeque<Frame>,
    /// Frames for the guest have to wait.
    held: bool,
    /// So many of them waited when they no longer had to.
    released: usize,
    buffer: Vec<u8>,
    counters: WireCounters,
}

impl Wire {
    /// The end of a cable.
    #[must_use]
    pub fn new(cable: Cable) -> Self {
        Self {
            cable,
            waiting: VecDeque::new(),
            held: false,
            released: 0,
            buffer: vec![0; LONGEST],
            counters: WireCounters::default(),
        }
    }

    /// Frames that crossed so far.
    #[must_use]
    pub fn counters(&self) -> WireCounters {
        self.counters
    }

    /// Lets frames for the guest wait, or no longer.
    ///
    /// # Errors
    ///
    /// QEMU is gone; so for all that follows.
    pub fn hold(&mut self, held: bool) -> Result<()> {
        self.held = held;
        self.released = self.waiting.len();
        self.flush()
    }

    /// Whether QEMU has taken all that was sent to it.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn is_taken(&self) -> Result<bool> {
        self.cable.is_taken().context("what QEMU has taken")
    }

    /// A frame for the guest. QEMU takes none while the guest has no buffers, so it may have to wait.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn send(&mut self, frame: Frame) -> Result<()> {
        // Those that were held are still to go.
        let most = if self.held {
            MOST_HELD
        } else {
            self.released + BACKLOG
        };
        if self.waiting.len() < most {
            self.waiting.push_back(frame);
        } else {
            self.counters.dropped += 1;
        }
        self.flush()
    }

    /// Sends frames that wait.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn flush(&mut self) -> Result<()> {
        while let Some(frame) = self.waiting.front()
            && !self.held
        {
            match self.cable.send(frame) {
                Ok(()) => {
                    self.waiting.pop_front();
                    self.counters.to_guest += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("sending to QEMU"),
            }
        }
        Ok(())
    }

    /// Takes frames of the guest.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn receive(&mut self) -> Result<Vec<Frame>> {
        let mut frames = Vec::new();
        while frames.len() < BATCH {
            match self.cable.receive(&mut self.buffer).context(RECEIVING)? {
                Some(frame) if frame.get(ETHER_TYPE) == Some(&REVERSE_ARP) => {
                    self.counters.announcements += 1;
                }
                Some(frame) => frames.push(frame),
                None => break,
            }
        }
        self.counters.from_guest += frames.len() as u64;
        Ok(frames)
    }

    /// The card goes, and with it the frames that it was sent and has not taken.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn cut(&mut self) -> Result<()> {
        let waiting = self.waiting.len() as u64;
        self.waiting.clear();
        let mut sent = 0;
        while self
            .cable
            .take_back(&mut self.buffer)
            .context(RECEIVING)?
            .is_some()
        {
            sent += 1;
        }
        self.counters.to_guest -= sent;
        self.counters.cut += sent + waiting;
        Ok(())
    }

    /// Puts the other end into another machine. Frames that the old one has not taken go first there.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn move_to(&mut self, cable: Cable) -> Result<()> {
        let old = std::mem::replace(&mut self.cable, cable);
        let mut left = Vec::new();
        while let Some(frame) = old.take_back(&mut self.buffer).context(RECEIVING)? {
            left.push(frame);
        }
        self.counters.redelivered += left.len() as u64;
        // They are counted again when they are sent again.
        self.counters.to_guest -= left.len() as u64;
        for frame in left.into_iter().rev() {
            self.waiting.push_front(frame);
        }
        Ok(())
    }
}
