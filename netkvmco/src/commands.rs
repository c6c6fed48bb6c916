//! What the commands do and print.

use std::fmt::Write;

use thiserror::Error;

use crate::params::{Parameter, Refusal};

/// ERROR_INVALID_PARAMETER.
pub(crate) const INVALID_PARAMETER: u32 = 87;
/// ERROR_GEN_FAILURE.
const GEN_FAILURE: u32 = 31;
/// The upper half of a status that a Win32 error has become.
const WIN32: u32 = 0x8007;

/// A NetKVM device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Device {
    /// The device instance path.
    pub(crate) instance: String,
    pub(crate) description: String,
    /// The name of the connection.
    pub(crate) name: String,
    pub(crate) location: String,
    pub(crate) number: Option<u32>,
    /// The driver key, below `Control\Class`.
    pub(crate) key: String,
}

/// How a device took to being restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restarted {
    Done,
    NeedsReboot,
}

/// Devices and their parameters. Errors are Win32 codes.
pub(crate) trait Machine {
    fn devices(&self) -> Result<Vec<Device>, u32>;
    fn parameters(&self, device: &Device) -> Result<Vec<Parameter>, u32>;
    fn set(&self, device: &Device, parameter: &str, value: &str) -> Result<(), u32>;
    fn restart(&self, device: &Device) -> Result<Restarted, u32>;
}

/// The commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    ShowDevices,
    ShowParameters,
    ShowParamInfo,
    GetParam,
    SetParam,
    Restart,
    Dump,
}

impl Command {
    /// The tags of its arguments; all are needed.
    pub(crate) fn tags(self) -> &'static [&'static str] {
        match self {
            Self::ShowDevices | Self::Dump => &[],
            Self::ShowParameters | Self::Restart => &["idx"],
            Self::ShowParamInfo | Self::GetParam => &["idx", "param"],
            Self::SetParam => &["idx", "param", "value"],
        }
    }

    /// The number of its short help; the long one follows.
    pub(crate) fn help(self) -> u16 {
        match self {
            Self::ShowDevices => 1,
            Self::ShowParameters => 3,
            Self::ShowParamInfo => 5,
            Self::GetParam => 7,
            Self::SetParam => 9,
            Self::Restart => 11,
            Self::Dump => 14,
        }
    }
}

/// Why a command failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Failure {
    #[error("Device index is out of range.")]
    Index,
    #[error("The device has no parameter \"{0}\".")]
    Parameter(String),
    #[error("The value is not accepted: {0}.")]
    Value(#[from] Refusal),
    #[error("Restarting device {0}... failed (error {1}).")]
    Restart(usize, u32),
    #[error("Windows reports error {0}.")]
    System(u32),
}

impl Failure {
    /// The Win32 error that netsh gets.
    pub(crate) fn code(&self) -> u32 {
        match self {
            Self::Index | Self::Parameter(_) | Self::Value(_) => INVALID_PARAMETER,
            Self::Restart(_, code) | Self::System(code) => *code,
        }
    }

    /// Tells whether the command's help answers it.
    pub(crate) fn is_usage(&self) -> bool {
        self.code() == INVALID_PARAMETER
    }
}

/// The Win32 code of a status; that of another facility stays as it is. Never 0, which netsh would take
/// for success: a function that fails without a reason gives ERROR_GEN_FAILURE.
pub(crate) fn code_of(status: u32) -> u32 {
    let code = if status >> 16 == WIN32 {
        status & 0xffff
    } else {
        status
    };
    if code == 0 { GEN_FAILURE } else { code }
}

/// Does the command; `arguments` are in the order of its tags. Gives what to print.
///
/// # Errors
///
/// As [`Failure`] says.
pub(crate) fn run(
    machine: &impl Machine,
    command: Command,
    arguments: &[String],
) -> Result<String, Failure> {
    let devices = machine.devices().map_err(Failure::System)?;
    if devices.is_empty() && command == Command::Dump {
        // A script has no place for a remark.
        return Ok(String::new());
    }
    if devices.is_empty() {
        return Ok("There are no NetKVM devices.\n".into());
    }
    let argument = |index: usize| arguments.get(index).map(String::as_str).unwrap_or_default();
    match command {
        Command::ShowDevices => return Ok(list(&devices)),
        Command::Dump => return dump(machine, &devices),
        _ => {}
    }
    let index: usize = argument(0).parse().map_err(|_| Failure::Index)?;
    let device = devices.get(index).ok_or(Failure::Index)?;
    if command == Command::Restart {
        return match machine.restart(device) {
            Ok(Restarted::Done) => Ok(format!("Restarting device {index}... done.\n")),
            Ok(Restarted::NeedsReboot) => {
                Ok(format!("Restarting device {index}... reboot required.\n"))
            }
            Err(code) => Err(Failure::Restart(index, code)),
        };
    }
    let parameters = machine.parameters(device).map_err(Failure::System)?;
    if command == Command::ShowParameters {
        let line = |each: &Parameter| format!("{}\n\t{}\n", each.name, each.description);
        return Ok(parameters.iter().map(line).collect());
    }
    let is_it = |each: &&Parameter| each.name.eq_ignore_ascii_case(argument(1));
    let parameter = parameters.iter().find(is_it);
    let parameter = parameter.ok_or_else(|| Failure::Parameter(argument(1).into()))?;
    match command {
        Command::ShowParamInfo => Ok(parameter.info()),
        Command::SetParam => {
            let value = parameter.accept(argument(2))?;
            machine
                .set(device, &parameter.name, &value)
                .map_err(Failure::System)?;
            Ok(String::new())
        }
        _ => Ok(format!("{} = {}\n", parameter.name, parameter.current())),
    }
}

fn list(devices: &[Device]) -> String {
    let mut text = String::new();
    for (index, device) in devices.iter().enumerate() {
        let number = device
            .number
            .map_or_else(|| "-".into(), |number| number.to_string());
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "NetKVM device: {}\n\tIndex: {index}\n\tDescription: {}\n\tName: {}\n\tLocation: {}\n\
             \tNumber on bus: {number}\n\tSoftware registry key: {}\n\n",
            device.instance, device.description, device.name, device.location, device.key
        );
    }
    text
}

/// All parameters as a script for netsh.
fn dump(machine: &impl Machine, devices: &[Device]) -> Result<String, Failure> {
    let mut text = String::from("pushd netkvm\n");
    for (index, device) in devices.iter().enumerate() {
        for parameter in machine.parameters(device).map_err(Failure::System)? {
            let value = parameter.current();
            // What is empty is not set, and a script can't say so.
            if !value.is_empty() {
                let name = &parameter.name;
                let _ = writeln!(
                    text,
                    "setparam idx={index} param={} value={}",
                    quote(name),
                    quote(value)
                );
            }
        }
        let _ = writeln!(text, "restart idx={index}");
    }
    text.push_str("popd\n");
    Ok(text)
}

/// netsh splits at blanks.
fn quote(text: &str) -> String {
    if text.contains(' ') {
        format!("\"{text}\"")
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::help::HELP;
    use crate::params::Kind;

    struct Fake {
        devices: Vec<Device>,
        set: RefCell<Vec<String>>,
        restart: Result<Restarted, u32>,
    }

    impl Fake {
        fn new(count: usize) -> Self {
            let device = Device {
                instance: r"PCI\VEN_1AF4&DEV_1041\1".into(),
                ..Device::default()
            };
            Self {
                devices: vec![device; count],
                set: RefCell::default(),
                restart: Ok(Restarted::Done),
            }
        }

        fn run(&self, command: Command, arguments: &[&str]) -> Result<String, Failure> {
            let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
            run(self, command, &arguments)
        }
    }

    impl Machine for Fake {
        fn devices(&self) -> Result<Vec<Device>, u32> {
            Ok(self.devices.clone())
        }
        fn parameters(&self, _: &Device) -> Result<Vec<Parameter>, u32> {
            Ok(vec![Parameter {
                name: "StandbyGraceMs".into(),
                description: "Wait".into(),
                kind: Kind::Integer {
                    is_long: true,
                    min: 0,
                    max: 600_000,
                    step: 1,
                },
                default: "3000".into(),
                is_optional: false,
                value: None,
            }])
        }
        fn set(&self, _: &Device, parameter: &str, value: &str) -> Result<(), u32> {
            self.set.borrow_mut().push(format!("{parameter}={value}"));
            Ok(())
        }
        fn restart(&self, _: &Device) -> Result<Restarted, u32> {
            self.restart
        }
    }

    #[test]
    fn a_machine_without_devices_is_no_failure() {
        let told = Fake::new(0).run(Command::GetParam, &["0", "x"]);
        assert_eq!(told.unwrap(), "There are no NetKVM devices.\n");
        assert_eq!(Fake::new(0).run(Command::Dump, &[]).unwrap(), "");
    }

    #[test]
    fn only_a_status_of_win32_is_shortened() {
        assert_eq!(code_of(0x8007_0005), 5);
        assert_eq!(code_of(0xe000_020b), 0xe000_020b);
        assert_eq!(code_of(0x8000_4005), 0x8000_4005);
        for nothing in [0, 0x8007_0000] {
            assert_eq!(code_of(nothing), GEN_FAILURE);
        }
    }

    #[test]
    fn values_are_read_and_set_by_names_in_any_case() {
        let machine = Fake::new(1);
        let told = machine
            .run(Command::GetParam, &["0", "standbygracems"])
            .unwrap();
        assert_eq!(told, "StandbyGraceMs = 3000\n");
        let told = machine
            .run(Command::SetParam, &["0", "STANDBYGRACEMS", "5"])
            .unwrap();
        assert_eq!(told, "");
        assert_eq!(*machine.set.borrow(), ["StandbyGraceMs=5"]);
    }

    #[test]
    fn what_is_wrong_is_said_and_nothing_is_set() {
        let machine = Fake::new(1);
        for (arguments, text) in [
            (
                ["1", "StandbyGraceMs", "5"],
                "Device index is out of range.",
            ),
            (
                ["x", "StandbyGraceMs", "5"],
                "Device index is out of range.",
            ),
            (
                ["0", "nothing", "5"],
                "The device has no parameter \"nothing\".",
            ),
            (
                ["0", "StandbyGraceMs", "600001"],
                "The value is not accepted: 600001 is not between 0 and 600000.",
            ),
        ] {
            let failure = machine.run(Command::SetParam, &arguments).unwrap_err();
            assert_eq!(failure.to_string(), text);
            assert_eq!(failure.code(), INVALID_PARAMETER);
        }
        assert!(machine.set.borrow().is_empty());
    }

    #[test]
    fn a_restart_tells_how_it_went() {
        let mut machine = Fake::new(1);
        assert!(
            machine
                .run(Command::Restart, &["0"])
                .unwrap()
                .ends_with("done.\n")
        );
        machine.restart = Ok(Restarted::NeedsReboot);
        assert!(
            machine
                .run(Command::Restart, &["0"])
                .unwrap()
                .ends_with("reboot required.\n")
        );
        machine.restart = Err(5);
        assert_eq!(machine.run(Command::Restart, &["0"]).unwrap_err().code(), 5);
    }

    #[test]
    fn a_dump_is_a_script() {
        let text = Fake::new(2).run(Command::Dump, &[]).unwrap();
        assert_eq!(
            text,
            "pushd netkvm\nsetparam idx=0 param=StandbyGraceMs value=3000\nrestart idx=0\n\
             setparam idx=1 param=StandbyGraceMs value=3000\nrestart idx=1\npopd\n"
        );
    }

    #[test]
    fn every_help_number_has_its_text() {
        for (index, (number, text)) in HELP.iter().enumerate() {
            assert_eq!(usize::from(*number), index + 1);
            assert!(text.ends_with('\n'));
        }
    }
}
