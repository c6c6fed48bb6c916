//! What cargo knows about the workspace: where it is, where it builds to, who depends on whom.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::tool::{self, Tool};

/// The part of `cargo metadata --no-deps` that the tasks use.
#[derive(Deserialize)]
pub(crate) struct Workspace {
    /// Folder of the workspace manifest.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// Where cargo builds to.
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    /// The members.
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a dependency table.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` is the normal kind; else "dev" or "build".
    pub(crate) kind: Option<String>,
}

impl Workspace {
    /// Asks cargo about the workspace that this program was built from.
    ///
    /// # Errors
    ///
    /// Cargo is missing, or does not accept the manifests.
    pub(crate) fn load() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        let output = Tool::cargo("metadata")
            .args(["--no-deps", "--format-version=1", "--manifest-path"])
            .arg(&manifest)
            .output()?;
        serde_json::from_str(&output).context("cargo metadata printed something unexpected")
    }

    /// Tells whether a member of that name exists.
    pub(crate) fn has(&self, package: &str) -> bool {
        self.packages.iter().any(|member| member.name == package)
    }

    /// A cargo command on this workspace.
    pub(crate) fn cargo(&self, verb: &str) -> Tool {
        Tool::cargo(verb)
            .arg("--manifest-path")
            .arg(self.root.join("Cargo.toml"))
    }
}

impl Package {
    /// The package's folder.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }

    /// All Rust files of the package.
    ///
    /// # Errors
    ///
    /// A folder can't be read.
    pub(crate) fn rust_files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder().to_path_buf()];
        while let Some(folder) = folders.pop() {
            let entries =
                fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))?;
            for entry in entries {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    files.push(path);
                }
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Makes sure that the toolchain has the standard library of `target`; fetches it if not.
///
/// # Errors
///
/// It is missing and rustup is, too, or rustup fails.
pub(crate) fn require_target(target: &str) -> Result<()> {
    let folder = Tool::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .output();
    if folder.is_ok_and(|folder| Path::new(folder.trim()).is_dir()) {
        return Ok(());
    }
    tool::rustup(&["target", "add", target])
}

/// Makes sure that `cargo <command>` exists; fetches the component of the toolchain if not.
///
/// # Errors
///
/// It is missing and rustup is, too, or rustup fails.
pub(crate) fn require_component(command: &str, component: &str) -> Result<()> {
    if Tool::cargo(command).arg("--version").output().is_ok() {
        return Ok(());
    }
    tool::rustup(&["component", "add", component])
}
