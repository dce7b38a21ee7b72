//! What is said to the person at the terminal, apart from data.

use crate::escape::harmless;
use crate::output::{AttachedProgram, Beside, Body, Reset, Steps, Swap};

/// How many programs are named when all are attached; with `-v`, all.
const MAX_NAMED: usize = 8;

/// The lines for a record; empty where there is nothing to say.
pub(super) fn of(body: &Body, verbose: bool) -> String {
    match body {
        Body::Attached { programs } => attached(programs, verbose),
        Body::Lost { count: 0, .. } => String::new(),
        Body::Lost { what, from, count, help, total } => {
            let all = if *total { " in total" } else { "" };
            let of = if from.is_empty() { String::new() } else { format!(" of `{from}`") };
            let help = help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
            line(&format!("lost {count} {what}{of}{all}{help}"))
        }
        Body::Map { map, incomplete: Some(why), .. } => line(&format!("map {map} is not shown whole: {why}")),
        Body::Swapped(swap) => format!("{}{}", swap.warnings, line(&swapped(swap))),
        Body::Refused { message } => {
            format!("{message}{}", line("the running version goes on; the next save is tried again"))
        }
        Body::End { reason } => line(&format!("ended: {reason}")),
        Body::Note { message } => line(message),
        Body::Map { .. } | Body::Events(_) | Body::Event { .. } | Body::Print { .. } | Body::Text { .. } => {
            String::new()
        }
    }
}

fn attached(programs: &[AttachedProgram], verbose: bool) -> String {
    let count = programs.len();
    let probes = if count == 1 { "probe" } else { "probes" };
    if verbose {
        let mut text = line(&format!("attached {count} {probes}:"));
        for AttachedProgram { function, kind, target, why } in programs {
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            text.push_str(&line(&format!("  {function} by {kind} to {target}{why}")));
        }
        return text;
    }
    let named = programs
        .iter()
        .take(MAX_NAMED)
        .map(|program| format!("{} by {} to {}", program.function, program.kind, program.target));
    let named: Vec<String> = named.collect();
    let more = match count.saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(", and {more} more (-v names them)"),
    };
    line(&format!("attached {count} {probes}: {}{more}", named.join(", ")))
}

/// `swapped in 84 ms after the save (compiled 61, loaded 15, …): 2 maps carried over, 1 reset: counts: value grew …`.
fn swapped(swap: &Swap) -> String {
    let Swap { live, steps, carried, reset, gone, beside, ran_beside, warnings: _ } = swap;
    let Steps { compile, resolve, load, attach } = steps;
    let steps = [("compiled", compile), ("resolved", resolve), ("loaded", load), ("attached", attach)];
    let steps: Vec<String> = steps.iter().map(|(step, time)| format!("{step} {}", time.as_millis())).collect();
    let maps = |count: usize| if count == 1 { "1 map".to_owned() } else { format!("{count} maps") };
    let mut parts = vec![format!("{} carried over", maps(carried.len()))];
    if !reset.is_empty() {
        let each: Vec<String> = reset.iter().map(|Reset { map, why }| format!("{map}: {why}")).collect();
        parts.push(format!("{} reset: {}", reset.len(), each.join("; ")));
    }
    if !gone.is_empty() {
        parts.push(format!("{} gone: {}", gone.len(), gone.join(", ")));
    }
    let mut text =
        format!("swapped in {} ms after the save ({}): {}", live.as_millis(), steps.join(", "), parts.join(", "));
    if !beside.is_empty() {
        let each: Vec<String> = beside.iter().map(|Beside { function, why }| format!("{function}: {why}")).collect();
        let time = ran_beside.as_millis();
        text.push_str(&format!(
            "; both versions ran for {time} ms of what is not behind the switch: {}",
            each.join("; ")
        ));
    }
    text
}

fn line(text: &str) -> String {
    format!("dbcc: {}\n", harmless(text))
}
