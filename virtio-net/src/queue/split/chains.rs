//! What the driver knows of its descriptors: which are free, and what each buffer in flight took.
//!
//! All of it is private memory. The descriptor table, which the device could overwrite, is written
//! and never read; the links that the free list and the chains are made of are kept here.
//!
//! ```text
//! free_head -> 5 -> 2 -> 7 -> ...        links through `next`
//!
//! a chain of three taken from it: head 5, last 7; on its return 7 links to the old free_head
//! ```

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use super::super::{DeviceFault, QueueSize};

/// What is known of one descriptor, and of the chain if it is the head of one in flight.
#[derive(Debug)]
struct Slot<T> {
    /// The buffer of the chain that starts here.
    buffer: Option<T>,
    /// Bytes that the device may write into the chain that starts here.
    writable: u32,
    /// The descriptor after this one, in a chain or in the free list.
    next: u16,
    /// The last descriptor of the chain that starts here.
    last: u16,
    /// The number of descriptors of the chain that starts here.
    count: u16,
}

/// The driver's side of the descriptor table.
#[derive(Debug)]
pub(super) struct Chains<T> {
    slots: Vec<Slot<T>>,
    free_head: u16,
    free: u16,
    in_flight: u16,
}

/// Descriptors in use for one buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    pub(super) last: u16,
    pub(super) count: u16,
    pub(super) writable: u32,
}

impl<T> Chains<T> {
    /// All descriptors free.
    pub(super) fn new(size: QueueSize) -> Result<Self, TryReserveError> {
        let mut slots = Vec::new();
        slots.try_reserve_exact(usize::from(size.get()))?;
        slots.extend((0..size.get()).map(|index| Slot {
            buffer: None,
            writable: 0,
            next: index.wrapping_add(1) & size.mask(),
            last: index,
            count: 0,
        }));
        Ok(Self {
            slots,
            free_head: 0,
            free: size.get(),
            in_flight: 0,
        })
    }

    /// Free descriptors.
    #[inline]
    pub(super) const fn free(&self) -> u16 {
        self.free
    }

    /// Buffers in flight.
    #[inline]
    pub(super) const fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// The descriptor that the next chain starts with; meaningful while one is free.
    #[inline]
    pub(super) const fn free_head(&self) -> u16 {
        self.free_head
    }

    /// The free descriptor after `index`.
    #[inline]
    pub(super) fn next(&self, index: u16) -> u16 {
        self.slots
            .get(usize::from(index))
            .map_or(0, |slot| slot.next)
    }

    /// Takes `chain` off the front of the free list, for `buffer`.
    ///
    /// `chain.last` is reached from the head by `chain.count - 1` steps of [`next`](Self::next), and
    /// at least that many descriptors are free.
    #[inline]
    pub(super) fn lend(&mut self, chain: Chain, buffer: T) {
        let head = self.free_head;
        self.free_head = self.next(chain.last);
        self.free = self.free.wrapping_sub(chain.count);
        if let Some(slot) = self.slots.get_mut(usize::from(head)) {
            slot.buffer = Some(buffer);
            slot.writable = chain.writable;
            slot.last = chain.last;
            slot.count = chain.count;
            self.in_flight = self.in_flight.wrapping_add(1);
        }
    }

    /// Takes back the buffer whose chain starts at `id`, and says how many bytes of it count as
    /// written; the device says `written`.
    #[inline]
    pub(super) fn reclaim(&mut self, id: u32, written: u32) -> Result<(T, u32), DeviceFault> {
        let unknown = DeviceFault::UnknownBuffer { id };
        let head = u16::try_from(id).map_err(|_| unknown)?;
        let slot = self.slots.get_mut(usize::from(head)).ok_or(unknown)?;
        // A chain that the device only reads has nothing written, whatever the device says: existing
        // devices leave arbitrary values there, and nobody uses them.
        if slot.buffer.is_some() && slot.writable > 0 && written > slot.writable {
            return Err(DeviceFault::WroteTooMuch {
                claimed: written,
                writable: slot.writable,
            });
        }
        let buffer = slot.buffer.take().ok_or(unknown)?;
        let written = written.min(slot.writable);
        self.release(head);
        Ok((buffer, written))
    }

    /// Takes back any buffer at or after descriptor `from`, and says where it was.
    pub(super) fn reclaim_any(&mut self, from: u16) -> Option<(u16, T)> {
        let rest = self.slots.get_mut(usize::from(from)..)?;
        let (head, buffer) = (from..)
            .zip(rest)
            .find_map(|(head, slot)| Some((head, slot.buffer.take()?)))?;
        self.release(head);
        Some((head, buffer))
    }

    /// Puts the chain that starts at `head`, whose buffer was taken, back into the free list.
    #[inline]
    fn release(&mut self, head: u16) {
        let Some(slot) = self.slots.get(usize::from(head)) else {
            return;
        };
        let Slot { last, count, .. } = *slot;
        if let Some(slot) = self.slots.get_mut(usize::from(last)) {
            slot.next = self.free_head;
        }
        self.free_head = head;
        self.free = self.free.wrapping_add(count);
        self.in_flight = self.in_flight.wrapping_sub(1);
    }
}
