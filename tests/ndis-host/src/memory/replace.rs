//! Another file behind guest memory, as when a virtual machine goes on in another process.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use super::ram;

/// The file, once it is not the one that memory was made with.
static FILE: Mutex<Option<Arc<File>>> = Mutex::new(None);

/// Pages with the same access.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stretch {
    pages: Range<usize>,
    access: i32,
}

/// The file behind guest memory, which may have something else in front of it
/// ([`super::start`]).
pub fn file() -> Option<Arc<File>> {
    let current = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let first = || {
        let region = ram().guest.iter().next()?;
        Some(Arc::clone(region.file_offset()?.arc()))
    };
    current.clone().or_else(first)
}

/// Puts `file`, from `offset` bytes on, in the place of the file that memory was mapped from. Pages
/// without access stay without. What is in the file is what memory holds from here on, so it has to be
/// what memory held. Clones of [`super::guest`] see the new file; the file that they name is the old
/// one ([`file`] names the new one).
///
/// # Errors
///
/// The file is too short, or the system refuses; memory may be in pieces then, and the run is over.
///
/// # Safety
///
/// All CPUs are stopped ([`crate::sched::stopped`]), nobody else uses memory, and the file has what memory
/// has.
pub unsafe fn replace_file(file: File, offset: u64) -> anyhow::Result<()> {
    let memory = ram().range();
    let length = file.metadata()?.len();
    ensure!(
        length >= offset + memory.len() as u64,
        "{length} bytes are too few for guest memory"
    );
    // Where the pages without access are, the system knows best: nobody else keeps a list.
    let maps = fs::read_to_string("/proc/self/maps")?;
    let stretches = stretches(&maps, &memory);
    let mapped: usize = stretches.iter().map(|one| one.pages.len()).sum();
    ensure!(mapped == memory.len(), "guest memory is not mapped whole");
    for Stretch { pages, access } in stretches {
        let at = offset + (pages.start - memory.start) as u64;
        map(&file, at, &pages, access).with_context(|| format!("guest memory at {pages:x?}"))?;
    }
    *FILE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(file));
    Ok(())
}

fn map(file: &File, at: u64, pages: &Range<usize>, access: i32) -> anyhow::Result<()> {
    let address = std::ptr::with_exposed_provenance_mut(pages.start);
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    let at = libc::off_t::try_from(at)?;
    // SAFETY: the pages are guest memory, whose mapping lasts as long as the process and is a shared
    // one of a file already; nobody reads or writes it meanwhile, by the contract of `replace_file`.
    let mapped = unsafe { libc::mmap(address, pages.len(), access, flags, file.as_raw_fd(), at) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error().into());
    }
    Ok(())
}

/// The parts of `memory` in a list of mappings, as `/proc/self/maps` has it.
fn stretches(maps: &str, memory: &Range<usize>) -> Vec<Stretch> {
    maps.lines()
        .filter_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let start = usize::from_str_radix(start, 16).ok()?.max(memory.start);
            let end = usize::from_str_radix(end, 16).ok()?.min(memory.end);
            (start < end).then(|| Stretch {
                pages: start..end,
                access: access(rest),
            })
        })
        .collect()
}

/// What the letters in front of `letters` allow.
fn access(letters: &str) -> i32 {
    let bits = [
        ('r', libc::PROT_READ),
        ('w', libc::PROT_WRITE),
        ('x', libc::PROT_EXEC),
    ];
    let of = |letter: char| bits.iter().find(|(name, _)| *name == letter);
    letters
        .chars()
        .take(bits.len())
        .filter_map(of)
        .fold(libc::PROT_NONE, |all, (_, bit)| all | bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_memory_is_taken_and_access_is_kept() {
        let maps = "1000-3000 rw-s 00000000 00:01 1 /memfd:guest-ram (deleted)\n\
                    3000-4000 ---s 00002000 00:01 1 /memfd:guest-ram (deleted)\n\
                    4000-9000 rw-s 00003000 00:01 1 /memfd:guest-ram (deleted)\n\
                    9000-a000 r-xp 00000000 08:01 2 /bin/program\n";
        let stretch = |start, end, access| Stretch {
            pages: start..end,
            access,
        };
        let both = libc::PROT_READ | libc::PROT_WRITE;
        assert_eq!(
            stretches(maps, &(0x2000..0x9000)),
            [
                stretch(0x2000, 0x3000, both),
                stretch(0x3000, 0x4000, libc::PROT_NONE),
                stretch(0x4000, 0x9000, both),
            ]
        );
    }
}
