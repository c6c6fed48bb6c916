//! The commands. Each prints what a test reads, and fails loudly.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, io, thread};

use netcfg::{Apartment, Locked, Path, Removal, Session};
use windows::core::{Error, GUID, Result};
use windows_registry::LOCAL_MACHINE;

mod device;
mod driver;
mod interfaces;
mod limited;
mod state;

const NETWORK: &str = r"SYSTEM\CurrentControlSet\Control\Network";

pub(crate) fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match &words[..] {
        ["adapter", instance, pnp_id] => add_adapter(instance, pnp_id),
        ["component", instance, id, service, upper, lower] => {
            add_component(instance, id, service, upper, lower)
        }
        ["device", instance, number, inf] => device::add(instance, number, inf),
        ["remove-adapter", instance] => remove_adapter(instance),
        ["rescan"] => with_lock(|_| Ok(())),
        ["enable", token] => with_lock(|session| switch(session, token, true)),
        ["disable", token] => with_lock(|session| switch(session, token, false)),
        ["deinstall", id] => with_lock(|session| deinstall(session, id)),
        ["state"] => state::print(),
        ["hold-lock", name, seconds] => hold_lock(name, seconds),
        ["keep"] => keep(),
        ["interfaces"] => interfaces::print(),
        ["load-driver", image] => driver::load(image),
        ["asked"] => driver::print_asked(),
        ["answer", name, bytes] => driver::answer(name, bytes),
        ["limited", program, arguments @ ..] => return limited::run(program, arguments),
        _ => {
            eprintln!("unknown command: {words:?}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With its number: Wine has no text for many.
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

/// What the class installer writes for a new adapter.
fn add_adapter(instance: &str, pnp_id: &str) -> Result<()> {
    let hardware = pnp_id.rsplit_once('\\').map_or(pnp_id, |(id, _)| id);
    let path = format!(r"{NETWORK}\{}\{instance}", netcfg::names::CLASS_NET);
    write_component(&path, hardware, "nic", "ndis5", "ethernet")?;
    let key = LOCAL_MACHINE.create(format!(r"{path}\Connection"))?;
    key.set_string("PnpInstanceID", pnp_id)
}

/// A protocol that was always there.
fn add_component(instance: &str, id: &str, service: &str, upper: &str, lower: &str) -> Result<()> {
    let path = format!(r"{NETWORK}\{}\{instance}", netcfg::names::CLASS_NETTRANS);
    LOCAL_MACHINE.create(format!(r"SYSTEM\CurrentControlSet\Services\{service}"))?;
    write_component(&path, id, service, upper, lower)
}

fn write_component(path: &str, id: &str, service: &str, upper: &str, lower: &str) -> Result<()> {
    let key = LOCAL_MACHINE.create(path)?;
    key.set_string("ComponentId", id)?;
    key.set_string("Description", id)?;
    let ndi = key.create("Ndi")?;
    ndi.set_string("Service", service)?;
    let interfaces = ndi.create("Interfaces")?;
    interfaces.set_string("UpperRange", upper)?;
    interfaces.set_string("LowerRange", lower)
}

/// The device is gone, and its bindings with it.
fn remove_adapter(instance: &str) -> Result<()> {
    LOCAL_MACHINE.remove_tree(format!(
        r"{NETWORK}\{}\{instance}",
        netcfg::names::CLASS_NET
    ))
}

/// Opens the configuration for writing, lets the engine serve what is new, does `work` and applies.
fn with_lock(work: impl FnOnce(&Session<'_>) -> Result<()>) -> Result<()> {
    let apartment = Apartment::enter()?;
    let mut session = Session::open(&apartment)?;
    if let Locked::HeldBy(holder) = session.lock("netcfg-tool", Duration::from_secs(10))? {
        return Err(failure(&format!("the lock is held by {holder}")));
    }
    session.initialize()?;
    work(&session)?;
    session.apply()?;
    Ok(())
}

fn switch(session: &Session<'_>, token: &str, on: bool) -> Result<()> {
    for path in all_paths(session)? {
        if path.token()?.eq_ignore_ascii_case(token) {
            return path.enable(on);
        }
    }
    Err(failure(&format!("there is no path {token}")))
}

/// Another protocol goes, as its own setup would have it.
fn deinstall(session: &Session<'_>, id: &str) -> Result<()> {
    let component = session.find(id)?;
    let component = component.ok_or_else(|| failure(&format!("there is no component {id}")))?;
    let removal = session.deinstall(&netcfg::class::NETTRANS, &component)?;
    if let Removal::StillReferenced(by) = removal {
        return Err(failure(&format!("{id} is needed by {by}")));
    }
    Ok(())
}

fn all_paths(session: &Session<'_>) -> Result<Vec<Path>> {
    let mut paths = Vec::new();
    for adapter in session.components(&netcfg::class::NET)? {
        paths.extend(adapter.paths_above()?);
    }
    Ok(paths)
}

/// Says when it has the lock, and keeps it.
fn hold_lock(name: &str, seconds: &str) -> Result<()> {
    let apartment = Apartment::enter()?;
    let mut session = Session::open(&apartment)?;
    if session.lock(name, Duration::ZERO)? != Locked::Yes {
        return Err(failure("the lock is held already"));
    }
    println!("held");
    io::stdout()
        .flush()
        .map_err(|error| failure(&error.to_string()))?;
    let seconds = seconds.parse().map_err(|_| failure("seconds?"))?;
    thread::sleep(Duration::from_secs(seconds));
    Ok(())
}

/// Stays until standard input ends.
fn keep() -> Result<()> {
    println!("kept");
    io::stdout()
        .flush()
        .map_err(|error| failure(&error.to_string()))?;
    let ended = io::copy(&mut io::stdin(), &mut io::sink());
    ended.map(drop).map_err(|error| failure(&error.to_string()))
}

fn failure(text: &str) -> Error {
    Error::new(windows::Win32::Foundation::E_FAIL, text)
}

/// The registry's spelling of an instance identifier.
fn braced(guid: &GUID) -> String {
    format!("{{{guid:?}}}")
}
