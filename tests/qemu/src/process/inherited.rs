//! What QEMU inherits: descriptors, under the numbers that they have here.

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::FdFlags;
use rustix::process::Signal;

use super::cable::Cable;

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
    /// One for each queue of a TAP device.
    pub(super) wires: Vec<RawFd>,
    pub(super) is_tap: bool,
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
            wires: cable.descriptors(),
            is_tap: cable.is_tap(),
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
        for cable in &self.cables {
            descriptors.extend(&cable.wires);
            descriptors.push(cable.capture);
        }
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
