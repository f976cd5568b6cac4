//! Killed before and after each of its own steps.

use std::fs;

use super::stage::{Before, Scenario, Stage};
use crate::support::sampling::{everything, sample, sample_always};

/// The names of the points that a run passes from here.
pub(super) fn points(stage: &Stage) -> Vec<String> {
    let file = stage.sandbox.home("points");
    let shown = file.display().to_string();
    stage
        .sync(&[], &[("POPFETCH_CRASH_COUNT", &shown)])
        .ends_with(0);
    let names = fs::read_to_string(&file).expect("the program has crash points");
    names.lines().map(str::to_owned).collect()
}

/// Kills a run at this point, counted from 0; whether it came so far.
pub(super) fn crash(stage: &Stage, point: usize, context: &str) -> bool {
    let number = (point + 1).to_string();
    let outcome = stage.sync(&[], &[("POPFETCH_CRASH_AT", &number)]);
    assert!(
        matches!(outcome.status, Some(0 | 137)),
        "{context}: {outcome:#?}"
    );
    stage.has_lost_nothing(context);
    outcome.status == Some(137)
}

#[test]
fn killed_at_any_step_it_resumes_where_it_was() {
    let (mut killed, mut cases) = (0, 0);
    for (index, scenario) in Scenario::all().into_iter().enumerate() {
        let points = points(&scenario.stage());
        assert!(
            points.len() > 10,
            "{scenario:?} passes few points: {points:?}"
        );
        // Another offset for each scenario, so that a sample meets every point somewhere.
        for point in sample(points.len(), 9, index) {
            let stage = scenario.stage();
            let context = format!("{scenario:?}, killed at {point}: \"{}\"", points[point]);
            killed += usize::from(crash(&stage, point, &context));
            stage.completes(&context);
            cases += 1;
        }
    }
    // On a busy machine a batch may close early, for its age, and a run then passes more points.
    assert!(
        killed * 10 > cases * 9,
        "{killed} of {cases} runs came so far"
    );
}

#[test]
fn killed_again_while_it_resumes_it_still_loses_and_doubles_nothing() {
    let (step, step_again) = if everything() { (3, 4) } else { (29, 11) };
    for (index, scenario) in Scenario::all().into_iter().enumerate() {
        if matches!(scenario.before, Before::Stored | Before::Recognised) {
            continue;
        }
        let first = points(&scenario.stage()).len();
        for point in sample_always(first, step, index) {
            for second in (index % 3..).step_by(step_again) {
                let stage = scenario.stage();
                let context = format!("{scenario:?}, killed at {point}, then at {second}");
                crash(&stage, point, &context);
                let again = crash(&stage, second, &context);
                stage.completes(&context);
                if !again {
                    break;
                }
            }
        }
    }
}
