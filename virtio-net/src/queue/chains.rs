//! What the driver knows of its descriptors: which are free, and what each buffer in flight took.
//!
//! All of it is private memory. Descriptors, which the device could overwrite, are written and never
//! read; the links that the free list and the chains are made of are kept here.
//!
//! ```text
//! free_head -> 5 -> 2 -> 7 -> ...        links through `next`
//!
//! a chain of three taken from it: head 5, last 7; on its return 7 links to the old free_head
//! ```
//!
//! A slot is a descriptor of a split queue. A packed queue, whose descriptors are taken in the order
//! of the ring, uses the slots as buffer numbers: a buffer takes one slot of the list, whatever
//! number of descriptors it counts.
//!
//! With `IN_ORDER` the list is a ring: slots are taken in order and come back in order, so that the
//! links never change (which the specification wants for the descriptors of a split queue: virtio
//! 1.2, 2.7.5), and the slots in flight are those from `oldest` up to `free_head`.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use super::{DeviceFault, QueueSize};

/// What is known of one slot, and of the chain if it is the head of one in flight.
#[derive(Debug)]
struct Slot<T> {
    /// The buffer of the chain that starts here.
    buffer: Option<T>,
    /// Bytes that the device may write into the chain that starts here.
    writable: u32,
    /// The slot after this one, in a chain or in the free list.
    next: u16,
    /// The last slot of the chain that starts here.
    last: u16,
    /// The number of descriptors of the chain that starts here.
    count: u16,
}

/// The driver's side of the descriptors.
#[derive(Debug)]
pub(super) struct Chains<T> {
    slots: Vec<Slot<T>>,
    free_head: u16,
    free: u16,
    in_flight: u16,
    in_order: bool,
    /// The head of the chain that was lent first of those in flight, if they come back in order.
    oldest: u16,
}

/// What is taken for one buffer: slots from the front of the free list on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    /// The last slot.
    pub(super) last: u16,
    /// Descriptors.
    pub(super) count: u16,
    /// Bytes that the device may write.
    pub(super) writable: u32,
}

/// What the device says of a buffer that it has used. Nothing of it is checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct UsedElement {
    pub(super) id: u32,
    /// Bytes it wrote.
    pub(super) written: u32,
}

/// A buffer taken back.
#[derive(Debug)]
pub(super) struct Reclaimed<T> {
    pub(super) buffer: T,
    /// Bytes that count as written.
    pub(super) written: u32,
    /// Descriptors that it took.
    pub(super) count: u16,
    /// Whether it is the one that the device named, and not one before it.
    pub(super) is_named: bool,
}

impl<T> Chains<T> {
    /// All descriptors free.
    pub(super) fn new(size: QueueSize, in_order: bool) -> Result<Self, TryReserveError> {
        let size = size.get();
        let mut slots = Vec::new();
        slots.try_reserve_exact(usize::from(size))?;
        slots.extend((1..=size).map(|next| Slot {
            buffer: None,
            writable: 0,
            next: if next < size { next } else { 0 },
            last: 0,
            count: 0,
        }));
        Ok(Self {
            slots,
            free_head: 0,
            free: size,
            in_flight: 0,
            in_order,
            oldest: 0,
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

    /// Whether buffers come back in the order in which they were lent.
    #[inline]
    pub(super) const fn in_order(&self) -> bool {
        self.in_order
    }

    /// The slot that the next chain starts with; meaningful while one is free.
    #[inline]
    pub(super) const fn free_head(&self) -> u16 {
        self.free_head
    }

    /// Whether `id` is the head of the chain that was lent first. With `IN_ORDER` only.
    #[inline]
    pub(super) const fn is_oldest(&self, id: u32) -> bool {
        self.oldest as u32 == id
    }

    /// The free slot after `index`.
    #[inline]
    pub(super) fn next(&self, index: u16) -> u16 {
        self.slots
            .get(usize::from(index))
            .map_or(0, |slot| slot.next)
    }

    /// Takes `chain` off the front of the free list, for `buffer`.
    ///
    /// `chain.last` is reached from the head by steps of [`next`](Self::next), and at least
    /// `chain.count` descriptors are free.
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

    /// Takes back the buffer whose chain starts at the slot that the device named.
    ///
    /// With `IN_ORDER` that may be one of several, of which it stands for all before it (virtio 1.2,
    /// 2.7.9 and 2.8.8): then it is the oldest that is taken back, and the caller comes again with the
    /// same element until the one that was named is reached.
    #[inline]
    pub(super) fn reclaim(&mut self, used: UsedElement) -> Result<Reclaimed<T>, DeviceFault> {
        let unknown = DeviceFault::UnknownBuffer { id: used.id };
        let head = u16::try_from(used.id).map_err(|_| unknown)?;
        if self.in_order && head != self.oldest {
            return self.reclaim_oldest_before(head).ok_or(unknown);
        }

        let slot = self.slots.get_mut(usize::from(head)).ok_or(unknown)?;
        // A chain that the device only reads has nothing written, whatever the device says: existing
        // devices leave arbitrary values there, and nobody uses them.
        if slot.buffer.is_some() && slot.writable > 0 && used.written > slot.writable {
            return Err(DeviceFault::WroteTooMuch {
                claimed: used.written,
                writable: slot.writable,
            });
        }
        let buffer = slot.buffer.take().ok_or(unknown)?;
        let written = used.written.min(slot.writable);
        let count = self.release(head);
        Ok(Reclaimed {
            buffer,
            written,
            count,
            is_named: true,
        })
    }

    /// Takes back the oldest buffer, if the chain that starts at `named` is in flight after it.
    ///
    /// The device is taken to have used it completely (virtio 1.2, 2.7.9 and 2.8.8).
    fn reclaim_oldest_before(&mut self, named: u16) -> Option<Reclaimed<T>> {
        self.slots.get(usize::from(named))?.buffer.as_ref()?;
        let slot = self.slots.get_mut(usize::from(self.oldest))?;
        let buffer = slot.buffer.take()?;
        let written = slot.writable;
        let count = self.release(self.oldest);
        Some(Reclaimed {
            buffer,
            written,
            count,
            is_named: false,
        })
    }

    /// Takes back all buffers, with no word from the device.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = T> {
        let mut from = 0;
        core::iter::from_fn(move || {
            if self.in_order {
                // In their order, so that what stays if the caller breaks off is still in order.
                from = self.oldest;
            }
            let rest = self.slots.get_mut(usize::from(from)..)?;
            let (head, buffer) = (from..)
                .zip(rest)
                .find_map(|(head, slot)| Some((head, slot.buffer.take()?)))?;
            from = head.wrapping_add(1);
            self.release(head);
            Some(buffer)
        })
    }

    /// Begins anew, with nothing in flight: with `IN_ORDER` from the first slot (virtio 1.2, 2.7.5).
    pub(super) const fn reset(&mut self) {
        if self.in_order {
            self.free_head = 0;
            self.oldest = 0;
        }
    }

    /// Frees the chain that starts at `head`, whose buffer was taken; says how many descriptors.
    #[inline]
    fn release(&mut self, head: u16) -> u16 {
        let Some(slot) = self.slots.get_mut(usize::from(head)) else {
            return 0;
        };
        let (last, count) = (slot.last, slot.count);
        self.free = self.free.wrapping_add(count);
        self.in_flight = self.in_flight.wrapping_sub(1);
        if self.in_order {
            self.oldest = self.next(last);
            return count;
        }
        if last == head {
            slot.next = self.free_head;
        } else if let Some(slot) = self.slots.get_mut(usize::from(last)) {
            slot.next = self.free_head;
        }
        self.free_head = head;
        count
    }
}
