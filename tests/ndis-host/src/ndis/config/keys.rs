//! Sub keys of a configuration, and values that a driver writes.

use ndis_sys::{
    NDIS_CONFIGURATION_PARAMETER, NDIS_HANDLE, NDIS_STATUS, NDIS_STATUS_FAILURE,
    NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NDIS_STRING,
    NdisParameterBinary, NdisParameterHexInteger, NdisParameterInteger, NdisParameterMultiString,
    NdisParameterString,
};

use super::{Configuration, Lent, OPEN};
use crate::ndis::call::{Level, import};
use crate::ndis::text::{self, OwnedString};
use crate::ndis::{faults, handles};
use crate::registry::{self, Value};
use crate::sched::BatonCell;

/// The routines of this module: name and address.
pub(in super::super) fn exports() -> Vec<(&'static str, usize)> {
    vec![
        ("NdisWriteConfiguration", write as *const () as usize),
        (
            "NdisOpenConfigurationKeyByName",
            open_by_name as *const () as usize,
        ),
        (
            "NdisOpenConfigurationKeyByIndex",
            open_by_index as *const () as usize,
        ),
    ]
}

/// Microsoft Learn, NdisWriteConfiguration function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
unsafe extern "efiapi" fn write(
    status: *mut NDIS_STATUS,
    configuration: NDIS_HANDLE,
    keyword: *mut NDIS_STRING,
    parameter: *mut NDIS_CONFIGURATION_PARAMETER,
) {
    const CALL: &str = "NdisWriteConfiguration";
    import(CALL, Level::Passive);
    let configuration: &'static Configuration = handles::resolve(configuration, CALL);
    // SAFETY: by contract.
    unsafe {
        let keyword = text::read(keyword);
        let Some(value) = value_of(&*parameter) else {
            status.write(NDIS_STATUS_NOT_SUPPORTED);
            return;
        };
        registry::with(|registry| registry.create(&configuration.key).set(&keyword, value));
        status.write(NDIS_STATUS_SUCCESS);
    }
}

/// The registry value that a parameter is.
unsafe fn value_of(parameter: &NDIS_CONFIGURATION_PARAMETER) -> Option<Value> {
    // SAFETY: the type says which member is set, and that its buffer is readable.
    unsafe {
        match parameter.ParameterType {
            NdisParameterInteger | NdisParameterHexInteger => {
                Some(Value::Dword(parameter.ParameterData.IntegerData))
            }
            NdisParameterString => Some(Value::Sz(text::read(
                &raw const parameter.ParameterData.StringData,
            ))),
            NdisParameterMultiString => {
                let all = text::read(&raw const parameter.ParameterData.StringData);
                let parts = all.split('\0').filter(|part| !part.is_empty());
                Some(Value::MultiSz(parts.map(str::to_owned).collect()))
            }
            NdisParameterBinary => {
                let data = parameter.ParameterData.BinaryData;
                let length = usize::from(data.Length);
                let bytes = if length == 0 {
                    &[]
                } else {
                    std::slice::from_raw_parts(data.Buffer.cast::<u8>().cast_const(), length)
                };
                Some(Value::Binary(bytes.to_vec()))
            }
            _ => None,
        }
    }
}

/// Opens the sub key at `path`; it is closed for itself (rule 224).
fn open(of: &Configuration, path: String, call: &str) -> Result<NDIS_HANDLE, NDIS_STATUS> {
    if !registry::with(|registry| registry.key(&path).is_some()) {
        return Err(NDIS_STATUS_FAILURE);
    }
    if faults::allocation_fails(call) {
        return Err(NDIS_STATUS_RESOURCES);
    }
    let owner = of.owner;
    let opened = handles::create(|handle| Configuration {
        handle,
        owner,
        key: path,
        is_sub_key: true,
        driver: of.driver,
        lent: BatonCell::new(Vec::new()),
    });
    OPEN.with(|open| open.push(opened));
    Ok(handles::raw(opened.handle))
}

/// Microsoft Learn, NdisOpenConfigurationKeyByName function (ndis.h). IRQL < DISPATCH_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
unsafe extern "efiapi" fn open_by_name(
    status: *mut NDIS_STATUS,
    configuration: NDIS_HANDLE,
    name: *mut NDIS_STRING,
    key: *mut NDIS_HANDLE,
) {
    const CALL: &str = "NdisOpenConfigurationKeyByName";
    import(CALL, Level::UpToApc);
    let configuration: &'static Configuration = handles::resolve(configuration, CALL);
    // SAFETY: by contract.
    unsafe {
        let path = format!(r"{}\{}", configuration.key, text::read(name));
        match open(configuration, path, CALL) {
            Ok(handle) => {
                key.write(handle);
                status.write(NDIS_STATUS_SUCCESS);
            }
            Err(error) => status.write(error),
        }
    }
}

/// Microsoft Learn, NdisOpenConfigurationKeyByIndex function (ndis.h). IRQL < DISPATCH_LEVEL. The
/// name is NDIS's until the configuration is closed.
///
/// # Safety
///
/// The pointers are valid.
unsafe extern "efiapi" fn open_by_index(
    status: *mut NDIS_STATUS,
    configuration: NDIS_HANDLE,
    index: u32,
    name: *mut NDIS_STRING,
    key: *mut NDIS_HANDLE,
) {
    const CALL: &str = "NdisOpenConfigurationKeyByIndex";
    import(CALL, Level::UpToApc);
    let configuration: &'static Configuration = handles::resolve(configuration, CALL);
    let found = registry::with(|registry| {
        let (found, _) = registry
            .key(&configuration.key)?
            .subkeys()
            .nth(index as usize)?;
        Some(found.to_owned())
    });
    // SAFETY: by contract.
    unsafe {
        let Some(found) = found else {
            status.write(NDIS_STATUS_FAILURE);
            return;
        };
        let path = format!(r"{}\{found}", configuration.key);
        match open(configuration, path, CALL) {
            Ok(handle) => {
                let mut text = OwnedString::new(&found);
                name.write(text.as_raw());
                configuration.lent.with(|lent| lent.push(Lent::Name(text)));
                key.write(handle);
                status.write(NDIS_STATUS_SUCCESS);
            }
            Err(error) => status.write(error),
        }
    }
}
