use crate::exit::Exit;
use crate::progress::Bar;
use crate::session::Session;
use anyhow::Result;
use clap::Args;
use memlife::{TrainOptions, Trained, Training};
use serde::Serialize;

#[derive(Args, Debug)]
pub struct TrainArgs {
    /// Only the rule of this pattern
    #[arg(long, value_name = "PATTERN")]
    rule: Option<String>,
    /// Say what training would bring and keep nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct TrainingView<'a> {
    rule: &'a str,
    values: u64,
    samples: usize,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dictionary: Option<DictionaryView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_out: Option<HeldOutView>,
}

#[derive(Serialize)]
struct DictionaryView {
    id: String,
    bytes: usize,
}

#[derive(Serialize)]
struct HeldOutView {
    bytes_now: u64,
    bytes_with_dictionary: u64,
}

pub fn run(session: &Session, args: &TrainArgs) -> Result<Exit> {
    let memory = session.open()?;
    let options = TrainOptions::new().dry_run(args.dry_run);
    let options = match &args.rule {
        Some(pattern) => options.rule(pattern),
        None => options,
    };
    let bar = Bar::new(&session.output, "reading", None);
    let trained = session.wait(memory.train(&options, Some(bar.listener())));
    bar.finish();
    let trainings = trained?;
    if session.output.is_json() {
        let views: Vec<TrainingView<'_>> = trainings.iter().map(TrainingView::of).collect();
        session.output.json(&views)?;
        return Ok(Exit::Done);
    }
    for training in &trainings {
        session.output.line(&line(training, args.dry_run))?;
    }
    Ok(Exit::Done)
}

impl<'a> TrainingView<'a> {
    fn of(training: &'a Training) -> Self {
        let Training { rule, values, samples, result, .. } = training;
        let held_out =
            |now: u64, then: u64| Some(HeldOutView { bytes_now: now, bytes_with_dictionary: then });
        let (result, dictionary, held_out) = match *result {
            Trained::NotZstd => ("not_zstd", None, None),
            Trained::TooFew => ("too_few", None, None),
            Trained::NoGain { now, then } => ("no_gain", None, held_out(now, then)),
            Trained::Gain { dictionary, bytes, now, then } => {
                let id = format!("{dictionary:08x}");
                ("gain", Some(DictionaryView { id, bytes }), held_out(now, then))
            }
        };
        TrainingView { rule, values: *values, samples: *samples, result, dictionary, held_out }
    }
}

fn line(training: &Training, dry_run: bool) -> String {
    let rule = if training.rule.is_empty() { "default" } else { &*training.rule };
    let what = match training.result {
        Trained::NotZstd => "not compressed by zstd".to_owned(),
        Trained::TooFew => "too few to train on".to_owned(),
        Trained::NoGain { now, then } => {
            format!("no gain (held-out values {now} bytes, {then} with a dictionary)")
        }
        Trained::Gain { dictionary, bytes, now, then } => {
            let done = if dry_run { "would get" } else { "got" };
            let percent = (then * 100).checked_div(now).unwrap_or(100);
            format!(
                "{done} dictionary {dictionary:08x} of {bytes} bytes: held-out values shrink to {percent} %"
            )
        }
    };
    format!("{rule}: {} values, {what}", training.values)
}
