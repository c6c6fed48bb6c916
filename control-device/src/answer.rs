//! An answer in bytes, written by the driver and read by a program.

use zerocopy::{FromBytes, IntoBytes};

use crate::{AdapterRecord, AnswerHeader, VERSION};

/// What [`write`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// So many bytes, and nothing is missing.
    All(usize),
    /// So many bytes; there was no room for the rest.
    Part(usize),
    /// There was no room for the header.
    Nothing,
}

/// Writes an answer into `room`. `records` is gone through once, to its end.
pub fn write(
    room: &mut [u8],
    protocol_installed: bool,
    records: impl IntoIterator<Item = AdapterRecord>,
) -> Written {
    let header_size = size_of::<AnswerHeader>();
    let Some((header, mut rest)) = room.split_at_mut_checked(header_size) else {
        return Written::Nothing;
    };
    let (mut adapters, mut written, mut complete) = (0u32, header_size, true);
    for record in records {
        adapters = adapters.saturating_add(1);
        let size = size_of::<AdapterRecord>();
        let Some((place, more)) = core::mem::take(&mut rest).split_at_mut_checked(size) else {
            complete = false;
            continue;
        };
        // `place` is as long as a record.
        complete &= record.write_to(place).is_ok();
        written = written.saturating_add(size);
        rest = more;
    }
    let filled = AnswerHeader {
        version: VERSION,
        record_size: size_of::<AdapterRecord>() as u32,
        adapters,
        protocol_installed: u32::from(protocol_installed),
    };
    match (filled.write_to(header), complete) {
        (Err(_), _) => Written::Nothing,
        (Ok(()), true) => Written::All(written),
        (Ok(()), false) => Written::Part(written),
    }
}

/// An answer, as a program reads it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// What it begins with.
    pub header: AnswerHeader,
    records: &'a [u8],
}

/// Bytes that are no answer, or one of a version that this program does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl<'a> Answer<'a> {
    /// Reads the bytes that the driver has returned.
    ///
    /// # Errors
    ///
    /// They are no answer of this version.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, records) = AnswerHeader::read_from_prefix(bytes).map_err(|_| Malformed)?;
        let fits = header.record_size as usize >= size_of::<AdapterRecord>();
        if header.version != VERSION || !fits {
            return Err(Malformed);
        }
        Ok(Self { header, records })
    }

    /// The adapters that it holds: as many as there was room for.
    pub fn adapters(&self) -> impl Iterator<Item = AdapterRecord> + 'a {
        // `read` has seen that it is not 0.
        let size = (self.header.record_size as usize).max(1);
        let whole = self.records.chunks_exact(size);
        whole.filter_map(|bytes| Some(AdapterRecord::read_from_prefix(bytes).ok()?.0))
    }

    /// Bytes that an answer with all adapters takes.
    #[must_use]
    pub fn size_of_all(&self) -> usize {
        let size = self.header.record_size as usize;
        let records = size.saturating_mul(self.header.adapters as usize);
        records.saturating_add(size_of::<AnswerHeader>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(luid: u64) -> AdapterRecord {
        AdapterRecord {
            luid,
            mac: [2, 0, 0, 0, 0, luid as u8],
            ..AdapterRecord::default()
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut room = [0xcc; 500];
        let Written::All(written) = write(&mut room, true, [record(1), record(2)]) else {
            panic!("there is room");
        };
        assert!(room[written..].iter().all(|byte| *byte == 0xcc));
        let answer = Answer::read(&room[..written]).expect("well-formed");
        assert_eq!(answer.size_of_all(), written);
        assert_eq!(answer.header.protocol_installed, 1);
        assert!(answer.adapters().eq([record(1), record(2)]));
    }

    #[test]
    fn the_bytes_are_those_of_the_documentation() {
        let record = AdapterRecord {
            luid: 0x0006_0000_0400_0000,
            vf_luid: 0x0006_0000_0500_0000,
            mtu: 1500,
            vf_mtu: 1280,
            why_not: 4,
            detail: 1280,
            flags: 7,
            mac: [0x52, 0x54, 0, 1, 2, 3],
            path: 1,
            reserved: [0; 5],
        };
        let mut room = [0; 64];
        assert_eq!(write(&mut room, true, [record]), Written::All(64));
        let header = [1, 0, 0, 0, 48, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];
        let expected = [
            0, 0, 0, 4, 0, 0, 6, 0, 0, 0, 0, 5, 0, 0, 6, 0, 0xdc, 5, 0, 0, 0, 5, 0, 0, 4, 0, 0, 0,
            0, 5, 0, 0, 7, 0, 0, 0, 0x52, 0x54, 0, 1, 2, 3, 1, 0, 0, 0, 0, 0,
        ];
        assert_eq!(room[..16], header);
        assert_eq!(room[16..], expected);
    }

    #[test]
    fn whole_records_are_written_and_all_are_counted() {
        let size = size_of::<AdapterRecord>();
        let all = size_of::<AnswerHeader>() + 3 * size;
        for length in 0..=all {
            let mut room = vec![0; length];
            let written = write(&mut room, false, (1..=3).map(record));
            let Some(records) = length.checked_sub(size_of::<AnswerHeader>()) else {
                assert_eq!(written, Written::Nothing);
                continue;
            };
            let whole = all - (3 - records / size) * size;
            let expected = if length == all {
                Written::All(all)
            } else {
                Written::Part(whole)
            };
            assert_eq!(written, expected);
            let answer = Answer::read(&room[..whole]).expect("a header");
            assert_eq!(answer.header.adapters, 3);
            assert_eq!(answer.size_of_all(), all);
            assert_eq!(answer.adapters().count(), records / size);
        }
    }

    #[test]
    fn longer_records_of_a_newer_driver_are_read() {
        let header = AnswerHeader {
            version: VERSION,
            record_size: size_of::<AdapterRecord>() as u32 + 8,
            adapters: 2,
            protocol_installed: 0,
        };
        let mut bytes = header.as_bytes().to_vec();
        for luid in [1, 2] {
            bytes.extend(record(luid).as_bytes());
            bytes.extend([0xcc; 8]);
        }
        let answer = Answer::read(&bytes).expect("well-formed");
        assert!(answer.adapters().eq([record(1), record(2)]));
        assert_eq!(answer.size_of_all(), bytes.len());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let mut room = [0; 64];
        write(&mut room, true, []);
        assert!(Answer::read(&room).is_ok());
        assert_eq!(Answer::read(&room[..15]).unwrap_err(), Malformed);
        let mut other_version = room;
        other_version[0] = 2;
        assert_eq!(Answer::read(&other_version).unwrap_err(), Malformed);
        let mut short_records = room;
        short_records[4] = 0;
        assert_eq!(Answer::read(&short_records).unwrap_err(), Malformed);
    }
}
