//! Compares the crate's declarations with the tables.
//!
//! Everything that names and types tell is decided here. What only the compiler knows is handed
//! on in [`Findings`].

use crate::exceptions;
use crate::rust_source::{RustConstant, RustField, RustFunction, RustRecord, RustType, Source};
use crate::shapes::{CTypes, Kind, Shape, Size};
use crate::tables::{Field, Record, Signature, Tables};

/// A Rust record and what the table says of it.
pub(crate) struct RecordFinding {
    /// Rust name.
    pub(crate) name: String,
    /// C tag of the record that it is or is a part of.
    pub(crate) tag: String,
    /// Dotted name of the part, empty for a whole record.
    pub(crate) part: String,
    /// Size and alignment, for a whole record.
    pub(crate) layout: Option<(usize, usize)>,
    pub(crate) fields: Vec<FieldFinding>,
}

/// A field and what the table says of it.
pub(crate) struct FieldFinding {
    pub(crate) name: String,
    pub(crate) ty: RustType,
    /// Dotted C name from the Rust record.
    pub(crate) path: String,
    /// Offset from the Rust record.
    pub(crate) offset: usize,
    pub(crate) size: Size,
}

/// A constant and its value.
pub(crate) struct ConstantFinding {
    pub(crate) name: String,
    pub(crate) value: i128,
}

/// A callback or import and the shapes of its parameters and return value, in that order.
pub(crate) struct FunctionFinding {
    pub(crate) name: String,
    pub(crate) shapes: Vec<Shape>,
}

/// What agrees by name and type.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) records: Vec<RecordFinding>,
    pub(crate) constants: Vec<ConstantFinding>,
    pub(crate) callbacks: Vec<FunctionFinding>,
    pub(crate) imports: Vec<FunctionFinding>,
}

/// Compares everything; the error lists all that does not agree.
pub(crate) fn compare(source: &Source, tables: &Tables) -> Result<Findings, Vec<String>> {
    let mut comparison = Comparison {
        source,
        tables,
        c_types: CTypes::new(tables),
        findings: Findings::default(),
        errors: Vec::new(),
        used_exceptions: Vec::new(),
    };
    comparison.records();
    comparison.constants();
    comparison.callbacks();
    comparison.imports();
    comparison.stale_exceptions();

    if comparison.errors.is_empty() {
        Ok(comparison.findings)
    } else {
        Err(comparison.errors)
    }
}

struct Comparison<'a> {
    source: &'a Source,
    tables: &'a Tables,
    c_types: CTypes<'a>,
    findings: Findings,
    errors: Vec<String>,
    used_exceptions: Vec<&'a str>,
}

impl<'a> Comparison<'a> {
    fn records(&mut self) {
        for record in &self.source.records {
            if self.excepted(exceptions::RECORDS, &record.name) {
                continue;
            }
            match self.record(record) {
                Ok(finding) => self.findings.records.push(finding),
                Err(error) => self.errors.push(format!("{}: {error}", record.name)),
            }
        }
    }

    fn record(&self, rust: &RustRecord) -> Result<RecordFinding, String> {
        let (name, part) = match &rust.place {
            Some(place) => place
                .split_once('.')
                .ok_or("doc alias is not RECORD.part")?,
            None => (rust.name.as_str(), ""),
        };
        let (tag, record) = self
            .tables
            .record(name)
            .ok_or("no record of that name in the table")?;
        let start = match part {
            "" => 0,
            part => {
                record
                    .field(part)
                    .ok_or("no such part in the table")?
                    .offset
            }
        };
        let fields = rust
            .fields
            .iter()
            .map(|field| {
                self.field(record, part, start, field)
                    .map_err(|error| format!("{}: {error}", field.name))
            })
            .collect::<Result<_, _>>()?;
        Ok(RecordFinding {
            name: rust.name.clone(),
            tag: tag.to_owned(),
            part: part.to_owned(),
            layout: part.is_empty().then_some((record.size, record.align)),
            fields,
        })
    }

    fn field(
        &self,
        record: &Record,
        part: &str,
        start: usize,
        rust: &RustField,
    ) -> Result<FieldFinding, String> {
        let found = self.find(record, part, rust)?;
        let size = self.c_types.field_size(&found.record, &found.field)?;
        let c = Shape {
            kind: self.c_types.field_kind(&found.field)?,
            size: None,
        };
        let shape = Shape {
            size: None,
            ..self.rust_shape(&rust.ty)?
        };
        if !shape.stands_for(c) {
            return Err(format!(
                "{} ({shape}) for C's {} ({c})",
                rust.ty, found.field.c_type
            ));
        }
        Ok(FieldFinding {
            name: rust.name.clone(),
            ty: rust.ty.clone(),
            path: found.path,
            offset: found.offset - start,
            size,
        })
    }

    /// Finds the table's field for a Rust field: by alias, or by name if that is unambiguous.
    fn find(&self, record: &Record, part: &str, rust: &RustField) -> Result<Found, String> {
        let prefix = if part.is_empty() {
            String::new()
        } else {
            format!("{part}.")
        };
        if let Some((first, others)) = rust.aliases.split_first() {
            let found = self.resolve(record, &prefix, first)?;
            for other in others {
                self.shares_storage(record, &prefix, &found, other)?;
            }
            return Ok(found);
        }
        if let Ok(found) = self.resolve(record, &prefix, &rust.name) {
            return Ok(found);
        }
        let mut named = record
            .fields
            .iter()
            .filter(|field| field.path.starts_with(&prefix) && field.name() == rust.name);
        let field = named.next().ok_or("no field of that name in the table")?;
        if named.any(|other| other.offset != field.offset) {
            return Err("several fields have that name; add a doc alias".to_owned());
        }
        let path = field.path[prefix.len()..].to_owned();
        Ok(Found {
            record: record.clone(),
            field: field.clone(),
            offset: field.offset,
            path,
        })
    }

    /// Follows a dotted name, also into a field whose type is a record of its own.
    fn resolve(&self, record: &Record, prefix: &str, path: &str) -> Result<Found, String> {
        let full = format!("{prefix}{path}");
        if let Some(field) = record.field(&full) {
            let (record, field) = (record.clone(), field.clone());
            return Ok(Found {
                offset: field.offset,
                record,
                field,
                path: path.to_owned(),
            });
        }
        for (dot, _) in full.rmatch_indices('.') {
            let Some(outer) = record.field(&full[..dot]) else {
                continue;
            };
            let tag = outer
                .c_type
                .trim_start_matches("struct ")
                .trim_start_matches("union ");
            let Some(inner) = self.tables.records.get(tag) else {
                continue;
            };
            let found = self.resolve(inner, "", &full[dot + 1..])?;
            let offset = outer.offset + found.offset;
            return Ok(Found {
                offset,
                path: path.to_owned(),
                ..found
            });
        }
        Err(format!("no field {full} in the table"))
    }

    /// Further aliases of a word of bit-fields must lie in the same word.
    fn shares_storage(
        &self,
        record: &Record,
        prefix: &str,
        word: &Found,
        alias: &str,
    ) -> Result<(), String> {
        let other = self.resolve(record, prefix, alias)?;
        let size = match self.c_types.field_size(&word.record, &word.field)? {
            Size::Exactly(size) => size,
            Size::Between(_, most) => most,
        };
        if (word.offset..word.offset + size).contains(&other.offset) {
            Ok(())
        } else {
            Err(format!(
                "{alias} lies outside the word at offset {}",
                word.offset
            ))
        }
    }

    fn constants(&mut self) {
        for constant in &self.source.constants {
            match self.constant(constant) {
                Ok(Some(value)) => {
                    let name = constant.name.clone();
                    self.findings
                        .constants
                        .push(ConstantFinding { name, value });
                }
                Ok(None) => {}
                Err(error) => self.errors.push(format!("{}: {error}", constant.name)),
            }
        }
    }

    fn constant(&mut self, constant: &'a RustConstant) -> Result<Option<i128>, String> {
        let name = constant.name.as_str();
        if self.excepted(exceptions::CONSTANTS, name)
            || self.excepted(exceptions::OTHER_VALUES, name)
        {
            return Ok(None);
        }
        let Some(enumerator) = self.tables.enumerators.get(name) else {
            let value = self.tables.constants.get(name);
            return Ok(Some(*value.ok_or("in neither table of constants")?));
        };
        let tag = enumerator.tag.trim_start_matches('_');
        let typed = constant.ty == RustType::Named(tag.to_owned());
        if !typed && !self.excepted(exceptions::ENUMERATOR_TYPES, name) {
            return Err(format!("of type {}, but the enum is {tag}", constant.ty));
        }
        Ok(Some(enumerator.value))
    }

    fn callbacks(&mut self) {
        for callback in &self.source.callbacks {
            if self.excepted(exceptions::CALLBACKS, &callback.name) {
                continue;
            }
            let signature = self.tables.callback(&callback.name);
            match self.function(callback, signature) {
                Ok(finding) => self.findings.callbacks.push(finding),
                Err(error) => self.errors.push(format!("{}: {error}", callback.name)),
            }
        }
    }

    fn imports(&mut self) {
        for import in &self.source.imports {
            if self.excepted(exceptions::IMPORTS, &import.name) {
                continue;
            }
            match self.function(import, self.tables.imports.get(&import.name)) {
                Ok(finding) => self.findings.imports.push(finding),
                Err(error) => self.errors.push(format!("{}: {error}", import.name)),
            }
        }
    }

    fn function(
        &self,
        rust: &RustFunction,
        signature: Option<&Signature>,
    ) -> Result<FunctionFinding, String> {
        let signature = signature.ok_or("not in the table")?;
        let (ours, theirs) = (rust.parameters.len(), signature.parameters.len());
        if ours != theirs {
            return Err(format!("{ours} parameters, the table has {theirs}"));
        }
        let rust_types = rust.parameters.iter().chain([&rust.returns]);
        let c_types = signature.parameters.iter().chain([&signature.returns]);
        let shapes = rust_types
            .zip(c_types)
            .map(|(rust, c)| {
                let (shape, c_shape) = (self.rust_shape(rust)?, self.c_types.shape(c)?);
                if shape == c_shape {
                    Ok(shape)
                } else {
                    Err(format!("{rust} ({shape}) for C's {c} ({c_shape})"))
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(FunctionFinding {
            name: rust.name.clone(),
            shapes,
        })
    }

    fn rust_shape(&self, ty: &RustType) -> Result<Shape, String> {
        let name = match ty {
            RustType::Pointer { .. } | RustType::Nullable(_) => return Ok(Shape::POINTER),
            RustType::Array(..) => {
                return Ok(Shape {
                    kind: Kind::Aggregate,
                    size: None,
                });
            }
            RustType::Never | RustType::Unit => return Ok(Shape::VOID),
            RustType::Named(name) => name.as_str(),
        };
        let integer = match name {
            "u8" => Shape::new(Kind::Unsigned, 1),
            "u16" => Shape::new(Kind::Unsigned, 2),
            "u32" => Shape::new(Kind::Unsigned, 4),
            "u64" | "usize" => Shape::new(Kind::Unsigned, 8),
            "i8" => Shape::new(Kind::Signed, 1),
            "i16" => Shape::new(Kind::Signed, 2),
            "i32" => Shape::new(Kind::Signed, 4),
            "i64" | "isize" => Shape::new(Kind::Signed, 8),
            _ => return self.declared_shape(name),
        };
        Ok(integer)
    }

    /// The shape of an alias, a callback or a record that the crate declares.
    fn declared_shape(&self, name: &str) -> Result<Shape, String> {
        if let Some(ty) = self.source.aliases.get(name) {
            return self.rust_shape(ty);
        }
        if self
            .source
            .callbacks
            .iter()
            .any(|callback| callback.name == name)
        {
            return Ok(Shape::POINTER);
        }
        if self.source.records.iter().any(|record| record.name == name) {
            return Ok(Shape {
                kind: Kind::Aggregate,
                size: None,
            });
        }
        Err(format!("{name} is not a type of this crate"))
    }

    fn excepted(&mut self, list: &[(&'a str, &str)], name: &str) -> bool {
        let entry = list.iter().find(|(excepted, _)| *excepted == name);
        self.used_exceptions
            .extend(entry.map(|(excepted, _)| *excepted));
        entry.is_some()
    }

    fn stale_exceptions(&mut self) {
        let lists = [
            exceptions::RECORDS,
            exceptions::CONSTANTS,
            exceptions::OTHER_VALUES,
            exceptions::ENUMERATOR_TYPES,
            exceptions::CALLBACKS,
            exceptions::IMPORTS,
        ];
        for (name, _) in lists.concat() {
            if !self.used_exceptions.contains(&name) {
                self.errors
                    .push(format!("{name} is excepted, but needs no exception"));
            }
        }
    }
}

/// A field of the tables, found for a Rust field.
struct Found {
    /// The record in whose rows `field` is.
    record: Record,
    field: Field,
    /// Offset from the record where the search began.
    offset: usize,
    /// Dotted name from the Rust record.
    path: String,
}
