//! NDIS_BIND_PARAMETERS: what a protocol learns of an adapter before it binds.

use ndis_sys::{
    NDIS_BIND_PARAMETERS, NDIS_OBJECT_TYPE_BIND_PARAMETERS, NDIS_PORT,
    NDIS_SIZEOF_BIND_PARAMETERS_REVISION_4, NDIS_STRING, Zeroed,
};

use crate::ndis::adapter::Adapter;
use crate::ndis::adapter::lend::lend;
use crate::ndis::header;
use crate::ndis::protocols::ProtocolDriver;
use crate::ndis::text::OwnedString;
use crate::sched::BatonCell;

/// Bind parameters with everything that they point to.
pub(crate) struct BindParameters {
    value: NDIS_BIND_PARAMETERS,
    adapter: &'static Adapter,
    name: OwnedString,
    section: OwnedString,
    bound_name: OwnedString,
    rss: Option<Vec<u8>>,
    power: Option<Vec<u8>>,
    offload: Option<Vec<u8>>,
}

/// Bind parameters that are on loan, by address, with the adapter that they are of: the address
/// is also a handle for NdisOpenConfigurationEx (rule 219).
static ON_LOAN: BatonCell<Vec<(usize, &'static Adapter)>> = BatonCell::new(Vec::new());

/// The adapter whose bind parameters are at `address`, while a bind runs.
pub(crate) fn adapter_at(address: usize) -> Option<&'static Adapter> {
    ON_LOAN.with(|loans| {
        loans
            .iter()
            .find(|(at, _)| *at == address)
            .map(|(_, adapter)| *adapter)
    })
}

impl BindParameters {
    /// What NDIS tells `protocol` about `adapter`.
    pub(crate) fn of(protocol: &'static ProtocolDriver, adapter: &'static Adapter) -> Self {
        let mut value = NDIS_BIND_PARAMETERS::zeroed();
        value.Header = header::make(
            NDIS_OBJECT_TYPE_BIND_PARAMETERS,
            4,
            NDIS_SIZEOF_BIND_PARAMETERS_REVISION_4,
        );
        value.PhysicalDeviceObject =
            std::ptr::with_exposed_provenance_mut(adapter.node.objects().physical);
        (value.BoundIfIndex, value.BoundIfNetluid) = adapter.bound_interface();
        value.LowestIfIndex = adapter.if_index;
        value.LowestIfNetluid = adapter.luid();
        value.CompartmentId = 1;
        adapter.state.with(|state| {
            value.MediaConnectState = state.link.connect_state;
            value.XmitLinkSpeed = state.link.xmit_speed;
            value.RcvLinkSpeed = state.link.rcv_speed;
        });
        copy_general(&mut value, adapter);
        let (rss, power, offload) = adapter.state.with(|state| {
            let declared = &state.declared;
            (
                declared.rss.clone(),
                declared.power.clone(),
                declared.offload_default.clone(),
            )
        });
        // The section of a protocol's own parameters for this adapter.
        let guid = adapter.name.trim_start_matches(r"\Device\");
        let section = format!(
            r"{}\Services\{}\Parameters\Adapters\{guid}",
            crate::registry::CURRENT_CONTROL_SET,
            protocol.name
        );
        Self {
            value,
            adapter,
            name: OwnedString::new(&adapter.name),
            section: OwnedString::new(&section),
            bound_name: OwnedString::new(&adapter.name),
            rss,
            power,
            offload,
        }
    }

    /// Lends the parameters to `body`; after it they are gone.
    pub(crate) fn lend<R>(&mut self, body: impl FnOnce(&NDIS_BIND_PARAMETERS) -> R) -> R {
        let mut names: [NDIS_STRING; 3] = [
            self.name.as_raw(),
            self.section.as_raw(),
            self.bound_name.as_raw(),
        ];
        let mut port = NDIS_PORT::zeroed();
        let pointer_to = |bytes: &mut Option<Vec<u8>>| {
            bytes
                .as_mut()
                .map_or(std::ptr::null_mut(), |bytes| bytes.as_mut_ptr())
        };
        let mut value = self.value;
        value.AdapterName = &raw mut names[0];
        value.ProtocolSection = &raw mut names[1];
        value.BoundAdapterName = &raw mut names[2];
        value.ActivePorts = &raw mut port;
        value.RcvScaleCapabilities = pointer_to(&mut self.rss).cast();
        value.PowerManagementCapabilitiesEx = pointer_to(&mut self.power).cast();
        value.DefaultOffloadConfiguration = pointer_to(&mut self.offload).cast();
        let adapter = self.adapter;
        let (result, _) = lend(value, |place| {
            ON_LOAN.with(|loans| loans.push((place.addr(), adapter)));
            // SAFETY: `place` holds the parameters for the time of the call.
            let result = body(unsafe { &*place });
            ON_LOAN.with(|loans| loans.retain(|(at, _)| *at != place.addr()));
            result
        });
        result
    }
}

/// What comes from the general attributes.
fn copy_general(value: &mut NDIS_BIND_PARAMETERS, adapter: &'static Adapter) {
    let Some(general) = adapter.state.with(|state| state.declared.general) else {
        return;
    };
    value.MediaType = general.MediaType;
    value.PhysicalMediumType = general.PhysicalMediumType;
    value.MtuSize = general.MtuSize;
    value.MaxXmitLinkSpeed = general.MaxXmitLinkSpeed;
    value.MaxRcvLinkSpeed = general.MaxRcvLinkSpeed;
    value.MediaDuplexState = general.MediaDuplexState;
    value.LookaheadSize = general.LookaheadSize;
    value.SupportedPacketFilters = general.SupportedPacketFilters;
    value.MaxMulticastListSize = general.MaxMulticastListSize;
    value.MacAddressLength = general.MacAddressLength;
    value.CurrentMacAddress = general.CurrentMacAddress;
    value.AccessType = general.AccessType;
    value.DirectionType = general.DirectionType;
    value.ConnectionType = general.ConnectionType;
    value.IfType = general.IfType;
    value.IfConnectorPresent = general.IfConnectorPresent;
    value.DataBackFillSize = general.DataBackFillSize;
    value.ContextBackFillSize = general.ContextBackFillSize;
    value.MacOptions = general.MacOptions;
}
