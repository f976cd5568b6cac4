//! The configuration file as it is written: what serde understands of it, before any value is checked.
//!
//! Neither `flatten` nor `untagged` is used: both lose the places that errors point at.

use std::fmt;
use std::ops::Range;

use serde::de::value::StringDeserializer;
use serde::de::{self, DeserializeOwned, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::account::Tls;
use crate::pop3::login::Rule;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// What holds for every account that does not say otherwise.
    #[serde(default)]
    pub(super) defaults: Settings,
    #[serde(default)]
    pub(super) accounts: Accounts,
}

/// The keys of an account, or of `[defaults]`. INTERFACE.md says what they mean.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of settings")]
pub(super) struct Settings {
    pub(super) host: Option<Spanned<String>>,
    pub(super) port: Option<Spanned<i64>>,
    pub(super) user: Option<Spanned<String>>,
    pub(super) tls: Option<Word<Tls>>,
    pub(super) tls_min_version: Option<Spanned<String>>,
    pub(super) ca_file: Option<Spanned<String>>,
    pub(super) tls_fingerprints: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) tls_server_name: Option<Spanned<String>>,
    pub(super) client_cert: Option<Spanned<String>>,
    pub(super) client_key: Option<Spanned<String>>,
    pub(super) password_file: Option<Spanned<String>>,
    pub(super) password_command: Option<Spanned<String>>,
    pub(super) password_env: Option<Spanned<String>>,
    pub(super) auth: Option<Word<Rule>>,
    pub(super) allow_cleartext_password: Option<bool>,
    pub(super) deliver: Option<Spanned<Destinations>>,
    pub(super) leave_on_server: Option<Spanned<String>>,
    pub(super) timeout: Option<Spanned<String>>,
    pub(super) pipe_jobs: Option<Spanned<i64>>,
    pub(super) quiet_temporary: Option<Spanned<String>>,
    pub(super) after_new: Option<Spanned<String>>,
}

/// The accounts by name, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Accounts(pub(super) Vec<(Spanned<String>, Settings)>);

impl<'de> Deserialize<'de> for Accounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AccountsVisitor)
    }
}

struct AccountsVisitor;

impl<'de> Visitor<'de> for AccountsVisitor {
    type Value = Accounts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table for each account, [accounts.NAME]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Accounts, A::Error> {
        let mut accounts = Vec::new();
        while let Some(entry) = map.next_entry::<Spanned<String>, Settings>()? {
            accounts.push(entry);
        }
        accounts.sort_by_key(|(name, _)| name.span().start);
        Ok(Accounts(accounts))
    }
}

/// One word of a fixed choice. The choice's own type would take a table as well, and say so in its errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word: StringDeserializer<D::Error> =
            String::deserialize(deserializer)?.into_deserializer();
        T::deserialize(word).map(Word)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        word.parse()
            .map_err(|_| de::Error::unknown_variant(&word, &Rule::NAMES))
    }
}

/// `deliver`: one destination or a list of them.
#[derive(Debug)]
pub(super) enum Destinations {
    One(String),
    Several(Vec<Spanned<String>>),
}

impl Destinations {
    /// Each destination with its place in the file.
    pub(super) fn each(written: &Spanned<Self>) -> Vec<(&str, Range<usize>)> {
        match written.get_ref() {
            Destinations::One(text) => vec![(text, written.span())],
            Destinations::Several(list) => list
                .iter()
                .map(|text| (text.get_ref().as_str(), text.span()))
                .collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Destinations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DestinationsVisitor)
    }
}

struct DestinationsVisitor;

impl<'de> Visitor<'de> for DestinationsVisitor {
    type Value = Destinations;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a destination such as \"maildir:~/Mail\", or a list of them")
    }

    fn visit_str<E>(self, text: &str) -> Result<Destinations, E> {
        Ok(Destinations::One(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Destinations, A::Error> {
        let mut destinations = Vec::new();
        while let Some(destination) = list.next_element()? {
            destinations.push(destination);
        }
        Ok(Destinations::Several(destinations))
    }
}

/// The keys that [`Settings`] knows, out of serde's own error, so that there is no second list of them.
pub(super) fn setting_names() -> Vec<String> {
    match toml::from_str::<Settings>("'' = 0") {
        Ok(_) => Vec::new(),
        Err(error) => error
            .message()
            .split('`')
            .skip(3)
            .step_by(2)
            .map(str::to_owned)
            .collect(),
    }
}
