//! A device of class Net, as PnP leaves it in the registry, with the parameters of its INF.

use windows::Win32::Devices::DeviceAndDriverInstallation::{
    INF_STYLE_WIN4, SPINST_REGISTRY, SetupCloseInfFile, SetupInstallFromInfSectionW,
    SetupOpenInfFileW,
};
use windows::Win32::Foundation::INVALID_HANDLE_VALUE;
use windows::Win32::System::Registry::HKEY;
use windows::core::{Error, HSTRING, PCWSTR, Result, w};
use windows_registry::LOCAL_MACHINE;

use super::NETWORK;

/// Adds the device `instance` with the driver key `number`; `inf` is `netkvm.inf`.
pub(super) fn add(instance: &str, number: &str, inf: &str) -> Result<()> {
    let class = netcfg::names::CLASS_NET;
    let device = LOCAL_MACHINE.create(format!(r"SYSTEM\CurrentControlSet\Enum\{instance}"))?;
    device.set_string("Class", "Net")?;
    device.set_string("ClassGUID", class)?;
    device.set_string("DeviceDesc", format!("Adapter {number}"))?;
    device.set_string("LocationInformation", "PCI bus 0, device 3, function 0")?;
    device.set_string("Driver", format!(r"{class}\{number}"))?;
    let path = format!(r"SYSTEM\CurrentControlSet\Control\Class\{class}\{number}");
    let driver = LOCAL_MACHINE.create(path)?;
    let connection = format!("{{00000000-0000-0000-0000-00000000{number}}}");
    driver.set_string("NetCfgInstanceId", &connection)?;
    let key = LOCAL_MACHINE.create(format!(r"{NETWORK}\{class}\{connection}\Connection"))?;
    key.set_string("Name", format!("Ethernet {number}"))?;

    let inf = HSTRING::from(inf);
    // SAFETY: the name outlives the call; class and error line are absent.
    let inf = unsafe { SetupOpenInfFileW(&inf, PCWSTR::null(), INF_STYLE_WIN4, None) };
    if inf == INVALID_HANDLE_VALUE.0 {
        return Err(Error::from_thread());
    }
    // SAFETY: INF and key are open; nothing is copied, so there are neither paths nor callbacks.
    let done = unsafe {
        SetupInstallFromInfSectionW(
            None,
            inf,
            w!("NetKvm.Install"),
            SPINST_REGISTRY,
            Some(HKEY(driver.as_raw())),
            PCWSTR::null(),
            0,
            None,
            None,
            None,
            None,
        )
    };
    // SAFETY: the INF is open and not used again.
    unsafe { SetupCloseInfFile(inf) };
    done
}
