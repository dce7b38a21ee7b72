//! Patterns that stand for many names: `vfs_*`, `/^vfs_(read|write)/`.

use regex_lite::{Regex, RegexBuilder};

/// No pattern that a person writes is longer.
const LONGEST: usize = 4096;

/// A pattern as written, known to be sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(String);

/// A pattern ready to be compared.
#[derive(Debug)]
pub struct Matcher(Form);

#[derive(Debug)]
enum Form {
    /// `*` stands for any characters, `?` for one; everything else for itself.
    Glob(Vec<char>),
    /// Found anywhere in the name.
    Regex(Box<Regex>),
}

impl NamePattern {
    /// The pattern that a text is; none where it is a name.
    ///
    /// # Errors
    /// Why a regular expression is none.
    pub fn of(text: &str) -> Result<Option<Self>, String> {
        if !is_regex(text) && !text.contains(['*', '?']) {
            return Ok(None);
        }
        let pattern = Self(text.to_owned());
        pattern.matcher().map(|_| Some(pattern))
    }

    /// The pattern that one name fits, which has no `*` and no `?`.
    pub(super) fn exact(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is compared by.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub fn matcher(&self) -> Result<Matcher, String> {
        if self.0.len() > LONGEST {
            return Err("the pattern is too long".to_owned());
        }
        if !is_regex(&self.0) {
            return Ok(Matcher(Form::Glob(self.0.chars().collect())));
        }
        let inner = self.0.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).unwrap_or_default();
        let regex = RegexBuilder::new(inner).size_limit(1 << 20).build();
        regex
            .map(|regex| Matcher(Form::Regex(Box::new(regex))))
            .map_err(|error| format!("the regular expression is wrong: {error}"))
    }
}

/// Whether a text is a regular expression: it stands between slashes.
pub(crate) fn is_regex(text: &str) -> bool {
    text.len() > 2 && text.starts_with('/') && text.ends_with('/')
}

impl Matcher {
    /// Whether a name fits.
    pub fn fits(&self, name: &str) -> bool {
        match &self.0 {
            Form::Regex(regex) => regex.is_match(name),
            Form::Glob(glob) => glob_fits(glob, &name.chars().collect::<Vec<_>>()),
        }
    }
}

/// Compares without going back further than to the last `*`, so that it takes time by length times length at most.
fn glob_fits(glob: &[char], name: &[char]) -> bool {
    let (mut at, mut in_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(letter) = name.get(in_name) {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == letter => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                (at, in_name) = (place + 1, taken + 1);
            }
        }
    }
    glob.iter().skip(at).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        NamePattern::of(pattern).unwrap().unwrap().matcher().unwrap().fits(name)
    }

    #[test]
    fn stars_stand_for_anything() {
        assert!(fits("vfs_*", "vfs_read") && fits("vfs_*", "vfs_") && !fits("vfs_*", "do_vfs_read"));
        assert!(fits("*acquire*lock*", "mutex_acquire_the_lock_now") && !fits("*acquire*lock", "acquire_lock_now"));
        assert!(fits("vfs_rea?", "vfs_read") && !fits("vfs_rea?", "vfs_rea") && fits("**", ""));
        // What makes a comparison that tries everything take for ever.
        assert!(!fits(&"*a".repeat(60), &"a".repeat(50)));
    }

    #[test]
    fn regular_expressions_are_found_anywhere() {
        assert!(fits("/^vfs_(read|write)$/", "vfs_read") && !fits("/^vfs_(read|write)$/", "vfs_readv"));
        assert!(fits("/read/", "vfs_readv"));
        assert!(NamePattern::of("/(/").unwrap_err().contains("regular expression"));
        assert_eq!(NamePattern::of("vfs_read"), Ok(None));
    }
}
