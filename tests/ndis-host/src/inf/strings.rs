//! Tokens: `%name%`, where the name is one of `[Strings]` or the number of a directory.

use std::collections::BTreeMap;

use super::{InfError, InfErrorKind, Section};

/// The texts of `[Strings]` by the names of their tokens in upper case.
pub(super) fn table(section: Option<&Section>) -> Result<BTreeMap<String, String>, InfError> {
    let entries = section.map_or(&[] as &[_], |section| &section.entries);
    let pair = |entry: &super::Entry| match (&entry.key, entry.fields.as_slice()) {
        (Some(key), [text]) => Ok((key.0.to_uppercase(), text.0.clone())),
        _ => Err(InfErrorKind::BadEntry("a string is name = text".to_owned()).at(entry.line)),
    };
    entries.iter().map(pair).collect()
}

/// Replaces the tokens of a text; two percent signs are one.
pub(super) fn expand(
    text: &str,
    token: &dyn Fn(&str) -> Option<String>,
) -> Result<String, InfErrorKind> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        expanded.push_str(before);
        let unknown = |name: &str| InfErrorKind::UnknownToken(name.to_owned());
        let (name, tail) = after.split_once('%').ok_or_else(|| unknown(after))?;
        if name.is_empty() {
            expanded.push('%');
        } else {
            expanded.push_str(&token(name).ok_or_else(|| unknown(name))?);
        }
        rest = tail;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The directory that a number stands for, as a path of the kernel.
pub(super) fn directory(number: &str, store_folder: &str) -> Option<String> {
    let path = match number {
        "10" => r"\SystemRoot".to_owned(),
        "11" => r"\SystemRoot\System32".to_owned(),
        "12" => r"\SystemRoot\System32\drivers".to_owned(),
        "13" => format!(r"\SystemRoot\System32\DriverStore\FileRepository\{store_folder}"),
        _ => return None,
    };
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str) -> Option<String> {
        (name == "Name").then(|| "text".to_owned())
    }

    #[test]
    fn tokens_are_replaced_anywhere_in_a_text() {
        assert_eq!(
            expand("a %Name%-%Name% %%b%%", &token).unwrap(),
            "a text-text %b%"
        );
    }

    #[test]
    fn unknown_and_unfinished_tokens_are_errors() {
        assert_eq!(
            expand("%Other%", &token),
            Err(InfErrorKind::UnknownToken("Other".to_owned()))
        );
        assert_eq!(
            expand("50%", &token),
            Err(InfErrorKind::UnknownToken(String::new()))
        );
    }
}
