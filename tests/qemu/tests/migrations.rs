//! Migrations between QEMUs: twenty in a run, in each ring layout and with each kind of hot-plug.
//!
//! Each run is a process of its own, and one runs at a time: QEMU and the driver live in real time.
//! `cargo xtask test qemu` builds the image, says where it is, and runs this.

use qemu_host::alone::run;
use serde_json::Value;

const HOPS: &str = "20";

/// Migrates; what the program reports. It fails for everything that a migration must not do.
fn migrate(ring: &str, hotplug: &str) {
    let arguments = [
        "--ring",
        ring,
        "--hotplug",
        hotplug,
        "--hops",
        HOPS,
        "--json",
    ];
    let said = run(env!("CARGO_BIN_EXE_qemu_migrate"), &arguments);
    let report: Value = serde_json::from_str(&said).expect("the program prints its report");
    assert_eq!(report["verdict"], "pass");
    assert_eq!(report["backend"], "qemu");

    let median = |name: &str| {
        let times = report[name].as_array().expect("a list of times");
        assert_eq!(times.len().to_string(), HOPS, "{name}");
        let mut times: Vec<f64> = times.iter().filter_map(Value::as_f64).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    println!(
        "QEMU {}, {ring} rings, {hotplug} hot-plug: {HOPS} migrations, VF given back after {:.1} ms, \
         processors stopped for {:.1} ms (medians)",
        report["qemu_version"].as_str().unwrap_or_default(),
        median("eject_ms"),
        median("stop_ms"),
    );
    assert_eq!(report["refused"], 0);
    expect_events(&report["events"]);
}

/// A destination that lacks what the driver has taken: QEMU ends there, and the guest goes on where it was,
/// with its VF plugged again.
#[test]
fn a_destination_that_offers_less() {
    for (ring, lack) in [("split", "mrg_rxbuf=off"), ("packed", "packed=off")] {
        let mut arguments = vec!["--ring", ring, "--hops", "2", "--json"];
        arguments.extend(["--destination-property", lack]);
        let said = run(env!("CARGO_BIN_EXE_qemu_migrate"), &arguments);
        let report: Value = serde_json::from_str(&said).expect("the program prints its report");
        assert_eq!(report["verdict"], "pass");
        assert_eq!(report["refused"], 2, "{lack}");
        let failed = report["events"].as_array().expect("a list of events");
        let failed = failed.iter().filter(|it| it["event"] == "MIGRATION failed");
        assert_eq!(failed.count(), 2, "{lack}");
    }
}

/// Each QEMU that the guest leaves asks for the primary and waits for it before it sends anything; each
/// that the guest gets to has its driver's STANDBY before it goes on.
fn expect_events(events: &Value) {
    let events = events.as_array().expect("a list of events");
    let hops: u64 = HOPS.parse().expect("a number");
    for machine in 1..=hops + 1 {
        let of_machine: Vec<&str> = events
            .iter()
            .filter(|event| event["machine"] == machine)
            .filter_map(|event| event["event"].as_str())
            .collect();
        let leaving = [
            "UNPLUG_PRIMARY primary0",
            "MIGRATION wait-unplug",
            "MIGRATION active",
            "STOP",
            "MIGRATION pre-switchover",
            "MIGRATION completed",
        ];
        let mut wanted = vec!["FAILOVER_NEGOTIATED standby0"];
        wanted.extend((machine > 1).then_some("RESUME"));
        wanted.extend(leaving.iter().filter(|_| machine <= hops));
        let mut seen = of_machine.iter();
        for one in &wanted {
            assert!(
                seen.any(|event| event == one),
                "machine {machine}: {one} is missing or late in {of_machine:?}"
            );
        }
    }
}

#[test]
fn split_rings_and_acpi() {
    migrate("split", "acpi");
}

#[test]
fn split_rings_and_native_hot_plug() {
    migrate("split", "native");
}

#[test]
fn packed_rings_and_acpi() {
    migrate("packed", "acpi");
}

#[test]
fn packed_rings_and_native_hot_plug() {
    migrate("packed", "native");
}
