//! AddReg sections: `root, [subkey], [value name], [flags], [value, ...]`.

use super::lines::Entry;
use super::{Inf, InfError, InfErrorKind};
use crate::registry::{Registry, Value};

/// `FLG_ADDREG_NOCLOBBER`: keep a value that is there.
const NO_CLOBBER: u32 = 0x2;
/// `FLG_ADDREG_KEYONLY`: make the key only.
const KEY_ONLY: u32 = 0x10;
/// The bits that give the type.
const TYPE_MASK: u32 = 0xFFFF_0001;
/// `FLG_ADDREG_TYPE_SZ`.
const TYPE_SZ: u32 = 0;
/// `FLG_ADDREG_TYPE_BINARY`.
const TYPE_BINARY: u32 = 0x1;
/// `FLG_ADDREG_TYPE_MULTI_SZ`.
const TYPE_MULTI_SZ: u32 = 0x0001_0000;
/// `FLG_ADDREG_TYPE_DWORD`.
const TYPE_DWORD: u32 = 0x0001_0001;
/// `FLG_ADDREG_TYPE_EXPAND_SZ`.
const TYPE_EXPAND_SZ: u32 = 0x0002_0000;

/// Fields before the values.
const FIXED_FIELDS: usize = 4;

impl Inf {
    /// Executes one AddReg section; `relative` is the path that HKR stands for.
    pub(super) fn add_reg(
        &self,
        name: &str,
        line: usize,
        relative: &str,
        registry: &mut Registry,
    ) -> Result<(), InfError> {
        for entry in &self.required(name, line)?.entries {
            self.add_value(entry, relative, registry)?;
        }
        Ok(())
    }

    fn add_value(
        &self,
        entry: &Entry,
        relative: &str,
        registry: &mut Registry,
    ) -> Result<(), InfError> {
        if entry.key.is_some() {
            let text = "an AddReg line is root, subkey, name, flags, value".to_owned();
            return Err(InfErrorKind::BadEntry(text).at(entry.line));
        }
        let root = match self.text_at(entry, 0)?.to_ascii_uppercase().as_str() {
            "HKR" => relative,
            "HKLM" => r"\Registry\Machine",
            other => {
                let text = format!("registry root \"{other}\"");
                return Err(InfErrorKind::Unsupported(text).at(entry.line));
            }
        };
        let flags = self.number_or_zero(entry, 3)?;
        let key = registry.create(&format!(r"{root}\{}", self.text_at(entry, 1)?));
        if flags & KEY_ONLY != 0 || entry.fields.len() <= 2 {
            return Ok(());
        }
        let name = self.text_at(entry, 2)?;
        let value = self.value_of(entry, flags)?;
        if flags & NO_CLOBBER == 0 || key.value(&name).is_none() {
            key.set(&name, value);
        }
        Ok(())
    }

    fn value_of(&self, entry: &Entry, flags: u32) -> Result<Value, InfError> {
        let known = TYPE_MASK | NO_CLOBBER;
        if flags & !known != 0 {
            return Err(
                InfErrorKind::Unsupported(format!("AddReg flags {flags:#x}")).at(entry.line),
            );
        }
        let values: Vec<String> = (FIXED_FIELDS..entry.fields.len())
            .map(|index| self.text_at(entry, index))
            .collect::<Result<_, _>>()?;
        let single = || match values.as_slice() {
            [] => Ok(String::new()),
            [one] => Ok(one.clone()),
            _ => Err(InfErrorKind::BadEntry("one value was expected".to_owned()).at(entry.line)),
        };
        Ok(match flags & TYPE_MASK {
            TYPE_SZ => Value::Sz(single()?),
            TYPE_EXPAND_SZ => Value::ExpandSz(single()?),
            TYPE_MULTI_SZ => {
                Value::MultiSz(values.into_iter().filter(|text| !text.is_empty()).collect())
            }
            TYPE_DWORD => Value::Dword(number(&single()?).map_err(|kind| kind.at(entry.line))?),
            TYPE_BINARY => Value::Binary(bytes(&values).map_err(|kind| kind.at(entry.line))?),
            other => {
                let text = format!("registry type {other:#x}");
                return Err(InfErrorKind::Unsupported(text).at(entry.line));
            }
        })
    }

    /// A field as a number; zero when it is not there or empty.
    pub(super) fn number_or_zero(&self, entry: &Entry, index: usize) -> Result<u32, InfError> {
        let text = self.text_at(entry, index)?;
        if text.is_empty() {
            return Ok(0);
        }
        number(&text).map_err(|kind| kind.at(entry.line))
    }
}

/// A number: decimal, or hexadecimal with 0x; a negative one is the 32-bit pattern.
pub(super) fn number(text: &str) -> Result<u32, InfErrorKind> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let value = match hexadecimal {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text
            .parse()
            .ok()
            .or_else(|| Some(text.parse::<i32>().ok()? as u32)),
    };
    value.ok_or_else(|| InfErrorKind::NotANumber(text.to_owned()))
}

/// Bytes, each a field of two hexadecimal digits.
fn bytes(fields: &[String]) -> Result<Vec<u8>, InfErrorKind> {
    let byte = |text: &String| {
        u8::from_str_radix(text, 16).map_err(|_| InfErrorKind::NotANumber(text.clone()))
    };
    fields.iter().map(byte).collect()
}
