//! The control queue against rust-vmm's device side, with indirect descriptors and event indices.
//!
//! Doorbells and interrupts count here: the device looks at its queue only when its doorbell rang,
//! and the driver only when it was interrupted.

use std::ptr::NonNull;

use virtio_net::config::MacAddress;
use virtio_net::control::wishes::{ReceiveModes, Standing, Wishes};
use virtio_net::control::{Control, ControlLayout, Loan, VlanId};
use virtio_net::dma::DmaRegion;
use virtio_net::features::Features;
use virtio_net::queue::split::SplitQueue;
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use crate::against_virtio_queue::{BASE, connect, guest_memory};
use crate::control_bed::{LIMITS, State};

const SLOTS: u64 = BASE + 0x20_0000;

struct Link {
    memory: GuestMemoryMmap,
    control: Control<SplitQueue<Loan>>,
    device: Queue,
    state: State,
}

impl Link {
    fn new(features: Features) -> Self {
        let memory = guest_memory();
        let (queue, device) = connect(&memory, 16, features);
        let layout = ControlLayout::new(4, LIMITS);
        let va = memory
            .get_slice(GuestAddress(SLOTS), layout.bytes())
            .unwrap()
            .ptr_guard_mut()
            .as_ptr();
        // SAFETY: mapped for as long as `memory`, which outlives the queue; only the device uses it
        // too.
        let region = unsafe { DmaRegion::new(NonNull::new(va).unwrap(), SLOTS, layout.bytes()) };
        Self {
            memory,
            control: Control::new(queue, region, layout, features).unwrap(),
            device,
            state: State::default(),
        }
    }

    /// The device serves its queue, and says whether it interrupts.
    fn serve(&mut self) -> bool {
        let memory = &self.memory;
        loop {
            self.device.disable_notification(memory).unwrap();
            while let Some(chain) = self.device.pop_descriptor_chain(memory) {
                let head = chain.head_index();
                let (mut command, mut answers) = (Vec::new(), Vec::new());
                for part in chain {
                    let mut bytes = vec![0; usize::try_from(part.len()).unwrap()];
                    if part.is_write_only() {
                        answers.push((part.addr(), bytes.len()));
                    } else {
                        memory.read_slice(&mut bytes, part.addr()).unwrap();
                        command.extend(bytes);
                    }
                }
                let answer = self.state.execute(&command);
                let [(address, len)] = answers[..] else {
                    panic!("{answers:?}");
                };
                assert_eq!(answer.len(), len);
                memory.write_slice(&answer, address).unwrap();
                let written = u32::try_from(len).unwrap();
                self.device.add_used(memory, head, written).unwrap();
            }
            if !self.device.enable_notification(memory).unwrap() {
                break;
            }
        }
        self.device.needs_notification(memory).unwrap()
    }

    /// Brings about what is wanted, and says how many commands that took.
    fn bring_about(&mut self, wishes: &mut Wishes) -> usize {
        for count in 0.. {
            let Some(_) = wishes.advance(&mut self.control, 1).unwrap() else {
                return count;
            };
            assert!(self.control.publish().is_needed(), "the device sleeps");
            assert!(self.serve(), "the driver waits for an interrupt");
            self.control.disable_interrupts();
            let event = self.control.poll().unwrap().expect("an answer");
            wishes.settle(&event);
            assert!(!self.control.enable_interrupts());
        }
        unreachable!();
    }
}

#[test]
fn wishes_come_about_whatever_the_ring_can_do() {
    let commands = Features::CTRL_VQ
        | Features::CTRL_RX
        | Features::CTRL_RX_EXTRA
        | Features::CTRL_MAC_ADDR
        | Features::CTRL_VLAN
        | Features::GUEST_ANNOUNCE;
    for ring in [
        Features::NONE,
        Features::RING_INDIRECT_DESC,
        Features::RING_EVENT_IDX,
        Features::RING_INDIRECT_DESC | Features::RING_EVENT_IDX,
    ] {
        let mut link = Link::new(commands | ring);
        let mut wishes = Wishes::new(commands | ring, LIMITS).unwrap();
        let address = [0x52, 0x54, 0, 0, 0, 1];
        wishes.want_mac(MacAddress::new(address).unwrap());
        wishes.want_modes(ReceiveModes::CLOSED);
        wishes.want_addresses(&[], &[]);
        assert_eq!(link.bring_about(&mut wishes), 8);
        assert_eq!(link.state.mac, Some(address));
        assert_eq!(link.state.modes, [false, false, false, true, true, true]);

        // Enough for the ring's indices to go round.
        for round in 0..70_000_u32 {
            wishes.want_vlan(VlanId::new(9).unwrap(), round % 2 == 0);
            assert_eq!(link.bring_about(&mut wishes), 1);
            assert_eq!(link.state.vlans.len(), usize::from(round % 2 == 0));
        }
        wishes.acknowledge_announcement();
        assert_eq!(link.bring_about(&mut wishes), 1);
        assert_eq!(wishes.standing(), Standing::Settled);
    }
}
