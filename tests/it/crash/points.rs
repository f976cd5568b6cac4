//! Killed before and after each of its own steps.

use std::fs;

use super::fixture::{Before, Fixture, Scenario};
use crate::support::sampling::{everything, sample, sample_always};

/// The names of the points that a run passes from here.
pub(super) fn points(fixture: &Fixture) -> Vec<String> {
    let file = fixture.sandbox.home("points");
    let shown = file.display().to_string();
    fixture
        .sync(&[], &[("POPFETCH_CRASH_COUNT", &shown)])
        .ends_with(0);
    let names = fs::read_to_string(&file).expect("the program has crash points");
    names.lines().map(str::to_owned).collect()
}

/// Kills a run at this point, counted from 0; whether it came so far.
pub(super) fn crash(fixture: &Fixture, point: usize, context: &str) -> bool {
    let number = (point + 1).to_string();
    let outcome = fixture.sync(&[], &[("POPFETCH_CRASH_AT", &number)]);
    assert!(
        matches!(outcome.status, Some(0 | 137)),
        "{context}: {outcome:#?}"
    );
    fixture.has_lost_nothing(context);
    outcome.status == Some(137)
}

#[test]
fn killed_at_any_step_it_resumes_where_it_was() {
    let (mut killed, mut cases) = (0, 0);
    for (index, scenario) in Scenario::all().into_iter().enumerate() {
        let points = points(&scenario.fixture());
        assert!(
            points.len() > 10,
            "{scenario:?} passes few points: {points:?}"
        );
        // Another offset for each scenario, so that a sample meets every point somewhere.
        for point in sample(points.len(), 9, index) {
            let fixture = scenario.fixture();
            let context = format!("{scenario:?}, killed at {point}: \"{}\"", points[point]);
            killed += usize::from(crash(&fixture, point, &context));
            fixture.completes(&context);
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
fn killed_again_while_it_resumes_it_still_loses_and_duplicates_nothing() {
    let (step, step_again) = if everything() { (3, 4) } else { (29, 11) };
    for (index, scenario) in Scenario::all().into_iter().enumerate() {
        if matches!(scenario.before, Before::Stored | Before::Recognised) {
            continue;
        }
        let first = points(&scenario.fixture()).len();
        for point in sample_always(first, step, index) {
            for second in (index % 3..).step_by(step_again) {
                let fixture = scenario.fixture();
                let context = format!("{scenario:?}, killed at {point}, then at {second}");
                crash(&fixture, point, &context);
                let again = crash(&fixture, second, &context);
                fixture.completes(&context);
                if !again {
                    break;
                }
            }
        }
    }
}
