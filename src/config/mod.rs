//! What a person wrote, checked and typed.

mod account;

pub use account::{Account, Auth, SecretSource, Tls};
