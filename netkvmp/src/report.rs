//! What a command tells, as text or as JSON.

use serde::Serialize;

use crate::pairs::Pair;

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub(crate) enum Report {
    /// The protocol has been installed.
    Installed {
        /// Of the package.
        version: String,
        /// The name of its INF in the system.
        inf: String,
        /// It takes effect with the next start.
        reboot: bool,
    },
    /// It was there.
    AlreadyInstalled {
        /// Of the package.
        version: String,
    },
    /// The protocol has been removed.
    Removed {
        /// What was removed.
        removed: Vec<String>,
        /// It takes effect with the next start.
        reboot: bool,
    },
    /// It was not there.
    NothingInstalled,
    /// What would be done.
    Plan {
        /// In this order.
        steps: Vec<String>,
    },
    /// What there is.
    Status(Status),
}

/// What `query` finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Status {
    /// One of: installed, not installed, incomplete.
    pub(crate) protocol: String,
    /// The packages in the system: INF and version.
    pub(crate) packages: Vec<(String, String)>,
    /// What the driver says of itself, or why it says nothing.
    pub(crate) driver: String,
    /// The NetKVM adapters.
    pub(crate) adapters: Vec<Pair>,
}

impl Report {
    /// The exit code of the program.
    pub(crate) fn exit_code(&self) -> u32 {
        match self {
            Self::Installed { reboot: true, .. } | Self::Removed { reboot: true, .. } => 3010,
            _ => 0,
        }
    }

    /// Lines for people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Installed {
                version,
                inf,
                reboot,
            } => {
                format!(
                    "VIOPROT {version} is installed ({inf}).{}",
                    restart(*reboot)
                )
            }
            Self::AlreadyInstalled { version } => {
                format!("VIOPROT {version} is installed already. Nothing to do.")
            }
            Self::Removed { removed, reboot } => {
                format!("Removed: {}.{}", removed.join(", "), restart(*reboot))
            }
            Self::NothingInstalled => "VIOPROT is not installed. Nothing to do.".into(),
            Self::Plan { steps } => {
                let lines: Vec<String> = steps.iter().map(|step| format!("would {step}")).collect();
                lines.join("\n")
            }
            Self::Status(status) => status.text(),
        }
    }
}

fn restart(reboot: bool) -> &'static str {
    if reboot {
        " Restart Windows to complete it."
    } else {
        " No restart is needed."
    }
}

impl Status {
    fn text(&self) -> String {
        let mut lines = vec![format!("Protocol:  {}", self.protocol)];
        for (inf, version) in &self.packages {
            lines.push(format!("Package:   {version} ({inf})"));
        }
        lines.push(format!("Driver:    {}", self.driver));
        if self.adapters.is_empty() {
            lines.push("Adapters:  no NetKVM adapter".into());
        }
        lines.extend(self.adapters.iter().map(Pair::text));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_has_its_own_exit_code() {
        let installed = |reboot| Report::Installed {
            version: "1".into(),
            inf: "oem0.inf".into(),
            reboot,
        };
        assert_eq!(installed(true).exit_code(), 3010);
        assert_eq!(installed(false).exit_code(), 0);
        assert!(installed(true).text().contains("Restart Windows"));
    }

    #[test]
    fn json_has_the_result_as_a_tag() {
        let json = serde_json::to_string(&Report::NothingInstalled).unwrap();
        assert_eq!(json, r#"{"result":"nothing-installed"}"#);
    }
}
