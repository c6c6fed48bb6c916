//! The routines of ndis.sys for NBLs, NET_BUFFERs and MDLs.

use super::{contexts, copy, data, derived, list, mdl, net_buffer, pool, retreat};
use crate::ndis::dma::build;

/// Name and address of each routine.
pub(crate) fn table() -> Vec<(&'static str, usize)> {
    [lists(), parts(), derivation(), movement()].concat()
}

macro_rules! routines {
    ($($name:literal => $routine:path,)*) => {
        vec![$(($name, $routine as *const () as usize),)*]
    };
}

fn lists() -> Vec<(&'static str, usize)> {
    routines! {
        "NdisAllocateNetBufferListPool" => pool::allocate_pool,
        "NdisFreeNetBufferListPool" => pool::free_pool,
        "NdisAllocateNetBufferList" => list::allocate,
        "NdisAllocateNetBufferAndNetBufferList" => list::allocate_with_net_buffer,
        "NdisFreeNetBufferList" => list::free,
        "NdisGetPoolFromNetBufferList" => list::pool_of,
        "NdisGetNetBufferListProtocolId" => list::protocol_id,
        "NdisAllocateNetBufferListContext" => contexts::allocate,
        "NdisFreeNetBufferListContext" => contexts::free,
        "NdisCopySendNetBufferListInfo" => copy::copy_send_info,
        "NdisCopyReceiveNetBufferListInfo" => copy::copy_receive_info,
    }
}

fn parts() -> Vec<(&'static str, usize)> {
    routines! {
        "NdisAllocateNetBufferPool" => net_buffer::allocate_pool,
        "NdisFreeNetBufferPool" => net_buffer::free_pool,
        "NdisAllocateNetBuffer" => net_buffer::allocate,
        "NdisAllocateNetBufferMdlAndData" => net_buffer::allocate_with_data,
        "NdisFreeNetBuffer" => net_buffer::free,
        "NdisGetPoolFromNetBuffer" => net_buffer::pool_of,
        "NdisAllocateMdl" => mdl::allocate,
        "NdisFreeMdl" => mdl::free,
        "NdisGetDataBuffer" => data::get_buffer,
        "NdisCopyFromNetBufferToNetBuffer" => copy::copy_data,
        "NdisQueryNetBufferPhysicalCount" => copy::physical_count,
        "NdisBuildScatterGatherList" => build::build,
        "NdisFreeScatterGatherList" => build::free,
    }
}

fn derivation() -> Vec<(&'static str, usize)> {
    routines! {
        "NdisAllocateCloneNetBufferList" => derived::allocate_clone,
        "NdisFreeCloneNetBufferList" => derived::free_clone,
        "NdisAllocateFragmentNetBufferList" => derived::allocate_fragment,
        "NdisFreeFragmentNetBufferList" => derived::free_fragment,
        "NdisAllocateReassembledNetBufferList" => derived::allocate_reassembled,
        "NdisFreeReassembledNetBufferList" => derived::free_reassembled,
    }
}

fn movement() -> Vec<(&'static str, usize)> {
    routines! {
        "NdisAdvanceNetBufferDataStart" => retreat::advance,
        "NdisAdvanceNetBufferListDataStart" => retreat::advance_list,
        "NdisRetreatNetBufferDataStart" => retreat::retreat,
        "NdisRetreatNetBufferListDataStart" => retreat::retreat_list,
        "NdisAdjustNetBufferCurrentMdl" => data::adjust_current_mdl,
    }
}
