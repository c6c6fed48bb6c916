//! The control device, opened and asked.

use control_device::{PATH, QUERY_ADAPTERS, Request};
use windows::Win32::Foundation::{
    CloseHandle, ERROR_ACCESS_DENIED, ERROR_FILE_NOT_FOUND, ERROR_INVALID_FUNCTION,
    ERROR_INVALID_PARAMETER, ERROR_MORE_DATA, ERROR_NOT_SUPPORTED, ERROR_PATH_NOT_FOUND,
    GENERIC_READ, HANDLE, WIN32_ERROR,
};
use windows::Win32::Storage::FileSystem::{
    CreateFileW, FILE_FLAGS_AND_ATTRIBUTES, FILE_SHARE_READ, FILE_SHARE_WRITE, OPEN_EXISTING,
};
use windows::Win32::System::IO::DeviceIoControl;
use windows::core::{Error, HSTRING};

use super::conversation::{self, Filled};
use super::{Silence, Told};

/// Asks the driver for its adapters.
///
/// # Errors
///
/// Why it can't be asked.
pub fn ask() -> Result<Told, Silence> {
    let device = Device::open()?;
    conversation::hold(|room| device.exchange(room))
}

struct Device(HANDLE);

impl Device {
    fn open() -> Result<Self, Silence> {
        let path = HSTRING::from(PATH);
        // SAFETY: the name outlives the call; there are no attributes and no template.
        let opened = unsafe {
            CreateFileW(
                &path,
                GENERIC_READ.0,
                FILE_SHARE_READ | FILE_SHARE_WRITE,
                None,
                OPEN_EXISTING,
                FILE_FLAGS_AND_ATTRIBUTES(0),
                None,
            )
        };
        opened.map(Self).map_err(|error| silence(&error))
    }

    fn exchange(&self, room: &mut [u8]) -> Result<Filled, Silence> {
        let request = Request::CURRENT;
        let room_size = u32::try_from(room.len()).unwrap_or(u32::MAX);
        let mut length = 0;
        // SAFETY: the device is open for calls that wait; request, room and length outlive the call and
        // have the sizes that are said.
        let answered = unsafe {
            DeviceIoControl(
                self.0,
                QUERY_ADAPTERS,
                Some((&raw const request).cast()),
                size_of::<Request>() as u32,
                Some(room.as_mut_ptr().cast()),
                room_size,
                Some(&raw mut length),
                None,
            )
        };
        let length = length as usize;
        match answered {
            Ok(()) => Ok(Filled::All(length)),
            Err(error) if is(&error, ERROR_MORE_DATA) => Ok(Filled::Part(length)),
            Err(error) => Err(silence(&error)),
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and not used again. Nothing could be done about a failure.
        let _ = unsafe { CloseHandle(self.0) };
    }
}

fn is(error: &Error, code: WIN32_ERROR) -> bool {
    error.code() == code.to_hresult()
}

/// What an error means. A driver of another version refuses the request for its parameter
/// (STATUS_INVALID_PARAMETER), or as one that it does not know (STATUS_INVALID_DEVICE_REQUEST,
/// STATUS_NOT_SUPPORTED).
fn silence(error: &Error) -> Silence {
    const MEANINGS: [(WIN32_ERROR, Silence); 6] = [
        (ERROR_FILE_NOT_FOUND, Silence::NoDevice),
        (ERROR_PATH_NOT_FOUND, Silence::NoDevice),
        (ERROR_ACCESS_DENIED, Silence::Denied),
        (ERROR_INVALID_PARAMETER, Silence::OtherVersion),
        (ERROR_INVALID_FUNCTION, Silence::OtherVersion),
        (ERROR_NOT_SUPPORTED, Silence::OtherVersion),
    ];
    let known = MEANINGS.iter().find(|(code, _)| is(error, *code));
    known.map_or(Silence::Failed(error.code().0), |(_, meaning)| *meaning)
}
