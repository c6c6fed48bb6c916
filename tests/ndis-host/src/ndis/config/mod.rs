//! Configuration: the parameters of an adapter, a binding or a driver in the registry.

mod keys;

use std::ffi::c_void;

use ndis_sys::{
    BINARY_DATA, NDIS_CONFIGURATION_OBJECT, NDIS_CONFIGURATION_PARAMETER, NDIS_HANDLE,
    NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT, NDIS_PARAMETER_TYPE,
    NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1, NDIS_STATUS, NDIS_STATUS_FAILURE,
    NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NDIS_STRING, NdisParameterBinary,
    NdisParameterHexInteger, NdisParameterInteger, NdisParameterMultiString, NdisParameterString,
    Zeroed,
};

use crate::ndis::adapter::Adapter;
use crate::ndis::bindings::{Binding, parameters};
use crate::ndis::call::{Level, import};
use crate::ndis::drivers::MiniportDriver;
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::modules::ModuleId;
use crate::ndis::protocols::ProtocolDriver;
use crate::ndis::text::{self, OwnedString};
use crate::ndis::{faults, header, modules};
use crate::registry::{self, Value};
use crate::sched::BatonCell;
use crate::{ntoskrnl, verifier};

pub(super) use keys::exports;

/// NdisProcessorAmd64 and NdisProcessorArm64 of NDIS_PROCESSOR_TYPE.
const PROCESSOR_TYPE: u32 = if cfg!(target_arch = "aarch64") { 7 } else { 4 };

/// An open configuration.
pub(crate) struct Configuration {
    handle: u64,
    /// Handle that it was opened for: an adapter, binding or driver; 0 for bind parameters.
    owner: u64,
    key: String,
    /// Opened from another configuration, to be closed for itself (rule 224).
    is_sub_key: bool,
    /// The driver that it was opened for as such, not for one of its adapters.
    driver: ModuleId,
    lent: BatonCell<Vec<Lent>>,
}

/// What an open configuration has lent to the driver: freed when it is closed (rule 220).
enum Lent {
    Parameter {
        place: Box<NDIS_CONFIGURATION_PARAMETER>,
        _text: OwnedString,
    },
    Bytes {
        place: Box<NDIS_CONFIGURATION_PARAMETER>,
        bytes: Vec<u8>,
    },
    Address(Vec<u8>),
    /// Name of a sub key.
    Name(OwnedString),
}

// SAFETY: the pointers in the parameters are to memory that the same value owns.
unsafe impl Send for Lent {}

impl Object for Configuration {
    const KIND: Kind = Kind::Configuration;
}

static OPEN: BatonCell<Vec<&'static Configuration>> = BatonCell::new(Vec::new());

/// A value of a key.
pub(crate) fn value(key: &str, name: &str) -> Option<Value> {
    registry::with(|registry| registry.key(key).and_then(|key| key.value(name)).cloned())
}

/// An integer of a key: a number, or text that is one.
pub(crate) fn integer(key: &str, name: &str) -> Option<u32> {
    match value(key, name)? {
        Value::Dword(number) => Some(number),
        Value::Sz(text) | Value::ExpandSz(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Microsoft Learn, NdisOpenConfigurationEx function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
pub(crate) unsafe extern "efiapi" fn open(
    object: *mut NDIS_CONFIGURATION_OBJECT,
    configuration: *mut NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisOpenConfigurationEx";
    import(CALL, Level::Passive);
    // SAFETY: the caller's contract.
    let object = unsafe { *object };
    let least = NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1;
    header::check(
        CALL,
        object.Header,
        NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT,
        &[(1, least)],
    );
    let Some((owner, key)) = key_of(handles::number(object.NdisHandle)) else {
        verifier::breach(
            219,
            format!("{CALL}: {:p} is no handle for it", object.NdisHandle),
        );
        return NDIS_STATUS_FAILURE;
    };
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let opened = handles::create(|handle| Configuration {
        handle,
        owner,
        key,
        is_sub_key: false,
        driver: driver_behind(owner),
        lent: BatonCell::new(Vec::new()),
    });
    OPEN.with(|open| open.push(opened));
    // SAFETY: the caller's contract.
    unsafe { *configuration = handles::raw(opened.handle) };
    NDIS_STATUS_SUCCESS
}

/// Where the parameters behind a handle are (rule 219).
fn key_of(handle: u64) -> Option<(u64, String)> {
    if let Some(adapter) = handles::lookup::<Adapter>(handle) {
        return Some((handle, adapter.node.driver_key()));
    }
    if let Some(adapter) = parameters::adapter_at(handle as usize) {
        return Some((0, adapter.node.driver_key()));
    }
    if let Some(binding) = handles::lookup::<Binding>(handle) {
        let guid = binding.adapter.name.trim_start_matches(r"\Device\");
        let service = &binding.protocol.name;
        let services = registry::SERVICES;
        return Some((
            handle,
            format!(r"{services}\{service}\Parameters\Adapters\{guid}"),
        ));
    }
    if let Some(protocol) = handles::lookup::<ProtocolDriver>(handle) {
        let services = registry::SERVICES;
        return Some((handle, format!(r"{services}\{}\Parameters", protocol.name)));
    }
    let driver = handles::lookup::<MiniportDriver>(handle)?;
    let service =
        crate::pnp::service_of(driver.module).unwrap_or_else(|| modules::name(driver.module));
    Some((
        handle,
        format!(r"{}\{service}\Parameters", registry::SERVICES),
    ))
}

/// Microsoft Learn, NdisReadConfiguration function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
pub(crate) unsafe extern "efiapi" fn read(
    status: *mut NDIS_STATUS,
    parameter: *mut *mut NDIS_CONFIGURATION_PARAMETER,
    configuration: NDIS_HANDLE,
    keyword: *mut NDIS_STRING,
    kind: NDIS_PARAMETER_TYPE,
) {
    const CALL: &str = "NdisReadConfiguration";
    import(CALL, Level::Passive);
    let configuration: &'static Configuration = handles::resolve(configuration, CALL);
    // SAFETY: the caller's contract.
    let keyword = unsafe { text::read(keyword) };
    let found = if faults::allocation_fails(CALL) {
        Err(NDIS_STATUS_RESOURCES)
    } else {
        find(configuration, &keyword, kind)
    };
    // SAFETY: the caller's contract.
    unsafe {
        *status = match found {
            Ok(place) => {
                *parameter = place;
                NDIS_STATUS_SUCCESS
            }
            Err(status) => {
                *parameter = std::ptr::null_mut();
                status
            }
        };
    }
}

fn find(
    configuration: &'static Configuration,
    keyword: &str,
    kind: NDIS_PARAMETER_TYPE,
) -> Result<*mut NDIS_CONFIGURATION_PARAMETER, NDIS_STATUS> {
    // Answered without a registry value (rule 222).
    let os = ntoskrnl::os();
    let pseudo = match keyword {
        "ProcessorType" => Some(PROCESSOR_TYPE),
        "NdisVersion" => Some(u32::from(os.ndis_major) << 16 | u32::from(os.ndis_minor)),
        _ => None,
    };
    let value = match pseudo {
        Some(number) => Value::Dword(number),
        None => value(&configuration.key, keyword).ok_or(NDIS_STATUS_FAILURE)?,
    };
    let lent = convert(&value, kind).ok_or(NDIS_STATUS_FAILURE)?;
    Ok(configuration.lend(lent))
}

/// A registry value as a configuration parameter. A text that is asked for as a number is read as
/// one: decimal, or hexadecimal when that is what is asked for.
fn convert(value: &Value, kind: NDIS_PARAMETER_TYPE) -> Option<Lent> {
    let mut place = Box::new(NDIS_CONFIGURATION_PARAMETER::zeroed());
    let string = match value {
        Value::Dword(number) => {
            let hex = kind == NdisParameterHexInteger;
            place.ParameterType = if hex {
                NdisParameterHexInteger
            } else {
                NdisParameterInteger
            };
            place.ParameterData.IntegerData = *number;
            return Some(Lent::Bytes {
                place,
                bytes: Vec::new(),
            });
        }
        Value::Sz(text) | Value::ExpandSz(text) => {
            let radix = match kind {
                NdisParameterInteger => Some(10),
                NdisParameterHexInteger => Some(16),
                _ => None,
            };
            if let Some(radix) = radix {
                place.ParameterType = kind;
                place.ParameterData.IntegerData = leading_number(text, radix);
                return Some(Lent::Bytes {
                    place,
                    bytes: Vec::new(),
                });
            }
            place.ParameterType = NdisParameterString;
            text.clone()
        }
        Value::MultiSz(texts) => {
            place.ParameterType = NdisParameterMultiString;
            texts
                .iter()
                .flat_map(|text| [text.as_str(), "\0"])
                .collect()
        }
        Value::Binary(bytes) => {
            let mut bytes = bytes.clone();
            place.ParameterType = NdisParameterBinary;
            place.ParameterData.BinaryData = BINARY_DATA {
                Length: u16::try_from(bytes.len()).ok()?,
                Buffer: bytes.as_mut_ptr().cast(),
            };
            return Some(Lent::Bytes { place, bytes });
        }
    };
    let mut text = OwnedString::new(&string);
    place.ParameterData.StringData = text.as_raw();
    Some(Lent::Parameter { place, _text: text })
}

/// The number at the beginning of a text, 0 without one: RtlUnicodeStringToInteger.
fn leading_number(text: &str, radix: u32) -> u32 {
    let text = text.trim_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = if radix == 16 {
        digits.trim_start_matches("0x")
    } else {
        digits
    };
    let number = digits
        .chars()
        .map_while(|digit| digit.to_digit(radix))
        .fold(0u32, |number, digit| {
            number.wrapping_mul(radix).wrapping_add(digit)
        });
    if negative {
        number.wrapping_neg()
    } else {
        number
    }
}

impl Configuration {
    fn lend(&'static self, mut lent: Lent) -> *mut NDIS_CONFIGURATION_PARAMETER {
        let place: *mut NDIS_CONFIGURATION_PARAMETER = match &mut lent {
            Lent::Parameter { place, .. } | Lent::Bytes { place, .. } => &raw mut **place,
            Lent::Address(_) | Lent::Name(_) => std::ptr::null_mut(),
        };
        self.lent.with(|all| all.push(lent));
        place
    }
}

/// Microsoft Learn, NdisReadNetworkAddress function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
pub(crate) unsafe extern "efiapi" fn read_network_address(
    status: *mut NDIS_STATUS,
    address: *mut *mut c_void,
    length: *mut u32,
    configuration: NDIS_HANDLE,
) {
    const CALL: &str = "NdisReadNetworkAddress";
    import(CALL, Level::Passive);
    let configuration: &'static Configuration = handles::resolve(configuration, CALL);
    let digits = match value(&configuration.key, "NetworkAddress") {
        Some(Value::Sz(text) | Value::ExpandSz(text)) => bytes_of(&text),
        _ => Vec::new(),
    };
    // SAFETY: the caller's contract.
    unsafe {
        if digits.is_empty() {
            *status = NDIS_STATUS_FAILURE;
            return;
        }
        let mut digits = digits;
        *status = NDIS_STATUS_SUCCESS;
        *address = digits.as_mut_ptr().cast();
        *length = digits.len() as u32;
        configuration
            .lent
            .with(|lent| lent.push(Lent::Address(digits)));
    }
}

/// Pairs of hexadecimal digits, hyphens ignored. NDIS checks neither number nor meaning.
fn bytes_of(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect()
}

/// Microsoft Learn, NdisCloseConfiguration function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn close(configuration: NDIS_HANDLE) {
    const CALL: &str = "NdisCloseConfiguration";
    import(CALL, Level::Passive);
    let configuration: &'static Configuration = handles::resolve(configuration, CALL);
    OPEN.with(|open| open.retain(|other| other.handle != configuration.handle));
    for lent in configuration.lent.with(std::mem::take) {
        lent.poison();
    }
    handles::close(configuration.handle, CALL);
}

impl Lent {
    /// Overwrites what the driver must not use any more.
    fn poison(self) {
        match self {
            Self::Parameter { mut place, .. } => {
                *place = NDIS_CONFIGURATION_PARAMETER::zeroed();
            }
            Self::Bytes {
                mut place,
                mut bytes,
            } => {
                *place = NDIS_CONFIGURATION_PARAMETER::zeroed();
                bytes.fill(0xdd);
            }
            Self::Address(mut bytes) => bytes.fill(0xdd),
            Self::Name(name) => drop(name),
        }
    }
}

/// Configurations that are open for a handle, in words.
pub(crate) fn leaks_of(owner: u64) -> Vec<String> {
    OPEN.with(|open| {
        let of_owner = open
            .iter()
            .filter(|configuration| configuration.owner == owner);
        of_owner
            .map(|c| format!("open configuration {:#x} ({})", c.handle, c.key))
            .collect()
    })
}

/// The module whose driver or protocol handle this is; unknown for all other handles.
fn driver_behind(handle: u64) -> ModuleId {
    match handles::kind_of(handle) {
        Some(Kind::MiniportDriver | Kind::ProtocolDriver) => modules::of_handle(handle),
        _ => modules::UNKNOWN,
    }
}

/// Reports what a driver has left open of its own configuration: rules 219 and 224.
pub(crate) fn report_leaks_of_module(module: ModuleId) {
    let left = OPEN.with(|open| {
        let own = open.iter().filter(|c| c.driver == module);
        own.map(|c| (c.is_sub_key, c.key.clone()))
            .collect::<Vec<_>>()
    });
    for (is_sub_key, key) in left {
        let rule = if is_sub_key { 224 } else { 219 };
        verifier::breach(rule, format!("the configuration {key} was not closed"));
    }
}
