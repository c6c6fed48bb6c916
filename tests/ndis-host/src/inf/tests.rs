//! The files of this project, and files that are wrong.

use super::*;
use crate::registry::{SERVICES, Value};

const NETKVM: &str = include_str!("../../../../inf/netkvm.inf");
const VIOPROT: &str = include_str!("../../../../inf/vioprot.inf");
const ADAPTER: &str = r"PCI\VEN_1AF4&DEV_1041";

fn text(text: &str) -> Value {
    Value::Sz(text.to_owned())
}

#[test]
fn our_adapter_gets_its_keywords_service_and_interrupt_settings() {
    let mut registry = Registry::new();
    let installed = install(NETKVM, ADAPTER, &mut registry).unwrap();

    assert_eq!(installed.service.as_deref(), Some("netkvm"));
    assert_eq!(installed.characteristics, 0x84);
    let driver = registry.key(&installed.driver_key).unwrap();
    assert_eq!(driver.value("*IfType"), Some(&Value::Dword(6)));
    assert_eq!(driver.value("*MediaType"), Some(&Value::Dword(0)));
    assert_eq!(driver.value("*PhysicalMediaType"), Some(&Value::Dword(14)));
    assert_eq!(driver.value("BusType"), Some(&text("5")));
    assert_eq!(driver.value("StandbyGraceMs"), Some(&text("3000")));
    assert_eq!(driver.value("*JumboPacket"), Some(&text("1514")));
    assert_eq!(
        driver.value("NetworkAddress"),
        None,
        "an optional keyword has no value at first"
    );
    assert_eq!(
        driver.key("Ndi").unwrap().value("Service"),
        Some(&text("netkvm"))
    );
    let limits = driver.key(r"Ndi\params\*ReceiveBuffers").unwrap();
    assert_eq!(limits.value("Max"), Some(&text("4096")));

    let hardware = registry.key(&installed.hardware_key).unwrap();
    let msi = hardware
        .key(r"Interrupt Management\MessageSignaledInterruptProperties")
        .unwrap();
    assert_eq!(msi.value("MSISupported"), Some(&Value::Dword(1)));
}

#[test]
fn our_adapter_service_is_a_demand_started_driver() {
    let mut registry = Registry::new();
    install(NETKVM, ADAPTER, &mut registry).unwrap();

    let service = registry.key(&format!(r"{SERVICES}\netkvm")).unwrap();
    assert_eq!(service.value("Type"), Some(&Value::Dword(1)));
    assert_eq!(service.value("Start"), Some(&Value::Dword(3)));
    assert_eq!(service.value("Group"), Some(&text("NDIS")));
    let path = service.value("ImagePath").unwrap().as_text().unwrap();
    assert!(path.starts_with(r"\SystemRoot\System32\DriverStore\FileRepository\netkvm.inf_amd64_"));
    assert!(path.ends_with(r"\netkvm.sys"));

    let log = registry
        .key(&format!(r"{SERVICES}\EventLog\System\netkvm"))
        .unwrap();
    let file = log.value("EventMessageFile");
    let expected = r"%SystemRoot%\System32\netevent.dll".to_owned();
    assert_eq!(file, Some(&Value::ExpandSz(expected)));
}

#[test]
fn each_installation_is_an_instance_of_its_own() {
    let mut registry = Registry::new();
    let first = install(NETKVM, ADAPTER, &mut registry).unwrap();
    let second = install(NETKVM, ADAPTER, &mut registry).unwrap();

    assert_ne!(first.driver_key, second.driver_key);
    assert_ne!(first.instance, second.instance);
    let id = registry
        .key(&second.driver_key)
        .unwrap()
        .value("NetCfgInstanceId");
    assert_eq!(id, Some(&text(&second.instance)));
}

#[test]
fn our_protocol_takes_the_section_for_the_build() {
    let newest = Target {
        version: (10, 0, 26100),
        ..Target::default()
    };
    let inf = Inf::parse(VIOPROT).unwrap();
    let dll = |target: &Target| {
        let mut registry = Registry::new();
        let installed = inf.install("VIOPROT", target, &mut registry).unwrap();
        assert_eq!(installed.service.as_deref(), Some("vioprot"));
        let ndi = registry
            .key(&installed.driver_key)
            .unwrap()
            .key("Ndi")
            .unwrap();
        assert_eq!(ndi.value("Service"), Some(&text("vioprot")));
        ndi.value("ComponentDll")
            .unwrap()
            .as_text()
            .unwrap()
            .to_owned()
    };
    assert_eq!(dll(&Target::default()), "netkvmno.dll");
    assert!(dll(&newest).ends_with(r"\netkvmno.dll"));
}

#[test]
fn systems_and_devices_that_the_file_does_not_name_are_refused() {
    let inf = Inf::parse(NETKVM).unwrap();
    let old = Target {
        version: (10, 0, 14393),
        ..Target::default()
    };
    let kind = |id: &str, target: &Target| {
        inf.install(id, target, &mut Registry::new())
            .unwrap_err()
            .kind
    };
    let no_model = |id: &str| InfErrorKind::NoModel { id: id.to_owned() };
    assert_eq!(kind(ADAPTER, &old), no_model(ADAPTER));
    assert_eq!(
        kind("PCI\\VEN_8086", &Target::default()),
        no_model("PCI\\VEN_8086")
    );
}

/// A small file in which single lines can be replaced.
const SMALL: &str = "\
[Version]
Signature = \"$Windows NT$\"
Class = Net
ClassGuid = {4D36E972-E325-11CE-BFC1-08002BE10318}
Provider = %P%
[Manufacturer]
%P% = M, NTamd64.10.0...17763
[M.NTamd64.10.0...17763]
%P% = I, PCI\\X
[I]
Characteristics = 0x84
AddReg = R
[R]
HKR,, Number, 0x00010001, 7
[I.Services]
AddService = s, 2, S
[S]
ServiceType = 1
StartType = 3
ErrorControl = 1
ServiceBinary = %12%\\s.sys
[Strings]
P = \"p\"
";

fn install_small(old: &str, new: &str) -> Result<Registry, InfError> {
    assert!(SMALL.contains(old), "{old}");
    let mut registry = Registry::new();
    install(&SMALL.replace(old, new), r"PCI\X", &mut registry)?;
    Ok(registry)
}

#[test]
fn errors_name_the_line_and_the_reason() {
    let bad_entry = |text: &str| InfErrorKind::BadEntry(text.to_owned());
    let unsupported = |text: &str| InfErrorKind::Unsupported(text.to_owned());
    let named = |make: fn(String) -> InfErrorKind, name: &str| make(name.to_owned());
    let cases = [
        (
            "$Windows NT$",
            "$Other$",
            named(InfErrorKind::Signature, "$Other$").at(1),
        ),
        (
            "Class = Net\n",
            "\n",
            named(InfErrorKind::Missing, "Class").at(1),
        ),
        (
            "%P% = I",
            "%Q% = I",
            named(InfErrorKind::UnknownToken, "Q").at(9),
        ),
        (
            "10.0...17763\n[M",
            "10.x\n[M",
            named(InfErrorKind::Decoration, "NTamd64.10.x").at(7),
        ),
        (
            "= I, PCI\\X",
            "= I",
            bad_entry("a model is description = install section, identifier").at(9),
        ),
        (
            "= I, PCI\\X",
            "= J, PCI\\X",
            named(InfErrorKind::NoSection, "J").at(9),
        ),
        (
            "AddReg = R",
            "AddReg = Q",
            named(InfErrorKind::NoSection, "Q").at(12),
        ),
        (
            "AddReg = R",
            "Needs = R",
            unsupported("Needs in an install section").at(12),
        ),
        (
            "AddReg = R",
            "Include = a.inf",
            unsupported("Include in an install section").at(12),
        ),
        (
            "Characteristics = 0x84",
            "",
            named(InfErrorKind::Missing, "Characteristics").at(10),
        ),
        (
            "0x84",
            "0x84x",
            named(InfErrorKind::NotANumber, "0x84x").at(11),
        ),
        (
            "HKR,, Number",
            "HKCU,, Number",
            unsupported("registry root \"HKCU\"").at(14),
        ),
        (
            "0x00010001, 7",
            "0x00010001, seven",
            named(InfErrorKind::NotANumber, "seven").at(14),
        ),
        (
            "0x00010001, 7",
            "0x00000008, 7",
            unsupported("AddReg flags 0x8").at(14),
        ),
        (
            "0x00010001, 7",
            "0, 7, 8",
            bad_entry("one value was expected").at(14),
        ),
        (
            "StartType = 3\n",
            "\n",
            named(InfErrorKind::Missing, "StartType").at(17),
        ),
        (
            "AddService = s",
            "DelService = s",
            unsupported("DelService in [I.Services]").at(16),
        ),
    ];
    for (old, new, expected) in cases {
        assert_eq!(
            install_small(old, new).unwrap_err(),
            expected,
            "{old:?} -> {new:?}"
        );
    }
}

#[test]
fn values_have_the_types_that_their_flags_name() {
    let value = |line: &str| {
        let registry = install_small("HKR,, Number, 0x00010001, 7", line).unwrap();
        let path = r"\Registry\Machine\System\CurrentControlSet\Control\Class\{4D36E972-E325-11CE-BFC1-08002BE10318}\0001";
        registry.key(path).unwrap().value("Number").cloned()
    };
    assert_eq!(
        value("HKR,, Number, 0x00010001, 0x10"),
        Some(Value::Dword(16))
    );
    assert_eq!(
        value("HKR,, Number, 0x00010001, -1"),
        Some(Value::Dword(u32::MAX))
    );
    assert_eq!(
        value("HKR,, Number, 1, 0a, FF"),
        Some(Value::Binary(vec![10, 255]))
    );
    assert_eq!(value("HKR,, Number,, \"a, b\""), Some(text("a, b")));
    assert_eq!(
        value("HKR,, Number, 0x20000, %%x%%"),
        Some(Value::ExpandSz("%x%".to_owned()))
    );
    let list = Value::MultiSz(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(value("HKR,, Number, 0x10000, a, b"), Some(list));
    assert_eq!(value("HKR,, Number, 0x10, 7"), None);
    assert_eq!(
        value("HKR,, Number, 0, 1\nHKR,, Number, 2, 5"),
        Some(text("1"))
    );
}
