//! The walk through the phases.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use devices::wire::stack::ByteSource;
use ndis_host::{sched, verifier};

use super::meter::{Meter, Sights};
use super::pace::{Pace, Part};
use super::rig::Rig;
use super::{Job, Run, open};
use crate::args::MigrateArgs;
use crate::report::{Outcome, Progress};
use crate::world::{
    AdapterOptions, DriverImage, Ending, MILLISECOND_NS, SECOND_NS, Traffic, World, WorldOptions,
};

/// How long the transfer takes for each migration if nothing holds it up.
const DURATION_NS: u64 = 600 * MILLISECOND_NS;
/// Parts of a migration's share of the bytes, both ways, that have to have arrived before the VF is
/// withdrawn, and before the guest leaves its host.
const WITHDRAW_PERCENT: u64 = 30;
const RETURN_PERCENT: u64 = 60;
/// What may have been sent at the end of each phase: something is kept back for the next ones, however
/// long one takes.
const MOST_WITH_VF_PERCENT: u64 = 35;
const MOST_WITHDRAWN_PERCENT: u64 = 50;
const MOST_WITHOUT_VF_PERCENT: u64 = 80;
/// Time for a phase, and for each byte on top.
const PHASE_LIMIT_NS: u64 = 60 * SECOND_NS;
const BYTE_LIMIT_NS: u64 = 200;

/// A run under way.
struct Walk<'rig> {
    world: World,
    rig: &'rig mut dyn Rig,
    meter: Arc<Meter>,
    pace: Arc<Pace>,
    size: u64,
}

pub(super) fn run(
    job: &Job,
    args: &MigrateArgs,
    rig: &mut dyn Rig,
    last_words: fn(&MigrateArgs, &Run),
) -> (Option<Run>, Result<()>) {
    let mut walk = match set_up(job, args, rig) {
        Ok(walk) => walk,
        Err(error) => return (None, Err(error)),
    };
    leave_last_words(&walk.meter, args, last_words);
    let walked = walk.go(args);
    let Walk {
        world, rig, meter, ..
    } = walk;
    if walked.is_err() {
        eprint!("{}", world.describe());
    } else {
        meter.note(|outcome| outcome.link_down_events = world.adapter().link_downs());
        let mut ending = world.finish();
        let (details, wrong) = rig.end();
        meter.note(|outcome| outcome.details = details);
        ending.misuses.extend(wrong);
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
fn set_up<'rig>(job: &Job, args: &MigrateArgs, rig: &'rig mut dyn Rig) -> Result<Walk<'rig>> {
    let options = WorldOptions::new(args.seed, &DriverImage::read(&args.image)?);
    let mut world = World::start(&match rig.backend() {
        None => options,
        Some(backend) => options.driving(backend),
    })?;
    rig.prepare(&mut world);
    let first = sched::chance(2);
    if first {
        world.install_vioprot()?;
    }
    world.add_adapter(&AdapterOptions::standby())?;
    world.start_adapter()?;
    if !first {
        world.install_vioprot()?;
    }
    let tick_ns = rig.tick_ns();
    let ticks = DURATION_NS / tick_ns * u64::from(rig.hops());
    let pace = Pace::new(job.size, ticks);
    let sights = Sights {
        ledgers: world.ledgers.clone(),
        virtio: world.adapter().counter(),
        pace: pace.clone(),
        tick_ns,
    };
    let progress = Progress::new(2 * job.size, args.json);
    let meter = Meter::new(sights, head(job, args, rig.name()), progress);
    let mut walk = Walk {
        world,
        rig,
        meter,
        pace,
        size: job.size,
    };
    walk.plug()?;
    walk.world.wait_for_vf()?;
    walk.world.wait_for_link(SECOND_NS)?;
    Ok(walk)
}

fn head(job: &Job, args: &MigrateArgs, backend: &str) -> Outcome {
    Outcome {
        backend: backend.to_owned(),
        arch: job.arch.to_owned(),
        seed: args.seed,
        phases: Vec::new(),
        stream_intact: false,
        link_down_events: 0,
        contract_breaches: 0,
        pool_leaks: 0,
        details: None,
    }
}

impl Walk<'_> {
    /// Walks the phases and waits for the end of the stream.
    fn go(&mut self, args: &MigrateArgs) -> Result<()> {
        self.meter.begin("vf");
        let traffic = self.start_traffic(args)?;
        let hops = self.rig.hops();
        for hop in 1..=hops {
            self.migrate(hop, hops)
                .with_context(|| format!("migration {hop}"))?;
        }
        self.pace.stop_at(Part::ALL);
        self.reach(Part::ALL).context("after the last migration")?;
        self.meter.end();
        let report = self.world.finish_traffic(traffic, self.limit_ns())?;
        self.meter.stop();
        self.meter
            .note(|outcome| outcome.stream_intact = report.is_intact());
        Ok(())
    }

    /// Migration `hop` of `hops`: from a VF that carries to the next one.
    fn migrate(&mut self, hop: u32, hops: u32) -> Result<()> {
        let name = |phase: &str| match hop {
            1 => phase.to_owned(),
            _ => format!("{phase}-{hop}"),
        };
        let until = |percent| Part::until(hop - 1, percent, hops);
        self.pace.stop_at(until(MOST_WITH_VF_PERCENT));
        self.reach(until(WITHDRAW_PERCENT)).context("with the VF")?;

        self.meter.begin(&name("vf-withdrawn"));
        self.pace.stop_at(until(MOST_WITHDRAWN_PERCENT));
        let times = self.rig.withdraw(&mut self.world)?;
        let ejected_ns = times.ejected_ns - times.requested_ns;
        self.meter.say(&format!(
            "the guest gave the VF back after {:.1} ms",
            ejected_ns as f64 / 1e6
        ));

        self.meter.begin(&name("virtio"));
        self.pace.stop_at(until(MOST_WITHOUT_VF_PERCENT));
        self.reach(until(RETURN_PERCENT))
            .context("without the VF")?;
        self.rig.cross(&self.world)?;

        self.meter.begin(&name("vf-back"));
        self.plug()?;
        self.world.wait_for_vf().context("with a VF again")
    }

    fn plug(&mut self) -> Result<()> {
        self.world.wait_for_failover()?;
        self.rig.plug(&mut self.world)?;
        if let Some(primary) = self.world.primary() {
            self.meter.watch_vf(primary.counter());
        }
        Ok(())
    }

    /// Opens the connection; both ends send the file.
    fn start_traffic(&self, args: &MigrateArgs) -> Result<Traffic> {
        let source =
            || -> Result<ByteSource> { Ok(Box::new(self.pace.limit(open(args.payload())?))) };
        let sources = [source()?, source()?];
        let (tcpip, peer) = (&self.world.tcpip, &self.world.peer);
        let bytes = [self.size; 2];
        let interval_ns = self.world.ping_interval_ns;
        let traffic = Traffic::start(tcpip, peer, bytes, sources, interval_ns);
        self.meter.start(&self.world, traffic);
        Ok(traffic)
    }

    /// Waits until a part of the bytes has arrived, both ways together.
    fn reach(&self, part: Part) -> Result<()> {
        let wanted = part.of(2 * self.size);
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
