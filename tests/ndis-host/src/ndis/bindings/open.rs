//! NdisOpenAdapterEx and NdisCloseAdapterEx, done inside of the call or later by seed.

use ndis_sys::{
    NDIS_HANDLE, NDIS_OBJECT_TYPE_OPEN_PARAMETERS, NDIS_OPEN_PARAMETERS,
    NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1, NDIS_STATUS, NDIS_STATUS_ADAPTER_NOT_FOUND,
    NDIS_STATUS_PENDING, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NDIS_STATUS_UNSUPPORTED_MEDIA,
    NdisMedium802_3,
};

use super::bind::{BindOperation, UnbindOperation};
use super::{Binding, BindingState, Settings, State};
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::native::BindContext;
use crate::ndis::protocols::ProtocolDriver;
use crate::ndis::{faults, filter, handles, header, modules, text};
use crate::sched::{self, BatonCell};
use crate::verifier;

/// Microsoft Learn, NdisOpenAdapterEx function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are valid; `binding_handle` and `SelectedMediumIndex` stay so until the open
/// completes.
pub(crate) unsafe extern "efiapi" fn open(
    protocol_handle: NDIS_HANDLE,
    binding_context: NDIS_HANDLE,
    parameters: *mut NDIS_OPEN_PARAMETERS,
    bind_context: NDIS_HANDLE,
    binding_handle: *mut NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisOpenAdapterEx";
    import(CALL, Level::Passive);
    let protocol: &'static ProtocolDriver = handles::resolve(protocol_handle, CALL);
    let operation: &'static BindOperation = handles::resolve(bind_context, CALL);
    verifier::insist(229, operation.protocol.handle == protocol.handle, || {
        format!(
            "{CALL}: the bind context is of protocol {}",
            operation.protocol.name
        )
    });
    let again = operation.state.with(|state| state.binding.is_some());
    verifier::insist(229, !again, || {
        format!(
            "{CALL}: {} has been opened by this bind",
            operation.adapter.name
        )
    });
    // SAFETY: the caller's contract.
    let parameters = unsafe { *parameters };
    let least = NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1;
    header::check(
        CALL,
        parameters.Header,
        NDIS_OBJECT_TYPE_OPEN_PARAMETERS,
        &[(1, least)],
    );
    // SAFETY: the caller's contract.
    let name = unsafe { text::read(parameters.AdapterName) };
    if !verifier::require(
        230,
        name.eq_ignore_ascii_case(&operation.adapter.name),
        || format!("{CALL}: AdapterName {name:?} is not that of the bind parameters"),
    ) {
        return NDIS_STATUS_ADAPTER_NOT_FOUND;
    }
    let count = parameters.MediumArraySize as usize;
    // SAFETY: the caller's contract.
    let media = unsafe { std::slice::from_raw_parts(parameters.MediumArray, count) };
    let Some(index) = media.iter().position(|medium| *medium == NdisMedium802_3) else {
        verifier::breach(230, format!("{CALL}: Ethernet is not in MediumArray"));
        return NDIS_STATUS_UNSUPPORTED_MEDIA;
    };
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let binding = create(operation, binding_context.expose_provenance());
    let result = OpenResult {
        handle_at: binding_handle.expose_provenance(),
        index_at: parameters.SelectedMediumIndex.expose_provenance(),
        index: index as u32,
    };
    if sched::chance(2) {
        result.write(binding);
        binding.state.with(|state| state.opened = true);
        return NDIS_STATUS_SUCCESS;
    }
    sched::spawn("open completion", move || complete_open(binding, result));
    sched::point();
    NDIS_STATUS_PENDING
}

/// Where an open has to leave its results.
struct OpenResult {
    handle_at: usize,
    index_at: usize,
    index: u32,
}

impl OpenResult {
    fn write(&self, binding: &Binding) {
        let handle: *mut NDIS_HANDLE = std::ptr::with_exposed_provenance_mut(self.handle_at);
        let index: *mut u32 = std::ptr::with_exposed_provenance_mut(self.index_at);
        // SAFETY: the contract of `open`: both places are valid until the open completes.
        unsafe {
            handle.write(handles::raw(binding.handle));
            index.write(self.index);
        }
    }
}

fn complete_open(binding: &'static Binding, result: OpenResult) {
    result.write(binding);
    binding.state.with(|state| state.opened = true);
    callback(Callback::OpenComplete, binding.handle, || {
        binding
            .protocol
            .protocol
            .open_complete(binding.context, NDIS_STATUS_SUCCESS);
    });
}

fn create(operation: &'static BindOperation, context: usize) -> &'static Binding {
    let adapter = operation.adapter;
    let own = operation.protocol.module;
    verifier::require(
        297,
        own == modules::UNKNOWN || own != adapter.driver.module,
        || {
            format!(
                "{} opens {}, which is its own adapter",
                operation.protocol.name, adapter.name
            )
        },
    );
    let binding = handles::create(|handle| Binding {
        handle,
        protocol: operation.protocol,
        adapter,
        context,
        state: BatonCell::new(State {
            phase: BindingState::Opening,
            opened: false,
            pause_answered: false,
            asleep: false,
            filter: 0,
            multicast: Vec::new(),
            lookahead: 0,
            sends_out: 0,
            receives_out: 0,
            oids_out: 0,
            settings: Settings::default(),
            in_callback: 0,
        }),
    });
    adapter.state.with(|state| state.bindings.push(binding));
    operation.state.with(|state| state.binding = Some(binding));
    binding
}

/// Opens on behalf of a native protocol, which waits for the result. IRQL = PASSIVE_LEVEL.
pub(crate) fn open_and_wait(
    protocol: &'static ProtocolDriver,
    context: usize,
    bind: BindContext,
    adapter_name: &str,
) -> Result<u64, NDIS_STATUS> {
    let mut name = text::OwnedString::new(adapter_name);
    let mut raw_name = name.as_raw();
    let mut media = [NdisMedium802_3];
    // Both live until the wait below is over.
    let (mut index, mut handle) = (0u32, std::ptr::null_mut());
    let mut parameters: NDIS_OPEN_PARAMETERS = ndis_sys::zeroed();
    parameters.Header = header::make(
        NDIS_OBJECT_TYPE_OPEN_PARAMETERS,
        1,
        NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1,
    );
    parameters.AdapterName = &raw mut raw_name;
    parameters.MediumArray = media.as_mut_ptr();
    parameters.MediumArraySize = 1;
    parameters.SelectedMediumIndex = &raw mut index;
    // SAFETY: all pointers are to locals that outlive the open.
    let status = unsafe {
        open(
            handles::raw(protocol.handle),
            std::ptr::with_exposed_provenance_mut(context),
            &raw mut parameters,
            handles::raw(bind.0),
            &raw mut handle,
        )
    };
    if status != NDIS_STATUS_SUCCESS && status != NDIS_STATUS_PENDING {
        return Err(status);
    }
    let operation = handles::lookup::<BindOperation>(bind.0);
    let binding = operation.and_then(|operation| operation.state.with(|state| state.binding));
    let Some(binding) = binding else {
        return Err(NDIS_STATUS_RESOURCES);
    };
    sched::wait(
        "NdisOpenAdapterEx",
        || binding.state.with(|state| state.opened),
        None,
    );
    Ok(binding.handle)
}

/// Microsoft Learn, NdisCloseAdapterEx function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn close(binding_handle: NDIS_HANDLE) -> NDIS_STATUS {
    const CALL: &str = "NdisCloseAdapterEx";
    import(CALL, Level::Passive);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    let allowed =
        BindOperation::is_running_for(binding) || UnbindOperation::is_running_for(binding);
    verifier::insist(237, allowed, || {
        format!(
            "{CALL} of {} outside of bind and unbind, in {}",
            binding.describe(),
            call::stack()
        )
    });
    check_quiet(CALL, binding);
    binding.set_phase(BindingState::Closing);
    // From here on the handle is dead (rule 239).
    handles::close(binding.handle, CALL);
    if sched::chance(2) {
        finish_close(binding);
        return NDIS_STATUS_SUCCESS;
    }
    sched::spawn("close completion", move || {
        finish_close_with_callback(binding);
    });
    sched::point();
    NDIS_STATUS_PENDING
}

/// Rule 238: nothing of the protocol is out, and its settings are undone.
fn check_quiet(call: &str, binding: &'static Binding) {
    let (sends, receives, oids, settings) = binding.state.with(|state| {
        (
            state.sends_out,
            state.receives_out,
            state.oids_out,
            state.settings,
        )
    });
    let name = binding.describe();
    verifier::insist(238, sends == 0 && receives == 0 && oids == 0, || {
        format!("{call} of {name} with {sends} sends, {receives} receive NBLs, {oids} OIDs out")
    });
    // What was removed by surprise, or is in low power, refuses requests: its settings can't be
    // undone.
    if binding.adapter.is_surprise_removed() || binding.adapter.is_asleep() {
        return;
    }
    verifier::require(238, settings == Settings::default(), || {
        format!("{call} of {name}, which has not undone {settings:x?}")
    });
}

/// Takes the binding off the adapter; NDIS tells the miniport what the others still want.
fn take_off(binding: &'static Binding) {
    let (adapter, handle) = (binding.adapter, binding.handle);
    adapter
        .state
        .with(|state| state.bindings.retain(|other| other.handle != handle));
    filter::refresh(adapter);
}

fn finish_close(binding: &'static Binding) {
    take_off(binding);
    binding.set_phase(BindingState::Closed);
}

fn finish_close_with_callback(binding: &'static Binding) {
    // Closed before the callback: the protocol's waiting unbind may go on, and end, while the
    // callback is still on its way back.
    finish_close(binding);
    callback(Callback::CloseComplete, binding.handle, || {
        binding.protocol.protocol.close_complete(binding.context);
    });
}
