//! Frames between QEMU and the switch: each is a datagram.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;

use anyhow::{Context, Result};
use devices::wire::Frame;

/// Frames that are taken in one go.
const BATCH: usize = 256;
/// Longest datagram.
const LONGEST: usize = 1 << 16;
/// Frames for the guest that may wait for room in the socket, as behind a TAP device.
const BACKLOG: usize = 1000;

/// Frames that crossed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireCounters {
    /// To the guest.
    pub to_guest: u64,
    /// From the guest.
    pub from_guest: u64,
    /// For the guest, for which there was no room.
    pub dropped: u64,
}

/// The host's end of QEMU's cable.
pub struct Wire {
    socket: UnixDatagram,
    waiting: VecDeque<Frame>,
    buffer: Vec<u8>,
    counters: WireCounters,
}

impl Wire {
    /// The end of a cable.
    ///
    /// # Errors
    ///
    /// The socket can't be made not to block.
    pub fn new(socket: UnixDatagram) -> Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            waiting: VecDeque::new(),
            buffer: vec![0; LONGEST],
            counters: WireCounters::default(),
        })
    }

    /// Frames that crossed so far.
    #[must_use]
    pub fn counters(&self) -> WireCounters {
        self.counters
    }

    /// A frame for the guest. QEMU takes none while the guest has no buffers, so it may have to wait.
    ///
    /// # Errors
    ///
    /// QEMU is gone; so for all that follows.
    pub fn send(&mut self, frame: Frame) -> Result<()> {
        if self.waiting.len() < BACKLOG {
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
        while let Some(frame) = self.waiting.front() {
            match self.socket.send(frame) {
                Ok(_) => {
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
            match self.socket.recv(&mut self.buffer) {
                Ok(length) => frames.extend(self.buffer.get(..length).map(<[u8]>::to_vec)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("receiving from QEMU"),
            }
        }
        self.counters.from_guest += frames.len() as u64;
        Ok(frames)
    }
}
