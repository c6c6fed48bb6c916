//! Reads the ABI tables.

use std::collections::BTreeMap;
use std::path::Path;

/// The two architectures that Windows drivers are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arch {
    X64,
    Arm64,
}

impl Arch {
    /// Translates `CARGO_CFG_TARGET_ARCH`.
    pub(crate) fn from_cargo(name: &str) -> Result<Self, String> {
        match name {
            "x86_64" => Ok(Self::X64),
            "aarch64" => Ok(Self::Arm64),
            _ => Err(format!("no ABI table for architecture {name}")),
        }
    }
}

/// Where a record or a bit-field is laid out.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Dotted name from the record, as in `DATA.QUERY_INFORMATION.Oid`.
    pub(crate) path: String,
    pub(crate) c_type: String,
    /// Byte offset from the record; for a bit-field, of the byte where it begins.
    pub(crate) offset: usize,
    pub(crate) is_bit_field: bool,
}

impl Field {
    /// The name after the last dot.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }
}

/// A struct or union with its fields.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) size: usize,
    pub(crate) align: usize,
    pub(crate) fields: Vec<Field>,
}

impl Record {
    pub(crate) fn field(&self, path: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.path == path)
    }
}

/// Return type and parameter types of a function or callback, in C.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) returns: String,
    pub(crate) parameters: Vec<String>,
}

/// A callback typedef: a signature, or a pointer to another typedef.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Callback {
    Function(Signature),
    PointerTo(String),
}

/// An enumerator: the enum that it belongs to and its value.
#[derive(Clone, Debug)]
pub(crate) struct Enumerator {
    /// C tag, with its leading underscore; empty for an anonymous enum.
    pub(crate) tag: String,
    pub(crate) value: i128,
}

/// All tables, for one architecture.
pub(crate) struct Tables {
    /// By C tag, as in `_NET_BUFFER`.
    pub(crate) records: BTreeMap<String, Record>,
    pub(crate) constants: BTreeMap<String, i128>,
    pub(crate) enumerators: BTreeMap<String, Enumerator>,
    pub(crate) callbacks: BTreeMap<String, Callback>,
    /// Functions that a driver imports; those that the headers define inline are left out.
    pub(crate) imports: BTreeMap<String, Signature>,
}

impl Tables {
    /// Reads the tables in `folder`; on ARM64 the records that differ there replace the others.
    pub(crate) fn read(folder: &Path, arch: Arch) -> Result<Self, String> {
        let mut records = read_records(&folder.join("records.csv"))?;
        records.extend(read_records(
            &folder.join("records-ndis-6.85-additions.csv"),
        )?);
        if arch == Arch::Arm64 {
            records.extend(read_records(&folder.join("records-arm64-differences.csv"))?);
        }
        Ok(Self {
            records,
            constants: read_constants(&folder.join("constants.csv"))?,
            enumerators: read_enumerators(&folder.join("enums.csv"))?,
            callbacks: read_callbacks(&folder.join("callbacks.csv"))?,
            imports: read_imports(&folder.join("functions.csv"))?,
        })
    }

    /// The record of that C tag, with or without the customary leading underscore.
    pub(crate) fn record(&self, name: &str) -> Option<(&str, &Record)> {
        let tag = format!("_{name}");
        self.records
            .get_key_value(tag.as_str())
            .or_else(|| self.records.get_key_value(name))
            .map(|(tag, record)| (tag.as_str(), record))
    }

    /// The signature of a callback typedef, through typedefs that only point to another one.
    pub(crate) fn callback(&self, name: &str) -> Option<&Signature> {
        match self.callbacks.get(name)? {
            Callback::Function(signature) => Some(signature),
            Callback::PointerTo(other) => self.callback(other),
        }
    }
}

/// The rows of a CSV file without its header line.
fn rows(path: &Path) -> Result<Vec<csv::StringRecord>, String> {
    let fault = |error: csv::Error| format!("{}: {error}", path.display());
    csv::Reader::from_path(path)
        .map_err(fault)?
        .records()
        .collect::<Result<_, _>>()
        .map_err(fault)
}

fn column(row: &csv::StringRecord, index: usize) -> Result<&str, String> {
    row.get(index)
        .ok_or_else(|| format!("row {row:?} has no column {index}"))
}

/// A number as the tables write it: decimal, negative decimal, or `0x...`.
fn number(text: &str) -> Result<i128, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| format!("{text:?} is not a number: {error}"))
}

fn size(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|error| format!("{text:?} is not a size: {error}"))
}

/// Columns: record, kind, size, align, field, type, offset, bit_first, bit_last.
fn read_records(path: &Path) -> Result<BTreeMap<String, Record>, String> {
    let mut records: BTreeMap<String, Record> = BTreeMap::new();
    for row in rows(path)? {
        let tag = column(&row, 0)?;
        if column(&row, 1)?.is_empty() {
            let field = read_field(&row)?;
            records
                .get_mut(tag)
                .ok_or_else(|| format!("field {}.{} before its record", tag, field.path))?
                .fields
                .push(field);
        } else {
            let record = Record {
                size: size(column(&row, 2)?)?,
                align: size(column(&row, 3)?)?,
                fields: Vec::new(),
            };
            records.insert(tag.to_owned(), record);
        }
    }
    Ok(records)
}

fn read_field(row: &csv::StringRecord) -> Result<Field, String> {
    Ok(Field {
        path: column(row, 4)?.to_owned(),
        c_type: column(row, 5)?.to_owned(),
        offset: size(column(row, 6)?)?,
        is_bit_field: !column(row, 7)?.is_empty(),
    })
}

/// Columns: name, value.
fn read_constants(path: &Path) -> Result<BTreeMap<String, i128>, String> {
    rows(path)?
        .iter()
        .map(|row| Ok((column(row, 0)?.to_owned(), number(column(row, 1)?)?)))
        .collect()
}

/// Columns: enum, name, value.
fn read_enumerators(path: &Path) -> Result<BTreeMap<String, Enumerator>, String> {
    rows(path)?
        .iter()
        .map(|row| {
            let tag = column(row, 0)?.to_owned();
            let value = number(column(row, 2)?)?;
            Ok((column(row, 1)?.to_owned(), Enumerator { tag, value }))
        })
        .collect()
}

/// Columns: typedef, signature.
fn read_callbacks(path: &Path) -> Result<BTreeMap<String, Callback>, String> {
    rows(path)?
        .iter()
        .map(|row| Ok((column(row, 0)?.to_owned(), parse_callback(column(row, 1)?)?)))
        .collect()
}

/// Parses `NDIS_STATUS (NDIS_HANDLE, PULONG)` or `MINIPORT_HALT (*)`.
fn parse_callback(text: &str) -> Result<Callback, String> {
    let (returns, rest) = text
        .split_once(" (")
        .ok_or_else(|| format!("{text:?} is not a signature"))?;
    let inner = rest
        .strip_suffix(')')
        .ok_or_else(|| format!("{text:?} has no closing parenthesis"))?;
    if inner == "*" {
        return Ok(Callback::PointerTo(returns.to_owned()));
    }
    let parameters = match inner {
        "void" => Vec::new(),
        list => list
            .split(',')
            .map(|parameter| parameter.trim().to_owned())
            .collect(),
    };
    Ok(Callback::Function(Signature {
        returns: returns.to_owned(),
        parameters,
    }))
}

/// Columns: name, kind, returns, parameters (`type name; type name`).
fn read_imports(path: &Path) -> Result<BTreeMap<String, Signature>, String> {
    let mut imports = BTreeMap::new();
    for row in rows(path)? {
        if column(&row, 1)? != "import" {
            continue;
        }
        let parameters = column(&row, 3)?
            .split(';')
            .filter(|parameter| !parameter.trim().is_empty())
            .map(parameter_type)
            .collect();
        let signature = Signature {
            returns: column(&row, 2)?.to_owned(),
            parameters,
        };
        imports.insert(column(&row, 0)?.to_owned(), signature);
    }
    Ok(imports)
}

/// `PVOID * VirtualAddress` -> `PVOID *`.
fn parameter_type(parameter: &str) -> String {
    let parameter = parameter.trim();
    let end = parameter
        .rfind(|c: char| !c.is_alphanumeric() && c != '_')
        .map_or(parameter.len(), |last| last + 1);
    parameter[..end].trim().to_owned()
}
