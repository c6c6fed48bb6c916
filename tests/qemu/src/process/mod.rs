//! A QEMU process: its command line, the sockets that it inherits, and its monitor.
//!
//! QEMU's packages have no qtest accelerator; its CPU is TCG's and sits in a ROM that halts it at
//! reset. All else of the virtual machine runs as ever, in real time. Nothing has a path: QEMU
//! inherits memory, sockets, ROM and capture as file descriptors, so that two runs never meet.

mod arguments;
mod cable;
mod inherited;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use devices::wire::MacAddress;
use rustix::fs::MemfdFlags;

use crate::hotplug::Style;
use crate::monitor::Monitor;
use crate::qtest::Qtest;
use crate::tap::Tap;
use inherited::Inherited;

pub use cable::Cable;

/// Time that QEMU has to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What QEMU says that is no error: of a machine with little memory below 4 GiB (that is how it is spelt),
/// of a standby whose primary may still come, of the cable of one that is hidden, of a library that could
/// have hashed for a guest that wants its frames spread, and of a migration that was cancelled, whose
/// destination has gone.
const NO_COMPLAINTS: [&str; 6] = [
    "more then twice the size of max-ram-below-4g",
    "warning: Primary device not found",
    "Virtio-net failover will not work. Make sure primary device has parameter failover_pair_id",
    "has no peer",
    "libbpf: ",
    "Unable to write to socket",
];

/// Size of the ROM that the CPU starts in, below 4 GiB.
const ROM_BYTES: usize = 64 << 10;
/// The reset vector in it.
const RESET_VECTOR: usize = 0xfff0;
/// `cli; hlt; jmp` back to the `hlt`.
const HALT: [u8; 4] = [0xfa, 0xf4, 0xeb, 0xfd];

/// What a card is to failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failover {
    /// Nothing.
    None,
    /// The standby (`failover=on`).
    Standby,
    /// The primary of the standby of that name.
    PrimaryOf(String),
}

/// A virtio-net-pci.
#[derive(Clone, Debug)]
pub struct CardOptions {
    /// Its name in QEMU.
    pub id: String,
    /// Its address.
    pub mac: MacAddress,
    /// It offers packed rings.
    pub packed: bool,
    /// What it is to failover.
    pub failover: Failover,
    /// More properties, as on QEMU's command line.
    pub properties: Vec<String>,
}

/// An address, as QEMU reads and writes it.
#[must_use]
pub fn address(mac: MacAddress) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// A machine.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// The program.
    pub qemu: PathBuf,
    /// How cards come and go.
    pub hotplug: Style,
    /// What is behind each root port, which has a cable in any case.
    pub cards: Vec<Option<CardOptions>>,
    /// It waits for the state of a machine that comes from elsewhere.
    pub incoming: bool,
    /// The cable of the first port is this device.
    pub tap: Option<Arc<Tap>>,
}

/// The memory that QEMU shares with the host.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'file> {
    /// The whole of it.
    pub file: &'file File,
    /// Bytes of the file that are at address 0; the rest is at 4 GiB.
    pub low: u64,
    /// Bytes of the file.
    pub whole: u64,
}

/// A running QEMU. It ends with this, and with the thread that started it.
pub struct Process {
    child: Child,
    /// Its monitor.
    pub monitor: Monitor,
    errors: File,
    captures: Vec<File>,
}

/// A QEMU that has just started, and the other ends of its sockets.
pub struct Started {
    /// The process.
    pub process: Process,
    /// Its registers.
    pub qtest: Qtest,
    /// Its cables, one for each root port.
    pub cables: Vec<Cable>,
}

impl Process {
    /// Starts QEMU.
    ///
    /// # Errors
    ///
    /// It can't be started, or does not answer: what it said.
    pub fn start(memory: Memory<'_>, options: &MachineOptions) -> Result<Started> {
        let (qtest, qemus_qtest) = UnixStream::pair()?;
        let (monitor, qemus_monitor) = UnixStream::pair()?;
        let mut tap = options.tap.clone();
        let cables: Vec<Cable> = options
            .cards
            .iter()
            .map(|_| tap.take().map_or_else(Cable::new, Cable::over))
            .collect::<Result<_>>()?;
        let rom = memory_file("halt.rom")?;
        rom.write_all_at(&halt_rom(), 0)?;
        let errors = memory_file("stderr")?;

        let inherited = Inherited::new(memory.file, &rom, &qemus_qtest, &qemus_monitor, &cables);
        let mut command = Command::new(&options.qemu);
        command
            .args(arguments::arguments(&inherited, memory, options))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors.try_clone()?);
        inherited.pass_to(&mut command);
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", options.qemu.display()))?;

        // QEMU has its own now; an end of it is an end of file for us.
        drop((qemus_qtest, qemus_monitor));
        let captures: std::io::Result<_> = cables
            .iter()
            .map(|cable| cable.capture.try_clone())
            .collect();
        let mut process = Self {
            child,
            monitor: Monitor::new(monitor)?,
            errors,
            captures: captures?,
        };
        process
            .monitor
            .greet()
            .with_context(|| format!("QEMU's monitor\n{}", process.complaints().join("\n")))?;
        Ok(Started {
            process,
            qtest: Qtest::new(qtest)?,
            cables,
        })
    }

    /// What QEMU has said of errors, its own and its guest's.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        match read_whole(&self.errors) {
            Ok(bytes) => String::from_utf8_lossy(&bytes)
                .lines()
                .filter(|line| !NO_COMPLAINTS.iter().any(|said| line.contains(said)))
                .map(str::to_owned)
                .collect(),
            Err(error) => vec![format!("QEMU's standard error: {error}")],
        }
    }

    /// Waits until QEMU has ended.
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn wait_for_end(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "QEMU does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends QEMU and returns what it captured of each cable: pcap files.
    ///
    /// # Errors
    ///
    /// It does not end by itself, or not well.
    pub fn quit(&mut self) -> Result<Vec<Vec<u8>>> {
        self.monitor.quit();
        let status = self.wait_for_end()?;
        ensure!(status.success(), "QEMU ended with {status}");
        let captures = self.captures.iter().map(read_whole);
        Ok(captures.collect::<std::io::Result<_>>()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only for a process that has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn halt_rom() -> Vec<u8> {
    let mut rom = vec![0; ROM_BYTES];
    if let Some(at) = rom.get_mut(RESET_VECTOR..RESET_VECTOR + HALT.len()) {
        at.copy_from_slice(&HALT);
    }
    rom
}

/// A file that is nowhere but in memory.
///
/// # Errors
///
/// The system has none.
pub fn memory_file(name: &str) -> Result<File> {
    let descriptor = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)
        .map_err(|error| anyhow!("no memory file {name}: {error}"))?;
    Ok(File::from(descriptor))
}

/// Reads a file that somebody else writes to, whose position is theirs.
fn read_whole(file: &File) -> std::io::Result<Vec<u8>> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
