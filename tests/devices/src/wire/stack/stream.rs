//! A TCP connection with a plan: what to send, what to expect, and the digests of both.

use std::io::{ErrorKind, Read};
use std::net::Ipv4Addr;

use sha2::{Digest, Sha256};
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Duration;

use super::StackConfig;

/// Where bytes to send come from. A read that fails with [`ErrorKind::WouldBlock`] means that there
/// is nothing to send yet; the owner of the stack polls it when there may be.
pub type ByteSource = Box<dyn Read + Send>;

/// What an end of a connection does.
pub enum StreamPlan {
    /// Sends back what comes, and closes when the other end does.
    Echo,
    /// Takes what comes until the other end closes.
    Sink,
    /// Sends `send` bytes of `source` and closes its half; takes what comes, which has to be
    /// `receive` bytes.
    Exchange {
        /// Has at least `send` bytes.
        source: ByteSource,
        /// Bytes to send.
        send: u64,
        /// Bytes to expect.
        receive: u64,
    },
}

/// How far a connection is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum StreamState {
    /// There is no connection yet.
    #[default]
    Opening,
    /// Bytes may move.
    Open,
    /// Everything went as planned, and the other end has it all.
    Finished,
    /// It did not; why.
    Failed(String),
}

/// How a stream is doing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StreamReport {
    /// How far it is.
    pub state: StreamState,
    /// Bytes handed to TCP.
    pub sent: u64,
    /// Bytes that came out of TCP.
    pub received: u64,
    /// SHA-256 of the bytes sent so far.
    pub sent_sha256: [u8; 32],
    /// SHA-256 of the bytes received so far.
    pub received_sha256: [u8; 32],
    /// When the connection was there.
    pub opened_ns: u64,
    /// When it finished or failed.
    pub ended_ns: u64,
}

impl StreamReport {
    /// Whether everything went as planned.
    pub fn is_finished(&self) -> bool {
        self.state == StreamState::Finished
    }
}

pub(super) struct Stream {
    socket: SocketHandle,
    plan: StreamPlan,
    /// Port to listen on again once a connection is there.
    successor_port: Option<u16>,
    state: StreamState,
    sent: u64,
    received: u64,
    sent_digest: Sha256,
    received_digest: Sha256,
    opened_ns: u64,
    ended_ns: u64,
}

impl Stream {
    pub(super) fn new(
        sockets: &mut SocketSet<'static>,
        config: &StackConfig,
        plan: StreamPlan,
    ) -> Self {
        let buffer = || tcp::SocketBuffer::new(vec![0; config.tcp_buffer]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        let timeout = config
            .tcp_timeout_ns
            .map(|ns| Duration::from_micros(ns / 1000));
        socket.set_timeout(timeout);
        Self {
            socket: sockets.add(socket),
            plan,
            successor_port: None,
            state: StreamState::Opening,
            sent: 0,
            received: 0,
            sent_digest: Sha256::new(),
            received_digest: Sha256::new(),
            opened_ns: 0,
            ended_ns: 0,
        }
    }

    pub(super) fn connect(
        &mut self,
        sockets: &mut SocketSet<'static>,
        interface: &mut Interface,
        remote: (Ipv4Addr, u16),
        local_port: u16,
    ) {
        let socket = sockets.get_mut::<tcp::Socket<'_>>(self.socket);
        if let Err(error) = socket.connect(interface.context(), remote, local_port) {
            self.state = StreamState::Failed(error.to_string());
        }
    }

    pub(super) fn listen(&mut self, sockets: &mut SocketSet<'static>, port: u16) {
        let socket = sockets.get_mut::<tcp::Socket<'_>>(self.socket);
        match socket.listen(port) {
            Ok(()) => self.successor_port = Some(port),
            Err(error) => self.state = StreamState::Failed(error.to_string()),
        }
    }

    pub(super) fn abort(&mut self, sockets: &mut SocketSet<'static>) {
        sockets.get_mut::<tcp::Socket<'_>>(self.socket).abort();
        self.state = StreamState::Failed("aborted".to_owned());
    }

    /// What listens next, once this stream is taken by a connection.
    pub(super) fn take_successor(&mut self) -> Option<(u16, StreamPlan)> {
        if self.state == StreamState::Opening {
            return None;
        }
        let port = self.successor_port.take()?;
        match self.plan {
            StreamPlan::Echo => Some((port, StreamPlan::Echo)),
            StreamPlan::Sink => Some((port, StreamPlan::Sink)),
            StreamPlan::Exchange { .. } => None,
        }
    }

    pub(super) fn report(&self) -> StreamReport {
        StreamReport {
            state: self.state.clone(),
            sent: self.sent,
            received: self.received,
            sent_sha256: self.sent_digest.clone().finalize().into(),
            received_sha256: self.received_digest.clone().finalize().into(),
            opened_ns: self.opened_ns,
            ended_ns: self.ended_ns,
        }
    }

    /// Moves bytes. Returns whether any moved or the connection changed.
    pub(super) fn work(
        &mut self,
        sockets: &mut SocketSet<'static>,
        scratch: &mut [u8],
        now_ns: u64,
    ) -> bool {
        let socket = sockets.get_mut::<tcp::Socket<'_>>(self.socket);
        if self.state == StreamState::Opening {
            self.watch_opening(socket, now_ns);
        }
        if self.state != StreamState::Open {
            return false;
        }

        let before = (self.sent, self.received);
        let moved = match self.plan {
            StreamPlan::Echo => self.echo(socket, scratch),
            StreamPlan::Sink => self.take_in(socket),
            StreamPlan::Exchange { .. } => {
                self.send_out(socket).and_then(|()| self.take_in(socket))
            }
        };
        match moved.and_then(|()| self.wind_up(socket)) {
            Ok(false) => {}
            Ok(true) => self.end(StreamState::Finished, now_ns),
            Err(reason) => {
                socket.abort();
                self.end(StreamState::Failed(reason), now_ns);
            }
        }
        before != (self.sent, self.received) || self.state != StreamState::Open
    }

    fn watch_opening(&mut self, socket: &tcp::Socket<'_>, now_ns: u64) {
        if socket.may_send() || socket.may_recv() {
            self.state = StreamState::Open;
            self.opened_ns = now_ns;
        } else if !socket.is_open() {
            self.end(StreamState::Failed("refused".to_owned()), now_ns);
        }
    }

    fn end(&mut self, state: StreamState, now_ns: u64) {
        self.state = state;
        self.ended_ns = now_ns;
    }

    fn echo(&mut self, socket: &mut tcp::Socket<'_>, scratch: &mut [u8]) -> Result<(), String> {
        loop {
            let room = socket.send_capacity() - socket.send_queue();
            let len = room.min(socket.recv_queue()).min(scratch.len());
            if len == 0 || !socket.may_send() {
                return Ok(());
            }
            let bytes = &mut scratch[..len];
            let taken = socket
                .recv_slice(bytes)
                .map_err(|error| error.to_string())?;
            let given = socket
                .send_slice(&bytes[..taken])
                .map_err(|error| error.to_string())?;
            if given != taken {
                return Err(format!("TCP took {given} of {taken} bytes it had room for"));
            }
            self.received += taken as u64;
            self.received_digest.update(&bytes[..taken]);
            self.sent += given as u64;
            self.sent_digest.update(&bytes[..given]);
        }
    }

    fn send_out(&mut self, socket: &mut tcp::Socket<'_>) -> Result<(), String> {
        let StreamPlan::Exchange { source, send, .. } = &mut self.plan else {
            return Ok(());
        };
        while self.sent < *send && socket.can_send() {
            let left = usize::try_from(*send - self.sent).unwrap_or(usize::MAX);
            let read = socket.send(|room| {
                let len = room.len().min(left);
                let room = &mut room[..len];
                match source.read(room) {
                    Ok(len) => {
                        self.sent_digest.update(&room[..len]);
                        (len, Ok(Some(len)))
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => (0, Ok(None)),
                    Err(error) => (0, Err(error.to_string())),
                }
            });
            let Some(len) = read.map_err(|error| error.to_string())?? else {
                return Ok(());
            };
            if len == 0 {
                return Err(format!("the source ended {left} bytes early"));
            }
            self.sent += len as u64;
        }
        Ok(())
    }

    fn take_in(&mut self, socket: &mut tcp::Socket<'_>) -> Result<(), String> {
        while socket.can_recv() {
            let taken = socket.recv(|bytes| {
                self.received_digest.update(&*bytes);
                (bytes.len(), bytes.len())
            });
            self.received += taken.map_err(|error| error.to_string())? as u64;
        }
        Ok(())
    }

    /// Closes what is done. Returns whether everything is.
    fn wind_up(&self, socket: &mut tcp::Socket<'_>) -> Result<bool, String> {
        let ended = other_end_closed(socket)?;
        let all_given = match &self.plan {
            StreamPlan::Echo | StreamPlan::Sink => ended,
            StreamPlan::Exchange { send, .. } => self.sent == *send,
        };
        // The FIN goes alone, when all data are acknowledged: with data before it, smoltcp 0.14
        // takes a retransmission of the two for old if the data had arrived, and neither end gets
        // any further.
        if all_given && socket.send_queue() == 0 {
            socket.close();
        }
        if !ended {
            return Ok(false);
        }
        self.check_received()?;
        match socket.state() {
            tcp::State::Closed if !all_given || socket.send_queue() > 0 => Err(format!(
                "reset after {} bytes, {} of them unacknowledged",
                self.sent,
                socket.send_queue()
            )),
            // In both states the other end has acknowledged everything, our FIN included.
            tcp::State::TimeWait | tcp::State::Closed => Ok(true),
            _ => Ok(false),
        }
    }

    fn check_received(&self) -> Result<(), String> {
        match &self.plan {
            StreamPlan::Exchange { receive, .. } if self.received != *receive => Err(format!(
                "{} bytes came, {receive} were expected",
                self.received
            )),
            _ => Ok(()),
        }
    }
}

/// Whether the other end closed its half and everything from it was taken.
fn other_end_closed(socket: &mut tcp::Socket<'_>) -> Result<bool, String> {
    match socket.peek(1) {
        Ok(_) => Ok(false),
        Err(tcp::RecvError::Finished) => Ok(true),
        Err(tcp::RecvError::InvalidState) => Err("reset or timed out".to_owned()),
    }
}
