//! `DriverVer`: what Windows ranks packages by that serve a component equally well.

use std::fmt;

use serde::{Serialize, Serializer};

/// Date and number of a package. Windows prefers the later date, and of one date the greater number
/// ("How Windows selects a driver"); so the order of the fields is the order of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    /// Year, month, day.
    date: [u16; 3],
    number: [u16; 4],
}

impl Version {
    /// Reads the two values of `DriverVer`: `mm/dd/yyyy` and `w.x.y.z`, of which parts may be missing at
    /// the end.
    pub(crate) fn read(date: &str, number: &str) -> Option<Self> {
        let [month, day, year] = parts(date, ['/', '-'])?;
        Some(Self {
            date: [year?, month?, day?],
            number: parts(number, ['.'])?.map(Option::unwrap_or_default),
        })
    }
}

/// Up to `N` numbers between `marks`; `None` if there are more, or something else.
fn parts<const N: usize, const M: usize>(text: &str, marks: [char; M]) -> Option<[Option<u16>; N]> {
    let mut found = [None; N];
    let mut places = found.iter_mut();
    for part in text.split(marks) {
        *places.next()? = Some(part.trim().parse().ok()?);
    }
    Some(found)
}

/// The number alone, as people know it; with `#` the date as well.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [w, x, y, z] = self.number;
        write!(f, "{w}.{x}.{y}.{z}")?;
        if f.alternate() {
            let [year, month, day] = self.date;
            write!(f, " of {year}-{month:02}-{day:02}")?;
        }
        Ok(())
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(date: &str, number: &str) -> Version {
        Version::read(date, number).unwrap()
    }

    #[test]
    fn the_date_counts_before_the_number() {
        assert!(version("01/02/2026", "1.0") > version("12/31/2025", "2.0"));
        assert!(version("02/01/2026", "1.0") > version("01/31/2026", "1.0"));
        assert!(version("01/02/2026", "1.10.0.0") > version("01/02/2026", "1.9.9.9"));
        assert_eq!(version("1/2/2026", "1"), version("01-02-2026", "1.0.0.0"));
    }

    #[test]
    fn what_is_no_version_is_none() {
        for (date, number) in [
            ("", "1.0"),
            ("01/02", "1.0"),
            ("01/02/2026/1", "1.0"),
            ("01/02/2026", ""),
            ("01/02/2026", "1.0.0.0.0"),
            ("01/02/2026", "1.65536"),
            ("01/02/2026", "1.x"),
        ] {
            assert_eq!(Version::read(date, number), None, "{date},{number}");
        }
    }

    #[test]
    fn it_is_shown_by_its_number() {
        let version = version("01/02/2026", "1.2");
        assert_eq!(version.to_string(), "1.2.0.0");
        assert_eq!(format!("{version:#}"), "1.2.0.0 of 2026-01-02");
    }
}
