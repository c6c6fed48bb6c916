//! Seals: what an NBL looked like when it was handed over, to compare with what comes back.

use ndis_sys::{
    MDL, MDL_SOURCE_IS_NONPAGED_POOL, NBL_FLAGS_MINIPORT_RESERVED, NBL_FLAGS_NDIS_RESERVED,
    NBL_FLAGS_PROTOCOL_RESERVED, NDIS_STATUS, NET_BUFFER, NET_BUFFER_LIST,
};

pub(crate) use super::invariants::check_net_buffers;
use super::{raw, shadow};
use crate::verifier;

/// Slots that NDIS keeps for itself and for its extensions (table 1.X): WFP, correlation, switch
/// forwarding, IM.
const NDIS_SLOTS: [usize; 5] = [10, 13, 18, 19, 21];
/// The slot that the miniport rewrites when it completes a large send.
const LARGE_SEND_SLOT: usize = 2;

/// Which way the NBL was handed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Down, for sending.
    Send,
    /// Up, as received.
    Receive,
}

/// The sealed state of an NBL.
pub(crate) struct Seal {
    direction: Direction,
    source: u64,
    context: usize,
    contexts: usize,
    parent: usize,
    protocol_reserved: [usize; 4],
    miniport_reserved: [usize; 2],
    slots: [usize; 27],
    flags: u32,
    hints: u32,
    status: NDIS_STATUS,
    net_buffers: Vec<NetBufferSeal>,
}

#[derive(PartialEq, Eq)]
struct NetBufferSeal {
    address: usize,
    data: (u32, u32, usize, u32),
    protocol_reserved: [usize; 6],
    mdls: Vec<MdlSeal>,
}

#[derive(PartialEq, Eq)]
struct MdlSeal {
    address: usize,
    memory: (u32, usize, u32),
    /// Size, Process and StartVa, which nobody changes (rule 110).
    fixed: (i16, usize, usize),
}

impl Seal {
    /// Seals an NBL.
    ///
    /// # Safety
    ///
    /// `nbl` points to an NBL whose NET_BUFFER and MDL chains are valid.
    pub(crate) unsafe fn take(nbl: *mut NET_BUFFER_LIST, direction: Direction) -> Self {
        if !verifier::is_thorough() {
            return Self::blank(direction);
        }
        let contexts = shadow::with(nbl, "seal", |record| record.contexts.len());
        // SAFETY: the caller's contract.
        let (value, net_buffers) = unsafe { (*nbl, raw::net_buffers(nbl)) };
        Self {
            direction,
            source: value.SourceHandle.addr() as u64,
            context: value.Context.addr(),
            contexts,
            parent: value.ParentNetBufferList.addr(),
            protocol_reserved: value.ProtocolReserved.map(|word| word.addr()),
            miniport_reserved: value.MiniportReserved.map(|word| word.addr()),
            slots: value.NetBufferListInfo.map(|word| word.addr()),
            flags: value.Flags,
            hints: value.NblFlags,
            status: value.Status,
            // SAFETY: as above.
            net_buffers: unsafe { seal_net_buffers(&net_buffers) },
        }
    }

    /// A seal that says nothing: copying an NBL is more than light checks may cost.
    fn blank(direction: Direction) -> Self {
        Self {
            direction,
            source: 0,
            context: 0,
            contexts: 0,
            parent: 0,
            protocol_reserved: [0; 4],
            miniport_reserved: [0; 2],
            slots: [0; 27],
            flags: 0,
            hints: 0,
            status: 0,
            net_buffers: Vec::new(),
        }
    }

    /// Compares an NBL that comes back with its seal; every difference is a breach.
    ///
    /// # Safety
    ///
    /// As for [`Seal::take`].
    pub(crate) unsafe fn verify(&self, nbl: *mut NET_BUFFER_LIST, call: &str) {
        if !verifier::is_thorough() {
            return;
        }
        // SAFETY: the caller's contract.
        let now = unsafe { Self::take(nbl, self.direction) };
        self.verify_chains(&now, nbl, call);
        self.verify_slots(&now, nbl, call);
        self.verify_owned_words(&now, nbl, call);
        self.verify_flags(&now, nbl, call);
        verifier::require(
            91,
            now.contexts == self.contexts && now.context == self.context,
            || {
                format!(
                    "{call}: NBL {nbl:p} comes back with {} blocks of context space, handed over \
                 with {}",
                    now.contexts, self.contexts
                )
            },
        );
        verifier::require(105, now.parent == self.parent, || {
            format!("{call}: NBL {nbl:p} comes back with another parent")
        });
        // SAFETY: as above.
        let counted = unsafe { (*nbl).ChildRefCount };
        let children = shadow::with(nbl, call, |record| record.children);
        verifier::require(105, counted == 0 && children == 0, || {
            format!(
                "{call}: NBL {nbl:p} comes back with ChildRefCount {counted} and {children} NBLs \
                 derived from it"
            )
        });
    }

    fn verify_chains(&self, now: &Self, nbl: *mut NET_BUFFER_LIST, call: &str) {
        let same_chain = now.net_buffers.len() == self.net_buffers.len()
            && now
                .net_buffers
                .iter()
                .zip(&self.net_buffers)
                .all(|(a, b)| a.address == b.address);
        verifier::insist(117, same_chain, || {
            format!("{call}: NBL {nbl:p} comes back with another NET_BUFFER chain")
        });
        for (now, then) in now.net_buffers.iter().zip(&self.net_buffers) {
            verifier::require(109, now.data == then.data, || {
                let (a, b) = (then.data, now.data);
                format!(
                    "{call}: NBL {nbl:p}: NET_BUFFER {:#x} comes back with other data: offset {} \
                     length {} MDL offset {} became {} {} {}",
                    then.address, a.0, a.1, a.3, b.0, b.1, b.3
                )
            });
            let fixed = |mdls: &[MdlSeal]| mdls.iter().map(|mdl| mdl.fixed).collect::<Vec<_>>();
            let same_mdls = now.mdls.len() == then.mdls.len()
                && now
                    .mdls
                    .iter()
                    .zip(&then.mdls)
                    .all(|(a, b)| a.address == b.address);
            let unharmed = !same_mdls || fixed(&now.mdls) == fixed(&then.mdls);
            verifier::require(110, unharmed, || {
                format!(
                    "{call}: NBL {nbl:p} comes back with Size, Process or StartVa of an MDL \
                     changed"
                )
            });
            verifier::require(117, !unharmed || now.mdls == then.mdls, || {
                format!("{call}: NBL {nbl:p} comes back with another MDL chain")
            });
        }
    }

    fn verify_slots(&self, now: &Self, nbl: *mut NET_BUFFER_LIST, call: &str) {
        for (slot, (now, then)) in now.slots.iter().zip(&self.slots).enumerate() {
            if now == then || (self.direction == Direction::Send && slot == LARGE_SEND_SLOT) {
                continue;
            }
            let rule = if NDIS_SLOTS.contains(&slot) { 103 } else { 102 };
            verifier::breach(
                rule,
                format!(
                    "{call}: NBL {nbl:p} comes back with NetBufferListInfo[{slot}] {now:#x}, \
                     handed over with {then:#x}"
                ),
            );
        }
    }

    /// Rules 101, 104: flags and the status belong to certain roles.
    fn verify_flags(&self, now: &Self, nbl: *mut NET_BUFFER_LIST, call: &str) {
        let foreign = match self.direction {
            Direction::Send => NBL_FLAGS_PROTOCOL_RESERVED | NBL_FLAGS_NDIS_RESERVED,
            Direction::Receive => NBL_FLAGS_MINIPORT_RESERVED | NBL_FLAGS_NDIS_RESERVED,
        };
        verifier::require(104, (now.flags ^ self.flags) & foreign == 0, || {
            format!(
                "{call}: NBL {nbl:p} comes back with Flags {:#x}, handed over with {:#x}",
                now.flags, self.flags
            )
        });
        verifier::require(104, now.hints == self.hints, || {
            format!(
                "{call}: NBL {nbl:p} comes back with NblFlags {:#x}, handed over with {:#x}",
                now.hints, self.hints
            )
        });
        let untouched = self.direction == Direction::Send || now.status == self.status;
        verifier::require(101, untouched, || {
            format!(
                "{call}: Status of NBL {nbl:p} is {:#x}, written above the miniport",
                now.status
            )
        });
    }

    /// Words that belong to the one who handed the NBL over.
    fn verify_owned_words(&self, now: &Self, nbl: *mut NET_BUFFER_LIST, call: &str) {
        let rule = match self.direction {
            Direction::Send => 96,
            Direction::Receive => 288,
        };
        verifier::require(
            rule,
            now.protocol_reserved == self.protocol_reserved,
            || format!("{call}: ProtocolReserved of NBL {nbl:p} was written"),
        );
        let written = |(now, then): (&NetBufferSeal, &NetBufferSeal)| {
            now.protocol_reserved != then.protocol_reserved
        };
        verifier::require(
            97,
            !now.net_buffers.iter().zip(&self.net_buffers).any(written),
            || format!("{call}: ProtocolReserved of a NET_BUFFER of NBL {nbl:p} was written"),
        );
        if self.direction == Direction::Receive {
            verifier::require(288, now.miniport_reserved == self.miniport_reserved, || {
                format!("{call}: MiniportReserved of NBL {nbl:p} was written above the miniport")
            });
        }
        verifier::require(99, now.source == self.source, || {
            format!(
                "{call}: NBL {nbl:p} comes back with SourceHandle {:#x}, handed over with {:#x}",
                now.source, self.source
            )
        });
    }
}

/// # Safety
///
/// The pointers are to valid NET_BUFFERs.
unsafe fn seal_net_buffers(net_buffers: &[*mut NET_BUFFER]) -> Vec<NetBufferSeal> {
    net_buffers
        .iter()
        .map(|nb| {
            // SAFETY: the caller's contract.
            let value = unsafe { **nb };
            NetBufferSeal {
                address: nb.addr(),
                data: (
                    value.DataOffset,
                    value.DataLength,
                    value.CurrentMdl.addr(),
                    value.CurrentMdlOffset,
                ),
                protocol_reserved: value.ProtocolReserved.map(|word| word.addr()),
                // SAFETY: as above.
                mdls: unsafe { seal_mdls(value.MdlChain) },
            }
        })
        .collect()
}

/// # Safety
///
/// `first` is null or begins a valid MDL chain.
unsafe fn seal_mdls(first: *mut MDL) -> Vec<MdlSeal> {
    // SAFETY: the caller's contract.
    let chain = unsafe { raw::mdls(first) };
    let seal = |mdl: &*mut MDL| {
        // SAFETY: the caller's contract.
        let value = unsafe { **mdl };
        let built = value.MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL != 0;
        // An MDL that is only locked may be mapped meanwhile.
        let mapped = if built {
            value.MappedSystemVa.addr()
        } else {
            0
        };
        MdlSeal {
            address: mdl.addr(),
            memory: (value.ByteOffset, mapped, value.ByteCount),
            fixed: (value.Size, value.Process.addr(), value.StartVa.addr()),
        }
    };
    chain.iter().map(seal).collect()
}
