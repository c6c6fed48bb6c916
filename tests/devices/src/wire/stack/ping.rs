//! Echo requests at a steady pace, and an account of the replies.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, IpAddress};

/// Requests that may wait for the address of their target.
const QUEUE: usize = 64;
const ICMP_HEADER: usize = 8;

/// Whom to ask, and how often.
#[derive(Clone, Copy, Debug)]
pub struct PingPlan {
    /// Who is asked.
    pub target: Ipv4Addr,
    /// Time from one request to the next; not 0.
    pub interval_ns: u64,
    /// Bytes behind the ICMP header, at least 8: they hold the number of the request.
    pub payload: usize,
    /// Requests to send; `None` for no end.
    pub count: Option<u64>,
}

impl PingPlan {
    /// 56 bytes every `interval_ns`, without end.
    pub fn new(target: Ipv4Addr, interval_ns: u64) -> Self {
        Self {
            target,
            interval_ns,
            payload: 56,
            count: None,
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PingReport {
    /// Requests sent.
    pub sent: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Answers to requests that had been answered already, or were never sent.
    pub unexpected: u64,
    /// Requests that could not be sent when they were due, for want of room.
    pub skipped: u64,
    /// Longest time between a request and its answer.
    pub longest_round_trip_ns: u64,
    /// Longest time between two consecutive answers.
    pub longest_gap_ns: u64,
}

pub(super) struct Pinger {
    plan: PingPlan,
    ident: u16,
    socket: SocketHandle,
    next_ns: Option<u64>,
    /// Number and time of requests without an answer.
    open: BTreeMap<u64, u64>,
    last_answer_ns: Option<u64>,
    report: PingReport,
}

impl Pinger {
    pub(super) fn new(
        sockets: &mut SocketSet<'static>,
        plan: PingPlan,
        ident: u16,
        now_ns: u64,
    ) -> Self {
        let plan = PingPlan {
            payload: plan.payload.max(8),
            interval_ns: plan.interval_ns.max(1),
            ..plan
        };
        let buffer = || {
            icmp::PacketBuffer::new(
                vec![icmp::PacketMetadata::EMPTY; QUEUE],
                vec![0; QUEUE * (plan.payload + ICMP_HEADER)],
            )
        };
        let mut socket = icmp::Socket::new(buffer(), buffer());
        socket
            .bind(icmp::Endpoint::Ident(ident))
            .expect("a new socket binds");
        Self {
            socket: sockets.add(socket),
            plan,
            ident,
            next_ns: Some(now_ns),
            open: BTreeMap::new(),
            last_answer_ns: None,
            report: PingReport::default(),
        }
    }

    pub(super) fn stop(&mut self) {
        self.next_ns = None;
    }

    pub(super) fn next_ns(&self) -> Option<u64> {
        self.next_ns
    }

    pub(super) fn report(&self) -> PingReport {
        self.report
    }

    /// Takes answers and sends requests that are due. Returns whether it sent.
    pub(super) fn work(&mut self, sockets: &mut SocketSet<'static>, now_ns: u64) -> bool {
        let socket = sockets.get_mut::<icmp::Socket<'_>>(self.socket);
        self.take_answers(socket, now_ns);

        let mut sent = false;
        while let Some(due) = self.next_ns.filter(|due| *due <= now_ns) {
            sent |= self.send(socket, now_ns);
            let number = self.report.sent + self.report.skipped;
            let done = self.plan.count.is_some_and(|count| number >= count);
            self.next_ns = (!done).then_some(due + self.plan.interval_ns);
        }
        sent
    }

    fn send(&mut self, socket: &mut icmp::Socket<'_>, now_ns: u64) -> bool {
        let number = self.report.sent + self.report.skipped;
        let data = payload(number, self.plan.payload);
        let request = Icmpv4Repr::EchoRequest {
            ident: self.ident,
            seq_no: number as u16,
            data: &data,
        };
        let target = IpAddress::Ipv4(self.plan.target);
        let Ok(buffer) = socket.send(request.buffer_len(), target) else {
            self.report.skipped += 1;
            return false;
        };
        request.emit(
            &mut Icmpv4Packet::new_unchecked(buffer),
            &ChecksumCapabilities::default(),
        );
        self.report.sent += 1;
        self.open.insert(number, now_ns);
        true
    }

    fn take_answers(&mut self, socket: &mut icmp::Socket<'_>, now_ns: u64) {
        while let Ok((bytes, from)) = socket.recv() {
            let number = answer_number(bytes).filter(|_| from == self.plan.target.into());
            let sent = number.and_then(|number| self.open.remove(&number));
            match sent {
                Some(sent_ns) => self.answered(sent_ns, now_ns),
                None => self.report.unexpected += 1,
            }
        }
    }

    fn answered(&mut self, sent_ns: u64, now_ns: u64) {
        let report = &mut self.report;
        report.answered += 1;
        report.longest_round_trip_ns = report.longest_round_trip_ns.max(now_ns - sent_ns);
        if let Some(last) = self.last_answer_ns.replace(now_ns) {
            report.longest_gap_ns = report.longest_gap_ns.max(now_ns - last);
        }
    }
}

/// The number of a request, followed by bytes that depend on it.
fn payload(number: u64, len: usize) -> Vec<u8> {
    let mut data = number.to_be_bytes().to_vec();
    data.extend((8..len).map(|at| (at as u64 ^ number) as u8));
    data
}

/// The number of the request that `packet` answers, if its payload is what was sent.
fn answer_number(packet: &[u8]) -> Option<u64> {
    let packet = Icmpv4Packet::new_checked(packet).ok()?;
    let answer = Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default()).ok()?;
    let Icmpv4Repr::EchoReply { data, .. } = answer else {
        return None;
    };
    let number = u64::from_be_bytes(*data.first_chunk()?);
    (data == payload(number, data.len())).then_some(number)
}
