//! What can go wrong, in words for the administrator, and the exit codes.

use std::path::PathBuf;

use thiserror::Error;

use crate::version::Version;

/// A call of the system failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what}: {reason}")]
pub(crate) struct Trouble {
    /// What was tried.
    pub(crate) what: String,
    /// What the system said.
    pub(crate) reason: String,
}

/// Why a command failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The process lacks administrator rights.
    #[error(
        "administrator rights are needed: start netkvmp from a command prompt that was opened with \"Run as administrator\""
    )]
    NotElevated,
    /// There is no INF.
    #[error("{} does not exist; give the place of vioprot.inf with --inf", .0.display())]
    InfMissing(PathBuf),
    /// The INF can't be used.
    #[error("{} can't be used: {reason}", path.display())]
    InfBad {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else holds the write lock.
    #[error(
        "the network configuration is being changed by {}; close that program, or wait until it is done, and try again",
        holder(.0)
    )]
    Locked(String),
    /// A newer version is there.
    #[error(
        "version {installed:#} is installed, and the INF has {offered:#}, which is older; to go back to that, run \"netkvmp uninstall\" first"
    )]
    Older {
        /// In force.
        installed: Version,
        /// In the INF.
        offered: Version,
    },
    /// Another's component has the name of ours.
    #[error(
        "the component VIOPROT that is installed belongs to the service \"{0}\", which is not this package's; remove it with the program that installed it, and try again. Nothing has been changed"
    )]
    Foreign(String),
    /// Nothing has changed.
    #[error("{0}. Nothing has been changed")]
    Unchanged(Trouble),
    /// Changes were made, and taken back.
    #[error("{first}. All changes have been undone{}", if *reboot { "; restart Windows to complete that" } else { "" })]
    Undone {
        /// The reason.
        first: Trouble,
        /// That takes effect with the next start.
        reboot: bool,
    },
    /// Changes were made, and some stay.
    #[error(
        "{first}. Not everything could be undone: {then}. {} \"netkvmp uninstall\" to clean up",
        run(*reboot)
    )]
    Stuck {
        /// The reason.
        first: Trouble,
        /// What went wrong on the way back.
        then: Trouble,
        /// What was done takes effect with the next start.
        reboot: bool,
    },
    /// Removed, but for a rest.
    #[error(
        "the protocol is removed, but not all of its traces: {trouble}. {} \"netkvmp uninstall\" again",
        run(*reboot)
    )]
    Rest {
        /// What stays.
        trouble: Trouble,
        /// The removal takes effect with the next start.
        reboot: bool,
    },
}

impl Failure {
    /// The exit code of the program.
    pub(crate) fn exit_code(&self) -> u32 {
        match self {
            Self::Unchanged(_) | Self::Undone { .. } => 1,
            Self::NotElevated => 4,
            Self::InfMissing(_) => 5,
            Self::InfBad { .. } => 6,
            Self::Locked(_) => 7,
            Self::Stuck { .. } | Self::Rest { .. } => 8,
            Self::Older { .. } => 9,
            Self::Foreign(_) => 10,
        }
    }

    /// Whether what was done, or the way back, takes effect with the next start of Windows only.
    pub(crate) fn needs_reboot(&self) -> bool {
        match self {
            Self::Undone { reboot, .. }
            | Self::Stuck { reboot, .. }
            | Self::Rest { reboot, .. } => *reboot,
            // Nothing has been done.
            Self::NotElevated
            | Self::InfMissing(_)
            | Self::InfBad { .. }
            | Self::Locked(_)
            | Self::Older { .. }
            | Self::Foreign(_)
            | Self::Unchanged(_) => false,
        }
    }
}

/// How to begin the advice to run something.
fn run(reboot: bool) -> &'static str {
    if reboot {
        "Restart Windows, then run"
    } else {
        "Run"
    }
}

/// Who holds the lock; not everybody gives a name.
fn holder(name: &str) -> String {
    if name.is_empty() {
        return "another program".into();
    }
    format!("\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_without_a_name_is_another_program() {
        let told = |name: &str| Failure::Locked(name.into()).to_string();
        assert!(told("").contains("changed by another program;"));
        assert!(told("Setup").contains("changed by \"Setup\";"));
    }
}
