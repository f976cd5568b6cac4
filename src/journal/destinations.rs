//! The destinations of an account, by the numbers that its journal has for them.

/// The destinations of an account.
#[derive(Debug, Clone, Default)]
pub struct Destinations {
    /// Those of this run.
    pub here: Vec<u32>,
    /// Those that others take the place of for this run. They are owed what is stored meanwhile, and fetch it later.
    pub elsewhere: Vec<u32>,
}
