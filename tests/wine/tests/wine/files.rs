//! What the programs need of Windows: nothing that an administrator would have to install first.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use object::read::pe::PeFile64;

/// DLLs that every supported Windows has, in lower case. `msvcrt.dll` is Windows' own C runtime; those of
/// Visual C++ (`vcruntime140.dll`) and of MinGW (`libgcc_s_seh-1.dll`, `libwinpthread-1.dll`) are not here.
const OF_WINDOWS: [&str; 17] = [
    "advapi32.dll",
    "api-ms-win-core-synch-l1-2-0.dll",
    "api-ms-win-core-winrt-error-l1-1-0.dll",
    "bcryptprimitives.dll",
    "cfgmgr32.dll",
    "combase.dll",
    "iphlpapi.dll",
    "kernel32.dll",
    "ktmw32.dll",
    "msvcrt.dll",
    "ntdll.dll",
    "ole32.dll",
    "oleaut32.dll",
    "rpcrt4.dll",
    "setupapi.dll",
    "userenv.dll",
    "ws2_32.dll",
];

#[test]
fn no_redistributable_is_needed() -> Result<()> {
    for name in ["netkvmp.exe", "netkvmno.dll", "netkvmco.dll"] {
        let bytes = fs::read(wine_host::built(name)?)?;
        let mut others = imported(&bytes).with_context(|| name.to_owned())?;
        assert!(others.contains("kernel32.dll"), "{name}: {others:?}");
        others.retain(|dll| !OF_WINDOWS.contains(&dll.as_str()));
        assert!(others.is_empty(), "{name} needs {others:?}");
    }
    Ok(())
}

/// The DLLs that an image imports from, in lower case.
fn imported(bytes: &[u8]) -> Result<BTreeSet<String>> {
    let file = PeFile64::parse(bytes)?;
    let table = file.import_table()?.context("no imports")?;
    let mut descriptors = table.descriptors()?;
    let mut dlls = BTreeSet::new();
    while let Some(descriptor) = descriptors.next()? {
        let name = table.name(descriptor.name.get(object::LittleEndian))?;
        dlls.insert(String::from_utf8_lossy(name).to_lowercase());
    }
    Ok(dlls)
}
