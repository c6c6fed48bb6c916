//! Puts the help strings into the DLL, as the string table that netsh reads them from.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

include!("src/help.rs");

/// Resource type of string tables.
const RT_STRING: u16 = 6;
/// Strings of a table.
const PER_TABLE: u16 = 16;
const ENGLISH: u16 = 0x0409;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=src/help.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("windows") {
        return Ok(());
    }
    let folder = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let compiled = folder.join("help.res");
    fs::write(&compiled, resource_file()?)?;
    let linked = match env::var("CARGO_CFG_TARGET_ENV").as_deref() {
        // Microsoft's linker and LLVM's take the file as it is.
        Ok("msvc") => compiled,
        _ => as_object(&compiled, &folder.join("help.o"))?,
    };
    println!("cargo::rustc-cdylib-link-arg={}", linked.display());
    Ok(())
}

/// GNU's linker wants an object file.
fn as_object(resource: &Path, object: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let windres = "x86_64-w64-mingw32-windres";
    let done = Command::new(windres)
        .args(["--input-format=res", "--output-format=coff"])
        .args([resource, object])
        .status()
        .map_err(|error| format!("{windres} (package binutils-mingw-w64): {error}"))?;
    if !done.success() {
        return Err(format!("{windres} failed").into());
    }
    Ok(object.into())
}

/// A compiled resource file: an empty entry, then one per table of sixteen strings.
fn resource_file() -> Result<Vec<u8>, Box<dyn Error>> {
    let mut file = entry(0, 0, 0, &[])?;
    let last = HELP.iter().map(|(number, _)| number / PER_TABLE).max();
    for table in 0..=last.unwrap_or(0) {
        let mut data = Vec::new();
        for number in table * PER_TABLE..(table + 1) * PER_TABLE {
            let text = HELP.iter().find(|(own, _)| *own == number);
            let units: Vec<u16> = text.map_or("", |(_, text)| text).encode_utf16().collect();
            let length = u16::try_from(units.len())?;
            data.extend(length.to_le_bytes());
            data.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        }
        file.extend(entry(RT_STRING, table + 1, ENGLISH, &data)?);
    }
    Ok(file)
}

/// One resource, with its header of 32 bytes, padded to four.
fn entry(kind: u16, name: u16, language: u16, data: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let size = u32::try_from(data.len())?;
    let mut entry = Vec::new();
    entry.extend(size.to_le_bytes());
    entry.extend(32u32.to_le_bytes());
    for number in [0xffff, kind, 0xffff, name] {
        entry.extend(u16::to_le_bytes(number));
    }
    // Data version; memory flags (movable, pure); language; version; characteristics.
    entry.extend(0u32.to_le_bytes());
    entry.extend(0x0030u16.to_le_bytes());
    entry.extend(language.to_le_bytes());
    entry.extend([0; 8]);
    entry.extend(data);
    entry.resize(entry.len().next_multiple_of(4), 0);
    Ok(entry)
}
