//! The failover scenarios of QEMU's own test, and ours, with the driver image as the guest.
//!
//! Each is a process of its own, and one runs at a time: QEMU and the driver live in real time.
//! `cargo xtask test qemu` builds the image, says where it is, and runs this. What takes half a minute by
//! QEMU's nature is a test only with the feature `slow`.

use qemu_host::alone;
use qemu_host::scenarios::NO_VERDICT;

/// How often a scenario is played that had no verdict, for want of processor time.
const ATTEMPTS: usize = 4;

/// Plays a scenario.
fn play(name: &str, hotplug: &str, ring: &str) {
    let arguments = ["--name", name, "--hotplug", hotplug, "--ring", ring];
    for attempt in 1.. {
        let output = alone::start(env!("CARGO_BIN_EXE_qemu_scenario"), &arguments);
        let said = String::from_utf8_lossy(&output.stdout);
        if output.status.success() {
            println!("{hotplug}, {ring}: {}", said.trim_end());
            return;
        }
        let has_no_verdict = output.status.code() == Some(i32::from(NO_VERDICT));
        assert!(
            has_no_verdict && attempt < ATTEMPTS,
            "{name} ({hotplug}, {ring}): {}\n{said}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Tests, each of which plays a scenario with cards that come and go so, and have such rings.
macro_rules! plays {
    ($($(#[$attribute:meta])* $test:ident: $name:literal, $hotplug:ident, $ring:ident;)*) => {
        $(
            $(#[$attribute])*
            #[test]
            fn $test() {
                play($name, stringify!($hotplug), stringify!($ring));
            }
        )*

        const PLAYED: &[&str] = &[$($name),*];
    };
}

plays! {
    params_error_id: "params/error/id", acpi, split;
    params_error_pcie: "params/error/pcie", acpi, split;
    params_on: "params/on", acpi, split;
    params_on_mismatch: "params/on_mismatch", acpi, split;
    params_off: "params/off", acpi, split;
    params_enabled: "params/enabled", acpi, split;
    params_guest_off: "params/guest_off", acpi, split;
    hotplug_1: "hotplug/1", acpi, split;
    hotplug_1_reverse: "hotplug/1_reverse", acpi, split;
    hotplug_2: "hotplug/2", acpi, split;
    hotplug_2_reverse: "hotplug/2_reverse", acpi, split;
    migrate_on_out: "migrate/on/out", acpi, split;
    migrate_on_in: "migrate/on/in", acpi, split;
    migrate_off_out: "migrate/off/out", acpi, split;
    migrate_off_in: "migrate/off/in", acpi, split;
    migrate_off_abort: "migrate/off/abort", acpi, split;
    migrate_guest_off_out: "migrate/guest_off/out", acpi, split;
    migrate_guest_off_in: "migrate/guest_off/in", acpi, split;
    migrate_guest_off_abort: "migrate/guest_off/abort", acpi, split;
    migrate_abort_wait_unplug: "migrate/abort/wait-unplug", acpi, split;
    migrate_abort_active: "migrate/abort/active", acpi, split;
    #[cfg(feature = "slow")]
    migrate_abort_timeout: "migrate/abort/timeout", acpi, split;
    migrate_multi_out: "migrate/multi/out", acpi, split;
    migrate_multi_in: "migrate/multi/in", acpi, split;
    migrate_on_out_native: "migrate/on/out", native, packed;
    migrate_on_in_native: "migrate/on/in", native, packed;
    migrate_abort_wait_unplug_native: "migrate/abort/wait-unplug", native, packed;
    migrate_abort_active_native: "migrate/abort/active", native, packed;
    #[cfg(feature = "slow")]
    migrate_abort_timeout_native: "migrate/abort/timeout", native, packed;
    migrate_multi_in_native: "migrate/multi/in", native, packed;
    trap_disabled_guest: "trap/disabled_guest", acpi, split;
    trap_stale_feature_word: "trap/stale_feature_word", native, packed;
    trap_reset_shows_primary: "trap/reset_shows_primary", acpi, split;
    trap_standby_given_up: "trap/standby_given_up", native, packed;
    trap_stale_bars: "trap/stale_bars", acpi, split;
    trap_other_mac: "trap/other_mac", native, packed;
    trap_duplicate_id: "trap/duplicate_id", acpi, split;
    trap_standby_leaves_first: "trap/standby_leaves_first", native, packed;
    more_no_vf_at_destination: "more/no_vf_at_destination", acpi, split;
    more_late_vf: "more/late_vf", native, packed;
    more_again_after_cancel: "more/again_after_cancel", acpi, split;
    more_cancel_20: "more/cancel_20", native, packed;
    more_delayed_eject: "more/delayed_eject", acpi, split;
    more_surprise: "more/surprise", native, packed;
    more_vf_link: "more/vf_link", acpi, split;
    more_standby_link: "more/standby_link", native, split;
    more_both_links: "more/both_links", acpi, split;
    more_announce: "more/announce", native, packed;
    more_smaller_mtu: "more/smaller_mtu", acpi, split;
    more_second_vf: "more/second_vf", native, packed;
    more_changed_mac: "more/changed_mac", acpi, split;
    more_sleep_on_virtio: "more/sleep_on_virtio", native, packed;
    more_sleep_on_vf: "more/sleep_on_vf", acpi, split;
    more_sleep_then_migrate: "more/sleep_then_migrate", native, packed;
    more_sleep_in_wait_unplug: "more/sleep_in_wait_unplug", acpi, packed;
    more_reset_on_virtio: "more/reset_on_virtio", acpi, split;
    trap_stale_bars_native: "trap/stale_bars", native, packed;
}

/// Whatever there is is played.
#[test]
fn none_is_forgotten() {
    let quick = qemu_host::scenarios::SCENARIOS
        .iter()
        .filter(|it| !it.is_slow);
    let forgotten: Vec<_> = quick
        .map(|it| it.name)
        .filter(|it| !PLAYED.contains(it))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}
