//! All declarations agree with the tables, and a wrong number would be seen.

use crate::abi_folder;
use crate::tables::{Arch, Tables};
use crate::walk::{Declarations, Report, walk};

fn tables(arch: Arch) -> Tables {
    Tables::read(&abi_folder(), arch).expect("the tables can be read")
}

/// Walks one architecture's tables and requires that nothing disagrees and nothing was skipped.
fn all_agree(arch: Arch) {
    let declared = Declarations::of_the_crate();
    let report = walk(&tables(arch), &declared);
    println!("{arch:?}: {report}");

    assert_eq!(report.disagreements, Vec::<String>::new());
    let whole = declared
        .records
        .iter()
        .filter(|record| record.part.is_empty())
        .count();
    let fields: usize = declared
        .records
        .iter()
        .map(|record| record.fields.len())
        .sum();
    assert_eq!(report.records.declared, whole);
    assert_eq!(report.fields.declared, fields);
    assert_eq!(report.constants.declared, declared.constants.len());
    assert_eq!(report.callbacks.declared, declared.callbacks.len());
    assert_eq!(report.imports.declared, declared.imports.len());
    assert!(whole > 60 && fields > 400 && declared.constants.len() > 400);
}

#[test]
fn every_declaration_agrees_with_the_x64_tables() {
    all_agree(Arch::X64);
}

/// The numbers are those of the machine that runs the test. They may stand for ARM64 because no
/// field that the crate declares differs there; the day one does, it shows here. The crate as
/// compiled for ARM64 is checked by `targets`.
#[test]
fn every_declaration_agrees_with_the_arm64_tables() {
    all_agree(Arch::Arm64);
}

/// Walks the x64 tables after `change` and requires exactly one disagreement.
fn only_disagreement(change: impl FnOnce(&mut Tables)) -> String {
    let mut tables = tables(Arch::X64);
    change(&mut tables);
    let Report {
        mut disagreements, ..
    } = walk(&tables, &Declarations::of_the_crate());
    assert_eq!(disagreements.len(), 1, "{disagreements:?}");
    disagreements.remove(0)
}

#[test]
fn a_wrong_offset_is_reported() {
    let report = only_disagreement(|tables| {
        let record = tables.records.get_mut("_NET_BUFFER_LIST").expect("record");
        let field = record
            .fields
            .iter_mut()
            .find(|field| field.path == "SourceHandle");
        field.expect("field").offset = 128;
    });
    assert_eq!(
        report,
        "offset of _NET_BUFFER_LIST.SourceHandle is 120, the table has 128"
    );
}

#[test]
fn a_wrong_record_size_is_reported() {
    let report = only_disagreement(|tables| {
        tables
            .records
            .get_mut("_NDIS_STATUS_INDICATION")
            .expect("record")
            .size = 104;
    });
    assert_eq!(
        report,
        "size of _NDIS_STATUS_INDICATION is 112, the table has 104"
    );
}

#[test]
fn a_wrong_field_size_is_reported() {
    let report = only_disagreement(|tables| {
        let record = tables.records.get_mut("_NDIS_LINK_STATE").expect("record");
        let field = record
            .fields
            .iter_mut()
            .find(|field| field.path == "RcvLinkSpeed");
        field.expect("field").c_type = "ULONG".to_owned();
    });
    assert_eq!(
        report,
        "size of _NDIS_LINK_STATE.RcvLinkSpeed is 8, the table has 4"
    );
}

#[test]
fn a_missing_field_is_reported() {
    let report = only_disagreement(|tables| {
        let record = tables.records.get_mut("_MDL").expect("record");
        record.fields.retain(|field| field.path != "ByteCount");
    });
    assert_eq!(report, "no field _MDL.ByteCount in the table");
}

#[test]
fn a_wrong_constant_is_reported() {
    let report = only_disagreement(|tables| {
        tables
            .constants
            .insert("NDIS_STATUS_PAUSED".to_owned(), 0xC023_002B);
    });
    assert!(
        report.starts_with("value of NDIS_STATUS_PAUSED is "),
        "{report}"
    );
}

#[test]
fn a_wrong_parameter_is_reported() {
    let report = only_disagreement(|tables| {
        let signature = tables.imports.get_mut("NdisMSleep").expect("import");
        signature.parameters[0] = "ULONG64".to_owned();
    });
    let (declared, table) = report.split_once("the table has").expect("both sides");
    assert!(
        declared.contains("4 bytes") && table.contains("8 bytes"),
        "{report}"
    );
}
