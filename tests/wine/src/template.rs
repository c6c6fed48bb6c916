//! The prefix that all others are copies of.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::built;
use crate::machine::wine;

/// Wine's registry, which each copy needs for itself.
const REGISTRY: [&str; 4] = ["system.reg", "user.reg", "userdef.reg", ".update-timestamp"];

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

/// Makes the template unless it is there. Only one process at a time does.
fn make() -> Result<PathBuf> {
    let folder = built::target().join("wine");
    fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let template = folder.join("template");
    if template.exists() {
        return Ok(template);
    }
    let draft = folder.join("draft");
    if draft.exists() {
        fs::remove_dir_all(&draft)?;
    }
    run(wine(&draft).args(["wineboot", "--init"])).context("making a Wine prefix")?;
    let prng = built::file("release", "bcryptprimitives.dll")?;
    let system = draft.join("drive_c/windows/system32");
    fs::copy(prng, system.join("bcryptprimitives.dll"))?;
    fs::write(draft.join("drive_c/engine.reg"), ENGINE)?;
    run(wine(&draft).args(["regedit", "/S", r"C:\engine.reg"]))?;
    run(Command::new("wineserver")
        .arg("--wait")
        .env("WINEPREFIX", &draft))?;
    fs::rename(&draft, &template)?;
    Ok(template)
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
