use super::findings::{Cell, Findings, Member, Missing};
use super::operation::Operation;
use super::who::Who;
use crate::figure::{Unit, grouped, rounded, show};
use crate::report::Section;

const ABOUT: [&str; 2] = [
    "Everyone does the same work in the same run, in turn, another one first in every round. A figure is the middle one \
     of its rounds. Behind a peer's figure stands how many times as fast, or as small, memlife is: the middle one of all \
     rounds, with the least and the most. More than 1 is better.",
    "`–`: there is no such operation. `n/a`: there is, and it was not measured; the notes say why.",
];

/// The tables, for a terminal.
pub fn render(findings: &Findings) -> String {
    let mut text = format!("{}- command: `{}`\n\n{}", findings.machine, findings.command, crew(findings));
    for note in notes(findings) {
        text.push_str(&format!("\n- {note}"));
    }
    text.push('\n');
    for store in findings.stores() {
        text.push_str(&format!("\n{}", beside(findings, store)));
    }
    if findings.stores().next().is_none() {
        text.push_str(&format!("\n{}", alone(findings)));
    }
    text
}

fn crew(findings: &Findings) -> Section {
    let mut section = Section::new("Who is compared", &ABOUT, &["name", "survives", "what it is"]);
    for Member { name, level } in &findings.crew {
        section.push(vec![name.name(), level.to_string(), name.about().to_owned()]);
    }
    section
}

/// What a reader has to know: who is missing, at another level, or without a figure that it could have.
pub fn notes(findings: &Findings) -> Vec<String> {
    let load = &findings.load;
    let mut notes = vec![format!(
        "{} entries with texts of {} bytes; a list reads pages of 100; counters and swaps are a tenth as many; large \
         values are of 8 KiB",
        grouped(load.entries as u64),
        grouped(load.value_bytes as u64)
    )];
    for Missing { name, why } in &findings.missing {
        let word = if findings.has_failed(*name) { "not to the end" } else { "missing" };
        notes.push(format!("{word}: {name}: {why}"));
    }
    for Member { name, level } in findings.elsewhere() {
        let asked = findings.asked;
        notes.push(format!(
            "{name} has no level `{asked}`: it is at `{level}`, and set beside others at `{level}` only"
        ));
    }
    if let Some(bytes) = findings.resident_before {
        notes.push(format!(
            "resident memory is that of a process that puts and gets all entries, or of the server; {} of it are there \
             before a store is opened",
            show(bytes as f64 / 1_048_576.0, Unit::Mebibytes)
        ));
    }
    notes.push(
        "bytes on disk are allocated blocks after the puts of small values; 1 MiB in sqlite and in fs and 4 MiB in redb are \
         a reserve against a full disk, whatever is stored"
            .to_owned(),
    );
    notes.extend(gaps(findings));
    notes
}

/// Why figures are missing: once for all operations of one that have the same reason.
fn gaps(findings: &Findings) -> Vec<String> {
    let mut gaps: Vec<(Who, String, Vec<String>)> = Vec::new();
    for member in &findings.crew {
        for operation in Operation::ALL {
            let Cell::NotHere(why) = findings.cell(member.name, operation) else { continue };
            let title = operation.title(&findings.load);
            match gaps.iter_mut().find(|(who, reason, _)| *who == member.name && *reason == why) {
                Some((_, _, titles)) => titles.push(title),
                None => gaps.push((member.name, why, vec![title])),
            }
        }
    }
    gaps.into_iter().map(|(who, why, titles)| format!("n/a: {who}: {}: {why}", titles.join("; "))).collect()
}

fn beside(findings: &Findings, store: &Member) -> Section {
    let peers = findings.beside(store);
    let names: Vec<String> = peers.iter().map(|peer| peer.name()).collect();
    let name = store.name.name();
    let columns: Vec<&str> = ["what", &name].into_iter().chain(names.iter().map(String::as_str)).collect();
    let about = match peers.is_empty() {
        true => format!("`{}` level. No peer of this level was measured.", store.level),
        false => format!("`{}` level on all sides.", store.level),
    };
    let mut section = Section::new(&name, &[&about], &columns);
    for operation in Operation::ALL {
        let mut row = vec![operation.title(&findings.load), figure(findings, store.name, operation)];
        row.extend(peers.iter().map(|&peer| {
            let figure = figure(findings, peer, operation);
            match findings.ratio(store.name, peer, operation) {
                Some(ratio) => format!(
                    "{figure}, {}x ({} to {})",
                    rounded(ratio.median),
                    rounded(ratio.min),
                    rounded(ratio.max)
                ),
                None => figure,
            }
        }));
        section.push(row);
    }
    section
}

/// The peers by themselves, where no store was measured.
fn alone(findings: &Findings) -> Section {
    let names: Vec<String> = findings.crew.iter().map(|member| member.name.name()).collect();
    let columns: Vec<&str> = ["what"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut section = Section::new("Peers", &["No store of memlife was measured."], &columns);
    for operation in Operation::ALL {
        let figures = findings.crew.iter().map(|member| figure(findings, member.name, operation));
        section.push([operation.title(&findings.load)].into_iter().chain(figures).collect());
    }
    section
}

/// A figure as tables show it, or what stands in its place.
pub fn figure(findings: &Findings, who: Who, operation: Operation) -> String {
    match findings.cell(who, operation) {
        Cell::Costs(_) => {
            findings.figure(who, operation).map_or_else(|| "n/a".to_owned(), |figure| figure.show())
        }
        Cell::HasNone => "–".to_owned(),
        Cell::NotHere(_) => "n/a".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::findings::tests::some;

    #[test]
    fn whoever_is_missing_or_elsewhere_is_named() {
        let text = render(&some());
        assert!(text.contains("missing: moka: there is no <such> thing"), "{text}");
        assert!(text.contains("memory has no level `process`: it is at `memory`"), "{text}");
        assert!(text.contains("n/a: raw-sqlite: export, entries: it takes <ages>"), "{text}");
        assert!(text.contains("1/s, 2.00x (1.00 to 4.00)"), "{text}");
        let swap = text.lines().find(|line| line.contains("compare and swap") && line.contains('–'));
        assert!(swap.is_some(), "{text}");
    }
}
