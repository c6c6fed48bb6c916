//! Packages that third parties have added to the system.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use windows::Win32::Devices::DeviceAndDriverInstallation::{
    SP_COPY_STYLE, SPOST_PATH, SUOI_FORCEDELETE, SetupCopyOEMInfW, SetupUninstallOEMInfW,
};
use windows::Win32::Foundation::ERROR_INVALID_DATA;
use windows::core::{Error, HSTRING, PCWSTR, PWSTR, Result};

use crate::failure::Trouble;
use crate::inf::{Package, decode};
use crate::version::Version;

/// The longest path that the function knows.
const MAX_PATH: usize = 260;

fn folder() -> PathBuf {
    let windows = env::var_os("SystemRoot").unwrap_or_else(|| r"C:\Windows".into());
    PathBuf::from(windows).join("inf")
}

/// The `oem*.inf` files that install VIOPROT, each with its version; and a `vioprot.inf`, as systems
/// have it that do not rename what they take in.
///
/// # Errors
///
/// The folder can't be read. A file that can't be is none of ours.
pub(super) fn packages() -> std::result::Result<Vec<(String, Version)>, Trouble> {
    let entries = fs::read_dir(folder()).map_err(|error| Trouble {
        what: "reading the folder of INFs failed".into(),
        reason: error.to_string(),
    })?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<(String, Version)> = names.filter_map(package).collect();
    found.sort();
    Ok(found)
}

fn package(name: String) -> Option<(String, Version)> {
    let lower = name.to_ascii_lowercase();
    let is_published = lower.starts_with("oem") && lower.ends_with(".inf");
    if !is_published && lower != "vioprot.inf" {
        return None;
    }
    let bytes = fs::read(folder().join(&name)).ok()?;
    let package = Package::read(&decode(&bytes)).ok()?;
    Some((name, package.version))
}

/// Adds the package of `inf` to the system; the name that its INF has there. A package that is there
/// already keeps its name.
pub(super) fn stage(inf: &Path) -> Result<String> {
    let inf = std::path::absolute(inf).unwrap_or_else(|_| inf.to_path_buf());
    let source = HSTRING::from(inf.as_path());
    let folder = HSTRING::from(inf.parent().unwrap_or(&inf));
    let mut target = [0u16; MAX_PATH];
    let mut name = PWSTR::null();
    // SAFETY: the strings outlive the call, the buffer has the size that is said, and `name` is a place
    // for a pointer into it.
    unsafe {
        SetupCopyOEMInfW(
            &source,
            &folder,
            SPOST_PATH,
            SP_COPY_STYLE(0),
            Some(&mut target),
            None,
            Some(&raw mut name),
        )
    }?;
    let end = target.iter().position(|unit| *unit == 0);
    let target =
        String::from_utf16_lossy(target.get(..end.unwrap_or(MAX_PATH)).unwrap_or_default());
    let name = target
        .rsplit(['\\', '/'])
        .next()
        .filter(|name| !name.is_empty());
    name.map(str::to_owned)
        .ok_or_else(|| Error::from_hresult(ERROR_INVALID_DATA.to_hresult()))
}

/// Takes a package out of the system, used or not.
pub(super) fn unstage(name: &str) -> Result<()> {
    let name = HSTRING::from(name);
    // SAFETY: the name outlives the call; the last argument is reserved.
    unsafe { SetupUninstallOEMInfW(PCWSTR(name.as_ptr()), SUOI_FORCEDELETE, None) }.ok()
}
