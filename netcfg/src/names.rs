//! Names that the INFs, the registry and the engine agree on.

/// The component of our protocol, as `inf/vioprot.inf` names it.
pub const VIOPROT: &str = "VIOPROT";

/// What the notify object of our protocol keeps and reads, under HKEY_LOCAL_MACHINE.
pub const VIOPROT_SETTINGS: &str = r"SYSTEM\CurrentControlSet\Control\VioProt";

/// Key below the settings: for each adapter, by its instance identifier, a MULTI_SZ with the tokens of the
/// binding paths that were taken from it.
pub const WITHHELD: &str = "Withheld";

/// Key below the settings, gone with the next start of the system: while it is there, the protocol that is
/// removed is installed again at once.
pub const UPGRADING: &str = "Upgrading";

/// Setup class of network adapters, as the registry spells it.
pub const CLASS_NET: &str = "{4D36E972-E325-11CE-BFC1-08002BE10318}";

/// Setup class of network protocols.
pub const CLASS_NETTRANS: &str = "{4D36E975-E325-11CE-BFC1-08002BE10318}";

/// Hardware identifiers of the virtio-net device, modern and transitional, as `inf/netkvm.inf` names
/// them.
pub const NETKVM_DEVICES: [&str; 2] = ["ven_1af4&dev_1041", "ven_1af4&dev_1000"];

/// Tells whether `pnp_id`, a hardware identifier or a device instance path, contains `pattern` as
/// whole words; the case of ASCII letters does not matter. `ven_8086&dev_1515` is in
/// `PCI\VEN_8086&DEV_1515&SUBSYS_...`, `ven_8086&dev_151` is not. An empty pattern is in nothing.
#[must_use]
pub fn matches(pnp_id: &str, pattern: &str) -> bool {
    let id = pnp_id.to_ascii_lowercase();
    let pattern = pattern.to_ascii_lowercase();
    let joins = |side: Option<char>| side.is_some_and(char::is_alphanumeric);
    !pattern.is_empty()
        && id.match_indices(&pattern).any(|(at, found)| {
            let before = id.get(..at).and_then(|text| text.chars().next_back());
            let rest = at.checked_add(found.len()).and_then(|end| id.get(end..));
            let after = rest.and_then(|text| text.chars().next());
            !joins(before) && !joins(after)
        })
}

/// Tells whether the device is virtio's network card.
#[must_use]
pub fn is_netkvm(pnp_id: &str) -> bool {
    NETKVM_DEVICES.iter().any(|device| matches(pnp_id, device))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VF: &str = r"PCI\VEN_8086&DEV_1515&SUBSYS_00008086&REV_01\3&11583659&0&20";

    #[test]
    fn case_does_not_matter() {
        assert!(matches(VF, "ven_8086&dev_1515"));
        assert!(matches(VF, "VEN_8086&DEV_1515"));
    }

    #[test]
    fn a_pattern_is_whole_words() {
        assert!(!matches(VF, "ven_8086&dev_151"));
        assert!(!matches(VF, "en_8086&dev_1515"));
        assert!(!matches(VF, ""));
        assert!(!matches("", "ven_8086"));
    }

    #[test]
    fn a_later_place_counts_when_the_first_is_part_of_a_word() {
        assert!(matches("dev_15150&dev_1515", "dev_1515"));
    }

    #[test]
    fn both_virtio_devices_are_ours_and_others_of_the_vendor_are_not() {
        assert!(is_netkvm(
            r"PCI\VEN_1AF4&DEV_1041&SUBSYS_11001AF4&REV_01\3&1"
        ));
        assert!(is_netkvm(r"PCI\VEN_1AF4&DEV_1000&REV_00"));
        assert!(!is_netkvm(r"PCI\VEN_1AF4&DEV_1002&REV_00"));
        assert!(!is_netkvm(VF));
    }
}
