//! What was meant by a mistyped name.

/// The question whether the nearest of these names was meant, or else all of them.
pub(super) fn did_you_mean(wrong: &str, names: &[&str]) -> String {
    match nearest(wrong, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected one of `{}`", names.join("`, `")),
    }
}

/// The candidate that `wrong` most likely stands for: a few letters off, or the only one that begins so.
/// Case and `-` for `_` do not count.
pub(super) fn nearest<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wrong = normal(wrong);
    let candidates: Vec<&str> = candidates.into_iter().collect();
    candidates
        .iter()
        .filter_map(|&candidate| Some((distance(&wrong, &normal(candidate))?, candidate)))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
        .or_else(|| only_one_that_begins_with(&wrong, &candidates))
}

/// How many letters have to change, if no more than a third of them.
fn distance(wrong: &str, candidate: &str) -> Option<usize> {
    let length = wrong.chars().count().max(candidate.chars().count());
    let distance = strsim::osa_distance(wrong, candidate);
    (distance <= length / 3).then_some(distance)
}

fn only_one_that_begins_with<'a>(beginning: &str, candidates: &[&'a str]) -> Option<&'a str> {
    if beginning.is_empty() {
        return None;
    }
    let mut matching = candidates
        .iter()
        .filter(|candidate| normal(candidate).starts_with(beginning));
    match (matching.next(), matching.next()) {
        (Some(&only), None) => Some(only),
        _ => None,
    }
}

fn normal(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 6] = [
        "host",
        "port",
        "user",
        "tls",
        "leave_on_server",
        "password_file",
    ];

    #[test]
    fn finds_what_was_mistyped() {
        assert_eq!(nearest("prot", KEYS), Some("port"));
        assert_eq!(nearest("leave-on-sever", KEYS), Some("leave_on_server"));
        assert_eq!(nearest("TLS", KEYS), Some("tls"));
        assert_eq!(nearest("leave", KEYS), Some("leave_on_server"));
    }

    #[test]
    fn guesses_nothing_far_off() {
        assert_eq!(nearest("colour", KEYS), None);
        assert_eq!(nearest("", KEYS), None);
        assert_eq!(nearest("p", KEYS), None, "port or password_file");
    }
}
