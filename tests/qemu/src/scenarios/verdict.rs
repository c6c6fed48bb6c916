//! What a scenario has to be like in the end.

use anyhow::{Context, Result, ensure};
use ndis_host::ndis::event_log;
use scenarios::world::SECOND_NS;

use super::stage::Stage;

/// What may be other than with a planned switch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowed {
    /// Frames that may be lost, each way.
    pub lost: u64,
    /// How often the adapter's link goes down.
    pub link_downs: u64,
    /// Sends that may come back as not sent.
    pub failed: u64,
    /// The first values of the entries in the event log, in their order.
    pub log: &'static [u32],
    /// What QEMU may say.
    pub said: &'static [&'static str],
}

/// What a scenario comes to: what may be other than with a planned switch.
pub type Outcome = Result<Allowed>;

/// Nothing may.
pub const NOTHING: Outcome = Ok(Allowed {
    lost: 0,
    link_downs: 0,
    failed: 0,
    log: &[],
    said: &[],
});

impl Stage {
    /// Ends the traffic: it is through, nothing was lost or came twice, each send came back once, the link
    /// stayed as it was, the driver had nothing to say.
    ///
    /// # Errors
    ///
    /// What is not as it has to be.
    pub fn settle(&mut self, allowed: Allowed) -> Result<()> {
        if let Some(flow) = self.take_flow() {
            let report = flow.finish(&self.world)?;
            self.expect_account(allowed)
                .with_context(|| format!("{report:?}"))?;
        }
        self.expect_sends_back(allowed)?;
        let downs = self.world.adapter().link_downs();
        ensure!(
            downs == allowed.link_downs,
            "the link went down {downs} times, not {}",
            allowed.link_downs
        );
        let entries = event_log();
        let reasons: Vec<u32> = entries
            .iter()
            .filter_map(|it| it.values.first().copied())
            .collect();
        ensure!(reasons == allowed.log, "event log: {entries:x?}");
        Ok(())
    }

    /// Takes everything down; judge and QEMU have the last word.
    ///
    /// # Errors
    ///
    /// What they have to say.
    pub fn take_down(self, allowed: Allowed) -> Result<()> {
        let machine = self.machine()?;
        let mut ending = self.world.finish();
        ending.misuses.extend(machine.complaints());
        ending.misuses.sort_unstable();
        ending.misuses.dedup();
        let may_be_said = |text: &String| !allowed.said.iter().any(|said| text.contains(said));
        ending.misuses.retain(may_be_said);
        ensure!(ending.is_clean(), "{ending}");
        machine.quit().map(drop)
    }

    fn expect_account(&self, allowed: Allowed) -> Result<()> {
        let account = self.world.ledgers.account();
        let ways = [
            ("to the peer", &account.to_peer),
            ("to the guest", &account.to_guest),
        ];
        for (way, ledger) in ways {
            let (lost, totals) = (ledger.lost, ledger.totals);
            ensure!(
                lost <= allowed.lost && totals.duplicated == 0 && totals.foreign == 0,
                "{way}: {lost} of {} frames lost, {} came twice, {} that nobody sent; {}",
                totals.sent,
                totals.duplicated,
                totals.foreign,
                self.wires()
            );
        }
        Ok(())
    }

    /// Each send comes back once: NDIS's judge looks at the lists, this at the frames.
    fn expect_sends_back(&self, allowed: Allowed) -> Result<()> {
        let tcpip = self.world.tcpip.clone();
        let open = move || {
            let counters = tcpip.counters();
            let failed: u64 = counters.frames_failed.values().sum();
            (
                counters.frames_sent - counters.frames_completed - failed,
                failed,
            )
        };
        self.world
            .wait_for("all sends to come back", SECOND_NS, || open().0 == 0)?;
        let (_, failed) = open();
        ensure!(failed <= allowed.failed, "{failed} sends failed");
        Ok(())
    }

    /// What happened on the cables.
    fn wires(&self) -> String {
        let Ok(machine) = self.machine() else {
            return String::new();
        };
        let wires = [0, 1].map(|port| format!("{:?}", machine.wire(crate::bus::Port::at(port))));
        wires.join(", ")
    }
}
