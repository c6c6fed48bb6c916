//! What tests may see of adapters and bindings.

use super::adapter::{self, Adapter, AdapterState};
use super::bindings::BindingState;
use super::handles;
use super::native::AdapterHandle;

/// State of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterReport {
    /// `\Device\{GUID}`.
    pub name: String,
    /// The LUID of its interface.
    pub luid: u64,
    /// Its state.
    pub state: AdapterState,
    /// Its link, if the miniport has told.
    pub link_up: Option<bool>,
    /// How often its link went down.
    pub link_downs: u32,
    /// Changes of its link: virtual time in ns, and whether it went up.
    pub link_history: Vec<(u64, bool)>,
    /// NBLs that the miniport has to send.
    pub sends_out: usize,
    /// NBLs that have not been returned to the miniport.
    pub receives_out: usize,
    /// Its packet filter as the miniport knows it.
    pub packet_filter: u32,
    /// Its current address.
    pub mac: [u8; 6],
    /// The MTU that the miniport has declared, bytes.
    pub mtu: Option<u32>,
    /// Its bindings.
    pub bindings: Vec<BindingReport>,
}

/// State of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingReport {
    /// Name of the protocol.
    pub protocol: String,
    /// Its state.
    pub state: BindingState,
}

/// Reports on an adapter; `None` when it is halted.
pub fn adapter_report(adapter: AdapterHandle) -> Option<AdapterReport> {
    handles::lookup::<Adapter>(adapter.0).map(report)
}

/// Reports on all adapters.
pub fn adapters() -> Vec<AdapterReport> {
    adapter::all().into_iter().map(report).collect()
}

fn report(adapter: &'static Adapter) -> AdapterReport {
    let (link, packet_filter, mtu) = adapter.state.with(|state| {
        let general = state.declared.general;
        let mtu = general.map(|general| general.MtuSize);
        (state.link.clone(), state.filter.now.filter, mtu)
    });
    let describe = |binding: &'static super::bindings::Binding| BindingReport {
        protocol: binding.protocol.name.clone(),
        state: binding.phase(),
    };
    AdapterReport {
        name: adapter.name.clone(),
        luid: adapter.luid(),
        state: adapter.phase(),
        link_up: link.is_up(),
        link_downs: link.downs,
        link_history: link.history,
        sends_out: adapter.sends_out(),
        receives_out: adapter.receives_out(),
        packet_filter,
        mac: super::filter::own_address(adapter),
        mtu,
        bindings: adapter.bindings().into_iter().map(describe).collect(),
    }
}
