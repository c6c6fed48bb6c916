//! What setup writes for a device or a network component.

use super::add_reg::number;
use super::lines::Entry;
use super::models::{Model, Target};
use super::{Inf, InfError, InfErrorKind};
use crate::registry::{CURRENT_CONTROL_SET, Registry, SERVICES, Value};

/// Directives of install sections that say nothing about the registry.
const FILES: [&str; 4] = ["CopyFiles", "DelFiles", "RenFiles", "FeatureScore"];

/// Where things were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The service that the component is associated with, or the first one it adds.
    pub service: Option<String>,
    /// Full path of the component's own key: the software key of a device.
    pub driver_key: String,
    /// Full path of the device's hardware key, which its `.HW` section writes to.
    pub hardware_key: String,
    /// Identifier that the network configuration knows the component by: a GUID in braces.
    pub instance: String,
    /// Description for people.
    pub description: String,
    /// `Characteristics`, the NCF_ bits.
    pub characteristics: u32,
    /// The identifier that matched, in the spelling of the file.
    pub matching_id: String,
}

impl Inf {
    /// Installs the device or component `id`, a new instance at each call.
    ///
    /// A network adapter's key is a new number under its class key, another component's a new
    /// GUID under `Control\Network`. The service key is written as the service section says.
    /// Defaults of `Ndi\params` that are not optional become values of the component's key.
    ///
    /// # Errors
    ///
    /// When the file has no model for `id` on `target`, refers to what is not there, or uses what
    /// this reader does not support (`Include` and `Needs` among it). The registry may then be
    /// partly written.
    pub fn install(
        &self,
        id: &str,
        target: &Target,
        registry: &mut Registry,
    ) -> Result<Installed, InfError> {
        let model = self.model(id, target)?;
        let section = self
            .decorated(&model.install, "", target)
            .ok_or_else(|| InfErrorKind::NoSection(model.install.clone()).at(model.line))?;
        let mut installed = self.new_instance(&model, registry)?;
        self.write_description(&installed, &section, registry)?;
        self.run_install_section(&section, &mut installed, registry)?;
        if let Some(name) = self.decorated(&model.install, ".HW", target) {
            self.run_add_reg_only(&name, &installed.hardware_key, registry)?;
        }
        installed.service = self.add_services(&model, target, registry)?;
        write_defaults(&installed.driver_key, registry);
        Ok(installed)
    }

    /// Finds free places for a new instance.
    fn new_instance(&self, model: &Model, registry: &Registry) -> Result<Installed, InfError> {
        let class_guid = self.version("ClassGuid")?;
        let is_adapter = self.class().eq_ignore_ascii_case("Net");
        let guid = |number: usize| {
            let class = class_guid.get(1..9).unwrap_or_default();
            format!("{{{class}-0000-4000-8000-{number:012X}}}")
        };
        let path = |number: usize| {
            if is_adapter {
                format!(r"{CURRENT_CONTROL_SET}\Control\Class\{class_guid}\{number:04}")
            } else {
                format!(
                    r"{CURRENT_CONTROL_SET}\Control\Network\{class_guid}\{}",
                    guid(number)
                )
            }
        };
        let is_free = |number: &usize| registry.key(&path(*number)).is_none();
        let number = (1..).find(is_free).expect("some number is free");
        let device = format!(r"{CURRENT_CONTROL_SET}\Enum\{}\{number:04}", model.id);
        Ok(Installed {
            service: None,
            driver_key: path(number),
            hardware_key: format!(r"{device}\Device Parameters"),
            instance: guid(number),
            description: model.description.clone(),
            characteristics: 0,
            matching_id: model.id.clone(),
        })
    }

    /// Writes what setup itself knows.
    fn write_description(
        &self,
        installed: &Installed,
        section: &str,
        registry: &mut Registry,
    ) -> Result<(), InfError> {
        let is_adapter = self.class().eq_ignore_ascii_case("Net");
        let provider = self.version("Provider")?;
        let file = self.store_folder();
        let file = file.split("_amd64").next().unwrap_or_default();
        let key = registry.create(&installed.driver_key);
        let mut text = |name: &str, text: &str| key.set(name, Value::Sz(text.to_owned()));
        text("ComponentId", &installed.matching_id);
        text("InfPath", file);
        text("InfSection", section);
        if is_adapter {
            text("DriverDesc", &installed.description);
            text("MatchingDeviceId", &installed.matching_id);
            text("NetCfgInstanceId", &installed.instance);
            text("ProviderName", &provider);
        } else {
            text("Description", &installed.description);
        }
        Ok(())
    }

    fn run_install_section(
        &self,
        name: &str,
        installed: &mut Installed,
        registry: &mut Registry,
    ) -> Result<(), InfError> {
        let section = self.required(name, 0)?;
        for entry in &section.entries {
            self.run_directive(entry, installed, registry)?;
        }
        let has_characteristics = self.entry(section, "Characteristics")?.is_some();
        if has_characteristics {
            return Ok(());
        }
        Err(InfErrorKind::Missing("Characteristics".to_owned()).at(section.line))
    }

    fn run_directive(
        &self,
        entry: &Entry,
        installed: &mut Installed,
        registry: &mut Registry,
    ) -> Result<(), InfError> {
        let directive = self.directive(entry)?;
        let driver_key = installed.driver_key.clone();
        match directive.as_str() {
            name if name.eq_ignore_ascii_case("AddReg") => {
                self.run_add_regs(entry, &driver_key, registry)
            }
            name if name.eq_ignore_ascii_case("Characteristics") => {
                installed.characteristics = self.number_of(entry)?;
                let value = Value::Dword(installed.characteristics);
                registry.create(&driver_key).set("Characteristics", value);
                Ok(())
            }
            name if name.eq_ignore_ascii_case("BusType") => {
                let value = Value::Sz(self.number_of(entry)?.to_string());
                registry.create(&driver_key).set("BusType", value);
                Ok(())
            }
            // The keywords of the standard that are no choice of the user.
            name if name.starts_with('*') => {
                let value = Value::Dword(self.number_of(entry)?);
                registry.create(&driver_key).set(name, value);
                Ok(())
            }
            name if FILES.iter().any(|known| name.eq_ignore_ascii_case(known)) => Ok(()),
            other => Err(
                InfErrorKind::Unsupported(format!("{other} in an install section")).at(entry.line),
            ),
        }
    }

    /// Runs a section in which nothing but AddReg is supported.
    fn run_add_reg_only(
        &self,
        name: &str,
        relative: &str,
        registry: &mut Registry,
    ) -> Result<(), InfError> {
        for entry in &self.required(name, 0)?.entries {
            let directive = self.directive(entry)?;
            if !directive.eq_ignore_ascii_case("AddReg") {
                let text = format!("{directive} in [{name}]");
                return Err(InfErrorKind::Unsupported(text).at(entry.line));
            }
            self.run_add_regs(entry, relative, registry)?;
        }
        Ok(())
    }

    fn run_add_regs(
        &self,
        entry: &Entry,
        relative: &str,
        registry: &mut Registry,
    ) -> Result<(), InfError> {
        for index in 0..entry.fields.len() {
            let section = self.text_at(entry, index)?;
            self.add_reg(&section, entry.line, relative, registry)?;
        }
        Ok(())
    }

    /// Adds the services of a model; returns the one it is associated with, or the first.
    fn add_services(
        &self,
        model: &Model,
        target: &Target,
        registry: &mut Registry,
    ) -> Result<Option<String>, InfError> {
        /// `SPSVCINST_ASSOCSERVICE`: the device's own service.
        const ASSOCIATED: u32 = 0x2;

        let Some(name) = self.decorated(&model.install, ".Services", target) else {
            return Ok(None);
        };
        let mut services = Vec::new();
        for entry in &self.required(&name, model.line)?.entries {
            let directive = self.directive(entry)?;
            if !directive.eq_ignore_ascii_case("AddService") {
                let text = format!("{directive} in [{name}]");
                return Err(InfErrorKind::Unsupported(text).at(entry.line));
            }
            let service = self.text_at(entry, 0)?;
            let is_associated = self.number_or_zero(entry, 1)? & ASSOCIATED != 0;
            self.add_service(&service, entry, registry)?;
            services.push((is_associated, service));
        }
        let associated = services.iter().find(|(is_associated, _)| *is_associated);
        Ok(associated
            .or(services.first())
            .map(|(_, service)| service.clone()))
    }

    fn add_service(
        &self,
        service: &str,
        entry: &Entry,
        registry: &mut Registry,
    ) -> Result<(), InfError> {
        let section = self.text_at(entry, 2)?;
        let path = format!(r"{SERVICES}\{service}");
        self.write_service(&section, entry.line, &path, registry)?;
        let log = self.text_at(entry, 3)?;
        if log.is_empty() {
            return Ok(());
        }
        let log_path = format!(r"{SERVICES}\EventLog\System\{service}");
        self.run_add_reg_only(&log, &log_path, registry)
    }

    fn write_service(
        &self,
        name: &str,
        line: usize,
        path: &str,
        registry: &mut Registry,
    ) -> Result<(), InfError> {
        let section = self.required(name, line)?;
        for needed in ["ServiceType", "StartType", "ErrorControl", "ServiceBinary"] {
            if self.entry(section, needed)?.is_none() {
                return Err(InfErrorKind::Missing(needed.to_owned()).at(section.line));
            }
        }
        for entry in &section.entries {
            let directive = self.directive(entry)?;
            let (value_name, value) = match directive.to_ascii_lowercase().as_str() {
                "servicetype" => ("Type", Value::Dword(self.number_of(entry)?)),
                "starttype" => ("Start", Value::Dword(self.number_of(entry)?)),
                "errorcontrol" => ("ErrorControl", Value::Dword(self.number_of(entry)?)),
                "servicebinary" => ("ImagePath", Value::ExpandSz(self.text_at(entry, 0)?)),
                "loadordergroup" => ("Group", Value::Sz(self.text_at(entry, 0)?)),
                "displayname" => ("DisplayName", Value::Sz(self.text_at(entry, 0)?)),
                "description" => ("Description", Value::Sz(self.text_at(entry, 0)?)),
                "addreg" => {
                    self.run_add_regs(entry, path, registry)?;
                    continue;
                }
                _ => {
                    let text = format!("{directive} in a service section");
                    return Err(InfErrorKind::Unsupported(text).at(entry.line));
                }
            };
            registry.create(path).set(value_name, value);
        }
        Ok(())
    }

    /// The directive of an entry.
    fn directive(&self, entry: &Entry) -> Result<String, InfError> {
        let missing = || InfErrorKind::BadEntry("a directive was expected".to_owned());
        self.key_of(entry)?.ok_or_else(|| missing().at(entry.line))
    }

    fn number_of(&self, entry: &Entry) -> Result<u32, InfError> {
        number(&self.text_at(entry, 0)?).map_err(|kind| kind.at(entry.line))
    }
}

/// Gives every parameter that is not optional its default, unless it has a value.
fn write_defaults(driver_key: &str, registry: &mut Registry) {
    let key = registry.create(driver_key);
    let Some(parameters) = key.key(r"Ndi\params") else {
        return;
    };
    let is_optional = |optional: Option<&Value>| {
        optional
            .and_then(Value::as_text)
            .is_some_and(|text| text != "0")
    };
    let defaults: Vec<(String, Value)> = parameters
        .subkeys()
        .filter(|(_, parameter)| !is_optional(parameter.value("Optional")))
        .filter_map(|(name, parameter)| {
            Some((name.to_owned(), parameter.value("Default")?.clone()))
        })
        .collect();
    for (name, default) in defaults {
        if key.value(&name).is_none() {
            key.set(&name, default);
        }
    }
}
