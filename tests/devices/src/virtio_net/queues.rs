//! The queues of a device: which there are, and which of them a frame goes through.
//!
//! ```text
//! index   0    1    2    3  ...   2 * pairs
//!        rx0  tx0  rx1  tx1 ...   control
//! ```

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::ring::{QueueRole, Ring};
use super::{VirtioNetConfig, feature};
use crate::wire::{Flow, Frame};

/// Flows that are known at a time; all are forgotten when there are more.
const FLOWS: usize = 4096;

/// Which queues there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct QueueLayout {
    pub(super) pairs: u16,
    pub(super) control: bool,
}

impl QueueLayout {
    /// With these features: several pairs need MQ, the control queue needs CTRL_VQ.
    pub(super) fn of(config: &VirtioNetConfig, features: u128) -> Self {
        let control = features & feature::CTRL_VQ != 0;
        let several = control && features & feature::MQ != 0;
        Self {
            pairs: if several { config.max_pairs } else { 1 },
            control,
        }
    }

    pub(super) fn queues(self) -> u16 {
        2 * self.pairs + u16::from(self.control)
    }

    fn role(self, index: u16) -> QueueRole {
        match index {
            _ if index == 2 * self.pairs => QueueRole::Control,
            _ if index.is_multiple_of(2) => QueueRole::Receive,
            _ => QueueRole::Transmit,
        }
    }
}

/// Received frames on their way into one queue.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) backlog: VecDeque<Frame>,
    /// Frames wait for buffers, and the driver was asked to ring when it adds some.
    pub(super) starved: bool,
}

/// All queues.
pub(super) struct Queues {
    pub(super) layout: QueueLayout,
    pub(super) rings: Vec<Ring>,
    /// One for each pair.
    pub(super) lanes: Vec<Lane>,
    /// Pairs in use; 1 until a command says otherwise.
    pub(super) pairs: u16,
    /// Pairs on which the frames of a flow are expected.
    flows: HashMap<Flow, u16>,
}

impl Queues {
    pub(super) fn new(config: &VirtioNetConfig, layout: QueueLayout) -> Self {
        let ring = |index| {
            let role = layout.role(index);
            let size = match role {
                QueueRole::Control => config.control_queue_size,
                _ => config.queue_size,
            };
            Ring::new(role, size)
        };
        Self {
            layout,
            rings: (0..layout.queues()).map(ring).collect(),
            lanes: (0..layout.pairs).map(|_| Lane::default()).collect(),
            pairs: 1,
            flows: HashMap::new(),
        }
    }

    /// Index of the receive queue of a pair.
    pub(super) fn receive(pair: u16) -> usize {
        2 * usize::from(pair)
    }

    /// Index of the transmit queue of a pair.
    pub(super) fn transmit(pair: u16) -> usize {
        2 * usize::from(pair) + 1
    }

    /// Index of the control queue.
    pub(super) fn control(&self) -> Option<usize> {
        let index = 2 * usize::from(self.layout.pairs);
        self.layout.control.then_some(index)
    }

    /// Whether the queue is one of a pair that is not in use.
    pub(super) fn is_idle(&self, index: usize) -> bool {
        index >= 2 * usize::from(self.pairs) && self.control() != Some(index)
    }

    /// Received frames that wait for buffers.
    pub(super) fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.backlog.len()).sum()
    }

    /// Notes that a flow is sent on a pair: answers come on that, too (virtio 1.2, 5.1.6.5,
    /// "Automatic receive steering").
    pub(super) fn sent(&mut self, frame: &[u8], pair: u16) {
        if self.pairs == 1 {
            return;
        }
        if self.flows.len() >= FLOWS {
            self.flows.clear();
        }
        self.flows.insert(Flow::of(frame).reversed(), pair);
    }

    /// The lane of a received frame: that of its flow, or else any, if its queue is enabled.
    pub(super) fn steer(&self, frame: &[u8]) -> Option<&Lane> {
        self.steered(frame).and_then(|pair| self.lanes.get(pair))
    }

    /// Puts a frame at the end of its lane.
    pub(super) fn enqueue(&mut self, frame: Frame) -> Result<(), Frame> {
        match self
            .steered(&frame)
            .and_then(|pair| self.lanes.get_mut(pair))
        {
            Some(lane) => {
                lane.backlog.push_back(frame);
                Ok(())
            }
            None => Err(frame),
        }
    }

    fn steered(&self, frame: &[u8]) -> Option<usize> {
        let enabled = |pair: &u16| {
            let ring = self.rings.get(Self::receive(*pair));
            ring.is_some_and(Ring::ready)
        };
        if self.pairs == 1 {
            return Some(0).filter(|_| enabled(&0));
        }
        let flow = Flow::of(frame);
        let known = self.flows.get(&flow).copied();
        if let Some(pair) = known.filter(|pair| *pair < self.pairs && enabled(pair)) {
            return Some(pair.into());
        }
        let able: Vec<u16> = (0..self.pairs).filter(enabled).collect();
        let mut hasher = DefaultHasher::new();
        flow.hash(&mut hasher);
        let chosen = hasher.finish().checked_rem(able.len() as u64)?;
        able.get(chosen as usize).map(|pair| usize::from(*pair))
    }

    /// Takes the frames of all lanes out: the queues they were meant for may be gone.
    pub(super) fn take_waiting(&mut self) -> Vec<Frame> {
        let lanes = self.lanes.iter_mut();
        lanes
            .flat_map(|lane| {
                lane.starved = false;
                std::mem::take(&mut lane.backlog)
            })
            .collect()
    }
}
