//! The command line, as types. The man pages and completions are rendered from here.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, ColorChoice, CommandFactory, Parser, Subcommand, ValueHint};

use crate::mail::MessageName;
use crate::size::Size;

const EXIT_STATUS: &str = "\
Exit status:
  0         done, also when there was nothing new
  1         done in part: some message or account failed, the rest is stored
  64        wrong command line
  65        what the server or a file says makes no sense
  68, 69    host unknown; server unreachable or unavailable
  73, 74    the destination cannot be written; input-output error
  75        temporary: mailbox in use, login delay, another popfetch at work,
            timed out; try again
  76        the server broke the protocol, or TLS failed
  77        authentication refused
  78        configuration error
  130, 143  stopped by SIGINT, SIGTERM; 129: by SIGHUP (what was stored is recorded)";

const EXAMPLES: &str = "\
Examples:
  popfetch sync                  retrieve the new mail of every configured account
  popfetch sync --dry-run work   show what a run for the account \"work\" would do
  popfetch sync --url pops://alice@pop.example.com --to maildir:~/Mail/alice
                                 retrieve from an account that is not configured
  popfetch sync --to mbox:- work | zstd > work.mbox.zst
                                 compress the new mail of \"work\" into one mbox";

const EXAMPLES_OF_MARK_SEEN: &str = "\
Examples:
  popfetch state mark-seen work --all
                                 let the next sync retrieve only mail that arrives from now on
  popfetch state mark-seen work 7 uid:12345
                                 mark message 7 and the one with the unique-id 12345";

/// The heading of the options that every command has.
const GLOBAL: &str = "Global options";

/// Retrieves mail over POP3 and stores every message exactly once
#[derive(Debug, Parser)]
#[command(
    name = "popfetch",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = EXIT_STATUS
)]
pub struct Cli {
    /// Read this configuration file instead of the default
    ///
    /// The default is $XDG_CONFIG_HOME/popfetch/config.toml, or ~/.config/popfetch/config.toml if
    /// XDG_CONFIG_HOME is not set.
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Show each step; twice (-vv), also the dialogue with the server
    ///
    /// With -vv, every line that the server and popfetch exchange is shown, with passwords masked. If
    /// standard error is not a terminal, each line begins with the time.
    #[arg(short, long, global = true, help_heading = GLOBAL, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Print only errors
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub quiet: bool,

    /// Use colors: auto, always or never
    ///
    /// With auto, colors are used if standard error is a terminal and NO_COLOR is not set.
    #[arg(
        long,
        global = true, help_heading = GLOBAL,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub color: ColorChoice,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    ///
    /// The line is wrong, or asks for help or the version; clap's error knows which and prints itself.
    pub fn read<T: Into<OsString> + Clone>(
        line: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        let cli = Self::try_parse_from(line)?;
        // clap checks conflicts before it joins the options before and after the command.
        if cli.quiet && cli.verbose > 0 {
            return Err(Self::command().error(
                ErrorKind::ArgumentConflict,
                "the argument '--quiet' cannot be used with '--verbose'",
            ));
        }
        Ok(cli)
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Retrieve new mail, then apply the retention rule
    Sync(Sync),
    /// Log in and store an account's password in the key ring
    Login(OneAccount),
    /// Remove an account's password from the key ring
    Logout(OneAccount),
    /// Correct what popfetch remembers
    #[command(subcommand, disable_help_subcommand = true)]
    State(State),
}

impl Command {
    /// Whether results go to standard output as JSON.
    #[must_use]
    pub fn wants_json(&self) -> bool {
        match self {
            Command::Sync(options) => options.json,
            Command::State(State::MarkSeen(options)) => options.json,
            Command::Login(_) | Command::Logout(_) => false,
        }
    }
}

/// What to correct.
#[derive(Debug, Subcommand)]
pub enum State {
    /// Mark messages as seen, so that sync does not retrieve them
    MarkSeen(MarkSeen),
}

/// The arguments of `state mark-seen`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES_OF_MARK_SEEN)]
pub struct MarkSeen {
    /// The account's name in the configuration
    #[arg(value_name = "ACCOUNT")]
    pub account: String,

    /// The messages to mark: numbers in the server's current list, or unique-ids
    ///
    /// Digits alone are a number; everything else, and uid:WORD, is a unique-id. Bytes of a unique-id
    /// outside 0x21 to 0x7E, and %, are written %XX, as in the output of sync --dry-run --json.
    #[arg(value_name = "MSG", conflicts_with = "all")]
    pub messages: Vec<MessageName>,

    /// Mark every message that the server lists now
    #[arg(long)]
    pub all: bool,

    /// Print a JSON object to standard output
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `login` and `logout`.
#[derive(Debug, Args)]
pub struct OneAccount {
    /// The account's name in the configuration
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
}

/// The arguments of `sync`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Sync {
    /// The names of the accounts to synchronize [default: all accounts in the configuration]
    #[arg(value_name = "ACCOUNT")]
    pub accounts: Vec<String>,

    /// Show exactly what a run would do; change nothing here or on the server
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Deliver to maildir:PATH, mbox:PATH, mbox:- (standard output) or pipe:COMMAND
    ///
    /// Replaces the account's deliver setting for this run, for example with maildir:~/Mail/work. A
    /// relative path begins in the current directory. A later run delivers the same messages to the
    /// account's own destination, unless they are deleted on the server by then. A message that only
    /// went to standard output is never deleted on the server. A command gets each message on its
    /// standard input; exit status 0 means that the message is stored.
    #[arg(long, value_name = "DEST", value_hint = ValueHint::Other)]
    pub to: Option<String>,

    /// How long stored messages stay on the server: always, never, or a time such as 30d
    ///
    /// With a time such as 12h, 30d or 8w, a message is deleted on the server that long after it was
    /// stored here. With never, it is deleted as soon as it is stored.
    #[arg(long, value_name = "RULE", value_hint = ValueHint::Other)]
    pub leave_on_server: Option<String>,

    /// Use an account that is not configured, such as pops://alice@pop.example.com
    ///
    /// pops:// uses TLS from the first byte (port 995); pop3:// requires STLS (port 110). Write another
    /// port after the host: pops://alice@pop.example.com:2995. Write a character that has a meaning in
    /// a URL as %XX: alice%40example.com for alice@example.com.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, conflicts_with = "accounts")]
    pub url: Option<String>,

    /// With --url: read the password from this file
    ///
    /// The file must contain only the password and must be private: chmod 600. The password can also be
    /// in the environment variable POPFETCH_PASSWORD.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        requires = "url",
        conflicts_with_all = ["accounts", "password_command"]
    )]
    pub password_file: Option<PathBuf>,

    /// With --url: use the first line that this command prints as the password
    ///
    /// For example --password-command "pass show mail".
    #[arg(
        long,
        value_name = "CMD",
        value_hint = ValueHint::CommandString,
        requires = "url",
        conflicts_with = "accounts"
    )]
    pub password_command: Option<String>,

    /// Also trust the certificate authorities in this file (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,

    /// Also retrieve messages that were stored before, and store them again
    #[arg(long)]
    pub all: bool,

    /// Retrieve at most N messages in this run, the oldest first
    #[arg(long, value_name = "N", value_parser = number::<u64>)]
    pub limit: Option<u64>,

    /// Leave larger messages for later: 500kB, 10MB (without a unit, bytes)
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<Size>,

    /// Process N accounts at the same time, at most four of them on one server
    #[arg(short, long, value_name = "N", default_value = "5", value_parser = number::<NonZeroUsize>)]
    pub jobs: NonZeroUsize,

    /// Print one JSON object per account to standard output, each on a line
    #[arg(long)]
    pub json: bool,
}

/// A number that is not 0, with an error in our words.
fn number<T: FromStr>(text: &str) -> Result<T, &'static str> {
    let number = text.parse().ok().filter(|_| text.parse() != Ok(0_u64));
    number.ok_or("expected a whole number, 1 or more")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::read(std::iter::once("popfetch").chain(line.split_whitespace()))
    }

    fn refusal(line: &str) -> ErrorKind {
        parse(line).expect_err(line).kind()
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_full_sync_line_is_understood() {
        let cli = parse(
            "--config c.toml sync -n --to maildir:m --leave-on-server 30d --ca-file ca.pem \
             --all --limit 5 --max-size 10MB -j 8 --json work home -vv",
        )
        .expect("valid");
        assert_eq!((cli.verbose, cli.quiet), (2, false));
        assert_eq!(cli.config.as_deref(), Some("c.toml".as_ref()));
        let Command::Sync(sync) = cli.command else {
            panic!("not sync: {:?}", cli.command)
        };
        assert_eq!(sync.accounts, ["work", "home"]);
        assert!(sync.dry_run && sync.all && sync.json);
        assert_eq!(sync.limit, Some(5));
        assert_eq!(sync.jobs.get(), 8);
        assert_eq!(sync.max_size, Some(Size(10_000_000)));
        assert_eq!(sync.leave_on_server.as_deref(), Some("30d"));
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "-q -v sync",
            "sync -q -v",
            "-q sync -v",
            "sync --url pops://a@b work",
            "sync work --password-command c",
            "sync work --password-file f",
            "sync --url pops://a@b --password-file f --password-command c",
        ] {
            assert_eq!(refusal(line), ErrorKind::ArgumentConflict, "{line}");
        }
    }

    #[test]
    fn a_password_source_belongs_to_a_url() {
        for line in ["sync --password-file f", "sync --password-command c"] {
            assert_eq!(refusal(line), ErrorKind::MissingRequiredArgument, "{line}");
        }
        assert!(parse("sync --url pops://a@b --password-file f").is_ok());
    }

    #[test]
    fn marks_are_for_named_messages_or_for_all() {
        let parsed = |line: &str| match parse(line).expect(line).command {
            Command::State(State::MarkSeen(options)) => options,
            other => panic!("{line}: {other:?}"),
        };
        let named = parsed("state mark-seen work 7 uid:7 ab%20c --json");
        let names: Vec<_> = named.messages.iter().map(MessageName::to_string).collect();
        assert_eq!(names, ["7", "uid:7", "ab%20c"]);
        assert!(named.json && !named.all && named.account == "work");
        assert!(parsed("state mark-seen work --all").all);
        let both = refusal("state mark-seen work 7 --all");
        assert_eq!(both, ErrorKind::ArgumentConflict);
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for line in [
            "state mark-seen work 0",
            "state mark-seen work 9999999999",
            "state mark-seen work uid:",
            "state mark-seen work 100%",
            "sync --limit 0",
            "sync --limit -1",
            "sync --max-size much",
            "sync -j 0",
            "sync --jobs many",
        ] {
            let kind = refusal(line);
            assert!(
                matches!(
                    kind,
                    ErrorKind::ValueValidation | ErrorKind::UnknownArgument
                ),
                "{line}: {kind}"
            );
        }
        assert_eq!(refusal("--color blue sync"), ErrorKind::InvalidValue);
        assert_eq!(refusal("login"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refusal("logout a b"), ErrorKind::UnknownArgument);
    }

    #[test]
    fn every_option_and_value_is_explained() {
        fn check(verb: &clap::Command) {
            verb.get_subcommands().for_each(check);
            for argument in verb.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    verb.get_name(),
                    argument.get_id()
                );
            }
        }
        let mut command = Cli::command();
        command.build();
        check(&command);
    }
}
