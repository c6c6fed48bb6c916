//! Reads INF files, as far as it takes to know a package of VIOPROT.

use std::collections::HashMap;

use netcfg::names::{CLASS_NETTRANS, VIOPROT};

use crate::version::Version;

/// Sections by name in lower case; of each its lines.
struct Sections(HashMap<String, Vec<Line>>);

/// `key = value, value`; a line without `=` has no key.
struct Line {
    key: Option<String>,
    values: Vec<String>,
}

/// A package that installs VIOPROT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// `DriverVer`.
    pub(crate) version: Version,
    /// The files beside the INF: what it copies, and the catalogue that signs it.
    pub(crate) files: Vec<String>,
}

/// Decodes the bytes of an INF: UTF-16 with a byte order mark, or UTF-8, of which ASCII is a part.
pub(crate) fn decode(bytes: &[u8]) -> String {
    if let [0xff, 0xfe, rest @ ..] = bytes {
        let units = rest.chunks_exact(2).filter_map(|pair| pair.try_into().ok());
        let units: Vec<u16> = units.map(u16::from_le_bytes).collect();
        return String::from_utf16_lossy(&units);
    }
    let text = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    String::from_utf8_lossy(text).into_owned()
}

impl Package {
    /// Reads the INF of a VIOPROT package.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as half a sentence.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let sections = Sections::read(text)?;
        let version = sections.named("version").ok_or("it has no [Version]")?;
        let value = |key| find(version, key).and_then(|line| line.values.first().cloned());
        if !value("signature").is_some_and(|text| text.eq_ignore_ascii_case("$windows nt$")) {
            return Err("its signature is not \"$Windows NT$\"".into());
        }
        if !value("classguid").is_some_and(|guid| guid.eq_ignore_ascii_case(CLASS_NETTRANS)) {
            return Err("it is not of class NetTrans".into());
        }
        let driver = find(version, "driverver").map(|line| line.values.as_slice());
        if !sections.has_model(VIOPROT) {
            return Err(format!("it does not install {VIOPROT}"));
        }
        let version = match driver.ok_or("it has no version (DriverVer)")? {
            [date, number] => Version::read(date, number),
            [date] => Version::read(date, "0"),
            _ => None,
        };
        let files = sections.named("sourcedisksfiles").unwrap_or_default();
        let files = files.iter().filter_map(|line| line.key.clone());
        Ok(Self {
            version: version.ok_or("its version (DriverVer) is none")?,
            files: files.chain(value("catalogfile")).collect(),
        })
    }
}

impl Sections {
    fn read(text: &str) -> Result<Self, String> {
        let mut sections: HashMap<String, Vec<Line>> = HashMap::new();
        let mut current = None;
        for (number, line) in logical_lines(text) {
            if let Some(rest) = line.strip_prefix('[') {
                let name = rest
                    .split(']')
                    .next()
                    .filter(|name| name.len() < rest.len());
                let name = name.ok_or_else(|| {
                    format!("line {number} begins a section and does not end its name")
                })?;
                let name = name.trim().to_ascii_lowercase();
                sections.entry(name.clone()).or_default();
                current = Some(name);
                continue;
            }
            let section = current.as_ref().and_then(|name| sections.get_mut(name));
            let section = section.ok_or_else(|| format!("line {number} is in no section"))?;
            section.push(
                Line::read(&line)
                    .ok_or_else(|| format!("line {number} does not end its quotation"))?,
            );
        }
        let mut all = Self(sections);
        all.substitute();
        Ok(all)
    }

    fn named(&self, name: &str) -> Option<&[Line]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Puts the strings of `[Strings]` in the place of `%name%`.
    fn substitute(&mut self) {
        let strings = self.0.get("strings").map(Vec::as_slice).unwrap_or_default();
        let strings: HashMap<String, String> = strings
            .iter()
            .filter_map(|line| {
                Some((
                    line.key.as_ref()?.to_ascii_lowercase(),
                    line.values.first()?.clone(),
                ))
            })
            .collect();
        let values = self
            .0
            .values_mut()
            .flatten()
            .flat_map(|line| &mut line.values);
        for value in values {
            let name = value
                .strip_prefix('%')
                .and_then(|rest| rest.strip_suffix('%'));
            if let Some(text) = name.and_then(|name| strings.get(&name.to_ascii_lowercase())) {
                *value = text.clone();
            }
        }
    }

    /// Tells whether a section of models, under any decoration, has a line for `id`.
    fn has_model(&self, id: &str) -> bool {
        let manufacturers = self.named("manufacturer").unwrap_or_default();
        manufacturers.iter().any(|line| {
            let Some((models, decorations)) = line.values.split_first() else {
                return false;
            };
            let decorated = decorations
                .iter()
                .map(|decoration| format!("{models}.{decoration}"));
            let mut names = decorated.chain([models.clone()]);
            names.any(|name| self.has_line(&name.to_ascii_lowercase(), id))
        })
    }

    fn has_line(&self, section: &str, id: &str) -> bool {
        let lines = self.named(section).unwrap_or_default();
        let hardware = |line: &Line| {
            line.values
                .iter()
                .skip(1)
                .any(|value| value.eq_ignore_ascii_case(id))
        };
        lines.iter().any(hardware)
    }
}

fn find<'a>(lines: &'a [Line], key: &str) -> Option<&'a Line> {
    let is_it = |line: &&Line| {
        line.key
            .as_ref()
            .is_some_and(|own| own.eq_ignore_ascii_case(key))
    };
    lines.iter().find(is_it)
}

impl Line {
    /// `None`: a quotation is open at the end.
    fn read(text: &str) -> Option<Self> {
        let mut parts = Vec::from([String::new()]);
        let mut key = None;
        let mut quoted = false;
        for letter in text.chars() {
            match letter {
                '"' => quoted = !quoted,
                '=' if !quoted && key.is_none() && parts.len() == 1 => {
                    key = parts.pop().map(|text| text.trim().to_owned());
                    parts.push(String::new());
                }
                ',' if !quoted => parts.push(String::new()),
                // Blanks count only inside quotation marks; those inside a bare value are rare and harmless.
                letter => {
                    if let Some(part) = parts.last_mut() {
                        part.push(letter);
                    }
                }
            }
        }
        let values = parts.iter().map(|part| part.trim().to_owned()).collect();
        (!quoted).then_some(Self { key, values })
    }
}

/// Lines without comments and blanks, joined where a backslash says so, each with the number of its
/// first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let line = without_comment(line).trim();
        let (number, mut whole) = open
            .take()
            .unwrap_or((index.saturating_add(1), String::new()));
        if let Some(part) = line.strip_suffix('\\') {
            whole.push_str(part);
            open = Some((number, whole));
            continue;
        }
        whole.push_str(line);
        if !whole.is_empty() {
            lines.push((number, whole));
        }
    }
    lines.extend(open.filter(|(_, whole)| !whole.is_empty()));
    lines
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, letter) in line.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            ';' if !quoted => return line.get(..at).unwrap_or(line),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = include_str!("../../inf/vioprot.inf");

    fn reason(text: &str) -> String {
        Package::read(text).unwrap_err()
    }

    #[test]
    fn the_inf_of_this_repository_is_one() {
        let package = Package::read(OURS).unwrap();
        assert_eq!(format!("{:#}", package.version), "1.0.0.0 of 2026-11-20");
        assert_eq!(package.files, ["netkvm.sys", "netkvmno.dll", "vioprot.cat"]);
    }

    #[test]
    fn the_adapters_inf_is_not() {
        assert_eq!(
            reason(include_str!("../../inf/netkvm.inf")),
            "it is not of class NetTrans"
        );
    }

    #[test]
    fn an_inf_of_another_protocol_is_not() {
        assert_eq!(
            reason(&OURS.replace("VIOPROT\n", "OTHER\n")),
            "it does not install VIOPROT"
        );
    }

    #[test]
    fn what_is_broken_is_named() {
        assert_eq!(reason(""), "it has no [Version]");
        assert_eq!(reason("\u{1}\u{2}garbage"), "line 1 is in no section");
        assert_eq!(
            reason("[Version"),
            "line 1 begins a section and does not end its name"
        );
        assert_eq!(
            reason("[Version]\na = \"x"),
            "line 2 does not end its quotation"
        );
        assert_eq!(
            reason("[Version]\nSignature = \"$Chicago$\""),
            "its signature is not \"$Windows NT$\""
        );
        assert_eq!(
            reason(&OURS.replace("DriverVer ", "Driver ")),
            "it has no version (DriverVer)"
        );
        assert_eq!(
            reason(&OURS.replace("11/20/2026", "November")),
            "its version (DriverVer) is none"
        );
    }

    #[test]
    fn both_encodings_are_read() {
        let wide: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain(OURS.encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        assert_eq!(Package::read(&decode(&wide)), Package::read(OURS));
        let marked = [&[0xef, 0xbb, 0xbf], OURS.as_bytes()].concat();
        assert_eq!(Package::read(&decode(&marked)), Package::read(OURS));
    }

    #[test]
    fn a_semicolon_in_quotation_marks_is_no_comment_and_a_backslash_goes_on() {
        let sections = Sections::read("[a]\nkey = \"x;y\", \\\n  z ; end").unwrap();
        assert_eq!(sections.named("a").unwrap()[0].values, ["x;y", "z"]);
    }
}
