//! Walks the ABI tables and compares them with what the compiler made of the declarations;
//! shows that the comparison notices what is wrong; builds for the Windows targets.

#[path = "../../build/compare.rs"]
#[expect(dead_code, reason = "the build script reads more of the findings")]
mod compare;
#[path = "../../build/exceptions.rs"]
mod exceptions;
#[path = "../../build/rust_source.rs"]
#[expect(dead_code, reason = "the build script reads whole folders")]
mod rust_source;
#[path = "../../build/shapes.rs"]
mod shapes;
#[path = "../../build/tables.rs"]
#[expect(
    dead_code,
    reason = "the build script chooses the architecture by Cargo's name"
)]
mod tables;

mod agreement;
mod refusals;
mod targets;
mod walk;

/// The folder with the tables.
fn abi_folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("abi")
}
