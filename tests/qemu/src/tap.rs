//! A TAP device of the kernel's as the cable: QEMU has its queues, and the switch has a packet socket
//! on the network interface.
//!
//! ```text
//!   QEMU --- queues of the TAP device ---> interface <--- packet socket --- switch
//!   12 bytes of header and frame                          10 bytes of header and frame
//! ```
//!
//! What QEMU offers its guest besides frames, checksums and segments and several pairs of queues, it can
//! offer only where the cable has them. The device is in a network namespace of its own, which ends with
//! its last descriptor, so nothing else sends there.

use std::ffi::{c_int, c_short, c_ulong, c_void};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result as IoResult};
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, bail, ensure};
use devices::wire::Frame;

const TUN: &str = "/dev/net/tun";
/// The interface, which is alone in its namespace but for the loopback.
const NAME: &[u8] = b"tap0";
/// Bytes of what the packet socket keeps until it is read.
const ROOM: c_int = 8 << 20;
/// A switch of the kernel's: a network without IPv6 has no frames that nobody asked for.
const NO_IPV6: &str = "/proc/sys/net/ipv6/conf/default/disable_ipv6";

/// `struct virtio_net_hdr`, as the packet socket has it in front of a frame that asks for nothing.
pub const PLAIN_HEADER: [u8; 10] = [0; 10];
/// The bytes of it that ask for a checksum, or for segments.
const FLAGS: usize = 0;
const GSO_TYPE: usize = 1;

/// A TAP device, which is up.
#[derive(Debug)]
pub struct Tap {
    queues: Vec<File>,
    socket: OwnedFd,
}

impl Tap {
    /// Makes a device of so many queues.
    ///
    /// # Errors
    ///
    /// Why there can be none. It takes root, or CAP_SYS_ADMIN and CAP_NET_ADMIN.
    pub fn make(queues: usize) -> Result<Self> {
        // The namespace is that of a thread, and files that are opened there stay in it.
        let made = std::thread::spawn(move || Self::make_here(queues)).join();
        let made = made.unwrap_or_else(|_| bail!("it panicked"));
        made.context("no TAP device: this needs root, and /dev/net/tun")
    }

    fn make_here(queues: usize) -> Result<Self> {
        // SAFETY: the call takes a number.
        check(unsafe { libc::unshare(libc::CLONE_NEWNET) }).context("a network namespace")?;
        match std::fs::write(NO_IPV6, "1") {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).context(NO_IPV6);
            }
            _ => {}
        }
        let queues: Result<Vec<_>> = (0..queues).map(|_| queue(queues > 1)).collect();
        Ok(Self {
            queues: queues?,
            socket: packet_socket()?,
        })
    }

    /// Its queues, for QEMU.
    pub fn queues(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.queues.iter().map(AsFd::as_fd)
    }

    /// The other end, which does not block: each frame has a [`PLAIN_HEADER`] in front, or another one.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Takes the header off a frame.
///
/// # Errors
///
/// The frame is none as it is on a cable: its checksum is not there yet, or it is to become several.
pub fn strip_header(received: &[u8]) -> IoResult<Frame> {
    let Some((header, frame)) = received.split_first_chunk::<{ PLAIN_HEADER.len() }>() else {
        return Err(Error::other("a frame without its header"));
    };
    let asks = [FLAGS, GSO_TYPE].map(|at| header.get(at).copied().unwrap_or_default());
    if asks != [0, 0] {
        let told = format!("a frame that wants work done: {header:02x?}");
        return Err(Error::other(told));
    }
    Ok(frame.to_vec())
}

/// Opens a queue of the device, which is made with the first.
fn queue(is_one_of_several: bool) -> Result<File> {
    const TUNSETIFF: c_ulong = 0x4004_54ca;
    let file = OpenOptions::new().read(true).write(true).open(TUN);
    let file = file.context(TUN)?;
    let mut flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    if is_one_of_several {
        flags |= libc::IFF_MULTI_QUEUE;
    }
    let mut request = request(flags as c_short);
    // SAFETY: TUNSETIFF takes an `ifreq`, reads its name and flags, and writes its name.
    check(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) })
        .context("TUNSETIFF")?;
    Ok(file)
}

/// A socket that has what crosses the interface, which it turns on.
fn packet_socket() -> Result<OwnedFd> {
    const ALL: u16 = (libc::ETH_P_ALL as u16).to_be();
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes numbers.
    let socket = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    check(socket).context("a packet socket")?;
    // SAFETY: it has just been made, and is nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    for (level, option, value) in [
        (libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, ROOM),
        (libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, ROOM),
        (libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1),
        // What this socket sends is no news to it.
        (libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1),
    ] {
        set_option(&socket, level, option, value).with_context(|| format!("option {option}"))?;
    }

    let mut up = request((libc::IFF_UP | libc::IFF_RUNNING) as c_short);
    // SAFETY: SIOCSIFFLAGS reads an `ifreq`.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut up) })
        .context("SIOCSIFFLAGS")?;
    // SAFETY: the name ends with a zero.
    let index = unsafe { libc::if_nametoindex(up.ifr_name.as_ptr()) };
    ensure!(index != 0, "the interface has no number");
    // SAFETY: all zeroes are an address.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = ALL;
    address.sll_ifindex = c_int::try_from(index)?;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is one of a packet socket, and as long as is said.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })
        .context("bind")?;
    Ok(socket)
}

/// A request about the interface.
fn request(flags: c_short) -> libc::ifreq {
    // SAFETY: all zeroes are an `ifreq`.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(NAME) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = flags;
    request
}

fn set_option(socket: &OwnedFd, level: c_int, option: c_int, value: c_int) -> IoResult<()> {
    let length = size_of::<c_int>() as libc::socklen_t;
    let value: *const c_void = (&raw const value).cast();
    // SAFETY: the option is a number, and as long as is said.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, length) })
}

fn check(answer: c_int) -> IoResult<()> {
    if answer < 0 {
        return Err(Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_wants_no_work_loses_its_header_and_others_are_errors() {
        let mut received = PLAIN_HEADER.to_vec();
        received.extend([1, 2, 3]);
        assert_eq!(strip_header(&received).unwrap(), [1, 2, 3]);
        for at in [FLAGS, GSO_TYPE] {
            let mut asking = received.clone();
            asking[at] = 1;
            assert!(strip_header(&asking).is_err());
        }
        assert!(strip_header(&received[..9]).is_err());
    }
}
