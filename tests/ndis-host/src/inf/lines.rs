//! From text to sections of entries.

use std::collections::BTreeMap;

use super::{InfError, InfErrorKind, Section};

/// A line of a section: `key = field, field` or `field, field`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it starts.
    pub(super) line: usize,
    /// What is before the equals sign.
    pub(super) key: Option<Field>,
    /// What is behind it.
    pub(super) fields: Vec<Field>,
}

/// A field without its quotes, its tokens not yet replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Field(pub(super) String);

/// Reads all sections, by their names in upper case.
pub(super) fn sections(text: &str) -> Result<BTreeMap<String, Section>, InfError> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut current: Option<String> = None;
    for (line, content) in logical_lines(text)? {
        if content.starts_with('[') {
            let name = section_name(&content).map_err(|kind| kind.at(line))?;
            sections.entry(name.clone()).or_insert_with(|| Section {
                line,
                ..Section::default()
            });
            current = Some(name);
            continue;
        }
        let name = current
            .as_ref()
            .ok_or(InfErrorKind::OutsideSection.at(line))?;
        let entry = entry(line, &content);
        sections
            .entry(name.clone())
            .or_default()
            .entries
            .push(entry);
    }
    Ok(sections)
}

fn section_name(line: &str) -> Result<String, InfErrorKind> {
    let name = line
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let name = name
        .map(str::trim)
        .filter(|name| !name.is_empty() && !name.contains([']', '[']));
    name.map(str::to_uppercase)
        .ok_or(InfErrorKind::SectionHeader)
}

/// Lines without comments, those that end with a backslash joined with the next, none empty.
fn logical_lines(text: &str) -> Result<Vec<(usize, String)>, InfError> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, raw) in text.lines().enumerate() {
        let number = index + 1;
        let content = without_comment(raw).map_err(|kind| kind.at(number))?.trim();
        let (start, mut joined) = open.take().unwrap_or((number, String::new()));
        match content.strip_suffix('\\') {
            Some(part) => {
                joined.push_str(part);
                open = Some((start, joined));
            }
            None => {
                joined.push_str(content);
                lines.push((start, joined));
            }
        }
    }
    lines.extend(open);
    lines.retain(|(_, line)| !line.trim().is_empty());
    Ok(lines)
}

/// The part of a line before its comment. Quotes have to be closed on the same line.
fn without_comment(line: &str) -> Result<&str, InfErrorKind> {
    let mut quoted = false;
    for (index, letter) in line.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            ';' if !quoted => return Ok(&line[..index]),
            _ => {}
        }
    }
    if quoted {
        Err(InfErrorKind::Unquoted)
    } else {
        Ok(line)
    }
}

fn entry(line: usize, content: &str) -> Entry {
    let (key, rest) = match find_unquoted(content, '=') {
        Some(index) => (Some(&content[..index]), &content[index + 1..]),
        None => (None, content),
    };
    let mut fields = Vec::new();
    let mut rest = rest;
    while let Some(index) = find_unquoted(rest, ',') {
        fields.push(field(&rest[..index]));
        rest = &rest[index + 1..];
    }
    fields.push(field(rest));
    Entry {
        line,
        key: key.map(field),
        fields,
    }
}

fn find_unquoted(text: &str, wanted: char) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(index, letter)| {
        quoted ^= letter == '"';
        (letter == wanted && !quoted).then_some(index)
    })
}

/// Removes quotes, and the spaces outside of them; a doubled quote within quotes is one.
fn field(raw: &str) -> Field {
    let mut text = String::new();
    let mut letters = raw.trim().chars().peekable();
    let mut quoted = false;
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => text.push('"'),
            '"' => quoted = !quoted,
            other => text.push(other),
        }
    }
    Field(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(content: &str) -> Vec<String> {
        entry(1, content)
            .fields
            .into_iter()
            .map(|field| field.0)
            .collect()
    }

    #[test]
    fn commas_semicolons_and_spaces_within_quotes_are_text() {
        assert_eq!(
            fields(r#"HKR,,"a, b",0," c;d ""e"" ""#),
            ["HKR", "", "a, b", "0", " c;d \"e\" "]
        );
        assert_eq!(without_comment(r#"x = "a;b" ; c"#), Ok(r#"x = "a;b" "#));
    }

    #[test]
    fn a_backslash_at_the_end_joins_lines_and_keeps_the_number_of_the_first() {
        let lines = logical_lines("a = 1, \\ ; more\n  2\n\nb").unwrap();
        assert_eq!(lines, [(1, "a = 1, 2".to_owned()), (4, "b".to_owned())]);
    }

    #[test]
    fn sections_of_one_name_are_one() {
        let sections = sections("[A]\nx=1\n[b]\n[a]\ny=2\n").unwrap();
        assert_eq!(sections["A"].entries.len(), 2);
        assert_eq!(sections["B"].entries.len(), 0);
    }

    #[test]
    fn malformed_lines_are_errors_with_their_number() {
        let error = |text| sections(text).unwrap_err();
        assert_eq!(error("x = 1"), InfErrorKind::OutsideSection.at(1));
        assert_eq!(error("[a]\n[b\n"), InfErrorKind::SectionHeader.at(2));
        assert_eq!(error("[a]\n[]\n"), InfErrorKind::SectionHeader.at(2));
        assert_eq!(error("[a]\n\nx = \"open\n"), InfErrorKind::Unquoted.at(3));
    }
}
