//! What the world looks like: for the report of a run that failed.

use std::fmt::Write;

use ndis_host::sched;

use super::World;

impl World {
    /// The state of everything, a line each.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!(
            "at {} us, {} CPUs\n",
            sched::now() / 1000,
            sched::cpu_count()
        );
        let account = self.ledgers.account();
        let mut line = |name: &str, what: &dyn std::fmt::Debug| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {name}: {what:?}");
        };
        line("TCP/IP", &self.tcpip.counters());
        line("its stack", &self.tcpip.inspect(|stack| stack.counters()));
        line("peer's stack", &self.peer.inspect(|stack| stack.counters()));
        line("to peer", &account.to_peer.totals);
        line("to guest", &account.to_guest.totals);
        if let Some(adapter) = &self.adapter {
            line("adapter", &adapter.report());
            line("device", &format_args!("{}", adapter.describe_device()));
            line("device was misused", &adapter.misuses());
        }
        if let Some(primary) = &self.primary {
            line("VF", &format_args!("{}", primary.describe()));
        }
        line("switch", &self.switch.counters());
        line("event log", &ndis_host::ndis::event_log());
        text
    }
}
