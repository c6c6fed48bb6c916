//! What the INF says of a parameter (`Ndi\Params\<name>`), and which values that allows.

use std::fmt::Write;

use thiserror::Error;

/// The values that a parameter can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of these, each with what it means.
    Enumeration(Vec<(String, String)>),
    /// A number; a long one has 32 bits, another 16.
    Integer {
        is_long: bool,
        min: u32,
        max: u32,
        step: u32,
    },
    /// A text of limited length.
    Text { limit: usize, is_upper: bool },
    /// The INF makes no sense here.
    Unknown,
}

/// A parameter of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) kind: Kind,
    pub(crate) default: String,
    pub(crate) is_optional: bool,
    /// What is set; without it, the default counts.
    pub(crate) value: Option<String>,
}

/// Why a value is not accepted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    #[error("\"{0}\" is not one of: {1}")]
    NotListed(String, String),
    #[error("\"{0}\" is not a number")]
    NoNumber(String),
    #[error("{0} is not between {1} and {2}")]
    OutOfRange(u32, u32, u32),
    #[error("{0} is not {1} plus a multiple of {2}")]
    OffStep(u32, u32, u32),
    #[error("\"{0}\" is longer than {1} characters")]
    TooLong(String, usize),
    #[error("the INF does not say what values are right")]
    Unknown,
}

impl Parameter {
    /// Reads a parameter: `field` looks up a value of its key, `choices` are those of its `enum` key.
    pub(crate) fn read(
        name: &str,
        field: impl Fn(&str) -> Option<String>,
        choices: Vec<(String, String)>,
        value: Option<String>,
    ) -> Self {
        let flag = |name| field(name).is_some_and(|text| text.trim() == "1");
        let kind = kind(&field, flag("UpperCase"), choices);
        Self {
            name: name.into(),
            description: field("ParamDesc").unwrap_or_default(),
            kind,
            default: field("Default").unwrap_or_default(),
            is_optional: flag("Optional"),
            value,
        }
    }

    /// The value in force.
    pub(crate) fn current(&self) -> &str {
        self.value.as_deref().unwrap_or(&self.default)
    }

    /// Checks a new value, and gives it as it is to be stored.
    ///
    /// # Errors
    ///
    /// It is none of those that the INF allows.
    pub(crate) fn accept(&self, value: &str) -> Result<String, Refusal> {
        if value.is_empty() && self.is_optional {
            return Ok(String::new());
        }
        match &self.kind {
            Kind::Enumeration(choices) => {
                if choices.iter().any(|(choice, _)| choice == value) {
                    return Ok(value.into());
                }
                let all: Vec<&str> = choices.iter().map(|(choice, _)| choice.as_str()).collect();
                Err(Refusal::NotListed(value.into(), all.join(", ")))
            }
            Kind::Integer { min, max, step, .. } => number(value, *min, *max, *step),
            Kind::Text { limit, is_upper } => {
                if value.chars().count() > *limit {
                    return Err(Refusal::TooLong(value.into(), *limit));
                }
                Ok(if *is_upper {
                    value.to_uppercase()
                } else {
                    value.into()
                })
            }
            Kind::Unknown => Err(Refusal::Unknown),
        }
    }

    /// What `show paraminfo` prints.
    pub(crate) fn info(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = match &self.kind {
            Kind::Enumeration(choices) => {
                let _ = writeln!(text, "Parameter type: enumeration");
                choices.iter().try_for_each(|(value, meaning)| {
                    writeln!(text, "Value \"{value}\" - {meaning}")
                })
            }
            Kind::Integer {
                is_long,
                min,
                max,
                step,
            } => {
                let long = if *is_long { "long integer" } else { "integer" };
                writeln!(
                    text,
                    "Parameter type: {long}\nMin value: {min}\nMax value: {max}\nValue increment: {step}"
                )
            }
            Kind::Text { limit, is_upper } => {
                let upper = if *is_upper { "yes" } else { "no" };
                writeln!(
                    text,
                    "Parameter type: text\nMax text length: {limit}\nUpper-case only: {upper}"
                )
            }
            Kind::Unknown => writeln!(text, "Parameter type: UNKNOWN"),
        };
        text
    }
}

fn kind(
    field: &impl Fn(&str) -> Option<String>,
    is_upper: bool,
    choices: Vec<(String, String)>,
) -> Kind {
    let number = |name| field(name).and_then(|text| text.trim().parse::<u32>().ok());
    let kind = field("Type").unwrap_or_default().to_ascii_lowercase();
    let is_long = matches!(kind.as_str(), "long" | "dword");
    match kind.as_str() {
        "enum" if !choices.is_empty() => Kind::Enumeration(choices),
        "int" | "long" | "word" | "dword" => {
            let widest = if is_long {
                u32::MAX
            } else {
                u32::from(u16::MAX)
            };
            Kind::Integer {
                is_long,
                min: number("Min").unwrap_or(0),
                max: number("Max").unwrap_or(widest),
                // A step of nothing reaches nothing; one is meant.
                step: number("Step").unwrap_or(1).max(1),
            }
        }
        "edit" => Kind::Text {
            limit: number("LimitText").map_or(255, |limit| limit as usize),
            is_upper,
        },
        _ => Kind::Unknown,
    }
}

fn number(value: &str, min: u32, max: u32, step: u32) -> Result<String, Refusal> {
    // `parse` takes a leading plus, which Windows would not.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse::<u32>().ok().filter(|_| digits);
    let number = number.ok_or_else(|| Refusal::NoNumber(value.into()))?;
    if !(min..=max).contains(&number) {
        return Err(Refusal::OutOfRange(number, min, max));
    }
    let beyond = number.abs_diff(min);
    if beyond.checked_rem(step).is_some_and(|rest| rest != 0) {
        return Err(Refusal::OffStep(number, min, step));
    }
    Ok(number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)], choices: &[(&str, &str)]) -> Parameter {
        let field = |name: &str| {
            let found = fields
                .iter()
                .find(|(own, _)| own.eq_ignore_ascii_case(name));
            found.map(|(_, value)| (*value).to_owned())
        };
        let choices = choices
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        Parameter::read("p", field, choices.collect(), None)
    }

    #[test]
    fn numbers_keep_to_range_and_step() {
        let parameter = read(
            &[
                ("Type", "int"),
                ("Min", "16"),
                ("Max", "64"),
                ("Step", "16"),
                ("Default", "32"),
            ],
            &[],
        );
        assert_eq!(parameter.current(), "32");
        assert_eq!(parameter.accept("048"), Ok("48".into()));
        assert_eq!(parameter.accept("8"), Err(Refusal::OutOfRange(8, 16, 64)));
        assert_eq!(parameter.accept("65"), Err(Refusal::OutOfRange(65, 16, 64)));
        assert_eq!(parameter.accept("17"), Err(Refusal::OffStep(17, 16, 16)));
        for text in ["", "-1", "+16", "x", "99999999999"] {
            assert_eq!(parameter.accept(text), Err(Refusal::NoNumber(text.into())));
        }
    }

    #[test]
    fn a_number_without_range_has_that_of_its_type() {
        assert!(read(&[("Type", "int")], &[]).accept("65536").is_err());
        assert!(read(&[("Type", "long")], &[]).accept("4294967295").is_ok());
        assert!(
            read(&[("Type", "long"), ("Step", "0")], &[])
                .accept("7")
                .is_ok()
        );
    }

    #[test]
    fn a_choice_is_one_of_the_list() {
        let parameter = read(&[("Type", "enum")], &[("0", "Off"), ("1", "On")]);
        assert_eq!(parameter.accept("1"), Ok("1".into()));
        assert_eq!(
            parameter.accept("2").unwrap_err().to_string(),
            "\"2\" is not one of: 0, 1"
        );
    }

    #[test]
    fn a_text_is_cut_for_nobody_and_raised_where_asked() {
        let parameter = read(
            &[("Type", "edit"), ("LimitText", "4"), ("UpperCase", "1")],
            &[],
        );
        assert_eq!(parameter.accept("abcd"), Ok("ABCD".into()));
        assert_eq!(
            parameter.accept("abcde"),
            Err(Refusal::TooLong("abcde".into(), 4))
        );
    }

    #[test]
    fn nothing_is_right_only_for_what_is_optional() {
        assert!(
            read(&[("Type", "int"), ("Optional", "1")], &[])
                .accept("")
                .is_ok()
        );
        assert!(
            read(&[("Type", "int"), ("Optional", "0")], &[])
                .accept("")
                .is_err()
        );
    }

    #[test]
    fn bad_data_of_the_inf_is_no_reason_to_fail() {
        assert_eq!(read(&[], &[]).kind, Kind::Unknown);
        assert_eq!(read(&[("Type", "enum")], &[]).kind, Kind::Unknown);
        assert_eq!(
            read(&[("Type", "enum")], &[]).accept("1"),
            Err(Refusal::Unknown)
        );
    }
}
