//! How netkvm.sys is linked: the linker's switches and the version resource. And a deliberate fault, if
//! the mutation suite asks for one.
//!
//! Only a build for Windows is a driver; `cargo check` and `cargo test` on other systems get
//! nothing from here. The version is the `DriverVer` of `inf/netkvm.inf`, so that the image and
//! the INF that installs it can't disagree.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

const INF: &str = "../inf/netkvm.inf";
const MUTANT: &str = "NETKVM_MUTANT";

/// What makes a DLL a kernel driver. Microsoft Learn, "MSVC linker options", has each switch.
const LINKER_SWITCHES: [&str; 7] = [
    "/SUBSYSTEM:NATIVE",
    "/DRIVER",
    "/NODEFAULTLIB",
    "/ENTRY:DriverEntry",
    "/DYNAMICBASE",
    "/OPT:REF,ICF",
    "/DEBUG",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={INF}");
    println!("cargo::rerun-if-env-changed={MUTANT}");
    if let Ok(name) = env::var(MUTANT) {
        println!("cargo::rustc-cfg=mutant=\"{name}\"");
    }
    if env::var_os("CARGO_CFG_WINDOWS").is_none() {
        return Ok(());
    }
    let inf = fs::read(INF).map_err(|error| format!("{INF}: {error}"))?;
    let version = driver_version(&inf).ok_or_else(|| {
        format!("{INF}: no `DriverVer = <date>, <a>.<b>.<c>.<d>` with four 16-bit numbers")
    })?;
    let resource = write_resource(version)?;
    for switch in LINKER_SWITCHES {
        println!("cargo::rustc-link-arg-cdylib={switch}");
    }
    println!("cargo::rustc-link-arg-cdylib={}", resource.display());
    Ok(())
}

/// Takes `a.b.c.d` from the `DriverVer` directive of an INF in an ASCII-compatible encoding.
fn driver_version(inf: &[u8]) -> Option<[u16; 4]> {
    let text = String::from_utf8_lossy(inf);
    let (_, value) = text
        .lines()
        .filter_map(|line| line.split(';').next()?.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case("DriverVer"))?;
    let (_date, version) = value.split_once(',')?;
    let mut numbers = version.trim().split('.').map(|number| number.parse().ok());
    let version = [
        numbers.next()??,
        numbers.next()??,
        numbers.next()??,
        numbers.next()??,
    ];
    numbers.next().is_none().then_some(version)
}

fn write_resource(version: [u16; 4]) -> Result<PathBuf, Box<dyn Error>> {
    let directory = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    let path = Path::new(&directory).join("version.res");
    fs::write(&path, resource_file(&version_information(version)))?;
    Ok(path)
}

/// Wraps `data` into a resource file: an empty entry that marks the format, then the one entry
/// of type RT_VERSION. Microsoft Learn, "Resource file formats" and "RESOURCEHEADER".
fn resource_file(data: &[u8]) -> Vec<u8> {
    const RT_VERSION: u16 = 16;
    const VS_VERSION_INFO_ID: u16 = 1;
    const LANGUAGE_EN_US: u16 = 0x0409;

    let mut file = resource_header(0, 0, 0, 0);
    file.extend(resource_header(
        data.len(),
        RT_VERSION,
        VS_VERSION_INFO_ID,
        LANGUAGE_EN_US,
    ));
    file.extend(data);
    file.resize(file.len().next_multiple_of(4), 0);
    file
}

/// A RESOURCEHEADER whose type and name are numbers.
fn resource_header(data_size: usize, kind: u16, name: u16, language: u16) -> Vec<u8> {
    const HEADER_SIZE: u32 = 32;
    const IS_A_NUMBER: u16 = 0xFFFF;

    let mut header = Vec::new();
    header.extend((data_size as u32).to_le_bytes());
    header.extend(HEADER_SIZE.to_le_bytes());
    for word in [IS_A_NUMBER, kind, IS_A_NUMBER, name] {
        header.extend(word.to_le_bytes());
    }
    header.extend(0_u32.to_le_bytes()); // DataVersion
    header.extend(0_u16.to_le_bytes()); // MemoryFlags, ignored since 16-bit Windows
    header.extend(language.to_le_bytes());
    header.extend([0; 8]); // Version, Characteristics
    header
}

/// The VS_VERSIONINFO tree. Microsoft Learn, "VS_VERSIONINFO structure".
fn version_information(version: [u16; 4]) -> Vec<u8> {
    const EN_US_UTF16: [u8; 4] = [0x09, 0x04, 0xB0, 0x04];

    let dotted = version.map(|number| number.to_string()).join(".");
    let strings = [
        ("CompanyName", "The NetKVM failover project authors"),
        (
            "FileDescription",
            "VirtIO network adapter with failover to an SR-IOV VF",
        ),
        ("FileVersion", &dotted),
        ("InternalName", "netkvm"),
        ("LegalCopyright", "BSD-3-Clause"),
        ("OriginalFilename", "netkvm.sys"),
        ("ProductName", "NetKVM failover"),
        ("ProductVersion", &dotted),
    ]
    .map(|(key, value)| text_node(key, value));
    let table = node("040904B0", &[], 0, 1, &strings);
    let string_info = node("StringFileInfo", &[], 0, 1, &[table]);
    let translation = node("Translation", &EN_US_UTF16, 4, 0, &[]);
    let var_info = node("VarFileInfo", &[], 0, 1, &[translation]);
    let fixed = fixed_information(version);
    node(
        "VS_VERSION_INFO",
        &fixed,
        fixed.len(),
        0,
        &[string_info, var_info],
    )
}

/// VS_FIXEDFILEINFO of a network driver. Microsoft Learn, "VS_FIXEDFILEINFO structure".
fn fixed_information([a, b, c, d]: [u16; 4]) -> Vec<u8> {
    const SIGNATURE: u32 = 0xFEEF_04BD;
    const STRUCTURE_VERSION: u32 = 0x0001_0000;
    const FLAGS_MASK: u32 = 0x3F;
    const VOS_NT_WINDOWS32: u32 = 0x0004_0004;
    const VFT_DRV: u32 = 3;
    const VFT2_DRV_NETWORK: u32 = 6;

    let high = u32::from(a) << 16 | u32::from(b);
    let low = u32::from(c) << 16 | u32::from(d);
    let words = [
        SIGNATURE,
        STRUCTURE_VERSION,
        high, // file version
        low,
        high, // product version
        low,
        FLAGS_MASK,
        0, // flags: neither debug, nor prerelease, nor private
        VOS_NT_WINDOWS32,
        VFT_DRV,
        VFT2_DRV_NETWORK,
        0, // date
        0,
    ];
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

fn text_node(key: &str, value: &str) -> Vec<u8> {
    let text = zero_terminated(value);
    node(key, &text, text.len() / 2, 1, &[])
}

/// One node of the tree: length, length of the value, its kind (1 = text), key, value, children.
/// Value and children start at multiples of four bytes. `value_length` counts bytes, or UTF-16
/// units if the value is text.
fn node(key: &str, value: &[u8], value_length: usize, kind: u16, children: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; 2];
    bytes.extend((value_length as u16).to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(zero_terminated(key));
    for part in std::iter::once(value).chain(children.iter().map(Vec::as_slice)) {
        if !part.is_empty() {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(part);
        }
    }
    let length = bytes.len() as u16;
    bytes[..2].copy_from_slice(&length.to_le_bytes());
    bytes
}

fn zero_terminated(text: &str) -> Vec<u8> {
    text.encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect()
}
