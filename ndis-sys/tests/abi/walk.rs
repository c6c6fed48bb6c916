//! The walk: every row of every table against the declarations, as the compiler measured them.

use std::collections::BTreeMap;
use std::fmt;

use crate::shapes::{CTypes, Size};
use crate::tables::{Field, Record, Signature, Tables};

/// A record as the crate declares it; `part` is the place of a nested one.
#[derive(Clone)]
pub(crate) struct DeclaredRecord {
    pub(crate) tag: &'static str,
    pub(crate) part: &'static str,
    pub(crate) size: usize,
    pub(crate) align: usize,
    pub(crate) fields: &'static [DeclaredField],
}

/// A field; `offset` counts from the declared record.
pub(crate) struct DeclaredField {
    pub(crate) path: &'static str,
    pub(crate) offset: usize,
    pub(crate) size: usize,
}

/// A constant and the size of its type.
#[derive(Clone)]
pub(crate) struct DeclaredConstant {
    pub(crate) name: &'static str,
    pub(crate) value: i128,
    pub(crate) size: usize,
}

/// A callback type or import, with the shapes of its parameters and of its return value.
#[derive(Clone)]
pub(crate) struct DeclaredFunction {
    pub(crate) name: &'static str,
    pub(crate) shapes: &'static [&'static str],
}

/// What the build script found in the sources and the compiler measured.
mod measured {
    use core::ffi::c_void;
    use core::mem::offset_of;

    use ndis_sys::*;

    use super::{DeclaredConstant, DeclaredField, DeclaredFunction, DeclaredRecord};

    include!(concat!(env!("OUT_DIR"), "/declared.rs"));
}

/// All declarations; a test may change them.
pub(crate) struct Declarations {
    pub(crate) records: Vec<DeclaredRecord>,
    pub(crate) constants: Vec<DeclaredConstant>,
    pub(crate) callbacks: Vec<DeclaredFunction>,
    pub(crate) imports: Vec<DeclaredFunction>,
}

impl Declarations {
    /// Those of the crate.
    pub(crate) fn of_the_crate() -> Self {
        Self {
            records: measured::RECORDS.to_vec(),
            constants: measured::CONSTANTS.to_vec(),
            callbacks: measured::CALLBACKS.to_vec(),
            imports: measured::IMPORTS.to_vec(),
        }
    }
}

/// How many rows of a table the crate declares.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) declared: usize,
    pub(crate) in_table: usize,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.declared, self.in_table)
    }
}

/// What a walk found.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) records: Count,
    pub(crate) fields: Count,
    pub(crate) constants: Count,
    pub(crate) callbacks: Count,
    pub(crate) imports: Count,
    pub(crate) disagreements: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "records {}, fields {}, constants {}, callbacks {}, imports {}, disagreements {}",
            self.records,
            self.fields,
            self.constants,
            self.callbacks,
            self.imports,
            self.disagreements.len()
        )
    }
}

impl Report {
    fn expect<T: PartialEq + fmt::Display>(&mut self, what: &str, declared: &T, table: &T) {
        if declared != table {
            self.disagreements
                .push(format!("{what} is {declared}, the table has {table}"));
        }
    }
}

/// Compares every declaration with the tables, row by row of the tables.
pub(crate) fn walk(tables: &Tables, declared: &Declarations) -> Report {
    let mut report = Report::default();
    walk_records(&mut report, tables, &declared.records);
    walk_constants(&mut report, tables, &declared.constants);

    let callbacks = tables
        .callbacks
        .keys()
        .filter_map(|name| Some((name, tables.callback(name)?)));
    let callbacks = callbacks.collect();
    report.callbacks = walk_functions(&mut report, tables, &callbacks, &declared.callbacks);
    let imports = tables.imports.iter().collect();
    report.imports = walk_functions(&mut report, tables, &imports, &declared.imports);
    report
}

fn walk_records(report: &mut Report, tables: &Tables, declared: &[DeclaredRecord]) {
    let c_types = CTypes::new(tables);
    for (tag, record) in &tables.records {
        report.records.in_table += 1;
        report.fields.in_table += record.fields.len();
        let rows = rows(tables, record);
        for rust in declared.iter().filter(|rust| rust.tag == tag) {
            if rust.part.is_empty() {
                report.records.declared += 1;
                report.expect(&format!("size of {tag}"), &rust.size, &record.size);
                report.expect(&format!("alignment of {tag}"), &rust.align, &record.align);
            }
            walk_fields(report, &c_types, &rows, rust);
        }
    }
    for rust in declared
        .iter()
        .filter(|rust| !tables.records.contains_key(rust.tag))
    {
        report
            .disagreements
            .push(format!("no record {} in the table", rust.tag));
    }
}

fn walk_fields(
    report: &mut Report,
    c_types: &CTypes<'_>,
    rows: &BTreeMap<String, Row<'_>>,
    rust: &DeclaredRecord,
) {
    let prefix = if rust.part.is_empty() {
        String::new()
    } else {
        format!("{}.", rust.part)
    };
    let start = rows.get(rust.part).map_or(0, |row| row.offset);
    for field in rust.fields {
        let name = format!("{}.{prefix}{}", rust.tag, field.path);
        let Some(row) = rows.get(&format!("{prefix}{}", field.path)) else {
            report
                .disagreements
                .push(format!("no field {name} in the table"));
            continue;
        };
        report.fields.declared += 1;
        report.expect(
            &format!("offset of {name}"),
            &(start + field.offset),
            &row.offset,
        );
        match c_types.field_size(row.record, row.field) {
            Ok(Size::Exactly(size)) => {
                report.expect(&format!("size of {name}"), &field.size, &size);
            }
            Ok(Size::Between(least, most)) if (least..=most).contains(&field.size) => {}
            Ok(Size::Between(least, most)) => {
                let size = field.size;
                report.disagreements.push(format!(
                    "size of {name} is {size}, not between {least} and {most}"
                ));
            }
            Err(error) => report.disagreements.push(format!("{name}: {error}")),
        }
    }
}

/// A field by its full dotted name; `record` is the one whose rows it stands in.
struct Row<'a> {
    offset: usize,
    record: &'a Record,
    field: &'a Field,
}

/// The rows of a record, and below a field that is a record of its own also that one's rows.
fn rows<'a>(tables: &'a Tables, record: &'a Record) -> BTreeMap<String, Row<'a>> {
    let mut all = BTreeMap::new();
    for field in &record.fields {
        let tag = field
            .c_type
            .trim_start_matches("struct ")
            .trim_start_matches("union ");
        if let Some(inner) = tables.records.get(tag) {
            for (path, row) in rows(tables, inner) {
                let row = Row {
                    offset: field.offset + row.offset,
                    ..row
                };
                all.insert(format!("{}.{path}", field.path), row);
            }
        }
    }
    // The record's own rows go last: where both name a field, they are the ones to compare with.
    for field in &record.fields {
        all.insert(
            field.path.clone(),
            Row {
                offset: field.offset,
                record,
                field,
            },
        );
    }
    all
}

fn walk_constants(report: &mut Report, tables: &Tables, declared: &[DeclaredConstant]) {
    let enumerators = tables
        .enumerators
        .iter()
        .map(|(name, one)| (name, one.value));
    let mut values: BTreeMap<_, _> = tables
        .constants
        .iter()
        .map(|(name, &value)| (name, value))
        .collect();
    values.extend(enumerators);

    report.constants.in_table = values.len();
    for (&name, &value) in &values {
        for constant in declared.iter().filter(|constant| constant.name == name) {
            report.constants.declared += 1;
            let same_bits =
                constant.value < 0 && constant.value + (1 << (8 * constant.size)) == value;
            if !same_bits {
                report.expect(&format!("value of {name}"), &constant.value, &value);
            }
        }
    }
}

fn walk_functions(
    report: &mut Report,
    tables: &Tables,
    signatures: &BTreeMap<&String, &Signature>,
    declared: &[DeclaredFunction],
) -> Count {
    let c_types = CTypes::new(tables);
    let mut count = Count {
        declared: 0,
        in_table: signatures.len(),
    };
    for (&name, signature) in signatures {
        for function in declared.iter().filter(|function| function.name == name) {
            count.declared += 1;
            let types = signature.parameters.iter().chain([&signature.returns]);
            let shapes = types
                .map(|c_type| {
                    c_types
                        .shape(c_type)
                        .map_or_else(|error| error, |one| one.to_string())
                })
                .collect::<Vec<_>>();
            report.expect(name, &function.shapes.join(", "), &shapes.join(", "));
        }
    }
    count
}
