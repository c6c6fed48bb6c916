//! Building netkvm.sys: cargo and rust-lld link it, then it gets its checksum and is inspected.
//!
//! The shipped image comes out of cargo's own target folder; images with a deliberate fault
//! ("mutants") are built in a folder of their own, so that neither can be taken for the other.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::lints::KERNEL;
use crate::tool::Tool;
use crate::workspace::{self, Workspace};

mod checksum;
mod image;
mod mutants;
pub(crate) mod test_drivers;
mod version;

pub(crate) use mutants::{folder as mutants_folder, remove_other_mutants, select_mutants};

/// The package of the driver.
pub(crate) const PACKAGE: &str = "netkvm";

/// A processor architecture that the driver is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    #[value(name = "x86_64")]
    X86_64,
    #[value(name = "aarch64")]
    Aarch64,
}

impl Arch {
    pub(crate) const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// The architecture's name, as folders and reports have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// The compiler's target.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-pc-windows-msvc",
            Self::Aarch64 => "aarch64-pc-windows-msvc",
        }
    }

    fn linker_variable(self) -> String {
        let target = self.target().to_uppercase().replace('-', "_");
        format!("CARGO_TARGET_{target}_LINKER")
    }
}

/// One architecture, or all.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Selection {
    #[value(name = "x86_64")]
    X86_64,
    #[value(name = "aarch64")]
    Aarch64,
    All,
}

impl Selection {
    pub(crate) fn archs(self) -> &'static [Arch] {
        match self {
            Self::X86_64 => &[Arch::X86_64],
            Self::Aarch64 => &[Arch::Aarch64],
            Self::All => &Arch::ALL,
        }
    }
}

/// What to build.
pub(crate) struct BuildArgs {
    pub(crate) arch: Arch,
    /// Folder for `<arch>/netkvm.sys`; `None` is the usual one.
    pub(crate) out: Option<PathBuf>,
    /// Name of the deliberate fault to build in.
    pub(crate) mutant: Option<String>,
    /// Keeps cargo's progress off the terminal.
    pub(crate) quiet: bool,
}

/// What was built.
pub(crate) struct Built {
    pub(crate) sys: PathBuf,
    /// One line for people: version, size, imports, checksum.
    pub(crate) summary: String,
}

/// Builds one image; quick if cargo finds nothing changed.
///
/// # Errors
///
/// A part of the toolchain is missing and can't be added, the driver does not compile or link, or
/// the image isn't what a kernel driver has to be.
pub(crate) fn build(workspace: &Workspace, args: &BuildArgs) -> Result<Built> {
    workspace::require_target(args.arch.target())?;
    require_linker()?;

    // Cargo's lock ends with cargo; the artefact must not be replaced before it is copied.
    let lock = lock(&workspace.target)?;
    let linked = link(workspace, args)?;
    let built = finish(workspace, args, &linked);
    drop(lock);
    built
}

fn lock(target: &Path) -> Result<File> {
    fs::create_dir_all(target)?;
    let path = target.join(".netkvm-build-lock");
    let lock = File::create(&path).with_context(|| path.display().to_string())?;
    lock.lock().with_context(|| path.display().to_string())?;
    Ok(lock)
}

/// Runs cargo; returns the path of the linked image.
fn link(workspace: &Workspace, args: &BuildArgs) -> Result<PathBuf> {
    let target = args.arch.target();
    let mut folder = workspace.target.clone();
    let mut flags = remapped_paths(workspace);
    let mut cargo = workspace
        .cargo("build")
        .args(["--release", "--package", PACKAGE, "--target", target])
        .env(args.arch.linker_variable(), "rust-lld");
    if args.quiet {
        cargo = cargo.arg("--quiet");
    }
    for package in KERNEL {
        cargo = cargo.env_remove(mutants::variable(package));
    }
    if let Some(name) = &args.mutant {
        let package = mutants::find(workspace)?.remove(name);
        let package = package.with_context(|| format!("no mutant `{name}`"))?;
        folder = mutants_folder(workspace).join(mutants::CARGO_FOLDER);
        // A fault may leave a variable unused. Quick to build matters more than quick to run.
        flags.push("--cap-lints=allow".into());
        cargo = cargo
            .env(mutants::variable(package), name)
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only");
    }
    cargo
        .arg("--target-dir")
        .arg(&folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .run()?;
    Ok(folder.join(target).join("release").join("netkvm.dll"))
}

/// Keeps the paths of the build machine out of the image, where panic messages would put them.
fn remapped_paths(workspace: &Workspace) -> Vec<String> {
    let mut flags = vec![format!(
        "--remap-path-prefix={}=.",
        workspace.root.display()
    )];
    if let Some(home) = cargo_home() {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    flags
}

fn cargo_home() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(std::env::home_dir()?.join(".cargo")))
}

/// Puts the image and its symbols into their folder: checksum set, inspected.
fn finish(workspace: &Workspace, args: &BuildArgs, linked: &Path) -> Result<Built> {
    let mut bytes = fs::read(linked).with_context(|| linked.display().to_string())?;
    checksum::set(&mut bytes).context("the linker's output has no PE header")?;
    let pdb = fs::read(linked.with_extension("pdb")).context("netkvm.pdb")?;

    let expected = image::Expected {
        arch: args.arch,
        version: version::of_inf(&workspace.root.join("inf/netkvm.inf"))?,
        pdb: &pdb,
        foreign_paths: [Some(workspace.root.clone()), cargo_home()]
            .into_iter()
            .flatten()
            .collect(),
    };
    let facts = image::inspect(&bytes, &expected)?;

    let folder = output_folder(workspace, args).join(args.arch.name());
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    replace(&folder.join("netkvm.pdb"), &pdb)?;
    let sys = folder.join("netkvm.sys");
    replace(&sys, &bytes)?;
    Ok(Built {
        sys,
        summary: facts.to_string(),
    })
}

fn output_folder(workspace: &Workspace, args: &BuildArgs) -> PathBuf {
    match (&args.out, &args.mutant) {
        (Some(out), _) => out.clone(),
        (None, None) => workspace.target.join("driver"),
        (None, Some(name)) => mutants_folder(workspace).join(name),
    }
}

/// Writes a file in one step, so that a reader sees the old contents or the new ones.
fn replace(path: &Path, contents: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, contents).with_context(|| new.display().to_string())?;
    fs::rename(&new, path).with_context(|| path.display().to_string())
}

fn require_linker() -> Result<()> {
    let libraries = Tool::new("rustc")
        .args(["--print", "target-libdir"])
        .output()?;
    let linker = format!("rust-lld{}", std::env::consts::EXE_SUFFIX);
    let path = Path::new(libraries.trim())
        .with_file_name("bin")
        .join(linker);
    if !path.is_file() {
        bail!(
            "this toolchain comes without rust-lld ({} is missing); \
             install rustup (https://rustup.rs) and run: rustup toolchain install stable",
            path.display()
        );
    }
    Ok(())
}

/// The names that are there, for a message.
fn listed(names: &BTreeSet<String>) -> String {
    names
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
