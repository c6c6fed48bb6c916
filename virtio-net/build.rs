//! Builds a deliberate fault in, if the mutation suite asks for one: a `cfg(mutant)`.
//!
//! By a variable and not by a flag of the compiler, so that only the crate with the fault, and what is
//! built on it, has to be compiled anew.

fn main() {
    const VARIABLE: &str = "VIRTIO_NET_MUTANT";
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    if let Ok(name) = std::env::var(VARIABLE) {
        println!("cargo::rustc-cfg=mutant=\"{name}\"");
    }
}
