//! `docs/verifier.md` and `docs/ndis-host.md` say what there is, no more and no less.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ndis_host::ntoskrnl::{self, OsVersion};
use ndis_host::{Config, ndis};

const RULES: u16 = 308;
/// What the host reports that no rule has a number for.
const NO_RULE: u16 = 0;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A row of the table of rules.
struct Row {
    rule: u16,
    checked: String,
    tests: String,
}

/// The cells of each table row whose first cell `is_first` accepts.
fn table(document: &str, is_first: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
    let text = read(&root().join("docs").join(document));
    let rows = text.lines().filter_map(|line| {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: Vec<_> = cells.split(" | ").map(str::to_owned).collect();
        is_first(&cells[0]).then_some(cells)
    });
    rows.collect()
}

fn rule_number(cell: &str) -> Option<u16> {
    cell.strip_prefix('R')?.parse().ok()
}

fn rows() -> Vec<Row> {
    let rows = table("verifier.md", |first| rule_number(first).is_some()).into_iter();
    rows.map(|cells| {
        assert_eq!(cells.len(), 5, "{cells:?}");
        Row {
            rule: rule_number(&cells[0]).expect("a rule"),
            checked: cells[3].clone(),
            tests: cells[4].clone(),
        }
    })
    .collect()
}

/// Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn texts(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
        &mut found,
    );
    found.iter().map(|path| read(path)).collect()
}

/// Names of the functions in the tests of this crate and of the scenarios.
fn functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for text in ["tests", "src", "../scenarios", "../devices/src"]
        .iter()
        .flat_map(|folder| texts(folder))
    {
        for rest in text.split("fn ").skip(1) {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            names.insert(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
    names
}

/// What stands in backquotes and looks like a test.
fn named_tests(cell: &str) -> Vec<String> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted
        .filter(|name| name.contains("::"))
        .map(|name| name.rsplit("::").next().expect("a last part").to_owned())
        .collect()
}

#[test]
fn every_rule_has_its_row_in_order() {
    let rules: Vec<u16> = rows().iter().map(|row| row.rule).collect();
    assert_eq!(rules, (1..=RULES).collect::<Vec<_>>());
}

#[test]
fn every_row_names_tests_that_exist_or_says_why_there_are_none() {
    let functions = functions();
    let mut wrong = Vec::new();
    for row in rows() {
        let tests = named_tests(&row.tests);
        for test in &tests {
            if !functions.contains(test) {
                wrong.push(format!("R{:03}: there is no test {test}", row.rule));
            }
        }
        let has_reason = ["not checked: ", "no breaker: "].iter().any(|why| {
            let reason = row.tests.split_once(why);
            reason.is_some_and(|(_, reason)| reason.len() > 15)
        });
        if tests.is_empty() && !has_reason {
            wrong.push(format!("R{:03}: no test and no reason", row.rule));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_breach_that_the_host_knows_is_a_rule_that_the_table_calls_checked() {
    let rows: BTreeMap<u16, Row> = rows().into_iter().map(|row| (row.rule, row)).collect();
    let mut wrong = BTreeSet::new();
    for text in texts("src") {
        for call in ["require(", "insist(", "breach(", "fatal(", "advice("] {
            for rest in text.split(call).skip(1) {
                let digits: String = rest
                    .trim_start()
                    .chars()
                    .take_while(char::is_ascii_digit)
                    .collect();
                let Ok(rule) = digits.parse::<u16>() else {
                    continue;
                };
                let row = rows.get(&rule);
                if rule != NO_RULE && row.is_none_or(|row| row.checked.starts_with("not ")) {
                    wrong.insert(rule);
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "the table does not call these checked: {wrong:?}"
    );
}

#[test]
fn every_breaker_stands_in_the_row_of_its_rule() {
    let rows: BTreeMap<u16, Row> = rows().into_iter().map(|row| (row.rule, row)).collect();
    let mut missing = Vec::new();
    for text in texts("tests/rules") {
        for rest in text.split("fn r").skip(1) {
            let end = rest.find('(').unwrap_or(rest.len());
            let name = &rest[..end];
            let Some((Ok(rule), _)) = name
                .split_once("_breaks_")
                .map(|(rule, what)| (rule.parse::<u16>(), what))
            else {
                continue;
            };
            let name = format!("r{name}");
            let listed = rows
                .get(&rule)
                .is_some_and(|row| named_tests(&row.tests).contains(&name));
            if !listed {
                missing.push(name);
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_table_of_routines_is_the_table_of_exports() {
    let config = Config {
        ram_bytes: 16 << 20,
        os: OsVersion::NEWEST,
        ..Config::default()
    };
    ndis_host::start(&config).expect("a small machine starts");
    let kernel = ntoskrnl::exports().into_iter().map(|(name, _)| name);
    let exported: BTreeSet<String> = ndis::exports()
        .into_iter()
        .map(|(name, _)| name)
        .chain(kernel)
        .map(str::to_owned)
        .collect();
    let documented = table("ndis-host.md", |first| first.starts_with('`'));
    let documented: BTreeSet<String> = documented
        .iter()
        .map(|cells| cells[0].trim_matches('`').to_owned())
        .collect();
    let undocumented: Vec<_> = exported.difference(&documented).collect();
    let absent: Vec<_> = documented.difference(&exported).collect();
    assert!(undocumented.is_empty(), "not documented: {undocumented:?}");
    assert!(absent.is_empty(), "documented, but not there: {absent:?}");
}
