//! A desktop's key ring, the real thing: gnome-keyring on a D-Bus of its own.

use std::time::{Duration, Instant};

use super::sandbox::{Running, Sandbox};

/// How long the bus and the key ring may take to start.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running key ring, empty and unlocked; it ends when this is dropped.
pub(crate) struct KeyRing {
    _service: Running,
    _bus: Running,
}

impl KeyRing {
    /// Starts one for this sandbox, and returns once it can be asked.
    pub(crate) fn start(sandbox: &mut Sandbox) -> Self {
        let runtime = sandbox.home("run");
        std::fs::create_dir_all(&runtime).expect("our own directory");
        let address = format!("unix:path={}", runtime.join("bus").display());
        sandbox.variable("XDG_RUNTIME_DIR", &runtime.display().to_string());
        sandbox.variable("DBUS_SESSION_BUS_ADDRESS", &address);
        let file = sandbox.private_file("run/bus.conf", &configuration(&address));
        let option = format!("--config-file={}", file.display());
        let bus = sandbox.launch(&["dbus-daemon", "--nofork", "--nosyslog", &option], &[]);
        sandbox.private_file("run/unlock", "the key ring's own password");
        let service = sandbox.launch(
            &[
                "sh",
                "-c",
                "exec gnome-keyring-daemon --foreground --unlock --components=secrets <run/unlock",
            ],
            &[],
        );
        wait_until_it_is_there(sandbox);
        KeyRing {
            _service: service,
            _bus: bus,
        }
    }
}

/// A bus on which everything is allowed, and that starts nothing by itself.
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

fn wait_until_it_is_there(sandbox: &Sandbox) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let outcome = sandbox.shell(
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
