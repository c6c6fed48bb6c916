//! A newer package takes the place of an older one, or nothing changes.

use super::*;

/// Version 1 is installed, and 2 is offered. A function has lost its bindings.
fn with_newer() -> Fake {
    Fake {
        inf: Some(fake::INF.replace("1.0.0.0", "2.0.0.0")),
        withheld: vec!["vf"],
        ..Fake::installed()
    }
}

/// Of the package that is in force.
fn names(system: &Fake) -> Vec<&str> {
    let names = system.packages.iter().map(|(name, _)| name.as_str());
    names.collect()
}

#[test]
fn a_newer_version_takes_the_place_of_the_old_one() {
    let mut system = with_newer();
    let report = install(&mut system, &choice()).unwrap();
    assert_eq!(
        report,
        Report::Upgraded {
            from: version("1"),
            version: version("2"),
            inf: "oem7.inf".into(),
            left: None,
            reboot: false,
        }
    );
    assert_eq!(system.state(), (true, true, 1));
    assert_eq!(system.origin.as_deref(), Some("oem7.inf"));
    assert_eq!(names(&system), ["oem7.inf"]);
    // Nothing was given back, and the next removal does.
    assert_eq!(system.withheld, ["vf"]);
    assert!(!system.is_upgrading);
}

#[test]
fn a_later_date_is_newer_whatever_the_number() {
    let mut system = Fake {
        inf: Some(fake::INF.replace("11/20/2026,1.0.0.0", "11/21/2026,0.9.0.0")),
        ..Fake::installed()
    };
    let report = install(&mut system, &choice()).unwrap();
    assert!(matches!(report, Report::Upgraded { .. }), "{report:?}");
    assert_eq!(system.origin.as_deref(), Some("oem7.inf"));
}

#[test]
fn an_older_version_is_refused() {
    let mut system = Fake {
        inf: Some(fake::INF.replace("1.0.0.0", "0.9.0.0")),
        ..Fake::installed()
    };
    let failure = install(&mut system, &choice()).unwrap_err();
    assert_eq!(failure.exit_code(), 9);
    let told = failure.to_string();
    assert!(
        told.contains("1.0.0.0 of 2026-11-20 is installed"),
        "{told}"
    );
    assert!(told.contains("0.9.0.0"), "{told}");
    assert!(told.contains("netkvmp uninstall"), "{told}");
    assert_eq!(system.state(), (true, true, 1));
    assert!(!system.log.borrow().iter().any(|call| call == "stage"));
}

/// A package that somebody has only added does not count; where Windows does not tell, the newest does.
#[test]
fn the_version_is_that_of_the_package_in_force() {
    let both = vec![
        ("oem3.inf".into(), version("1")),
        ("oem4.inf".into(), version("2")),
    ];
    let mut system = Fake {
        packages: both.clone(),
        ..with_newer()
    };
    let report = install(&mut system, &choice()).unwrap();
    assert!(matches!(report, Report::Upgraded { .. }), "{report:?}");
    let mut system = Fake {
        packages: both,
        origin: None,
        ..with_newer()
    };
    let report = install(&mut system, &choice()).unwrap();
    assert!(
        matches!(report, Report::AlreadyInstalled { .. }),
        "{report:?}"
    );
}

#[test]
fn each_step_that_fails_leaves_the_old_version() {
    for step in ["keep_withheld", "stage", "deinstall", "install", "apply"] {
        let mut system = Fake {
            fails_once: vec![step],
            ..with_newer()
        };
        let failure = install(&mut system, &choice()).unwrap_err();
        assert_eq!(failure.exit_code(), 1, "{step}: {failure}");
        assert!(failure.to_string().contains(step), "{failure}");
        assert_eq!(system.state(), (true, true, 1), "{step}");
        assert_eq!(system.origin.as_deref(), Some("oem3.inf"), "{step}");
        assert_eq!(names(&system), ["oem3.inf"], "{step}");
        assert_eq!(system.withheld, ["vf"], "{step}");
        assert!(!system.is_upgrading, "{step}");
    }
}

/// The process was ended when all but the sign had been seen to.
#[test]
fn the_sign_of_an_upgrade_does_not_outlive_the_next_run() {
    let mut system = Fake {
        is_upgrading: true,
        ..Fake::installed()
    };
    install(&mut system, &choice()).unwrap();
    assert!(!system.is_upgrading);
}

/// The second `apply` is the one after the new component.
#[test]
fn a_new_version_that_can_not_be_applied_goes_again() {
    let mut system = Fake {
        fails_once: vec!["apply again"],
        ..with_newer()
    };
    let failure = install(&mut system, &choice()).unwrap_err();
    assert_eq!(failure.exit_code(), 1, "{failure}");
    assert_eq!(system.origin.as_deref(), Some("oem3.inf"));
    assert_eq!(names(&system), ["oem3.inf"]);
}

#[test]
fn an_old_version_that_does_not_come_back_is_told() {
    for step in ["install", "cancel", "unstage"] {
        let mut system = Fake {
            fails: vec!["install", step],
            ..with_newer()
        };
        let failure = install(&mut system, &choice()).unwrap_err();
        assert_eq!(failure.exit_code(), 8, "{step}");
        assert!(failure.to_string().contains(step), "{failure}");
    }
    // Somebody else has taken the lock in between.
    let mut system = Fake {
        fails: vec!["install"],
        later_holder: Some("Other".into()),
        ..with_newer()
    };
    let failure = install(&mut system, &choice()).unwrap_err();
    assert_eq!(failure.exit_code(), 8);
    assert!(failure.to_string().contains("\"Other\""), "{failure}");
}

#[test]
fn a_system_that_takes_the_old_package_again_is_not_upgraded() {
    let mut system = Fake {
        is_stubborn: true,
        ..with_newer()
    };
    let failure = install(&mut system, &choice()).unwrap_err();
    assert_eq!(failure.exit_code(), 1);
    assert!(failure.to_string().contains("oem3.inf"), "{failure}");
    assert_eq!(names(&system), ["oem3.inf"]);
    assert_eq!(system.state(), (true, true, 1));
}

#[test]
fn a_system_that_does_not_tell_is_upgraded() {
    let mut system = Fake {
        origin: None,
        is_secretive: true,
        ..with_newer()
    };
    let report = install(&mut system, &choice()).unwrap();
    assert!(matches!(report, Report::Upgraded { .. }), "{report:?}");
}

#[test]
fn an_old_package_that_stays_is_no_failure() {
    let mut system = Fake {
        fails: vec!["unstage"],
        ..with_newer()
    };
    let report = install(&mut system, &choice()).unwrap();
    assert_eq!(report.exit_code(), 0);
    assert!(report.text().contains("The old package stays: unstage"));
    assert_eq!(system.state(), (true, true, 2));
}

#[test]
fn a_dry_run_says_what_is_replaced() {
    let dry = Choice {
        is_dry: true,
        ..choice()
    };
    let mut system = with_newer();
    let report = install(&mut system, &dry).unwrap();
    assert!(
        report
            .text()
            .contains("remove the component VIOPROT 1.0.0.0")
    );
    assert_eq!(system.state(), (true, true, 1));
}
