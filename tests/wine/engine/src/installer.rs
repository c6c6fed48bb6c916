//! Installs and removes a component by its INF, through Wine's setupapi.

use std::fs;
use std::path::Path;

use windows::Win32::Devices::DeviceAndDriverInstallation::{
    INF_STYLE_WIN4, INFCONTEXT, SP_COPY_NEWER_OR_SAME, SPINST_FILES, SPINST_REGISTRY,
    SPSVCINST_FLAGS, SetupCloseInfFile, SetupDefaultQueueCallbackW, SetupFindFirstLineW,
    SetupFindNextLine, SetupGetFieldCount, SetupGetStringFieldW, SetupInitDefaultQueueCallbackEx,
    SetupInstallFromInfSectionW, SetupInstallServicesFromInfSectionW, SetupOpenInfFileW,
    SetupSetDirectoryIdW, SetupTermDefaultQueueCallback,
};
use windows::Win32::Foundation::{ERROR_FILE_NOT_FOUND, HWND, INVALID_HANDLE_VALUE};
use windows::Win32::System::Com::CoCreateGuid;
use windows::Win32::System::LibraryLoader::{GetProcAddress, LoadLibraryW};
use windows::Win32::System::Registry::HKEY;
use windows::core::{Error, GUID, HRESULT, HSTRING, PCSTR, PCWSTR, Result, s};
use windows_registry::LOCAL_MACHINE;

use crate::knobs;
use crate::store::{self, Record};

/// The first identifier of folders that are a program's own.
const DIRID_USER: u32 = 0x8000;
const INF_FOLDER: &str = r"C:\windows\inf";
const ERROR_SERVICE_DOES_NOT_EXIST: u32 = 1060;

/// An INF that setupapi has read.
struct Inf(*mut std::ffi::c_void);

impl Inf {
    fn open(path: &str) -> Result<Self> {
        let path = HSTRING::from(path);
        // SAFETY: the name outlives the call; class and error line are absent.
        let raw = unsafe { SetupOpenInfFileW(&path, PCWSTR::null(), INF_STYLE_WIN4, None) };
        if raw == INVALID_HANDLE_VALUE.0 {
            return Err(Error::from_thread());
        }
        Ok(Self(raw))
    }

    /// The lines of a section: the fields of each, the key (field 0) first.
    fn lines(&self, section: &str) -> Vec<Vec<String>> {
        let section = HSTRING::from(section);
        let mut context = INFCONTEXT::default();
        let mut lines = Vec::new();
        // SAFETY: the handle is open, and `context` a place for a position.
        let mut more =
            unsafe { SetupFindFirstLineW(self.0, &section, PCWSTR::null(), &raw mut context) };
        while more.is_ok() {
            // SAFETY: `context` is the position of a line of an open INF.
            let count = unsafe { SetupGetFieldCount(&raw const context) };
            lines.push((0..=count).map(|index| field(&context, index)).collect());
            let here = context;
            // SAFETY: as above.
            more = unsafe { SetupFindNextLine(&raw const here, &raw mut context) };
        }
        lines
    }
}

impl Drop for Inf {
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used again.
        unsafe { SetupCloseInfFile(self.0) };
    }
}

fn field(context: &INFCONTEXT, index: u32) -> String {
    let mut text = [0u16; 512];
    let mut length = 0;
    // SAFETY: `context` is the position of a line of an open INF, `length` a place for a number.
    let done =
        unsafe { SetupGetStringFieldW(context, index, Some(&mut text), Some(&raw mut length)) };
    let length = (length as usize).saturating_sub(1);
    let text = text.get(..length).filter(|_| done.is_ok());
    text.map(String::from_utf16_lossy).unwrap_or_default()
}

/// The model's line of `id` in an INF of this class: description and install section.
fn find_model(inf: &Inf, class: &GUID, id: &str) -> Option<(String, String)> {
    let version = inf.lines("Version");
    let of_class = version.iter().any(|line| {
        matches!(&line[..], [key, value, ..]
            if key.eq_ignore_ascii_case("ClassGuid") && store::parse(value) == Some(*class))
    });
    if !of_class {
        return None;
    }
    for line in inf.lines("Manufacturer") {
        let [_, models, decorations @ ..] = &line[..] else {
            continue;
        };
        let ours = decorations
            .iter()
            .filter_map(|text| Some((serves(text)?, text)))
            .filter(|(build, _)| *build <= knobs::build())
            .max();
        let Some((_, decoration)) = ours else {
            continue;
        };
        for model in inf.lines(&format!("{models}.{decoration}")) {
            if let [description, section, hardware, ..] = &model[..]
                && hardware.eq_ignore_ascii_case(id)
            {
                return Some((description.clone(), section.clone()));
            }
        }
    }
    None
}

/// The least build of a decoration for x64: 17763 of `NTamd64.10.0...17763`.
fn serves(decoration: &str) -> Option<u32> {
    let rest = decoration.to_ascii_lowercase();
    let rest = rest.strip_prefix("ntamd64")?;
    match rest.rsplit('.').next() {
        Some("") | None => Some(0),
        Some(build) => build.parse().ok(),
    }
}

/// Wine's setupapi knows no driver store, and lets nobody give identifier 13 a meaning. So the folder of
/// the package goes by an identifier of our own in a copy of the INF.
fn open_with_store(path: &str) -> Result<Inf> {
    let text = fs::read_to_string(path)?;
    let user = DIRID_USER.to_string();
    let own = text.replace("%13%", &format!("%{user}%"));
    let own = own.replace("= 13\n", &format!("= {user}\n"));
    let copy = r"C:\netcfg-engine.inf";
    fs::write(copy, own)?;
    let inf = Inf::open(copy)?;
    let store = HSTRING::from(knobs::store());
    // SAFETY: the handle is open, and the name outlives the call.
    unsafe { SetupSetDirectoryIdW(inf.0, DIRID_USER, &store) }?;
    Ok(inf)
}

/// Does what the INF of `id` says: keys, files, service, notify object.
pub(crate) fn install(class: &GUID, id: &str) -> Result<Record> {
    let (path, description, section) = locate(class, id)?;
    let inf = open_with_store(&path)?;
    // SAFETY: no contract; the result is checked.
    let instance = unsafe { CoCreateGuid() }?;
    let key = LOCAL_MACHINE.create(store::path_of(class, &instance))?;
    let outcome = (|| {
        key.set_string("ComponentId", id)?;
        key.set_string("Description", &description)?;
        key.set_string("InfPath", &path)?;
        key.set_string("InfSection", &section)?;
        key.set_u32("Characteristics", 0)?;
        check_files(&inf, &section)?;
        knobs::enter("SetupInstallFromInfSection")?;
        run_section(&inf, &section, HKEY(key.as_raw()))?;
        knobs::enter("SetupInstallServicesFromInfSection")?;
        run_services(&inf, &format!("{section}.Services"))?;
        let dll = key.open("Ndi")?.get_string("ComponentDll");
        if let Ok(dll) = dll {
            knobs::enter("DllRegisterServer")?;
            call(&dll, s!("DllRegisterServer"))?;
        }
        store::read(*class, instance)
    })();
    if outcome.is_err() {
        // The reason is the first failure, whatever the clean-up meets.
        let _ = run_services(&inf, &format!("{section}.Remove.Services"));
        let _ = store::remove(&store::path_of(class, &instance));
    }
    outcome
}

/// Undoes [`install`]. Files stay, as they do on Windows.
pub(crate) fn remove(record: &Record) -> Result<()> {
    let path = store::path_of(&record.class, &record.instance);
    let dll = LOCAL_MACHINE.open(format!(r"{path}\Ndi"));
    if let Ok(dll) = dll.and_then(|key| key.get_string("ComponentDll")) {
        // That the DLL is gone already does not keep the component.
        let _ = call(&dll, s!("DllUnregisterServer"));
    }
    if let Some((inf, section)) = &record.section
        && let Ok(inf) = Inf::open(inf)
    {
        match run_services(&inf, &format!("{section}.Remove.Services")) {
            Err(error) if error.code() != HRESULT::from_win32(ERROR_SERVICE_DOES_NOT_EXIST) => {
                return Err(error);
            }
            _ => {}
        }
    }
    store::remove(&path)
}

/// Looks through the INF folder for the best INF, by the date and then the number of its `DriverVer`: path,
/// description, install section.
fn locate(class: &GUID, id: &str) -> Result<(String, String, String)> {
    let nothing = || Error::from_hresult(HRESULT::from_win32(ERROR_FILE_NOT_FOUND.0));
    let folder = fs::read_dir(INF_FOLDER).map_err(|_| nothing())?;
    let names = folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // Windows gives those of third parties a name of its own; Wine leaves them theirs.
    let names = names.filter(|name| name.to_ascii_lowercase().ends_with(".inf"));
    let matching = names.filter_map(|name| {
        let path = format!(r"{INF_FOLDER}\{name}");
        let inf = Inf::open(&path).ok()?;
        let (description, section) = find_model(&inf, class, id)?;
        Some((version(&inf), (path, description, section)))
    });
    let best = matching.max_by(|(one, _), (other, _)| one.cmp(other));
    best.map(|(_, found)| found).ok_or_else(nothing)
}

/// Year, month, day, and the parts of the number.
fn version(inf: &Inf) -> Vec<u32> {
    let lines = inf.lines("Version");
    let line = lines.iter().find(|line| {
        line.first()
            .is_some_and(|key| key.eq_ignore_ascii_case("DriverVer"))
    });
    let field = |index| line.and_then(|line| line.get(index));
    let numbers = |index, mark| {
        let parts = field(index)
            .into_iter()
            .flat_map(move |text: &String| text.split(mark));
        parts.filter_map(|part| part.trim().parse().ok())
    };
    let mut date: Vec<u32> = numbers(1, '/').collect();
    // It begins with the month.
    if !date.is_empty() {
        date.rotate_right(1);
    }
    date.into_iter().chain(numbers(2, '.')).collect()
}

/// Setupapi would ask the user for a medium that has what is missing.
fn check_files(inf: &Inf, section: &str) -> Result<()> {
    let store = knobs::store();
    let lines = inf.lines(section);
    let lists = lines.iter().filter(|line| {
        line.first()
            .is_some_and(|key| key.eq_ignore_ascii_case("CopyFiles"))
    });
    for list in lists.flat_map(|line| line.iter().skip(1)) {
        for file in inf.lines(list).iter().filter_map(|line| line.get(1)) {
            if !Path::new(&store).join(file).exists() {
                knobs::log(&format!("{file} is missing in {store}"));
                return Err(Error::from_hresult(HRESULT::from_win32(
                    ERROR_FILE_NOT_FOUND.0,
                )));
            }
        }
    }
    Ok(())
}

fn run_section(inf: &Inf, section: &str, key: HKEY) -> Result<()> {
    let section = HSTRING::from(section);
    let store = HSTRING::from(knobs::store());
    // SAFETY: neither window nor message: nothing is shown.
    let context = unsafe {
        SetupInitDefaultQueueCallbackEx(None, Some(HWND(INVALID_HANDLE_VALUE.0)), 0, None, None)
    };
    // SAFETY: INF and key are open; the strings outlive the call; the context belongs to the callback.
    let done = unsafe {
        SetupInstallFromInfSectionW(
            None,
            inf.0,
            &section,
            SPINST_REGISTRY | SPINST_FILES,
            Some(key),
            &store,
            SP_COPY_NEWER_OR_SAME.0,
            Some(callback),
            Some(context),
            None,
            None,
        )
    };
    // SAFETY: the context came from the matching function, and is not used again.
    unsafe { SetupTermDefaultQueueCallback(context) };
    done
}

/// Setupapi's own callback, under the calling convention that setupapi wants.
///
/// # Safety
///
/// As for `SetupDefaultQueueCallbackW`.
unsafe extern "system" fn callback(
    context: *const std::ffi::c_void,
    notification: u32,
    first: usize,
    second: usize,
) -> u32 {
    // SAFETY: our caller's contract is the contract of this function.
    unsafe { SetupDefaultQueueCallbackW(context, notification, first, second) }
}

fn run_services(inf: &Inf, section: &str) -> Result<()> {
    let section = HSTRING::from(section);
    // SAFETY: the INF is open, the name outlives the call.
    unsafe { SetupInstallServicesFromInfSectionW(inf.0, &section, SPSVCINST_FLAGS(0)) }
}

/// Calls a function of a DLL that takes nothing and returns a status. The DLL stays loaded.
fn call(dll: &str, function: PCSTR) -> Result<()> {
    let dll = HSTRING::from(dll);
    // SAFETY: loading runs the DLL's own start-up; it is the component's that is being installed.
    let module = unsafe { LoadLibraryW(&dll) }?;
    // SAFETY: the module is loaded, and the name null-terminated.
    let Some(function) = (unsafe { GetProcAddress(module, function) }) else {
        return Err(Error::from_thread());
    };
    // SAFETY: the functions that are named here have this signature.
    let function: unsafe extern "system" fn() -> HRESULT = unsafe { std::mem::transmute(function) };
    // SAFETY: no arguments, and no contract.
    unsafe { function() }.ok()
}
