//! A cable: QEMU's end of it, and the switch's.

use std::fs::File;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use devices::wire::Frame;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

use crate::tap::{self, Tap};

/// Room in a cable, each way, in the kernel's own reckoning of what a frame takes.
const WIRE_BYTES: usize = 4 << 20;

/// A cable between QEMU and the switch.
pub struct Cable {
    /// The switch's end, which never blocks.
    ours: OwnedFd,
    theirs: Theirs,
    /// What QEMU captures of it: a pcap file. It captures nothing of a TAP device, whose queues may be
    /// several.
    pub capture: File,
}

/// QEMU's end, which QEMU has under the same numbers.
enum Theirs {
    /// One datagram is one frame. Frames that QEMU has not taken can be taken back here when it is gone.
    Datagrams(UnixDatagram),
    /// The queues of a TAP device, whose frames the switch has from a packet socket.
    Tap(Arc<Tap>),
}

impl Cable {
    /// A cable of datagrams.
    ///
    /// # Errors
    ///
    /// The system has no more sockets.
    pub(super) fn new() -> anyhow::Result<Self> {
        let (ours, theirs) = UnixDatagram::pair()?;
        make_room(&ours)?;
        make_room(&theirs)?;
        ours.set_nonblocking(true)?;
        Ok(Self {
            ours: ours.into(),
            theirs: Theirs::Datagrams(theirs),
            capture: super::memory_file("capture.pcap")?,
        })
    }

    /// A cable that is a TAP device.
    ///
    /// # Errors
    ///
    /// The system has no more descriptors.
    pub(super) fn over(tap: Arc<Tap>) -> anyhow::Result<Self> {
        Ok(Self {
            ours: tap.socket().try_clone_to_owned()?,
            theirs: Theirs::Tap(tap),
            capture: super::memory_file("capture.pcap")?,
        })
    }

    /// The descriptors of QEMU's end.
    pub(super) fn descriptors(&self) -> Vec<RawFd> {
        match &self.theirs {
            Theirs::Datagrams(socket) => vec![socket.as_raw_fd()],
            Theirs::Tap(tap) => tap.queues().map(|queue| queue.as_raw_fd()).collect(),
        }
    }

    /// Whether it is a TAP device.
    pub(super) fn is_tap(&self) -> bool {
        matches!(self.theirs, Theirs::Tap(_))
    }

    /// Whether QEMU has taken all that was sent to it. What waits in a TAP device can't be told.
    ///
    /// # Errors
    ///
    /// As of the system call.
    pub fn is_taken(&self) -> Result<bool> {
        match &self.theirs {
            Theirs::Datagrams(socket) => Ok(rustix::io::ioctl_fionread(socket)? == 0),
            Theirs::Tap(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Sends a frame to QEMU.
    ///
    /// # Errors
    ///
    /// As of the system call; it would block when there is no room.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let header: &[u8] = if self.is_tap() {
            &tap::PLAIN_HEADER
        } else {
            &[]
        };
        let parts = [IoSlice::new(header), IoSlice::new(frame)];
        let mut nothing = SendAncillaryBuffer::default();
        let sent = rustix::net::sendmsg(&self.ours, &parts, &mut nothing, SendFlags::empty());
        sent.map(drop).map_err(Error::from)
    }

    /// The next frame of QEMU's, if there is one. `buffer` has room for the longest.
    ///
    /// # Errors
    ///
    /// As of the system call; the frame is one that asks for work that nobody here does.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<Frame>> {
        let Some(received) = receive(&self.ours, buffer)? else {
            return Ok(None);
        };
        if self.is_tap() {
            return tap::strip_header(received).map(Some);
        }
        Ok(Some(received.to_vec()))
    }

    /// Takes back a frame that QEMU, which is gone or takes no more, has not taken.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn take_back(&self, buffer: &mut [u8]) -> Result<Option<Frame>> {
        match &self.theirs {
            Theirs::Datagrams(socket) => {
                socket.set_nonblocking(true)?;
                Ok(receive(socket, buffer)?.map(<[u8]>::to_vec))
            }
            Theirs::Tap(_) => Ok(None),
        }
    }
}

/// The next datagram, if there is one.
fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Option<&[u8]>> {
    match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
        Ok((length, _)) => Ok(buffer.get(..length)),
        Err(rustix::io::Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Lets an end of the cable hold more than a whole ring of frames, so that QEMU never has to wait with one.
///
/// After such a wait QEMU (seen with 7.2, `virtio_net_tx_complete`) asks for a doorbell at the place where it
/// waited, then sends what else is in the ring. With packed rings and EVENT_IDX the place is not moved on by
/// that, so no doorbell is due until the ring has come round to it: transmission stands still.
fn make_room(socket: &UnixDatagram) -> anyhow::Result<()> {
    use rustix::net::sockopt::{set_socket_send_buffer_size, set_socket_send_buffer_size_force};
    // Beyond the system's limit if this process may, else up to it.
    if set_socket_send_buffer_size_force(socket, WIRE_BYTES).is_err() {
        set_socket_send_buffer_size(socket, WIRE_BYTES)?;
    }
    Ok(())
}
