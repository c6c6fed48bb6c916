//! What can go wrong, in words for the administrator, and the exit codes.

use std::path::PathBuf;

use thiserror::Error;

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
    /// Another version is there.
    #[error(
        "version {installed} is installed, and the INF is version {offered}; run \"netkvmp uninstall\" first"
    )]
    OtherVersion {
        /// In the driver store.
        installed: String,
        /// In the INF.
        offered: String,
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
        /// The way back takes effect with the next start.
        reboot: bool,
    },
    /// Changes were made, and some stay.
    #[error(
        "{first}. Not everything could be undone: {then}. Run \"netkvmp uninstall\" to clean up"
    )]
    Stuck {
        /// The reason.
        first: Trouble,
        /// What went wrong on the way back.
        then: Trouble,
    },
    /// Removed, but for a rest.
    #[error(
        "the protocol is removed, but not all of its traces: {0}. Run \"netkvmp uninstall\" again"
    )]
    Rest(Trouble),
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
            Self::Stuck { .. } | Self::Rest(_) => 8,
            Self::OtherVersion { .. } => 9,
            Self::Foreign(_) => 10,
        }
    }

    /// Whether Windows has to be restarted for the way back.
    pub(crate) fn needs_reboot(&self) -> bool {
        matches!(self, Self::Undone { reboot: true, .. })
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
