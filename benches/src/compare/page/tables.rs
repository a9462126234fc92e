use super::escape::escape;
use crate::compare::findings::{Findings, Member, Missing};
use crate::compare::operation::Operation;
use crate::compare::text;
use crate::compare::who::{Level, Who};
use crate::figure::{Unit, rounded, show};
use std::fmt::Write;

/// Who was measured.
pub fn crew(findings: &Findings) -> String {
    let mut rows = String::new();
    for Member { name, level } in &findings.crew {
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{name}</th><td><code>{level}</code></td><td class=\"prose\">{}</td></tr>",
            code(name.about())
        );
    }
    for Missing { name, why } in &findings.missing {
        let word = if findings.has_failed(*name) { "not to the end" } else { "missing" };
        let why = escape(why);
        let _ = writeln!(
            rows,
            "<tr class=\"missing\"><th scope=\"row\">{name}</th><td>{word}</td><td class=\"prose\">{why}</td></tr>"
        );
    }
    table(&["who", "survives", "what it is"], &rows, "crew")
}

/// Every figure of those at `level`, with its spread; nothing where there are none.
pub fn figures(findings: &Findings, level: Level) -> String {
    let crew: Vec<Who> =
        findings.crew.iter().filter(|member| member.level == level).map(|member| member.name).collect();
    if crew.is_empty() {
        return String::new();
    }
    let survives = match level {
        Level::Memory => "nothing beyond the process",
        Level::Process => "the end of the process, but no power cut",
        Level::Disk => "a power cut",
    };
    let names: Vec<String> = crew.iter().map(|who| who.name()).collect();
    let columns: Vec<&str> = ["operation"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut rows = String::new();
    for operation in Operation::ALL {
        let cells: String = crew.iter().map(|&who| figure(findings, who, operation)).collect();
        let title = escape(&operation.title(&findings.load));
        let _ = writeln!(rows, "<tr><th scope=\"row\">{title}</th>{cells}</tr>");
    }
    format!(
        "<h3><code>{level}</code> <small>what is written survives {survives}</small></h3>\n{}",
        table(&columns, &rows, "figures")
    )
}

fn figure(findings: &Findings, who: Who, operation: Operation) -> String {
    let shown = escape(&text::figure(findings, who, operation));
    let Some(figure) = findings.figure(who, operation) else {
        return format!("<td class=\"absent\">{shown}</td>");
    };
    let (least, most) = (figure.spread.min, figure.spread.max);
    if least == most {
        return format!("<td>{shown}</td>");
    }
    let bare = |value| match figure.unit {
        Unit::PerSecond => show(value, figure.unit).replace("/s", ""),
        _ => rounded(value),
    };
    format!("<td>{shown}<span class=\"range\">{} – {}</span></td>", bare(least), bare(most))
}

/// How many times as fast `store` is as each peer of its level; nothing where there are none.
pub fn ratios(findings: &Findings, store: &Member) -> String {
    let peers = findings.beside(store);
    if peers.is_empty() {
        return String::new();
    }
    let names: Vec<String> = peers.iter().map(|peer| format!("as {peer}")).collect();
    let columns: Vec<&str> = ["operation"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut rows = String::new();
    for operation in Operation::ALL {
        let cells: String = peers.iter().map(|&peer| ratio(findings, store.name, peer, operation)).collect();
        let title = escape(&operation.title(&findings.load));
        let _ = writeln!(rows, "<tr><th scope=\"row\">{title}</th>{cells}</tr>");
    }
    let Member { name, level } = store;
    format!(
        "<h3>{name} <small><code>{level}</code> on all sides</small></h3>\n{}",
        table(&columns, &rows, "figures")
    )
}

fn ratio(findings: &Findings, store: Who, peer: Who, operation: Operation) -> String {
    let Some(ratio) = findings.ratio(store, peer, operation) else {
        let absent = [store, peer].into_iter().find(|&who| findings.figure(who, operation).is_none());
        let shown = absent.map_or_else(String::new, |who| text::figure(findings, who, operation));
        return format!("<td class=\"absent\">{}</td>", escape(&shown));
    };
    let class = match ratio {
        ratio if ratio.min > 1.0 => "better",
        ratio if ratio.max < 1.0 => "worse",
        _ => "even",
    };
    let range = format!("{} – {}", rounded(ratio.min), rounded(ratio.max));
    let range =
        if ratio.min == ratio.max { String::new() } else { format!("<span class=\"range\">{range}</span>") };
    format!("<td class=\"{class}\">{}×{range}</td>", rounded(ratio.median))
}

fn table(columns: &[&str], rows: &str, class: &str) -> String {
    let heads: String =
        columns.iter().map(|column| format!("<th scope=\"col\">{}</th>", escape(column))).collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\">\n<table class=\"{class}\">\n<thead><tr>{heads}</tr></thead>\n<tbody>\n\
         {rows}</tbody>\n</table>\n</div>\n"
    )
}

/// Escaped, and what stands between back-ticks as code.
fn code(text: &str) -> String {
    let escaped = escape(text);
    let parts = escaped.split('`').enumerate();
    parts
        .map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() })
        .collect()
}
