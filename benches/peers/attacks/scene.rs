//! What is around a program while it is attacked.

/// What is special about the machine, or about what a person does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    Plain,
    /// The disk takes no more than two of three messages; once the server is honest, it takes them all.
    FullDisk,
    /// In the place of the mbox, a link of ours leads to one of another user, and that to a file of ours.
    Link,
    /// The umask lets all users read what is made.
    Umask,
    /// Everybody may read the file that the password is in.
    Readable,
    /// It is started once more, while it is at work.
    TwoAtOnce,
    /// Arguments and environments are looked at while it is at work.
    Inspected,
    /// It is configured to log all that helps to find errors.
    Loud,
    /// Messages try to run a command.
    Commands,
}
