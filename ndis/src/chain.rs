//! NET_BUFFER_LISTs that are in our hands for a while, and what we owe for them.
//!
//! A send that NDIS gave us has to be completed ([`ToComplete`]); a receive indication that a
//! miniport below gave us has to be returned ([`ToReturn`]); what our own pool holds goes back
//! there ([`Own`]). [`Nbl`] and [`Chain`] are linear: they can't be copied, and the only ways out
//! of them are the calls that pay the debt. The duty is part of the type, so a list can't be paid
//! to the wrong creditor.

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};

use ndis_sys as sys;
use sys::NET_BUFFER_LIST;

use crate::frame::Frames;
use crate::memory::OutOfMemory;

/// A send to be completed with `NdisMSendNetBufferListsComplete`.
pub enum ToComplete {}
/// A receive indication to be returned with `NdisReturnNetBufferLists`.
pub enum ToReturn {}
/// A list of our own, from a pool of ours.
pub enum Own {}

/// Bytes that a list carries for us in its context space; see [`Nbl::push_context`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Context(pub [usize; 2]);

/// `sizeof(Context)`: a multiple of MEMORY_ALLOCATION_ALIGNMENT, as NDIS wants it.
const CONTEXT_SIZE: u16 = 16;
const _: () = assert!(size_of::<Context>() == CONTEXT_SIZE as usize);

/// One NET_BUFFER_LIST in our hands.
#[must_use = "somebody waits for this list"]
pub struct Nbl<D> {
    list: NonNull<NET_BUFFER_LIST>,
    duty: PhantomData<D>,
}

// SAFETY: who holds the value is the only one to touch the list, on whatever CPU.
unsafe impl<D> Send for Nbl<D> {}

impl<D> Nbl<D> {
    /// Takes charge of one list.
    ///
    /// # Safety
    ///
    /// The list is ours in the way that `D` says, and no other value stands for it.
    pub unsafe fn from_raw(list: NonNull<NET_BUFFER_LIST>) -> Self {
        Self {
            list,
            duty: PhantomData,
        }
    }

    /// Gives the list up; the debt goes with the pointer.
    pub fn into_raw(self) -> NonNull<NET_BUFFER_LIST> {
        self.list
    }

    /// The address of the list, to recognise it by.
    #[must_use]
    pub fn as_ptr(&self) -> *mut NET_BUFFER_LIST {
        self.list.as_ptr()
    }

    /// The list's fields, for reading.
    #[must_use]
    pub fn fields(&self) -> &NET_BUFFER_LIST {
        // SAFETY: the list is ours and alive; nobody else writes it meanwhile.
        unsafe { self.list.as_ref() }
    }

    /// The list's fields, for writing those that its owner may write.
    pub fn fields_mut(&mut self) -> &mut NET_BUFFER_LIST {
        // SAFETY: the list is ours and alive, and `self` is borrowed alone.
        unsafe { self.list.as_mut() }
    }

    /// The frames (NET_BUFFERs) of the list.
    #[must_use]
    pub fn frames(&self) -> Frames<'_> {
        // SAFETY: the chain of NET_BUFFERs belongs to the list that we own.
        unsafe { Frames::from_raw(self.fields().FirstNetBuffer) }
    }

    /// The identifier by which a sender may cancel this send (slot 5).
    #[must_use]
    pub fn cancel_id(&self) -> *mut core::ffi::c_void {
        self.info(sys::NetBufferListCancelId)
    }

    /// A slot of the list's out-of-band information.
    #[must_use]
    pub fn info(&self, slot: i32) -> *mut core::ffi::c_void {
        usize::try_from(slot)
            .ok()
            .and_then(|slot| self.fields().NetBufferListInfo.get(slot))
            .map_or(ptr::null_mut(), |value| *value)
    }

    /// Stacks `value` on the list's context space, where it stays with the list until
    /// [`Self::pop_context`]. The only memory in a list of somebody else's that is free for us:
    /// the reserved fields and the out-of-band slots have owners. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`]; the list is unchanged.
    pub fn push_context(&mut self, value: Context) -> Result<(), OutOfMemory> {
        // SAFETY: the list is ours; the sizes are multiples of 16 and the tag isn't zero.
        let status = unsafe {
            sys::NdisAllocateNetBufferListContext(
                self.list.as_ptr(),
                CONTEXT_SIZE,
                0,
                crate::POOL_TAG,
            )
        };
        if status != sys::NDIS_STATUS_SUCCESS {
            return Err(OutOfMemory);
        }
        if let Some(slot) = self.context_slot() {
            // SAFETY: the newest context has CONTEXT_SIZE bytes at its data start.
            unsafe { slot.write_unaligned(value) };
        }
        Ok(())
    }

    /// The value that the last [`Self::push_context`] stacked.
    #[must_use]
    pub fn context(&self) -> Option<Context> {
        // SAFETY: the newest context is ours, and was written when it was made.
        self.context_slot()
            .map(|slot| unsafe { slot.read_unaligned() })
    }

    /// Takes the newest value off the context space again.
    pub fn pop_context(&mut self) -> Option<Context> {
        let value = self.context()?;
        if cfg!(mutant = "leak_context") {
            return Some(value);
        }
        // SAFETY: frees exactly what `push_context` allocated, last in first out.
        unsafe { sys::NdisFreeNetBufferListContext(self.list.as_ptr(), CONTEXT_SIZE) };
        Some(value)
    }

    /// `NET_BUFFER_LIST_CONTEXT_DATA_START`.
    fn context_slot(&self) -> Option<*mut Context> {
        let context = NonNull::new(self.fields().Context)?;
        // SAFETY: a context that hangs on a live list is alive.
        let offset = unsafe { context.as_ref() }.Offset;
        let data = size_of::<sys::NET_BUFFER_LIST_CONTEXT>().wrapping_add(usize::from(offset));
        Some(context.as_ptr().wrapping_byte_add(data).cast())
    }
}

/// Lists of one kind of debt, in order, linked through their `Next` fields.
#[must_use = "somebody waits for these lists"]
pub struct Chain<D> {
    head: *mut NET_BUFFER_LIST,
    tail: *mut NET_BUFFER_LIST,
    len: u32,
    duty: PhantomData<D>,
}

// SAFETY: who holds the value is the only one to touch its lists, on whatever CPU.
unsafe impl<D> Send for Chain<D> {}

impl<D> Chain<D> {
    /// No lists.
    pub const fn empty() -> Self {
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            len: 0,
            duty: PhantomData,
        }
    }

    /// Takes charge of the lists that are linked from `head`, which may be null.
    ///
    /// # Safety
    ///
    /// Every list of the chain is ours in the way that `D` says, and no other value stands for it;
    /// the chain ends with a null `Next`.
    pub unsafe fn from_raw(head: *mut NET_BUFFER_LIST) -> Self {
        let mut chain = Self {
            head,
            tail: head,
            len: 0,
            duty: PhantomData,
        };
        let mut next = head;
        while let Some(list) = NonNull::new(next) {
            chain.tail = next;
            chain.len = chain.len.wrapping_add(1);
            // SAFETY: the list is ours and alive, by contract.
            next = unsafe { list.as_ref() }.Next;
        }
        chain
    }

    /// Gives the lists up as a null-terminated chain and their number; the debts go with them.
    pub fn into_raw(self) -> (*mut NET_BUFFER_LIST, u32) {
        (self.head, self.len)
    }

    /// How many lists there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Adds `list` at the end.
    pub fn push(&mut self, list: Nbl<D>) {
        let raw = list.into_raw().as_ptr();
        self.append(
            Self {
                head: raw,
                tail: raw,
                len: 1,
                duty: PhantomData,
            }
            .terminated(),
        );
    }

    /// Adds `more` at the end.
    pub fn append(&mut self, more: Self) {
        let (head, tail, len) = (more.head, more.tail, more.len);
        match NonNull::new(self.tail) {
            // SAFETY: the tail is a list of ours.
            Some(mut last) => unsafe { last.as_mut() }.Next = head,
            None => self.head = head,
        }
        if !tail.is_null() {
            self.tail = tail;
        }
        self.len = self.len.wrapping_add(len);
    }

    /// Takes the first list out.
    pub fn pop(&mut self) -> Option<Nbl<D>> {
        let mut first = NonNull::new(self.head)?;
        // SAFETY: the head is a list of ours.
        let fields = unsafe { first.as_mut() };
        self.head = fields.Next;
        fields.Next = ptr::null_mut();
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        self.len = self.len.wrapping_sub(1);
        // SAFETY: the list was ours through the chain and has just left it.
        Some(unsafe { Nbl::from_raw(first) })
    }

    /// Looks at the first list.
    #[must_use]
    pub fn first(&self) -> Option<&NET_BUFFER_LIST> {
        // SAFETY: the head is null or a list of ours, which the borrow of the chain keeps so.
        unsafe { self.head.as_ref() }
    }

    /// Takes all lists out.
    pub fn take(&mut self) -> Self {
        core::mem::replace(self, Self::empty())
    }

    /// Calls `visit` on every list in order.
    pub fn for_each(&mut self, mut visit: impl FnMut(&mut Nbl<D>)) {
        let mut next = self.head;
        while let Some(list) = NonNull::new(next) {
            // SAFETY: the list is ours through the chain, which is borrowed alone; the value is
            // not dropped and does not outlive the visit.
            let mut nbl = ManuallyDrop::new(unsafe { Nbl::<D>::from_raw(list) });
            next = nbl.fields().Next;
            visit(&mut nbl);
        }
    }

    /// Moves every list into one of two chains: those that `chosen` says yes to, and the others.
    pub fn partition(mut self, mut chosen: impl FnMut(&mut Nbl<D>) -> bool) -> (Self, Self) {
        let (mut yes, mut no) = (Self::empty(), Self::empty());
        while let Some(mut list) = self.pop() {
            if chosen(&mut list) {
                yes.push(list)
            } else {
                no.push(list)
            }
        }
        (yes, no)
    }

    fn terminated(self) -> Self {
        if let Some(mut last) = NonNull::new(self.tail) {
            // SAFETY: the tail is a list of ours.
            unsafe { last.as_mut() }.Next = ptr::null_mut();
        }
        self
    }
}

impl Chain<ToComplete> {
    /// Sets the status that the senders will see.
    pub fn set_status(&mut self, status: sys::NDIS_STATUS) {
        self.for_each(|list| list.fields_mut().Status = status);
    }

    /// Completes the sends: the debt is paid. IRQL <= DISPATCH_LEVEL, no lock held.
    ///
    /// # Safety
    ///
    /// The lists came from the miniport adapter `miniport`, which is not halted.
    pub unsafe fn complete(self, miniport: sys::NDIS_HANDLE, at_dispatch: bool) {
        if self.is_empty() {
            return;
        }
        let flags = if at_dispatch {
            sys::NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL
        } else {
            0
        };
        // SAFETY: the lists are ours to complete, each once since a chain holds it once.
        unsafe { sys::NdisMSendNetBufferListsComplete(miniport, self.into_raw().0, flags) };
    }
}

impl Chain<ToReturn> {
    /// Returns the indicated lists: the debt is paid. IRQL <= DISPATCH_LEVEL, no lock held.
    ///
    /// # Safety
    ///
    /// The lists were indicated on the binding `binding`, which is not closed.
    pub unsafe fn give_back(self, binding: sys::NDIS_HANDLE, at_dispatch: bool) {
        if self.is_empty() {
            return;
        }
        let flags = if at_dispatch {
            sys::NDIS_RETURN_FLAGS_DISPATCH_LEVEL
        } else {
            0
        };
        // SAFETY: the lists are ours to return, each once since a chain holds it once.
        unsafe { sys::NdisReturnNetBufferLists(binding, self.into_raw().0, flags) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists<const N: usize>() -> [NET_BUFFER_LIST; N] {
        core::array::from_fn(|_| sys::zeroed())
    }

    fn owned(list: &mut NET_BUFFER_LIST) -> Nbl<Own> {
        // SAFETY: the test owns the list and makes one value for it.
        unsafe { Nbl::from_raw(NonNull::from(list)) }
    }

    #[test]
    fn a_chain_keeps_order_through_push_append_and_pop() {
        let mut storage = lists::<4>();
        let addresses: Vec<_> = storage.iter().map(ptr::from_ref).collect();
        let [a, b, c, d] = &mut storage;
        let (mut front, mut back) = (Chain::empty(), Chain::empty());
        front.push(owned(a));
        front.push(owned(b));
        back.push(owned(c));
        back.push(owned(d));
        front.append(back);
        assert_eq!(front.len(), 4);
        let popped: Vec<_> = core::iter::from_fn(|| front.pop())
            .map(|list| list.as_ptr().cast_const())
            .collect();
        assert_eq!(popped, addresses);
        assert!(front.is_empty());
        assert_eq!(front.into_raw(), (ptr::null_mut(), 0));
    }

    #[test]
    fn a_raw_chain_is_counted_and_ends() {
        let mut storage = lists::<3>();
        let mut chain = Chain::empty();
        for list in &mut storage {
            chain.push(owned(list));
        }
        let (head, len) = chain.into_raw();
        // SAFETY: the chain was given up in the line above.
        let again = unsafe { Chain::<Own>::from_raw(head) };
        assert_eq!((len, again.len()), (3, 3));
        let _ = again.into_raw();
    }

    #[test]
    fn partition_loses_nothing() {
        let mut storage = lists::<5>();
        let mut chain = Chain::empty();
        for (index, list) in (0..).zip(&mut storage) {
            list.Status = index;
            chain.push(owned(list));
        }
        let (even, odd) = chain.partition(|list| list.fields().Status % 2 == 0);
        assert_eq!((even.len(), odd.len()), (3, 2));
        let _ = (even.into_raw(), odd.into_raw());
    }
}
