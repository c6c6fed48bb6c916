//! Pools, and what is allocated from them: rules 87 to 93.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ndis_host::ndis::api;
use ndis_host::pnp;
use ndis_sys::{
    DRIVER_OBJECT, NDIS_HANDLE, NDIS_PROTOCOL_ID_TCP_IP, NET_BUFFER_LIST, NTSTATUS, STATUS_SUCCESS,
    UNICODE_STRING, Zeroed,
};

use super::calls::*;
use crate::bench::{bench, frame};
use crate::native::{breaks, holds, linked};
use crate::native::{nic, stack};

#[test]
fn r087_breaks_when_an_nbl_is_from_no_pool() {
    breaks!(87, || {
        let mut nbl = NET_BUFFER_LIST::zeroed();
        free_nbl(&raw mut nbl);
    });
}

#[test]
fn r087_holds_when_an_nbl_is_from_a_pool() {
    holds!(|| {
        let mut parameters = pool_parameters();
        parameters.ProtocolId = NDIS_PROTOCOL_ID_TCP_IP;
        parameters.ContextSize = 32;
        parameters.DataSize = 1500;
        let pool = allocate_pool(ptr::null_mut(), parameters);
        let nbl = allocate_nbl(pool, 16, 16);
        assert_eq!(pool_of(nbl), pool);
        assert_eq!(protocol_of(nbl), NDIS_PROTOCOL_ID_TCP_IP);
        // SAFETY: the NBL is ours, and its pool preallocates all of this.
        unsafe {
            assert_eq!((*(*nbl).Context).Size, 64);
            assert_eq!((*(*nbl).Context).Offset, 16);
            assert_eq!((*(*first(nbl)).MdlChain).ByteCount, 1500);
        }
        free_nbl(nbl);
        free_pool(pool);
    });
}

#[test]
fn r088_breaks_when_a_pool_has_no_tag() {
    breaks!(88, || {
        let mut parameters = pool_parameters();
        parameters.PoolTag = 0;
        allocate_pool(ptr::null_mut(), parameters);
    });
}

#[test]
fn r088_breaks_when_a_net_buffer_pool_has_no_tag() {
    breaks!(88, || {
        new_nb_pool(0, 0);
    });
}

#[test]
fn r088_breaks_when_a_context_size_is_odd() {
    breaks!(88, || {
        let mut parameters = pool_parameters();
        parameters.ContextSize = 8;
        allocate_pool(ptr::null_mut(), parameters);
    });
}

#[test]
fn r088_breaks_when_a_pool_has_data_without_net_buffers() {
    breaks!(88, || {
        let mut parameters = pool_parameters();
        parameters.fAllocateNetBuffer = 0;
        parameters.DataSize = 100;
        allocate_pool(ptr::null_mut(), parameters);
    });
}

#[test]
fn r088_breaks_when_a_miniport_names_a_protocol() {
    breaks!(88, || pool_of_a_miniport(NDIS_PROTOCOL_ID_TCP_IP));
}

#[test]
fn r088_holds_when_a_miniport_names_none() {
    holds!(|| pool_of_a_miniport(0));
}

fn pool_of_a_miniport(protocol: u8) {
    let (nic, ..) = bench(nic::Fault::None, stack::Fault::None);
    let adapter: NDIS_HANDLE = ptr::without_provenance_mut(nic.adapter().0 as usize);
    let mut parameters = pool_parameters();
    parameters.ProtocolId = protocol;
    free_pool(allocate_pool(adapter, parameters));
}

#[test]
fn r089_breaks_when_a_pool_has_no_net_buffers() {
    breaks!(89, || {
        let mut parameters = pool_parameters();
        parameters.fAllocateNetBuffer = 0;
        let pool = allocate_pool(ptr::null_mut(), parameters);
        allocate_with(pool, 0, 0, new_mdl(64), 0, 64);
    });
}

#[test]
fn r089_breaks_when_a_pool_has_data_of_its_own() {
    breaks!(89, || {
        allocate_with(new_data_pool(64), 0, 0, new_mdl(64), 0, 64);
    });
}

#[test]
fn r089_holds_when_a_pool_has_net_buffers_without_data() {
    holds!(|| {
        let pool = new_pool();
        let mdl = new_mdl(64);
        let nbl = allocate_with(pool, 0, 0, mdl, 4, 60);
        free_nbl(nbl);
        free_mdl_and_memory(mdl);
        free_pool(pool);
    });
}

#[test]
fn r090_breaks_when_a_preallocated_net_buffer_is_freed() {
    breaks!(90, || free_nb(first(allocate_nbl(new_pool(), 0, 0))));
}

#[test]
fn r090_breaks_when_a_preallocated_mdl_is_freed() {
    breaks!(90, || {
        let nbl = allocate_nbl(new_data_pool(100), 0, 0);
        // SAFETY: the NBL is ours, and its pool preallocates the MDL.
        free_mdl(unsafe { (*first(nbl)).MdlChain });
    });
}

#[test]
fn r090_breaks_when_an_nbl_is_freed_with_a_net_buffer_of_another_pool() {
    breaks!(90, || borrowed_net_buffer(false));
}

#[test]
fn r090_holds_when_a_net_buffer_of_another_pool_is_unlinked() {
    holds!(|| borrowed_net_buffer(true));
}

fn borrowed_net_buffer(unlink: bool) {
    let (pool, nb_pool) = (new_pool(), new_nb_pool(TAG, 0));
    let (nbl, nb) = (
        allocate_nbl(pool, 0, 0),
        allocate_nb(nb_pool, ptr::null_mut(), 0, 0),
    );
    assert_eq!(pool_of_nb(nb), nb_pool);
    // SAFETY: both are ours.
    unsafe {
        (*first(nbl)).Next = nb;
        if unlink {
            (*first(nbl)).Next = ptr::null_mut();
        }
    }
    free_nbl(nbl);
    free_nb(nb);
    free_nb_pool(nb_pool);
    free_pool(pool);
}

#[test]
fn r091_breaks_when_context_space_is_given_back_in_another_order() {
    breaks!(91, || two_contexts(16, 32));
}

#[test]
fn r091_holds_when_the_latest_context_space_is_given_back_first() {
    holds!(|| two_contexts(32, 16));
}

fn two_contexts(first: u16, second: u16) {
    let pool = new_pool();
    let nbl = allocate_nbl(pool, 0, 0);
    take_context(nbl, 16, 0, TAG);
    take_context(nbl, 32, 0, TAG);
    give_context(nbl, first);
    give_context(nbl, second);
    free_nbl(nbl);
    free_pool(pool);
}

#[test]
fn r091_breaks_when_an_nbl_is_freed_with_context_space() {
    breaks!(91, || {
        let nbl = allocate_nbl(new_pool(), 0, 0);
        take_context(nbl, 16, 0, TAG);
        free_nbl(nbl);
    });
}

#[test]
fn r091_breaks_when_a_miniport_keeps_context_space() {
    breaks!(91, || {
        nic::meddle_with_sends(|nbl| {
            take_context(nbl, 16, 0, TAG);
        });
        super::fields::send_one();
    });
}

#[test]
fn r091_holds_when_a_miniport_gives_context_space_back() {
    holds!(|| {
        nic::meddle_with_sends(|nbl| {
            take_context(nbl, 16, 0, TAG);
            give_context(nbl, 16);
        });
        super::fields::send_one();
    });
}

#[test]
fn r092_breaks_when_an_nbl_is_leaked() {
    breaks!(92, || {
        let (_, _, device) = bench(nic::Fault::LeakNbl, stack::Fault::None);
        pnp::remove_device(device);
    });
}

#[test]
fn r092_holds_when_a_nic_frees_its_nbls() {
    holds!(|| {
        let (nic, _, device) = bench(nic::Fault::None, stack::Fault::None);
        nic.receive(&[frame(nic::MAC)], false);
        pnp::remove_device(device);
    });
}

#[test]
fn r092_breaks_when_an_nbl_is_freed_while_it_is_sent() {
    breaks!(92, || {
        let (_, stack, _) = bench(nic::Fault::ForgetSends, stack::Fault::None);
        let pool = api::NblPool::new("a hasty sender");
        let nbl = pool.frame(&frame([0xff; 6]));
        api::send(stack.binding(), nbl, 0);
        pool.release(nbl);
    });
}

#[test]
fn r092_breaks_when_an_nbl_is_freed_twice() {
    breaks!(92, || {
        let nbl = allocate_nbl(new_pool(), 0, 0);
        free_nbl(nbl);
        free_nbl(nbl);
    });
}

#[test]
fn r092_breaks_when_a_pool_is_freed_before_a_net_buffer() {
    breaks!(92, || {
        let pool = new_nb_pool(TAG, 256);
        allocate_nb_and_data(pool);
        free_nb_pool(pool);
    });
}

#[test]
fn r092_holds_when_a_pool_is_freed_after_its_net_buffers() {
    holds!(|| {
        let pool = new_nb_pool(TAG, 256);
        let nb = allocate_nb_and_data(pool);
        // SAFETY: the NET_BUFFER is ours, and its pool preallocates the MDL.
        assert_eq!(unsafe { (*(*nb).MdlChain).ByteCount }, 256);
        free_nb(nb);
        free_nb_pool(pool);
    });
}

/// Whether the driver below frees what it allocates.
static TIDY: AtomicBool = AtomicBool::new(true);
static POOL: AtomicUsize = AtomicUsize::new(0);
static NBL: AtomicUsize = AtomicUsize::new(0);

unsafe extern "efiapi" fn enter_with_a_pool(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    let mut given = linked::miniport_characteristics();
    given.UnloadHandler = Some(unload_with_a_pool);
    // SAFETY: the arguments are those of DriverEntry.
    match unsafe { linked::register_miniport(object, path, given) } {
        Ok(driver) => {
            let pool = allocate_pool(driver, pool_parameters());
            POOL.store(pool.addr(), Ordering::Relaxed);
            let nbl = allocate_nbl(pool, 0, 0);
            NBL.store(nbl.expose_provenance(), Ordering::Relaxed);
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

unsafe extern "efiapi" fn unload_with_a_pool(_object: *mut DRIVER_OBJECT) {
    routines! {
        /// Undoes the registration.
        deregister = NdisMDeregisterMiniportDriver(driver: NDIS_HANDLE);
    }
    if TIDY.load(Ordering::Relaxed) {
        free_nbl(ptr::with_exposed_provenance_mut(
            NBL.load(Ordering::Relaxed),
        ));
        free_pool(ptr::without_provenance_mut(POOL.load(Ordering::Relaxed)));
    }
    deregister(linked::miniport_driver());
}

#[test]
fn r093_breaks_when_a_driver_unloads_without_its_nbls() {
    breaks!(93, || {
        TIDY.store(false, Ordering::Relaxed);
        let driver = pnp::load_linked_driver("test", enter_with_a_pool).expect("it loads");
        pnp::unload_driver(driver);
    });
}

#[test]
fn r093_holds_when_a_driver_unloads_after_its_nbls() {
    holds!(|| {
        let driver = pnp::load_linked_driver("test", enter_with_a_pool).expect("it loads");
        pnp::unload_driver(driver);
    });
}
