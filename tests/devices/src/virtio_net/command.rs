//! The control queue (virtio 1.2, 5.1.6.5).
//!
//! Commands are read strictly: one that is malformed, or that needs a feature which was not
//! negotiated, is answered with an error and counts as misuse. One that the device merely does not
//! know is answered with an error.

use std::collections::BTreeSet;

use vm_memory::{Bytes, GuestAddress};

use super::core::Core;
use super::outbox::Timer;
use super::queues::Queues;
use super::ring::{Chain, Coalescing, QueueRole, Ring, Segment, length};
use super::{Fault, feature};
use crate::pci::DmaMemory;
use crate::wire::{MacAddress, is_group};

/// The highest class that the device knows.
const LAST_CLASS: u8 = 6;

const OK: u8 = 0;
const ERR: u8 = 1;
/// No answer that the specification knows.
const GARBAGE: u8 = 0xA5;

/// Bytes of a command that the device reads.
const LONGEST: usize = 64 << 10;

/// What the driver gets to read, and where.
struct Answer {
    ack: u8,
    /// Goes in front of the ack.
    data: Vec<u8>,
}

/// An answer that is late.
pub(super) struct Held {
    chain: Chain,
    answer: Answer,
}

/// Why a command was not executed.
enum Refusal {
    /// Nothing that the driver did wrong.
    Unable,
    /// The driver must not send that.
    Misuse(String),
}

type Outcome = Result<Vec<u8>, Refusal>;

impl Core {
    /// Executes what the driver put in the control queue.
    pub(super) fn serve_control(&mut self, memory: &DmaMemory) -> Result<(), String> {
        let Some(index) = self.queues.control() else {
            return Ok(());
        };
        if !self.ring(index).ready() || self.faults.has(Fault::ControlNever) {
            return Ok(());
        }
        if self.held.is_some() && !std::mem::take(&mut self.held_due) {
            return Ok(());
        }
        if let Some(Held { chain, answer }) = self.held.take() {
            self.answer(memory, index, chain, answer)?;
        } else if !std::mem::take(&mut self.ring(index).doorbell) {
            return Ok(());
        }

        self.ring(index).disable_doorbell(memory)?;
        loop {
            while let Some(chain) = self.pop(memory, index)? {
                let answer = self.execute(memory, &chain)?;
                if let Some(delay) = self.take_delay() {
                    self.outbox.timers.push((delay, Timer::Control));
                    self.held = Some(Held { chain, answer });
                    return self.interrupt_queue(index, memory);
                }
                self.answer(memory, index, chain, answer)?;
            }
            if !self.ring(index).enable_doorbell(memory)? {
                return self.interrupt_queue(index, memory);
            }
        }
    }

    fn answer(
        &mut self,
        memory: &DmaMemory,
        index: usize,
        chain: Chain,
        answer: Answer,
    ) -> Result<(), String> {
        let Answer {
            ack,
            data: mut bytes,
        } = answer;
        bytes.push(ack);
        scatter(memory, chain.writable(), &bytes)?;
        self.complete(memory, index, chain, bytes.len() as u32)
    }

    fn execute(&mut self, memory: &DmaMemory, chain: &Chain) -> Result<Answer, String> {
        let (sent, room) = (length(chain.readable()), length(chain.writable()));
        if sent < 2 || room < 1 {
            return Err(format!(
                "control command of {sent} bytes with {room} for the answer"
            ));
        }
        if sent > LONGEST {
            return Err(format!("control command of {sent} bytes"));
        }
        let bytes = chain.read(memory)?;
        let (&[class, command], data) = bytes.split_first_chunk().unwrap_or((&[0; 2], &[]));
        self.check_framing(chain);
        self.counters.commands.count(class);

        let wanted = if (class, command) == (6, 3) { 9 } else { 1 };
        let outcome = if self.take_fault(Fault::ControlRefused) || class > LAST_CLASS {
            Err(Refusal::Unable)
        } else if room != wanted {
            misuse(format!("{room} bytes for the answer"))
        } else {
            self.dispatch(class, command, data)
        };
        let garbage = self.take_fault(Fault::ControlGarbage);
        Ok(self.answer_to(class, command, outcome, wanted.min(room), garbage))
    }

    fn answer_to(
        &mut self,
        class: u8,
        command: u8,
        outcome: Outcome,
        room: usize,
        garbage: bool,
    ) -> Answer {
        let done = outcome.map_err(|refusal| {
            self.counters.commands.refused += 1;
            if let Refusal::Misuse(what) = refusal {
                self.misuse(format!("control command {class}.{command}: {what}"));
            }
        });
        let ack = match done {
            _ if garbage => GARBAGE,
            Ok(_) => OK,
            Err(()) => ERR,
        };
        Answer {
            ack,
            data: done.unwrap_or_else(|()| vec![0; room - 1]),
        }
    }

    fn dispatch(&mut self, class: u8, command: u8, data: &[u8]) -> Outcome {
        match class {
            0 => self.set_receive_mode(command, data),
            1 => self.set_addresses(command, data),
            2 => self.set_vlan(command, data),
            3 => self.acknowledge_announcement(command, data),
            4 => self.set_pairs(command, data),
            5 => self.set_offloads(command, data),
            6 => self.coalesce(command, data),
            _ => Err(Refusal::Unable),
        }
    }

    fn set_receive_mode(&mut self, command: u8, data: &[u8]) -> Outcome {
        let needed = match command {
            0 | 1 => feature::CTRL_RX,
            2..=5 => feature::CTRL_RX_EXTRA,
            _ => return Err(Refusal::Unable),
        };
        self.require(needed)?;
        let [on] = exactly(data)?;
        if on > 1 {
            return misuse(format!("a mode of {on}"));
        }
        let mode = match command {
            0 => &mut self.rules.promiscuous,
            1 => &mut self.rules.all_multicast,
            2 => &mut self.rules.all_unicast,
            3 => &mut self.rules.no_multicast,
            4 => &mut self.rules.no_unicast,
            _ => &mut self.rules.no_broadcast,
        };
        *mode = on == 1;
        Ok(Vec::new())
    }

    fn set_addresses(&mut self, command: u8, data: &[u8]) -> Outcome {
        match command {
            0 => {
                self.require(feature::CTRL_RX)?;
                let (unicast, rest) = address_list(data)?;
                let (multicast, rest) = address_list(rest)?;
                if !rest.is_empty() {
                    return misuse(format!("{} bytes too many", rest.len()));
                }
                if unicast.iter().any(is_group) || !multicast.iter().all(is_group) {
                    return misuse("an address in the wrong table".to_owned());
                }
                self.rules.set_table(unicast, multicast);
            }
            1 => {
                self.require(feature::CTRL_MAC_ADDR)?;
                self.mac = exactly(data)?;
            }
            _ => return Err(Refusal::Unable),
        }
        Ok(Vec::new())
    }

    fn set_vlan(&mut self, command: u8, data: &[u8]) -> Outcome {
        if command > 1 {
            return Err(Refusal::Unable);
        }
        self.require(feature::CTRL_VLAN)?;
        let vlan = u16::from_le_bytes(exactly(data)?);
        if vlan > 0x0FFF {
            return misuse(format!("VLAN {vlan}"));
        }
        let vlans = self.rules.vlans.get_or_insert_with(BTreeSet::new);
        if command == 0 {
            vlans.insert(vlan);
        } else {
            vlans.remove(&vlan);
        }
        Ok(Vec::new())
    }

    fn acknowledge_announcement(&mut self, command: u8, data: &[u8]) -> Outcome {
        if command > 0 {
            return Err(Refusal::Unable);
        }
        self.require(feature::GUEST_ANNOUNCE)?;
        let [] = exactly(data)?;
        if std::mem::take(&mut self.announcing) {
            Ok(Vec::new())
        } else {
            Err(Refusal::Unable)
        }
    }

    fn set_pairs(&mut self, command: u8, data: &[u8]) -> Outcome {
        if command > 0 {
            return Err(Refusal::Unable);
        }
        self.require(feature::MQ)?;
        let pairs = u16::from_le_bytes(exactly(data)?);
        let max = self.queues.layout.pairs;
        if !(1..=max).contains(&pairs) {
            return misuse(format!("{pairs} pairs of {max}"));
        }
        let mut used = self.queues.rings.iter().take(2 * usize::from(pairs));
        if !used.all(Ring::ready) {
            return misuse(format!("{pairs} pairs, of which not all are enabled"));
        }
        self.use_pairs(pairs);
        Ok(Vec::new())
    }

    fn use_pairs(&mut self, pairs: u16) {
        self.queues.pairs = pairs;
        self.steer_again();
        for pair in 0..pairs {
            self.ring(Queues::transmit(pair)).doorbell = true;
        }
        self.outbox.wake = true;
    }

    fn set_offloads(&mut self, command: u8, data: &[u8]) -> Outcome {
        if command > 0 {
            return Err(Refusal::Unable);
        }
        self.require(feature::CTRL_GUEST_OFFLOADS)?;
        let offloads = u64::from_le_bytes(exactly(data)?);
        let negotiated = self.features & feature::GUEST_OFFLOADS;
        if u128::from(offloads) & !negotiated != 0 {
            return misuse(format!("offloads {offloads:#x} of {negotiated:#x}"));
        }
        self.offloads = offloads;
        Ok(Vec::new())
    }

    fn coalesce(&mut self, command: u8, data: &[u8]) -> Outcome {
        match command {
            0 | 1 => {
                self.require(feature::NOTF_COAL)?;
                let role = [QueueRole::Transmit, QueueRole::Receive][usize::from(command)];
                let coalescing = parse_coalescing(exactly(data)?);
                self.coalescing[usize::from(command)] = coalescing;
                let rings = self.queues.rings.iter_mut();
                rings
                    .filter(|ring| ring.role() == role)
                    .for_each(|ring| ring.coalescing = coalescing);
                Ok(Vec::new())
            }
            2 => {
                self.require(feature::VQ_NOTF_COAL)?;
                let [a, b, _, _, rest @ ..]: [u8; 12] = exactly(data)?;
                let ring = self.coalesced_ring([a, b])?;
                ring.coalescing = parse_coalescing(rest);
                Ok(Vec::new())
            }
            3 => {
                self.require(feature::VQ_NOTF_COAL)?;
                let [a, b, _, _] = exactly(data)?;
                let Coalescing {
                    max_packets,
                    max_usecs,
                } = self.coalesced_ring([a, b])?.coalescing;
                Ok([max_packets.to_le_bytes(), max_usecs.to_le_bytes()].concat())
            }
            _ => Err(Refusal::Unable),
        }
    }

    /// An enabled queue that carries frames.
    fn coalesced_ring(&mut self, index: [u8; 2]) -> Result<&mut Ring, Refusal> {
        let index = u16::from_le_bytes(index);
        let ring = self.queues.rings.get_mut(usize::from(index));
        ring.filter(|ring| ring.role() != QueueRole::Control && ring.ready())
            .ok_or_else(|| Refusal::Misuse(format!("queue {index}")))
    }

    fn require(&self, needed: u128) -> Result<(), Refusal> {
        if self.features & needed != 0 {
            return Ok(());
        }
        let bit = needed.trailing_zeros();
        Err(Refusal::Misuse(format!("feature {bit} was not negotiated")))
    }

    /// Legacy drivers without ANY_LAYOUT put class and command in a descriptor of their own, and
    /// the answer as well (virtio 1.2, 5.1.6.6).
    fn check_framing(&mut self, chain: &Chain) {
        let header = chain.readable().first().map(|segment| segment.len);
        let ack = chain.writable().last().map(|segment| segment.len);
        if self.has_fixed_layout() && (header != Some(2) || ack != Some(1)) {
            self.misuse("a control command's parts share descriptors".to_owned());
        }
    }
}

fn misuse<T>(what: String) -> Result<T, Refusal> {
    Err(Refusal::Misuse(what))
}

/// Exactly `N` bytes.
fn exactly<const N: usize>(data: &[u8]) -> Result<[u8; N], Refusal> {
    let wrong = || Refusal::Misuse(format!("{} bytes of data instead of {N}", data.len()));
    data.try_into().map_err(|_| wrong())
}

fn parse_coalescing([a, b, c, d, e, f, g, h]: [u8; 8]) -> Coalescing {
    Coalescing {
        max_packets: u32::from_le_bytes([a, b, c, d]),
        max_usecs: u32::from_le_bytes([e, f, g, h]),
    }
}

/// A counted list of addresses, and what is behind it.
fn address_list(data: &[u8]) -> Result<(Vec<MacAddress>, &[u8]), Refusal> {
    let short = || Refusal::Misuse("a table of addresses that is cut off".to_owned());
    let (count, rest) = data.split_first_chunk().ok_or_else(short)?;
    let bytes = 6 * u64::from(u32::from_le_bytes(*count));
    let bytes = usize::try_from(bytes).map_err(|_| short())?;
    let (table, rest) = rest.split_at_checked(bytes).ok_or_else(short)?;
    let (addresses, _) = table.as_chunks();
    Ok((addresses.to_vec(), rest))
}

/// Writes `bytes` to the front of `segments`.
fn scatter(memory: &DmaMemory, segments: &[Segment], bytes: &[u8]) -> Result<(), String> {
    let mut left = bytes;
    for segment in segments {
        let (now, later) = left.split_at(left.len().min(segment.len));
        memory
            .write_slice(now, GuestAddress(segment.address.0))
            .map_err(|error| format!("control answer: {error}"))?;
        left = later;
    }
    Ok(())
}
