//! What the driver says, in words for the administrator.

use control_device::{AdapterRecord, Flags, Path, WhyNot};
use netcfg::driver::{Silence, Told};

/// What goes for want of the driver's word.
const WITHOUT: &str = "which path carries traffic is not known here; MAC and VF below are what the \
                       network configuration says";

/// What the driver says of itself, or why it says nothing. `words` has the system's words for an error.
pub(crate) fn of_itself(told: &Result<Told, Silence>, words: impl Fn(i32) -> String) -> String {
    let silence = match told {
        Ok(told) => return it_runs(told),
        Err(silence) => *silence,
    };
    let why = match silence {
        Silence::NoDevice => {
            "no control device: netkvm.sys is not loaded, or is an older version".into()
        }
        Silence::Denied => {
            "only administrators may ask netkvm.sys: start netkvmp from a command prompt \
                            that was opened with \"Run as administrator\""
                .into()
        }
        Silence::OtherVersion => {
            "netkvm.sys and this netkvmp do not understand each other: use the \
                                  netkvmp of the package that netkvm.sys is from"
                .into()
        }
        Silence::Failed(code) => format!("asking netkvm.sys failed: {}", words(code)),
    };
    format!("{why}; {WITHOUT}")
}

fn it_runs(told: &Told) -> String {
    let adapters = match told.adapters.len() {
        0 => "no adapter".into(),
        1 => "1 adapter".into(),
        count => format!("{count} adapters"),
    };
    let protocol = if told.protocol_installed {
        "with the protocol"
    } else {
        "without the protocol"
    };
    format!("runs {adapters}, {protocol}")
}

/// The path of an adapter's sends.
pub(crate) fn path(record: &AdapterRecord) -> Option<&'static str> {
    Some(match record.path()? {
        Path::None => "none",
        Path::Virtio => "virtio",
        Path::Vf => "vf",
        Path::Switching => "switching",
    })
}

/// The link that Windows sees.
pub(crate) fn link(record: &AdapterRecord) -> &'static str {
    if record.flags().contains(Flags::LINK_UP) {
        "up"
    } else {
        "down"
    }
}

/// What the network configuration makes of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Configured {
    /// VIOPROT is not installed.
    NotInstalled,
    /// The adapter tells no address.
    NotStarted,
    /// No other adapter has the address.
    NoTwin,
    /// VIOPROT's binding to the virtual function is disabled.
    Disabled,
    /// There is no such binding.
    Unbindable,
    /// VIOPROT is bound to the virtual function.
    Bound,
}

impl Configured {
    /// Why there is no pair.
    pub(crate) fn why_not(self) -> Option<&'static str> {
        Some(match self {
            Self::NotInstalled => "VIOPROT is not installed; run \"netkvmp install\"",
            Self::NotStarted => "the adapter has not started",
            Self::NoTwin => {
                "no other adapter has this address; give the virtual function the adapter's"
            }
            Self::Disabled => {
                "the binding of VIOPROT to the virtual function is disabled; enable it in the \
                 properties of that adapter"
            }
            Self::Unbindable => {
                "VIOPROT can't be bound to the virtual function; run \"netkvmp uninstall\", then \
                 \"netkvmp install\""
            }
            Self::Bound => return None,
        })
    }
}

/// Why an adapter's traffic does not run over a virtual function, and what to do about it.
pub(crate) fn why_not(record: &AdapterRecord, configured: Configured) -> Option<String> {
    let Some(reason) = record.why_not() else {
        let number = record.why_not;
        return Some(format!(
            "the driver has a reason that this netkvmp does not know (number {number}); use the netkvmp \
             of the driver's package"
        ));
    };
    Some(match reason {
        WhyNot::Carries => return None,
        WhyNot::NotStandby => {
            "the virtio device does not offer VIRTIO_NET_F_STANDBY; give it failover=on in QEMU".into()
        }
        WhyNot::NotInstalled => not_installed(configured).into(),
        WhyNot::NoVf => not_offered(configured).into(),
        WhyNot::MtuTooSmall(mtu) => format!(
            "the virtual function's MTU, {mtu}, is smaller than the adapter's, {}; enlarge it (Jumbo \
             Packet, in the properties of that adapter), or lessen the adapter's",
            record.mtu
        ),
        WhyNot::NotOpened(status) => format!(
            "the virtual function could not be opened (status {status:#010x}); disable and enable that \
             adapter"
        ),
        WhyNot::RefusedSetting(oid) => format!(
            "the virtual function refuses a setting that the adapter has (OID {oid:#010x}); update the \
             driver of that adapter"
        ),
        WhyNot::Paused => {
            "Windows has paused the virtual function; wait until the change of its bindings is done"
                .into()
        }
        WhyNot::Asleep => {
            "the virtual function is in a low-power state; keep Windows from turning it off (Power \
             Management, in the properties of that adapter)"
                .into()
        }
        WhyNot::Resetting => {
            "the virtual function is being reset; if it stays so, update the driver of that adapter"
                .into()
        }
        WhyNot::LinkDown => {
            "the virtual function's link is down; look at the physical function's link and the switch"
                .into()
        }
        WhyNot::NotRegistered(status) => format!(
            "Windows has not registered the protocol VIOPROT (status {status:#010x}); restart Windows"
        ),
        WhyNot::Settling => "the switch to the virtual function is under way; wait a moment".into(),
    })
}

fn not_installed(configured: Configured) -> &'static str {
    match configured.why_not() {
        Some(why) if configured == Configured::NotInstalled => why,
        _ => {
            "VIOPROT is installed, but the driver has not noticed it yet; if it stays so for a minute, \
             restart Windows"
        }
    }
}

/// The driver has no virtual function; the configuration may know more.
fn not_offered(configured: Configured) -> &'static str {
    configured.why_not().unwrap_or(
        "VIOPROT is bound to the virtual function, but the driver was not offered it; disable and \
         enable that adapter",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(reason: WhyNot) -> AdapterRecord {
        AdapterRecord {
            why_not: reason.code(),
            detail: reason.detail(),
            mtu: 9000,
            ..AdapterRecord::default()
        }
    }

    fn told(reason: WhyNot, configured: Configured) -> String {
        why_not(&record(reason), configured).expect("a reason")
    }

    #[test]
    fn each_reason_has_words_of_its_own() {
        let reasons = (0..100).filter_map(|code| WhyNot::from_code(code, 7));
        let mut all: Vec<String> = reasons
            .filter_map(|reason| why_not(&record(reason), Configured::Bound))
            .collect();
        // All but `Carries`.
        assert_eq!(all.len(), 12);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 12);
        assert_eq!(why_not(&record(WhyNot::Carries), Configured::NoTwin), None);
    }

    #[test]
    fn numbers_are_told() {
        let mtu = told(WhyNot::MtuTooSmall(1500), Configured::Bound);
        assert!(
            mtu.contains("MTU, 1500, is smaller than the adapter's, 9000;"),
            "{mtu}"
        );
        let status = told(WhyNot::NotOpened(0xc000_009a), Configured::Bound);
        assert!(status.contains("(status 0xc000009a)"), "{status}");
        let oid = told(WhyNot::RefusedSetting(0x0001_010e), Configured::Bound);
        assert!(oid.contains("(OID 0x0001010e)"), "{oid}");
    }

    #[test]
    fn the_configuration_says_why_the_driver_was_offered_no_function() {
        for configured in [
            Configured::NotInstalled,
            Configured::NotStarted,
            Configured::NoTwin,
            Configured::Disabled,
            Configured::Unbindable,
        ] {
            let why = told(WhyNot::NoVf, configured);
            assert_eq!(Some(why.as_str()), configured.why_not());
            // It knows nothing of what the driver does with a function.
            let down = told(WhyNot::LinkDown, configured);
            assert!(down.contains("link is down"), "{down}");
        }
        let why = told(WhyNot::NoVf, Configured::Bound);
        assert!(why.contains("was not offered"), "{why}");
    }

    #[test]
    fn a_protocol_that_the_driver_does_not_know_of_is_told() {
        let why = told(WhyNot::NotInstalled, Configured::NotInstalled);
        assert!(why.contains("netkvmp install"), "{why}");
        let why = told(WhyNot::NotInstalled, Configured::Bound);
        assert!(why.contains("restart Windows"), "{why}");
    }

    #[test]
    fn what_a_newer_driver_says_is_not_guessed() {
        let newer = AdapterRecord {
            path: 77,
            why_not: 99,
            ..AdapterRecord::default()
        };
        assert_eq!(path(&newer), None);
        let why = why_not(&newer, Configured::Bound).expect("a reason");
        assert!(why.contains("(number 99)"), "{why}");
    }

    #[test]
    fn each_silence_has_words_of_its_own() {
        let words = |code| format!("words for {code}");
        let said = |silence| of_itself(&Err(silence), words);
        for (silence, part) in [
            (Silence::NoDevice, "not loaded"),
            (Silence::Denied, "Run as administrator"),
            (Silence::OtherVersion, "understand"),
            (Silence::Failed(7), "failed: words for 7;"),
        ] {
            let said = said(silence);
            assert!(said.contains(part) && said.ends_with(WITHOUT), "{said}");
        }
        let told = |count, protocol_installed| {
            let adapters = vec![AdapterRecord::default(); count];
            of_itself(
                &Ok(Told {
                    protocol_installed,
                    adapters,
                }),
                words,
            )
        };
        assert_eq!(told(0, false), "runs no adapter, without the protocol");
        assert_eq!(told(1, true), "runs 1 adapter, with the protocol");
        assert_eq!(told(2, true), "runs 2 adapters, with the protocol");
    }
}
