//! The walk through the phases.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use devices::wire::stack::ByteSource;
use ndis_host::{sched, verifier};

use super::meter::{Meter, Sights, TICK_NS};
use super::pace::{Pace, share};
use super::{Job, Run, open};
use crate::args::MigrateArgs;
use crate::report::{Outcome, Progress};
use crate::world::{
    AdapterOptions, DriverImage, Ending, MILLISECOND_NS, SECOND_NS, Traffic, VfPlug, World,
    WorldOptions,
};

/// How long the transfer takes if nothing holds it up.
const DURATION_NS: u64 = 600 * MILLISECOND_NS;
/// Parts of the bytes, both ways, that have to have arrived before the VF is withdrawn, and before
/// it comes back.
const WITHDRAW_PERCENT: u64 = 30;
const RETURN_PERCENT: u64 = 60;
/// What is kept back for the time when the VF carries again.
const MOST_WITHOUT_VF_PERCENT: u64 = 80;
/// Time for a phase, and for each byte on top.
const PHASE_LIMIT_NS: u64 = 60 * SECOND_NS;
const BYTE_LIMIT_NS: u64 = 200;

/// A run under way.
struct Walk {
    world: World,
    meter: Arc<Meter>,
    pace: Arc<Pace>,
    size: u64,
}

pub(super) fn run(
    job: &Job,
    args: &MigrateArgs,
    last_words: fn(&MigrateArgs, &Run),
) -> (Option<Run>, Result<()>) {
    let mut walk = match set_up(job, args) {
        Ok(walk) => walk,
        Err(error) => return (None, Err(error)),
    };
    leave_last_words(&walk.meter, args, last_words);
    let walked = walk.go(args);
    let Walk { world, meter, .. } = walk;
    if walked.is_err() {
        eprint!("{}", world.describe());
    } else {
        meter.note(|outcome| outcome.link_down_events = world.adapter().link_downs());
        let ending = world.finish();
        for misuse in &ending.misuses {
            eprintln!("device misused: {misuse}");
        }
        judge(&meter, &ending);
    }
    meter.hide();
    let mut run = meter.run();
    if walked.is_err() {
        run.outcome.stream_intact = false;
    }
    (Some(run), walked)
}

/// When the judge ends the process, the report so far is told first.
fn leave_last_words(meter: &Arc<Meter>, args: &MigrateArgs, tell: fn(&MigrateArgs, &Run)) {
    let (meter, args) = (Arc::clone(meter), args.clone());
    verifier::on_fatal(move |report| {
        meter.hide();
        judge(&meter, &Ending::of(report.breaches.clone()));
        let mut run = meter.run();
        run.outcome.stream_intact = false;
        tell(&args, &run);
    });
}

fn judge(meter: &Meter, ending: &Ending) {
    meter.note(|outcome| {
        outcome.contract_breaches = (ending.breaches.len() + ending.misuses.len()) as u64;
        outcome.pool_leaks = ending.leaks.len() as u64;
    });
}

/// Boots the machine: the adapter up, the VF in use.
fn set_up(job: &Job, args: &MigrateArgs) -> Result<Walk> {
    let mut world = World::start(&WorldOptions::new(
        args.seed,
        &DriverImage::read(&args.image)?,
    ))?;
    let first = sched::chance(2);
    if first {
        world.install_vioprot()?;
    }
    world.add_adapter(&AdapterOptions::standby())?;
    world.start_adapter()?;
    if !first {
        world.install_vioprot()?;
    }
    let pace = Pace::new(job.size, DURATION_NS / TICK_NS);
    let sights = Sights {
        ledgers: world.ledgers.clone(),
        virtio: world.adapter().control().clone(),
        pace: pace.clone(),
    };
    let progress = Progress::new(2 * job.size, args.json);
    let meter = Meter::new(sights, head(job, args), progress);
    let mut walk = Walk {
        world,
        meter,
        pace,
        size: job.size,
    };
    walk.plug()?;
    walk.world.wait_for_vf()?;
    walk.world.wait_for_link(SECOND_NS)?;
    Ok(walk)
}

fn head(job: &Job, args: &MigrateArgs) -> Outcome {
    Outcome {
        backend: "embedded".to_owned(),
        arch: job.arch.to_owned(),
        seed: args.seed,
        phases: Vec::new(),
        stream_intact: false,
        link_down_events: 0,
        contract_breaches: 0,
        pool_leaks: 0,
    }
}

impl Walk {
    /// Walks the phases and waits for the end of the stream.
    fn go(&mut self, args: &MigrateArgs) -> Result<()> {
        self.meter.begin("vf");
        let traffic = self.start_traffic(args)?;
        self.reach(WITHDRAW_PERCENT).context("phase vf")?;

        self.meter.begin("vf-withdrawn");
        self.pace.stop_at(MOST_WITHOUT_VF_PERCENT);
        let times = self.world.withdraw_vf()?;
        let ejected_ns = times.ejected_ns - times.requested_ns;
        self.meter.say(&format!(
            "the guest gave the VF back after {:.1} ms",
            ejected_ns as f64 / 1e6
        ));

        self.meter.begin("virtio");
        self.reach(RETURN_PERCENT).context("phase virtio")?;

        self.meter.begin("vf-back");
        self.plug()?;
        self.world.wait_for_vf().context("phase vf-back")?;
        self.pace.stop_at(100);
        self.reach(100).context("phase vf-back")?;
        self.meter.end();
        let report = self.world.finish_traffic(traffic, self.limit_ns())?;
        self.meter.stop();
        self.meter
            .note(|outcome| outcome.stream_intact = report.is_intact());
        Ok(())
    }

    fn plug(&mut self) -> Result<()> {
        self.world.wait_for_failover()?;
        self.world.plug_vf(&VfPlug::default())?;
        if let Some(primary) = self.world.primary() {
            self.meter.watch_vf(primary.hardware().clone());
        }
        Ok(())
    }

    /// Opens the connection; both ends send the file.
    fn start_traffic(&self, args: &MigrateArgs) -> Result<Traffic> {
        let source =
            || -> Result<ByteSource> { Ok(Box::new(self.pace.limit(open(args.payload())?))) };
        let sources = [source()?, source()?];
        let traffic = Traffic::start(&self.world.tcpip, &self.world.peer, self.size, sources);
        self.meter.start(&self.world, traffic);
        Ok(traffic)
    }

    /// Waits until `percent` of the bytes have arrived, both ways together.
    fn reach(&self, percent: u64) -> Result<()> {
        let wanted = share(2 * self.size, percent);
        let meter = &self.meter;
        let came = sched::wait(
            "the stream to go on",
            || meter.moved() >= wanted,
            Some(self.limit_ns()),
        );
        let moved = meter.moved();
        ensure!(came, "the stream stands still at {moved} of {wanted} bytes");
        Ok(())
    }

    fn limit_ns(&self) -> u64 {
        PHASE_LIMIT_NS.saturating_add(self.size.saturating_mul(BYTE_LIMIT_NS))
    }
}
