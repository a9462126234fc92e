use super::axis::Axis;
use super::escape::escape;
use crate::compare::findings::Findings;
use crate::compare::operation::{Operation, Stored};
use crate::compare::who::{Level, Other, Store, Who};
use crate::figure::{Unit, grouped, show};
use crate::measure::Spread;
use std::fmt::Write;

const WIDTH: f64 = 540.0;
const HEIGHT: f64 = 300.0;
/// Where the plot is; names are behind it.
const ACROSS: (f64, f64) = (74.0, 420.0);
/// Its bottom and its top.
const UP: (f64, f64) = (256.0, 14.0);
/// How far names stay apart.
const LINE: f64 = 15.0;

/// The points of one line.
type Points = Vec<(f64, Spread)>;

/// A line for each at `level` whose time was measured in a store that grows; `None` where there are none.
pub fn chart(
    findings: &Findings,
    level: Level,
    operation: fn(Stored) -> Operation,
    about: &str,
) -> Option<String> {
    let of_level = findings.crew.iter().filter(|member| member.level == level);
    let lines: Vec<(Who, Points)> = of_level
        .map(|member| (member.name, points(findings, member.name, operation)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let spreads = lines.iter().flat_map(|(_, points)| points).map(|(_, spread)| spread);
    let up = Axis::around(spreads.flat_map(|spread| [spread.min, spread.max]), 10.0, UP)?;
    let stored = Stored::ALL.map(|stored| findings.load.stored(stored) as f64);
    let across = Axis { ends: (stored[0], stored[stored.len() - 1]), places: ACROSS };
    let mut chart = format!(
        "<div class=\"chart\" tabindex=\"0\">\n\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}, at level {level}\">\n",
        escape(about)
    );
    chart.push_str(&grid(&across, &up, &stored));
    for (who, points) in &lines {
        chart.push_str(&line(*who, points, &across, &up));
    }
    chart.push_str(&names(&lines, &across, &up));
    chart.push_str("</svg>\n</div>");
    Some(chart)
}

fn points(findings: &Findings, who: Who, operation: fn(Stored) -> Operation) -> Points {
    let point = |stored| {
        let figure = findings.figure(who, operation(stored))?;
        Some((findings.load.stored(stored) as f64, figure.spread))
    };
    Stored::ALL.into_iter().filter_map(point).collect()
}

fn grid(across: &Axis, up: &Axis, stored: &[f64]) -> String {
    let mut grid = String::new();
    let (left, right) = ACROSS;
    for mark in up.marks(10.0) {
        let y = up.at(mark);
        let label = if mark >= 1.0 {
            show(mark, Unit::Milliseconds).replace(".00", "").replace(".0", "")
        } else {
            format!("{mark} ms")
        };
        let _ =
            writeln!(grid, "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
        let _ =
            writeln!(grid, "<text class=\"name\" x=\"{}\" y=\"{:.1}\">{label}</text>", left - 8.0, y + 4.0);
    }
    for &count in stored {
        let x = across.at(count);
        let (bottom, top) = UP;
        let _ =
            writeln!(grid, "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{top}\"/>");
        let label = grouped(count as u64);
        let _ = writeln!(grid, "<text class=\"mark\" x=\"{x:.1}\" y=\"{}\">{label}</text>", bottom + 18.0);
    }
    let middle = f64::midpoint(left, right);
    let _ =
        writeln!(grid, "<text class=\"mark\" x=\"{middle}\" y=\"{}\">entries stored</text>", HEIGHT - 6.0);
    grid
}

fn line(who: Who, points: &Points, across: &Axis, up: &Axis) -> String {
    let mut line = format!("<g class=\"{}\">", class(who));
    let path: Vec<String> = points
        .iter()
        .map(|(stored, spread)| format!("{:.1} {:.1}", across.at(*stored), up.at(spread.median)))
        .collect();
    let _ = writeln!(line, "<path class=\"curve\" d=\"M{}\"/>", path.join("L"));
    for (stored, spread) in points {
        let (x, y) = (across.at(*stored), up.at(spread.median));
        let (least, most) = (up.at(spread.min), up.at(spread.max));
        let about = format!(
            "{who}, {} stored: {} ({} to {})",
            grouped(*stored as u64),
            show(spread.median, Unit::Milliseconds),
            show(spread.min, Unit::Milliseconds),
            show(spread.max, Unit::Milliseconds)
        );
        let _ = writeln!(line, "<path class=\"stroke\" d=\"M{x:.1} {least:.1}V{most:.1}\"/>");
        let _ = writeln!(
            line,
            "<circle class=\"point\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"><title>{}</title></circle>",
            escape(&about)
        );
    }
    line.push_str("</g>\n");
    line
}

/// Each line's name: behind the plot, none on another, or beside the last point of one that ends before.
fn names(lines: &[(Who, Points)], across: &Axis, up: &Axis) -> String {
    let end =
        |points: &Points| points.last().map(|(stored, spread)| (across.at(*stored), up.at(spread.median)));
    let ends = lines.iter().filter_map(|(who, points)| Some((*who, end(points)?)));
    let (mut whole, short): (Vec<_>, Vec<_>) = ends.partition(|(_, (x, _))| *x >= ACROSS.1 - 1.0);
    whole.sort_by(|(_, one), (_, other)| one.1.total_cmp(&other.1));
    let wanted: Vec<f64> = whole.iter().map(|(_, (_, y))| *y).collect();
    let start = ACROSS.1 + 14.0;
    let mut names = String::new();
    for ((who, (x, y)), place) in whole.into_iter().zip(apart(&wanted, UP.1, UP.0)) {
        let (class, from, to) = (class(who), x + 5.0, start - 3.0);
        let _ = writeln!(
            names,
            "<g class=\"{class}\"><path class=\"leader\" d=\"M{from:.1} {y:.1}L{to:.1} {place:.1}\"/><text \
             class=\"label\" x=\"{start}\" y=\"{:.1}\">{who}</text></g>",
            place + 4.0
        );
    }
    for (who, (x, y)) in short {
        let (class, x, y) = (class(who), x + 8.0, y - 6.0);
        let _ = writeln!(
            names,
            "<g class=\"{class}\"><text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\">{who}</text></g>"
        );
    }
    names
}

/// Places near the `wanted` ones, which are sorted, each at least a line below the one before, between `top` and
/// `bottom` as far as there is room.
fn apart(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::with_capacity(wanted.len());
    for &y in wanted {
        let least = places.last().map_or(top, |last| last + LINE);
        places.push(y.max(least));
    }
    let mut most = bottom;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - LINE;
    }
    places
}

/// Its colour, and whether its line is broken: a raw limit has the colour of its store.
fn class(who: Who) -> &'static str {
    match who {
        Who::Store(Store::Memory) => "c1",
        Who::Store(Store::Sqlite) => "c2",
        Who::Store(Store::Fs) => "c3",
        Who::Store(Store::Redb) => "c4",
        Who::Store(Store::Redis) => "c5",
        Who::Peer(Other::Moka) => "c1 raw",
        Who::Peer(Other::RawSqlite) => "c2 raw",
        Who::Peer(Other::RawFiles) => "c3 raw",
        Who::Peer(Other::RawRedb) => "c4 raw",
        Who::Peer(Other::RawRedis) => "c5 raw",
        Who::Peer(Other::Cached) => "c6 raw",
        Who::Peer(Other::Python) => "c7 raw",
        Who::Peer(Other::Diskcache) => "c8 raw",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_cover_each_other() {
        assert_eq!(apart(&[20.0, 21.0, 100.0], 10.0, 200.0), [20.0, 35.0, 100.0]);
        assert_eq!(apart(&[198.0, 199.0], 10.0, 200.0), [185.0, 200.0]);
    }
}
