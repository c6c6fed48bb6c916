//! One small Windows, with the product's package in `C:\pkg`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::network::Network;
use crate::{built, template};

/// What a program left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The low eight bits of the exit code: Linux has no more of it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// How long a program may take, in seconds; the busiest machine needs a tenth of it.
const PATIENCE: &str = "120";

/// A prefix of its own, thrown away at the end.
pub struct Machine {
    folder: TempDir,
    network: Option<Network>,
    /// A program that does nothing. Without any, Wine's services end, and start anew for the next one.
    keeper: Option<Child>,
}

/// Wine in the prefix `prefix`, quiet and without what would have to be downloaded.
pub(crate) fn wine(prefix: &Path) -> Command {
    set_up(Command::new("wine"), prefix)
}

fn set_up(mut command: Command, prefix: &Path) -> Command {
    command
        .env("WINEPREFIX", prefix)
        .env("WINEDEBUG", "-all")
        .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
        .stdin(Stdio::null());
    command
}

impl Machine {
    /// A machine with the engine, the package in `C:\pkg`, and nothing installed.
    ///
    /// # Errors
    ///
    /// Wine is missing, or something has not been built.
    pub fn new() -> Result<Self> {
        Self::make(None)
    }

    /// The same, with an interface table of its own.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn on(network: Network) -> Result<Self> {
        Self::make(Some(network))
    }

    fn make(network: Option<Network>) -> Result<Self> {
        let parent = built::target().join("wine");
        fs::create_dir_all(&parent)?;
        let mut machine = Self {
            folder: tempfile::Builder::new()
                .prefix("machine")
                .tempdir_in(parent)?,
            network,
            keeper: None,
        };
        template::copy(&machine.prefix())?;
        machine.put("netcfg_engine.dll", "windows/system32")?;
        // The first folder stands for the package in the driver store.
        for folder in ["store", "pkg"] {
            machine.put("netkvmno.dll", folder)?;
            let inf = fs::read(built::root().join("inf/vioprot.inf"))?;
            machine.write(&format!("{folder}/vioprot.inf"), &inf)?;
            machine.write(&format!("{folder}/netkvm.sys"), b"never loaded here")?;
            machine.write(&format!("{folder}/vioprot.cat"), b"not looked at here")?;
        }
        for program in ["netkvmp.exe", "netcfg-tool.exe"] {
            machine.put(program, "pkg")?;
        }
        machine.keeper = Some(machine.keep()?);
        Ok(machine)
    }

    /// Starts Wine's services. They inherit their outputs from whoever starts them and keep them open, so
    /// it must not be a program whose output is read to its end.
    fn keep(&self) -> Result<Child> {
        let mut keeper = self.command("300", &[r"C:\pkg\netcfg-tool.exe", "keep"]);
        keeper
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut keeper = keeper.spawn().context("wine")?;
        let mut said = String::new();
        let out = keeper.stdout.as_mut().context("no output")?;
        BufReader::new(out).read_line(&mut said)?;
        ensure!(said.trim() == "kept", "Wine does not start");
        Ok(keeper)
    }

    fn prefix(&self) -> PathBuf {
        self.folder.path().join("prefix")
    }

    /// Where a file of drive C is on this machine.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.prefix().join("drive_c").join(path)
    }

    /// Copies what was built to a folder of drive C.
    ///
    /// # Errors
    ///
    /// It has not been built.
    pub fn put(&self, name: &str, folder: &str) -> Result<()> {
        self.put_file(&built::file("tools", name)?, &format!("{folder}/{name}"))
    }

    /// Copies a file to drive C.
    pub(crate) fn put_file(&self, from: &Path, to: &str) -> Result<()> {
        let to = self.path(to);
        fs::create_dir_all(to.parent().context("no folder")?)?;
        fs::copy(from, to)?;
        Ok(())
    }

    /// Writes a file of drive C.
    ///
    /// # Errors
    ///
    /// It can't be written.
    pub fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        fs::write(self.path(path), content).with_context(|| path.to_owned())
    }

    fn command(&self, patience: &str, words: &[&str]) -> Command {
        let command = match &self.network {
            Some(network) => network.enter("timeout"),
            None => Command::new("timeout"),
        };
        let mut command = set_up(command, &self.prefix());
        command.args([patience, "wine"]).args(words);
        command
    }

    /// Runs a program to its end. It writes to files: a service or a desktop that Wine starts on its behalf
    /// inherits its outputs, and a pipe would end only when that does.
    ///
    /// # Errors
    ///
    /// It can't be started, or is ended by a signal.
    pub fn run(&self, words: &[&str]) -> Result<Ran> {
        let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
        Ok(Ran {
            code: self.run_into(words, out.try_clone()?, err.try_clone()?)?,
            out: text(&mut out)?,
            err: text(&mut err)?,
        })
    }

    /// Runs a program to its end, with these outputs; its exit code.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub fn run_into(&self, words: &[&str], out: File, err: File) -> Result<i32> {
        let mut command = self.command(PATIENCE, words);
        let status = command.stdout(out).stderr(err).status().context("wine")?;
        status.code().context("ended by a signal")
    }

    /// Starts a program whose output is read while it runs.
    ///
    /// # Errors
    ///
    /// It can't be started.
    pub fn spawn(&self, words: &[&str]) -> Result<Child> {
        let mut command = self.command(PATIENCE, words);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().context("wine")
    }

    /// Runs `netkvmp`.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub fn netkvmp(&self, words: &[&str]) -> Result<Ran> {
        self.run(&[&[r"C:\pkg\netkvmp.exe"], words].concat())
    }

    /// Runs `netcfg-tool`, which has to succeed; what it prints.
    ///
    /// # Errors
    ///
    /// It fails.
    pub fn tool(&self, words: &[&str]) -> Result<String> {
        let ran = self.run(&[&[r"C:\pkg\netcfg-tool.exe"], words].concat())?;
        if ran.code != 0 {
            bail!("netcfg-tool {words:?} ended with {}: {}", ran.code, ran.err);
        }
        Ok(ran.out)
    }

    /// The configuration, sorted line by line, and the INFs of the product in the system.
    ///
    /// # Errors
    ///
    /// The configuration can't be read.
    pub fn state(&self) -> Result<Vec<String>> {
        let mut lines: Vec<String> = self.tool(&["state"])?.lines().map(str::to_owned).collect();
        for entry in fs::read_dir(self.path("windows/inf"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name == "vioprot.inf" || (name.starts_with("oem") && name.ends_with(".inf")) {
                lines.push(format!("package {name}"));
            }
        }
        lines.sort();
        Ok(lines)
    }

    /// Sets a registry value.
    ///
    /// # Errors
    ///
    /// It can't be set.
    pub fn set(&self, key: &str, name: &str, kind: &str, value: &str) -> Result<()> {
        let ran = self.run(&["reg", "add", key, "/v", name, "/t", kind, "/d", value, "/f"])?;
        ensure!(ran.code == 0, "reg add: {}", ran.err);
        Ok(())
    }

    /// Makes calls of the engine fail: `<call>=<status in hex>`.
    ///
    /// # Errors
    ///
    /// As for [`set`](Self::set).
    pub fn fail(&self, calls: &[&str]) -> Result<()> {
        let key = r"HKLM\Software\NetcfgStandIn";
        self.set(key, "Fail", "REG_MULTI_SZ", &calls.join(r"\0"))
    }

    /// The calls that the engine has received and made since the last time.
    ///
    /// # Errors
    ///
    /// There were none.
    pub fn calls(&self) -> Result<Vec<String>> {
        let path = self.path("netcfg.log");
        let log = fs::read_to_string(&path).context("the engine was not called")?;
        fs::remove_file(path)?;
        Ok(log.lines().map(str::to_owned).collect())
    }
}

/// All that has been written to a file, with the line ends of this system.
fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A server that is left running ends by itself a little later.
        let _ = Command::new("wineserver")
            .arg("--kill")
            .env("WINEPREFIX", self.prefix())
            .output();
        if let Some(keeper) = &mut self.keeper {
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
    }
}
