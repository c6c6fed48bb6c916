//! Compiles the C between DPDK and us, if the feature `dpdk` asks for it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "dpdk")]
    dpdk::build();
}

#[cfg(feature = "dpdk")]
mod dpdk {
    use std::process::Command;

    const SHIM: &str = "src/driver/dpdk.c";

    pub(crate) fn build() {
        println!("cargo:rerun-if-changed={SHIM}");
        let mut build = cc::Build::new();
        build.file(SHIM).opt_level(3).warnings(false);
        for flag in pkg_config("--cflags") {
            build.flag(flag);
        }
        build.compile("ring_bench_dpdk");
        for flag in pkg_config("--libs") {
            if let Some(library) = flag.strip_prefix("-l") {
                println!("cargo:rustc-link-lib=dylib={library}");
            } else if let Some(folder) = flag.strip_prefix("-L") {
                println!("cargo:rustc-link-search=native={folder}");
            }
        }
    }

    fn pkg_config(what: &str) -> Vec<String> {
        let output = Command::new("pkg-config").args([what, "libdpdk"]).output();
        let output = output.expect("pkg-config starts");
        assert!(
            output.status.success(),
            "pkg-config finds no libdpdk; to have it: apt-get install libdpdk-dev"
        );
        let flags = String::from_utf8(output.stdout).expect("flags as text");
        flags.split_whitespace().map(str::to_owned).collect()
    }
}
