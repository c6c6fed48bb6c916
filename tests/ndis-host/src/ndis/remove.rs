//! NdisMRemoveMiniport: a miniport says that its device has failed.

use ndis_sys::{NDIS_HANDLE, NDIS_STATUS, NDIS_STATUS_SUCCESS};

use crate::ndis::adapter;
use crate::ndis::call::{Level, import};
use crate::{pnp, verifier};

/// Microsoft Learn, NdisMRemoveMiniport function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// NDIS removes the miniport later, as if the device had been removed in order.
pub(crate) unsafe extern "efiapi" fn remove_miniport(adapter_handle: NDIS_HANDLE) -> NDIS_STATUS {
    const CALL: &str = "NdisMRemoveMiniport";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let again = adapter
        .state
        .with(|state| std::mem::replace(&mut state.failed, true));
    verifier::note(format!("{CALL} of {}", adapter.name));
    if !again {
        pnp::on_miniport_failed(adapter);
    }
    NDIS_STATUS_SUCCESS
}
