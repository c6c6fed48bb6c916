//! NdisOpenFile and its kin: firmware images and the like, in the drivers' folder.

use std::ffi::c_void;
use std::ptr;

use ndis_sys::{
    NDIS_HANDLE, NDIS_PHYSICAL_ADDRESS, NDIS_STATUS, NDIS_STATUS_SUCCESS, UNICODE_STRING,
};

use crate::ndis::call::{Level, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::text;
use crate::ntoskrnl::io::files;
use crate::sched::BatonCell;
use crate::verifier;

/// NDIS_STATUS_FILE_NOT_FOUND.
const FILE_NOT_FOUND: NDIS_STATUS = 0xC001_001B_u32 as NDIS_STATUS;
/// NDIS_STATUS_ALREADY_MAPPED.
const ALREADY_MAPPED: NDIS_STATUS = 0xC001_001D_u32 as NDIS_STATUS;

/// An open file, wholly in memory.
pub(crate) struct File {
    handle: u64,
    contents: &'static [u8],
    mapped: BatonCell<bool>,
}

impl Object for File {
    const KIND: Kind = Kind::File;
}

/// The routines of this module: name and address.
pub(super) fn exports() -> Vec<(&'static str, usize)> {
    vec![
        ("NdisOpenFile", open as *const () as usize),
        ("NdisCloseFile", close as *const () as usize),
        ("NdisMapFile", map as *const () as usize),
        ("NdisUnmapFile", unmap as *const () as usize),
    ]
}

/// Microsoft Learn, NdisOpenFile function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The name is valid; the others can be written.
unsafe extern "efiapi" fn open(
    status: *mut NDIS_STATUS,
    file_handle: *mut NDIS_HANDLE,
    length: *mut u32,
    name: *mut UNICODE_STRING,
    _highest: NDIS_PHYSICAL_ADDRESS,
) {
    import("NdisOpenFile", Level::Passive);
    // SAFETY: by contract.
    unsafe {
        let Some(contents) = files::contents(&text::read(name)) else {
            status.write(FILE_NOT_FOUND);
            return;
        };
        let contents: &'static [u8] = Box::leak(contents.into_boxed_slice());
        let file = handles::create(|handle| File {
            handle,
            contents,
            mapped: BatonCell::new(false),
        });
        file_handle.write(handles::raw(file.handle));
        length.write(contents.len() as u32);
        status.write(NDIS_STATUS_SUCCESS);
    }
}

/// Microsoft Learn, NdisCloseFile function (ndis.h). IRQL = PASSIVE_LEVEL.
unsafe extern "efiapi" fn close(file_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisCloseFile";
    import(CALL, Level::Passive);
    let file: &'static File = handles::resolve(file_handle, CALL);
    handles::close(file.handle, CALL);
}

/// Microsoft Learn, NdisMapFile function (ndis.h). IRQL <= DISPATCH_LEVEL. One mapping at a time.
///
/// # Safety
///
/// `status` and `buffer` can be written.
unsafe extern "efiapi" fn map(
    status: *mut NDIS_STATUS,
    buffer: *mut *mut c_void,
    file_handle: NDIS_HANDLE,
) {
    const CALL: &str = "NdisMapFile";
    import(CALL, Level::UpToDispatch);
    let file: &'static File = handles::resolve(file_handle, CALL);
    let was_mapped = file.mapped.with(|mapped| std::mem::replace(mapped, true));
    // SAFETY: by contract.
    unsafe {
        if was_mapped {
            status.write(ALREADY_MAPPED);
            buffer.write(ptr::null_mut());
        } else {
            buffer.write(file.contents.as_ptr().cast_mut().cast());
            status.write(NDIS_STATUS_SUCCESS);
        }
    }
}

/// Microsoft Learn, NdisUnmapFile function (ndis.h). IRQL <= DISPATCH_LEVEL.
unsafe extern "efiapi" fn unmap(file_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisUnmapFile";
    import(CALL, Level::UpToDispatch);
    let file: &'static File = handles::resolve(file_handle, CALL);
    let was_mapped = file.mapped.with(|mapped| std::mem::replace(mapped, false));
    verifier::require(219, was_mapped, || {
        format!("{CALL}: the file is not mapped")
    });
}
