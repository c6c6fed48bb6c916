//! QEMU's command line.

use super::inherited::{Inherited, InheritedCable};
use super::{CardOptions, Failover, MachineOptions, Memory};
use crate::bus::Port;
use crate::hotplug::Style;

/// The arguments for a machine of these options, with these descriptors.
pub(super) fn arguments(
    inherited: &Inherited,
    memory: Memory<'_>,
    options: &MachineOptions,
) -> Vec<String> {
    let mut arguments = machine(inherited, memory, options);
    for (number, cable) in inherited.cables.iter().enumerate() {
        let slot = Port::at(number).slot();
        let pairs = [
            (
                "-device",
                format!(
                    "pcie-root-port,id=port{number},bus=pcie.0,addr={slot:#x},chassis={slot},slot={slot}"
                ),
            ),
            ("-netdev", netdev(number, cable)),
        ];
        arguments.extend(pairs);
        if !cable.is_tap {
            // Of several queues QEMU captures nothing.
            let dump = format!(
                "filter-dump,id=dump{number},netdev=wire{number},file=/proc/self/fd/{}",
                cable.capture
            );
            arguments.push(("-object", dump));
        }
    }
    // In this order: a primary in front of its standby would be there from the start.
    for (number, card) in options.cards.iter().enumerate() {
        if let Some(card) = card {
            arguments.push(("-device", device(number, card)));
        }
    }
    let plain = ["-nodefaults", "-no-user-config"].map(str::to_owned);
    let pairs = arguments
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value]);
    plain.into_iter().chain(pairs).collect()
}

fn machine(
    inherited: &Inherited,
    memory: Memory<'_>,
    options: &MachineOptions,
) -> Vec<(&'static str, String)> {
    let Inherited {
        memory: ram,
        rom,
        qtest,
        monitor,
        ..
    } = inherited;
    let Memory { low, whole, .. } = memory;
    let mut pairs = vec![
        ("-accel", "tcg".to_owned()),
        (
            "-machine",
            format!("q35,memory-backend=ram0,max-ram-below-4g={low}"),
        ),
        ("-m", format!("{}M", whole >> 20)),
        ("-smp", "1".to_owned()),
        ("-display", "none".to_owned()),
        ("-bios", format!("/proc/self/fd/{rom}")),
        ("-d", "guest_errors".to_owned()),
        (
            "-object",
            format!(
                "memory-backend-file,id=ram0,size={whole},mem-path=/proc/self/fd/{ram},share=on"
            ),
        ),
        ("-chardev", format!("socket,id=qtest0,fd={qtest}")),
        (
            "-object",
            "qtest,id=server0,chardev=qtest0,log=none".to_owned(),
        ),
        ("-chardev", format!("socket,id=monitor0,fd={monitor}")),
        ("-mon", "chardev=monitor0,mode=control".to_owned()),
    ];
    if options.hotplug == Style::Native {
        let global = "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off";
        pairs.push(("-global", global.to_owned()));
    }
    if options.incoming {
        pairs.push(("-incoming", "defer".to_owned()));
    }
    pairs
}

/// The cable of port `number`, as `-netdev` takes it.
fn netdev(number: usize, cable: &InheritedCable) -> String {
    let wires: Vec<_> = cable.wires.iter().map(ToString::to_string).collect();
    let wires = wires.join(":");
    if cable.is_tap {
        format!("tap,id=wire{number},fds={wires},vhost=off")
    } else {
        format!("dgram,id=wire{number},local.type=fd,local.str={wires}")
    }
}

/// The card behind port `number`, as `-device` takes it.
fn device(number: usize, card: &CardOptions) -> String {
    let mac = super::address(card.mac);
    let packed = if card.packed { "on" } else { "off" };
    // The option ROM is of no use, comes in a package of its own, and would not migrate.
    let mut device = format!(
        "virtio-net-pci,id={},bus=port{number},netdev=wire{number},mac={mac},disable-legacy=on,\
         romfile=,packed={packed}",
        card.id
    );
    match &card.failover {
        Failover::None => {}
        Failover::Standby => device.push_str(",failover=on"),
        Failover::PrimaryOf(standby) => {
            device.push_str(",failover_pair_id=");
            device.push_str(standby);
        }
    }
    for property in &card.properties {
        device.push(',');
        device.push_str(property);
    }
    device
}
