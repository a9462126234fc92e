use super::axis::Axis;
use super::escape::escape;
use crate::compare::findings::Findings;
use crate::compare::operation::Operation;
use crate::compare::text;
use crate::compare::who::Who;
use crate::figure::rounded;
use crate::measure::Spread;
use std::fmt::Write;

const WIDTH: f64 = 540.0;
/// Where the plot is; names are before it, figures behind.
const PLOT: (f64, f64) = (196.0, 450.0);
const TOP: f64 = 24.0;
const ROW: f64 = 22.0;
/// The most marks that there is room for.
const MARKS: usize = 8;

/// A bar for each operation: the store's ratio to its raw limit.
pub fn chart(findings: &Findings, store: Who, raw: Who) -> String {
    let ratios = Operation::ALL.map(|operation| (operation, findings.ratio(store, raw, operation)));
    let spreads = ratios.iter().filter_map(|(_, ratio)| *ratio);
    // The limit itself is always on the axis.
    let values = spreads.flat_map(|spread| [spread.min, spread.max]).chain([0.5, 2.0]);
    let Some(axis) = Axis::around(values, 2.0, PLOT) else { return String::new() };
    let height = TOP + ROW * ratios.len() as f64 + 8.0;
    let mut chart = format!(
        "<div class=\"chart\" tabindex=\"0\">\n\
         <svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{} beside {}: ratio per operation\">\n",
        escape(&store.name()),
        escape(&raw.name())
    );
    let marks = axis.marks(2.0);
    let every = marks.len().div_ceil(MARKS);
    for mark in marks {
        let x = axis.at(mark);
        // So that 1 always has its number.
        let is_named = (mark.log2().round() as i64).unsigned_abs().is_multiple_of(every as u64);
        let class = if mark == 1.0 { "limit" } else { "grid" };
        let _ = writeln!(
            chart,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{height}\"/>"
        );
        if is_named {
            let _ = writeln!(
                chart,
                "<text class=\"mark\" x=\"{x:.1}\" y=\"{}\">{}</text>",
                TOP - 8.0,
                number(mark)
            );
        }
    }
    for (at, (operation, ratio)) in ratios.into_iter().enumerate() {
        let middle = TOP + ROW * (at as f64 + 0.5);
        let title = operation.title(&findings.load);
        let _ = writeln!(
            chart,
            "<text class=\"name\" x=\"{}\" y=\"{:.1}\">{}</text>",
            PLOT.0 - 8.0,
            middle + 4.0,
            escape(&title)
        );
        let figures =
            [store, raw].map(|who| format!("{who} {}", text::figure(findings, who, operation))).join(", ");
        chart.push_str(&match ratio {
            Some(ratio) => bar(&axis, middle, ratio, &format!("{title}: {figures}")),
            None => gap(findings, [store, raw], operation, middle),
        });
    }
    chart.push_str("</svg>\n</div>");
    chart
}

fn bar(axis: &Axis, middle: f64, ratio: Spread, about: &str) -> String {
    let (limit, end) = (axis.at(1.0), axis.at(ratio.median));
    let class = if ratio.median >= 1.0 { "better" } else { "worse" };
    let (x, width) = (limit.min(end), (limit - end).abs().max(1.0));
    let (least, most) = (axis.at(ratio.min), axis.at(ratio.max));
    let mut bar = format!("<g><title>{}</title>\n", escape(about));
    let _ = writeln!(
        bar,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"12\" rx=\"1.5\"/>",
        middle - 6.0
    );
    let _ = match ratio.min == ratio.max {
        true => Ok(()),
        false => writeln!(
            bar,
            "<path class=\"whisker\" d=\"M{least:.1} {middle:.1}H{most:.1}M{least:.1} {top:.1}V{bottom:.1}M{most:.1} \
         {top:.1}V{bottom:.1}\"/>",
            top = middle - 3.0,
            bottom = middle + 3.0
        ),
    };
    let _ = writeln!(
        bar,
        "<text class=\"value\" x=\"{}\" y=\"{:.1}\">{}×</text></g>",
        WIDTH - 4.0,
        middle + 4.0,
        rounded(ratio.median)
    );
    bar
}

/// What stands where there is no ratio.
fn gap(findings: &Findings, sides: [Who; 2], operation: Operation, middle: f64) -> String {
    let absent = sides.into_iter().find(|&who| findings.figure(who, operation).is_none());
    let text =
        absent.map_or_else(String::new, |who| format!("{who}: {}", text::figure(findings, who, operation)));
    format!("<text class=\"gap\" x=\"{}\" y=\"{:.1}\">{}</text>\n", WIDTH - 4.0, middle + 4.0, escape(&text))
}

fn number(mark: f64) -> String {
    if mark >= 1.0 { format!("{mark}") } else { format!("1/{}", (1.0 / mark).round()) }
}
