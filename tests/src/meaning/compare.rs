//! What a tool recorded under BCC and under dbcc, in one form, and when the two are equal.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::case::{Case, Mine, Rule, Table};
use crate::dbcc::Records;

/// The leaves of an event or of an entry: `pid`, `key.slot`, `value`.
pub type Row = BTreeMap<String, Value>;

/// What one of the two recorded: rows by the name of the map or of the buffer of events.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    rows: BTreeMap<String, Vec<Row>>,
}

/// What the texts' enumerators stand for: BCC gives numbers, dbcc names.
const ENUMERATORS: &[(&str, u64)] = &[("EVENT_ARG", 0), ("EVENT_RET", 1)];

impl Recorded {
    /// What `tests/bcc/attach.py` printed.
    ///
    /// # Errors
    /// It is no such thing, or events were lost.
    pub fn by_bcc(printed: &Value) -> Result<Self> {
        ensure!(printed["lost"] == 0, "BCC lost events: {}", printed["lost"]);
        let mut rows = BTreeMap::new();
        for part in ["maps", "events"] {
            for (name, entries) in printed[part].as_object().context("no maps and events")? {
                let entries = entries.as_array().context("no list")?;
                rows.insert(name.clone(), entries.iter().map(row).collect());
            }
        }
        Ok(Self { rows })
    }

    /// What `dbcc --json` printed.
    ///
    /// # Errors
    /// Something was lost.
    pub fn by_dbcc(records: &Records) -> Result<Self> {
        for record in records.of_kind("lost") {
            // Programs on interrupts that interrupt others do not run; that BCC cannot tell.
            ensure!(record["count"] == 0 || record["what"] == "runs", "something was lost: {record}");
        }
        let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for record in &records.all {
            let (map, kind) = (&record["map"], record["kind"].as_str().unwrap_or_default());
            let Some(map) = map.as_str() else { continue };
            ensure!(record.get("incomplete").is_none(), "{record}");
            let rows = rows.entry(map.to_owned()).or_default();
            match kind {
                // A later report replaces an earlier one.
                "map" => rows.clear(),
                "entry" | "event" => rows.push(row(&record["fields"])),
                _ => {}
            }
        }
        Ok(Self { rows })
    }

    fn of(&self, table: &Table, pid: u32) -> Vec<Row> {
        let mine = |row: &&Row| match table.mine {
            Mine::All => true,
            Mine::Pid(field) => row.get(field) == Some(&Value::from(pid)),
            Mine::Comm(field) => row.get(field) == Some(&Value::from("workload")),
        };
        // An array has all its entries from the start.
        let empty = |row: &&Row| row.get("value") == Some(&Value::from(0));
        self.rows.get(table.name).into_iter().flatten().filter(mine).filter(|row| !empty(row)).cloned().collect()
    }
}

/// A decoded value by its leaves, in the form that BCC and dbcc can share.
fn row(value: &Value) -> Row {
    let mut row = Row::new();
    flatten(value, String::new(), &mut row);
    row
}

fn flatten(value: &Value, path: String, row: &mut Row) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| flatten(field, below(name), row)),
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, element)| flatten(element, below(&index.to_string()), row));
        }
        Value::String(text) => {
            let address = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
            let enumerator = ENUMERATORS.iter().find(|(name, _)| name == text).map(|(_, number)| *number);
            let number = address.or(enumerator).map(Value::from);
            row.insert(path, number.unwrap_or_else(|| value.clone()));
        }
        // An address is unsigned for dbcc; for BCC a `long` may hold it.
        other => {
            row.insert(path, other.clone());
        }
    }
}

/// What all that ran at the same time recorded.
#[derive(Debug, Clone)]
pub struct Sides {
    /// BCC; where there is another BCC inside, it ran for longer than dbcc.
    pub bcc: Recorded,
    /// dbcc.
    pub dbcc: Recorded,
    /// BCC, for a part of dbcc's time.
    pub inner: Option<Recorded>,
}

/// What was found equal in one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Name of the map or of the buffer of events.
    pub table: &'static str,
    /// How many entries or events.
    pub rows: usize,
    /// The sum of the entries' values where they are numbers, for BCC and for dbcc.
    pub sums: (u64, u64),
}

/// Compares all tables of a case that the work of process `pid` shows in.
///
/// # Errors
/// They differ; the message holds both sides of the first table that does.
pub fn compare(case: &Case, pid: u32, sides: &Sides) -> Result<Vec<Compared>> {
    let tables = case.tables.iter().map(|table| {
        let (theirs, ours) = (sides.bcc.of(table, pid), sides.dbcc.of(table, pid));
        let inner = sides.inner.as_ref().map(|inner| inner.of(table, pid));
        let verdict = one(table, &theirs, &ours, inner.as_deref());
        verdict.with_context(|| format!("{}: BCC:\n{}dbcc:\n{}", table.name, lines(&theirs), lines(&ours)))?;
        Ok(Compared { table: table.name, rows: ours.len(), sums: (sum(&theirs), sum(&ours)) })
    });
    tables.collect()
}

fn one(table: &Table, bcc: &[Row], dbcc: &[Row], inner: Option<&[Row]>) -> Result<()> {
    match table.rule {
        Rule::Same { without, floors } => {
            for (field, floor) in floors {
                for row in bcc.iter().chain(dbcc) {
                    let number =
                        row.get(*field).and_then(Value::as_u64).with_context(|| format!("no {field}: {row:?}"))?;
                    ensure!(number >= *floor, "{field} is {number}, which is less than the {floor} that it must be");
                }
            }
            let (bcc, dbcc) = (sorted(bcc, without), sorted(dbcc, without));
            let differs = bcc.iter().zip(&dbcc).find(|(bcc, dbcc)| bcc != dbcc);
            if let Some((bcc, dbcc)) = differs {
                bail!("the first that differ:\n{bcc}\n{dbcc}");
            }
            ensure!(bcc.len() == dbcc.len(), "BCC has {}, dbcc has {}", bcc.len(), dbcc.len());
        }
        Rule::Histogram { group, least } => {
            for row in bcc.iter().chain(dbcc) {
                let slot = row.get("key.slot").or_else(|| row.get("key")).and_then(Value::as_u64).context("no slot")?;
                ensure!(slot >= least, "an event in slot {slot}, although all last for at least that of {least}");
            }
            let (bcc, dbcc) = (totals(bcc, group), totals(dbcc, group));
            ensure!(bcc == dbcc, "totals: BCC {bcc:?}, dbcc {dbcc:?}");
        }
        Rule::Between { group } => {
            let (outer, ours) = (totals(bcc, group), totals(dbcc, group));
            let inner = totals(inner.context("there is no BCC inside")?, group);
            let of = |totals: &BTreeMap<String, u64>, group: &String| totals.get(group).copied().unwrap_or(0);
            for group in outer.keys().chain(ours.keys()).chain(inner.keys()) {
                let (least, counted, most) = (of(&inner, group), of(&ours, group), of(&outer, group));
                let fits = (least..=most).contains(&counted);
                ensure!(fits, "{group}: dbcc counted {counted}, BCC {least} inside of its time and {most} around it");
            }
        }
        Rule::Samples => {
            let (bcc, dbcc) = (most(bcc).context("BCC has none")?, most(dbcc).context("dbcc has none")?);
            ensure!(bcc.0 == dbcc.0, "most are in\n{}\n{}", bcc.0, dbcc.0);
            for (entry, count, sum) in [&bcc, &dbcc] {
                ensure!(count * 2 >= *sum, "only {count} of {sum} are in {entry}");
            }
            let (fewer, more) = (bcc.2.min(dbcc.2), bcc.2.max(dbcc.2));
            ensure!(more * 2 <= fewer * 3, "{} and {} samples", bcc.2, dbcc.2);
        }
        Rule::Durations { floor } => {
            let sums = (sum(bcc), sum(dbcc));
            ensure!(sums.0.min(sums.1) >= floor, "sums (BCC, dbcc) {sums:?}, at least {floor} was to be expected");
            let (bcc, dbcc) = (sorted(bcc, &["value"]), sorted(dbcc, &["value"]));
            ensure!(bcc == dbcc, "the keys differ");
        }
    }
    ensure!(dbcc.len() >= table.rows, "only {} entries, {} were to be expected", dbcc.len(), table.rows);
    Ok(())
}

/// The entry with the largest value, that value, and the sum of all.
fn most(rows: &[Row]) -> Option<(String, u64, u64)> {
    let row = rows.iter().max_by_key(|row| number(row))?;
    Some((text(row, &["value"]), number(row), sum(rows)))
}

/// The values added up by some fields of the key.
fn totals(rows: &[Row], group: &[&str]) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    for row in rows {
        let key: Vec<String> =
            group.iter().map(|field| row.get(*field).map(Value::to_string).unwrap_or_default()).collect();
        *totals.entry(key.join(" ")).or_default() += number(row);
    }
    totals
}

fn sorted(rows: &[Row], without: &[&str]) -> Vec<String> {
    let mut texts: Vec<String> = rows.iter().map(|row| text(row, without)).collect();
    texts.sort_unstable();
    texts
}

fn text(row: &Row, without: &[&str]) -> String {
    let kept = row.iter().filter(|(name, _)| !without.contains(&name.as_str()));
    kept.map(|(name, value)| format!("{name}={value} ")).collect()
}

fn lines(rows: &[Row]) -> String {
    const SHOWN: usize = 40;
    let mut texts: Vec<String> = rows.iter().map(|row| format!("  {}\n", text(row, &[]))).collect();
    texts.sort_unstable();
    let more = texts.len().saturating_sub(SHOWN);
    texts.truncate(SHOWN);
    if more > 0 {
        texts.push(format!("  … {more} more\n"));
    }
    texts.concat()
}

fn number(row: &Row) -> u64 {
    row.get("value").and_then(Value::as_u64).unwrap_or(0)
}

fn sum(rows: &[Row]) -> u64 {
    rows.iter().map(number).fold(0, u64::saturating_add)
}
