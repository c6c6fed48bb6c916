//! The command line of the migration scenario.

use std::path::{Path, PathBuf};

use clap::Parser;

/// Stream a file through the driver while the VF leaves and comes back.
#[derive(Clone, Debug, Parser)]
#[command(name = "migrate")]
pub struct MigrateArgs {
    /// File to stream in both directions [default: the driver image]
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// Fixes every random choice of the run: the same seed, the same run
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object instead of the table
    #[arg(long)]
    pub json: bool,
    /// Draw the throughput over time, with the path as colour
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// The driver image to load
    #[arg(long, value_name = "netkvm.sys", env = "NETKVM_SYS", hide = true)]
    pub image: PathBuf,
}

impl MigrateArgs {
    /// The file whose contents are streamed.
    #[must_use]
    pub fn payload(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.image)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Result<MigrateArgs, clap::Error> {
        let image = ["migrate", "--image", "netkvm.sys"];
        MigrateArgs::try_parse_from(image.iter().chain(args))
    }

    #[test]
    fn the_definition_is_consistent() {
        MigrateArgs::command().debug_assert();
    }

    #[test]
    fn without_a_file_the_image_itself_is_streamed() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.payload(), Path::new("netkvm.sys"));
        assert_eq!(args.seed, 1);
        assert!(!args.json);
    }

    #[test]
    fn every_option_is_taken() {
        let args = parse(&[
            "--file", "a.bin", "--seed", "7", "--json", "--plot", "p.svg",
        ])
        .unwrap();
        assert_eq!(args.payload(), Path::new("a.bin"));
        assert_eq!(args.seed, 7);
        assert!(args.json);
        assert_eq!(args.plot.as_deref(), Some(Path::new("p.svg")));
    }

    #[test]
    fn a_seed_that_is_no_number_is_refused() {
        assert!(parse(&["--seed", "x"]).is_err());
    }
}
