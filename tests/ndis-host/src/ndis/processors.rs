//! What NDIS tells about processors: counts, groups, topology, load, and those of receive-side
//! scaling.
//!
//! The machine has one socket and one node; each processor is a core of its own.

use std::ffi::c_void;
use std::ptr;

use ndis_sys::{
    KAFFINITY, NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT, NDIS_OBJECT_TYPE_RSS_PROCESSOR_INFO,
    NDIS_PROCESSOR_INFO, NDIS_PROCESSOR_INFO_EX, NDIS_RSS_PROCESSOR, NDIS_RSS_PROCESSOR_INFO,
    NDIS_RSS_PROCESSOR_INFO_REVISION_2, NDIS_SIZEOF_RSS_PROCESSOR_INFO_REVISION_2,
    NDIS_SIZEOF_SYSTEM_PROCESSOR_INFO_EX_REVISION_1, NDIS_SIZEOF_SYSTEM_PROCESSOR_INFO_REVISION_1,
    NDIS_STATUS, NDIS_STATUS_BUFFER_TOO_SHORT, NDIS_STATUS_SUCCESS, NDIS_SYSTEM_PROCESSOR_INFO,
    NDIS_SYSTEM_PROCESSOR_INFO_EX, NDIS_SYSTEM_PROCESSOR_INFO_EX_REVISION_1,
    NDIS_SYSTEM_PROCESSOR_INFO_REVISION_1, NdisProcessorVendorUnknown, NdisRssProfileNumaStatic,
    PROCESSOR_NUMBER, Zeroed,
};

use crate::ndis::adapter::Adapter;
use crate::ndis::bindings::Binding;
use crate::ndis::call::{Level, import};
use crate::ndis::config;
use crate::ndis::export_table::Table;
use crate::ndis::handles;
use crate::ntoskrnl::{count_of, number_of};
use crate::{sched, verifier};

/// *MaxRssProcessors, where the INF does not say otherwise.
const MOST_RSS_PROCESSORS: u32 = 16;
/// Nanoseconds of a clock tick, the unit of processor times.
const TICK_NS: u64 = 15_625_000;

/// The exports of this module.
pub(super) fn exports() -> Table {
    vec![
        (
            "NdisGetProcessorInformation",
            information as *const () as usize,
        ),
        (
            "NdisGetProcessorInformationEx",
            information_ex as *const () as usize,
        ),
        (
            "NdisGetRssProcessorInformation",
            rss_information as *const () as usize,
        ),
        ("NdisSystemProcessorCount", count as *const () as usize),
        (
            "NdisSystemActiveProcessorCount",
            active_count as *const () as usize,
        ),
        ("NdisActiveGroupCount", active_groups as *const () as usize),
        ("NdisMaxGroupCount", most_groups as *const () as usize),
        (
            "NdisGroupActiveProcessorCount",
            active_in_group as *const () as usize,
        ),
        (
            "NdisGroupActiveProcessorMask",
            mask_of_group as *const () as usize,
        ),
        (
            "NdisGroupMaxProcessorCount",
            most_in_group as *const () as usize,
        ),
        (
            "NdisCurrentGroupAndProcessor",
            current as *const () as usize,
        ),
        ("NdisGetCurrentProcessorCounts", times as *const () as usize),
        (
            "NdisGetCurrentProcessorCpuUsage",
            usage as *const () as usize,
        ),
        (
            "NdisProcessorIndexToNumber",
            index_to_number as *const () as usize,
        ),
        (
            "NdisProcessorNumberToIndex",
            number_to_index as *const () as usize,
        ),
    ]
}

/// Microsoft Learn, NdisSystemProcessorCount function (ndis.h): of group 0. Its page admits any
/// level, the header DISPATCH at most; the stricter counts (rule 86).
unsafe extern "efiapi" fn count() -> i8 {
    import("NdisSystemProcessorCount", Level::UpToDispatch);
    sched::cpus_of(0) as i8
}

/// Microsoft Learn, NdisSystemActiveProcessorCount function (ndis.h): of group 0. Any IRQL.
///
/// # Safety
///
/// `active` is null or points to an affinity.
unsafe extern "efiapi" fn active_count(active: *mut KAFFINITY) -> u32 {
    import("NdisSystemActiveProcessorCount", Level::Any);
    if !active.is_null() {
        // SAFETY: the caller's contract.
        unsafe { active.write(sched::mask_of(0) as KAFFINITY) };
    }
    count_of(0)
}

/// Microsoft Learn, NdisActiveGroupCount function (ndis.h). Any IRQL.
unsafe extern "efiapi" fn active_groups() -> u16 {
    import("NdisActiveGroupCount", Level::Any);
    sched::groups()
}

/// Microsoft Learn, NdisMaxGroupCount function (ndis.h). Any IRQL.
unsafe extern "efiapi" fn most_groups() -> u16 {
    import("NdisMaxGroupCount", Level::Any);
    sched::groups()
}

/// Microsoft Learn, NdisGroupActiveProcessorCount function (ndis.h): 0 for a group that is not
/// there. Any IRQL.
unsafe extern "efiapi" fn active_in_group(group: u16) -> u32 {
    import("NdisGroupActiveProcessorCount", Level::Any);
    count_of(group)
}

/// Microsoft Learn, NdisGroupActiveProcessorMask function (ndis.h). Any IRQL.
unsafe extern "efiapi" fn mask_of_group(group: u16) -> KAFFINITY {
    import("NdisGroupActiveProcessorMask", Level::Any);
    sched::mask_of(group) as KAFFINITY
}

/// Microsoft Learn, NdisGroupMaxProcessorCount function (ndis.h). Any IRQL.
unsafe extern "efiapi" fn most_in_group(group: u16) -> u32 {
    import("NdisGroupMaxProcessorCount", Level::Any);
    count_of(group)
}

/// Microsoft Learn, NdisCurrentGroupAndProcessor function (ndis.h). IRQL >= DISPATCH_LEVEL: below
/// it the answer may be wrong before it arrives.
unsafe extern "efiapi" fn current() -> PROCESSOR_NUMBER {
    const CALL: &str = "NdisCurrentGroupAndProcessor";
    import(CALL, Level::Any);
    let irql = sched::irql();
    verifier::require(79, irql >= sched::DISPATCH_LEVEL, || {
        format!("{CALL} called at level {irql}")
    });
    number_of(sched::current_cpu())
}

/// Microsoft Learn, NdisGetCurrentProcessorCounts function (ndis.h): in clock ticks. The page's
/// formula divides idle time by the second count, so that is the time that has passed.
/// IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
unsafe extern "efiapi" fn times(idle: *mut u32, all: *mut u32, index: *mut u32) {
    import("NdisGetCurrentProcessorCounts", Level::UpToDispatch);
    let cpu = sched::current_cpu();
    let busy_ns = sched::busy_ns(cpu);
    let idle_ns = sched::now().saturating_sub(busy_ns);
    // SAFETY: the caller's contract.
    unsafe { idle.write((idle_ns / TICK_NS) as u32) };
    // SAFETY: as above.
    unsafe { all.write((sched::now() / TICK_NS) as u32) };
    // SAFETY: as above.
    unsafe { index.write(cpu as u32) };
}

/// Microsoft Learn, NdisGetCurrentProcessorCpuUsage function (ndis.h): percent since the start.
/// Any IRQL.
///
/// # Safety
///
/// `percent` is valid.
unsafe extern "efiapi" fn usage(percent: *mut u32) {
    import("NdisGetCurrentProcessorCpuUsage", Level::Any);
    let busy_ns = sched::busy_ns(sched::current_cpu());
    let answer = busy_ns.saturating_mul(100) / sched::now().max(1);
    // SAFETY: the caller's contract.
    unsafe { percent.write(answer.min(100) as u32) };
}

/// NdisProcessorIndexToNumber (ndis.h), which has no page: as KeGetProcessorNumberFromIndex.
///
/// # Safety
///
/// `number` is valid.
unsafe extern "efiapi" fn index_to_number(index: u32, number: *mut PROCESSOR_NUMBER) -> i32 {
    import("NdisProcessorIndexToNumber", Level::Any);
    if index as usize >= sched::cpu_count() {
        return ndis_sys::STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the caller's contract.
    unsafe { number.write(number_of(index as usize)) };
    ndis_sys::STATUS_SUCCESS
}

/// NdisProcessorNumberToIndex (ndis.h), which has no page: as KeGetProcessorIndexFromNumber.
unsafe extern "efiapi" fn number_to_index(number: PROCESSOR_NUMBER) -> u32 {
    import("NdisProcessorNumberToIndex", Level::Any);
    sched::cpu_of(number.Group, number.Number).map_or(u32::MAX, |cpu| cpu as u32)
}

/// Microsoft Learn, NdisGetProcessorInformation function (ndis.h): group 0 only.
/// IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `answer` points to a structure with its header filled in.
unsafe extern "efiapi" fn information(answer: *mut NDIS_SYSTEM_PROCESSOR_INFO) -> NDIS_STATUS {
    import("NdisGetProcessorInformation", Level::Passive);
    let count = sched::cpus_of(0);
    let mut info = NDIS_SYSTEM_PROCESSOR_INFO::zeroed();
    info.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    info.Header.Revision = NDIS_SYSTEM_PROCESSOR_INFO_REVISION_1;
    info.Header.Size = NDIS_SIZEOF_SYSTEM_PROCESSOR_INFO_REVISION_1;
    info.ProcessorVendor = NdisProcessorVendorUnknown;
    info.NumPhysicalPackages = 1;
    info.NumCores = count as u32;
    info.NumCoresPerPhysicalPackage = count as u32;
    info.MaxHyperThreadingCpusPerCore = 1;
    info.RssCpuCount = (count as u32).min(MOST_RSS_PROCESSORS);
    info.RssProcessors = rss_numbers();
    for (number, place) in (0u32..).zip(info.CpuInfo.iter_mut()).take(count) {
        *place = NDIS_PROCESSOR_INFO {
            CpuNumber: number,
            PhysicalPackageId: 0,
            CoreId: number,
            HyperThreadID: 0,
        };
    }
    // SAFETY: the caller's contract.
    unsafe { answer.write(info) };
    NDIS_STATUS_SUCCESS
}

/// The numbers of all processors of a group, which stay where they are, as NDIS's list does.
fn rss_numbers() -> *mut u8 {
    static NUMBERS: [u8; sched::LARGEST_GROUP] = {
        let mut numbers = [0; sched::LARGEST_GROUP];
        let mut at = 0;
        while at < numbers.len() {
            numbers[at] = at as u8;
            at += 1;
        }
        numbers
    };
    NUMBERS.as_ptr().cast_mut()
}

/// Microsoft Learn, NdisGetProcessorInformationEx function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `size` is valid, and `answer` is null or has that many bytes.
unsafe extern "efiapi" fn information_ex(
    _handle: NDIS_HANDLE,
    answer: *mut NDIS_SYSTEM_PROCESSOR_INFO_EX,
    size: *mut usize,
) -> NDIS_STATUS {
    import("NdisGetProcessorInformationEx", Level::UpToDispatch);
    let count = sched::cpu_count();
    let mut info = NDIS_SYSTEM_PROCESSOR_INFO_EX::zeroed();
    info.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    info.Header.Revision = NDIS_SYSTEM_PROCESSOR_INFO_EX_REVISION_1;
    info.Header.Size = NDIS_SIZEOF_SYSTEM_PROCESSOR_INFO_EX_REVISION_1;
    info.ProcessorVendor = NdisProcessorVendorUnknown;
    info.NumSockets = 1;
    info.NumCores = count as u32;
    info.NumCoresPerSocket = count as u32;
    info.MaxHyperThreadingProcsPerCore = 1;
    info.ProcessorInfoOffset = size_of::<NDIS_SYSTEM_PROCESSOR_INFO_EX>() as u32;
    info.NumberOfProcessors = count as u32;
    info.ProcessorInfoEntrySize = size_of::<NDIS_PROCESSOR_INFO_EX>() as u32;
    let processors: Vec<_> = (0..count)
        .map(|cpu| NDIS_PROCESSOR_INFO_EX {
            ProcNum: number_of(cpu),
            SocketId: 0,
            CoreId: cpu as u32,
            HyperThreadId: 0,
            NodeId: 0,
            NodeDistance: 0,
        })
        .collect();
    // SAFETY: the caller's contract.
    unsafe { write_answer(answer.cast(), size, info, &processors) }
}

/// Microsoft Learn, NdisGetRssProcessorInformation function (ndis.h): the processors that the
/// adapter's keywords leave (rule 285). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `size` is valid, and `answer` is null or has that many bytes.
unsafe extern "efiapi" fn rss_information(
    handle: NDIS_HANDLE,
    answer: *mut NDIS_RSS_PROCESSOR_INFO,
    size: *mut usize,
) -> NDIS_STATUS {
    const CALL: &str = "NdisGetRssProcessorInformation";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter_of(handle);
    let known = verifier::require(285, adapter.is_some(), || {
        format!("{CALL}: {handle:p} is the handle of no adapter or binding")
    });
    let processors = adapter.filter(|_| known).map_or_else(Vec::new, rss_cpus);
    let most = adapter.map_or(0, most_rss_processors);
    let mut info = NDIS_RSS_PROCESSOR_INFO::zeroed();
    info.Header.Type = NDIS_OBJECT_TYPE_RSS_PROCESSOR_INFO;
    info.Header.Revision = NDIS_RSS_PROCESSOR_INFO_REVISION_2;
    info.Header.Size = NDIS_SIZEOF_RSS_PROCESSOR_INFO_REVISION_2;
    info.RssBaseProcessor = number_of(processors.first().copied().unwrap_or(0));
    info.MaxNumRssProcessors = most.min(processors.len() as u32);
    info.RssProcessorArrayOffset = size_of::<NDIS_RSS_PROCESSOR_INFO>() as u32;
    info.RssProcessorCount = processors.len() as u32;
    info.RssProcessorEntrySize = size_of::<NDIS_RSS_PROCESSOR>() as u32;
    info.RssMaxProcessor = number_of(processors.last().copied().unwrap_or(0));
    info.RssProfile = NdisRssProfileNumaStatic;
    let entries: Vec<_> = processors
        .into_iter()
        .map(|cpu| NDIS_RSS_PROCESSOR {
            ProcNum: number_of(cpu),
            PreferenceIndex: 0,
            Reserved: 0,
        })
        .collect();
    // SAFETY: the caller's contract.
    unsafe { write_answer(answer.cast(), size, info, &entries) }
}

fn adapter_of(handle: NDIS_HANDLE) -> Option<&'static Adapter> {
    let number = handles::number(handle);
    handles::lookup::<Adapter>(number)
        .or_else(|| handles::lookup::<Binding>(number).map(|binding| binding.adapter))
}

/// The processors that an adapter may use for receive-side scaling, the lowest first.
fn rss_cpus(adapter: &'static Adapter) -> Vec<usize> {
    let key = adapter.node.driver_key();
    let keyword = |name| config::integer(&key, name);
    let base_group = keyword("*RssBaseProcGroup").unwrap_or(0);
    let base = (base_group, keyword("*RssBaseProcNumber").unwrap_or(0));
    let last_group = keyword("*RssMaxProcGroup").unwrap_or(u32::MAX);
    let last = (last_group, keyword("*RssMaxProcNumber").unwrap_or(u32::MAX));
    let place = |cpu: usize| {
        let number = u32::from(sched::number_in_group(cpu));
        (u32::from(sched::group_of(cpu)), number)
    };
    (0..sched::cpu_count())
        .filter(|&cpu| (base..=last).contains(&place(cpu)))
        .collect()
}

fn most_rss_processors(adapter: &'static Adapter) -> u32 {
    let key = adapter.node.driver_key();
    config::integer(&key, "*MaxRssProcessors").unwrap_or(MOST_RSS_PROCESSORS)
}

/// Writes a structure and the array behind it, or says how much room they need.
///
/// # Safety
///
/// `size` is valid, and `answer` is null or has that many bytes.
unsafe fn write_answer<H, E>(
    answer: *mut c_void,
    size: *mut usize,
    head: H,
    entries: &[E],
) -> NDIS_STATUS {
    let needed = size_of::<H>() + size_of_val(entries);
    // SAFETY: the caller's contract.
    let given = unsafe { size.replace(needed) };
    if answer.is_null() || given < needed {
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    }
    // SAFETY: there is room for all of it, as just checked.
    unsafe { answer.cast::<H>().write_unaligned(head) };
    // SAFETY: as above.
    let array = unsafe { answer.cast::<H>().add(1).cast::<u8>() };
    // SAFETY: as above.
    unsafe {
        ptr::copy_nonoverlapping(entries.as_ptr().cast(), array, size_of_val(entries));
    }
    NDIS_STATUS_SUCCESS
}
