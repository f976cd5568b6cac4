//! Colors, or none.

use clap::ColorChoice;

use super::screen::Terminal;

/// What a piece of text is, as far as its color goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The beginning of an error.
    Error,
    /// The beginning of a warning.
    Warning,
    /// The beginning of a hint.
    Hint,
    /// An account's name in front of its bar.
    Name,
}

/// Whether colors are used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    on: bool,
}

impl Palette {
    /// What `--color`, `NO_COLOR` and the terminal come to; an option given by hand goes before the environment.
    pub(super) fn new(choice: ColorChoice, terminal: &Terminal) -> Self {
        let on = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal.attended && !terminal.dumb && !terminal.no_color,
        };
        Palette { on }
    }

    /// Text of ours in its color. The sequences are SGR of ECMA-48.
    pub(super) fn paint(self, role: Role, text: &str) -> String {
        if !self.on {
            return text.to_owned();
        }
        let code = match role {
            Role::Error => "1;31",
            Role::Warning => "1;33",
            Role::Hint => "1;36",
            Role::Name => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::testing::TERMINAL;

    fn painted(choice: ColorChoice, terminal: &Terminal) -> bool {
        Palette::new(choice, terminal).paint(Role::Error, "x") != "x"
    }

    #[test]
    fn auto_colors_a_terminal_that_can_and_may() {
        assert!(painted(ColorChoice::Auto, &TERMINAL));
        for plain in [
            Terminal {
                attended: false,
                ..TERMINAL
            },
            Terminal {
                no_color: true,
                ..TERMINAL
            },
            Terminal {
                dumb: true,
                ..TERMINAL
            },
        ] {
            assert!(!painted(ColorChoice::Auto, &plain), "{plain:?}");
        }
    }

    #[test]
    fn an_explicit_choice_wins() {
        let file = Terminal {
            attended: false,
            no_color: true,
            ..TERMINAL
        };
        assert!(painted(ColorChoice::Always, &file));
        assert!(!painted(ColorChoice::Never, &TERMINAL));
    }
}
