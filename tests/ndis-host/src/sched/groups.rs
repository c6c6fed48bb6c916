//! Processor groups: CPUs are numbered through, and every so many of them form a group.
//!
//! The last group may be smaller than the others. What Windows calls the index of a processor is
//! its number here; within its group it has another.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Most CPUs of a group: a group's mask is 64 bits wide.
pub const LARGEST_GROUP: usize = 64;

/// CPUs of the machine. Set once, before there is a second thread; read in every mode without the
/// baton.
static CPUS: AtomicUsize = AtomicUsize::new(1);
/// CPUs of a full group.
static SIZE: AtomicUsize = AtomicUsize::new(LARGEST_GROUP);

/// Divides `cpus` CPUs into groups of `size`.
///
/// # Panics
///
/// When a group would be empty or too large.
pub(super) fn set(cpus: usize, size: usize) {
    assert!(
        (1..=LARGEST_GROUP).contains(&size),
        "a group has 1 to {LARGEST_GROUP} CPUs"
    );
    CPUS.store(cpus, Ordering::Relaxed);
    SIZE.store(size, Ordering::Relaxed);
}

fn size() -> usize {
    SIZE.load(Ordering::Relaxed)
}

/// How many groups there are.
pub fn groups() -> u16 {
    CPUS.load(Ordering::Relaxed).div_ceil(size()) as u16
}

/// The group of a CPU.
pub fn group_of(cpu: usize) -> u16 {
    (cpu / size()) as u16
}

/// The number that a CPU has in its group.
pub fn number_in_group(cpu: usize) -> u8 {
    (cpu % size()) as u8
}

/// The CPU of this number in a group; `None` when there is none.
pub fn cpu_of(group: u16, number: u8) -> Option<usize> {
    let first = usize::from(group) * size();
    let cpu = first + usize::from(number);
    let exists = usize::from(number) < size() && cpu < CPUS.load(Ordering::Relaxed);
    exists.then_some(cpu)
}

/// How many CPUs a group has; 0 for one that is not there.
pub fn cpus_of(group: u16) -> usize {
    let first = usize::from(group) * size();
    CPUS.load(Ordering::Relaxed)
        .saturating_sub(first)
        .min(size())
}

/// The CPUs of a group as a mask, one bit for each number.
pub fn mask_of(group: u16) -> u64 {
    match cpus_of(group) {
        0 => 0,
        count => u64::MAX >> (LARGEST_GROUP - count),
    }
}

/// The CPUs that a mask of a group names; bits without a CPU name none.
pub fn cpus_in(group: u16, mask: u64) -> impl Iterator<Item = usize> {
    let named = move |number: &u8| mask >> number & 1 == 1;
    (0..LARGEST_GROUP as u8)
        .filter(named)
        .filter_map(move |number| cpu_of(group, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test: the topology is one of the process.
    #[test]
    fn cpus_are_divided_into_groups_of_which_the_last_may_be_smaller() {
        set(7, 3);

        assert_eq!(groups(), 3);
        assert_eq!((0..4).map(cpus_of).collect::<Vec<_>>(), [3, 3, 1, 0]);
        assert_eq!((0..4).map(mask_of).collect::<Vec<_>>(), [7, 7, 1, 0]);
        assert_eq!((group_of(5), number_in_group(5)), (1, 2));
        assert_eq!(cpu_of(2, 0), Some(6));
        assert_eq!(cpu_of(2, 1), None);
        assert_eq!(cpu_of(0, 3), None);
        assert_eq!(cpus_in(1, 0b1101).collect::<Vec<_>>(), [3, 5]);

        set(64, 64);
        assert_eq!((groups(), mask_of(0)), (1, u64::MAX));
    }
}
