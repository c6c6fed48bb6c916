//! What a scenario has to be like in the end.

use std::fmt;

use anyhow::{Context, Error, Result, ensure};
use ndis_host::ndis::event_log;
use scenarios::world::{SECOND_NS, World};

use super::flow::FlowReport;
use super::stage::Stage;
use crate::bus::Port;

/// The driver counts what the other path brings for 200 ms after a switch, and lets go of a VF that has been
/// quiet for 3 ms. Where threads and QEMU may have to wait for a processor for as long as that, nothing is said
/// by frames that are lost. What is lost always is lost in the next run, too.
const SLOW_NS: u64 = 50_000_000;

/// The machine was too slow for a verdict: a ping took so long, or no frame came for so long, ns.
#[derive(Clone, Copy, Debug)]
pub struct TooSlow(pub u64);

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no verdict: frames were lost, but nothing moved for {} ms",
            self.0 / 1_000_000
        )
    }
}

impl std::error::Error for TooSlow {}

/// What may be other than with a planned switch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowed {
    /// Frames that may be lost, each way.
    pub lost: u64,
    /// Sends that may come twice.
    pub twice: u64,
    /// How often the adapter's link goes down.
    pub link_downs: u64,
    /// Sends that may come back as not sent.
    pub failed: u64,
    /// The first values of the entries in the event log, in their order.
    pub log: &'static [u32],
    /// What QEMU may say.
    pub said: &'static [&'static str],
}

/// The reason of an event: there is no control device (docs/event-log.md).
const NO_CONTROL_DEVICE: u32 = 0x30c;

/// What a scenario comes to: what may be other than with a planned switch.
pub type Outcome = Result<Allowed>;

/// Nothing may.
pub const NOTHING: Outcome = Ok(Allowed {
    lost: 0,
    twice: 0,
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
            self.expect_account(&report, allowed)?;
        }
        expect_sends_back(&self.world, allowed)?;
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
            // The VF's driver is a second copy of the image, and only one has the control device.
            .filter(|reason| *reason != NO_CONTROL_DEVICE)
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
        let ended = machine.quit();
        ending.misuses.extend(machine.complaints());
        ending.misuses.sort_unstable();
        ending.misuses.dedup();
        let may_be_said = |text: &String| !allowed.said.iter().any(|said| text.contains(said));
        ending.misuses.retain(may_be_said);
        ensure!(ending.is_clean(), "{ending}");
        ended.map(drop)
    }

    fn expect_account(&self, report: &FlowReport, allowed: Allowed) -> Result<()> {
        let cut = self.cut(&[0, 1])?;
        expect_account(&self.world, report, cut, allowed).with_context(|| self.wires())
    }

    /// Frames that the cards behind these ports were sent, and had not taken when they went. A NIC that is
    /// asked for its VF leads no more frames there; here they are in a socket, for as long as QEMU gets no
    /// processor.
    ///
    /// # Errors
    ///
    /// There is no machine.
    pub fn cut(&self, ports: &[usize]) -> Result<u64> {
        let machine = self.machine()?;
        let cut = ports.iter().map(|port| machine.wire(Port::at(*port)).cut);
        Ok(cut.sum())
    }

    /// What happened on the cables.
    fn wires(&self) -> String {
        let Ok(machine) = self.machine() else {
            return String::new();
        };
        let wires = [0, 1].map(|port| format!("{:?}", machine.wire(Port::at(port))));
        wires.join(", ")
    }
}

/// What was sent was delivered once; `cut` frames were in a cable whose card went.
///
/// # Errors
///
/// It was not.
pub fn expect_account(
    world: &World,
    report: &FlowReport,
    cut: u64,
    allowed: Allowed,
) -> Result<()> {
    let cut = cut + world.frames_cut();
    if cut > 0 {
        println!("{cut} frames went with the cable of a card");
    }
    let account = world.ledgers.account();
    let ways = [
        ("to the peer", &account.to_peer, 0),
        ("to the guest", &account.to_guest, cut),
    ];
    for (way, ledger, cut) in ways {
        let (lost, totals) = (ledger.lost, ledger.totals);
        let most = allowed.lost + cut;
        let with_losses = ledger.phases.iter().filter(|phase| phase.lost > 0);
        let losses: Vec<_> = with_losses
            .map(|phase| format!("{} {}", phase.lost, phase.name))
            .collect();
        let losses = losses.join(", ");
        let pauses = ledger.phases.iter().map(|phase| phase.longest_gap_ns);
        let slowest_ns = pauses.fold(report.longest_ns(), u64::max);
        if lost > most && slowest_ns > SLOW_NS {
            return Err(Error::new(TooSlow(slowest_ns)).context(losses));
        }
        ensure!(
            lost <= most && totals.duplicated <= allowed.twice && totals.foreign == 0,
            "{way}: {lost} of {} frames lost ({losses}), {} came twice, {} that nobody sent",
            totals.sent,
            totals.duplicated,
            totals.foreign
        );
    }
    Ok(())
}

/// Each send comes back once: NDIS's judge looks at the lists, this at the frames.
///
/// # Errors
///
/// One does not.
pub fn expect_sends_back(world: &World, allowed: Allowed) -> Result<()> {
    let tcpip = world.tcpip.clone();
    let open = move || {
        let counters = tcpip.counters();
        let failed: u64 = counters.frames_failed.values().sum();
        let back = counters.frames_completed + failed;
        (counters.frames_sent - back, failed)
    };
    world.wait_for("all sends to come back", SECOND_NS, || open().0 == 0)?;
    let (_, failed) = open();
    ensure!(failed <= allowed.failed, "{failed} sends failed");
    Ok(())
}
