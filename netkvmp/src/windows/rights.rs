//! Administrator rights.

use windows::Win32::Security::{
    CheckTokenMembership, CreateWellKnownSid, PSID, SECURITY_MAX_SID_SIZE,
    WinBuiltinAdministratorsSid,
};
use windows::core::BOOL;

/// Tells whether the process acts as a member of Administrators. A process of an administrator that
/// was not started "as administrator" has the group for denial only, and does not.
pub(super) fn is_elevated() -> bool {
    let mut sid = [0u8; SECURITY_MAX_SID_SIZE as usize];
    let mut size = SECURITY_MAX_SID_SIZE;
    let administrators = PSID(sid.as_mut_ptr().cast());
    // SAFETY: the buffer has the size that is said.
    let made = unsafe {
        CreateWellKnownSid(
            WinBuiltinAdministratorsSid,
            None,
            Some(administrators),
            &raw mut size,
        )
    };
    let mut is_member = BOOL(0);
    // SAFETY: the SID is whole if it was made, and `is_member` is a place for a flag. Without a token, it
    // is the thread's own that counts.
    made.is_ok()
        && unsafe { CheckTokenMembership(None, administrators, &raw mut is_member) }.is_ok()
        && is_member.as_bool()
}
