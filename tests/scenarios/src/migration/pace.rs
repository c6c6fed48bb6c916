//! The pace at which both ends give their bytes to TCP.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many bytes each end may have given so far.
pub(super) struct Pace {
    size: u64,
    per_tick: u64,
    allowed: AtomicU64,
    cap: AtomicU64,
}

impl Pace {
    /// Lets `size` bytes go in `ticks` ticks.
    pub(super) fn new(size: u64, ticks: u64) -> Arc<Self> {
        Arc::new(Self {
            size,
            per_tick: size.div_ceil(ticks),
            allowed: AtomicU64::new(0),
            cap: AtomicU64::new(size),
        })
    }

    /// A tick has passed.
    pub(super) fn advance(&self) {
        let allowed = self.allowed.load(Ordering::Relaxed) + self.per_tick;
        let cap = self.cap.load(Ordering::Relaxed);
        // A cap below what is allowed already takes nothing back.
        let allowed = allowed.min(cap).max(self.allowed.load(Ordering::Relaxed));
        self.allowed.store(allowed, Ordering::Relaxed);
    }

    /// Stops at a part of the size until the next call.
    pub(super) fn stop_at(&self, part: Part) {
        self.cap.store(part.of(self.size), Ordering::Relaxed);
    }

    /// `source` at this pace.
    pub(super) fn limit<R: Read>(self: &Arc<Self>, source: R) -> Paced<R> {
        Paced {
            source,
            pace: Arc::clone(self),
            given: 0,
        }
    }
}

/// A part of the bytes of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    percent: u64,
    /// In how many shares the bytes are divided: `percent` is of one of them.
    shares: u64,
}

impl Part {
    /// All bytes.
    pub(super) const ALL: Self = Self {
        percent: 100,
        shares: 1,
    };

    /// All of the shares before `share`, which counts from 0, and `percent` of that one.
    pub(super) fn until(share: u32, percent: u64, shares: u32) -> Self {
        Self {
            percent: u64::from(share) * 100 + percent,
            shares: u64::from(shares),
        }
    }

    /// That part of `size`.
    pub(super) fn of(self, size: u64) -> u64 {
        (u128::from(size) * u128::from(self.percent) / u128::from(100 * self.shares)) as u64
    }
}

/// A source that gives its bytes at a pace; ahead of it, it would block.
pub(super) struct Paced<R> {
    source: R,
    pace: Arc<Pace>,
    given: u64,
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.pace.allowed.load(Ordering::Relaxed) - self.given;
        if ready == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = buffer
            .len()
            .min(usize::try_from(ready).unwrap_or(usize::MAX));
        let read = self.source.read(&mut buffer[..len])?;
        self.given += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(from: &mut impl Read) -> Result<usize, ErrorKind> {
        from.read(&mut [0; 100]).map_err(|error| error.kind())
    }

    #[test]
    fn each_tick_lets_its_share_go() {
        let pace = Pace::new(1000, 100);
        let mut source = pace.limit(io::repeat(7));
        assert_eq!(read(&mut source), Err(ErrorKind::WouldBlock));
        pace.advance();
        pace.advance();
        assert_eq!(read(&mut source), Ok(20));
        assert_eq!(read(&mut source), Err(ErrorKind::WouldBlock));
    }

    #[test]
    fn the_cap_holds_until_it_is_lifted() {
        let pace = Pace::new(100, 2);
        pace.stop_at(Part::until(0, 60, 1));
        let mut source = pace.limit(io::repeat(7));
        (0..5).for_each(|_| pace.advance());
        assert_eq!(read(&mut source), Ok(60));
        pace.stop_at(Part::ALL);
        pace.advance();
        assert_eq!(read(&mut source), Ok(40));
    }

    #[test]
    fn shares_follow_each_other() {
        assert_eq!(Part::until(0, 30, 20).of(2000), 30);
        assert_eq!(Part::until(19, 80, 20).of(2000), 1980);
        assert_eq!(Part::ALL.of(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_cap_in_the_past_takes_nothing_back() {
        let pace = Pace::new(100, 2);
        let mut source = pace.limit(io::repeat(7));
        pace.advance();
        pace.stop_at(Part::until(0, 10, 1));
        pace.advance();
        assert_eq!(read(&mut source), Ok(50));
    }
}
