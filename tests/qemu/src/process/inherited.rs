//! What QEMU inherits: descriptors, under the numbers that they have here.

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Result;
use rustix::io::FdFlags;
use rustix::process::Signal;

/// Room in a cable, each way, in the kernel's own reckoning of what a frame takes.
const WIRE_BYTES: usize = 4 << 20;

/// A cable between QEMU and the switch: one datagram is one frame.
pub struct Cable {
    /// The switch's end.
    pub ours: UnixDatagram,
    /// QEMU's end, which QEMU has under the same number. Frames that it has not taken can be taken back
    /// here when it is gone.
    pub theirs: UnixDatagram,
    /// What QEMU captures of it: a pcap file.
    pub capture: File,
}

impl Cable {
    pub(super) fn new() -> Result<Self> {
        let (ours, theirs) = UnixDatagram::pair()?;
        make_room(&ours)?;
        make_room(&theirs)?;
        Ok(Self {
            ours,
            theirs,
            capture: super::memory_file("capture.pcap")?,
        })
    }
}

/// Lets an end of the cable hold more than a whole ring of frames, so that QEMU never has to wait with one.
///
/// After such a wait QEMU (seen with 7.2, `virtio_net_tx_complete`) asks for a doorbell at the place where it
/// waited, then sends what else is in the ring. With packed rings and EVENT_IDX the place is not moved on by
/// that, so no doorbell is due until the ring has come round to it: transmission stands still.
fn make_room(socket: &UnixDatagram) -> Result<()> {
    use rustix::net::sockopt::{set_socket_send_buffer_size, set_socket_send_buffer_size_force};
    // Beyond the system's limit if this process may, else up to it.
    if set_socket_send_buffer_size_force(socket, WIRE_BYTES).is_err() {
        set_socket_send_buffer_size(socket, WIRE_BYTES)?;
    }
    Ok(())
}

/// The descriptors.
pub(super) struct Inherited {
    pub(super) memory: RawFd,
    pub(super) rom: RawFd,
    pub(super) qtest: RawFd,
    pub(super) monitor: RawFd,
    pub(super) cables: Vec<InheritedCable>,
}

/// Those of a cable.
pub(super) struct InheritedCable {
    pub(super) wire: RawFd,
    pub(super) capture: RawFd,
}

impl Inherited {
    pub(super) fn new(
        memory: &File,
        rom: &File,
        qtest: &UnixStream,
        monitor: &UnixStream,
        cables: &[Cable],
    ) -> Self {
        let cables = cables.iter().map(|cable| InheritedCable {
            wire: cable.theirs.as_raw_fd(),
            capture: cable.capture.as_raw_fd(),
        });
        Self {
            memory: memory.as_raw_fd(),
            rom: rom.as_raw_fd(),
            qtest: qtest.as_raw_fd(),
            monitor: monitor.as_raw_fd(),
            cables: cables.collect(),
        }
    }

    /// Leaves the descriptors open in the process that `command` starts, and ties its life to that of
    /// the calling thread.
    pub(super) fn pass_to(&self, command: &mut Command) {
        let mut descriptors = vec![self.memory, self.rom, self.qtest, self.monitor];
        let of_cables = self.cables.iter();
        descriptors.extend(of_cables.flat_map(|cable| [cable.wire, cable.capture]));
        let parent = rustix::process::getpid();
        let prepare = move || {
            for descriptor in &descriptors {
                // SAFETY: the caller of `pass_to` keeps them open until the process has started.
                let descriptor = unsafe { BorrowedFd::borrow_raw(*descriptor) };
                rustix::io::fcntl_setfd(descriptor, FdFlags::empty())?;
            }
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before that.
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                Err(std::io::ErrorKind::NotConnected.into())
            }
        };
        // SAFETY: between fork and exec it makes system calls only, and allocates nothing.
        unsafe { command.pre_exec(prepare) };
    }
}
