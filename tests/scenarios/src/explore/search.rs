//! The seeds, one after the other, on all places of the server.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use ndis_host::sched::choices::{Choice, Plan};

use super::Failure;
use super::args::ExploreArgs;
use super::draw::Run;
use super::server::{Child, Server};
use super::tell::Progress;

/// A walk over seeds.
pub(super) struct Search<'a> {
    server: &'a Server,
    args: &'a ExploreArgs,
    /// Runs that passed, by case.
    pub(super) passed: BTreeMap<&'static str, u64>,
    /// Real time that it took.
    pub(super) took: Duration,
}

impl<'a> Search<'a> {
    pub(super) fn new(server: &'a Server, args: &'a ExploreArgs) -> Self {
        Self {
            server,
            args,
            passed: BTreeMap::new(),
            took: Duration::ZERO,
        }
    }

    /// How many runs passed.
    pub(super) fn passes(&self) -> u64 {
        self.passed.values().sum()
    }

    /// Runs all seeds, or up to the first failure; of several at the same time the lowest seed's,
    /// so that it does not depend on the number of places.
    pub(super) fn go(&mut self, only: Option<&[Choice]>) -> Result<Option<Failure>> {
        let started = Instant::now();
        let plan = Plan {
            only: only.map(<[Choice]>::to_vec),
            ..Plan::default()
        };
        let found = self.run_all(&plan);
        self.took = started.elapsed();
        found
    }

    fn run_all(&mut self, plan: &Plan) -> Result<Option<Failure>> {
        let mut seeds = self.args.seeds.clone();
        let mut progress = Progress::new(&seeds, self.args.json);
        let mut free: Vec<usize> = (0..self.server.jobs()).collect();
        let mut children: Vec<Child> = Vec::new();
        let mut failure: Option<Failure> = None;
        loop {
            while let Some(place) = free.pop_if(|_| failure.is_none() && !seeds.is_empty()) {
                let Some(seed) = seeds.next() else { break };
                let run = Run::of(seed, self.args.case.as_deref());
                children.push(self.server.start(run, plan, place)?);
            }
            if children.is_empty() {
                progress.end();
                return Ok(failure);
            }
            let Some((child, outcome)) = self.server.next(&mut children)? else {
                progress.tick();
                continue;
            };
            free.push(child.place);
            let run = child.run;
            if outcome.is_pass() {
                *self.passed.entry(run.case).or_default() += 1;
                progress.step(run.case);
            } else if failure
                .as_ref()
                .is_none_or(|first| run.seed < first.run.seed)
            {
                // Of the others only those before it can still matter.
                children.retain(|child| child.run.seed < run.seed);
                failure = Some(Failure { run, outcome });
            }
        }
    }
}
