//! Versions: what the INF declares, and what the version resource of an image says.

use std::path::Path;
use std::{fmt, fs};

use anyhow::{Context, Result};
use object::LittleEndian as LE;
use object::pe::RT_VERSION;
use object::read::pe::{ResourceDirectory, ResourceDirectoryEntryData};

/// Four numbers, as `DriverVer` and VS_FIXEDFILEINFO have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version(pub(super) [u16; 4]);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{a}.{b}.{c}.{d}")
    }
}

/// The fields of VS_FIXEDFILEINFO that matter for a driver.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FixedInfo {
    pub(super) file_version: Version,
    pub(super) file_type: u32,
    pub(super) file_subtype: u32,
}

/// Reads the version of `DriverVer = <date>, <version>` from an INF.
///
/// # Errors
///
/// The file can't be read, or has no such line.
pub(super) fn of_inf(path: &Path) -> Result<Version> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    of_inf_text(&String::from_utf8_lossy(&bytes))
        .with_context(|| format!("{}: no DriverVer with a version", path.display()))
}

fn of_inf_text(text: &str) -> Option<Version> {
    let line = text
        .lines()
        .find(|line| line.trim_start().to_lowercase().starts_with("driverver"))?;
    let value = line
        .split(';')
        .next()?
        .split_once('=')?
        .1
        .split_once(',')?
        .1;
    let numbers: Option<Vec<u16>> = value
        .trim()
        .split('.')
        .map(|number| number.parse().ok())
        .collect();
    Some(Version(numbers?.try_into().ok()?))
}

/// Walks type, name and language of the resource tree to the version resource; returns its RVA
/// and size.
pub(super) fn locate(resources: ResourceDirectory<'_>) -> Option<(u32, u32)> {
    let types = resources.root().ok()?;
    let entry = types.entries.iter().find(|entry| {
        entry
            .name_or_id()
            .id()
            .is_some_and(|id| u32::from(id) == u32::from(RT_VERSION))
    })?;
    let ResourceDirectoryEntryData::Table(names) = entry.data(resources).ok()? else {
        return None;
    };
    let name = names.entries.first()?;
    let ResourceDirectoryEntryData::Table(languages) = name.data(resources).ok()? else {
        return None;
    };
    let ResourceDirectoryEntryData::Data(data) = languages.entries.first()?.data(resources).ok()?
    else {
        return None;
    };
    Some((data.offset_to_data.get(LE), data.size.get(LE)))
}

/// Decodes the head of VS_VERSIONINFO.
pub(super) fn fixed_info(resource: &[u8]) -> Option<FixedInfo> {
    const SIGNATURE: u32 = 0xFEEF_04BD;
    /// Length, value length and type, the key "VS_VERSION_INFO" with its zero, padding.
    const FIXED_INFO: usize = 40;

    let word = |index: usize| {
        let at = FIXED_INFO + 4 * index;
        Some(u32::from_le_bytes(
            resource.get(at..at + 4)?.try_into().ok()?,
        ))
    };
    if word(0)? != SIGNATURE {
        return None;
    }
    let halves = |dword: u32| [(dword >> 16) as u16, dword as u16];
    let ([a, b], [c, d]) = (halves(word(2)?), halves(word(3)?));
    Some(FixedInfo {
        file_version: Version([a, b, c, d]),
        file_type: word(9)?,
        file_subtype: word(10)?,
    })
}

/// Tells whether the version resource has this string under this key.
pub(super) fn has_string(resource: &[u8], key: &str, value: &str) -> bool {
    let utf16 = |text: &str| {
        text.encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>()
    };
    let (key, value) = (utf16(&format!("{key}\0")), utf16(&format!("{value}\0")));
    let Some(at) = resource.windows(key.len()).position(|window| window == key) else {
        return false;
    };
    let after_key = (at + key.len()).next_multiple_of(4);
    resource
        .get(after_key..)
        .is_some_and(|rest| rest.starts_with(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_comes_after_the_date() {
        let inf =
            "[Version]\r\nClass = Net ; DriverVer\r\nDriverVer=01/31/2026,100.2.0.65535 ; x\r\n";
        assert_eq!(of_inf_text(inf), Some(Version([100, 2, 0, 65535])));
    }

    #[test]
    fn a_version_out_of_range_or_incomplete_is_refused() {
        assert_eq!(of_inf_text("DriverVer = 01/31/2026, 1.2.3.65536"), None);
        assert_eq!(of_inf_text("DriverVer = 01/31/2026, 1.2.3"), None);
        assert_eq!(of_inf_text("DriverVer = 01/31/2026"), None);
        assert_eq!(of_inf_text("[Version]"), None);
    }

    #[test]
    fn a_resource_without_the_signature_has_no_fixed_info() {
        assert_eq!(fixed_info(&[0; 92]), None);
        assert_eq!(fixed_info(&[]), None);
    }
}
