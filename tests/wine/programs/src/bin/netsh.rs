//! A small netsh: loads the helpers that are registered, offers them the functions that netsh offers,
//! and runs one command.

#[cfg(windows)]
#[path = "../netsh/mod.rs"]
mod host;

#[cfg(windows)]
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    std::process::exit(host::run(&words).cast_signed());
}

#[cfg(not(windows))]
fn main() {
    eprintln!("this program is for Windows");
}
