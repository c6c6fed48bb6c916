//! A network namespace with the interfaces that a test needs: Wine's interface table is Linux's.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Keeps a namespace as long as it lives.
pub struct Network {
    holder: Child,
}

impl Network {
    /// A namespace with one interface per address, beside `lo`: `nic0` and so on.
    ///
    /// # Errors
    ///
    /// User or network namespaces are not to be had, or `ip` is missing.
    pub fn with(macs: &[&str]) -> Result<Self> {
        // Wine makes LUIDs of indexes, as the test host does, from 1. None of these is the driver's.
        let nics: Vec<(u64, &str)> = (1000..).zip(macs.iter().copied()).collect();
        Self::of(&nics)
    }

    /// The same with these indexes.
    ///
    /// # Errors
    ///
    /// As for [`with`](Self::with).
    pub fn of(nics: &[(u64, &str)]) -> Result<Self> {
        let holder = Command::new("unshare")
            .args(["--map-root-user", "--net", "sleep", "600"])
            .stdin(Stdio::null())
            .spawn()
            .context("unshare")?;
        let network = Self { holder };
        network.wait()?;
        for (number, (index, mac)) in nics.iter().enumerate() {
            // A bridge is the one kind that every kernel of a container host has.
            let output = network
                .enter("ip")
                .args([
                    "link",
                    "add",
                    &format!("nic{number}"),
                    "index",
                    &index.to_string(),
                    "address",
                    mac,
                    "type",
                    "bridge",
                ])
                .output()?;
            ensure!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(network)
    }

    /// A command inside.
    #[must_use]
    pub fn enter(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.holder.id().to_string();
        command.args([
            "--preserve-credentials",
            "--user",
            "--net",
            "--target",
            &target,
            program,
        ]);
        command
    }

    /// `unshare` has changed into the namespace only some time after its start.
    fn wait(&self) -> Result<()> {
        let own = std::fs::read_link("/proc/self/ns/net")?;
        let path = format!("/proc/{}/ns/net", self.holder.id());
        for _ in 0..500 {
            let has_moved = std::fs::read_link(&path).is_ok_and(|other| other != own);
            let comm = std::fs::read_to_string(format!("/proc/{}/comm", self.holder.id()));
            if has_moved && comm.is_ok_and(|comm| comm.trim() == "sleep") {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        anyhow::bail!("no network namespace")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
