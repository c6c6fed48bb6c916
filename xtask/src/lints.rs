//! What the compiler does not check: who may depend on whom, shared lint settings, file length.

use std::fs;

use anyhow::{Context, Result};

use crate::keywords;
use crate::workspace::{Dependency, Package, Workspace};

/// A rule of the house.
pub(crate) struct Lint {
    pub(crate) name: &'static str,
    /// Lists what breaks the rule.
    pub(crate) find: fn(&Workspace) -> Result<Vec<String>>,
}

/// The rules.
pub(crate) const ALL: [Lint; 4] = [
    Lint {
        name: "layers",
        find: layers,
    },
    Lint {
        name: "lint settings",
        find: lint_settings,
    },
    Lint {
        name: "INF keywords",
        find: keywords::differences,
    },
    Lint {
        name: "file length",
        find: file_length,
    },
];

const MAX_LINES: usize = 500;

/// Each member with the members below it that it may use.
const LAYERS: [(&str, &[&str]); 24] = [
    ("ndis-sys", &[]),
    ("ndis", &["ndis-sys"]),
    ("virtio-net", &[]),
    ("control-device", &[]),
    ("vioprot", &["control-device", "ndis", "ndis-sys"]),
    (
        "netkvm",
        &[
            "control-device",
            "ndis",
            "ndis-sys",
            "vioprot",
            "virtio-net",
        ],
    ),
    ("netcfg", &["control-device"]),
    ("notify-object", &["control-device", "netcfg"]),
    ("netkvmp", &["control-device", "netcfg"]),
    ("netkvmco", &["netcfg"]),
    ("devices", &[]),
    ("ndis-host", &["devices", "ndis-sys"]),
    ("neighbours", &["devices", "ndis-host", "ndis-sys"]),
    (
        "scenarios",
        &[
            "control-device",
            "devices",
            "ndis-host",
            "ndis-sys",
            "neighbours",
        ],
    ),
    (
        "qemu-host",
        &["devices", "ndis-host", "neighbours", "scenarios"],
    ),
    ("ring-bench", &["virtio-net"]),
    ("light-protocol", &["ndis-sys"]),
    ("loopback-miniport", &["ndis-sys"]),
    ("control-stand-in", &["control-device", "ndis-sys"]),
    ("wine-engine", &["netcfg"]),
    ("wine-prng", &[]),
    ("wine-programs", &["netcfg"]),
    ("wine-host", &["control-device"]),
    ("xtask", &[]),
];

/// The crates of the kernel image.
pub(crate) const KERNEL: [&str; 6] = [
    "ndis-sys",
    "ndis",
    "virtio-net",
    "control-device",
    "vioprot",
    "netkvm",
];

/// What may enter the image from outside.
const KERNEL_MAY_USE: [&str; 4] = ["bitflags", "static_assertions", "virtio-spec", "zerocopy"];

fn layers(workspace: &Workspace) -> Result<Vec<String>> {
    let packages = workspace.packages.iter();
    Ok(packages
        .flat_map(|package| wrong_edges(workspace, package))
        .collect())
}

fn wrong_edges(workspace: &Workspace, package: &Package) -> Vec<String> {
    let name = package.name.as_str();
    let Some((_, below)) = LAYERS.iter().find(|(member, _)| *member == name) else {
        return vec![format!(
            "{name} has no place in the table of layers (xtask/src/lints.rs)"
        )];
    };
    let is_wrong = |dependency: &&Dependency| {
        let used = dependency.name.as_str();
        if workspace.has(used) {
            return !below.contains(&used);
        }
        let in_image = KERNEL.contains(&name) && dependency.kind.is_none();
        in_image && !KERNEL_MAY_USE.contains(&used)
    };
    let wrong = package.dependencies.iter().filter(is_wrong);
    wrong
        .map(|dependency| format!("{name} may not depend on {}", dependency.name))
        .collect()
}

fn lint_settings(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let manifest = fs::read_to_string(&package.manifest_path)
            .with_context(|| package.manifest_path.display().to_string())?;
        if !inherits_lints(&manifest) {
            findings.push(format!("{} lacks `[lints] workspace = true`", package.name));
        }
    }
    Ok(findings)
}

fn inherits_lints(manifest: &str) -> bool {
    let mut lines = manifest
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    lines.any(|line| line == "[lints]") && lines.next() == Some("workspace = true")
}

fn file_length(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        for file in package.rust_files()? {
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let lines = text.lines().count();
            if lines > MAX_LINES {
                let file = file.strip_prefix(&workspace.root).unwrap_or(&file);
                findings.push(format!("{} has {lines} lines", file.display()));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Edge = (&'static str, Option<&'static str>);

    /// `cargo metadata`, cut down: members with (dependency, kind).
    fn workspace(members: &[(&str, &[Edge])]) -> Workspace {
        let packages = members.iter().map(|(name, dependencies)| Package {
            name: (*name).into(),
            manifest_path: format!("/w/{name}/Cargo.toml").into(),
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency {
                    name: (*name).into(),
                    kind: kind.map(str::to_owned),
                })
                .collect(),
        });
        Workspace {
            root: "/w".into(),
            target: "/w/target".into(),
            packages: packages.collect(),
        }
    }

    #[test]
    fn an_arrow_that_points_up_is_found() {
        let workspace = workspace(&[
            ("netkvm", &[("vioprot", None), ("ndis", None)]),
            ("vioprot", &[("netkvm", Some("dev")), ("ndis", None)]),
            ("ndis", &[]),
        ]);
        assert_eq!(
            layers(&workspace).unwrap(),
            ["vioprot may not depend on netkvm"]
        );
    }

    #[test]
    fn the_image_takes_no_stranger_in_but_its_tests_may() {
        let workspace = workspace(&[
            ("virtio-net", &[("rand", None), ("proptest", Some("dev"))]),
            ("devices", &[("rand", None)]),
        ]);
        assert_eq!(
            layers(&workspace).unwrap(),
            ["virtio-net may not depend on rand"]
        );
    }

    #[test]
    fn a_new_member_has_to_be_given_a_place() {
        let findings = layers(&workspace(&[("helpers", &[])])).unwrap();
        assert_eq!(findings.len(), 1);
        assert!(findings[0].starts_with("helpers has no place"));
    }

    #[test]
    fn a_manifest_without_the_shared_lints_is_found() {
        assert!(inherits_lints("[package]\n\n[lints]\n\nworkspace = true\n"));
        assert!(!inherits_lints("[package]\nname = \"x\"\n"));
        assert!(!inherits_lints(
            "[lints]\n[dependencies]\nworkspace = true\n"
        ));
    }
}
