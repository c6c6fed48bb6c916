//! The rows as people read them.

use std::fmt::Write;

use super::row::{Key, Row};

const HEAD: &str = "\
driver          instr.   fences  bells  irqs  descr.  alloc  copied      ns  to floor (p10 .. p90)";

const FOOT: &str = "\
instr., fences: instructions, and locked or fencing operations, per packet, by callgrind, driver only
bells, irqs: doorbells and interrupts per 1000 packets; descr., alloc, copied (bytes): per packet
ns: per packet, driver only, median; to floor: median of the rounds' quotients
";

/// A block for each case, with a line for each driver.
pub(super) fn of(rows: &[Row]) -> String {
    let mut table = String::new();
    let mut done: Vec<&Key> = Vec::new();
    for row in rows {
        if done.iter().any(|key| is_same_case(key, &row.key)) {
            continue;
        }
        done.push(&row.key);
        block(&row.key, rows, &mut table);
    }
    table.push_str(FOOT);
    table
}

fn is_same_case(one: &Key, other: &Key) -> bool {
    let with_driver = Key {
        driver: other.driver.clone(),
        ..one.clone()
    };
    with_driver == *other
}

fn block(key: &Key, rows: &[Row], table: &mut String) {
    let case = Key {
        driver: String::new(),
        ..key.clone()
    };
    // Writing to a string does not fail.
    let _ = writeln!(table, "{}\n{HEAD}", case.to_string().trim_start());
    for row in rows.iter().filter(|row| is_same_case(key, &row.key)) {
        let _ = writeln!(table, "{}", line(row));
    }
    table.push('\n');
}

fn line(row: &Row) -> String {
    let counts = format!(
        "{:<14} {:>7.1}  {:>7.4}  {:>5.0} {:>5.0}  {:>6.2}  {:>5.2}  {:>6.0}",
        row.key.driver,
        row.ir,
        row.ge,
        row.doorbells_per_1000,
        row.interrupts_per_1000,
        row.descriptors,
        row.allocations,
        row.bytes_copied,
    );
    let Some(times) = &row.times else {
        return counts;
    };
    let (low, high) = (times.ratio_p10, times.ratio_p90);
    format!(
        "{counts}  {:>6.1}  {:>8.2} ({low:.2} .. {high:.2})",
        times.ns, times.ratio
    )
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    #[test]
    fn drivers_of_one_case_stand_together() {
        let mut rows = vec![row("split", "tx", 32), row("split", "rx", 32)];
        let mut floor = row("split", "tx", 32);
        floor.key.driver = "floor".to_owned();
        rows.push(floor);
        let table = of(&rows);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "split tx 64 B, batch 32");
        assert_eq!(lines[1], HEAD);
        assert!(lines[2].starts_with("netkvm"), "{}", lines[2]);
        assert!(lines[3].starts_with("floor"), "{}", lines[3]);
        assert_eq!(lines[5], "split rx 64 B, batch 32");
    }
}
