//! The VF: a miniport driver for the hardware in [`devices::vf_port`].
//!
//! ```text
//!   send() --> queue --> hardware --(later)--> done --> DPC --> NdisMSendNetBufferListsComplete
//!   NdisMIndicateReceiveNetBufferLists <-- DPC <-- hardware
//! ```
//!
//! The hardware's events come from the world, which must not call NDIS; they leave a note and
//! queue the DPC, which does the work, on whichever CPU the seed picks.

mod dpc;
mod miniport;
mod oids;
mod power;
mod receive;
mod send;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};

use devices::vf_port::{VfEvents, VfHardware};
use devices::wire::Frame;
use ndis_host::ndis::api::NblPool;
use ndis_host::ndis::native::{AdapterHandle, Miniport};
use ndis_host::sched::{self, DpcId};

use crate::nbl::{Nbl, lock};

/// Numbers of the DPCs of VFs.
const FIRST_DPC: u64 = 0x7f10_0000_0000;
/// Link speed, bits per second.
pub const SPEED: u64 = 25_000_000_000;

/// How a VF's miniport behaves. May be changed while it runs.
#[derive(Clone, Copy, Debug)]
pub struct VfOptions {
    /// IP MTU that it declares.
    pub mtu: u32,
    /// An OID that it refuses.
    pub refuse_oid: Option<u32>,
    /// Completed sends are kept from NDIS.
    pub never_complete_sends: bool,
    /// One indication in so many has the RESOURCES flag; 0: none.
    pub resources_one_in: u64,
    /// What it does when the system sleeps.
    pub power: VfPower,
    /// Completions may be put off for this long, ns.
    pub longest_delay_ns: u64,
    /// Completions are put into another order, one list in so many; 0: none.
    pub reorder_one_in: u64,
    /// Received NBLs that may be out; beyond, indications have the RESOURCES flag.
    pub most_receives_out: usize,
}

impl Default for VfOptions {
    fn default() -> Self {
        Self {
            mtu: 1500,
            refuse_oid: None,
            never_complete_sends: false,
            resources_one_in: 6,
            power: VfPower::Unaware,
            longest_delay_ns: 20_000,
            reorder_one_in: 4,
            most_receives_out: 256,
        }
    }
}

/// What a VF's miniport does when the system sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VfPower {
    /// It knows nothing of power: NDIS halts it.
    Unaware,
    /// NDIS pauses it and tells it to go to D3.
    Paused,
    /// NDIS tells it to go to D3 while it runs.
    Running,
}

/// What a VF's miniport did, over all its starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VfCounters {
    /// Times it was initialised.
    pub starts: u64,
    /// Frames that NDIS gave it to send.
    pub frames_taken: u64,
    /// NBLs completed as sent.
    pub lists_completed: u64,
    /// NBLs given back at once, since it doesn't run.
    pub lists_refused: u64,
    /// NBLs given back unsent since it pauses.
    pub lists_paused: u64,
    /// NBLs given back unsent since the hardware is gone.
    pub lists_aborted: u64,
    /// Frames indicated.
    pub frames_indicated: u64,
    /// Frames that came while it was paused; nobody gets them.
    pub frames_dropped: u64,
    /// Requests that it refused.
    pub requests_refused: u64,
}

/// A VF as the scenario has it in hand: the hardware, and how its miniport behaves.
#[derive(Clone)]
pub struct VfControl {
    hardware: VfHardware,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    options: VfOptions,
    counters: VfCounters,
    made: u64,
}

impl VfControl {
    /// A VF for `hardware`.
    #[must_use]
    pub fn new(hardware: VfHardware, options: VfOptions) -> Self {
        let shared = Shared {
            options,
            ..Shared::default()
        };
        Self {
            hardware,
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// The hardware.
    #[must_use]
    pub fn hardware(&self) -> &VfHardware {
        &self.hardware
    }

    /// Changes how the miniport behaves.
    pub fn change(&self, change: impl FnOnce(&mut VfOptions)) {
        change(&mut lock(&self.shared).options);
    }

    /// What the miniport did so far.
    #[must_use]
    pub fn counters(&self) -> VfCounters {
        lock(&self.shared).counters
    }

    /// A miniport adapter for the next start of the device.
    #[must_use]
    pub fn miniport(&self) -> Arc<dyn Miniport> {
        let number = {
            let mut shared = lock(&self.shared);
            shared.made += 1;
            shared.made
        };
        let dpc = FIRST_DPC + number + (u64::from(self.hardware.mac()[5]) << 16);
        Arc::new_cyclic(|this| Vf {
            this: Weak::clone(this),
            control: self.clone(),
            dpc: DpcId(dpc),
            state: Mutex::new(State::new()),
        })
    }

    fn options(&self) -> VfOptions {
        lock(&self.shared).options
    }

    fn count(&self, change: impl FnOnce(&mut VfCounters)) {
        change(&mut lock(&self.shared).counters);
    }
}

/// One start of a VF's miniport.
struct Vf {
    this: Weak<Self>,
    control: VfControl,
    dpc: DpcId,
    state: Mutex<State>,
}

/// NDIS's states of an adapter, as far as data is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Halted,
    Paused,
    Running,
    Pausing,
}

struct State {
    phase: Phase,
    /// The hardware is gone, and PnP has said so.
    gone: bool,
    /// NDIS has told it to be in low power.
    asleep: bool,
    adapter: Option<AdapterHandle>,
    pool: Option<NblPool>,
    sends: Sends,
    /// Sends that are being given back.
    completing: usize,
    /// NBLs that NDIS has of us.
    receives_out: usize,
    news: News,
    /// Completions that are put off.
    delayed: VecDeque<u64>,
    /// The DPC runs; it looks at the news again before it ends.
    in_dpc: bool,
    /// MiniportPause returned PENDING.
    pause_pends: bool,
    filter: u32,
    multicast: Vec<[u8; 6]>,
    lookahead: u32,
}

/// Sends between NDIS and the hardware.
#[derive(Default)]
struct Sends {
    /// Frames that the hardware has not been given, in order.
    queue: VecDeque<Queued>,
    /// NBLs that have not been completed, by their number.
    open: BTreeMap<u64, Open>,
    next: u64,
}

struct Queued {
    list: u64,
    frame: Frame,
}

struct Open {
    nbl: Nbl,
    /// Frames that the hardware has not completed.
    left: usize,
    /// The hardware has been given one of its frames.
    started: bool,
}

/// What the hardware's events left for the DPC.
#[derive(Default)]
struct News {
    /// NBL numbers, one for each frame sent.
    done: VecDeque<u64>,
    received: bool,
    link: Option<bool>,
    /// There may be room in the hardware's queue.
    room: bool,
}

impl News {
    fn is_empty(&self) -> bool {
        self.done.is_empty() && !self.received && self.link.is_none() && !self.room
    }
}

impl State {
    fn new() -> Self {
        Self {
            phase: Phase::Halted,
            gone: false,
            asleep: false,
            adapter: None,
            pool: None,
            sends: Sends::default(),
            completing: 0,
            receives_out: 0,
            news: News::default(),
            delayed: VecDeque::new(),
            in_dpc: false,
            pause_pends: false,
            filter: 0,
            multicast: Vec::new(),
            lookahead: 0,
        }
    }

    /// Whether NDIS and we have everything back of each other.
    fn is_quiet(&self) -> bool {
        self.sends.open.is_empty() && self.completing == 0 && self.receives_out == 0
    }
}

/// The hardware's interrupts.
struct Events(Weak<Vf>);

impl Events {
    fn note(&self, note: impl FnOnce(&mut News)) {
        if let Some(vf) = self.0.upgrade() {
            note(&mut lock(&vf.state).news);
            vf.ask_dpc();
        }
    }
}

impl VfEvents for Events {
    fn completed(&mut self, cookies: &[u64]) {
        self.note(|news| {
            news.done.extend(cookies);
            news.room = true;
        });
    }

    fn received(&mut self) {
        self.note(|news| news.received = true);
    }

    fn link_changed(&mut self, up: bool) {
        self.note(|news| news.link = Some(up));
    }
}

impl Vf {
    fn ask_dpc(&self) {
        let Some(this) = self.this.upgrade() else {
            return;
        };
        let cpu = sched::random_below(sched::cpu_count() as u64) as usize;
        sched::queue_dpc(cpu, self.dpc, move || this.run_dpc());
    }
}
