//! NDIS ports of an adapter beyond the default one, which always exists.

use ndis_sys::{
    NDIS_DEFAULT_PORT_NUMBER, NDIS_HANDLE, NDIS_OBJECT_TYPE_PORT_CHARACTERISTICS,
    NDIS_PORT_CHARACTERISTICS, NDIS_PORT_NUMBER, NDIS_SIZEOF_PORT_CHARACTERISTICS_REVISION_1,
    NDIS_STATUS, NDIS_STATUS_INVALID_PORT, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
};

use crate::ndis::adapter::{self, attributes};
use crate::ndis::call::{Level, import};
use crate::ndis::{faults, header};
use crate::sched::BatonCell;

/// Largest port number (24 bits).
const LAST_PORT: NDIS_PORT_NUMBER = 0xff_ffff;

/// Ports by adapter.
static PORTS: BatonCell<Vec<(u64, NDIS_PORT_NUMBER)>> = BatonCell::new(Vec::new());

/// Microsoft Learn, NdisMAllocatePort function (ndis.h): the number goes into the
/// characteristics. The port is not active. IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `characteristics` points to the structure that its header says.
pub(crate) unsafe extern "efiapi" fn allocate(
    adapter_handle: NDIS_HANDLE,
    characteristics: *mut NDIS_PORT_CHARACTERISTICS,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMAllocatePort";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter::resolve(adapter_handle, CALL);
    attributes::require_registration(adapter, CALL);
    // SAFETY: the caller's contract.
    let object = unsafe { (*characteristics).Header };
    let kind = NDIS_OBJECT_TYPE_PORT_CHARACTERISTICS;
    let least = NDIS_SIZEOF_PORT_CHARACTERISTICS_REVISION_1;
    header::check(CALL, object, kind, &[(1, least)]);
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let number = PORTS.with(|ports| {
        let is_free = |number: &NDIS_PORT_NUMBER| !ports.contains(&(adapter.handle, *number));
        let number = (NDIS_DEFAULT_PORT_NUMBER + 1..=LAST_PORT).find(is_free)?;
        ports.push((adapter.handle, number));
        Some(number)
    });
    let Some(number) = number else {
        return NDIS_STATUS_RESOURCES;
    };
    // SAFETY: the caller's contract.
    unsafe { (*characteristics).PortNumber = number };
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisMFreePort function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(
    adapter_handle: NDIS_HANDLE,
    port: NDIS_PORT_NUMBER,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMFreePort";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let freed = PORTS.with(|ports| {
        let index = ports.iter().position(|of| *of == (adapter.handle, port));
        index.map(|index| ports.swap_remove(index)).is_some()
    });
    if freed {
        NDIS_STATUS_SUCCESS
    } else {
        NDIS_STATUS_INVALID_PORT
    }
}

/// Ports of an adapter, in words.
pub(crate) fn leaks_of(adapter: u64) -> Vec<String> {
    PORTS.with(|ports| {
        let of_adapter = ports.iter().filter(|(of, _)| *of == adapter);
        of_adapter.map(|(_, port)| format!("port {port}")).collect()
    })
}
