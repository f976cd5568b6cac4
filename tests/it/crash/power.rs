//! The power is cut: what was not made durable is lost for real, on an ext4 file system in an image
//! that is copied at the moment of the cut.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use super::fixture::Scenario;
use super::points::{crash, points};
use crate::support::disks::{Image, Mounted};
use crate::support::sampling::sample;
use crate::support::sandbox::Sandbox;

/// How the power is cut.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// The mode of the file system's own journal. With `data=writeback` names come before the data
    /// that they name.
    options: &'static str,
    /// Another program makes a file durable before the cut, and with it all names, though not all data.
    names_durable: bool,
    /// The mail is on the disk that loses what was not made durable; the state is on another one,
    /// which loses nothing.
    mail_alone: bool,
}

const WAYS: [Way; 4] = [
    Way {
        options: "data=ordered",
        names_durable: false,
        mail_alone: false,
    },
    Way {
        options: "data=ordered",
        names_durable: false,
        mail_alone: true,
    },
    Way {
        options: "data=ordered",
        names_durable: true,
        mail_alone: false,
    },
    Way {
        options: "data=writeback",
        names_durable: true,
        mail_alone: true,
    },
];

#[test]
fn a_power_cut_at_any_step_loses_and_duplicates_nothing() {
    let Some(empty) = Image::new() else {
        return;
    };
    let mut cut = 0;
    for (index, scenario) in Scenario::deleting().enumerate() {
        let points = points(&scenario.fixture());
        // One for each point and way.
        let cases = points.len() * WAYS.len();
        for case in sample(cases, 37, index) {
            let (point, way) = (case / WAYS.len(), WAYS[case % WAYS.len()]);
            let name = &points[point];
            let context = format!("{scenario:?}, {way:?}, cut at {point}: \"{name}\"");
            if !cut_and_resume(&empty, scenario, point, way, &context) {
                return;
            }
            cut += 1;
        }
    }
    assert!(cut > 10, "the power was cut only {cut} times");
}

/// One cut; `false` where images cannot be mounted.
fn cut_and_resume(
    empty: &Image,
    scenario: Scenario,
    point: usize,
    way: Way,
    context: &str,
) -> bool {
    let image = empty.copy();
    let Some(mounted) = image.mount(way.options) else {
        return false;
    };
    let fixture = scenario.fixture_in(sandbox_on(&mounted, way));
    mounted.sync();
    // Where the run has fewer steps this time, the power is cut after the last one.
    crash(&fixture, point, context);
    if way.names_durable {
        make_names_durable(&mounted);
    }
    let after = image.copy();
    let resumed = after.mount_instead_of(mounted, way.options);
    let resumed = resumed.expect("what was mounted once can be mounted again");
    fixture.has_lost_nothing(context);
    fixture.completes(context);
    // What is in the file system goes before it does.
    drop(fixture);
    drop(resumed);
    true
}

/// A sandbox on this disk, or with only its mail there.
fn sandbox_on(disk: &Mounted, way: Way) -> Sandbox {
    if !way.mail_alone {
        return Sandbox::in_directory(disk.path());
    }
    let sandbox = Sandbox::new();
    let mail = disk.path().join("Mail");
    fs::create_dir(&mail).expect("an empty file system");
    symlink(&mail, sandbox.home("Mail")).expect("an empty home");
    sandbox
}

/// Makes an unrelated file durable, and with it every name in the file system.
fn make_names_durable(mounted: &Mounted) {
    let path = mounted.path().join("unrelated");
    fs::write(&path, "x").expect("a file system with room");
    let file = File::open(&path).and_then(|file| file.sync_all());
    file.expect("a file can be made durable");
}
