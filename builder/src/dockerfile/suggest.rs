//! [`nearest`]: what was meant by a word that is not known.

/// Returns the candidate that differs from `typed` by the fewest slips of the finger, upper and lower case alike, or
/// nothing if none is near.
pub fn nearest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let typed: Vec<char> = typed.to_lowercase().chars().take(64).collect();
    let near = candidates.into_iter().filter_map(|candidate| {
        let letters: Vec<char> = candidate.to_lowercase().chars().collect();
        let limit = (letters.len() / 3).max(1);
        // A difference in length is a lower bound, and cheap.
        if typed.len().abs_diff(letters.len()) > limit {
            return None;
        }
        let distance = distance(&typed, &letters);
        (distance <= limit && distance < letters.len()).then_some((distance, candidate))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// Returns how many letters must be added, dropped, changed or swapped with their neighbour (optimal string
/// alignment).
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, &letter) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, &against) in other.iter().enumerate() {
            let changed = row[j] + usize::from(letter != against);
            let mut best = changed.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && letter == other[j - 1] && one[i - 1] == against {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_found() {
        let names = ["FROM", "RUN", "COPY", "ENTRYPOINT", "ENV"];
        let table = [
            ("FORM", Some("FROM")),
            ("rnu", Some("RUN")),
            ("COPPY", Some("COPY")),
            ("entrypiont", Some("ENTRYPOINT")),
            ("EVN", Some("ENV")),
            ("", None),
            ("XYZZY", None),
        ];
        for (typed, meant) in table {
            assert_eq!(nearest(typed, names), meant, "{typed}");
        }
        let commands = ["build", "images", "rmi"];
        for (typed, meant) in [("imges", Some("images")), ("buidl", Some("build")), ("rm", Some("rmi")), (".", None)] {
            assert_eq!(nearest(typed, commands), meant, "{typed}");
        }
    }
}
