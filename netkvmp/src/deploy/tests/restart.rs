//! Whatever becomes of a run, a restart that Windows has asked for on the way is told.

use super::*;

type Command = fn(&mut Fake, &Choice) -> Result<Report, Failure>;

const INSTALL: Command = |system, choice| install(system, choice);
const UNINSTALL: Command = |system, choice| uninstall(system, choice);

fn newer() -> Fake {
    Fake {
        inf: Some(fake::INF.replace("1.0.0.0", "2.0.0.0")),
        ..Fake::installed()
    }
}

/// What there is, the command, the call that asks for the restart, those that fail, and the exit code.
fn failures() -> Vec<(Fake, Command, &'static str, Vec<&'static str>, u32)> {
    let broken = Fake {
        service: false,
        ..Fake::installed()
    };
    vec![
        // On the way back.
        (Fake::default(), INSTALL, "deinstall", vec!["apply"], 1),
        // On the way to what failed then.
        (Fake::default(), INSTALL, "install", vec!["apply"], 1),
        (broken, INSTALL, "deinstall", vec!["install"], 1),
        (newer(), INSTALL, "deinstall", vec!["install"], 8),
        (newer(), INSTALL, "install", vec!["apply again"], 8),
        (
            Fake::default(),
            INSTALL,
            "install",
            vec!["apply", "cancel"],
            8,
        ),
        (
            Fake::default(),
            INSTALL,
            "install",
            vec!["apply", "unstage"],
            8,
        ),
        (Fake::installed(), UNINSTALL, "deinstall", vec!["apply"], 1),
        (
            Fake::installed(),
            UNINSTALL,
            "deinstall",
            vec!["apply", "cancel"],
            8,
        ),
        (
            Fake::installed(),
            UNINSTALL,
            "deinstall",
            vec!["give_back"],
            8,
        ),
        (Fake::installed(), UNINSTALL, "apply", vec!["unstage"], 8),
    ]
}

#[test]
fn a_failure_says_that_a_restart_is_needed() {
    for (system, command, asks, fails, code) in failures() {
        let case = format!("{asks} asks, {fails:?} fail");
        let mut system = Fake {
            reboots: vec![asks],
            fails,
            ..system
        };
        let failure = command(&mut system, &choice()).unwrap_err();
        assert_eq!(failure.exit_code(), code, "{case}: {failure}");
        assert!(failure.needs_reboot(), "{case}");
        let told = failure.to_string().to_ascii_lowercase();
        assert!(told.contains("restart windows"), "{case}: {told}");
    }
}

#[test]
fn a_failure_without_says_nothing_of_it() {
    for (system, command, _, fails, _) in failures() {
        let mut system = Fake { fails, ..system };
        let failure = command(&mut system, &choice()).unwrap_err();
        assert!(!failure.needs_reboot());
        let told = failure.to_string().to_ascii_lowercase();
        assert!(!told.contains("restart"), "{told}");
    }
}

#[test]
fn an_upgrade_that_needs_one_has_its_exit_code() {
    for asks in ["deinstall", "install", "apply"] {
        let mut system = Fake {
            reboots: vec![asks],
            ..newer()
        };
        let report = install(&mut system, &choice()).unwrap();
        assert_eq!(report.exit_code(), 3010, "{asks}");
        assert!(report.text().contains("Restart Windows"), "{asks}");
    }
}
