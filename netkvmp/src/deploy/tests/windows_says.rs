//! Answers of Windows that are no plain success and no plain failure.

use super::*;

#[test]
fn the_component_of_another_service_is_left_alone() {
    type Run = fn(&mut Fake, &Choice) -> Result<Report, Failure>;
    let commands: [Run; 2] = [
        |system, choice| install(system, choice),
        |system, choice| uninstall(system, choice),
    ];
    for command in commands {
        let mut system = Fake {
            component: Some("netkvmp"),
            ..Fake::installed()
        };
        let failure = command(&mut system, &choice()).unwrap_err();
        assert_eq!(failure.exit_code(), 10);
        assert!(failure.to_string().contains("\"netkvmp\""), "{failure}");
        assert_eq!(system.state(), (true, true, 1));
        let log = system.log.borrow();
        assert!(
            !log.iter()
                .any(|call| call == "stage" || call == "deinstall")
        );
    }
}

#[test]
fn a_success_that_leaves_no_service_is_a_failure() {
    let mut system = Fake {
        is_serviceless: true,
        ..Fake::default()
    };
    let failure = install(&mut system, &choice()).unwrap_err();
    assert_eq!(failure.exit_code(), 1);
    assert!(
        failure.to_string().contains("the service is not there"),
        "{failure}"
    );
    assert_eq!(system.state(), (false, false, 0));
}

#[test]
fn what_was_there_before_stays_when_an_installation_fails() {
    // A component without service, which can't be removed.
    let mut system = Fake {
        service: false,
        fails: vec!["deinstall"],
        ..Fake::installed()
    };
    let failure = install(&mut system, &choice()).unwrap_err();
    assert_eq!(failure.exit_code(), 1);
    assert_eq!(system.state(), (true, false, 1));
    // A service without component.
    let mut system = Fake {
        service: true,
        fails: vec!["install"],
        ..Fake::default()
    };
    let failure = install(&mut system, &choice()).unwrap_err();
    assert_eq!(failure.exit_code(), 1);
    assert_eq!(system.state(), (false, true, 0));
}

#[test]
fn each_step_can_ask_for_a_restart() {
    for step in ["install", "apply"] {
        let mut system = Fake {
            reboots: vec![step],
            ..Fake::default()
        };
        let report = install(&mut system, &choice()).unwrap();
        assert_eq!(report.exit_code(), 3010, "{step}");
    }
    for step in ["deinstall", "apply"] {
        let mut system = Fake {
            reboots: vec![step],
            ..Fake::installed()
        };
        let report = uninstall(&mut system, &choice()).unwrap();
        assert_eq!(report.exit_code(), 3010, "{step}");
    }
    // The component that has lost its service goes first.
    let mut system = Fake {
        service: false,
        reboots: vec!["deinstall"],
        ..Fake::installed()
    };
    let report = install(&mut system, &choice()).unwrap();
    assert_eq!(report.exit_code(), 3010);
}

#[test]
fn the_configuration_is_closed_before_a_package_goes() {
    let is_closed_first = |system: &Fake| {
        let log = system.log.borrow();
        let place = |name: &str| log.iter().position(|call| call == name);
        place("close").unwrap() < place("unstage").unwrap()
    };
    let mut system = Fake::installed();
    uninstall(&mut system, &choice()).unwrap();
    assert!(is_closed_first(&system));
    let mut system = Fake {
        fails: vec!["install"],
        ..Fake::default()
    };
    install(&mut system, &choice()).unwrap_err();
    assert!(is_closed_first(&system));
}
