//! Files: a store in memory, which tests fill, below `\SystemRoot`.

use std::collections::BTreeMap;
use std::ffi::c_void;

use ndis_sys::{
    HANDLE, IO_STATUS_BLOCK, NTSTATUS, OBJECT_ATTRIBUTES, STATUS_BUFFER_TOO_SMALL,
    STATUS_INVALID_HANDLE, STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS,
};

use crate::ntoskrnl::{enter, handle, text};
use crate::sched::{BatonCell, PASSIVE_LEVEL};

/// STATUS_END_OF_FILE.
const END_OF_FILE: NTSTATUS = 0xC000_0011_u32 as NTSTATUS;
/// FILE_OPEN, FILE_CREATE: dispositions that do not make a file, and that only make one.
const FILE_OPEN: u32 = 1;
const FILE_CREATE: u32 = 2;
/// FileStandardInformation.
const STANDARD: i32 = 5;
/// What tells the handle of a file from that of a key.
const PREFIX: &str = "file:";

static FILES: BatonCell<BTreeMap<String, Vec<u8>>> = BatonCell::new(BTreeMap::new());

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("ZwCreateFile", create as *const ()),
        ("ZwOpenFile", open as *const ()),
        ("ZwReadFile", read as *const ()),
        ("ZwWriteFile", write as *const ()),
        ("ZwQueryInformationFile", query as *const ()),
    ]
}

/// Puts a file into the store; the name is a full one, or one in the drivers' folder.
pub fn put(name: &str, bytes: &[u8]) {
    FILES.with(|files| files.insert(full_name(name), bytes.to_vec()));
}

/// The contents of a file.
pub fn contents(name: &str) -> Option<Vec<u8>> {
    FILES.with(|files| files.get(&full_name(name)).cloned())
}

fn full_name(name: &str) -> String {
    if name.starts_with('\\') {
        name.to_lowercase()
    } else {
        format!(r"\systemroot\system32\drivers\{}", name.to_lowercase())
    }
}

/// The name behind a handle.
fn name_of(file: HANDLE) -> Option<String> {
    handle::path(file)?.strip_prefix(PREFIX).map(str::to_owned)
}

unsafe fn finish(block: *mut IO_STATUS_BLOCK, status: NTSTATUS, information: usize) -> NTSTATUS {
    // SAFETY: the callers' contract: the block can be written.
    unsafe {
        block.write(IO_STATUS_BLOCK {
            Status: status,
            Information: information,
        })
    };
    status
}

/// Opens a file, or makes it.
unsafe fn open_with(
    file: *mut HANDLE,
    attributes: *mut OBJECT_ATTRIBUTES,
    block: *mut IO_STATUS_BLOCK,
    disposition: u32,
) -> NTSTATUS {
    // SAFETY: the callers' contract.
    unsafe {
        let name = full_name(&text::read((*attributes).ObjectName));
        let is_there = FILES.with(|files| files.contains_key(&name));
        if !is_there && disposition == FILE_OPEN {
            return finish(block, STATUS_OBJECT_NAME_NOT_FOUND, 0);
        }
        if is_there && disposition == FILE_CREATE {
            return finish(block, STATUS_INVALID_PARAMETER, 0);
        }
        FILES.with(|files| {
            files.entry(name.clone()).or_default();
        });
        file.write(handle::open(format!("{PREFIX}{name}")));
        finish(block, STATUS_SUCCESS, usize::from(is_there))
    }
}

/// `ZwCreateFile`. At PASSIVE.
///
/// # Safety
///
/// Handle and status block can be written; the attributes name the file.
unsafe extern "efiapi" fn create(
    file: *mut HANDLE,
    _access: u32,
    attributes: *mut OBJECT_ATTRIBUTES,
    block: *mut IO_STATUS_BLOCK,
    _allocation: *mut i64,
    _file_attributes: u32,
    _share: u32,
    disposition: u32,
    _options: u32,
    _extended: *mut c_void,
    _extended_length: u32,
) -> NTSTATUS {
    enter("ZwCreateFile", PASSIVE_LEVEL);
    // SAFETY: by contract.
    unsafe { open_with(file, attributes, block, disposition) }
}

/// `ZwOpenFile`. At PASSIVE.
///
/// # Safety
///
/// As for [`create`].
unsafe extern "efiapi" fn open(
    file: *mut HANDLE,
    _access: u32,
    attributes: *mut OBJECT_ATTRIBUTES,
    block: *mut IO_STATUS_BLOCK,
    _share: u32,
    _options: u32,
) -> NTSTATUS {
    enter("ZwOpenFile", PASSIVE_LEVEL);
    // SAFETY: by contract.
    unsafe { open_with(file, attributes, block, FILE_OPEN) }
}

/// `ZwReadFile`, from an offset that is given. At PASSIVE.
///
/// # Safety
///
/// `length` bytes of `buffer` can be written, and so can the block.
unsafe extern "efiapi" fn read(
    file: HANDLE,
    _event: HANDLE,
    _apc: *mut c_void,
    _apc_context: *mut c_void,
    block: *mut IO_STATUS_BLOCK,
    buffer: *mut u8,
    length: u32,
    offset: *const i64,
    _key: *mut u32,
) -> NTSTATUS {
    enter("ZwReadFile", PASSIVE_LEVEL);
    let Some(name) = name_of(file) else {
        return STATUS_INVALID_HANDLE;
    };
    // SAFETY: by contract.
    unsafe {
        let start = offset.as_ref().map_or(0, |offset| *offset as usize);
        let bytes = FILES.with(|files| {
            let contents = files.get(&name)?.get(start..)?;
            Some(contents[..contents.len().min(length as usize)].to_vec())
        });
        let bytes = bytes.unwrap_or_default();
        if bytes.is_empty() && length > 0 {
            return finish(block, END_OF_FILE, 0);
        }
        buffer.copy_from(bytes.as_ptr(), bytes.len());
        finish(block, STATUS_SUCCESS, bytes.len())
    }
}

/// `ZwWriteFile`, to an offset that is given, or behind the end. At PASSIVE.
///
/// # Safety
///
/// `length` bytes of `buffer` can be read; the block can be written.
unsafe extern "efiapi" fn write(
    file: HANDLE,
    _event: HANDLE,
    _apc: *mut c_void,
    _apc_context: *mut c_void,
    block: *mut IO_STATUS_BLOCK,
    buffer: *const u8,
    length: u32,
    offset: *const i64,
    _key: *mut u32,
) -> NTSTATUS {
    enter("ZwWriteFile", PASSIVE_LEVEL);
    let Some(name) = name_of(file) else {
        return STATUS_INVALID_HANDLE;
    };
    let length = length as usize;
    // SAFETY: by contract.
    unsafe {
        let start = offset.as_ref().map(|offset| *offset as usize);
        FILES.with(|files| {
            let contents = files.entry(name).or_default();
            let start = start.unwrap_or(contents.len());
            contents.resize(contents.len().max(start + length), 0);
            contents[start..start + length]
                .copy_from_slice(std::slice::from_raw_parts(buffer, length));
        });
        finish(block, STATUS_SUCCESS, length)
    }
}

/// `ZwQueryInformationFile`, for FileStandardInformation. At PASSIVE.
///
/// # Safety
///
/// `length` bytes of `information` can be written, and so can the block.
unsafe extern "efiapi" fn query(
    file: HANDLE,
    block: *mut IO_STATUS_BLOCK,
    information: *mut u64,
    length: u32,
    class: i32,
) -> NTSTATUS {
    // Allocation size, end of file, links, delete pending, directory.
    const BYTES: usize = 24;
    enter("ZwQueryInformationFile", PASSIVE_LEVEL);
    let Some(name) = name_of(file) else {
        return STATUS_INVALID_HANDLE;
    };
    let size = FILES.with(|files| files.get(&name).map_or(0, Vec::len)) as u64;
    // SAFETY: by contract.
    unsafe {
        if class != STANDARD {
            return finish(block, STATUS_INVALID_PARAMETER, 0);
        }
        if (length as usize) < BYTES {
            return finish(block, STATUS_BUFFER_TOO_SMALL, 0);
        }
        information.write(size.next_multiple_of(4096));
        information.add(1).write(size);
        information.add(2).write(1);
        finish(block, STATUS_SUCCESS, BYTES)
    }
}
