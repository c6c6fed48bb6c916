//! What happens to a configuration besides installers: adapters arrive, users tick boxes, other
//! programs hold the lock.

#[cfg(windows)]
#[path = "../tool/mod.rs"]
mod tool;

#[cfg(windows)]
fn main() -> std::process::ExitCode {
    tool::main()
}

#[cfg(not(windows))]
fn main() {
    eprintln!("this program is for Windows");
}
