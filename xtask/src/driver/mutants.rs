//! Deliberate faults. Each is a `cfg(mutant = "name")` in the sources of the driver; the test
//! suite builds every one of them and expects the judge to name the rule that it breaks.
//!
//! A variable of the environment tells the build script of the crate that has it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::listed;
use crate::lints::KERNEL;
use crate::workspace::Workspace;

/// Cargo's target folder for all mutants.
pub(super) const CARGO_FOLDER: &str = ".cargo";

/// Where mutants are built and put: `<folder>/<name>/<arch>/netkvm.sys`.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("mutants")
}

/// The mutants that the driver's sources name, each with the one package that does.
///
/// # Errors
///
/// A source file can't be read, or two packages name the same.
pub(crate) fn find(workspace: &Workspace) -> Result<BTreeMap<String, &'static str>> {
    let mut found = BTreeMap::new();
    for package in workspace.packages.iter() {
        let Some(name) = KERNEL.into_iter().find(|name| *name == package.name) else {
            continue;
        };
        for file in package.rust_files()? {
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            for mutant in names_in(&text) {
                let other = found.insert(mutant.clone(), name);
                if let Some(other) = other.filter(|other| *other != name) {
                    bail!("mutant `{mutant}` is in {name} and in {other}");
                }
            }
        }
    }
    Ok(found)
}

/// The variable that asks for a mutant of a package.
pub(super) fn variable(package: &str) -> String {
    format!("{}_MUTANT", package.to_uppercase().replace('-', "_"))
}

/// Resolves a name from the command line; `all` means every mutant there is.
///
/// # Errors
///
/// There is no such mutant, or a source file can't be read.
pub(crate) fn select_mutants(workspace: &Workspace, name: &str) -> Result<Vec<String>> {
    let known = find(workspace)?;
    if name == "all" {
        return Ok(in_order(known));
    }
    if !known.contains_key(name) {
        let known = known.into_keys().collect();
        bail!("no mutant `{name}`; there are: {}", listed(&known));
    }
    Ok(vec![name.to_owned()])
}

/// Those of one package together, which spares the compiler the way back and forth.
fn in_order(mutants: BTreeMap<String, &'static str>) -> Vec<String> {
    let mut names: Vec<_> = mutants.into_iter().collect();
    names.sort_by_key(|(_, package)| *package);
    names.into_iter().map(|(name, _)| name).collect()
}

/// Takes out the images of mutants that are not among `names`.
///
/// # Errors
///
/// The folder can't be changed.
pub(crate) fn remove_other_mutants(workspace: &Workspace, names: &[String]) -> Result<()> {
    let folder = folder(workspace);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let keep = name
            .to_str()
            .is_some_and(|name| name == CARGO_FOLDER || names.iter().any(|known| known == name));
        if !keep {
            fs::remove_dir_all(entry.path()).with_context(|| entry.path().display().to_string())?;
        }
    }
    Ok(())
}

/// Finds each `mutant = "name"` of a source text, however rustfmt spaced it.
fn names_in(text: &str) -> impl Iterator<Item = String> {
    text.split("mutant").skip(1).filter_map(|rest| {
        let value = rest
            .trim_start()
            .strip_prefix('=')?
            .trim_start()
            .strip_prefix('"')?;
        let (name, _) = value.split_once('"')?;
        Some(name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_every_spelling_of_the_condition() {
        let text = r#"
            #[cfg(not(mutant = "forgets-return"))]
            if !cfg!(mutant="leaks") { free() }
            // a mutant is a deliberate fault; mutant = unquoted
            #[cfg(any(mutant = "leaks", not(mutant
                = "late")))]
        "#;
        let found: Vec<_> = names_in(text).collect();
        assert_eq!(found, ["forgets-return", "leaks", "leaks", "late"]);
    }
}
