//! Finds the name that the user may have meant.

/// Returns the candidate that is nearest to `name`, if one is near enough to be worth a question; case does not count.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    // A third of the letters may differ: more is another word. Long names are not worth the time.
    let limit = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= MAXIMUM_LENGTH && name.len() <= MAXIMUM_LENGTH)
        .map(|candidate| (distance(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns the cure that names `suggestion`.
pub fn did_you_mean(suggestion: Option<&str>) -> Option<String> {
    suggestion.map(|name| format!("did you mean `{name}`?"))
}

/// Longer names are not compared, in bytes.
const MAXIMUM_LENGTH: usize = 128;

/// Returns the Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_offered() {
        for (given, wanted) in
            [("buidl", Some("build")), ("BUILD", Some("build")), ("x", None), ("release", None), ("tset", Some("test"))]
        {
            assert_eq!(nearest(given, ["test", "build"]), wanted, "{given}");
        }
    }
}
