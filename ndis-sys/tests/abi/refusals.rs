//! The build script refuses declarations that the tables do not bear out.

use crate::abi_folder;
use crate::compare::compare;
use crate::rust_source::Source;
use crate::tables::{Arch, Tables};

/// What the comparison says of one declaration, without the exceptions that it does not use.
fn verdict(declaration: &str) -> Vec<String> {
    let mut source = Source::default();
    source.parse(declaration).expect("the declaration is Rust");
    let tables = Tables::read(&abi_folder(), Arch::X64).expect("the tables can be read");
    let errors = compare(&source, &tables).err().unwrap_or_default();
    errors
        .into_iter()
        .filter(|error| !error.contains("needs no exception"))
        .collect()
}

#[test]
fn a_right_record_passes() {
    let errors = verdict(
        "#[repr(C)] pub struct NDIS_LINK_SPEED { pub XmitLinkSpeed: u64, pub RcvLinkSpeed: u64 }",
    );
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn a_record_that_is_in_no_table_is_refused() {
    let errors = verdict("#[repr(C)] pub struct NDIS_UNHEARD_OF { pub Flags: u32 }");
    assert_eq!(
        errors,
        ["NDIS_UNHEARD_OF: no record of that name in the table"]
    );
}

#[test]
fn a_field_that_the_record_does_not_have_is_refused() {
    let errors = verdict("#[repr(C)] pub struct NDIS_LINK_SPEED { pub Speed: u64 }");
    assert_eq!(
        errors,
        ["NDIS_LINK_SPEED: Speed: no field of that name in the table"]
    );
}

#[test]
fn an_integer_for_a_pointer_is_refused() {
    let errors = verdict(
        "#[repr(C)] pub struct NDIS_EVENT { pub Event: u64 } #[repr(C)] pub struct MDL { pub StartVa: usize }",
    );
    assert_eq!(
        errors,
        ["MDL: StartVa: usize (unsigned integer) for C's PVOID (pointer)"],
        "the first is an aggregate of the header, which an integer of its size may stand for"
    );
}

#[test]
fn an_alias_outside_the_word_is_refused() {
    let errors = verdict(
        "#[repr(C)] #[doc(alias = \"NDIS_TCP_LARGE_SEND_OFFLOAD_V2.IPv6\")]
        pub(crate) struct V6 { #[doc(alias(\"IpExtensionHeadersSupported\", \"MaxOffLoadSize\"))] pub Word: u32 }",
    );
    assert_eq!(
        errors,
        ["V6: Word: MaxOffLoadSize lies outside the word at offset 24"]
    );
}

#[test]
fn a_record_without_repr_is_refused() {
    let error = Source::default().parse("pub struct MDL { pub Next: u64 }");
    assert_eq!(error, Err("MDL has no repr".to_owned()));
}

#[test]
fn a_constant_that_is_in_no_table_is_refused() {
    let errors = verdict("pub const NDIS_STATUS_UNHEARD_OF: i32 = 1;");
    assert_eq!(
        errors,
        ["NDIS_STATUS_UNHEARD_OF: in neither table of constants"]
    );
}

#[test]
fn an_enumerator_of_another_type_is_refused() {
    let errors = verdict("pub const NdisHaltDeviceFailed: u32 = 4;");
    assert_eq!(
        errors,
        ["NdisHaltDeviceFailed: of type u32, but the enum is NDIS_HALT_ACTION"]
    );
}

#[test]
fn a_callback_with_a_parameter_too_few_is_refused() {
    let errors =
        verdict("pub type MINIPORT_CANCEL_SEND = unsafe extern \"efiapi\" fn(a: *mut u8);");
    assert_eq!(
        errors,
        ["MINIPORT_CANCEL_SEND: 1 parameters, the table has 2"]
    );
}

#[test]
fn a_callback_with_a_narrow_parameter_is_refused() {
    let errors = verdict(
        "pub type MINIPORT_HALT = unsafe extern \"efiapi\" fn(adapter: *mut u8, action: u16);",
    );
    assert_eq!(
        errors,
        [
            "MINIPORT_HALT: u16 (unsigned integer of 2 bytes) for C's NDIS_HALT_ACTION (signed integer of 4 bytes)"
        ]
    );
}

#[test]
fn an_import_that_is_inline_in_the_headers_is_refused() {
    let errors = verdict("unsafe extern \"system\" { pub fn KeGetCurrentIrql() -> u8; }");
    assert_eq!(errors, ["KeGetCurrentIrql: not in the table"]);
}

#[test]
fn an_exception_that_nobody_needs_is_an_error() {
    let mut source = Source::default();
    source.parse("").expect("nothing is Rust");
    let tables = Tables::read(&abi_folder(), Arch::X64).expect("the tables can be read");
    let errors = compare(&source, &tables).err().unwrap_or_default();
    assert!(errors.contains(&"memcpy is excepted, but needs no exception".to_owned()));
}
