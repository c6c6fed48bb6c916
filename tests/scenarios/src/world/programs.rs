//! Programs of the guest that ask the driver for its adapters.

use anyhow::{Result, anyhow, bail, ensure};
use control_device::{
    AdapterRecord, Answer, AnswerHeader, Flags, PATH, Path, QUERY_ADAPTERS, Request, WhyNot,
};
use devices::wire::MacAddress;
use ndis_host::ntoskrnl::io::user::{self, File};
use ndis_host::sched;
use ndis_sys::{STATUS_BUFFER_OVERFLOW, STATUS_SUCCESS};
use zerocopy::IntoBytes;

use super::{MILLISECOND_NS, SECOND_NS, World};

/// Opens the driver's control device, as an administrator's program does.
///
/// # Errors
///
/// It is not there.
pub fn open_driver() -> Result<File> {
    user::open(PATH).map_err(|status| anyhow!("{PATH} can't be opened: {status:#010x}"))
}

/// Asks for the adapters, with room for so many; what the answer begins with, and those that it has.
///
/// # Errors
///
/// The answer is not as documented.
pub fn ask_with_room(file: &File, adapters: usize) -> Result<(AnswerHeader, Vec<AdapterRecord>)> {
    let room = size_of::<AnswerHeader>() + adapters * size_of::<AdapterRecord>();
    let (status, bytes) = file.control(QUERY_ADAPTERS, Request::CURRENT.as_bytes(), room);
    let answer =
        Answer::read(&bytes).map_err(|_| anyhow!("{status:#010x}, and no answer: {bytes:02x?}"))?;
    let records: Vec<_> = answer.adapters().collect();
    let all = answer.header.adapters as usize;
    let expected = if all > adapters {
        STATUS_BUFFER_OVERFLOW
    } else {
        STATUS_SUCCESS
    };
    ensure!(
        status == expected && records.len() == all.min(adapters),
        "{status:#010x}, {} of {all} adapters in room for {adapters}",
        records.len()
    );
    for record in &records {
        check(record)?;
    }
    Ok((answer.header, records))
}

/// What every record has.
fn check(record: &AdapterRecord) -> Result<()> {
    let carries = record.path() == Some(Path::Vf);
    let flags = record.flags();
    let has_vf = record.vf_luid != 0 && record.vf_luid != record.luid && record.vf_mtu != 0;
    match record.why_not() {
        Some(WhyNot::Carries) => ensure!(
            carries && has_vf && flags.contains(Flags::STANDBY),
            "nothing carries: {record:x?}"
        ),
        // It carries for a moment after the protocol was taken away.
        Some(WhyNot::NotInstalled) => {}
        Some(_) => ensure!(!carries, "the VF carries: {record:x?}"),
        None => bail!("a reason without a meaning: {record:x?}"),
    }
    ensure!(
        flags.bits() == record.flags && record.reserved == [0; 5],
        "bits that mean nothing: {record:x?}"
    );
    let bound = flags.contains(Flags::VF_BOUND);
    ensure!(
        bound == has_vf && bound == (record.vf_luid != 0),
        "a VF in part: {record:x?}"
    );
    Ok(())
}

impl World {
    /// What the driver says of the adapter with this address.
    ///
    /// # Errors
    ///
    /// It can't be asked, or does not know the adapter.
    pub fn ask_driver(&self, mac: MacAddress) -> Result<AdapterRecord> {
        const ROOM: usize = 8;
        let file = open_driver()?;
        let answer = ask_with_room(&file, ROOM);
        file.close();
        let (_, records) = answer?;
        let found = records.into_iter().find(|record| record.mac == mac);
        found.ok_or_else(|| anyhow!("the driver has no adapter {mac:02x?}"))
    }

    /// Asks until the driver says that the traffic of the adapter with this address goes this way, for
    /// this reason: changes take their time.
    ///
    /// # Errors
    ///
    /// It says something else for twenty seconds.
    pub fn wait_for_path(
        &self,
        mac: MacAddress,
        path: Path,
        why_not: WhyNot,
    ) -> Result<AdapterRecord> {
        let latest_ns = sched::now() + 20 * SECOND_NS;
        loop {
            let record = self.ask_driver(mac)?;
            if record.path() == Some(path) && record.why_not() == Some(why_not) {
                return Ok(record);
            }
            ensure!(
                sched::now() < latest_ns,
                "{:?} because of {:?}, and not {path:?} because of {why_not:?}",
                record.path(),
                record.why_not()
            );
            sched::sleep(MILLISECOND_NS);
        }
    }
}
