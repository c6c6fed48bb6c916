//! The command line of the exploration.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Parser;

/// Run cases over seeds until one fails; tell how to run that one again.
#[derive(Clone, Debug, Parser)]
#[command(name = "explore", bin_name = "cargo xtask explore")]
pub struct ExploreArgs {
    /// The seeds, the last one not included; or one seed
    #[arg(long, value_name = "A..B", default_value = "0..1000", value_parser = seeds)]
    pub seeds: Range<u64>,
    /// Run this case; without it, each seed draws one
    #[arg(long, value_name = "NAME")]
    pub case: Option<String>,
    /// Runs at a time [default: one per processor]
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Reduce the schedule of the failure
    #[arg(long)]
    pub shrink: bool,
    /// Make these choices and no others, as a reduced schedule lists them
    #[arg(long, value_name = "LIST")]
    pub only: Option<String>,
    /// As --only, with the list in a file
    #[arg(long, value_name = "FILE", conflicts_with = "only")]
    pub only_from: Option<PathBuf>,
    /// Seconds after which a run is taken for hung
    #[arg(long, value_name = "S", default_value_t = 120)]
    pub limit: u64,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub json: bool,
    /// Where to keep what a failed run said
    #[arg(long, value_name = "DIR", default_value = "target/explore")]
    pub out: PathBuf,
    /// The driver image to load [default: built from the sources]
    #[arg(long, value_name = "netkvm.sys", env = "NETKVM_SYS")]
    pub image: PathBuf,
    /// The image is the one that xtask built: a command to run again need not name it
    #[arg(long, hide = true)]
    pub built_image: bool,
}

impl ExploreArgs {
    /// How many runs there may be at a time.
    #[must_use]
    pub fn jobs(&self) -> usize {
        let processors = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.jobs.map_or_else(processors, NonZeroUsize::get)
    }

    /// Real time that a run may take.
    #[must_use]
    pub fn time_out(&self) -> Duration {
        Duration::from_secs(self.limit)
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|error| format!("`{text}`: {error}"))
    };
    let range = match text.split_once("..") {
        Some((from, to)) => number(from)?..number(to)?,
        None => {
            let seed = number(text)?;
            seed..seed.checked_add(1).ok_or("there is no seed after it")?
        }
    };
    if range.is_empty() {
        return Err("there is no seed in it".to_owned());
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Result<ExploreArgs, clap::Error> {
        let image = ["explore", "--image", "netkvm.sys"];
        ExploreArgs::try_parse_from(image.iter().chain(args))
    }

    #[test]
    fn the_definition_is_consistent() {
        ExploreArgs::command().debug_assert();
    }

    #[test]
    fn a_range_leaves_its_end_out_and_one_seed_is_a_range_too() {
        assert_eq!(parse(&["--seeds", "3..9"]).unwrap().seeds, 3..9);
        assert_eq!(parse(&["--seeds", "7"]).unwrap().seeds, 7..8);
    }

    #[test]
    fn a_range_without_seeds_is_refused() {
        for range in ["9..3", "4..4", "..", "a..b", "18446744073709551615"] {
            assert!(parse(&["--seeds", range]).is_err(), "{range}");
        }
    }

    #[test]
    fn there_is_one_list_of_choices_at_most() {
        assert!(parse(&["--only", "s1.1", "--only-from", "list"]).is_err());
    }
}
