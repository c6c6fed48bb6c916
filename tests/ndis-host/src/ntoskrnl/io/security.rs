//! Who may open a device: the part of SDDL that device objects have (Microsoft Learn, "SDDL for
//! Device Objects").

/// A program, by what its user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A service of the system.
    System,
    /// A program that was started with an administrator's rights.
    Administrator,
    /// Any other program of a user who has logged on.
    User,
}

/// Rights of an open file that control codes ask for: FILE_READ_ACCESS and FILE_WRITE_ACCESS.
pub(super) const READ: u32 = 1;
pub(super) const WRITE: u32 = 2;

/// A security descriptor: who has which of these rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Security(Vec<(String, u32)>);

impl Security {
    /// Reads a descriptor of the form `D:P(A;;Access;;;SID)...`; `None`: it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix("D:P")?;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let (entry, more) = rest.strip_prefix('(')?.split_once(')')?;
            let fields: Vec<_> = entry.split(';').collect();
            let ["A", "", access, "", "", sid] = fields[..] else {
                return None;
            };
            entries.push((sid.to_owned(), rights(access)?));
            rest = more;
        }
        (!entries.is_empty()).then_some(Self(entries))
    }

    /// The rights of a program.
    pub(super) fn rights_of(&self, who: Who) -> u32 {
        let entries = self.0.iter().filter(|(sid, _)| is_member(who, sid));
        entries.fold(0, |all, (_, rights)| all | rights)
    }
}

/// The rights that an access string of two-letter codes gives, among those that count here.
fn rights(access: &str) -> Option<u32> {
    let mut rights = 0;
    let mut rest = access;
    while !rest.is_empty() {
        rights |= match rest.get(..2)? {
            "GA" => READ | WRITE,
            "GR" => READ,
            "GW" => WRITE,
            "GX" | "RC" | "SD" | "WD" | "WO" => 0,
            _ => return None,
        };
        rest = &rest[2..];
    }
    (!access.is_empty()).then_some(rights)
}

fn is_member(who: Who, sid: &str) -> bool {
    match sid {
        "SY" => who == Who::System,
        // Local System is one of the administrators, too.
        "BA" => who != Who::User,
        "BU" | "IU" => who != Who::System,
        "AU" | "WD" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_go_to_whom_they_are_given() {
        let security = Security::parse("D:P(A;;GA;;;SY)(A;;GRRC;;;BA)").expect("well-formed");
        assert_eq!(security.rights_of(Who::System), READ | WRITE);
        assert_eq!(security.rights_of(Who::Administrator), READ);
        assert_eq!(security.rights_of(Who::User), 0);
        let all = Security::parse("D:P(A;;GR;;;WD)").expect("well-formed");
        assert_eq!(all.rights_of(Who::User), READ);
    }

    #[test]
    fn what_device_objects_do_not_have_is_refused() {
        for text in [
            "",
            "D:P",
            "D:(A;;GA;;;SY)",
            "D:P(D;;GA;;;SY)",
            "D:P(A;OI;GA;;;SY)",
            "D:P(A;;;;;SY)",
            "D:P(A;;QQ;;;SY)",
            "D:P(A;;GA;;;SY",
            "D:P(A;;GA;;;SY)x",
        ] {
            assert_eq!(Security::parse(text), None, "{text}");
        }
    }
}
