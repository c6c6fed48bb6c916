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
    free: u16,
    in_flight: u32,
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

/// A buffer that comes back: all is settled but the move of the buffer itself, which comes last so
/// that it is one move.
#[derive(Debug)]
pub(super) struct Reclaimed<'a, T> {
    buffer: &'a mut Option<T>,
    /// Bytes that count as written.
    pub(super) written: u32,
    /// Descriptors that it took.
    pub(super) count: u16,
}

impl<T> Reclaimed<'_, T> {
    /// Hands the buffer to `take`, with the bytes written.
    #[inline(always)]
    pub(super) fn give(self, take: impl FnOnce(T, u32)) {
        if let Some(buffer) = self.buffer.take() {
            take(buffer, self.written);
        }
    }
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
            in_flight: 0,
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

    /// Buffers in flight.
    #[inline]
    pub(super) const fn in_flight(&self) -> u16 {
        // No more than there are slots.
        self.in_flight as u16
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
    /// At least `chain.count` descriptors are free.
    #[inline(always)] // a call would cost as much as what it does
    pub(super) fn lend(&mut self, chain: Chain, buffer: T) {
        let head = self.free_head;
        self.free_head = self.next(self.last_of(head, chain.count));
        self.free = self.free.wrapping_sub(chain.count);
        if let Some(slot) = self.slots.get_mut(usize::from(head)) {
            // A free slot has no buffer; to forget it spares the look whether one is to be dropped.
            mem::forget(slot.buffer.replace(buffer));
            slot.writable = chain.writable;
            slot.count = chain.count;
            self.in_flight = self.in_flight.wrapping_add(1);
        }
    }

    /// Takes back the buffer that the device named. Without `IN_ORDER` only.
    #[inline(always)] // a call would cost as much as what it does
    pub(super) fn reclaim(&mut self, used: UsedElement) -> Result<Reclaimed<'_, T>, DeviceFault> {
        let unknown = DeviceFault::UnknownBuffer { id: used.id };
        let head = used.id as u16;
        let Some(slot) = self.slots.get(used.id as usize) else {
            return Err(unknown);
        };
        let written = slot.written(used, self.clamps)?;
        let count = slot.count;
        let free_head = self.free_head;
        let has_links = LINKED && count != 1;
        if has_links {
            cold_path();
            self.link(self.last_of(head, count), free_head);
        }

        let Some(slot) = self.slots.get_mut(usize::from(head)) else {
            return Err(unknown);
        };
        if !has_links {
            slot.next = free_head;
        }
        self.free_head = head;
        self.free = self.free.wrapping_add(count);
        self.in_flight = self.in_flight.wrapping_sub(1);
        Ok(Reclaimed {
            buffer: &mut slot.buffer,
            written,
            count,
        })
    }

    /// Takes back the oldest buffer, with `IN_ORDER`; says whether it is the one that was named.
    ///
    /// What the device names stands for all before it, too, and those it has used completely
    /// (virtio 1.2, 2.7.9 and 2.8.8). The caller comes again with the same element until the one that
    /// was named is reached.
    #[inline]
    pub(super) fn reclaim_in_order(
        &mut self,
        used: UsedElement,
    ) -> Result<(Reclaimed<'_, T>, bool), DeviceFault> {
        let unknown = DeviceFault::UnknownBuffer { id: used.id };
        let Some(mut slot) = self.slots.get(used.id as usize) else {
            return Err(unknown);
        };
        let mut written = slot.written(used, self.clamps)?;
        let is_named = self.is_oldest(used.id);
        let oldest = self.oldest;
        if !is_named {
            slot = self.slots.get(usize::from(oldest)).ok_or(unknown)?;
            written = slot.writable;
        }
        let count = slot.count;
        self.oldest = self.next(self.last_of(oldest, count));
        self.free = self.free.wrapping_add(count);
        self.in_flight = self.in_flight.wrapping_sub(1);
        let Some(slot) = self.slots.get_mut(usize::from(oldest)) else {
            return Err(unknown);
        };
        let reclaimed = Reclaimed {
            buffer: &mut slot.buffer,
            written,
            count,
        };
        Ok((reclaimed, is_named))
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
            self.free = self.free.wrapping_add(count);
            self.in_flight = self.in_flight.wrapping_sub(1);
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
    /// The bytes that count as written, if the chain that starts here is in flight, and the device
    /// can have written so many.
    #[inline(always)]
    fn written(&self, used: UsedElement, clamps: bool) -> Result<u32, DeviceFault> {
        if self.buffer.is_none() {
            cold_path();
            return Err(DeviceFault::UnknownBuffer { id: used.id });
        }
        if used.written > self.writable {
            return self.too_much(used, clamps);
        }
        Ok(used.written)
    }

    /// What counts if the device says that it wrote more than it can.
    #[cold]
    fn too_much(&self, used: UsedElement, clamps: bool) -> Result<u32, DeviceFault> {
        // Into a chain that the device only reads it wrote nothing, whatever it says: existing
        // devices leave arbitrary values there, and nobody uses them.
        if self.writable == 0 || !used.is_length {
            return Ok(0);
        }
        if clamps {
            return Ok(self.writable);
        }
        Err(DeviceFault::WroteTooMuch {
            claimed: used.written,
            writable: self.writable,
        })
    }
}
