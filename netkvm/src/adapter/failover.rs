//! The adapter's pair, which is missing only while the adapter comes up.

use core::ffi::c_void;
use core::ptr::NonNull;

use ndis::chain::{Chain, ToComplete};
use ndis::shared::Shared;
use ndis_sys as sys;
use vioprot::pair::{Addresses, Pair};

/// The pair, or what an adapter without one does: everything on virtio.
pub(crate) struct PairOrNone<'a>(pub(super) Option<&'a Shared<Pair>>);

impl PairOrNone<'_> {
    pub(crate) fn send(&self, sends: Chain<ToComplete>, flags: u32) -> Option<Chain<ToComplete>> {
        match self.0 {
            Some(pair) => pair.send(sends, flags),
            None => Some(sends),
        }
    }

    pub(crate) fn is_on_vf(&self) -> bool {
        self.0.is_some_and(|pair| pair.is_on_vf())
    }

    pub(crate) fn standby_became_idle(&self) {
        if let Some(pair) = self.0 {
            pair.standby_became_idle();
        }
    }

    pub(crate) fn cancel_sends(&self, id: *mut c_void) {
        if let Some(pair) = self.0 {
            pair.cancel_sends(id.addr());
        }
    }

    pub(crate) fn cancel_request(&self, id: *mut c_void) {
        if let Some(pair) = self.0 {
            pair.cancel_request(id.addr());
        }
    }

    pub(crate) fn accept(
        &self,
        from: vioprot::copies::Path,
        addresses: Addresses,
        digest: impl FnOnce() -> u64,
    ) -> bool {
        self.0
            .is_none_or(|pair| pair.accept(from, addresses, digest))
    }

    pub(crate) fn forward(
        &self,
        oid: u32,
        data: &[u8],
        original: NonNull<sys::NDIS_OID_REQUEST>,
    ) -> bool {
        self.0.is_some_and(|pair| pair.forward(oid, data, original))
    }
}
