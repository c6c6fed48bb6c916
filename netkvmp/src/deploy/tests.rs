//! Every step fails once, and the way back is checked.

use std::cell::RefCell;

use super::*;

mod windows_says;

const INF: &str = include_str!("../../../inf/vioprot.inf");

/// A system in memory: what is there, what fails, what happened.
struct Fake {
    elevated: bool,
    inf: Option<String>,
    files: Vec<&'static str>,
    packages: Vec<(String, String)>,
    /// The name of its service.
    component: Option<&'static str>,
    service: bool,
    /// Steps after which Windows has to be restarted.
    reboots: Vec<&'static str>,
    /// The INF runs, and leaves no service.
    is_serviceless: bool,
    holder: Option<String>,
    /// Calls that fail, by name.
    fails: Vec<&'static str>,
    log: RefCell<Vec<String>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            elevated: true,
            inf: Some(INF.into()),
            files: vec!["netkvm.sys", "netkvmno.dll", "vioprot.cat"],
            packages: vec![],
            component: None,
            service: false,
            reboots: vec![],
            is_serviceless: false,
            holder: None,
            fails: vec![],
            log: RefCell::default(),
        }
    }
}

impl Fake {
    fn call(&self, name: &'static str) -> Step<()> {
        self.log.borrow_mut().push(name.into());
        if self.fails.contains(&name) {
            return Err(trouble(name));
        }
        Ok(())
    }

    fn installed() -> Self {
        Self {
            packages: vec![("oem3.inf".into(), "1.0.0.0".into())],
            component: Some("vioprot"),
            service: true,
            ..Self::default()
        }
    }

    fn state(&self) -> (bool, bool, usize) {
        (self.component.is_some(), self.service, self.packages.len())
    }
}

fn trouble(name: &str) -> Trouble {
    Trouble {
        what: name.into(),
        reason: "told to".into(),
    }
}

impl System for Fake {
    fn is_elevated(&self) -> bool {
        self.elevated
    }
    fn read(&self, _: &Path) -> Step<Option<Vec<u8>>> {
        self.call("read")?;
        Ok(self.inf.clone().map(String::into_bytes))
    }
    fn exists(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| self.files.contains(&name))
    }
    fn packages(&self) -> Step<Vec<(String, String)>> {
        self.call("packages")?;
        Ok(self.packages.clone())
    }
    fn stage(&mut self, _: &Path) -> Step<String> {
        self.call("stage")?;
        self.packages.push(("oem7.inf".into(), "1.0.0.0".into()));
        Ok("oem7.inf".into())
    }
    fn unstage(&mut self, name: &str) -> Step<()> {
        self.call("unstage")?;
        self.packages.retain(|(inf, _)| inf != name);
        Ok(())
    }
    fn open(&mut self, lock: Option<Duration>) -> Step<Option<String>> {
        self.call("open")?;
        Ok(self.holder.clone().filter(|_| lock.is_some()))
    }
    fn component(&self) -> Step<Option<String>> {
        self.call("component")?;
        Ok(self.component.map(str::to_owned))
    }
    fn install(&mut self) -> Step<bool> {
        self.call("install")?;
        // One that is there gets another reference, and its INF does not run.
        if self.component.is_none() {
            self.component = Some("vioprot");
            self.service = !self.is_serviceless;
        }
        Ok(self.reboots.contains(&"install"))
    }
    fn deinstall(&mut self) -> Step<bool> {
        self.call("deinstall")?;
        self.component = None;
        self.service = false;
        Ok(self.reboots.contains(&"deinstall"))
    }
    fn apply(&mut self) -> Step<bool> {
        let count = self
            .log
            .borrow()
            .iter()
            .filter(|name| *name == "apply")
            .count();
        self.call(if count == 0 { "apply" } else { "apply again" })?;
        Ok(self.reboots.contains(&"apply"))
    }
    fn cancel(&mut self) -> Step<()> {
        self.call("cancel")
    }
    fn close(&mut self) {
        self.log.borrow_mut().push("close".into());
    }
    fn has_service(&self) -> bool {
        self.service
    }
    fn delete_service(&mut self) -> Step<()> {
        self.call("delete_service")?;
        self.service = false;
        Ok(())
    }
    fn announce(&self, _: &str) {}
}

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
fn another_version_is_not_replaced() {
    let mut system = Fake::installed();
    system.packages[0].1 = "0.9.0.0".into();
    let failure = install(&mut system, &choice()).unwrap_err();
    assert_eq!(failure.exit_code(), 9);
    assert_eq!(system.state(), (true, true, 1));
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
        packages: vec![("oem7.inf".into(), "1.0.0.0".into())],
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
        Report::NothingInstalled
    );
}

#[test]
fn half_an_installation_is_removed() {
    for (component, service, packages) in [(false, false, 1), (false, true, 0), (true, true, 0)] {
        let mut system = Fake {
            component: component.then_some("vioprot"),
            service,
            packages: vec![("oem3.inf".into(), "1".into()); packages],
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
