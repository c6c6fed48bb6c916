//! Every case, over several seeds.

use scenarios::cases::NAMES;

use crate::process;

const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;

fn passes(name: &str) {
    let image = process::image();
    for seed in SEEDS {
        let ended = process::scenario(name, seed, &image);
        assert!(
            ended.status.success(),
            "{name}, seed {seed}:\n{}",
            ended.last_words()
        );
    }
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                passes(stringify!($name));
            }
        )*

        #[test]
        fn every_case_is_run() {
            assert_eq!(NAMES.to_vec(), [$(stringify!($name)),*]);
        }
    };
}

cases! {
    boot
    pause_storm
    flood
    disable_enable
    adapter_surprise
    keyword_out_of_range
    boot_standby_grace
    no_vioprot_link_down
    uninstall_vioprot_live
    vf_first
    vf_comes_and_goes
    slow_vf_goes
    vf_on_uneven_paths
    cancelled_sends
    vf_link_flap
    quiet_guest
    vf_surprise
    oid_sweep
    oid_faults
    vf_other_mac
    second_vf_same_mac
    vf_small_mtu
    vf_refuses_filter
    own_adapter_offered
    device_used_id
    device_used_length
    device_num_buffers
    device_breaks_under_vf
    device_capability
    device_never_resets
    device_features_refused
    boot_on_line
    vf_surprise_on_line
    sleep_resume
    sleep_resume_vf
    sleep_loses_vf
    sleep_brings_vf
    hibernate_changed_device
    shutdown
    bugcheck
    rebalance
    cancelled_removal
    driver_update
    vf_driver_first
    protocol_live
    adversary_boot
    adversary_failover
    cycle
    random_walk
    thousand_vfs
    init_refused
    start_out_of_memory
    vf_out_of_memory
    traffic_out_of_memory
    no_scatter_gather
    adapter_vanishes
    vf_vanishes
    interrupts_disturbed
    single_buffers
    jumbo_mergeable
    jumbo_single
    frames_too_long
    runts
    device_scatters
    filter_follows
    filter_with_changed_address
    announcement_asked_for
    announcement_refused
    commands_answered_badly
    commands_never_answered
    control_queue_breaks
    telling_doorbells
    boot_on_legacy
    query_follows_the_path
    query_tells_reasons
    query_two_adapters
    query_bad_requests
    query_while_it_changes
    truncated_image
}

#[test]
fn an_unknown_case_is_named_with_those_that_there_are() {
    let ended = process::scenario("no_such_case", 1, &process::image());
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended.stderr.contains("there are: boot,"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_image_that_is_missing_is_named() {
    let ended = process::scenario("boot", 1, "no/such/netkvm.sys".as_ref());
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended.stderr.contains("no/such/netkvm.sys"),
        "{}",
        ended.stderr
    );
}
