//! "Did you mean …?"

/// The candidate that is most like a name that was not found, if any is like it: at most a third of the letters differ,
/// swapped neighbours counting once. Of several, the first.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    let scored = candidates.into_iter().filter_map(|candidate| {
        // The distance is at least the difference of the lengths; most candidates end here.
        if candidate == name || candidate.len().abs_diff(name.len()) > limit * 4 {
            return None;
        }
        let distance = strsim::osa_distance(name, candidate);
        let distance = if candidate.eq_ignore_ascii_case(name) { 0 } else { distance };
        (distance <= limit).then_some((distance, candidate))
    });
    scored.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_of_the_near_ones_is_named() {
        let check = |name: &str, candidates: &[&str], expect: Option<&str>| {
            assert_eq!(nearest(name, candidates.iter().copied()), expect, "{name}");
        };
        check("skc_dadr", &["skc_family", "skc_daddr", "skc_dport"], Some("skc_daddr"));
        check("lokup", &["lookup", "update"], Some("lookup"));
        check("PID", &["pad", "pid"], Some("pid"));
        check("xyz", &["lookup", "update"], None);
        check("pid", &["pid"], None);
        check("a", &[], None);
        check("", &["pid"], None);
    }
}
