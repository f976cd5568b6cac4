//! A desktop's key ring, the real thing: gnome-keyring on a D-Bus of its own.

use std::time::{Duration, Instant};

use super::world::{Running, World};

/// How long the bus and the key ring may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running key ring, empty and unlocked; it ends when this is dropped.
pub(crate) struct KeyRing {
    _service: Running,
    _bus: Running,
}

impl KeyRing {
    /// Starts one for this world, and returns once it can be asked.
    pub(crate) fn start(world: &mut World) -> Self {
        let runtime = world.home("run");
        std::fs::create_dir_all(&runtime).expect("our own folder");
        let address = format!("unix:path={}", runtime.join("bus").display());
        world.variable("XDG_RUNTIME_DIR", &runtime.display().to_string());
        world.variable("DBUS_SESSION_BUS_ADDRESS", &address);
        let file = world.private_file("run/bus.conf", &configuration(&address));
        let option = format!("--config-file={}", file.display());
        let bus = world.launch(&["dbus-daemon", "--nofork", "--nosyslog", &option], &[]);
        world.private_file("run/unlock", "the key ring's own password");
        let service = world.launch(
            &[
                "sh",
                "-c",
                "exec gnome-keyring-daemon --foreground --unlock --components=secrets <run/unlock",
            ],
            &[],
        );
        wait_until_it_is_there(world);
        KeyRing {
            _service: service,
            _bus: bus,
        }
    }
}

/// A bus where everybody may do everything, and that starts nothing by itself.
fn configuration(address: &str) -> String {
    format!(
        "<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context=\"default\">
    <allow send_destination=\"*\"/>
    <allow receive_sender=\"*\"/>
    <allow own=\"*\"/>
  </policy>
</busconfig>
"
    )
}

fn wait_until_it_is_there(world: &World) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let outcome = world.shell(
            "dbus-send --print-reply --dest=org.freedesktop.DBus / \
             org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets",
        );
        if outcome.stdout.contains("boolean true") {
            return;
        }
        assert!(Instant::now() < deadline, "no key ring: {outcome:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
