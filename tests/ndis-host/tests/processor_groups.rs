//! A machine with processor groups: seven CPUs in groups of three.

#![expect(
    non_upper_case_globals,
    reason = "constants of ndis-sys keep the names of the headers"
)]

mod native;

use native::linked::import;
use native::run_on;
use ndis_host::Config;
use ndis_host::sched::{self, DISPATCH_LEVEL, PASSIVE_LEVEL, Settings};
use ndis_sys::{
    ALL_PROCESSOR_GROUPS, GROUP_AFFINITY, KAFFINITY, NDIS_HANDLE, NDIS_PROCESSOR_INFO_EX,
    NDIS_STATUS, NDIS_STATUS_BUFFER_TOO_SHORT, NDIS_STATUS_SUCCESS, NDIS_SYSTEM_PROCESSOR_INFO,
    NDIS_SYSTEM_PROCESSOR_INFO_EX, NTSTATUS, PROCESSOR_NUMBER, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS, Zeroed,
};

fn machine() -> Config {
    Config {
        cpus: 7,
        settings: Settings {
            group_size: 3,
            ..Settings::default()
        },
        ..Config::default()
    }
}

fn number(group: u16, number: u8) -> PROCESSOR_NUMBER {
    PROCESSOR_NUMBER {
        Group: group,
        Number: number,
        Reserved: 0,
    }
}

#[test]
fn processors_are_counted_by_group() {
    run_on(&machine(), "processors_are_counted_by_group", || {
        let groups = import!(KeQueryActiveGroupCount: fn() -> u16);
        let count = import!(KeQueryActiveProcessorCountEx: fn(u16) -> u32);
        let old_count = import!(KeQueryActiveProcessorCount: fn(*mut KAFFINITY) -> u32);
        let most = import!(KeQueryMaximumProcessorCountEx: fn(u16) -> u32);
        let node = import!(KeQueryHighestNodeNumber: fn() -> u16);
        let ndis_groups = import!(NdisActiveGroupCount: fn() -> u16);
        let ndis_count = import!(NdisGroupActiveProcessorCount: fn(u16) -> u32);
        let ndis_most = import!(NdisGroupMaxProcessorCount: fn(u16) -> u32);
        let ndis_mask = import!(NdisGroupActiveProcessorMask: fn(u16) -> KAFFINITY);
        let system = import!(NdisSystemProcessorCount: fn() -> i8);
        let mut mask: KAFFINITY = 0;
        // SAFETY: the routines only answer; the mask is a local.
        unsafe {
            assert_eq!((groups(), ndis_groups()), (3, 3));
            for (group, expected) in [(0, 3), (1, 3), (2, 1), (3, 0), (ALL_PROCESSOR_GROUPS, 7)] {
                assert_eq!(count(group), expected);
                assert_eq!(most(group), expected);
                assert_eq!(ndis_count(group), expected);
                assert_eq!(ndis_most(group), expected);
            }
            assert_eq!([ndis_mask(0), ndis_mask(2), ndis_mask(3)], [0b111, 1, 0]);
            assert_eq!((old_count(&raw mut mask), mask), (3, 0b111));
            assert_eq!((system(), node()), (3, 0));
        }
    });
}

#[test]
fn indices_and_numbers_name_the_same_processor() {
    run_on(
        &machine(),
        "indices_and_numbers_name_the_same_processor",
        || {
            type Number = PROCESSOR_NUMBER;
            let to_index = import!(KeGetProcessorIndexFromNumber: fn(*mut Number) -> u32);
            let to_number =
                import!(KeGetProcessorNumberFromIndex: fn(u32, *mut Number) -> NTSTATUS);
            for index in 0..7 {
                let mut found = number(9, 9);
                // SAFETY: the number is a local.
                let status = unsafe { to_number(index, &raw mut found) };
                assert_eq!(status, STATUS_SUCCESS);
                assert_eq!(
                    (found.Group, found.Number),
                    (index as u16 / 3, index as u8 % 3)
                );
                // SAFETY: as above.
                assert_eq!(unsafe { to_index(&raw mut found) }, index);
            }
            let mut none = number(2, 1);
            // SAFETY: as above.
            assert_eq!(unsafe { to_index(&raw mut none) }, u32::MAX);
            // SAFETY: as above.
            let status = unsafe { to_number(7, &raw mut none) };
            assert_eq!(status, STATUS_INVALID_PARAMETER);
        },
    );
}

#[test]
fn a_thread_runs_where_its_affinity_says() {
    run_on(&machine(), "a_thread_runs_where_its_affinity_says", || {
        type Affinity = GROUP_AFFINITY;
        let set = import!(KeSetSystemGroupAffinityThread: fn(*mut Affinity, *mut Affinity));
        let revert = import!(KeRevertToUserGroupAffinityThread: fn(*mut Affinity));
        let set_old = import!(KeSetSystemAffinityThreadEx: fn(KAFFINITY) -> KAFFINITY);
        let revert_old = import!(KeRevertToUserAffinityThreadEx: fn(KAFFINITY));
        let here = || {
            let cpu = sched::current_cpu();
            (sched::group_of(cpu), sched::number_in_group(cpu))
        };
        let (mut wanted, mut before) = (GROUP_AFFINITY::zeroed(), GROUP_AFFINITY::zeroed());
        (wanted.Group, wanted.Mask) = (1, 0b110);
        // SAFETY: the structures are locals.
        unsafe { set(&raw mut wanted, &raw mut before) };
        assert_eq!((before.Group, before.Mask), (0, 0), "there was none before");
        for _ in 0..300 {
            sched::yield_now();
            assert!(matches!(here(), (1, 1 | 2)), "{:?}", here());
        }

        // At DISPATCH the thread stays where it is until it lowers the level.
        let old = sched::raise(DISPATCH_LEVEL);
        // SAFETY: a number.
        assert_eq!(unsafe { set_old(0b1) }, 0b110);
        assert_eq!(here().0, 1);
        sched::lower(old);
        assert_eq!((here(), sched::irql()), ((0, 0), PASSIVE_LEVEL));

        // A mask with a processor that is not there changes nothing.
        // SAFETY: a number.
        assert_eq!(unsafe { set_old(0b1001) }, 0b1);
        assert_eq!(here(), (0, 0));
        // SAFETY: as above.
        unsafe { revert_old(0) };
        // SAFETY: the structure is a local.
        unsafe { revert(&raw mut before) };
        assert_eq!(sched::affinity(), None);
    });
}

#[test]
fn ndis_describes_every_processor() {
    run_on(&machine(), "ndis_describes_every_processor", || {
        type Info = NDIS_SYSTEM_PROCESSOR_INFO_EX;
        type Entry = NDIS_PROCESSOR_INFO_EX;
        let query = import!(
            NdisGetProcessorInformationEx: fn(NDIS_HANDLE, *mut Info, *mut usize) -> NDIS_STATUS
        );
        let (none, mut size) = (std::ptr::null_mut(), 0_usize);
        // SAFETY: no buffer is given, and its size says so.
        let status = unsafe { query(none, std::ptr::null_mut(), &raw mut size) };
        assert_eq!(status, NDIS_STATUS_BUFFER_TOO_SHORT);
        assert_eq!(size, size_of::<Info>() + 7 * size_of::<Entry>());

        let mut buffer = vec![0_u64; size.div_ceil(8)];
        // SAFETY: the buffer has the size.
        let status = unsafe { query(none, buffer.as_mut_ptr().cast(), &raw mut size) };
        assert_eq!(status, NDIS_STATUS_SUCCESS);
        // SAFETY: NDIS wrote the structure.
        let info = unsafe { buffer.as_ptr().cast::<Info>().read() };
        assert_eq!((info.NumSockets, info.NumCores), (1, 7));
        let start = buffer.as_ptr().cast::<u8>();
        // SAFETY: NDIS says that the array is there.
        let last = unsafe {
            let array = start.add(info.ProcessorInfoOffset as usize);
            array.cast::<Entry>().add(6).read_unaligned()
        };
        assert_eq!((last.ProcNum.Group, last.ProcNum.Number), (2, 0));

        let query_old = import!(
            NdisGetProcessorInformation: fn(*mut NDIS_SYSTEM_PROCESSOR_INFO) -> NDIS_STATUS
        );
        let mut info = NDIS_SYSTEM_PROCESSOR_INFO::zeroed();
        // SAFETY: the structure is a local.
        assert_eq!(unsafe { query_old(&raw mut info) }, NDIS_STATUS_SUCCESS);
        assert_eq!((info.NumCores, info.CpuInfo[2].CpuNumber), (3, 2));
    });
}

#[test]
fn processor_times_add_up() {
    run_on(&machine(), "processor_times_add_up", || {
        let times = import!(NdisGetCurrentProcessorCounts: fn(*mut u32, *mut u32, *mut u32));
        let usage = import!(NdisGetCurrentProcessorCpuUsage: fn(*mut u32));
        let current = import!(NdisCurrentGroupAndProcessor: fn() -> PROCESSOR_NUMBER);
        sched::sleep(40_000_000);
        sched::raise(DISPATCH_LEVEL);
        let (mut idle, mut all, mut index, mut percent) = (0, 0, 99, 999);
        // SAFETY: the places are locals.
        unsafe { times(&raw mut idle, &raw mut all, &raw mut index) };
        // SAFETY: as above.
        unsafe { usage(&raw mut percent) };
        // SAFETY: the routine only answers.
        let here = unsafe { current() };
        sched::lower(PASSIVE_LEVEL);
        assert!((2..=all).contains(&idle), "{idle} of {all}");
        assert!(percent <= 50, "{percent}");
        let cpu = sched::cpu_of(here.Group, here.Number).expect("it is there");
        assert_eq!(index as usize, cpu);
    });
}
