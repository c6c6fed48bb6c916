//! 1.I: DMA, scatter/gather, shared memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndis_host::ndis::api::NblPool;
use ndis_host::{memory, pnp, sched};
use ndis_sys::{
    NDIS_HANDLE, NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER, NDIS_PHYSICAL_ADDRESS,
    NDIS_SG_LIST_WRITE_TO_DEVICE, NET_BUFFER, NET_BUFFER_LIST, SCATTER_GATHER_ELEMENT,
    SCATTER_GATHER_LIST,
};

use crate::native::hardware::card::{FETCH, FILL, VALUE};
use crate::native::hardware::{self, Hardware, Plan, Step, calls};
use crate::native::{breaks, breaks_behind_iommu, holds, holds_behind_iommu};

fn with_steps(steps: &[Step]) -> Plan {
    let mut plan = Plan::default();
    plan.steps.truncate(3);
    plan.steps.extend(steps);
    plan
}

#[test]
fn r144_breaks_when_there_is_no_handler_for_lists() {
    breaks!(144, || hardware::attempt(Plan {
        dma: |given| given.ProcessSGListHandler = None,
        ..Plan::default()
    }));
}

#[test]
fn r144_breaks_when_async_memory_has_no_handler() {
    breaks!(144, || hardware::live(Plan::default(), |_| {
        calls::allocate_shared_async(&hardware::hardware(), 4096);
    }));
}

/// NDIS refuses, and the driver gives up cleanly.
#[test]
fn r144_holds_when_a_driver_without_bus_mastering_is_refused() {
    holds!(|| hardware::fail(Plan {
        registration: |given| given.AttributeFlags &= !NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER,
        ..Plan::default()
    }));
}

#[test]
fn r145_breaks_when_the_channel_ends_before_its_memory() {
    breaks!(145, || hardware::live(
        Plan {
            halting: |hardware| {
                calls::deregister_interrupt(hardware.interrupt_handle());
                calls::deregister_dma(hardware.dma_handle());
            },
            ..Plan::default()
        },
        |_| ()
    ));
}

/// The NET_BUFFER of an NBL with a frame of `length` bytes.
struct Frame {
    pool: NblPool,
    nbl: *mut NET_BUFFER_LIST,
}

impl Frame {
    fn new(length: usize) -> Self {
        let pool = NblPool::new("the test");
        let nbl = pool.frame(&vec![0x5a; length]);
        Self { pool, nbl }
    }

    fn net_buffer(&self) -> *mut NET_BUFFER {
        // SAFETY: the NBL is the test's until it is released.
        unsafe { (*self.nbl).FirstNetBuffer }
    }

    fn release(self) {
        self.pool.release(self.nbl);
        self.pool.free();
    }
}

/// Has a list made and waits for it.
fn list_of(hardware: &Hardware, frame: &Frame, flags: u32) -> *mut SCATTER_GATHER_LIST {
    // SAFETY: the frame is the test's.
    let status = sched::call_at(sched::DISPATCH_LEVEL, "the test", || unsafe {
        calls::allocate_list(hardware.dma_handle(), frame.net_buffer(), flags)
    });
    assert_eq!(status, ndis_sys::NDIS_STATUS_SUCCESS);
    let mut list = None;
    hardware::wait("MiniportProcessSGList", || {
        list = list.or_else(hardware::take_list);
        list.is_some()
    });
    std::ptr::with_exposed_provenance_mut(list.expect("just waited for"))
}

fn free(hardware: &Hardware, frame: &Frame, list: *mut SCATTER_GATHER_LIST) {
    // SAFETY: the list was made for the frame.
    sched::call_at(sched::DISPATCH_LEVEL, "the test", || unsafe {
        calls::free_list(hardware.dma_handle(), list, frame.net_buffer());
    });
}

/// The elements of a list: logical address and bytes.
fn elements(list: *mut SCATTER_GATHER_LIST) -> Vec<(i64, u32)> {
    // SAFETY: NDIS lends the list until it is freed.
    unsafe {
        let first: *const SCATTER_GATHER_ELEMENT = list.add(1).cast();
        let count = (*list).NumberOfElements as usize;
        (0..count)
            .map(|index| first.add(index).read())
            .map(|element| (element.Address, element.Length))
            .collect()
    }
}

/// A life in which `body` has a frame and a list for it.
fn with_list(flags: u32, body: fn(&Hardware, &Frame, *mut SCATTER_GATHER_LIST)) {
    hardware::live(Plan::default(), |_| {
        let hardware = hardware::hardware();
        let frame = Frame::new(9000);
        let list = list_of(&hardware, &frame, flags);
        body(&hardware, &frame, list);
        frame.release();
    });
}

#[test]
fn r146_holds_when_a_net_buffer_has_one_list() {
    holds!(
        || with_list(NDIS_SG_LIST_WRITE_TO_DEVICE, |hardware, frame, list| {
            let total: u32 = elements(list).iter().map(|(_, length)| length).sum();
            assert!(total >= 9000, "{total} bytes are mapped");
            free(hardware, frame, list);
        })
    );
}

#[test]
fn r146_breaks_when_a_net_buffer_gets_a_second_list() {
    breaks!(146, || with_list(
        NDIS_SG_LIST_WRITE_TO_DEVICE,
        |hardware, frame, _| {
            list_of(hardware, frame, NDIS_SG_LIST_WRITE_TO_DEVICE);
        }
    ));
}

#[test]
fn r148_breaks_when_a_list_is_freed_twice() {
    breaks!(148, || with_list(
        NDIS_SG_LIST_WRITE_TO_DEVICE,
        |hardware, frame, list| {
            free(hardware, frame, list);
            free(hardware, frame, list);
        }
    ));
}

#[test]
fn r148_breaks_when_a_list_is_written() {
    breaks!(148, || with_list(
        NDIS_SG_LIST_WRITE_TO_DEVICE,
        |hardware, frame, list| {
            // SAFETY: the list is there; that it is written is the fault.
            unsafe {
                let first: *mut SCATTER_GATHER_ELEMENT = list.add(1).cast();
                (*first).Length -= 1;
            }
            free(hardware, frame, list);
        }
    ));
}

/// The first byte of the frame as the CPU sees it.
fn first_byte(frame: &Frame) -> u8 {
    ndis_host::ndis::api::read_frames(frame.nbl)[0][0]
}

#[test]
fn r148_holds_when_received_data_is_read_after_the_list_is_freed() {
    holds!(|| with_list(0, |hardware, frame, list| {
        for (address, length) in elements(list) {
            hardware.command(FILL, address, length, 0x77);
        }
        free(hardware, frame, list);
        assert_eq!(first_byte(frame), 0x77);
    }));
}

#[test]
fn r149_holds_when_the_device_uses_the_elements_of_the_list() {
    holds_behind_iommu!(
        || with_list(NDIS_SG_LIST_WRITE_TO_DEVICE, |hardware, frame, list| {
            for (address, length) in elements(list) {
                assert!(memory::at_physical(address as u64).is_none());
                hardware.command(FETCH, address, length, 0);
            }
            assert_eq!(hardware::card().faults(), 0);
            free(hardware, frame, list);
        })
    );
}

#[test]
fn r149_breaks_when_the_device_uses_a_physical_address() {
    breaks_behind_iommu!(149, || with_list(
        NDIS_SG_LIST_WRITE_TO_DEVICE,
        |hardware, frame, list| {
            let at = std::ptr::with_exposed_provenance(hardware.shared);
            let physical = memory::physical(at).expect("shared memory is memory");
            hardware.command(FETCH, physical as i64, 1, 0);
            assert_eq!(hardware.read_word(VALUE), u32::MAX);
            free(hardware, frame, list);
        }
    ));
}

#[test]
fn r149_breaks_when_the_device_writes_what_it_may_only_read() {
    breaks_behind_iommu!(149, || with_list(
        NDIS_SG_LIST_WRITE_TO_DEVICE,
        |hardware, frame, list| {
            let (address, length) = elements(list)[0];
            hardware.command(FILL, address, length, 0);
            free(hardware, frame, list);
        }
    ));
}

#[test]
fn r149_breaks_when_the_device_goes_on_after_the_list_is_freed() {
    breaks_behind_iommu!(149, || with_list(
        NDIS_SG_LIST_WRITE_TO_DEVICE,
        |hardware, frame, list| {
            let (address, _) = elements(list)[0];
            free(hardware, frame, list);
            hardware.command(FETCH, address, 1, 0);
        }
    ));
}

#[test]
fn r149_breaks_when_the_device_leaves_shared_memory() {
    breaks_behind_iommu!(149, || hardware::live(Plan::default(), |_| {
        let hardware = hardware::hardware();
        let beyond = hardware.shared_logical + i64::from(hardware::SHARED);
        hardware.command(FILL, beyond - 1, 2, 0);
    }));
}

#[test]
fn r150_breaks_when_shared_memory_is_allocated_later() {
    breaks!(150, || hardware::live(Plan::default(), |_| {
        calls::allocate_shared(hardware::hardware().handle(), 4096);
    }));
}

#[test]
fn r151_breaks_when_shared_memory_is_freed_with_another_length() {
    breaks!(151, || hardware::live(
        Plan {
            halting: |hardware| {
                let (at, logical) = (hardware.shared, hardware.shared_logical);
                calls::free_shared(hardware.handle(), hardware::SHARED - 1, at, logical);
            },
            ..Plan::default()
        },
        |_| ()
    ));
}

#[test]
fn r151_breaks_when_something_writes_beside_shared_memory() {
    breaks!(151, || hardware::live(Plan::default(), |_| {
        let beyond = hardware::hardware().shared + hardware::SHARED as usize;
        let beyond: *mut u8 = std::ptr::with_exposed_provenance_mut(beyond);
        // SAFETY: guard bytes are there; that they are written is the fault.
        unsafe { beyond.write(0) };
    }));
}

static ASYNC: AtomicUsize = AtomicUsize::new(0);
static ASYNC_LOGICAL: AtomicUsize = AtomicUsize::new(0);

unsafe extern "efiapi" fn shared_arrived(
    _context: NDIS_HANDLE,
    at: *mut std::ffi::c_void,
    logical: *mut NDIS_PHYSICAL_ADDRESS,
    _length: u32,
    _allocation: *mut std::ffi::c_void,
) {
    // SAFETY: NDIS lends the address.
    let logical = unsafe { *logical };
    ASYNC_LOGICAL.store(logical as usize, Ordering::Relaxed);
    ASYNC.store(at.expose_provenance(), Ordering::Relaxed);
}

fn with_async(halting: fn(&Hardware)) -> Plan {
    Plan {
        dma: |given| given.SharedMemAllocateCompleteHandler = Some(shared_arrived),
        halting,
        ..Plan::default()
    }
}

#[test]
fn r152_holds_when_the_halt_waits_for_shared_memory() {
    holds!(|| {
        let halting: fn(&Hardware) = |hardware| {
            hardware::wait("shared memory", || ASYNC.load(Ordering::Relaxed) != 0);
            let (at, logical) = (
                ASYNC.load(Ordering::Relaxed),
                ASYNC_LOGICAL.load(Ordering::Relaxed) as i64,
            );
            hardware.command(FILL, logical, 100, 0x33);
            calls::free_shared(hardware.handle(), 100, at, logical);
            // The thread that told may not have returned yet.
            sched::sleep(10_000_000);
        };
        hardware::live(with_async(halting), |_| {
            let status = calls::allocate_shared_async(&hardware::hardware(), 100);
            assert_eq!(status, ndis_sys::NDIS_STATUS_PENDING);
        });
    });
}

#[test]
fn r152_breaks_when_the_halt_does_not_wait() {
    breaks!(152, || hardware::live(
        with_async(|hardware| {
            calls::allocate_shared_async(hardware, 100);
        }),
        |_| ()
    ));
}

#[test]
fn r154_holds_when_queue_memory_is_freed_before_the_halt_ends() {
    holds!(|| {
        let plan = with_steps(&[Step::Dma]);
        hardware::live(plan, |_| {
            let hardware = hardware::hardware();
            let (allocation, logical) = calls::allocate_queue_memory(&hardware, 8192);
            hardware.command(FILL, logical, 8192, 1);
            assert_eq!(hardware::card().faults(), 0);
            calls::free_queue_memory(&hardware, allocation);
        });
    });
}

#[test]
fn r154_breaks_when_queue_memory_is_freed_twice() {
    breaks!(154, || hardware::live(with_steps(&[Step::Dma]), |_| {
        let hardware = hardware::hardware();
        let (allocation, _) = calls::allocate_queue_memory(&hardware, 8192);
        calls::free_queue_memory(&hardware, allocation);
        calls::free_queue_memory(&hardware, allocation);
    }));
}

#[test]
fn r144_holds_when_the_device_restarts_with_a_new_channel() {
    holds!(|| {
        let (driver, device) = hardware::plug(Plan::default());
        for _ in 0..3 {
            pnp::start_device(device).expect("it starts");
            pnp::settle();
            pnp::disable_device(device);
        }
        pnp::remove_device(device);
        pnp::unload_driver(driver);
    });
}
