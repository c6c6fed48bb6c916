//! NetKVM devices through SetupAPI, their parameters through the registry.

use netcfg::names::{CLASS_NET, is_netkvm};
use windows::Win32::Devices::DeviceAndDriverInstallation::{
    DI_NEEDREBOOT, DI_NEEDRESTART, DICS_FLAG_CONFIGSPECIFIC, DICS_PROPCHANGE, DIF_PROPERTYCHANGE,
    DIGCF_PRESENT, GUID_DEVCLASS_NET, HDEVINFO, SETUP_DI_REGISTRY_PROPERTY, SP_CLASSINSTALL_HEADER,
    SP_DEVINFO_DATA, SP_DEVINSTALL_PARAMS_W, SP_PROPCHANGE_PARAMS, SPDRP_BUSNUMBER,
    SPDRP_DEVICEDESC, SPDRP_DRIVER, SPDRP_LOCATION_INFORMATION, SetupDiCallClassInstaller,
    SetupDiDestroyDeviceInfoList, SetupDiEnumDeviceInfo, SetupDiGetClassDevsW,
    SetupDiGetDeviceInstallParamsW, SetupDiGetDeviceInstanceIdW, SetupDiGetDeviceRegistryPropertyW,
    SetupDiSetClassInstallParamsW,
};
use windows::Win32::Foundation::ERROR_NOT_FOUND;
use windows::core::{Error, PCWSTR, Result};
use windows_registry::{Key, LOCAL_MACHINE, Value};

use crate::commands::{Device, Machine, Restarted, code_of};
use crate::params::Parameter;

const CLASS: &str = r"SYSTEM\CurrentControlSet\Control\Class";
const NETWORK: &str = r"SYSTEM\CurrentControlSet\Control\Network";
/// Characters of a device instance path, the null included.
const MAX_INSTANCE: usize = 200;

/// The adapters that are present now.
struct Present(HDEVINFO);

impl Present {
    fn read() -> Result<Self> {
        // SAFETY: the GUID is a constant; enumerator and window are absent.
        let set = unsafe {
            SetupDiGetClassDevsW(
                Some(&GUID_DEVCLASS_NET),
                PCWSTR::null(),
                None,
                DIGCF_PRESENT,
            )
        }?;
        Ok(Self(set))
    }

    fn all(&self) -> impl Iterator<Item = SP_DEVINFO_DATA> {
        (0..).map_while(|index| {
            let mut data = SP_DEVINFO_DATA {
                cbSize: size::<SP_DEVINFO_DATA>(),
                ..SP_DEVINFO_DATA::default()
            };
            // SAFETY: the set is open, and the element has its size set.
            let found = unsafe { SetupDiEnumDeviceInfo(self.0, index, &raw mut data) };
            found.is_ok().then_some(data)
        })
    }

    fn instance(&self, data: &SP_DEVINFO_DATA) -> Option<String> {
        let mut text = [0u16; MAX_INSTANCE];
        // SAFETY: the element is one of the open set.
        let read = unsafe { SetupDiGetDeviceInstanceIdW(self.0, data, Some(&mut text), None) };
        read.is_ok().then(|| until_null(&text))
    }

    fn property(
        &self,
        data: &SP_DEVINFO_DATA,
        which: SETUP_DI_REGISTRY_PROPERTY,
    ) -> Option<Vec<u8>> {
        let mut bytes = vec![0u8; 2048];
        let mut length = 0;
        // SAFETY: the element is one of the open set; `length` is a place for a number.
        let read = unsafe {
            SetupDiGetDeviceRegistryPropertyW(
                self.0,
                data,
                which,
                None,
                Some(&mut bytes),
                Some(&raw mut length),
            )
        };
        bytes.truncate(usize::try_from(length).unwrap_or(0));
        read.is_ok().then_some(bytes)
    }

    fn text(&self, data: &SP_DEVINFO_DATA, which: SETUP_DI_REGISTRY_PROPERTY) -> String {
        let bytes = self.property(data, which).unwrap_or_default();
        let units = bytes
            .chunks_exact(2)
            .filter_map(|pair| pair.try_into().ok());
        until_null(&units.map(u16::from_le_bytes).collect::<Vec<_>>())
    }

    fn describe(&self, data: &SP_DEVINFO_DATA) -> Option<Device> {
        let instance = self.instance(data).filter(|instance| is_netkvm(instance))?;
        let key = self.text(data, SPDRP_DRIVER);
        let number = self.property(data, SPDRP_BUSNUMBER);
        let number = number.and_then(|bytes| bytes.get(..4)?.try_into().ok());
        Some(Device {
            instance,
            description: self.text(data, SPDRP_DEVICEDESC),
            name: connection(&key).unwrap_or_default(),
            location: self.text(data, SPDRP_LOCATION_INFORMATION),
            number: number.map(u32::from_le_bytes),
            key: format!(r"{CLASS}\{key}"),
        })
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        // SAFETY: the set is ours and not used again. Nothing could be done about a failure.
        let _ = unsafe { SetupDiDestroyDeviceInfoList(self.0) };
    }
}

fn size<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(0)
}

fn until_null(units: &[u16]) -> String {
    let text = units.split(|unit| *unit == 0).next();
    String::from_utf16_lossy(text.unwrap_or_default())
}

/// The name of the connection of the adapter with this driver key.
fn connection(key: &str) -> Option<String> {
    let driver = LOCAL_MACHINE.open(format!(r"{CLASS}\{key}")).ok()?;
    let instance = driver.get_string("NetCfgInstanceId").ok()?;
    let path = format!(r"{NETWORK}\{CLASS_NET}\{instance}\Connection");
    LOCAL_MACHINE.open(path).ok()?.get_string("Name").ok()
}

/// A value as text. Numbers are tolerated, as older drivers wrote them.
fn as_text(key: &Key, name: &str) -> Option<String> {
    let value: Value = key.get_value(name).ok()?;
    match u32::try_from(value.clone()) {
        Ok(number) if value.len() == 4 && key.get_string(name).is_err() => Some(number.to_string()),
        _ => String::try_from(value).ok(),
    }
}

fn parameter(driver: &Key, params: &Key, name: &str) -> Parameter {
    let key = params.open(name).ok();
    let field = |field: &str| key.as_ref().and_then(|key| as_text(key, field));
    let list = key.as_ref().and_then(|key| key.open("enum").ok());
    let choices = list.as_ref().and_then(|list| list.values().ok());
    let choices = choices
        .into_iter()
        .flatten()
        .filter_map(|(value, meaning)| Some((value, String::try_from(meaning).ok()?)));
    Parameter::read(name, field, choices.collect(), as_text(driver, name))
}

/// The code that netsh gets for an error.
pub(crate) fn code(error: &Error) -> u32 {
    code_of(error.code().0.cast_unsigned())
}

/// The machine that the DLL runs on.
pub(crate) struct Windows;

impl Windows {
    fn try_restart(device: &Device) -> Result<Restarted> {
        let present = Present::read()?;
        let is_it =
            |data: &SP_DEVINFO_DATA| present.instance(data).as_ref() == Some(&device.instance);
        let Some(data) = present.all().find(is_it) else {
            return Err(Error::from_hresult(ERROR_NOT_FOUND.to_hresult()));
        };
        let change = SP_PROPCHANGE_PARAMS {
            ClassInstallHeader: SP_CLASSINSTALL_HEADER {
                cbSize: size::<SP_CLASSINSTALL_HEADER>(),
                InstallFunction: DIF_PROPERTYCHANGE,
            },
            StateChange: DICS_PROPCHANGE,
            Scope: DICS_FLAG_CONFIGSPECIFIC,
            HwProfile: 0,
        };
        // SAFETY: the element is one of the open set; the header leads a structure of the size that is said.
        unsafe {
            SetupDiSetClassInstallParamsW(
                present.0,
                Some(&raw const data),
                Some(&raw const change.ClassInstallHeader),
                size::<SP_PROPCHANGE_PARAMS>(),
            )
        }?;
        // SAFETY: the element is one of the open set.
        unsafe { SetupDiCallClassInstaller(DIF_PROPERTYCHANGE, present.0, Some(&raw const data)) }?;
        let mut outcome = SP_DEVINSTALL_PARAMS_W {
            cbSize: size::<SP_DEVINSTALL_PARAMS_W>(),
            ..SP_DEVINSTALL_PARAMS_W::default()
        };
        // SAFETY: the element is one of the open set, and the structure has its size set.
        unsafe {
            SetupDiGetDeviceInstallParamsW(present.0, Some(&raw const data), &raw mut outcome)
        }?;
        let reboot = outcome.Flags.0 & (DI_NEEDREBOOT.0 | DI_NEEDRESTART.0) != 0;
        Ok(if reboot {
            Restarted::NeedsReboot
        } else {
            Restarted::Done
        })
    }
}

impl Machine for Windows {
    fn devices(&self) -> std::result::Result<Vec<Device>, u32> {
        let present = Present::read().map_err(|error| code(&error))?;
        Ok(present
            .all()
            .filter_map(|data| present.describe(&data))
            .collect())
    }

    fn parameters(&self, device: &Device) -> std::result::Result<Vec<Parameter>, u32> {
        let fail = |error: Error| code(&error);
        let driver = LOCAL_MACHINE.open(&device.key).map_err(fail)?;
        let params = driver.open(r"Ndi\Params").map_err(fail)?;
        let names = params.keys().map_err(fail)?;
        Ok(names
            .map(|name| parameter(&driver, &params, &name))
            .collect())
    }

    fn set(&self, device: &Device, name: &str, value: &str) -> std::result::Result<(), u32> {
        let key = LOCAL_MACHINE.options().read().write().open(&device.key);
        let done = key.and_then(|key| key.set_string(name, value));
        done.map_err(|error| code(&error))
    }

    fn restart(&self, device: &Device) -> std::result::Result<Restarted, u32> {
        Self::try_restart(device).map_err(|error| code(&error))
    }
}
