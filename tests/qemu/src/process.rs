//! A QEMU process: its command line, the sockets that it inherits, and its monitor.
//!
//! QEMU's packages have no qtest accelerator; its CPU is TCG's and sits in a ROM that halts it at
//! reset. All else of the virtual machine runs as ever, in real time. Nothing has a path: QEMU
//! inherits memory, sockets, ROM and capture as file descriptors, so that two runs never meet.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use devices::wire::MacAddress;
use qapi::qmp::{self, Event};
use qapi::{Qmp, Stream};
use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;
use rustix::process::Signal;

use crate::bus::ROOT_PORT_SLOT;
use crate::qtest::Qtest;

/// Time that the monitor has for an answer, and QEMU to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// QEMU's name for the feature, in front of what it says about it.
const RING_PACKED: &str = "VIRTIO_F_RING_PACKED";
/// The device's name in QEMU.
const DEVICE: &str = "adapter";

/// What QEMU says that is no error: of a machine with little memory below 4 GiB (that is how it is spelt),
/// and of a standby whose primary may still come.
const NO_COMPLAINTS: [&str; 3] = [
    "more then twice the size of max-ram-below-4g",
    "warning: Primary device not found",
    "Virtio-net failover will not work. Make sure primary device has parameter failover_pair_id",
];

/// Room in the cable, each way, in the kernel's own reckoning of what a frame takes.
const WIRE_BYTES: usize = 4 << 20;

/// Size of the ROM that the CPU starts in, below 4 GiB.
const ROM_BYTES: usize = 64 << 10;
/// The reset vector in it.
const RESET_VECTOR: usize = 0xfff0;
/// `cli; hlt; jmp` back to the `hlt`.
const HALT: [u8; 4] = [0xfa, 0xf4, 0xeb, 0xfd];

/// What a device is like.
#[derive(Clone, Debug)]
pub struct DeviceOptions {
    /// The program.
    pub qemu: PathBuf,
    /// Its address.
    pub mac: MacAddress,
    /// It offers packed rings.
    pub packed: bool,
    /// It is a standby (`failover=on`).
    pub standby: bool,
    /// More properties, as on QEMU's command line.
    pub properties: Vec<String>,
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

type Monitor = Qmp<Stream<BufReader<UnixStream>, UnixStream>>;

/// A running QEMU. It ends with this, and with the thread that started it.
pub struct Process {
    child: Child,
    monitor: Monitor,
    version: String,
    errors: File,
    capture: File,
}

/// A QEMU that has just started, and the other ends of its sockets.
pub struct Started {
    /// The process.
    pub process: Process,
    /// Its registers.
    pub qtest: Qtest,
    /// Its cable: one datagram is one frame.
    pub wire: UnixDatagram,
}

impl Process {
    /// Starts QEMU with one virtio-net-pci behind a root port.
    ///
    /// # Errors
    ///
    /// It can't be started, or does not answer.
    pub fn start(memory: Memory<'_>, options: &DeviceOptions) -> Result<Started> {
        let (qtest, qemus_qtest) = UnixStream::pair()?;
        let (monitor, qemus_monitor) = UnixStream::pair()?;
        let (wire, qemus_wire) = UnixDatagram::pair()?;
        make_room(&qemus_wire)?;
        make_room(&wire)?;
        let rom = memory_file("halt.rom")?;
        rom.write_all_at(&halt_rom(), 0)?;
        let capture = memory_file("capture.pcap")?;
        let errors = memory_file("stderr")?;

        let inherited = Inherited {
            memory: memory.file.as_raw_fd(),
            rom: rom.as_raw_fd(),
            qtest: qemus_qtest.as_raw_fd(),
            monitor: qemus_monitor.as_raw_fd(),
            wire: qemus_wire.as_raw_fd(),
            capture: capture.as_raw_fd(),
        };
        let mut command = Command::new(&options.qemu);
        command
            .args(arguments(&inherited, memory, options))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors.try_clone()?);
        inherited.pass_to(&mut command);
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", options.qemu.display()))?;

        // QEMU has its own now; an end of it is an end of file for us.
        drop((qemus_qtest, qemus_monitor, qemus_wire));
        let mut process = Self {
            child,
            monitor: Qmp::new(Stream::new(BufReader::new(monitor.try_clone()?), monitor)),
            version: String::new(),
            errors,
            capture,
        };
        process
            .greet()
            .with_context(|| format!("QEMU's monitor\n{}", process.complaints().join("\n")))?;
        Ok(Started {
            process,
            qtest: Qtest::new(qtest)?,
            wire,
        })
    }

    fn greet(&mut self) -> Result<()> {
        let socket = self.monitor.inner().get_ref_write();
        // One socket with two descriptors: the timeout is of both.
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let greeting = self.monitor.inner_mut().fill_buf()?;
        ensure!(!greeting.is_empty(), "QEMU has ended");
        self.monitor.handshake()?;
        let version = self.monitor.execute(&qmp::query_version {})?;
        let qmp::VersionTriple {
            major,
            minor,
            micro,
        } = version.qemu;
        self.version = format!("{major}.{minor}.{micro}{}", version.package);
        Ok(())
    }

    /// QEMU's version and that of its package.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The events since the last call.
    ///
    /// # Errors
    ///
    /// The monitor does not answer.
    pub fn events(&mut self) -> Result<Vec<Event>> {
        self.monitor.nop()?;
        Ok(self.monitor.events().collect())
    }

    /// The state of a queue, as QEMU sees it.
    ///
    /// # Errors
    ///
    /// The monitor does not answer, or the driver has not set the queue up.
    pub fn queue(&mut self, queue: u16) -> Result<qmp::VirtQueueStatus> {
        let path = backend();
        let query = qmp::x_query_virtio_queue_status { path, queue };
        Ok(self.monitor.execute(&query)?)
    }

    /// Whether the driver has taken packed rings, as QEMU sees it.
    ///
    /// # Errors
    ///
    /// The monitor does not answer.
    pub fn has_packed_rings(&mut self) -> Result<bool> {
        let status = self
            .monitor
            .execute(&qmp::x_query_virtio_status { path: backend() })?;
        let taken = status.guest_features.transports;
        Ok(taken.iter().any(|one| one.starts_with(RING_PACKED)))
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

    /// Ends QEMU and returns what it captured of the wire: a pcap file.
    ///
    /// # Errors
    ///
    /// It does not end by itself, or not well.
    pub fn quit(&mut self) -> Result<Vec<u8>> {
        // QEMU may be gone before the command's last byte is written or its answer read. How it ended
        // says all.
        let _ = self.monitor.execute(&qmp::quit {});
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < deadline, "QEMU does not end");
            thread::sleep(Duration::from_millis(2));
        };
        ensure!(status.success(), "QEMU ended with {status}");
        Ok(read_whole(&self.capture)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only for a process that has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the virtio device is in QEMU's tree of objects.
fn backend() -> String {
    format!("/machine/peripheral/{DEVICE}/virtio-backend")
}

/// The descriptors that QEMU inherits; it has them under the same numbers.
struct Inherited {
    memory: RawFd,
    rom: RawFd,
    qtest: RawFd,
    monitor: RawFd,
    wire: RawFd,
    capture: RawFd,
}

impl Inherited {
    /// Leaves the descriptors open in the process that `command` starts, and ties its life to that of
    /// the calling thread.
    fn pass_to(&self, command: &mut Command) {
        let descriptors = [
            self.memory,
            self.rom,
            self.qtest,
            self.monitor,
            self.wire,
            self.capture,
        ];
        let parent = rustix::process::getpid();
        let prepare = move || {
            for descriptor in descriptors {
                // SAFETY: the caller of `pass_to` keeps them open until the process has started.
                let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
                rustix::io::fcntl_setfd(descriptor, FdFlags::empty())?;
            }
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before that.
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                Err(std::io::ErrorKind::NotConnected.into())
            }
        };
        // SAFETY: between fork and exec it makes system calls only, and allocates nothing.
        unsafe { command.pre_exec(prepare) };
    }
}

fn arguments(inherited: &Inherited, memory: Memory<'_>, options: &DeviceOptions) -> Vec<String> {
    let Inherited {
        memory: ram,
        rom,
        qtest,
        monitor,
        wire,
        capture,
    } = inherited;
    let Memory { low, whole, .. } = memory;
    let on_off = |on| if on { "on" } else { "off" };
    let mac = options.mac.map(|byte| format!("{byte:02x}")).join(":");
    // The option ROM is of no use, and comes in a package of its own.
    let mut device = format!(
        "virtio-net-pci,id={DEVICE},bus=port0,netdev=wire0,mac={mac},disable-legacy=on,romfile=,\
         packed={},failover={}",
        on_off(options.packed),
        on_off(options.standby),
    );
    for property in &options.properties {
        device.push(',');
        device.push_str(property);
    }
    let pairs = [
        ("-accel", "tcg".to_owned()),
        (
            "-machine",
            format!("q35,memory-backend=ram0,max-ram-below-4g={low}"),
        ),
        ("-m", format!("{}M", whole >> 20)),
        ("-smp", "1".to_owned()),
        ("-display", "none".to_owned()),
        ("-bios", format!("/proc/self/fd/{rom}")),
        ("-d", "guest_errors".to_owned()),
        (
            "-object",
            format!(
                "memory-backend-file,id=ram0,size={whole},mem-path=/proc/self/fd/{ram},share=on"
            ),
        ),
        ("-chardev", format!("socket,id=qtest0,fd={qtest}")),
        (
            "-object",
            "qtest,id=server0,chardev=qtest0,log=none".to_owned(),
        ),
        ("-chardev", format!("socket,id=monitor0,fd={monitor}")),
        ("-mon", "chardev=monitor0,mode=control".to_owned()),
        (
            "-device",
            format!("pcie-root-port,id=port0,bus=pcie.0,addr={ROOT_PORT_SLOT:#x},chassis=1,slot=1"),
        ),
        (
            "-netdev",
            format!("dgram,id=wire0,local.type=fd,local.str={wire}"),
        ),
        (
            "-object",
            format!("filter-dump,id=dump0,netdev=wire0,file=/proc/self/fd/{capture}"),
        ),
        ("-device", device),
    ];
    let mut arguments = vec!["-nodefaults".to_owned(), "-no-user-config".to_owned()];
    for (name, value) in pairs {
        arguments.push(name.to_owned());
        arguments.push(value);
    }
    arguments
}

/// Lets an end of the cable hold more than a whole ring of frames, so that QEMU never has to wait with one.
///
/// After such a wait QEMU (seen with 7.2, `virtio_net_tx_complete`) asks for a doorbell at the place where it
/// waited, then sends what else is in the ring. With packed rings and EVENT_IDX the place is not moved on by
/// that, so no doorbell is due until the ring has come round to it: transmission stands still.
fn make_room(socket: &UnixDatagram) -> Result<()> {
    use rustix::net::sockopt::{set_socket_send_buffer_size, set_socket_send_buffer_size_force};
    // Beyond the system's limit if this process may, else up to it.
    if set_socket_send_buffer_size_force(socket, WIRE_BYTES).is_err() {
        set_socket_send_buffer_size(socket, WIRE_BYTES)?;
    }
    Ok(())
}

fn halt_rom() -> Vec<u8> {
    let mut rom = vec![0; ROM_BYTES];
    if let Some(at) = rom.get_mut(RESET_VECTOR..RESET_VECTOR + HALT.len()) {
        at.copy_from_slice(&HALT);
    }
    rom
}

fn memory_file(name: &str) -> Result<File> {
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
