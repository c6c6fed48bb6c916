//! What the driver says, as programs show it and act on it. Its answers are the real driver's, from the
//! test host, but for those that no driver of this version gives.

use anyhow::{Context, Result, anyhow};
use control_device::{AdapterRecord, QUERY_ADAPTERS, Request, Written, write};
use serde_json::Value;
use wine_host::{Answer, Asked, Machine, Network, ask};

use crate::bindings::twins;
use crate::{FREE, TAKEN, furnish, installed, paths};

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

/// `query --json`, which succeeds: all of it, and the adapter.
fn query(machine: &Machine) -> Result<(Value, Value)> {
    let ran = machine.netkvmp(&["query", "--json"])?;
    anyhow::ensure!(ran.code == 0, "{ran:?}");
    let status: Value = serde_json::from_str(&ran.out)?;
    let adapter = status.pointer("/adapters/0").context("no adapter")?.clone();
    Ok((status, adapter))
}

/// A machine with a NetKVM adapter and a twin of it, both of which run, and VIOPROT.
fn installed_on_twins() -> Result<(Machine, String)> {
    let (machine, virtio, other) = twins()?;
    furnish(&machine, &virtio, &other)?;
    installed(&machine)?;
    Ok((machine, other))
}

#[test]
fn query_shows_path_and_reason_of_each_situation() -> Result<()> {
    let (machine, _) = installed_on_twins()?;
    for (situation, path, link, reason) in [
        ("vf", "vf", "up", ""),
        ("virtio", "virtio", "up", "link is down"),
        ("none", "none", "down", "has not noticed it"),
        ("not-standby", "virtio", "up", "VIRTIO_NET_F_STANDBY"),
        (
            "small-mtu",
            "virtio",
            "up",
            "MTU, 1280, is smaller than the adapter's, 1500;",
        ),
        ("two-adapters", "vf", "up", ""),
    ] {
        machine.driver_says(situation)?;
        let (status, adapter) = query(&machine)?;
        let told = format!("{situation}: {status}");
        assert_eq!(adapter["path"], path, "{told}");
        assert_eq!(adapter["link"], link, "{told}");
        assert_eq!(adapter["mtu"], 1500, "{told}");
        assert_eq!(adapter["mac"], "52-54-00-12-34-56", "{told}");
        match adapter["why_not"].as_str() {
            Some(why) => assert!(!reason.is_empty() && why.contains(reason), "{told}"),
            None => assert_eq!(reason, "", "{told}"),
        }
        let says = match situation {
            "none" => "runs 1 adapter, without the protocol",
            "two-adapters" => "runs 2 adapters, with the protocol",
            "not-standby" => "runs 1 adapter, without the protocol",
            _ => "runs 1 adapter, with the protocol",
        };
        assert_eq!(status["driver"], says, "{told}");
    }
    Ok(())
}

/// Wine makes a LUID of an interface's index in Linux, as the test host does of its own.
#[test]
fn adapter_and_function_are_known_by_their_luids() -> Result<()> {
    let asked = Asked {
        code: QUERY_ADAPTERS,
        room: 100,
        input: Request::CURRENT.version.to_ne_bytes().into(),
    };
    let answer = ask("vf", &asked)?.output;
    let answer = control_device::Answer::read(&answer).map_err(|_| anyhow!("no answer"))?;
    let record = answer.adapters().next().context("no adapter")?;
    let index = |luid: u64| luid >> 24 & 0xff_ffff;
    let machine = Machine::on(Network::of(&[
        (index(record.luid), "02:00:00:00:00:01"),
        (index(record.vf_luid), "02:00:00:00:00:02"),
    ])?)?;
    let table = machine.tool(&["interfaces"])?;
    let find = |name: &str| {
        let line = table.lines().find(|line| line.ends_with(name));
        let instance = line.and_then(|line| line.split(' ').next());
        instance.with_context(|| format!("no {name} in {table}"))
    };
    furnish(&machine, find("nic0")?, find("nic1")?)?;
    machine.driver_says("vf")?;
    let (status, adapter) = query(&machine)?;
    assert_eq!(adapter["path"], "vf", "{status}");
    assert_eq!(adapter["mac"], "02-00-00-00-00-01", "{status}");
    assert_eq!(
        adapter["vf"], r"PCI\VEN_10EC&DEV_8168&SUBSYS_00000000&REV_02",
        "{status}"
    );
    Ok(())
}

#[test]
fn query_shows_in_text_what_the_driver_says() -> Result<()> {
    let (machine, virtio, other) = twins()?;
    furnish(&machine, &virtio, &other)?;
    machine.driver_says("none")?;
    let ran = machine.netkvmp(&["query"])?;
    insta::assert_snapshot!(ran.out);
    Ok(())
}

/// Each is told for what it is; what the configuration knows is shown all the same, and `query` succeeds.
#[test]
fn a_driver_that_can_not_be_asked_is_told() -> Result<()> {
    let (machine, _) = installed_on_twins()?;
    type Change = fn(&mut Answer);
    let changes: [(&str, &str, Change); 6] = [
        ("of another version", "understand", |answer| {
            answer.output[0] += 1
        }),
        ("cut short by a byte", "understand", |answer| {
            answer.output.pop();
        }),
        ("without a whole header", "understand", |answer| {
            answer.output.truncate(15)
        }),
        // STATUS_INVALID_PARAMETER, STATUS_INVALID_DEVICE_REQUEST, STATUS_ACCESS_DENIED. Wine knows no
        // access rights of devices, and so the refusal comes with the request.
        ("a refused version", "understand", |answer| {
            answer.status = 0xc000_000d
        }),
        ("a refused request", "understand", |answer| {
            answer.status = 0xc000_0010
        }),
        ("for administrators", "Run as administrator", |answer| {
            answer.status = 0xc000_0022
        }),
    ];
    for (name, part, change) in changes {
        machine.driver_answers(|asked| {
            let mut answer = ask("vf", asked)?;
            change(&mut answer);
            Ok(answer)
        })?;
        let (status, adapter) = query(&machine)?;
        let says = status["driver"].as_str().context("no text")?;
        assert!(says.contains(part), "{name}: {says}");
        assert!(says.contains("is not known here"), "{name}: {says}");
        assert!(adapter["path"].is_null(), "{name}: {status}");
        assert!(adapter["vf"].is_string(), "{name}: {status}");
    }
    // So it is for whom the driver denies it to.
    let tool = r"C:\pkg\netcfg-tool.exe";
    let ran = machine.run(&[tool, "limited", r"C:\pkg\netkvmp.exe", "query"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("Run as administrator"), "{ran:?}");
    Ok(())
}

#[test]
fn all_adapters_of_a_driver_with_many_are_asked_for() -> Result<()> {
    let (machine, _) = installed_on_twins()?;
    let record = |number: u8| AdapterRecord {
        luid: number.into(),
        // The last one is ours.
        mac: if number == 40 {
            MAC
        } else {
            [2, 0, 0, 0, 0, number]
        },
        mtu: 1000 + u32::from(number),
        ..AdapterRecord::default()
    };
    let answer = |asked: &Asked| {
        let mut output = vec![0; asked.room];
        let (status, length) = match write(&mut output, true, (1..=40).map(record)) {
            Written::All(length) => (0, length),
            Written::Part(length) => (0x8000_0005, length),
            Written::Nothing => (0xc000_0023, 0),
        };
        output.truncate(length);
        Ok(Answer { status, output })
    };
    machine.driver_answers(answer)?;
    let (status, adapter) = query(&machine)?;
    assert_eq!(status["driver"], "runs 40 adapters, with the protocol");
    assert_eq!(adapter["mtu"], 1040, "{status}");
    Ok(())
}

#[test]
fn only_the_address_of_a_standby_makes_a_function() -> Result<()> {
    let (machine, virtio, other) = twins()?;
    furnish(&machine, &virtio, &other)?;
    machine.driver_says("not-standby")?;
    installed(&machine)?;
    assert_eq!(paths(&machine, &other)?, FREE);
    assert_eq!(paths(&machine, &virtio)?, FREE);
    let gone = machine.netkvmp(&["uninstall"])?;
    assert_eq!(gone.code, 0, "{gone:?}");
    machine.driver_says("virtio")?;
    installed(&machine)?;
    assert_eq!(paths(&machine, &other)?, TAKEN);
    assert_eq!(paths(&machine, &virtio)?, FREE);
    Ok(())
}
