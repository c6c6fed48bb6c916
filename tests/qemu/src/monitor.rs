//! QEMU's monitor: commands, and the events between their answers.

use std::io::{BufRead, BufReader, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use qapi::qmp::{self, Event, MigrationCapability, QmpCommand};
use qapi::{Qmp, Stream, Timestamp};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// Time that the monitor has for an answer, and that is waited for an event.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time from one look for events to the next, for those who look all the time.
const EVENTS_EVERY: Duration = Duration::from_millis(2);
/// QEMU's name for the feature, in front of what it says about it.
const RING_PACKED: &str = "VIRTIO_F_RING_PACKED";

/// An event, and when it was.
#[derive(Clone, Debug)]
pub struct Told {
    /// When, by QEMU's clock: that of the system, since 1970.
    pub at: Duration,
    /// What.
    pub event: Event,
}

/// The monitor of a process.
pub struct Monitor {
    qmp: Qmp<Stream<BufReader<UnixStream>, UnixStream>>,
    version: String,
    told: Vec<Told>,
    looked: Instant,
}

impl Monitor {
    pub(crate) fn new(socket: UnixStream) -> Result<Self> {
        // One socket with two descriptors: the timeout is of both.
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let reader = BufReader::new(socket.try_clone()?);
        Ok(Self {
            qmp: Qmp::new(Stream::new(reader, socket)),
            version: String::new(),
            told: Vec::new(),
            looked: Instant::now(),
        })
    }

    pub(crate) fn greet(&mut self) -> Result<()> {
        let greeting = self.qmp.inner_mut().fill_buf()?;
        ensure!(!greeting.is_empty(), "QEMU has ended");
        self.qmp.handshake()?;
        let version = self.execute(&qmp::query_version {})?;
        let qmp::VersionTriple {
            major,
            minor,
            micro,
        } = version.qemu;
        self.version = format!("{major}.{minor}.{micro}");
        if !version.package.is_empty() {
            self.version.push_str(&format!(" ({})", version.package));
        }
        Ok(())
    }

    /// QEMU's version and that of its package.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Runs a command.
    ///
    /// # Errors
    ///
    /// QEMU refuses it, or does not answer.
    pub fn execute<C: QmpCommand>(&mut self, command: &C) -> Result<C::Ok> {
        let answer = self.qmp.execute(command);
        self.note_events();
        answer.with_context(|| C::NAME)
    }

    /// All events so far.
    ///
    /// # Errors
    ///
    /// QEMU does not answer; so for all that follows.
    pub fn events(&mut self) -> Result<&[Told]> {
        self.looked = Instant::now();
        self.qmp.nop()?;
        self.note_events();
        Ok(&self.told)
    }

    /// All events that were seen when it was last due to look.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn recent_events(&mut self) -> Result<&[Told]> {
        if self.looked.elapsed() >= EVENTS_EVERY {
            self.events()?;
        }
        Ok(&self.told)
    }

    /// Waits for an event that is not among the first `from`; without the machine going on meanwhile.
    ///
    /// # Errors
    ///
    /// It does not come.
    pub fn wait(
        &mut self,
        what: &str,
        from: usize,
        is_it: impl Fn(&Event) -> bool,
    ) -> Result<Told> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut late = self.events()?.iter().skip(from);
            if let Some(told) = late.find(|told| is_it(&told.event)) {
                return Ok(told.clone());
            }
            if Instant::now() >= deadline {
                bail!("{what}: QEMU does not tell of it, but of {:?}", self.told);
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Has QEMU take over a descriptor under a name.
    ///
    /// # Errors
    ///
    /// QEMU refuses.
    pub fn give(&mut self, name: &str, descriptor: BorrowedFd<'_>) -> Result<()> {
        // The next command takes the descriptors that came with the bytes before it.
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor];
        ensure!(
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)),
            "no room for a descriptor"
        );
        let socket = self.qmp.inner().get_ref_write();
        let blank = [IoSlice::new(b" ")];
        rustix::net::sendmsg(socket, &blank, &mut ancillary, SendFlags::empty())?;
        let fdname = name.to_owned();
        self.execute(&qmp::getfd { fdname }).map(drop)
    }

    /// Has QEMU tell of each step of a migration, and stop between the processors' last step and the
    /// transfer of the last pages.
    ///
    /// # Errors
    ///
    /// QEMU refuses.
    pub fn prepare_migration(&mut self) -> Result<()> {
        let on = |capability| qmp::MigrationCapabilityStatus {
            capability,
            state: true,
        };
        let capabilities = vec![
            on(MigrationCapability::events),
            on(MigrationCapability::pause_before_switchover),
            // Without it the source does not learn whether the destination could make use of what it got.
            on(MigrationCapability::return_path),
        ];
        self.execute(&qmp::migrate_set_capabilities { capabilities })
            .map(drop)
    }

    /// Bytes that a migration may send in a second.
    ///
    /// # Errors
    ///
    /// QEMU refuses.
    pub fn set_migration_bandwidth(&mut self, bytes: u64) -> Result<()> {
        let parameters = qmp::MigrateSetParameters {
            max_bandwidth: Some(bytes),
            ..qmp::MigrateSetParameters::default()
        };
        self.execute(&qmp::migrate_set_parameters(parameters))
            .map(drop)
    }

    /// The state of a queue of a card, as QEMU sees it.
    ///
    /// # Errors
    ///
    /// QEMU does not answer, or the driver has not set the queue up.
    pub fn queue(&mut self, card: &str, queue: u16) -> Result<qmp::VirtQueueStatus> {
        let path = virtio_path(card);
        self.execute(&qmp::x_query_virtio_queue_status { path, queue })
    }

    /// Whether the driver of a card has taken packed rings, as QEMU sees it.
    ///
    /// # Errors
    ///
    /// QEMU does not answer.
    pub fn has_packed_rings(&mut self, card: &str) -> Result<bool> {
        let path = virtio_path(card);
        let status = self.execute(&qmp::x_query_virtio_status { path })?;
        let taken = status.guest_features.transports;
        Ok(taken.iter().any(|one| one.starts_with(RING_PACKED)))
    }

    /// Tells QEMU to end.
    pub(crate) fn quit(&mut self) {
        // QEMU may be gone before the command's last byte is written or its answer read. How it ended
        // says all.
        let _ = self.qmp.execute(&qmp::quit {});
    }

    fn note_events(&mut self) {
        let new = self.qmp.events().map(|event| Told {
            at: time(event.timestamp()),
            event,
        });
        self.told.extend(new);
    }
}

/// A time stamp of QEMU's. Its fields are open to serde only.
fn time(stamp: Timestamp) -> Duration {
    let value = serde_json::to_value(stamp).unwrap_or_default();
    let field = |name: &str| value.get(name).and_then(serde_json::Value::as_u64);
    let seconds = Duration::from_secs(field("seconds").unwrap_or_default());
    seconds + Duration::from_micros(field("microseconds").unwrap_or_default())
}

/// Where a virtio device is in QEMU's tree of objects.
pub(crate) fn virtio_path(card: &str) -> String {
    format!("/machine/peripheral/{card}/virtio-backend")
}
