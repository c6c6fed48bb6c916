//! The hardware identifiers of virtual functions.

/// The functions that are known without being told. Names after the PCI ID repository.
const BUILT_IN: [&str; 24] = [
    // Intel
    "ven_8086&dev_10ca", // 82576
    "ven_8086&dev_10ed", // 82599
    "ven_8086&dev_1515", // X540
    "ven_8086&dev_1520", // I350
    "ven_8086&dev_154c", // 700 series
    "ven_8086&dev_1565", // X550
    "ven_8086&dev_15a8", // X552
    "ven_8086&dev_15c5", // X553
    "ven_8086&dev_1889", // adaptive virtual function: E810 and later, iavf
    "ven_8086&dev_37cd", // X722
    // NVIDIA
    "ven_15b3&dev_1014", // ConnectX-4
    "ven_15b3&dev_1016", // ConnectX-4 Lx
    "ven_15b3&dev_1018", // ConnectX-5
    "ven_15b3&dev_101a", // ConnectX-5 Ex
    "ven_15b3&dev_101c", // ConnectX-6
    "ven_15b3&dev_101e", // ConnectX-6 Dx, ConnectX-7 and later
    "ven_15b3&dev_a2d3", // BlueField
    // Broadcom
    "ven_14e4&dev_1609", // BCM5745x
    "ven_14e4&dev_16af", // BCM57810
    "ven_14e4&dev_16d3", // NetXtreme-E
    "ven_14e4&dev_16dc", // NetXtreme-E: BCM57414
    "ven_14e4&dev_1806", // BCM5750x: BCM57508
    "ven_14e4&dev_1808", // BCM5750x
    // The same Broadcom function below that vendor's bus driver.
    r"bdrv\l2ndv&pci_16af14e4",
];

/// Which identifiers count as a virtual function's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VfList {
    has_defaults: bool,
    supported: Vec<String>,
}

impl VfList {
    /// The built-in list, unless `has_defaults` is false, and what the administrator adds.
    pub(crate) fn new(has_defaults: bool, supported: Vec<String>) -> Self {
        let supported = supported.iter().map(|id| id.trim().to_owned());
        Self {
            has_defaults,
            supported: supported.filter(|id| is_precise(id)).collect(),
        }
    }

    /// Tells whether `pnp_id` is on the list.
    pub(crate) fn has(&self, pnp_id: &str) -> bool {
        let built_in = BUILT_IN.iter().filter(|_| self.has_defaults).copied();
        let added = self.supported.iter().map(String::as_str);
        built_in
            .chain(added)
            .any(|pattern| netcfg::names::matches(pnp_id, pattern))
    }
}

/// Refuses what would take in half the adapters of the machine, such as `pci` or `ven_8086`: a
/// pattern has to name a device, too.
fn is_precise(pattern: &str) -> bool {
    pattern.contains('&')
}

#[cfg(test)]
mod tests {
    use super::*;

    const X540: &str = r"PCI\VEN_8086&DEV_1515&SUBSYS_00008086&REV_01\3&11583659&0&20";
    const E810: &str = r"PCI\VEN_8086&DEV_1889&SUBSYS_00008086&REV_02\3&11583659&0&28";
    const OTHER: &str = r"PCI\VEN_10EC&DEV_8168&SUBSYS_00008086&REV_02\3&11583659&0&28";

    #[test]
    fn known_functions_are_on_the_list_and_others_are_not() {
        let list = VfList::new(true, vec![]);
        assert!(list.has(X540));
        assert!(list.has(E810));
        assert!(list.has(r"BDRV\L2NDV&PCI_16AF14E4&SUBSYS_1\5&3"));
        assert!(!list.has(OTHER));
        assert!(!list.has(r"PCI\VEN_1AF4&DEV_1041&SUBSYS_11001AF4&REV_01\3&1"));
    }

    #[test]
    fn the_administrator_adds_to_the_list() {
        let list = VfList::new(true, vec![" VEN_10EC&DEV_8168 ".into()]);
        assert!(list.has(OTHER));
        assert!(list.has(X540));
    }

    #[test]
    fn without_defaults_only_the_administrators_list_counts() {
        let list = VfList::new(false, vec!["ven_10ec&dev_8168".into()]);
        assert!(list.has(OTHER));
        assert!(!list.has(X540));
    }

    #[test]
    fn a_pattern_that_names_no_device_is_ignored() {
        let list = VfList::new(
            false,
            vec!["".into(), "pci".into(), "ven_8086".into(), "PCI\\".into()],
        );
        assert!(!list.has(X540));
    }
}
