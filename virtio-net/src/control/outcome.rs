//! What becomes of a command.

use super::command::Kind;
use super::parameters::Coalescing;

/// The name of one submission; no two of a [`Control`](super::Control) are the same.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub(super) u64);

/// The end of a command. Every submission has one, and one only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Done {
    /// Which submission.
    pub ticket: Ticket,
    /// What it was about.
    pub kind: Kind,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The device did as it was told (`VIRTIO_NET_OK`).
    Accepted(Answer),
    /// The device says that it did not (`VIRTIO_NET_ERR`). No fault of the device's when the command
    /// is [best effort](Kind::is_best_effort).
    Refused,
    /// The device used the buffer, but what it says is no answer: it broke the protocol. What it did
    /// is not known.
    Garbled {
        /// Bytes that it says it wrote.
        written: u32,
        /// The acknowledgement that was found.
        ack: u8,
    },
    /// There was no answer before the deadline. Whether the command was, or will be, carried out is
    /// not known; the device still has its memory.
    TimedOut,
    /// The device was reset before it answered.
    Reset,
}

/// What the device answers besides yes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Nothing.
    None,
    /// The coalescing that was asked for; as the device says.
    Coalescing(Coalescing),
}

/// What the queue has to tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A command has ended.
    Done(Done),
    /// The device has used the buffer of a command that had [timed out](Outcome::TimedOut) before.
    ///
    /// The answer is not looked at. But the device may have carried the command out only now, after
    /// later ones, so what is known of its state is out of date.
    Late {
        /// Which submission.
        ticket: Ticket,
        /// What it was about.
        kind: Kind,
    },
}

/// The acknowledgement and the answer before it, as the device left them.
///
/// The acknowledgement says by itself whether it was written: what it is beforehand is none. So it
/// takes no length, and devices tell wrong ones here: none at all, that of the whole command, that of
/// the part they read. An answer does take its length.
pub(super) fn judge(kind: Kind, written: u32, ack: u8, answer: Option<[u8; 8]>) -> Outcome {
    const OK: u8 = 0;
    const ERR: u8 = 1;
    let has_answer = answer.is_none() || u64::from(written) > kind.answer_len() as u64;
    match ack {
        OK if has_answer => Outcome::Accepted(answer.map_or(Answer::None, coalescing)),
        ERR => Outcome::Refused,
        ack => Outcome::Garbled { written, ack },
    }
}

fn coalescing(bytes: [u8; 8]) -> Answer {
    let [p0, p1, p2, p3, u0, u1, u2, u3] = bytes;
    Answer::Coalescing(Coalescing {
        max_packets: u32::from_le_bytes([p0, p1, p2, p3]),
        max_usecs: u32::from_le_bytes([u0, u1, u2, u3]),
    })
}
