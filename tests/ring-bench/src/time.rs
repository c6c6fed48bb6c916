//! Runs all drivers of a case round by round, and compares their times within each round.
//!
//! A machine that others share is now fast, now slow. Within one round it is mostly the same for
//! all, so the quotient of two times of one round is stable where the times are not.

use std::time::Instant;

use serde::Serialize;

use crate::case::{Case, DriverName, Series};
use crate::lane::{Lane, lane, ticks_after, ticks_before};

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds.
    pub rounds: u32,
    /// Batches of each driver in each round.
    pub batches: u32,
}

/// Times of one driver in one case.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Whose.
    pub driver: DriverName,
    /// Of what.
    #[serde(flatten)]
    pub case: Case,
    /// Median of all rounds, for one packet.
    pub ns: f64,
    /// Median of the rounds' quotients: the driver's time by the floor's.
    pub ratio: f64,
    /// A tenth of them is below.
    pub ratio_p10: f64,
    /// A tenth of them is above.
    pub ratio_p90: f64,
}

/// What lies between two readings of the clock, and how long its tick is.
#[derive(Clone, Copy, Debug)]
struct Clock {
    overhead: u64,
    ns_per_tick: f64,
}

impl Clock {
    fn measure() -> Self {
        let mut empty: Vec<u64> = (0..1001)
            .map(|_| {
                let start = ticks_before();
                ticks_after().saturating_sub(start)
            })
            .collect();
        empty.sort_unstable();
        let overhead = empty[empty.len() / 2];
        let (start, ticks) = (Instant::now(), ticks_before());
        while start.elapsed().as_millis() < 20 {}
        let ticks = ticks_after() - ticks;
        let ns_per_tick = start.elapsed().as_nanos() as f64 / ticks as f64;
        Self {
            overhead,
            ns_per_tick,
        }
    }
}

/// All cases that `drivers` can do, grouped by what is compared.
#[must_use]
pub fn cases(drivers: &[DriverName]) -> Vec<Case> {
    let floor = Series::all().filter(|series| series.driver == DriverName::Floor);
    let cases = floor.flat_map(Series::cases);
    let alone = |case: &Case| drivers.iter().any(|driver| driver.can(case));
    cases.filter(alone).collect()
}

/// Measures `drivers`, and the floor with them; `each` is told of each case that is done.
pub fn run(drivers: &[DriverName], effort: Effort, mut each: impl FnMut()) -> Vec<Row> {
    let clock = Clock::measure();
    let mut rows = Vec::new();
    for case in cases(drivers) {
        rows.extend(compare(case, drivers, effort, clock));
        each();
    }
    rows
}

fn compare(case: Case, drivers: &[DriverName], effort: Effort, clock: Clock) -> Vec<Row> {
    let others = drivers.iter().copied();
    let others = others.filter(|driver| *driver != DriverName::Floor && driver.can(&case));
    let names: Vec<_> = [DriverName::Floor].into_iter().chain(others).collect();
    let lanes = names.iter().map(|&name| lane(name, case, true));
    let mut lanes: Vec<_> = lanes.collect();
    let mut times = vec![Vec::new(); lanes.len()];
    for round in 0..=effort.rounds {
        for (lane, times) in lanes.iter_mut().zip(&mut times) {
            let ticks = per_packet(lane.as_mut(), case, effort.batches, clock);
            // The first round warms up.
            if round > 0 {
                times.push(ticks * clock.ns_per_tick);
            }
        }
    }
    let floor = times[0].clone();
    let rows = names.into_iter().zip(times);
    rows.map(|(driver, times)| row(driver, case, times, &floor))
        .collect()
}

fn per_packet(lane: &mut dyn Lane, case: Case, batches: u32, clock: Clock) -> f64 {
    let ticks = (0..batches).map(|_| lane.step().saturating_sub(clock.overhead));
    ticks.sum::<u64>() as f64 / f64::from(batches * case.batch)
}

fn row(driver: DriverName, case: Case, mut times: Vec<f64>, floor: &[f64]) -> Row {
    let ratios = times.iter().zip(floor);
    let mut ratios: Vec<f64> = ratios.map(|(time, floor)| time / floor).collect();
    Row {
        driver,
        case,
        ratio: quantile(&mut ratios, 0.5),
        ratio_p10: quantile(&mut ratios, 0.1),
        ratio_p90: quantile(&mut ratios, 0.9),
        ns: quantile(&mut times, 0.5),
    }
}

/// The value that the part `part` of all values does not exceed.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = (last as f64 * part).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_places_in_order() {
        let mut values: Vec<f64> = (0..=40).rev().map(f64::from).collect();
        let at = [0.0, 0.1, 0.5, 0.9, 1.0].map(|part| quantile(&mut values, part));
        assert_eq!(at, [0.0, 4.0, 20.0, 36.0, 40.0]);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        // A machine that is three times slower in the second round.
        let case = Case::all(crate::case::Ring::Split, crate::case::Direction::Tx);
        let case = case.into_iter().next().unwrap();
        let row = row(
            DriverName::Netkvm,
            case,
            vec![4.0, 12.0, 4.0],
            &[2.0, 6.0, 2.0],
        );
        assert_eq!((row.ratio_p10, row.ratio, row.ratio_p90), (2.0, 2.0, 2.0));
        assert_eq!(row.ns, 4.0);
    }
}
