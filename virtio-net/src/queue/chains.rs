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
//! A slot is a descriptor of a split queue, where a buffer takes as many slots as descriptors
//! ([`Chains`] is `LINKED`). A packed queue, whose descriptors are taken in the order of the ring,
//! uses the slots as buffer numbers: a buffer takes one, whatever number of descriptors it counts.
//!
//! With `IN_ORDER` the list is a ring: slots are taken in order and come back in order, so that the
//! links never change (which the specification wants for the descriptors of a split queue: virtio
//! 1.2, 2.7.5), and the slots in flight are those from `oldest` up to `free_head`.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;
use core::hint::cold_path;
use core::mem;

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
    /// The number of descriptors of the chain that starts here.
    count: u16,
}

/// The driver's side of the descriptors.
#[derive(Debug)]
pub(super) struct Chains<T, const LINKED: bool> {
    slots: Vec<Slot<T>>,
    free_head: u16,
    /// Free descriptors; none once closed.
    free: u16,
    closed: bool,
    in_order: bool,
    /// The head of the chain that was lent first of those in flight, if they come back in order.
    oldest: u16,
    /// Whether a length that is too long counts as the longest possible, and is no fault.
    clamps: bool,
}

/// What is taken for one buffer, from the front of the free list on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
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
    /// Whether it says that `written` means something.
    pub(super) is_length: bool,
}

/// The oldest buffer of those in flight, on its return.
#[derive(Debug)]
pub(super) struct Oldest<T> {
    pub(super) buffer: T,
    /// Bytes that count as written.
    pub(super) written: u32,
    /// Descriptors that it took.
    pub(super) count: u16,
    /// Whether it is the one that the device named.
    pub(super) is_named: bool,
}

impl<T, const LINKED: bool> Chains<T, LINKED> {
    /// All descriptors free.
    pub(super) fn new(size: QueueSize, in_order: bool) -> Result<Self, TryReserveError> {
        let size = size.get();
        let mut slots = Vec::new();
        slots.try_reserve_exact(usize::from(size))?;
        slots.extend((1..=size).map(|next| Slot {
            buffer: None,
            writable: 0,
            next: if next < size { next } else { 0 },
            count: 0,
        }));
        Ok(Self {
            slots,
            free_head: 0,
            free: size,
            closed: false,
            in_order,
            oldest: 0,
            clamps: false,
        })
    }

    /// Takes lengths that are too long for the longest possible, from now on.
    pub(super) const fn clamp_lengths(&mut self) {
        self.clamps = true;
    }

    /// Free descriptors.
    #[inline]
    pub(super) const fn free(&self) -> u16 {
        self.free
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

    /// The slot after `index`, in the free list or in a chain.
    #[inline]
    pub(super) fn next(&self, index: u16) -> u16 {
        self.slots
            .get(usize::from(index))
            .map_or(0, |slot| slot.next)
    }

    /// Takes `chain` off the front of the free list, for `buffer`.
    ///
    /// At least `chain.count` descriptors are free, and `head` is [`free_head`](Self::free_head).
    #[inline(always)] // a call would cost as much as what it does
    pub(super) fn lend(&mut self, head: u16, chain: Chain, buffer: T) {
        let behind_links = if LINKED && chain.count != 1 {
            Some(self.next(self.last_of(head, chain.count)))
        } else {
            None
        };
        let Some(slot) = self.slots.get_mut(usize::from(head)) else {
            return;
        };
        // A free slot has no buffer; to forget it spares the look whether one is to be dropped.
        mem::forget(slot.buffer.replace(buffer));
        slot.writable = chain.writable;
        slot.count = chain.count;
        self.free_head = behind_links.unwrap_or(slot.next);
        self.free = self.free.wrapping_sub(chain.count);
    }

    /// Leaves no descriptor free until [`reset`](Self::reset), so that whoever looks for one need not
    /// ask, too, whether the queue has failed.
    pub(super) const fn close(&mut self) {
        self.free = 0;
        self.closed = true;
    }

    /// Gives `take` the buffer that the device named, with the bytes written, and says how many
    /// descriptors it took. Without `IN_ORDER` only.
    #[inline(always)] // a call would cost as much as what it does
    pub(super) fn reclaim(
        &mut self,
        used: UsedElement,
        take: impl FnOnce(T, u32),
    ) -> Result<u16, DeviceFault> {
        let clamps = &self.clamps;
        let Some(slot) = self.slots.get_mut(used.id as usize) else {
            return Err(DeviceFault::UnknownBuffer { id: used.id });
        };
        let (buffer, written) = slot.take(used, clamps)?;
        let count = slot.count;
        // A slot's number is less than 32768.
        let head = used.id as u16;
        if LINKED && count != 1 {
            cold_path();
            self.link(self.last_of(head, count), self.free_head);
        } else {
            slot.next = self.free_head;
        }
        self.free_head = head;
        self.free = self.free.wrapping_add(count);
        take(buffer, written);
        Ok(count)
    }

    /// Takes back the oldest buffer. With `IN_ORDER` only.
    ///
    /// What the device names stands for all before it, too, and those it has used completely
    /// (virtio 1.2, 2.7.9 and 2.8.8). The caller comes again with the same element until the one that
    /// was named is reached.
    #[inline]
    pub(super) fn reclaim_oldest(&mut self, used: UsedElement) -> Result<Oldest<T>, DeviceFault> {
        let unknown = DeviceFault::UnknownBuffer { id: used.id };
        let is_named = self.is_oldest(used.id);
        if !is_named {
            let named = self.slots.get(used.id as usize).ok_or(unknown)?;
            named.check(used, &self.clamps)?;
        }
        let (oldest, clamps) = (self.oldest, &self.clamps);
        let slot = self.slots.get_mut(usize::from(oldest)).ok_or(unknown)?;
        let (buffer, written) = if is_named {
            slot.take(used, clamps)?
        } else {
            (slot.buffer.take().ok_or(unknown)?, slot.writable)
        };
        let count = slot.count;
        self.oldest = if LINKED && count != 1 {
            self.next(self.last_of(oldest, count))
        } else {
            slot.next
        };
        self.free = self.free.wrapping_add(count);
        Ok(Oldest {
            buffer,
            written,
            count,
            is_named,
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
            let (head, slot) = (from..).zip(rest).find(|(_, slot)| slot.buffer.is_some())?;
            let buffer = slot.buffer.take()?;
            let count = slot.count;
            let last = self.last_of(head, count);
            from = head.wrapping_add(1);
            if self.in_order {
                self.oldest = self.next(last);
            } else {
                self.link(last, self.free_head);
                self.free_head = head;
            }
            if !self.closed {
                self.free = self.free.wrapping_add(count);
            }
            Some(buffer)
        })
    }

    /// Begins anew, with nothing in flight: with `IN_ORDER` from the first slot (virtio 1.2, 2.7.5).
    pub(super) fn reset(&mut self) {
        // No more than the 32768 of the largest queue.
        self.free = self.slots.len() as u16;
        self.closed = false;
        if self.in_order {
            self.free_head = 0;
            self.oldest = 0;
        }
    }

    /// The last slot of a chain of `count` descriptors that starts at `head`.
    #[inline]
    fn last_of(&self, head: u16, count: u16) -> u16 {
        let mut last = head;
        if LINKED {
            for _ in 1..count {
                last = self.next(last);
            }
        }
        last
    }

    /// Makes `next` the slot after `index`.
    fn link(&mut self, index: u16, next: u16) {
        if let Some(slot) = self.slots.get_mut(usize::from(index)) {
            slot.next = next;
        }
    }
}

impl<T> Slot<T> {
    /// The buffer of the chain that starts here, and the bytes that count as written.
    #[inline(always)]
    fn take(&mut self, used: UsedElement, clamps: &bool) -> Result<(T, u32), DeviceFault> {
        let Some(buffer) = self.buffer.take() else {
            cold_path();
            return Err(DeviceFault::UnknownBuffer { id: used.id });
        };
        match self.written(used, clamps) {
            Ok(written) => Ok((buffer, written)),
            Err(fault) => {
                cold_path();
                self.buffer = Some(buffer);
                Err(fault)
            }
        }
    }

    /// Whether the chain that starts here is in flight, and `used` possible.
    fn check(&self, used: UsedElement, clamps: &bool) -> Result<(), DeviceFault> {
        if self.buffer.is_none() {
            return Err(DeviceFault::UnknownBuffer { id: used.id });
        }
        self.written(used, clamps).map(|_| ())
    }

    /// The bytes that count as written, if the device can have written so many.
    #[inline(always)]
    fn written(&self, used: UsedElement, clamps: &bool) -> Result<u32, DeviceFault> {
        if used.written > self.writable {
            return self.too_much(used, clamps);
        }
        Ok(used.written)
    }

    /// What counts if the device says that it wrote more than it can.
    #[cold]
    fn too_much(&self, used: UsedElement, clamps: &bool) -> Result<u32, DeviceFault> {
        // Into a chain that the device only reads it wrote nothing, whatever it says: existing
        // devices leave arbitrary values there, and nobody uses them.
        if self.writable == 0 || !used.is_length {
            return Ok(0);
        }
        if *clamps {
            return Ok(self.writable);
        }
        Err(DeviceFault::WroteTooMuch {
            claimed: used.written,
            writable: self.writable,
        })
    }
}
