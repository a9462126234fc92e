//! The comparison as one page that needs nothing else: its style and its charts are in it, and no program.

mod axis;
mod bars;
mod curves;
mod escape;
mod tables;

use super::findings::{Findings, Member};
use super::operation::{Operation, Stored};
use super::text;
use super::who::Level;
use crate::figure::{grouped, rounded};
use escape::escape;
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// The page.
pub fn render(findings: &Findings) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>memlife beside its peers</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    let parts = [
        header(findings),
        glance(findings),
        reading(findings),
        limits(findings),
        growth(findings),
        whole(findings),
    ];
    page.extend(parts);
    page.push_str(&notes(findings));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn header(findings: &Findings) -> String {
    let machine = findings.machine.to_string();
    let mut list = String::new();
    for line in machine.lines() {
        let (name, value) = line.trim_start_matches("- ").split_once(": ").unwrap_or(("", line));
        // Writing into a string does not fail.
        let _ = writeln!(list, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value));
    }
    let load = &findings.load;
    format!(
        "<header>\n<p class=\"kicker\">Comparison</p>\n<h1>memlife beside its peers</h1>\n\
         <p class=\"lead\">The same work in every store and in what could be used instead, in one run on one machine: \
         {} entries with texts of {} bytes, on {}.</p>\n<details>\n<summary>The machine, and the command that does it \
         again</summary>\n<dl>\n{list}</dl>\n<pre><code>{}</code></pre>\n</details>\n</header>\n",
        grouped(load.entries as u64),
        grouped(load.value_bytes as u64),
        escape(&findings.machine.date),
        escape(&findings.command),
    )
}

/// What most want to know first: a few figures of each store, and how near its limit they are.
fn glance(findings: &Findings) -> String {
    let operations = [Operation::Hit, Operation::PutShared, Operation::Sweep(Stored::Hundredfold)];
    let mut cards = String::new();
    for Member { name, level } in findings.stores() {
        let _ =
            write!(cards, "<div class=\"card\"><h3>{name} <small><code>{level}</code></small></h3>\n<dl>\n");
        for operation in operations {
            let figure = escape(&text::figure(findings, *name, operation));
            let ratio = name.raw_limit().and_then(|raw| Some((raw, findings.ratio(*name, raw, operation)?)));
            let ratio =
                ratio.map_or_else(String::new, |(raw, ratio)| format!("{}× {raw}", rounded(ratio.median)));
            let title = escape(&operation.title(&findings.load));
            let _ =
                writeln!(cards, "<div><dt>{title}</dt><dd><b>{figure}</b> <span>{ratio}</span></dd></div>");
        }
        cards.push_str("</dl></div>\n");
    }
    if cards.is_empty() {
        cards
    } else {
        format!("<section class=\"glance\" aria-label=\"At a glance\">\n{cards}</section>\n")
    }
}

fn reading(findings: &Findings) -> String {
    format!(
        "<section>\n<h2>How to read it</h2>\n<p>Everyone took a turn in every round. Every figure is the middle one of \
         its rounds, and beside it stand the least and the most: where two ranges overlap, the difference may be \
         chance. A ratio tells <strong>how many times as fast, or as small, memlife is</strong>; above 1 it is the \
         better one. Writes cost what they are to survive, so only those that survive the same are set beside each \
         other. A <em>raw limit</em> does the same work on what a store is built on, or its like, and nothing that \
         makes a store of it: no versions, no conflicts, no checksums, no feed of changes.</p>\n{}</section>\n",
        tables::crew(findings)
    )
}

fn limits(findings: &Findings) -> String {
    let panels: String = findings.stores().map(|store| limit(findings, store)).collect();
    if panels.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<h2>How near each store is to its raw limit</h2>\n<p>The line is the raw limit. A bar to the right of \
         it is how many times as fast memlife is, to the left how much slower; the thin line is from the worst round \
         to the best. The scale doubles from mark to mark.</p>\n<div class=\"panels\">\n{panels}</div>\n</section>\n"
    )
}

fn limit(findings: &Findings, Member { name, level }: &Member) -> String {
    let Some(raw) = name.raw_limit() else { return String::new() };
    let title = format!("<h3>{name} <small>beside {raw}, <code>{level}</code></small></h3>");
    let body = match findings.level(raw) {
        None => {
            let missing = findings.missing.iter().find(|missing| missing.name == raw);
            let why = missing.map_or("it was not asked for", |missing| &missing.why);
            format!("<p class=\"gap\">{raw} was not measured: {}.</p>", escape(why))
        }
        Some(_) => bars::chart(findings, *name, raw),
    };
    format!("<figure class=\"panel\">\n{title}\n{body}\n</figure>\n")
}

/// What a chart of growth is about, and which operation answers it.
type Question<'t> = (&'t str, fn(Stored) -> Operation);

fn growth(findings: &Findings) -> String {
    let due = grouped(findings.load.due_count() as u64);
    let sweep = format!("Time of a sweep that finds {due} due");
    let questions: [Question<'_>; 2] =
        [(&sweep, Operation::Sweep), ("Time until a store answers after it was closed", Operation::Open)];
    let mut panels = String::new();
    for (title, operation) in questions {
        for level in [Level::Memory, Level::Process, Level::Disk] {
            if let Some(chart) = curves::chart(findings, level, operation, title) {
                let _ = write!(
                    panels,
                    "<figure class=\"panel\">\n<h3>{title} <small><code>{level}</code></small></h3>\n{chart}\n</figure>\n"
                );
            }
        }
    }
    if panels.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<h2>What grows with the store</h2>\n<p>A flat line does not care how much is stored. Both axes go \
         in tenfold steps. Stores have full lines and their raw limits broken ones of the same colour. The \
         thin strokes are from the least to the most.</p>\n<div class=\"panels\">\n{panels}</div>\n</section>\n"
    )
}

fn whole(findings: &Findings) -> String {
    let mut text = "<section>\n<h2>All figures</h2>\n".to_owned();
    for level in [Level::Memory, Level::Process, Level::Disk] {
        text.push_str(&tables::figures(findings, level));
    }
    text.push_str("</section>\n");
    let ratios: String = findings.stores().map(|store| tables::ratios(findings, store)).collect();
    if !ratios.is_empty() {
        let _ = write!(text, "<section>\n<h2>How many times as fast memlife is</h2>\n{ratios}</section>\n");
    }
    text
}

fn notes(findings: &Findings) -> String {
    let notes = text::notes(findings);
    let items: String = notes.iter().map(|note| format!("<li>{}</li>\n", escape(note))).collect();
    format!(
        "<section>\n<h2>Notes</h2>\n<ul>\n{items}<li>–: there is no such operation. n/a: there is, and it was not \
         measured.</li>\n</ul>\n</section>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::findings::tests::some;

    #[test]
    fn everything_that_comes_from_elsewhere_is_escaped() {
        let page = render(&some());
        for text in ["<this>", "<such>", "<ages>", "\"that\""] {
            assert!(!page.contains(text), "{text} is not escaped");
        }
        assert!(page.contains("compare &lt;this&gt; &amp; &quot;that&quot;"));
    }

    #[test]
    fn the_page_needs_nothing_else() {
        let page = render(&some());
        for word in ["<script", "http", "url(", "@import", "src="] {
            assert!(!page.contains(word), "the page has {word}");
        }
        for operation in Operation::ALL {
            assert!(page.contains(&operation.title(&some().load)), "{operation:?} is not on the page");
        }
        assert!(page.contains("raw limit") && page.contains("prefers-color-scheme"));
    }
}
