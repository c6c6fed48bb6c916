//! Drivers that are not netkvm, under the same judge: lightproto.sys on loopback.sys.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use ndis_host::inf::Inf;
use ndis_host::pnp::{self, DeviceId, DriverId};
use ndis_host::{Config, ntoskrnl, sched};

use crate::world::{Ending, MILLISECOND_NS, SECOND_NS};

/// Frames that lightproto sends on each binding in its life.
const FRAMES: u32 = 200;
const PROTOCOL_SERVICE: &str = "LIGHTPROTO";
const PROTOCOL_INF: &str = r#"
[Version]
Signature = "$Windows NT$"
Class     = NetTrans
ClassGuid = {4D36E975-E325-11CE-BFC1-08002BE10318}
Provider  = %Name%

[Manufacturer]
%Name% = Protocols, NTamd64

[Protocols.NTamd64]
%Name% = Install, LIGHTPROTO

[Install]
Characteristics = 0
AddReg = Ndi

[Ndi]
HKR, Ndi, Service, 0, "LIGHTPROTO"
HKR, Ndi\Interfaces, UpperRange, 0, "noupper"
HKR, Ndi\Interfaces, LowerRange, 0, "ndis5"

[Install.Services]
AddService = LIGHTPROTO, , Service

[Service]
ServiceType   = 1
StartType     = 3
ErrorControl  = 1
ServiceBinary = %13%\lightproto.sys

[Strings]
Name = "Light protocol"
"#;

/// What lightproto says when an adapter is unbound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    sent: u32,
    completed: u32,
    returned: u32,
}

/// Runs both drivers from their load to their unload, with everything in between that the seed
/// chooses. `folder` has the images. Once per process.
///
/// # Errors
///
/// An image can't be loaded, or a driver did not pass; why.
pub fn run(folder: &Path, seed: u64) -> Result<()> {
    let config = Config {
        seed,
        ..Config::default()
    };
    ndis_host::start(&config)?;
    let protocol_first = sched::chance(2);
    let mut protocol = None;
    if protocol_first {
        protocol = Some(load(folder, "lightproto.sys", PROTOCOL_SERVICE)?);
    }
    let miniport = load(folder, "loopback.sys", "loopback")?;
    let adapters = 1 + sched::random_below(2);
    let devices: Vec<_> = (0..adapters)
        .map(|number| pnp::add_root_device(&format!("Loopback {number}"), &[], miniport))
        .collect();
    for device in &devices {
        start(*device)?;
    }
    let protocol = match protocol {
        Some(protocol) => protocol,
        None => load(folder, "lightproto.sys", PROTOCOL_SERVICE)?,
    };
    let inf = Inf::parse(PROTOCOL_INF).context("the INF of the protocol")?;
    let component = pnp::install_protocol(&inf, PROTOCOL_SERVICE, &devices)?;
    pnp::settle();

    disturb(&devices)?;
    sched::sleep(50 * MILLISECOND_NS);

    if sched::chance(2) {
        devices.into_iter().for_each(pnp::remove_device);
        pnp::unload_driver(miniport);
        pnp::uninstall_protocol(component);
        pnp::unload_driver(protocol);
    } else {
        pnp::uninstall_protocol(component);
        pnp::unload_driver(protocol);
        devices.into_iter().for_each(pnp::remove_device);
        pnp::unload_driver(miniport);
    }
    check()
}

fn load(folder: &Path, image: &str, service: &str) -> Result<DriverId> {
    pnp::load_driver_file(&folder.join(image), service)
}

fn start(device: DeviceId) -> Result<()> {
    let started = pnp::start_device(device);
    ensure!(started.is_ok(), "loopback does not start: {started:x?}");
    Ok(())
}

/// Pauses, restarts, disabling and enabling, while frames are under way.
fn disturb(devices: &[DeviceId]) -> Result<()> {
    for _ in 0..sched::random_below(6) {
        sched::sleep(sched::random_below(MILLISECOND_NS));
        let device = devices[sched::random_below(devices.len() as u64) as usize];
        if sched::chance(4) {
            pnp::disable_device(device);
            start(device)?;
            pnp::settle();
        } else {
            pnp::pause_stack(device);
            sched::sleep(sched::random_below(MILLISECOND_NS));
            pnp::restart_stack(device);
        }
    }
    Ok(())
}

/// What went out came back complete; nothing came back that did not go out; the judge is content.
fn check() -> Result<()> {
    let ending = Ending::so_far();
    ensure!(ending.is_clean(), "{ending}");
    let output = ntoskrnl::debug_output();
    let counts: Vec<Counts> = output.iter().filter_map(|line| parse(line)).collect();
    ensure!(!counts.is_empty(), "lightproto said nothing: {output:?}");
    for count in counts {
        let Counts {
            sent,
            completed,
            returned,
        } = count;
        ensure!(sent > 0 && sent <= FRAMES, "{count:?}");
        ensure!(completed == sent, "{count:?}: a send was not completed");
        ensure!(returned <= sent, "{count:?}: more came back than went out");
    }
    ensure!(sched::now() < 60 * SECOND_NS, "it took a minute");
    Ok(())
}

fn parse(line: &str) -> Option<Counts> {
    let rest = line.strip_prefix("lightproto: sent ")?;
    let (sent, rest) = rest.split_once(", completed ")?;
    let (completed, returned) = rest.split_once(", returned ")?;
    Some(Counts {
        sent: sent.parse().ok()?,
        completed: completed.parse().ok()?,
        returned: returned.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let counts = parse("lightproto: sent 3, completed 2, returned 1");
        assert_eq!(
            counts,
            Some(Counts {
                sent: 3,
                completed: 2,
                returned: 1
            })
        );
        assert_eq!(parse("lightproto: sent x"), None);
    }
}
