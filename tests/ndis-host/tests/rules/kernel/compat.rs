//! Routines that NDIS 6 makes macros and exports all the same.

use ndis_host::pnp;
use ndis_host::verifier;
use ndis_sys::{DISPATCH_LEVEL, LIST_ENTRY, NDIS_SPIN_LOCK, PASSIVE_LEVEL};

use super::{call, lower, place, raise};
use crate::native::{breaks, holds};
use crate::pe;

/// Loads a driver whose DriverEntry returns success and that imports one routine.
fn load_importing(dll: &str, routine: &str) {
    let mut image = pe::Image::with_code(&[0x31, 0xC0, 0xC3]); // xor eax, eax; ret
    image.imports(dll, &[routine]);
    pnp::load_driver(&image.0, "test").expect("it loads");
}

fn advised_rules() -> Vec<u16> {
    let advice = verifier::report().advice;
    advice.iter().map(|advice| advice.rule).collect()
}

#[test]
fn r307_advises_against_imports_of_older_headers() {
    holds!(|| {
        load_importing("ndis.sys", "NdisAllocateSpinLock");
        assert_eq!(advised_rules(), [307]);
    });
}

#[test]
fn r307_holds_when_the_kernel_is_imported() {
    holds!(|| {
        load_importing("ntoskrnl.exe", "KeInitializeSpinLock");
        assert!(advised_rules().is_empty());
    });
}

type Lock = *mut NDIS_SPIN_LOCK;

fn new_lock() -> Lock {
    let lock = place();
    call!(NdisAllocateSpinLock: fn(Lock); lock);
    lock
}

#[test]
fn r210_holds_when_locks_are_used_by_the_exports_of_ndis() {
    holds!(|| {
        let lock = new_lock();
        call!(NdisAcquireSpinLock: fn(Lock); lock);
        assert_eq!(ndis_host::sched::irql(), DISPATCH_LEVEL);
        call!(NdisReleaseSpinLock: fn(Lock); lock);
        assert_eq!(ndis_host::sched::irql(), PASSIVE_LEVEL);

        let old = raise(DISPATCH_LEVEL);
        call!(NdisDprAcquireSpinLock: fn(Lock); lock);
        call!(NdisDprReleaseSpinLock: fn(Lock); lock);
        lower(old);
        call!(NdisFreeSpinLock: fn(Lock); lock);

        let count: *mut i32 = Box::leak(Box::new(1));
        assert_eq!(
            call!(NdisInterlockedIncrement: fn(*mut i32) -> i32; count),
            2
        );
        assert_eq!(
            call!(NdisInterlockedDecrement: fn(*mut i32) -> i32; count),
            1
        );
        let head: *mut LIST_ENTRY = place();
        // SAFETY: it lives for ever.
        unsafe {
            head.write(LIST_ENTRY {
                Flink: head,
                Blink: head,
            });
        }
        let entry = call!(NdisInterlockedRemoveHeadList: fn(*mut LIST_ENTRY, Lock) -> *mut LIST_ENTRY; head, lock);
        assert!(entry.is_null());
    });
}

#[test]
fn r210_breaks_when_ndis_acquire_and_dpr_release_are_mixed() {
    breaks!(210, || {
        let lock = new_lock();
        call!(NdisAcquireSpinLock: fn(Lock); lock);
        call!(NdisDprReleaseSpinLock: fn(Lock); lock);
    });
}

#[test]
fn r211_breaks_when_dpr_acquires_below_dispatch() {
    breaks!(211, || {
        call!(NdisDprAcquireSpinLock: fn(Lock); new_lock());
    });
}
