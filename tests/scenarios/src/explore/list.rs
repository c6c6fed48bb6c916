//! A schedule as text: the choices that a run makes, separated by commas or spaces.

use anyhow::{Context, Result, anyhow};
use ndis_host::sched::choices::Choice;

use super::args::ExploreArgs;

/// The list that the command line gives, if it does.
pub(super) fn of_args(args: &ExploreArgs) -> Result<Option<Vec<Choice>>> {
    let text = match (&args.only, &args.only_from) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => {
            std::fs::read_to_string(path).with_context(|| path.display().to_string())?
        }
        (None, None) => return Ok(None),
    };
    parse(&text).map(Some)
}

fn parse(text: &str) -> Result<Vec<Choice>> {
    let words = text
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty());
    words
        .map(|word| word.parse().map_err(|error| anyhow!("{error}")))
        .collect()
}

/// The list of choices as [`parse`] reads it.
pub(super) fn format(choices: &[Choice]) -> String {
    let words: Vec<String> = choices.iter().map(Choice::to_string).collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_written_as_it_is_read_with_any_separator() {
        let choices = parse("s1.3,c0.12,s4.40").unwrap();
        assert_eq!(format(&choices), "s1.3,c0.12,s4.40");
        assert_eq!(parse("s1.3 c0.12\ns4.40\n").unwrap(), choices);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn what_is_no_choice_is_named() {
        let error = parse("s1.3,t4").unwrap_err().to_string();
        assert!(error.contains("`t4`"), "{error}");
    }
}
