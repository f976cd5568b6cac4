//! What the machine tells us, in one place, so that tests can say it instead: the time, the host's
//! name, who we are, where HOME, configuration and state are, and the environment's variables.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use directories::{BaseDirs, ProjectDirs};
use jiff::Timestamp;

use crate::error::{Failure, Kind, Result};

/// The variable with the password of an account that is named on the command line.
pub const PASSWORD_VARIABLE: &str = "POPFETCH_PASSWORD";

/// The surroundings of one run. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    password_variables: Vec<String>,
    /// The host's name, as the kernel has it.
    pub host_name: String,
    /// The user's home directory.
    pub home: PathBuf,
    /// Where the configuration is looked for: `$XDG_CONFIG_HOME/popfetch`.
    pub config_dir: PathBuf,
    /// Where the journals are kept: `$XDG_STATE_HOME/popfetch`.
    pub state_dir: PathBuf,
}

impl Environment {
    /// The real machine's.
    ///
    /// # Errors
    ///
    /// Where no home directory can be found for this user.
    pub fn system() -> Result<Self> {
        let homeless = || {
            Failure::new(Kind::Config, "this user has no home directory")
                .hint("Set HOME, or XDG_CONFIG_HOME and XDG_STATE_HOME, to where popfetch may keep its files.")
        };
        let base = BaseDirs::new().ok_or_else(homeless)?;
        let project = ProjectDirs::from("", "", "popfetch").ok_or_else(homeless)?;
        Ok(Environment {
            clock: system_clock()?,
            password_variables: vec![PASSWORD_VARIABLE.to_owned()],
            host_name: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            home: base.home_dir().to_owned(),
            config_dir: project.config_dir().to_owned(),
            state_dir: project
                .state_dir()
                .unwrap_or_else(|| project.data_local_dir())
                .to_owned(),
        })
    }

    /// The same surroundings, at another time.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// How long to wait for something: the usual time. With the test hooks, as long as the variable
    /// of this name says, in milliseconds.
    #[must_use]
    pub fn wait(&self, test_variable: &str, usual: Duration) -> Duration {
        if cfg!(feature = "test-hooks") {
            let given = self.variable(test_variable);
            let given = given.and_then(|text| text.to_str()?.parse().ok());
            return given.map_or(usual, Duration::from_millis);
        }
        usual
    }

    /// An environment variable, if it is set.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    /// The same surroundings, where these variables hold passwords too: those that `password_env`
    /// names, of all accounts.
    #[must_use]
    pub fn with_password_variables(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.password_variables.extend(names);
        self
    }

    /// Gives a child the environment that a person gave us, without the variables that hold passwords. To be
    /// called for every child that is started.
    pub fn hand_down(&self, child: &mut Command) {
        for name in &self.password_variables {
            child.env_remove(name);
        }
    }
}

#[cfg(not(feature = "test-hooks"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the test build's clock can be misspelt"
)]
fn system_clock() -> Result<Arc<dyn Fn() -> Timestamp + Send + Sync>> {
    Ok(Arc::new(Timestamp::now))
}

/// With the test hooks, `POPFETCH_TEST_NOW` (RFC 3339) is the time for the whole run.
#[cfg(feature = "test-hooks")]
fn system_clock() -> Result<Arc<dyn Fn() -> Timestamp + Send + Sync>> {
    use crate::error::OrFail;
    match std::env::var("POPFETCH_TEST_NOW") {
        Err(_) => Ok(Arc::new(Timestamp::now)),
        Ok(text) => {
            let now: Timestamp = text
                .parse()
                .or_fail(Kind::Usage, || "POPFETCH_TEST_NOW is not a time")?;
            Ok(Arc::new(move || now))
        }
    }
}
