//! Small drivers that are not netkvm, for the test host and Wine to load.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Arch, checksum, lock, remapped_paths, replace, require_linker};
use crate::workspace::{self, Workspace};

/// Such a driver.
pub(crate) struct TestDriver {
    pub(crate) package: &'static str,
    /// Name of the image.
    pub(crate) image: &'static str,
}

/// The stand-in for netkvm's control device, for Wine.
pub(crate) const CONTROL_STAND_IN: TestDriver = TestDriver {
    package: "control-stand-in",
    image: "control.sys",
};

/// All of them.
pub(crate) const ALL: [TestDriver; 3] = [
    TestDriver {
        package: "light-protocol",
        image: "lightproto.sys",
    },
    TestDriver {
        package: "loopback-miniport",
        image: "loopback.sys",
    },
    CONTROL_STAND_IN,
];

/// What makes a DLL a kernel driver. Microsoft Learn, "MSVC linker options", has each switch.
const LINKER_SWITCHES: [&str; 6] = [
    "/SUBSYSTEM:NATIVE",
    "/DRIVER",
    "/NODEFAULTLIB",
    "/ENTRY:DriverEntry",
    "/DYNAMICBASE",
    "/OPT:REF,ICF",
];

/// Where the images are put.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("test-drivers")
}

/// Builds one for this machine's architecture, and sets its checksum.
///
/// # Errors
///
/// A part of the toolchain is missing and can't be added, or the driver does not compile or link.
pub(crate) fn build(workspace: &Workspace, driver: &TestDriver) -> Result<PathBuf> {
    let arch = Arch::X86_64;
    workspace::require_target(arch.target())?;
    require_linker()?;
    // Cargo's lock ends with cargo; the artefact must not be replaced before it is copied.
    let lock = lock(&workspace.target)?;
    let folder = folder(workspace);
    let cargo_folder = folder.join(".cargo");
    let mut flags = remapped_paths(workspace);
    flags.extend(LINKER_SWITCHES.map(|switch| format!("-Clink-arg={switch}")));
    workspace
        .cargo("build")
        .args(["--release", "--quiet", "--package", driver.package])
        .args(["--target", arch.target()])
        .arg("--target-dir")
        .arg(&cargo_folder)
        .env(arch.linker_variable(), "rust-lld")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .run()?;
    let linked = format!("{}.dll", driver.package.replace('-', "_"));
    let linked = cargo_folder
        .join(arch.target())
        .join("release")
        .join(linked);
    let mut bytes = fs::read(&linked).with_context(|| linked.display().to_string())?;
    checksum::set(&mut bytes).context("the linker's output has no PE header")?;
    let image = folder.join(driver.image);
    replace(&image, &bytes)?;
    drop(lock);
    Ok(image)
}
