//! The fork server: each run is a child of this process, which has read everything before and has
//! started no thread.
//!
//! What a child writes to standard error goes to a memory file, which nobody has to empty while it
//! runs. Each child has one of `jobs` places, and with it a processor, so that two runs do not get
//! into each other's way.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ndis_host::sched::choices::Plan;
use ndis_host::verifier;

use super::draw::Run;
use super::outcome::{End, NOT_PASSED, Outcome};
use super::run_here;
use crate::world::DriverImage;

/// Most that is kept of what a run said.
const MOST_SAID: u64 = 4 << 20;

/// Starts and reaps runs.
pub(super) struct Server {
    image: DriverImage,
    jobs: usize,
    limit: Duration,
    processors: Vec<usize>,
}

/// A run under way.
pub(super) struct Child {
    pub(super) run: Run,
    pid: libc::pid_t,
    /// Becomes readable when the process ends.
    ended: OwnedFd,
    said: File,
    deadline: Instant,
    pub(super) place: usize,
}

impl Server {
    pub(super) fn new(image: DriverImage, jobs: usize, limit: Duration) -> Self {
        ndis_host::warm_up();
        prepare_heap();
        Self {
            image,
            jobs,
            limit,
            processors: processors(),
        }
    }

    /// Real time that a run may take.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// How many runs there may be at a time.
    pub(super) fn jobs(&self) -> usize {
        self.jobs
    }

    /// Runs one and waits for its end, at most for `limit`.
    pub(super) fn run(&self, run: Run, plan: &Plan, limit: Duration) -> Result<Outcome> {
        let mut child = self.start(run, plan, 0)?;
        child.deadline = child.deadline.min(Instant::now() + limit);
        let mut children = vec![child];
        loop {
            if let Some((_, outcome)) = self.next(&mut children)? {
                return Ok(outcome);
            }
        }
    }

    /// Starts a run at `place`, which is free.
    pub(super) fn start(&self, run: Run, plan: &Plan, place: usize) -> Result<Child> {
        let said = memory_file().context("a memory file for a run")?;
        // SAFETY: this process has one thread, so the child finds nothing half-done.
        let pid = unsafe { libc::fork() };
        match pid {
            0 => self.be_child(&run, plan, &said, place),
            1.. => Ok(Child {
                run,
                pid,
                ended: process_handle(pid).context("a handle of a run")?,
                said,
                deadline: Instant::now() + self.limit,
                place,
            }),
            _ => Err(io::Error::last_os_error()).context("forking a run"),
        }
    }

    fn be_child(&self, run: &Run, plan: &Plan, said: &File, place: usize) -> ! {
        // SAFETY: the calls take numbers; a failure costs the report, or leaves an orphan.
        unsafe {
            libc::dup2(said.as_raw_fd(), libc::STDOUT_FILENO);
            libc::dup2(said.as_raw_fd(), libc::STDERR_FILENO);
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        }
        if let Some(processor) = self.processors.get(place % self.processors.len().max(1)) {
            stay_on(*processor);
        }
        let ran = panic::catch_unwind(AssertUnwindSafe(|| {
            run_here(run, &self.image, plan.clone())
        }));
        let code = match ran {
            Ok(Ok(())) => 0,
            Ok(Err(error)) => {
                eprintln!("error: {error:#}");
                NOT_PASSED.max(verifier::exit_code())
            }
            Err(_) => 101,
        };
        // SAFETY: the process ends here, without the parent's destructors.
        unsafe { libc::_exit(code) }
    }

    /// Waits until a run ends, and takes it out; `None` when none did for a moment.
    pub(super) fn next(&self, children: &mut Vec<Child>) -> Result<Option<(Child, Outcome)>> {
        const MOMENT: Duration = Duration::from_millis(100);
        wait_for_one(children, MOMENT)?;
        let now = Instant::now();
        for index in 0..children.len() {
            if let Some(end) = children[index].try_end(now)? {
                let mut child = children.swap_remove(index);
                let said = match end {
                    End::Exit(0) => String::new(),
                    _ => child.read_said(),
                };
                return Ok(Some((child, Outcome { end, said })));
            }
        }
        Ok(None)
    }
}

impl Child {
    /// How it ended, if it has, or has run out of time.
    fn try_end(&self, now: Instant) -> Result<Option<End>> {
        if let Some(end) = self.reap(libc::WNOHANG)? {
            return Ok(Some(end));
        }
        if now < self.deadline {
            return Ok(None);
        }
        // SAFETY: the child has not been waited for, so its number is still its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        self.reap(0)?;
        Ok(Some(End::TimeOut))
    }

    fn reap(&self, flags: libc::c_int) -> Result<Option<End>> {
        let mut status = 0;
        // SAFETY: the status is a place for the answer.
        match unsafe { libc::waitpid(self.pid, &mut status, flags) } {
            0 => Ok(None),
            pid if pid == self.pid => Ok(Some(if libc::WIFEXITED(status) {
                End::Exit(libc::WEXITSTATUS(status))
            } else {
                End::Signal(libc::WTERMSIG(status))
            })),
            _ => Err(io::Error::last_os_error()).context("waiting for a run"),
        }
    }

    fn read_said(&mut self) -> String {
        let mut bytes = Vec::new();
        // What can be read is worth showing, and that some can't is no reason to stop.
        let _ = self.said.rewind();
        let _ = (&self.said).take(MOST_SAID).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Child {
    /// Ends a run that nobody waits for any more.
    fn drop(&mut self) {
        if matches!(self.reap(libc::WNOHANG), Ok(None)) {
            // SAFETY: as in `try_end`.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            // It ends at once, and nobody asks how.
            let _ = self.reap(0);
        }
    }
}

/// Waits until one of the children has ended, but not for longer than `moment`.
fn wait_for_one(children: &[Child], moment: Duration) -> Result<()> {
    let watched = |child: &Child| libc::pollfd {
        fd: child.ended.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut watched: Vec<libc::pollfd> = children.iter().map(watched).collect();
    let count = watched.len() as libc::nfds_t;
    // SAFETY: the array has as many elements as is said.
    let result = unsafe { libc::poll(watched.as_mut_ptr(), count, moment.as_millis() as i32) };
    if result >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => bail!("waiting for a run: {error}"),
    }
}

fn memory_file() -> io::Result<File> {
    // SAFETY: the name is a constant C string.
    let fd = unsafe { libc::memfd_create(c"said".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call returned a new descriptor, which nobody else owns.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

fn process_handle(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let Ok(fd @ 0..) = i32::try_from(fd) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: as in `memory_file`.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets the heap up for runs, of whose threads one works at a time: they share one arena. Large
/// buffers are mapped, so that a run pays for the pages of them that it uses.
fn prepare_heap() {
    const LARGE: libc::c_int = 32 << 10;
    // SAFETY: the calls take numbers; one that is refused costs time and nothing else.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TOP_PAD, 0);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// The processors that this process may use; none when the system does not say.
fn processors() -> Vec<usize> {
    // SAFETY: a `cpu_set_t` is an array of integers.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set is of the size that is stated; 0 means the calling thread.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) } != 0 {
        return Vec::new();
    }
    let most = 8 * size_of::<libc::cpu_set_t>();
    // SAFETY: `CPU_ISSET` reads inside of the set, as it checks the number.
    (0..most)
        .filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) })
        .collect()
}

/// Keeps the calling thread on one processor; where the system refuses, runs are slower.
fn stay_on(processor: usize) {
    // SAFETY: a `cpu_set_t` is an array of integers.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `CPU_SET` writes inside of the set, as it checks the number.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the set is of the size that is stated; 0 means the calling thread.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_may_use_some_processor() {
        assert!(!processors().is_empty());
    }
}
