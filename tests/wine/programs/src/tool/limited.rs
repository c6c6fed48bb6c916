//! Runs a program as Windows runs programs of an administrator that were not started "as
//! administrator": the group is in the token for denial only.

use std::process::ExitCode;

use windows::Win32::Foundation::{CloseHandle, HANDLE};
use windows::Win32::Security::{
    CREATE_RESTRICTED_TOKEN_FLAGS, CreateRestrictedToken, CreateWellKnownSid, PSID,
    SID_AND_ATTRIBUTES, TOKEN_ALL_ACCESS, WinBuiltinAdministratorsSid,
};
use windows::Win32::System::Threading::{
    CreateProcessAsUserW, GetCurrentProcess, GetExitCodeProcess, INFINITE, OpenProcessToken,
    PROCESS_CREATION_FLAGS, PROCESS_INFORMATION, STARTUPINFOW, WaitForSingleObject,
};
use windows::core::{HSTRING, PCWSTR, PWSTR, Result};

/// Exits as the program does.
pub(super) fn run(program: &str, arguments: &[&str]) -> ExitCode {
    match start(program, arguments) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => {
            eprintln!("{program} was not started: {error}");
            ExitCode::from(u8::MAX)
        }
    }
}

fn limited_token() -> Result<HANDLE> {
    let mut own = HANDLE::default();
    // SAFETY: `own` is a place for a handle.
    unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_ALL_ACCESS, &raw mut own) }?;
    let mut sid = [0u8; 68];
    let mut size = 68;
    let administrators = PSID(sid.as_mut_ptr().cast());
    // SAFETY: the buffer has the size that is said, the greatest of a SID.
    unsafe {
        CreateWellKnownSid(
            WinBuiltinAdministratorsSid,
            None,
            Some(administrators),
            &raw mut size,
        )
    }?;
    let denied = [SID_AND_ATTRIBUTES {
        Sid: administrators,
        Attributes: 0,
    }];
    let mut limited = HANDLE::default();
    // SAFETY: the token is open, the list outlives the call, and `limited` is a place for a handle.
    unsafe {
        CreateRestrictedToken(
            own,
            CREATE_RESTRICTED_TOKEN_FLAGS(0),
            Some(&denied),
            None,
            None,
            &raw mut limited,
        )
    }?;
    Ok(limited)
}

fn start(program: &str, arguments: &[&str]) -> Result<u32> {
    let token = limited_token()?;
    let line = format!("\"{program}\" {}", arguments.join(" "));
    let mut line: Vec<u16> = line.encode_utf16().chain([0]).collect();
    let program = HSTRING::from(program);
    let startup = STARTUPINFOW {
        cb: u32::try_from(size_of::<STARTUPINFOW>()).unwrap_or(0),
        ..STARTUPINFOW::default()
    };
    let mut started = PROCESS_INFORMATION::default();
    // SAFETY: all that is pointed to outlives the call; the command line may be written to.
    unsafe {
        CreateProcessAsUserW(
            Some(token),
            &program,
            Some(PWSTR(line.as_mut_ptr())),
            None,
            None,
            true,
            PROCESS_CREATION_FLAGS(0),
            None,
            PCWSTR::null(),
            &raw const startup,
            &raw mut started,
        )
    }?;
    let mut code = 0;
    // SAFETY: the handles are open; `code` is a place for a number.
    unsafe {
        WaitForSingleObject(started.hProcess, INFINITE);
        GetExitCodeProcess(started.hProcess, &raw mut code)?;
        CloseHandle(started.hThread)?;
        CloseHandle(started.hProcess)?;
        CloseHandle(token)?;
    }
    Ok(code)
}
