//! What a command tells, as text or as JSON.

use serde::Serialize;

use crate::pairs::Pair;
use crate::version::Version;

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub(crate) enum Report {
    /// The protocol has been installed.
    Installed {
        /// Of the package.
        version: Version,
        /// The name of its INF in the system.
        inf: String,
        /// It takes effect with the next start.
        reboot: bool,
    },
    /// A newer version has taken the place of the one that was there.
    Upgraded {
        /// That was there.
        from: Version,
        /// Of the package.
        version: Version,
        /// The name of its INF in the system.
        inf: String,
        /// Why the package of the old version stays, if it does.
        #[serde(skip_serializing_if = "Option::is_none")]
        left: Option<String>,
        /// It takes effect with the next start.
        reboot: bool,
    },
    /// It was there.
    AlreadyInstalled {
        /// Of the package.
        version: Version,
    },
    /// The protocol has been removed.
    Removed {
        /// What was removed.
        removed: Vec<String>,
        /// Adapters that are not there, and have bindings to get back.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        absent: Vec<String>,
        /// It takes effect with the next start.
        reboot: bool,
    },
    /// It was not there.
    NothingInstalled {
        /// Adapters that are not there, and have bindings to get back.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        absent: Vec<String>,
    },
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
    pub(crate) packages: Vec<(String, Version)>,
    /// What the driver says of itself, or why it says nothing.
    pub(crate) driver: String,
    /// The NetKVM adapters.
    pub(crate) adapters: Vec<Pair>,
}

impl Report {
    /// The exit code of the program.
    pub(crate) fn exit_code(&self) -> u32 {
        match self {
            Self::Installed { reboot: true, .. }
            | Self::Upgraded { reboot: true, .. }
            | Self::Removed { reboot: true, .. } => 3010,
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
            Self::Upgraded {
                from,
                version,
                inf,
                left,
                reboot,
            } => {
                let left = left
                    .as_ref()
                    .map(|why| format!("\nThe old package stays: {why}."));
                format!(
                    "VIOPROT {version} is installed ({inf}) in place of {from}.{}{}",
                    restart(*reboot),
                    left.unwrap_or_default()
                )
            }
            Self::AlreadyInstalled { version } => {
                format!("VIOPROT {version} is installed already. Nothing to do.")
            }
            Self::Removed {
                removed,
                absent,
                reboot,
            } => {
                let removed = removed.join(", ");
                let restart = restart(*reboot);
                format!("Removed: {removed}.{restart}{}", due(absent))
            }
            Self::NothingInstalled { absent } => {
                format!("VIOPROT is not installed. Nothing to do.{}", due(absent))
            }
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

/// What the administrator has to do for adapters that are not there.
fn due(absent: &[String]) -> String {
    if absent.is_empty() {
        return String::new();
    }
    let absent = absent.join(", ");
    format!(
        "\nNot there: {absent}. Bindings of what is not there stay disabled; run \"netkvmp uninstall\" \
         once more when it is back."
    )
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
            version: Version::read("11/20/2026", "1").unwrap(),
            inf: "oem0.inf".into(),
            reboot,
        };
        assert_eq!(installed(true).exit_code(), 3010);
        assert_eq!(installed(false).exit_code(), 0);
        assert!(installed(true).text().contains("Restart Windows"));
    }

    #[test]
    fn json_has_the_result_as_a_tag() {
        let json = |absent| serde_json::to_string(&Report::NothingInstalled { absent }).unwrap();
        assert_eq!(json(vec![]), r#"{"result":"nothing-installed"}"#);
        assert_eq!(
            json(vec!["a".into()]),
            r#"{"result":"nothing-installed","absent":["a"]}"#
        );
    }
}
