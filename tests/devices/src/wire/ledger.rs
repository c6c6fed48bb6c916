//! An account of the frames that went one way: what was sent, what came out at the other end.
//!
//! Frames are told apart by their bytes. Equal frames are legal (a retransmission is one), so
//! the ledger keeps a list of sends for each content: a delivery settles one of them, and a
//! delivery without an open send is a duplicate, or foreign if nothing like it was ever sent.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::flow::{Flow, fingerprint};

/// The account of one direction.
pub struct FrameLedger {
    contents: HashMap<u64, Content>,
    flows: BTreeMap<Flow, FlowState>,
    phases: Vec<PhaseReport>,
    totals: Totals,
    last_delivery: Option<Delivery>,
}

/// Counts over all phases.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Frames sent.
    pub sent: u64,
    /// Sent frames that were delivered.
    pub delivered: u64,
    /// Deliveries beyond the number of sends.
    pub duplicated: u64,
    /// Deliveries after a frame of the same flow that was sent later.
    pub reordered: u64,
    /// Deliveries of frames that were never sent.
    pub foreign: u64,
}

/// The account of one phase: the frames that were sent while it lasted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PhaseReport {
    /// Name of the phase.
    pub name: String,
    /// Frames sent.
    pub sent_frames: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Those of them that were delivered.
    pub delivered_frames: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Those of them that came out of order.
    pub reordered: u64,
    /// Those of them that were not delivered, so far or by the end.
    pub lost: u64,
    /// Longest time from a send to its delivery.
    pub longest_transit_ns: u64,
    /// Longest time between two consecutive deliveries, the second one of this phase.
    pub longest_gap_ns: u64,
    /// When that gap began.
    pub longest_gap_from_ns: u64,
    /// Frames that were sent within it. A long gap in which nothing was sent is idle time.
    pub longest_gap_sent: u64,
}

/// The closed account.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LedgerReport {
    /// Counts over all phases.
    pub totals: Totals,
    /// Frames sent and never delivered.
    pub lost: u64,
    /// The phases, in order.
    pub phases: Vec<PhaseReport>,
}

/// Everything with the same bytes.
#[derive(Default)]
struct Content {
    flow: Flow,
    open: VecDeque<Send>,
}

#[derive(Clone, Copy)]
struct Send {
    phase: usize,
    /// Position within the flow.
    sequence: u64,
    time_ns: u64,
}

#[derive(Default)]
struct FlowState {
    sent: u64,
    /// One more than the highest position that was delivered.
    delivered_to: u64,
}

#[derive(Clone, Copy)]
struct Delivery {
    time_ns: u64,
    /// Frames sent until then.
    sent: u64,
}

impl FrameLedger {
    /// An empty account in a phase called `phase`.
    pub fn new(phase: &str) -> Self {
        let mut ledger = Self {
            contents: HashMap::new(),
            flows: BTreeMap::new(),
            phases: Vec::new(),
            totals: Totals::default(),
            last_delivery: None,
        };
        ledger.begin_phase(phase);
        ledger
    }

    /// Frames sent from now on belong to the phase `name`.
    pub fn begin_phase(&mut self, name: &str) {
        self.phases.push(PhaseReport {
            name: name.to_owned(),
            ..PhaseReport::default()
        });
    }

    /// `frame` was sent.
    pub fn sent(&mut self, frame: &[u8], now_ns: u64) {
        let flow = Flow::of(frame);
        let state = self.flows.entry(flow).or_default();
        let send = Send {
            phase: self.phases.len() - 1,
            sequence: state.sent,
            time_ns: now_ns,
        };
        state.sent += 1;

        let content = self.contents.entry(fingerprint(frame)).or_default();
        content.flow = flow;
        content.open.push_back(send);

        self.totals.sent += 1;
        let phase = &mut self.phases[send.phase];
        phase.sent_frames += 1;
        phase.sent_bytes += frame.len() as u64;
        phase.lost += 1;
    }

    /// `frame` came out at the other end.
    pub fn delivered(&mut self, frame: &[u8], now_ns: u64) {
        let Some(content) = self.contents.get_mut(&fingerprint(frame)) else {
            self.totals.foreign += 1;
            return;
        };
        let flow = self.flows.entry(content.flow).or_default();
        let Some(send) = settle(&mut content.open, flow.delivered_to) else {
            self.totals.duplicated += 1;
            return;
        };
        let reordered = send.sequence < flow.delivered_to;
        flow.delivered_to = flow.delivered_to.max(send.sequence + 1);

        self.totals.delivered += 1;
        self.totals.reordered += u64::from(reordered);
        let phase = &mut self.phases[send.phase];
        phase.delivered_frames += 1;
        phase.delivered_bytes += frame.len() as u64;
        phase.reordered += u64::from(reordered);
        phase.lost -= 1;
        let transit = now_ns.saturating_sub(send.time_ns);
        phase.longest_transit_ns = phase.longest_transit_ns.max(transit);
        self.note_gap(send.phase, now_ns);
    }

    /// Counts so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Frames that are under way.
    pub fn open(&self) -> u64 {
        self.totals.sent - self.totals.delivered
    }

    /// The phase reports so far; `lost` counts what is still under way.
    pub fn phases(&self) -> &[PhaseReport] {
        &self.phases
    }

    /// Closes the account: what was not delivered is lost.
    pub fn close(self) -> LedgerReport {
        LedgerReport {
            lost: self.open(),
            totals: self.totals,
            phases: self.phases,
        }
    }

    fn note_gap(&mut self, phase: usize, now_ns: u64) {
        let this = Delivery {
            time_ns: now_ns,
            sent: self.totals.sent,
        };
        let Some(last) = self.last_delivery.replace(this) else {
            return;
        };
        let gap = now_ns.saturating_sub(last.time_ns);
        let phase = &mut self.phases[phase];
        if gap > phase.longest_gap_ns {
            phase.longest_gap_ns = gap;
            phase.longest_gap_from_ns = last.time_ns;
            phase.longest_gap_sent = this.sent - last.sent;
        }
    }
}

/// Takes the send that a delivery settles: of equal frames the first one that is in order, since
/// one of the others may be lost; without any in order, the oldest.
fn settle(open: &mut VecDeque<Send>, delivered_to: u64) -> Option<Send> {
    let in_order = open.iter().position(|send| send.sequence >= delivered_to);
    open.remove(in_order.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of flow `flow` (its source address) with the given content.
    fn frame(flow: u8, content: u8) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, flow, 0x88, 0xB5];
        frame.extend([content; 50]);
        frame
    }

    fn ledger() -> FrameLedger {
        FrameLedger::new("only")
    }

    #[test]
    fn what_arrives_in_order_leaves_no_trace() {
        let mut ledger = ledger();
        for content in 0..5 {
            ledger.sent(&frame(1, content), 10);
            ledger.delivered(&frame(1, content), 20);
        }

        let report = ledger.close();
        assert_eq!(report.lost, 0);
        assert_eq!(
            report.totals,
            Totals {
                sent: 5,
                delivered: 5,
                ..Totals::default()
            }
        );
        assert_eq!(report.phases[0].longest_transit_ns, 10);
    }

    #[test]
    fn what_never_arrives_is_lost() {
        let mut ledger = ledger();
        ledger.sent(&frame(1, 1), 0);
        ledger.sent(&frame(1, 2), 0);
        ledger.delivered(&frame(1, 2), 5);

        let report = ledger.close();
        assert_eq!(report.lost, 1);
        assert_eq!(report.phases[0].lost, 1);
        assert_eq!(report.totals.reordered, 0);
    }

    #[test]
    fn a_second_delivery_of_one_send_is_a_duplicate() {
        let mut ledger = ledger();
        ledger.sent(&frame(1, 1), 0);
        ledger.delivered(&frame(1, 1), 5);
        ledger.delivered(&frame(1, 1), 6);

        assert_eq!(ledger.totals().duplicated, 1);
        assert_eq!(ledger.close().lost, 0);
    }

    #[test]
    fn a_retransmission_is_no_duplicate() {
        let mut ledger = ledger();
        for _ in 0..2 {
            ledger.sent(&frame(1, 1), 0);
        }
        for _ in 0..2 {
            ledger.delivered(&frame(1, 1), 5);
        }

        assert_eq!(ledger.totals().duplicated, 0);
        assert_eq!(ledger.totals().delivered, 2);
    }

    #[test]
    fn what_was_never_sent_is_foreign() {
        let mut ledger = ledger();
        ledger.delivered(&frame(1, 1), 5);

        assert_eq!(ledger.totals().foreign, 1);
        assert_eq!(ledger.totals().duplicated, 0);
    }

    #[test]
    fn overtaking_counts_within_a_flow_only() {
        let mut ledger = ledger();
        ledger.sent(&frame(1, 1), 0);
        ledger.sent(&frame(1, 2), 0);
        ledger.sent(&frame(2, 1), 0);
        ledger.delivered(&frame(2, 1), 5);
        ledger.delivered(&frame(1, 2), 5);
        ledger.delivered(&frame(1, 1), 5);

        assert_eq!(ledger.totals().reordered, 1);
    }

    #[test]
    fn a_retransmission_of_a_lost_frame_is_not_out_of_order() {
        let mut ledger = ledger();
        ledger.sent(&frame(1, 1), 0);
        ledger.sent(&frame(1, 2), 1);
        ledger.delivered(&frame(1, 2), 5);
        ledger.sent(&frame(1, 1), 6);
        ledger.delivered(&frame(1, 1), 9);

        assert_eq!(ledger.totals().reordered, 0);
        assert_eq!(ledger.close().lost, 1);
    }

    #[test]
    fn frames_belong_to_the_phase_they_were_sent_in() {
        let mut ledger = FrameLedger::new("before");
        ledger.sent(&frame(1, 1), 0);
        ledger.begin_phase("after");
        ledger.sent(&frame(1, 2), 10);
        ledger.delivered(&frame(1, 1), 20);
        ledger.delivered(&frame(1, 2), 21);

        let report = ledger.close();
        let counts = report
            .phases
            .iter()
            .map(|phase| (phase.sent_frames, phase.delivered_frames));
        assert_eq!(counts.collect::<Vec<_>>(), [(1, 1), (1, 1)]);
        assert_eq!(report.phases[0].delivered_bytes, 64);
        assert_eq!(report.phases[1].name, "after");
    }

    #[test]
    fn the_longest_gap_tells_how_much_was_sent_in_it() {
        let mut ledger = ledger();
        ledger.sent(&frame(1, 1), 0);
        ledger.delivered(&frame(1, 1), 1);
        for content in 2..5 {
            ledger.sent(&frame(1, content), 10);
        }
        ledger.delivered(&frame(1, 2), 101);
        ledger.delivered(&frame(1, 3), 102);

        let phase = &ledger.phases()[0];
        assert_eq!(phase.longest_gap_ns, 100);
        assert_eq!(phase.longest_gap_from_ns, 1);
        assert_eq!(phase.longest_gap_sent, 3);
    }

    #[test]
    fn padding_on_the_wire_is_no_difference() {
        let mut arp = vec![0xFF; 12];
        arp.extend([0x08, 0x06]);
        arp.extend([1; 28]);
        let mut padded = arp.clone();
        padded.resize(60, 0);

        let mut ledger = ledger();
        ledger.sent(&arp, 0);
        ledger.delivered(&padded, 1);

        assert_eq!(ledger.totals().delivered, 1);
    }
}
