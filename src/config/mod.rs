//! What a person wrote, checked and typed.

mod account;

pub use account::{Account, Auth, Retention, SecretSource, Tls};
