//! TCP/IP above the driver's adapter: a protocol driver whose stack is smoltcp.
//!
//! ```text
//!   receive() --> inbox --+                        +--> send --> NdisSendNetBufferLists
//!      |                  v                        |
//!      +-- kept NBLs     stack (one pump at a time)+
//!             |
//!             +--> given back later, in other groups, elsewhere
//! ```
//!
//! The stack is polled by one context at a time (the *pump*), so that sends reach NDIS in the
//! order in which the stack made them: the worker, which is a system thread, or now and then
//! whoever brought news, inside its callback. The worker also gives receives back.

mod io;
mod link;
mod protocol;
mod pump;
mod receive;
mod send;
mod settings;

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use devices::wire::{Frame, MacAddress, Stack, StackConfig};
use ndis_host::ndis::api::{self, NblPool};
use ndis_host::ndis::native::BindingHandle;
use ndis_host::sched::{self, ThreadId};
use ndis_sys::NDIS_STATUS;

use crate::ledgers::Ledgers;
use crate::nbl::lock;
use io::AdapterIo;
use receive::Kept;

/// The name that TCP/IP is registered under.
pub const SERVICE: &str = "tcpip";
/// ProtocolBindingContext of the one binding.
const BINDING_CONTEXT: usize = 1;
/// Frames that may be on their way through the adapter: between these bounds, by seed.
const LEAST_WINDOW: u64 = 48;
const MOST_WINDOW: u64 = 512;
/// For how long received NBLs are kept at most: between these bounds, by seed.
const LEAST_PATIENCE_NS: u64 = 50_000;
const MOST_PATIENCE_NS: u64 = 3_000_000;

/// Cuts of a frame, beside those between headers, that a run may have at most.
const CUTS: [u64; 4] = [0, 1, 4, 24];
/// Odds of MDLs without data that a run may have.
const EMPTY_ODDS: [u64; 3] = [0, 8, 2];

/// How this run's stack builds what it sends.
struct Habits {
    /// Cuts of a frame in odd places, at most.
    most_cuts: u64,
    /// One part of a frame in so many has an MDL without data beside it; 0: none.
    empty_one_in: u64,
}

/// Who the guest is.
#[derive(Clone, Copy, Debug)]
pub struct TcpIpConfig {
    /// The adapter's MAC address.
    pub mac: MacAddress,
    /// IPv4 address, in a /24.
    pub address: Ipv4Addr,
    /// Source of the stack's randomness.
    pub seed: u64,
    /// IP MTU.
    pub mtu: usize,
}

/// What TCP/IP saw of the adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpIpCounters {
    /// Frames given to NDIS.
    pub frames_sent: u64,
    /// NBLs given to NDIS.
    pub lists_sent: u64,
    /// Frames that came back as sent.
    pub frames_completed: u64,
    /// Frames that came back with another status, by status.
    pub frames_failed: BTreeMap<NDIS_STATUS, u64>,
    /// Calls whose NBLs were cancelled at once.
    pub calls_cancelled: u64,
    /// Frames received.
    pub frames_received: u64,
    /// NBLs that were kept for a while.
    pub lists_kept: u64,
    /// NBLs that came with the RESOURCES flag.
    pub lists_shown: u64,
    /// How often the link went down, after it had been up.
    pub link_downs: u64,
    /// Restarts of the binding.
    pub restarts: u64,
}

/// TCP/IP.
pub struct TcpIp {
    this: Weak<Self>,
    config: TcpIpConfig,
    ledgers: Arc<Ledgers>,
    pool: NblPool,
    window: usize,
    patience_ns: AtomicU64,
    habits: Habits,
    stack: Mutex<Stack<AdapterIo>>,
    edge: Mutex<Edge>,
    /// Somebody polls the stack.
    pumping: AtomicBool,
    /// There was news meanwhile.
    again: AtomicBool,
    /// There is something for the worker to do.
    wake: AtomicBool,
    stopping: AtomicBool,
    worker: Mutex<Option<ThreadId>>,
}

/// What goes on at the border to NDIS.
struct Edge {
    binding: Option<BindingHandle>,
    running: bool,
    /// The adapter is in low power.
    asleep: bool,
    /// Kept receives go back at once, due or not.
    hurry: bool,
    link_up: bool,
    /// How often that was told.
    link_news: u64,
    /// Frames that the stack gave out and that have not come back.
    in_flight: usize,
    /// How many of them each NBL has, by address.
    sizes: BTreeMap<usize, usize>,
    inbox: VecDeque<Frame>,
    kept: Vec<Kept>,
    /// NBLs that somebody is giving back now.
    returning: usize,
    /// One call in so many is cancelled at once; 0: none.
    cancel_one_in: u64,
    counters: TcpIpCounters,
}

impl TcpIp {
    /// TCP/IP without an adapter. Its worker starts at once; [`TcpIp::stop`] ends it.
    #[must_use]
    pub fn new(config: TcpIpConfig, ledgers: Arc<Ledgers>) -> Arc<Self> {
        let stack_config = StackConfig::new(config.mac, config.address, config.seed);
        let io = AdapterIo::new(config.mtu);
        let tcpip = Arc::new_cyclic(|this: &Weak<Self>| Self {
            this: Weak::clone(this),
            config,
            ledgers,
            pool: NblPool::new(SERVICE),
            window: between(LEAST_WINDOW, MOST_WINDOW) as usize,
            patience_ns: AtomicU64::new(between(LEAST_PATIENCE_NS, MOST_PATIENCE_NS)),
            habits: Habits {
                most_cuts: one_of(&CUTS),
                empty_one_in: one_of(&EMPTY_ODDS),
            },
            stack: Mutex::new(Stack::new(io, stack_config, sched::now())),
            edge: Mutex::new(Edge::new()),
            pumping: AtomicBool::new(false),
            again: AtomicBool::new(false),
            wake: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            worker: Mutex::new(None),
        });
        let of_worker = Arc::clone(&tcpip);
        let worker = sched::spawn("TCP/IP", move || of_worker.work());
        *lock(&tcpip.worker) = Some(worker);
        tcpip
    }

    /// Lets `body` at the stack and tells it the time; then the stack is polled.
    pub fn with<R>(&self, body: impl FnOnce(&mut Stack<AdapterIo>, u64) -> R) -> R {
        let result = body(&mut lock(&self.stack), sched::now());
        self.wake_worker();
        result
    }

    /// Lets `body` look at the stack. Asks for no poll, so it may be called at will.
    pub fn inspect<R>(&self, body: impl FnOnce(&Stack<AdapterIo>) -> R) -> R {
        body(&lock(&self.stack))
    }

    /// What TCP/IP saw of the adapter so far.
    #[must_use]
    pub fn counters(&self) -> TcpIpCounters {
        lock(&self.edge).counters.clone()
    }

    /// Whether TCP/IP is bound, its binding runs, and the link is up.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        let edge = lock(&self.edge);
        edge.running && edge.link_up
    }

    /// Whether the link was up when TCP/IP last heard of it.
    #[must_use]
    pub fn link_up(&self) -> bool {
        lock(&self.edge).link_up
    }

    /// Whether TCP/IP is bound to an adapter.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        lock(&self.edge).binding.is_some()
    }

    /// Cancels the sends of one call in `one_in`, as soon as they were given to NDIS; 0: none. A
    /// stack that does so loses frames by its own wish.
    pub fn cancel_sends(&self, one_in: u64) {
        lock(&self.edge).cancel_one_in = one_in;
    }

    /// Keeps received NBLs for up to `ns`, from now on.
    pub fn keep_receives_for(&self, ns: u64) {
        self.patience_ns.store(ns.max(1), Ordering::Relaxed);
    }

    /// Whether NDIS has nothing of TCP/IP's, and TCP/IP nothing of NDIS's.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        lock(&self.edge).is_quiet()
    }

    /// Asks the adapter for an OID. At PASSIVE; blocks.
    ///
    /// # Errors
    ///
    /// The adapter's status, or ADAPTER_NOT_FOUND without a binding.
    pub fn query(&self, oid: u32, buffer: &mut [u8]) -> Result<usize, NDIS_STATUS> {
        let binding = lock(&self.edge).binding;
        let binding = binding.ok_or(ndis_sys::NDIS_STATUS_ADAPTER_NOT_FOUND)?;
        api::oid_query(binding, oid, buffer)
    }

    /// The binding to the adapter, while there is one.
    #[must_use]
    pub fn binding(&self) -> Option<BindingHandle> {
        lock(&self.edge).binding
    }

    /// Ends the worker and frees the pool. At PASSIVE, with no binding left.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let worker = lock(&self.worker).take();
        if let Some(worker) = worker {
            sched::join(worker);
            self.pool.free();
        }
    }

    fn wake_worker(&self) {
        self.wake.store(true, Ordering::Release);
    }

    /// Itself, for what runs later.
    fn shared(&self) -> Arc<Self> {
        self.this
            .upgrade()
            .expect("a method runs, so somebody holds it")
    }
}

/// A number of the seed's choice.
fn between(least: u64, most: u64) -> u64 {
    least + sched::random_below(most - least + 1)
}

/// One of several numbers, of the seed's choice.
fn one_of(numbers: &[u64]) -> u64 {
    numbers[sched::random_below(numbers.len() as u64) as usize]
}

impl Edge {
    fn new() -> Self {
        Self {
            binding: None,
            running: false,
            asleep: false,
            hurry: false,
            link_up: false,
            link_news: 0,
            in_flight: 0,
            sizes: BTreeMap::new(),
            inbox: VecDeque::new(),
            kept: Vec::new(),
            returning: 0,
            cancel_one_in: 0,
            counters: TcpIpCounters::default(),
        }
    }

    /// Whether NDIS has everything back, and we have everything back from NDIS.
    fn is_quiet(&self) -> bool {
        self.in_flight == 0 && self.kept.is_empty() && self.returning == 0
    }
}
