//! The machine's virtual time, for the devices and the wire.

use devices::wire::Clock;
use ndis_host::sched;

/// The clock of the machine that this process runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostClock;

impl Clock for HostClock {
    fn now_ns(&self) -> u64 {
        sched::now()
    }

    fn at(&self, time_ns: u64, event: Box<dyn FnOnce() + Send>) {
        sched::at(time_ns, event);
    }
}
