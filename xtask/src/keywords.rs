//! INF keywords against the driver's table: name, default, least and greatest value.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

const TABLE: &str = "netkvm/src/settings.rs";
const INF: &str = "inf/netkvm.inf";

/// Default, least and greatest value, in the notation of where they come from.
#[derive(Debug, Default, PartialEq)]
struct Range {
    default: Option<u64>,
    min: Option<u64>,
    max: Option<u64>,
}

/// Lists the keywords on which table and INF disagree.
pub(crate) fn differences(workspace: &Workspace) -> Result<Vec<String>> {
    let read = |name| fs::read_to_string(workspace.root.join(name)).context(name);
    Ok(compare(&in_table(&read(TABLE)?), &in_inf(&read(INF)?)))
}

fn compare(table: &BTreeMap<String, Range>, inf: &BTreeMap<String, Range>) -> Vec<String> {
    let mut findings = Vec::new();
    if table.is_empty() {
        findings.push(format!("{TABLE} has no keyword"));
    }
    for (name, range) in table {
        match inf.get(name) {
            Some(offered) if offered == range => {}
            Some(offered) => {
                findings.push(format!("{name}: {range:?} but the INF has {offered:?}"))
            }
            None => findings.push(format!("{name} is not in {INF}")),
        }
    }
    for (name, range) in inf {
        if range.min.is_some() && !table.contains_key(name) {
            findings.push(format!(
                "{name} is in {INF}, and the driver does not read it"
            ));
        }
    }
    findings
}

/// The `Keyword { name: "…", default: …, min: …, max: … }` literals of the source.
fn in_table(source: &str) -> BTreeMap<String, Range> {
    let literals = source.split("Keyword = Keyword {").skip(1);
    literals
        .filter_map(|rest| literal(rest.split_once('}')?.0))
        .collect()
}

fn literal(fields: &str) -> Option<(String, Range)> {
    let mut name = None;
    let mut range = Range::default();
    for (field, value) in fields.split(',').filter_map(|field| field.split_once(':')) {
        let value = value.trim();
        match field.trim() {
            "name" => name = Some(value.trim_matches('"').to_owned()),
            "default" => range.default = number(value),
            "min" => range.min = number(value),
            "max" => range.max = number(value),
            _ => {}
        }
    }
    Some((name?, range))
}

/// The `HKR, Ndi\params\<name>, <field>, 0, "<value>"` lines of the INF.
fn in_inf(inf: &str) -> BTreeMap<String, Range> {
    let mut keywords = BTreeMap::<String, Range>::new();
    for line in inf.lines() {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [root, key, field, _, value] = fields[..] else {
            continue;
        };
        let Some(name) = key
            .to_ascii_lowercase()
            .strip_prefix(r"ndi\params\")
            .map(str::len)
        else {
            continue;
        };
        if !root.eq_ignore_ascii_case("HKR") {
            continue;
        }
        let range = keywords
            .entry(key[key.len() - name..].to_owned())
            .or_default();
        let value = number(value.trim_matches('"'));
        match field.to_ascii_lowercase().as_str() {
            "default" => range.default = value,
            "min" => range.min = value,
            "max" => range.max = value,
            _ => {}
        }
    }
    keywords
}

fn number(text: &str) -> Option<u64> {
    text.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str =
        "const A: Keyword = Keyword {\n name: \"*A\",\n default: 5,\n min: 1,\n max: 60_000,\n};";
    const OFFER: &str = "HKR, Ndi\\params\\*A, Default, 0, \"5\"\nHKR, Ndi\\Params\\*A, Min, 0, \"1\"\n\
        HKR, Ndi\\params\\*A, Max, 0, \"60000\"\nHKR, Ndi\\params\\Edit, LimitText, 0, \"12\"";

    #[test]
    fn a_table_that_agrees_has_no_finding() {
        assert_eq!(compare(&in_table(SOURCE), &in_inf(OFFER)), [""; 0]);
    }

    #[test]
    fn another_default_is_found() {
        let inf = OFFER.replace("\"5\"", "\"6\"");
        assert_eq!(compare(&in_table(SOURCE), &in_inf(&inf)).len(), 1);
    }

    #[test]
    fn a_keyword_of_one_side_is_found() {
        let other = OFFER.replace("*A", "*B");
        assert_eq!(compare(&in_table(SOURCE), &in_inf(&other)).len(), 2);
        assert_eq!(compare(&in_table(""), &in_inf("")).len(), 1);
    }
}
