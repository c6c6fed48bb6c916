//! The prefix that all others are copies of.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::built;
use crate::machine::wine;

/// Wine's registry, which each copy needs for itself.
const REGISTRY: [&str; 4] = ["system.reg", "user.reg", "userdef.reg", ".update-timestamp"];

/// What a template is made of, by its place there.
const SYSTEM_PRNG: &str = "drive_c/windows/system32/bcryptprimitives.dll";
const REGISTRATION: &str = "drive_c/engine.reg";
const VERSION: &str = "wine.version";

/// What makes the engine known to COM, and lets it be told what to do.
const ENGINE: &str = r#"REGEDIT4

[HKEY_LOCAL_MACHINE\Software\Classes\CLSID\{5B035261-40F9-11D1-AAEC-00805FC1270E}\InprocServer32]
@="netcfg_engine.dll"
"ThreadingModel"="Both"

[HKEY_LOCAL_MACHINE\Software\NetcfgStandIn]
"Log"="C:\\netcfg.log"
"Store"="C:\\store"
"#;

/// Copies the template to `place`, which does not exist yet.
///
/// # Errors
///
/// Wine is missing, or there is no room.
pub(crate) fn copy(place: &Path) -> Result<()> {
    let template = make()?;
    run(Command::new("cp")
        .arg("--archive")
        .arg("--link")
        .arg(&template)
        .arg(place))?;
    for name in REGISTRY {
        let copy = place.join(name);
        fs::remove_file(&copy)?;
        fs::copy(template.join(name), copy)?;
    }
    Ok(())
}

/// Makes the template unless it is there and current. Only one process at a time does.
fn make() -> Result<PathBuf> {
    let folder = built::target().join("wine");
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let template = folder.join("template");
    let prng = built::file("release", "bcryptprimitives.dll")?;
    let inputs = [
        (SYSTEM_PRNG, fs::read(&prng)?),
        (REGISTRATION, ENGINE.into()),
        (VERSION, version()?),
    ];
    if is_current(&template, &inputs) {
        return Ok(template);
    }
    if template.exists() {
        fs::remove_dir_all(&template)?;
    }
    let draft = folder.join("draft");
    if draft.exists() {
        fs::remove_dir_all(&draft)?;
    }
    run(wine(&draft).args(["wineboot", "--init"])).context("making a Wine prefix")?;
    for (place, content) in &inputs {
        let place = draft.join(place);
        // Wine may have a file of its own there.
        if place.exists() {
            fs::remove_file(&place)?;
        }
        fs::write(place, content)?;
    }
    run(wine(&draft).args(["regedit", "/S", r"C:\engine.reg"]))?;
    run(Command::new("wineserver")
        .arg("--wait")
        .env("WINEPREFIX", &draft))?;
    fs::rename(&draft, &template)?;
    Ok(template)
}

/// Tells whether a template has been made of these files.
fn is_current(template: &Path, inputs: &[(&str, Vec<u8>)]) -> bool {
    inputs.iter().all(|(place, content)| {
        let made_of = fs::read(template.join(place));
        made_of.is_ok_and(|made_of| made_of == *content)
    })
}

/// What Wine says of itself.
fn version() -> Result<Vec<u8>> {
    let told = Command::new("wine").arg("--version").output();
    Ok(told.context("wine")?.stdout)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_of_other_files_is_not_current() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let of = |content: &str| [("one", content.into()), ("two", b"2".to_vec())];
        assert!(!is_current(folder.path(), &of("1")));
        fs::write(folder.path().join("one"), "1")?;
        fs::write(folder.path().join("two"), "2")?;
        assert!(is_current(folder.path(), &of("1")));
        assert!(!is_current(folder.path(), &of("other")));
        Ok(())
    }
}
