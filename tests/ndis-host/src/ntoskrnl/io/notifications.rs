//! Notifications that drivers register for: shutdown, plug and play, power settings, bug checks.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;

use ndis_sys::{BOOLEAN, DEVICE_OBJECT, GUID, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

use crate::ntoskrnl::{caller_of, enter};
use crate::sched::{self, APC_LEVEL, BatonCell, DISPATCH_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL};
use crate::verifier;

/// What one is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Shutdown,
    PlugAndPlay,
    PowerSetting,
}

struct Entry {
    kind: Kind,
    owner: &'static str,
    device: usize,
}

type BugCheckRoutine = unsafe extern "efiapi" fn(i32, *mut c_void, *mut c_void, u32);

struct BugCheck {
    record: usize,
    routine: BugCheckRoutine,
    reason: i32,
    owner: &'static str,
}

static ENTRIES: BatonCell<BTreeMap<usize, Entry>> = BatonCell::new(BTreeMap::new());
static BUG_CHECKS: BatonCell<Vec<BugCheck>> = BatonCell::new(Vec::new());
static LAST: BatonCell<usize> = BatonCell::new(0);
/// No canonical address begins like this: nobody looks behind the handle.
const TAG: usize = 0x4e54 << 48;

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("IoRegisterShutdownNotification", shutdown as *const ()),
        ("IoUnregisterShutdownNotification", no_shutdown as *const ()),
        ("IoRegisterPlugPlayNotification", plug_and_play as *const ()),
        (
            "IoUnregisterPlugPlayNotification",
            no_plug_and_play as *const (),
        ),
        (
            "IoUnregisterPlugPlayNotificationEx",
            no_plug_and_play as *const (),
        ),
        ("PoRegisterPowerSettingCallback", power_setting as *const ()),
        (
            "PoUnregisterPowerSettingCallback",
            no_power_setting as *const (),
        ),
        ("PoSetPowerState", set_power_state as *const ()),
        ("KeRegisterBugCheckReasonCallback", bug_check as *const ()),
        (
            "KeDeregisterBugCheckReasonCallback",
            no_bug_check as *const (),
        ),
        ("IoWMIRegistrationControl", wmi_registration as *const ()),
        ("IoInvalidateDeviceRelations", invalidate as *const ()),
        ("IoInvalidateDeviceState", invalidate as *const ()),
    ]
}

/// Registrations that a driver has left, in words.
pub(super) fn leaks_of(owner: &str) -> Vec<String> {
    let entries = ENTRIES.with(|entries| {
        let own = entries.values().filter(|entry| entry.owner == owner);
        own.map(|entry| format!("its {:?} notification", entry.kind))
            .collect::<Vec<_>>()
    });
    let callbacks = BUG_CHECKS.with(|all| all.iter().filter(|one| one.owner == owner).count());
    let callbacks = (callbacks > 0).then(|| format!("{callbacks} bug check callbacks"));
    entries.into_iter().chain(callbacks).collect()
}

/// Calls the bug check callbacks, at HIGH_LEVEL, as a crash does.
pub(crate) fn call_bug_check_callbacks() {
    let all = BUG_CHECKS.with(|all| {
        all.iter()
            .map(|one| (one.routine, one.reason, one.record))
            .collect::<Vec<_>>()
    });
    for (routine, reason, record) in all {
        sched::call_at(HIGH_LEVEL, "a bug check callback", || {
            let record = ptr::with_exposed_provenance_mut(record);
            // SAFETY: the driver registered the routine with this record; the reason-specific
            // data is absent, which the length says.
            sched::in_driver(|| unsafe { routine(reason, record, ptr::null_mut(), 0) })
        });
    }
}

fn add(kind: Kind, caller: usize, device: usize) -> usize {
    let handle = LAST.with(|last| {
        *last += 16;
        TAG | *last
    });
    let (owner, _) = caller_of(caller);
    let entry = Entry {
        kind,
        owner,
        device,
    };
    ENTRIES.with(|entries| entries.insert(handle, entry));
    handle
}

fn remove(kind: Kind, call: &str, handle: usize) -> NTSTATUS {
    let known = ENTRIES.with(|entries| {
        let known = entries.get(&handle).is_some_and(|entry| entry.kind == kind);
        if known {
            entries.remove(&handle);
        }
        known
    });
    if verifier::require(14, known, || {
        format!("{call}: {handle:#x} is not registered")
    }) {
        STATUS_SUCCESS
    } else {
        STATUS_INVALID_PARAMETER
    }
}

/// `IoRegisterShutdownNotification`. At PASSIVE. Passes its return address on.
///
/// # Safety
///
/// Called by a driver's code.
#[unsafe(naked)]
unsafe extern "efiapi" fn shutdown(_device: *mut DEVICE_OBJECT) -> NTSTATUS {
    std::arch::naked_asm!("mov rdx, [rsp]", "jmp {}", sym shutdown_for)
}

unsafe extern "efiapi" fn shutdown_for(device: *mut DEVICE_OBJECT, caller: usize) -> NTSTATUS {
    enter("IoRegisterShutdownNotification", PASSIVE_LEVEL);
    add(Kind::Shutdown, caller, device.addr());
    STATUS_SUCCESS
}

unsafe extern "efiapi" fn no_shutdown(device: *mut DEVICE_OBJECT) {
    enter("IoUnregisterShutdownNotification", PASSIVE_LEVEL);
    ENTRIES.with(|entries| {
        entries.retain(|_, entry| entry.kind != Kind::Shutdown || entry.device != device.addr());
    });
}

/// `IoRegisterPlugPlayNotification`: nothing is announced through it here. At PASSIVE. Passes its
/// return address on, in the place of an argument that is not needed.
///
/// # Safety
///
/// `entry`, on the stack, can be written. Called by a driver's code.
#[unsafe(naked)]
unsafe extern "efiapi" fn plug_and_play(
    _category: i32,
    _flags: u32,
    _data: *mut c_void,
    _driver: *mut c_void,
    _routine: *mut c_void,
    _context: *mut c_void,
    _entry: *mut *mut c_void,
) -> NTSTATUS {
    std::arch::naked_asm!("mov rcx, [rsp]", "jmp {}", sym plug_and_play_for)
}

unsafe extern "efiapi" fn plug_and_play_for(
    caller: usize,
    _flags: u32,
    _data: *mut c_void,
    _driver: *mut c_void,
    _routine: *mut c_void,
    _context: *mut c_void,
    entry: *mut *mut c_void,
) -> NTSTATUS {
    enter("IoRegisterPlugPlayNotification", PASSIVE_LEVEL);
    let handle = add(Kind::PlugAndPlay, caller, 0);
    // SAFETY: by contract.
    unsafe { entry.write(ptr::without_provenance_mut(handle)) };
    STATUS_SUCCESS
}

unsafe extern "efiapi" fn no_plug_and_play(entry: *mut c_void) -> NTSTATUS {
    const CALL: &str = "IoUnregisterPlugPlayNotificationEx";
    enter(CALL, PASSIVE_LEVEL);
    remove(Kind::PlugAndPlay, CALL, entry.addr())
}

/// `PoRegisterPowerSettingCallback`: no setting changes here. At APC or below. Passes its return
/// address on.
///
/// # Safety
///
/// `handle` is null or can be written. Called by a driver's code.
#[unsafe(naked)]
unsafe extern "efiapi" fn power_setting(
    _device: *mut DEVICE_OBJECT,
    _setting: *const GUID,
    _callback: *mut c_void,
    _context: *mut c_void,
    _handle: *mut *mut c_void,
) -> NTSTATUS {
    std::arch::naked_asm!("mov rcx, [rsp]", "jmp {}", sym power_setting_for)
}

unsafe extern "efiapi" fn power_setting_for(
    caller: usize,
    _setting: *const GUID,
    _callback: *mut c_void,
    _context: *mut c_void,
    handle: *mut *mut c_void,
) -> NTSTATUS {
    enter("PoRegisterPowerSettingCallback", APC_LEVEL);
    let registered = add(Kind::PowerSetting, caller, 0);
    if !handle.is_null() {
        // SAFETY: by contract.
        unsafe { handle.write(ptr::without_provenance_mut(registered)) };
    }
    STATUS_SUCCESS
}

unsafe extern "efiapi" fn no_power_setting(handle: *mut c_void) -> NTSTATUS {
    const CALL: &str = "PoUnregisterPowerSettingCallback";
    enter(CALL, APC_LEVEL);
    remove(Kind::PowerSetting, CALL, handle.addr())
}

/// `PoSetPowerState`: tells the power manager of a state; the one before is D0. At DISPATCH or
/// below.
unsafe extern "efiapi" fn set_power_state(
    _device: *mut DEVICE_OBJECT,
    _kind: i32,
    _state: i32,
) -> i32 {
    const D0: i32 = 1;
    enter("PoSetPowerState", DISPATCH_LEVEL);
    D0
}

/// `KeRegisterBugCheckReasonCallback`. Any level. Passes its return address on, in the place of
/// the component's name.
///
/// # Safety
///
/// The record stays until it is taken back. Called by a driver's code.
#[unsafe(naked)]
unsafe extern "efiapi" fn bug_check(
    _record: *mut c_void,
    _routine: BugCheckRoutine,
    _reason: i32,
    _component: *mut u8,
) -> BOOLEAN {
    std::arch::naked_asm!("mov r9, [rsp]", "jmp {}", sym bug_check_for)
}

unsafe extern "efiapi" fn bug_check_for(
    record: *mut c_void,
    routine: BugCheckRoutine,
    reason: i32,
    caller: usize,
) -> BOOLEAN {
    enter("KeRegisterBugCheckReasonCallback", HIGH_LEVEL);
    let record = record.expose_provenance();
    let (owner, _) = caller_of(caller);
    BUG_CHECKS.with(|all| {
        let is_new = all.iter().all(|one| one.record != record);
        if is_new {
            all.push(BugCheck {
                record,
                routine,
                reason,
                owner,
            });
        }
        BOOLEAN::from(is_new)
    })
}

unsafe extern "efiapi" fn no_bug_check(record: *mut c_void) -> BOOLEAN {
    enter("KeDeregisterBugCheckReasonCallback", HIGH_LEVEL);
    BUG_CHECKS.with(|all| {
        let before = all.len();
        all.retain(|one| one.record != record.addr());
        BOOLEAN::from(all.len() < before)
    })
}

/// `IoWMIRegistrationControl`: no WMI consumer is there. At PASSIVE.
unsafe extern "efiapi" fn wmi_registration(_device: *mut DEVICE_OBJECT, _action: u32) -> NTSTATUS {
    enter("IoWMIRegistrationControl", PASSIVE_LEVEL);
    STATUS_SUCCESS
}

/// `IoInvalidateDeviceRelations`, `IoInvalidateDeviceState`: the PnP manager looks again, and finds
/// what it knew. At DISPATCH or below.
unsafe extern "efiapi" fn invalidate(_device: *mut DEVICE_OBJECT, _kind: i32) {
    enter("IoInvalidateDeviceRelations", DISPATCH_LEVEL);
}
