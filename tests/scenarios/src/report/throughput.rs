//! Bytes over time, per path, in bins of equal width.
//!
//! A run's length isn't known beforehand. The bins start narrow; whenever there are too many,
//! neighbours merge and the width doubles, so that memory and picture stay bounded.

use super::Path;

/// More bins than this are merged. A picture has fewer columns.
const MAX_BINS: usize = 1024;

/// What was delivered within one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    /// Payload bytes that the VF carried.
    pub vf_bytes: u64,
    /// Payload bytes that virtio carried.
    pub virtio_bytes: u64,
}

/// Bytes delivered over time.
#[derive(Clone, Debug)]
pub struct Throughput {
    bin_ns: u64,
    bins: Vec<Bin>,
}

impl Throughput {
    /// Starts with bins of 100 µs.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bin_ns: 100_000,
            bins: Vec::new(),
        }
    }

    /// Adds `bytes` that `path` delivered at `time_ns`. Times may come in any order.
    pub fn record(&mut self, time_ns: u64, path: Path, bytes: u64) {
        while time_ns / self.bin_ns >= MAX_BINS as u64 {
            self.widen();
        }
        let index = (time_ns / self.bin_ns) as usize;
        if index >= self.bins.len() {
            self.bins.resize(index + 1, Bin::default());
        }
        let bin = &mut self.bins[index];
        match path {
            Path::Vf => bin.vf_bytes += bytes,
            Path::Virtio => bin.virtio_bytes += bytes,
        }
    }

    /// Merges bins until there are at most `count`.
    pub fn coarsen(&mut self, count: usize) {
        while self.bins.len() > count.max(1) {
            self.widen();
        }
    }

    /// Width of a bin.
    #[must_use]
    pub fn bin_ns(&self) -> u64 {
        self.bin_ns
    }

    /// The bins from the start of the run on.
    #[must_use]
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    fn widen(&mut self) {
        let merged = self.bins.chunks(2).map(|pair| {
            pair.iter().fold(Bin::default(), |sum, bin| Bin {
                vf_bytes: sum.vf_bytes + bin.vf_bytes,
                virtio_bytes: sum.virtio_bytes + bin.virtio_bytes,
            })
        });
        self.bins = merged.collect();
        self.bin_ns *= 2;
    }
}

impl Default for Throughput {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(throughput: &Throughput) -> (u64, u64) {
        let bins = throughput.bins();
        (
            bins.iter().map(|b| b.vf_bytes).sum(),
            bins.iter().map(|b| b.virtio_bytes).sum(),
        )
    }

    #[test]
    fn bytes_land_in_the_bin_of_their_time_and_path() {
        let mut throughput = Throughput::new();
        throughput.record(0, Path::Vf, 10);
        throughput.record(99_999, Path::Vf, 5);
        throughput.record(200_000, Path::Virtio, 7);
        let expected = [
            Bin {
                vf_bytes: 15,
                virtio_bytes: 0,
            },
            Bin::default(),
            Bin {
                vf_bytes: 0,
                virtio_bytes: 7,
            },
        ];
        assert_eq!(throughput.bins(), expected);
    }

    #[test]
    fn a_long_run_keeps_its_sum_in_bounded_memory() {
        let mut throughput = Throughput::new();
        for step in 0..10_000 {
            let path = if step % 3 == 0 {
                Path::Virtio
            } else {
                Path::Vf
            };
            throughput.record(step * 1_000_003, path, 1);
        }
        assert!(throughput.bins().len() <= MAX_BINS);
        assert_eq!(sums(&throughput), (6_666, 3_334));
        let end = throughput.bins().len() as u64 * throughput.bin_ns();
        assert!(end > 9_999 * 1_000_003);
    }

    #[test]
    fn coarsening_merges_neighbours() {
        let mut throughput = Throughput::new();
        for bin in 0..5 {
            throughput.record(bin * 100_000, Path::Vf, bin + 1);
        }
        throughput.coarsen(3);
        assert_eq!(throughput.bin_ns(), 200_000);
        let bytes: Vec<_> = throughput.bins().iter().map(|bin| bin.vf_bytes).collect();
        assert_eq!(bytes, [3, 7, 5]);
    }
}
