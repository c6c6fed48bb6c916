//! GUIDs to and from text: `{00112233-4455-6677-8899-AABBCCDDEEFF}`.

use ndis_sys::{GUID, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, UNICODE_STRING};

use super::ansi;
use super::strings::words;
use crate::ntoskrnl::enter;
use crate::sched::PASSIVE_LEVEL;

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("RtlGUIDFromString", from_string as *const ()),
        ("RtlStringFromGUID", to_string as *const ()),
    ]
}

/// `RtlGUIDFromString`. At PASSIVE.
///
/// # Safety
///
/// `string` describes valid memory, `guid` can be written.
unsafe extern "efiapi" fn from_string(string: *const UNICODE_STRING, guid: *mut GUID) -> NTSTATUS {
    enter("RtlGUIDFromString", PASSIVE_LEVEL);
    // SAFETY: by contract.
    let text = String::from_utf16_lossy(unsafe { words(string) });
    let Some(parsed) = parse(&text) else {
        return STATUS_INVALID_PARAMETER;
    };
    // SAFETY: by contract.
    unsafe { guid.write(parsed) };
    STATUS_SUCCESS
}

fn parse(text: &str) -> Option<GUID> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let parts: Vec<&str> = inner.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    if lengths != [8, 4, 4, 4, 12] {
        return None;
    }
    let tail = u64::from_str_radix(&[parts[3], parts[4]].concat(), 16).ok()?;
    Some(GUID {
        Data1: u32::from_str_radix(parts[0], 16).ok()?,
        Data2: u16::from_str_radix(parts[1], 16).ok()?,
        Data3: u16::from_str_radix(parts[2], 16).ok()?,
        Data4: tail.to_be_bytes(),
    })
}

/// `RtlStringFromGUID`: the string's buffer is allocated, and freed by RtlFreeUnicodeString. At
/// PASSIVE.
///
/// # Safety
///
/// `guid` can be read, `string` be written. Called by a driver's code.
#[unsafe(naked)]
unsafe extern "efiapi" fn to_string(_guid: *const GUID, _string: *mut UNICODE_STRING) -> NTSTATUS {
    std::arch::naked_asm!("mov r8, [rsp]", "jmp {}", sym to_string_for)
}

unsafe extern "efiapi" fn to_string_for(
    guid: *const GUID,
    string: *mut UNICODE_STRING,
    caller: usize,
) -> NTSTATUS {
    enter("RtlStringFromGUID", PASSIVE_LEVEL);
    // SAFETY: by contract.
    let text = text(unsafe { &*guid });
    let words: Vec<u16> = text.encode_utf16().collect();
    // SAFETY: by contract.
    unsafe { ansi::allocate_unicode(string, &words, caller) }
}

fn text(guid: &GUID) -> String {
    let [a, b, tail @ ..] = guid.Data4;
    let tail: String = tail.iter().map(|byte| format!("{byte:02X}")).collect();
    format!(
        "{{{:08X}-{:04X}-{:04X}-{a:02X}{b:02X}-{tail}}}",
        guid.Data1, guid.Data2, guid.Data3
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_survives_the_way_to_text_and_back() {
        let written = "{F69513F1-8E1A-4F35-82D9-046406970E6D}";
        let guid = parse(written).expect("it is well-formed");
        assert_eq!(guid.Data1, 0xF695_13F1);
        assert_eq!(guid.Data4[7], 0x6D);
        assert_eq!(text(&guid), written);
        assert!(parse("{F69513F1-8E1A-4F35-82D9-046406970E6}").is_none());
        assert!(parse("F69513F1-8E1A-4F35-82D9-046406970E6D").is_none());
    }
}
