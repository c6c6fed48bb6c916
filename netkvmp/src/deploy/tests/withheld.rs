//! What functions have lost, and who gives it back.

use super::*;

#[test]
fn an_adapter_that_is_not_there_is_named() {
    let mut system = Fake {
        withheld: vec!["here", "away"],
        absent: vec!["away"],
        ..Fake::installed()
    };
    let report = uninstall(&mut system, &choice()).unwrap();
    let told = report.text();
    assert!(told.contains("Not there: away."), "{told}");
    assert!(told.contains("\"netkvmp uninstall\" once more"), "{told}");
    assert_eq!(system.withheld, ["away"]);
    // Still away.
    let report = uninstall(&mut system, &choice()).unwrap();
    let away = Report::NothingInstalled {
        absent: vec!["away".into()],
    };
    assert_eq!(report, away);
    assert!(report.text().contains("Not there: away."));
    // Back.
    system.absent.clear();
    let report = uninstall(&mut system, &choice()).unwrap();
    assert!(
        report.text().contains("record of away"),
        "{}",
        report.text()
    );
    assert!(system.withheld.is_empty());
    let report = uninstall(&mut system, &choice()).unwrap();
    assert_eq!(report, Report::NothingInstalled { absent: vec![] });
}

/// The process was ended between the two components.
#[test]
fn half_an_upgrade_is_cleaned_up() {
    let mut system = Fake {
        component: None,
        service: false,
        is_upgrading: true,
        withheld: vec!["vf"],
        ..Fake::installed()
    };
    uninstall(&mut system, &choice()).unwrap();
    assert_eq!(system.state(), (false, false, 0));
    assert!(system.withheld.is_empty());
    // And before the first has gone.
    let mut system = Fake {
        is_upgrading: true,
        withheld: vec!["vf"],
        ..Fake::installed()
    };
    uninstall(&mut system, &choice()).unwrap();
    assert!(system.withheld.is_empty());
}

#[test]
fn what_can_not_be_given_back_keeps_its_record() {
    for step in ["give_back", "apply"] {
        let mut system = Fake {
            withheld: vec!["vf"],
            fails: vec![step],
            ..Fake::default()
        };
        let failure = uninstall(&mut system, &choice()).unwrap_err();
        assert_eq!(failure.exit_code(), 8, "{step}");
        assert_eq!(system.withheld, ["vf"], "{step}");
    }
}
