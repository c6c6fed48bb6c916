//! Every step fails once, and the way back is checked.

use fake::{Fake, version};

use super::install::install;
use super::uninstall::uninstall;
use super::*;
use crate::report::Report;

mod fake;
mod restart;
mod upgrade;
mod windows_says;
mod withheld;

fn choice() -> Choice {
    Choice {
        inf: "vioprot.inf".into(),
        ..Choice::default()
    }
}

#[test]
fn an_installation_ends_with_package_component_and_service() {
    let mut system = Fake::default();
    let report = install(&mut system, &choice()).unwrap();
    assert!(matches!(report, Report::Installed { reboot: false, .. }));
    assert_eq!(system.state(), (true, true, 1));
}

#[test]
fn a_second_installation_changes_nothing() {
    let mut system = Fake::installed();
    let report = install(&mut system, &choice()).unwrap();
    assert!(matches!(report, Report::AlreadyInstalled { .. }));
    assert!(!system.log.borrow().iter().any(|name| name == "stage"));
}

#[test]
fn each_step_that_fails_leaves_nothing_behind() {
    for (step, code) in [
        ("packages", 1),
        ("open", 1),
        ("component", 1),
        ("stage", 1),
        ("install", 1),
        ("apply", 1),
    ] {
        let mut system = Fake {
            fails: vec![step],
            ..Fake::default()
        };
        let failure = install(&mut system, &choice()).unwrap_err();
        assert_eq!(failure.exit_code(), code, "{step}");
        assert!(failure.to_string().contains(step), "{failure}");
        assert_eq!(system.state(), (false, false, 0), "{step}");
    }
}

#[test]
fn what_can_not_be_undone_is_told() {
    for step in ["deinstall", "unstage", "cancel", "apply again"] {
        let mut system = Fake {
            fails: vec!["apply", step],
            ..Fake::default()
        };
        let failure = install(&mut system, &choice()).unwrap_err();
        assert_eq!(failure.exit_code(), 8, "{step}");
        assert!(failure.to_string().contains(step), "{failure}");
    }
}

#[test]
fn a_package_that_was_there_before_survives_a_failure() {
    let mut system = Fake {
        packages: vec![("oem7.inf".into(), version("1"))],
        fails: vec!["install"],
        ..Fake::default()
    };
    install(&mut system, &choice()).unwrap_err();
    assert!(!system.log.borrow().iter().any(|name| name == "unstage"));
}

#[test]
fn nothing_is_touched_without_rights_inf_or_lock() {
    let cases = [
        (
            Fake {
                elevated: false,
                ..Fake::default()
            },
            4,
        ),
        (
            Fake {
                inf: None,
                ..Fake::default()
            },
            5,
        ),
        (
            Fake {
                inf: Some("garbage".into()),
                ..Fake::default()
            },
            6,
        ),
        (
            Fake {
                files: vec!["netkvm.sys"],
                ..Fake::default()
            },
            6,
        ),
        (
            Fake {
                holder: Some("Other".into()),
                ..Fake::default()
            },
            7,
        ),
    ];
    for (mut system, code) in cases {
        let failure = install(&mut system, &choice()).unwrap_err();
        assert_eq!(failure.exit_code(), code);
        assert_eq!(system.state(), (false, false, 0));
        assert!(!system.log.borrow().iter().any(|name| name == "stage"));
    }
}

#[test]
fn a_dry_run_needs_no_lock_and_changes_nothing() {
    let dry = Choice {
        is_dry: true,
        ..choice()
    };
    let mut system = Fake {
        holder: Some("Other".into()),
        ..Fake::default()
    };
    assert!(matches!(
        install(&mut system, &dry).unwrap(),
        Report::Plan { .. }
    ));
    assert_eq!(system.state(), (false, false, 0));
    let mut system = Fake::installed();
    let Report::Plan { steps } = uninstall(&mut system, &dry).unwrap() else {
        panic!("no plan")
    };
    assert_eq!(steps.len(), 3);
    assert_eq!(system.state(), (true, true, 1));
}

#[test]
fn removing_takes_everything_and_the_second_time_nothing() {
    let mut system = Fake::installed();
    let report = uninstall(&mut system, &choice()).unwrap();
    assert!(matches!(report, Report::Removed { .. }));
    assert_eq!(system.state(), (false, false, 0));
    assert_eq!(
        uninstall(&mut system, &choice()).unwrap(),
        Report::NothingInstalled { absent: vec![] }
    );
}

#[test]
fn half_an_installation_is_removed() {
    for (component, service, packages) in [(false, false, 1), (false, true, 0), (true, true, 0)] {
        let mut system = Fake {
            component: component.then_some("vioprot"),
            service,
            packages: vec![("oem3.inf".into(), version("1")); packages],
            ..Fake::default()
        };
        let report = uninstall(&mut system, &choice()).unwrap();
        assert!(matches!(report, Report::Removed { .. }), "{report:?}");
        assert_eq!(system.state(), (false, false, 0));
    }
}

#[test]
fn a_component_without_its_service_is_installed_again() {
    let mut system = Fake {
        service: false,
        ..Fake::installed()
    };
    install(&mut system, &choice()).unwrap();
    assert_eq!((system.component, system.service), (Some("vioprot"), true));
}

#[test]
fn a_removal_that_fails_is_undone() {
    for step in ["deinstall", "apply"] {
        let mut system = Fake {
            fails: vec![step],
            ..Fake::installed()
        };
        let failure = uninstall(&mut system, &choice()).unwrap_err();
        assert_eq!(failure.exit_code(), 1, "{step}");
        assert_eq!(system.state(), (true, true, 1), "{step}");
    }
    let mut system = Fake {
        fails: vec!["unstage"],
        ..Fake::installed()
    };
    assert_eq!(
        uninstall(&mut system, &choice()).unwrap_err().exit_code(),
        8
    );
    assert_eq!(system.state(), (false, false, 1));
}
