//! The small netsh exports its functions from the program, as netsh does.

fn main() -> Result<(), std::env::VarError> {
    println!("cargo::rerun-if-changed=netsh.def");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("windows") {
        let folder = std::env::var("CARGO_MANIFEST_DIR")?;
        println!("cargo::rustc-link-arg-bin=netsh={folder}/netsh.def");
    }
    Ok(())
}
