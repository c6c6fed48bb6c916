//! Writes the generated files: compile-time assertions, and the same facts as data.

use std::fmt::Write;

use crate::compare::{Findings, FunctionFinding, RecordFinding};
use crate::shapes::Size;

/// Assertions on sizes, alignments, offsets and values, one line each.
pub(crate) fn assertions(findings: &Findings) -> String {
    let mut text = String::new();
    for record in &findings.records {
        record_assertions(&mut text, record);
    }
    for constant in &findings.constants {
        let (name, value) = (&constant.name, constant.value);
        line(
            &mut text,
            format_args!("const_assert!(is_value({name} as i128, size_of_val(&{name}), {value}));"),
        );
    }
    text
}

fn record_assertions(text: &mut String, record: &RecordFinding) {
    let name = &record.name;
    if let Some((size, align)) = record.layout {
        line(
            text,
            format_args!("const_assert_eq!(size_of::<{name}>(), {size});"),
        );
        line(
            text,
            format_args!("const_assert_eq!(align_of::<{name}>(), {align});"),
        );
    }
    for field in &record.fields {
        let (field_name, ty, offset) = (&field.name, &field.ty, field.offset);
        line(
            text,
            format_args!("const_assert_eq!(offset_of!({name}, {field_name}), {offset});"),
        );
        match field.size {
            Size::Exactly(size) => line(
                text,
                format_args!("const_assert_eq!(size_of::<{ty}>(), {size}); // {name}.{field_name}"),
            ),
            Size::Between(least, most) => line(
                text,
                format_args!(
                    "const_assert!(is_between(size_of::<{ty}>(), {least}, {most})); // {name}.{field_name}"
                ),
            ),
        }
    }
}

/// What the crate declares, measured by the compiler, for the test that walks the tables.
pub(crate) fn declared(findings: &Findings) -> String {
    let mut text = String::from("pub(crate) static RECORDS: &[DeclaredRecord] = &[\n");
    for record in &findings.records {
        declared_record(&mut text, record);
    }
    text.push_str("];\npub(crate) static CONSTANTS: &[DeclaredConstant] = &[\n");
    for constant in &findings.constants {
        let name = &constant.name;
        line(
            &mut text,
            format_args!(
                "DeclaredConstant {{ name: \"{name}\", value: {name} as i128, size: size_of_val(&{name}) }},"
            ),
        );
    }
    text.push_str("];\n");
    functions(&mut text, "CALLBACKS", &findings.callbacks);
    functions(&mut text, "IMPORTS", &findings.imports);
    text
}

fn declared_record(text: &mut String, record: &RecordFinding) {
    let (name, tag, part) = (&record.name, &record.tag, &record.part);
    line(
        text,
        format_args!(
            "DeclaredRecord {{ tag: \"{tag}\", part: \"{part}\", size: size_of::<{name}>(), align: align_of::<{name}>(), fields: &["
        ),
    );
    for field in &record.fields {
        let (field_name, path, ty) = (&field.name, &field.path, &field.ty);
        line(
            text,
            format_args!(
                "DeclaredField {{ path: \"{path}\", offset: offset_of!({name}, {field_name}), size: size_of::<{ty}>() }},"
            ),
        );
    }
    text.push_str("] },\n");
}

fn functions(text: &mut String, list: &str, functions: &[FunctionFinding]) {
    line(
        text,
        format_args!("pub(crate) static {list}: &[DeclaredFunction] = &["),
    );
    for function in functions {
        let shapes = function
            .shapes
            .iter()
            .map(|shape| format!("\"{shape}\""))
            .collect::<Vec<_>>();
        line(
            text,
            format_args!(
                "DeclaredFunction {{ name: \"{}\", shapes: &[{}] }},",
                function.name,
                shapes.join(", ")
            ),
        );
    }
    text.push_str("];\n");
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{arguments}");
}
