//! What a world is made of: the driver image, and what the seed decides before the machine runs.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use ndis_host::ntoskrnl::OsVersion;
use ndis_host::sched::{Mode, Settings};
use ndis_host::verifier::Checks;

use super::backend::Backend;

/// Most CPUs of a machine.
const MOST_CPUS: u64 = 4;

/// The driver image, read once.
#[derive(Clone)]
pub struct DriverImage(Arc<[u8]>);

impl DriverImage {
    /// Reads an image file.
    ///
    /// # Errors
    ///
    /// It can't be read.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        Ok(Self(bytes.into()))
    }

    /// What is in the file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a world is made of.
#[derive(Clone)]
pub struct WorldOptions {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// The driver image.
    pub image: DriverImage,
    /// Which Windows the machine runs.
    pub os: OsVersion,
    /// How many CPUs it has. One CPU is a machine, too.
    pub cpus: usize,
    /// How often the baton moves, and how fast time passes.
    pub settings: Settings,
    /// What the judge looks at.
    pub checks: Checks,
    /// What makes the adapter's device; none: it is the embedded one.
    pub backend: Option<Arc<dyn Backend>>,
}

impl WorldOptions {
    /// The options that a seed stands for. The machine doesn't run yet, so the seed chooses by
    /// itself.
    #[must_use]
    pub fn new(seed: u64, image: &DriverImage) -> Self {
        let mut draws = Draws::new(seed);
        let os = if seed.is_multiple_of(2) {
            OsVersion::NEWEST
        } else {
            OsVersion::BASELINE
        };
        Self {
            seed,
            image: image.clone(),
            os,
            cpus: 1 + draws.below(MOST_CPUS) as usize,
            settings: Settings {
                switch_one_in: draws.one_of(&[0, 16, 64, 64, 64, 256, 1024]),
                idle_one_in: draws.one_of(&[0, 2, 8, 8]),
                step_ns: draws.one_of(&[20, 50, 50, 200]),
                ..Settings::default()
            },
            checks: Checks::Thorough,
            backend: None,
        }
    }

    /// With a device of `backend`, in whose time the machine runs: freely.
    #[must_use]
    pub fn driving(self, backend: Arc<dyn Backend>) -> Self {
        let options = self.free_running(true);
        Self {
            backend: Some(backend),
            ..options
        }
    }

    /// On real threads and in real time, with the checks that cost little, if `free`.
    #[must_use]
    pub fn free_running(mut self, free: bool) -> Self {
        if free {
            self.settings.mode = Mode::FreeRunning;
            self.checks = Checks::Light;
        }
        self
    }
}

/// Numbers that a seed draws before there is a machine.
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below `n`, which is not zero.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n
    }

    /// One of several values, which may be listed more than once.
    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}
