//! The request and its answer, in bytes: how much room an answer takes shows when there is too little.

use control_device::{AdapterRecord, Answer, AnswerHeader};

use super::{Silence, Told};

/// What one exchange has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// So many bytes, and that is all.
    All(usize),
    /// So many bytes; there is more than there was room for.
    Part(usize),
}

/// Room for the adapters of most systems.
const FIRST_ROOM: usize = size_of::<AnswerHeader>() + 16 * size_of::<AdapterRecord>();
/// No driver has as many adapters as that.
const MOST_ROOM: usize = 1 << 20;
/// Adapters may come while we ask.
const TRIES: usize = 8;

/// Asks with more and more room. `exchange` fills the room that it is given.
pub(super) fn hold(
    mut exchange: impl FnMut(&mut [u8]) -> Result<Filled, Silence>,
) -> Result<Told, Silence> {
    let mut size = FIRST_ROOM;
    for _ in 0..TRIES {
        let mut room = vec![0; size];
        let filled = exchange(&mut room)?;
        let (Filled::All(length) | Filled::Part(length)) = filled;
        let bytes = room.get(..length).ok_or(Silence::OtherVersion)?;
        let answer = Answer::read(bytes).map_err(|_| Silence::OtherVersion)?;
        if let Filled::All(_) = filled {
            return whole(&answer);
        }
        if !(size + 1..=MOST_ROOM).contains(&answer.size_of_all()) {
            return Err(Silence::OtherVersion);
        }
        size = answer.size_of_all();
    }
    Err(Silence::OtherVersion)
}

fn whole(answer: &Answer<'_>) -> Result<Told, Silence> {
    let adapters: Vec<AdapterRecord> = answer.adapters().collect();
    if u32::try_from(adapters.len()) != Ok(answer.header.adapters) {
        return Err(Silence::OtherVersion);
    }
    Ok(Told {
        protocol_installed: answer.header.protocol_installed != 0,
        adapters,
    })
}

#[cfg(test)]
mod tests {
    use control_device::{Written, write};

    use super::*;

    fn records(count: u64) -> Vec<AdapterRecord> {
        let record = |luid| AdapterRecord {
            luid,
            ..AdapterRecord::default()
        };
        (1..=count).map(record).collect()
    }

    fn driver(room: &mut [u8], adapters: u64) -> Result<Filled, Silence> {
        match write(room, true, records(adapters)) {
            Written::All(length) => Ok(Filled::All(length)),
            Written::Part(length) => Ok(Filled::Part(length)),
            Written::Nothing => Err(Silence::Failed(-1)),
        }
    }

    #[test]
    fn few_adapters_take_one_request_and_many_a_second() {
        for (count, expected) in [(0, 1), (1, 1), (16, 1), (17, 2), (400, 2)] {
            let mut requests = 0;
            let told = hold(|room| {
                requests += 1;
                driver(room, count)
            });
            let told = told.expect("an answer");
            assert!(told.protocol_installed);
            assert_eq!(told.adapters, records(count));
            assert_eq!(requests, expected);
        }
    }

    #[test]
    fn adapters_that_come_meanwhile_are_told_as_well() {
        let mut count = 17;
        let told = hold(|room| {
            count += 1;
            driver(room, count.min(20))
        });
        assert_eq!(told.expect("an answer").adapters.len(), 20);
    }

    #[test]
    fn there_is_an_end_to_asking() {
        let (mut count, mut requests) = (17, 0);
        let told = hold(|room| {
            (count, requests) = (count + 1, requests + 1);
            driver(room, count)
        });
        assert_eq!((told, requests), (Err(Silence::OtherVersion), TRIES));
        // It has all the room that it has asked for, and wants more.
        let told = hold(|room| {
            let written = driver(room, 3);
            written.map(|_| Filled::Part(room.len()))
        });
        assert_eq!(told, Err(Silence::OtherVersion));
        // It wants everything.
        let told = hold(|room| {
            let part = driver(room, 17)?;
            room[8..12].fill(0xff);
            Ok(part)
        });
        assert_eq!(told, Err(Silence::OtherVersion));
    }

    #[test]
    fn an_answer_that_is_cut_short_is_none() {
        for missing in 1..=size_of::<AnswerHeader>() + 2 * size_of::<AdapterRecord>() {
            let told = hold(|room| match driver(room, 2)? {
                Filled::All(length) => Ok(Filled::All(length - missing)),
                part @ Filled::Part(_) => Ok(part),
            });
            assert_eq!(told, Err(Silence::OtherVersion), "{missing}");
        }
    }

    #[test]
    fn neither_another_version_nor_more_than_the_room_is_read() {
        let told = hold(|room| {
            let filled = driver(room, 1)?;
            room[0] = 2;
            Ok(filled)
        });
        assert_eq!(told, Err(Silence::OtherVersion));
        let told = hold(|room| {
            driver(room, 1)?;
            Ok(Filled::All(room.len() + 1))
        });
        assert_eq!(told, Err(Silence::OtherVersion));
    }

    #[test]
    fn a_refusal_is_passed_on() {
        assert_eq!(hold(|_| Err(Silence::Denied)), Err(Silence::Denied));
    }
}
